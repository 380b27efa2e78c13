from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from da_agent_hub.defs.names import CLAUDE_INVESTIGATIONS, DAILY_JOB, FIX_PULL_REQUESTS, GITHUB_ISSUES, ISSUE_JOB
from da_agent_hub.defs.process_identity import this_process
from da_agent_hub.domain.command import EventKind, InboxEvent
from da_agent_hub.domain.dbt import GraphNode, NodeResult, TestSpec
from da_agent_hub.domain.investigation import Investigation, InvestigationCase
from da_agent_hub.stages.activity import body_hash
from da_agent_hub_tests.fakes.tracker import FakeTracker

from .hub_world import ScriptedInvestigator, World, dagster_instance, dbt_run, graph

ISSUE = "acme/shop#1"
BROKEN = 'Binder Error: Referenced column "amount" not found in FROM clause!'


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


def filed(tmp_path: Path, instance: dg.DagsterInstance, mode: str = "investigate") -> World:
    """A hub with one issue that was just filed."""
    world = World(tmp_path, {"shop": mode})
    world.sources["shop"].runs = [dbt_run("1", "2026-11-23T07:00", failing=BROKEN)]
    assert world.run(DAILY_JOB, instance, partition_key="2026-11-23").success
    assert len(world.issues()) == 1
    return world


def comments(world: World) -> list[str]:
    return [comment.body for comment in world.hosts["shop"].threads.get(1, [])]


def say(world: World, text: str, number: int = 1) -> InboxEvent:
    """A comment of a person who may write, as the activity sensor takes it in."""
    ref = world.hosts["shop"].issues[1].ref
    comment = FakeTracker(world.hosts["shop"], "ann").add_comment(ref, text)
    event = InboxEvent(
        f"comment:{comment.comment_id}",
        ISSUE,
        EventKind.COMMENT,
        "ann",
        comment.created_at,
        str(comment.comment_id),
        text,
        body_hash(text),
    )
    world.hub.store.add_events([event])
    return event


def work(world: World, instance: dg.DagsterInstance, **options: object) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("issues", [ISSUE])
    return world.run(ISSUE_JOB, instance, partition_key=ISSUE, **options)


def alone(asset: dg.AssetKey) -> dict[str, Sequence[dg.AssetKey]]:
    return {"asset_selection": [asset]}


