"""What a webhook told of waits in the inbox like any event, and leads to one run that looks and answers."""

from __future__ import annotations

from pathlib import Path

from da_agent_hub.defs.names import ISSUE_JOB
from da_agent_hub.domain.command import EventKind, InboxEvent
from da_agent_hub.domain.issue import IssueDraft, IssueRef
from da_agent_hub_tests.fakes.tracker import FakeTracker

from .hub_world import World, dagster_instance


def hint(world: World, ref: IssueRef, delivery: str) -> InboxEvent:
    return InboxEvent(delivery, str(ref), EventKind.LOOK, "ann", world.hosts["shop"].now, str(ref))


def test_a_hint_leads_to_one_run_that_finds_the_command_and_answers_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    ann = FakeTracker(world.hosts["shop"], "ann")
    ref = ann.create_issue(world.hosts["shop"].repo, IssueDraft("Orders", "They look odd.")).ref
    with dagster_instance() as instance:
        world.hub.store.add_events([hint(world, ref, "delivery:1")])
        ann.add_comment(ref, "@claude help")
        (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
        assert result.success
        assert len(ann.comments(ref)) == 2
        assert world.hub.store.event_outcomes(str(ref))["delivery:1"] == "looked: 1 new events"
        world.hub.store.add_events([hint(world, ref, "delivery:2")])
        world.carry_out("inbox", ISSUE_JOB, instance)
        assert len(ann.comments(ref)) == 2
        assert world.tick("inbox", instance) == []
        assert list(world.hub.store.pending_issues()) == []


def test_a_hint_about_an_issue_that_is_gone_is_finished_and_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    gone = IssueRef(world.hosts["shop"].repo, 404)
    with dagster_instance() as instance:
        world.hub.store.add_events([hint(world, gone, "delivery:1")])
        (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
        assert result.success
    assert list(world.hub.store.pending_issues()) == []
    assert "gone" in str(world.hub.store.event_outcomes(str(gone))["delivery:1"])


def test_while_github_is_away_a_hint_waits(tmp_path: Path) -> None:
    world = World(tmp_path)
    ann = FakeTracker(world.hosts["shop"], "ann")
    ref = ann.create_issue(world.hosts["shop"].repo, IssueDraft("Orders", "They look odd.")).ref
    with dagster_instance() as instance:
        world.hub.store.add_events([hint(world, ref, "delivery:1")])
        world.github.away = True
        (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
        assert not result.success
        assert list(world.hub.store.pending_issues()) == [str(ref)]
        world.github.away = False
        world.clock.forward(minutes=20)
        world.carry_out("inbox", ISSUE_JOB, instance)
    assert list(world.hub.store.pending_issues()) == []
