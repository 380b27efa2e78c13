"""Commands on an issue: one comment each, one after the other, stopped when a person says so, never in silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest

from da_agent_hub.defs.names import ISSUE_JOB
from da_agent_hub.domain.command import EventKind, InboxEvent
from da_agent_hub.domain.investigation import Ending, Investigation, InvestigationCase
from da_agent_hub.domain.tracker_error import RateLimited
from da_agent_hub_tests.fakes.tracker import FakeTracker

from .hub_world import ScriptedInvestigator, World, dagster_instance
from .test_issues import ISSUE, comments, filed, say, work


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


class Listens(ScriptedInvestigator):
    """Takes its time: does ``meanwhile`` once, and ends as soon as the hub's flag to stop is up."""

    meanwhile: Callable[[], object] | None = None
    world: World | None = None
    flags: Sequence[bool] = ()
    patience: float = 15.0

    def investigate(self, case: InvestigationCase, graph: object, bench: object) -> Investigation:
        found = super().investigate(case, graph, bench)
        assert self.world is not None
        store, deadline = self.world.hub.store, time.monotonic()
        self.flags = [*self.flags, store.stop_requested(ISSUE)]
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile, deadline = None, time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if store.stop_requested(ISSUE):
                return replace(found, ending=Ending.CANCELLED, needs_person="it was stopped")
            time.sleep(0.05)
        return found


@pytest.fixture
def world(tmp_path: Path, instance: dg.DagsterInstance) -> World:
    """A hub with one issue, filed and investigated."""
    world = filed(tmp_path, instance)
    world.carry_out("inbox", ISSUE_JOB, instance)
    world.clock.forward(minutes=1)
    world.investigator = Listens()
    world.investigator.world = world
    return world


def reply(world: World, event: InboxEvent) -> str:
    """The one comment of a command."""
    from da_agent_hub.domain.marker import has_key

    (body,) = [body for body in comments(world) if has_key(body, f"reply:{event.event_id}")]
    return body


def edits(world: World) -> list[str]:
    """Every body that the hub gave a comment from now on."""
    seen: list[str] = []
    tracker = next(iter(world.github._trackers.values()))

    def kept(verb: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            seen.append(str(args[-1]))
            return verb(*args)

        return call

    tracker.add_comment, tracker.edit_comment = kept(tracker.add_comment), kept(tracker.edit_comment)  # type: ignore[method-assign, assignment]
    return seen


def test_a_command_has_one_comment_that_begins_at_once_and_ends_in_the_answer(
    world: World, instance: dg.DagsterInstance
) -> None:
    said = edits(world)
    asked = say(world, "@claude investigate")
    writes = world.hosts["shop"].writes

    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)

    assert result.success
    assert world.hosts["shop"].writes == writes + 4  # eyes, the comment, and two edits
    assert [body.split("**")[1] for body in said] == ["Taken up:", "At work,", said[-1].split("**")[1]]
    assert "renamed upstream" in reply(world, asked)
    assert len(comments(world)) == 3  # what was found unasked, the person's, its answer


def test_a_command_whose_process_was_killed_goes_on_in_the_same_comment(
    world: World, instance: dg.DagsterInstance
) -> None:
    asked = say(world, "@claude investigate")
    host = world.hosts["shop"]
    for number in range(1, 5):
        for late in (False, True):
            host.die_at, host.die_late = host.writes + number, late
            world.carry_out("inbox", ISSUE_JOB, instance)
            host.die_at = None
            world.clock.forward(minutes=20)

    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "renamed upstream" in reply(world, asked)
    assert world.hub.store.pending_issues() == []


def test_a_stop_ends_an_investigation_that_is_under_way_and_says_so(world: World, instance: dg.DagsterInstance) -> None:
    asked, stops = say(world, "@claude investigate"), []
    world.investigator.meanwhile = lambda: stops.append(say(world, "@claude stop"))  # type: ignore[attr-defined]

    world.carry_out("inbox", ISSUE_JOB, instance)
    world.clock.forward(minutes=1)
    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "The investigation was stopped" in reply(world, asked)
    assert "Stopped. 1 command was called off." in reply(world, stops[0])
    assert world.hub.store.pending_issues() == []
    assert not world.hub.store.stop_requested(ISSUE)
    eyes = {(comment, reaction) for comment, _, reaction in world.hosts["shop"].reactions}
    assert {(int(event.subject), "eyes") for event in (asked, stops[0])} <= eyes