def metadata_of(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dict[str, object]:
    event = instance.get_latest_materialization_event(asset)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == ISSUE
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_filed_issue_is_investigated_told_once_and_finished(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert len(world.investigator.cases) == 1
    (comment,) = comments(world)
    assert "renamed upstream" in comment
    assert world.hub.store.event_outcomes(ISSUE) == {f"filed:{ISSUE}:1": "investigated: answered"}
    assert world.hub.store.last_request(ISSUE) is None
    assert world.hub.store.leases() == {}
    assert world.tick("inbox", instance) == []


def test_each_materialization_carries_the_thread_of_its_issue(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    world.carry_out("inbox", ISSUE_JOB, instance)
    for asset in (GITHUB_ISSUES, CLAUDE_INVESTIGATIONS, FIX_PULL_REQUESTS):
        told = metadata_of(instance, asset)
        assert told["project"] == "shop"
        assert told["dbt_run"] == "https://cloud.getdbt.com/runs/1"
        assert told["node"] == "model.shop.orders"
        assert told["issue"] == world.hosts["shop"].issues[1].url
        assert "/assets/shop/filed_issues?view=partitions&partition=2026-11-23" in str(told["source_days"])
        assert str(told["neighbours"]).count("?view=partitions&partition=acme%2Fshop%231") == 2
    told = metadata_of(instance, CLAUDE_INVESTIGATIONS)
    assert told["cost_usd"] == 0.25
    assert "-amount ¦ amount\\_eur" in str(told["evidence"]) or "-amount ¦ amount_eur" in str(told["evidence"])
    assert "<b>" not in str(told["headline"])


def test_each_materialization_tells_where_the_issue_is_in_its_life(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = filed(tmp_path, instance)
    world.carry_out("inbox", ISSUE_JOB, instance)
    assets = (GITHUB_ISSUES, CLAUDE_INVESTIGATIONS, FIX_PULL_REQUESTS)
    assert [metadata_of(instance, asset)["life"] for asset in assets] == [
        "investigating",
        "waiting for a person",
        "waiting for a person",
    ]
    told = metadata_of(instance, FIX_PULL_REQUESTS)
    assert "seconds_to_detect" in told
    assert "seconds_to_respond" in told
    assert "seconds_to_resolve" not in told


def test_in_mode_file_an_issue_is_finished_without_being_investigated(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = filed(tmp_path, instance, "file")
    world.carry_out("inbox", ISSUE_JOB, instance)
    assert world.investigator.cases == []
    assert world.hub.store.pending_issues() == []
    assert metadata_of(instance, CLAUDE_INVESTIGATIONS)["headline"] == "not investigated"


def test_in_mode_fix_a_fix_is_tried_unasked_in_the_same_workbench(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance, "fix")
    world.carry_out("inbox", ISSUE_JOB, instance)
    assert metadata_of(instance, FIX_PULL_REQUESTS)["outcome"] == "needs_person"
    assert (world.bench.opened_times, world.bench.put_back, world.bench.closed) == (1, 1, 1)
    (comment,) = comments(world)
    assert "nobody wrote a change" in comment


def test_each_step_may_be_run_again_alone_before_and_after_the_event_is_finished(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = filed(tmp_path, instance, "fix")
    for asset in (GITHUB_ISSUES, CLAUDE_INVESTIGATIONS, CLAUDE_INVESTIGATIONS, FIX_PULL_REQUESTS, FIX_PULL_REQUESTS):
        assert work(world, instance, **alone(asset)).success
    assert len(world.investigator.cases) == 1
    assert len(comments(world)) == 1
    assert world.hub.store.event_outcomes(ISSUE) == {f"filed:{ISSUE}:1": "investigated: answered; fix: needs_person"}


def test_investigating_by_hand_replaces_its_own_comment(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    world.carry_out("inbox", ISSUE_JOB, instance)
    for _ in range(2):
        assert work(world, instance, **alone(CLAUDE_INVESTIGATIONS)).success
    assert len(world.investigator.cases) == 3
    assert len(comments(world)) == 2


def test_by_hand_nothing_is_posted_in_a_mode_that_posts_nothing(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance, "file")
    assert work(world, instance).success
    assert work(world, instance).success
    assert comments(world) == []


def test_an_event_that_fails_is_taken_up_again_after_a_pause(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    world.investigator.failures = 1
    (first,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert not first.success
    assert world.tick("inbox", instance) == []
    world.clock.forward(seconds=16)
    (second,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert second.success
    assert len(comments(world)) == 1


def test_an_event_that_fails_every_time_ends_with_a_plain_comment_and_no_secret(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = filed(tmp_path, instance)
    world.investigator.failures = 99
    for _ in range(6):
        world.carry_out("inbox", ISSUE_JOB, instance)
        world.clock.forward(minutes=20)
    assert len(world.investigator.cases) == 3
    (comment,) = comments(world)
    assert "out of memory" in comment
    assert "ghp\\_0" not in comment
    assert "ghp_0" not in comment
    assert "Next step" in comment
    assert world.hub.store.pending_issues() == []


def test_while_github_is_away_nothing_ends_and_nothing_is_lost(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    world.github.away = True
    for _ in range(5):
        world.carry_out("inbox", ISSUE_JOB, instance)
        world.clock.forward(minutes=20)
    world.github.away = False
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert len(comments(world)) == 1
    assert world.hub.store.pending_issues() == []


def test_a_command_is_answered_once_and_in_its_order(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    world.carry_out("inbox", ISSUE_JOB, instance)
    say(world, "@claude help")
    say(world, "@claude please investigate this again")
    before = len(comments(world))
    world.clock.forward(minutes=1)
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert len(world.investigator.cases) == 2
    assert len(comments(world)) == before + 2
    assert list(world.hub.store.event_outcomes(ISSUE).values()).count("answered") == 1


def test_a_stop_calls_off_what_waits_before_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    stop = InboxEvent("closed:1", ISSUE, EventKind.CLOSED, "ann", world.clock.now + timedelta(seconds=5))
    world.hub.store.add_events([stop])
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert world.investigator.cases == []
    assert world.hub.store.event_outcomes(ISSUE)[f"filed:{ISSUE}:1"] == "stopped"
    assert not world.hub.store.stop_requested(ISSUE)


def test_an_issue_that_is_gone_leaves_nothing_waiting(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    del world.hosts["shop"].issues[1]
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert world.hub.store.event_outcomes(ISSUE) == {f"filed:{ISSUE}:1": "the issue is gone"}


def test_an_issue_of_a_repository_that_nobody_monitors_is_told(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    instance.add_dynamic_partitions("issues", ["acme/other#1"])
    result = world.run(ISSUE_JOB, instance, partition_key="acme/other#1")
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "no project in hub.yaml has the repository acme/other" in str(failure.step_failure_data.error)


def test_the_lease_of_a_dead_worker_does_not_hold_up_its_issue(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    machine, pid, start = this_process().split(":")
    world.hub.store.acquire_lease(ISSUE, f"{machine}:{pid}:{int(start) - 1}", world.clock.now, 3600)
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert len(comments(world)) == 1


def test_a_worker_that_died_after_it_paid_does_not_pay_again(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = filed(tmp_path, instance)
    (event,) = world.hub.store.pending_events(ISSUE)
    paid = world.investigator.investigate(None, None, None)  # type: ignore[arg-type]
    world.hub.store.save_investigation(ISSUE, event.event_id, paid)
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert len(world.investigator.cases) == 1
    assert len(comments(world)) == 1


class NamesACommit(ScriptedInvestigator):
    """Proves that a commit is the cause."""

    def investigate(self, case: InvestigationCase, graph: object, bench: object) -> Investigation:
        return replace(super().investigate(case, graph, bench), culprit_sha="c0ffee12345678")


def with_twofold_keys(tmp_path: Path, instance: dg.DagsterInstance) -> World:
    """A hub with one issue of a unique test, which a commit broke."""
    world = World(tmp_path, {"shop": "investigate"})
    world.investigator = NamesACommit()
    unique = GraphNode(
        "test.shop.unique_orders_id.a1", "unique_orders_id", "test", "shop", depends_on=("model.shop.orders",),
        test=TestSpec("unique", "model.shop.orders", "id"),
    )  # fmt: skip
    shop = graph("shop")
    world.sources["shop"].graph = replace(shop, nodes={**shop.nodes, unique.unique_id: unique})
    failed = NodeResult(unique.unique_id, "fail", "Got 3 results, configured to fail if != 0", 3)
    run = dbt_run("1", "2026-11-23T07:00")
    step = replace(run.steps[0], status="error", results=(*run.steps[0].results, failed))
    world.sources["shop"].runs = [replace(run, status="error", steps=(step,))]
    assert world.run(DAILY_JOB, instance, partition_key="2026-11-23").success
    assert "category:data_quality_issue" in world.hosts["shop"].issues[1].labels
    return world


def test_an_issue_whose_test_was_broken_by_a_commit_gets_the_right_category_and_keeps_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = with_twofold_keys(tmp_path, instance)
    (result,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert result.success
    assert "category:code_fix_required" in world.hosts["shop"].issues[1].labels
    assert metadata_of(instance, CLAUDE_INVESTIGATIONS)["category"] == "code_fix_required"
    assert world.hub.store.leases() == {}

    writes = world.hosts["shop"].writes
    world.clock.forward(hours=1)
    assert world.run(DAILY_JOB, instance, partition_key="2026-11-23").success
    assert world.hosts["shop"].writes == writes
    assert len(comments(world)) == 1


def test_a_worker_that_died_before_it_corrected_the_issue_corrects_it_the_next_time(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = with_twofold_keys(tmp_path, instance)
    world.hosts["shop"].die_at = world.hosts["shop"].writes + 2
    (died,) = world.carry_out("inbox", ISSUE_JOB, instance)
    assert not died.success
    world.hosts["shop"].die_at = None
    assert "category:data_quality_issue" in world.hosts["shop"].issues[1].labels

    assert work(world, instance).success
    assert "category:code_fix_required" in world.hosts["shop"].issues[1].labels
    assert len(world.investigator.cases) == 1
    assert len(comments(world)) == 1