def test_a_stop_by_somebody_who_may_not_stops_nothing(world: World, instance: dg.DagsterInstance) -> None:
    asked = say(world, "@claude investigate")

    def outsider() -> None:
        event = say(world, "@claude hello")
        FakeTracker(world.hosts["shop"], "mallory")
        world.hub.store.add_events([replace(event, event_id="comment:9999", actor="mallory", text="@claude stop")])

    world.investigator.meanwhile, world.investigator.patience = outsider, 5.0  # type: ignore[attr-defined]
    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "renamed upstream" in reply(world, asked)
    assert "was stopped" not in reply(world, asked)


def test_what_waits_before_a_stop_is_called_off_and_what_comes_after_it_is_done(
    world: World, instance: dg.DagsterInstance
) -> None:
    first, stop, second = (say(world, f"@claude {words}") for words in ("investigate", "stop", "look into it again"))

    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "Stopped before it was done" in reply(world, first)
    assert "Stopped. 1 command was called off." in reply(world, stop)
    assert "renamed upstream" in reply(world, second)
    assert list(world.investigator.flags) == [False]  # type: ignore[attr-defined]


def test_a_stop_where_nothing_is_under_way_says_so(world: World, instance: dg.DagsterInstance) -> None:
    stop = say(world, "@claude stop")

    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "Nothing was under way" in reply(world, stop)
    assert not world.hub.store.stop_requested(ISSUE)


def test_commands_run_in_their_order_and_those_that_wait_say_so(world: World, instance: dg.DagsterInstance) -> None:
    said = edits(world)
    events = [say(world, f"@claude investigate number {number}") for number in range(3)]

    world.carry_out("inbox", ISSUE_JOB, instance)

    assert [case.request for case in world.investigator.cases] == [event.text for event in events]
    assert "2 commands of this issue come first" in said[2]
    for event in events:
        assert "renamed upstream" in reply(world, event)


def test_a_command_that_fails_says_that_it_is_tried_again_and_then_what_to_do(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.investigator.failures = 99
    asked = say(world, "@claude investigate")
    told = []
    for _ in range(3):
        world.carry_out("inbox", ISSUE_JOB, instance)
        told.append(reply(world, asked))
        world.clock.forward(minutes=20)

    assert "**Broken off** 1 of at most 3 times" in told[0]
    assert "**Broken off** 2 of at most 3 times" in told[1]
    assert "I could not finish this" in told[2]
    assert "Next step" in told[2]
    assert world.hub.store.pending_issues() == []


class Limited(ScriptedInvestigator):
    """Meets GitHub's rate limit, so many times."""

    limits = 5

    def investigate(self, case: InvestigationCase, graph: object, bench: object) -> Investigation:
        if self.limits:
            self.limits -= 1
            raise RateLimited(
                "read the thread", 403, "API rate limit exceeded", datetime(2026, 11, 25, tzinfo=timezone.utc)
            )
        return super().investigate(case, graph, bench)


def test_a_rate_limit_is_waited_for_however_long_it_lasts(world: World, instance: dg.DagsterInstance) -> None:
    world.investigator = Limited()
    asked = say(world, "@claude investigate")
    for _ in range(5):
        world.carry_out("inbox", ISSUE_JOB, instance)
        assert world.hub.store.pending_issues() == [ISSUE]
        world.clock.forward(minutes=20)

    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "renamed upstream" in reply(world, asked)
    assert world.hub.store.pending_issues() == []


def test_an_expert_that_nobody_could_ask_is_named_in_the_answer(world: World, instance: dg.DagsterInstance) -> None:
    asked = say(world, "@claude use the snowflake-expert")

    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "renamed upstream" in reply(world, asked)
    assert "`snowflake-expert` was asked for and was not consulted" in reply(world, asked)


def test_an_investigation_that_was_stopped_is_not_what_a_fix_builds_on(
    world: World, instance: dg.DagsterInstance
) -> None:
    say(world, "@claude investigate")
    world.investigator.meanwhile = lambda: say(world, "@claude stop")  # type: ignore[attr-defined]
    for _ in range(2):
        world.carry_out("inbox", ISSUE_JOB, instance)
        world.clock.forward(minutes=1)

    fix = say(world, "@claude create PR")
    world.carry_out("inbox", ISSUE_JOB, instance)

    assert "No pull request was opened: nobody wrote a change" in reply(world, fix)


def test_a_label_gets_one_comment_too(world: World, instance: dg.DagsterInstance) -> None:
    event = InboxEvent("event:77", ISSUE, EventKind.LABELED, "ann", world.clock.now, "claude:investigate")
    world.hub.store.add_events([event])

    assert work(world, instance).success
    assert "renamed upstream" in reply(world, event)
