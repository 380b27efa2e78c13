from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest

from da_agent_hub.defs.checks import all_recorded
from da_agent_hub.defs.names import DAILY_JOB
from da_agent_hub.defs.partitions import days_between, partition_page, range_tags
from da_agent_hub.defs.replay import Moment, moments_to_file
from da_agent_hub.domain.dbt import DbtStep, NodeResult
from da_agent_hub.stages.record import record_errors

from .hub_world import NOW, World, dagster_instance, dbt_run

BROKEN = 'Binder Error: Referenced column "amount" not found in FROM clause!'


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


@pytest.fixture
def fresh() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialized(instance: dg.DagsterInstance, asset: str, project: str = "shop") -> list[str]:
    return sorted(instance.get_materialized_partitions(dg.AssetKey([project, asset])))


def metadata_of(instance: dg.DagsterInstance, asset: str, day: str) -> dict[str, object]:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(["shop", asset]), asset_partitions=[day]), limit=1
    ).records
    return {name: value.value for name, value in records[0].asset_materialization.metadata.items()}  # type: ignore[union-attr]


def check_of(result: dg.ExecuteInProcessResult, name: str) -> dict[str, object]:
    (found,) = (one for one in result.get_asset_check_evaluations() if one.check_name == name)
    return {key: value.value for key, value in found.metadata.items()}


def test_a_failure_of_a_night_becomes_one_issue_in_the_day_that_closed_after_it(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-21T02:00", failing=BROKEN)]
    assert world.run(DAILY_JOB, fresh, partition_key="2026-11-20").success
    assert world.issues() == ["orders: missing column amount [open]"]
    assert metadata_of(fresh, "dbt_error_records", "2026-11-20")["error_records"] == 1
    assert metadata_of(fresh, "dbt_run_results", "2026-11-20")["window"] == ("2026-11-20 06:30 to 2026-11-21 06:30 UTC")
    assert metadata_of(fresh, "filed_issues", "2026-11-20")["summary"] == "1 opened"


def test_running_a_day_again_reads_nothing_twice_and_files_nothing_twice(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-21T02:00", failing=BROKEN)]
    for _ in range(2):
        assert world.run(DAILY_JOB, fresh, partition_key="2026-11-20").success
    assert world.sources["shop"].read == ["1"]
    assert len(world.issues()) == 1


def test_a_range_is_replayed_in_order_so_that_what_healed_is_told_too(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    good = [dbt_run(str(day), f"2026-11-{day}T02:00") for day in (19, 21, 22, 23)]
    world.sources["shop"].runs = [*good, dbt_run("20", "2026-11-20T02:00", failing="IO Error: connection timed out")]
    assert world.run(DAILY_JOB, fresh, tags=range_tags("2026-11-18", "2026-11-22")).success
    (title,) = world.issues()
    assert title.endswith("[closed]")
    assert "opened" in str(metadata_of(fresh, "filed_issues", "2026-11-19")["summary"])
    assert "closed" in str(metadata_of(fresh, "filed_issues", "2026-11-22")["summary"])


def test_a_day_that_cannot_be_listed_fails_the_run_and_leaves_the_good_days_materialized(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].down = [
        (datetime(2026, 11, 20, 6, 30, tzinfo=timezone.utc), datetime(2026, 11, 21, 6, 30, tzinfo=timezone.utc))
    ]
    result = world.run(DAILY_JOB, fresh, tags=range_tags("2026-11-19", "2026-11-21"))
    assert not result.success
    assert materialized(fresh, "dbt_run_results") == ["2026-11-19", "2026-11-21"]
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "2026-11-20: list runs: dbt Cloud answered 503" in str(failure.step_failure_data.error)


def test_a_project_that_fails_does_not_stop_another(tmp_path: Path, fresh: dg.DagsterInstance) -> None:
    world = World(tmp_path, {"shop": "file", "freight": "file"})
    world.sources["shop"].down = [(datetime(2026, 1, 1, tzinfo=timezone.utc), NOW)]
    world.sources["freight"].runs = [dbt_run("1", "2026-11-21T02:00", failing=BROKEN, project="freight")]
    assert not world.run(DAILY_JOB, fresh, partition_key="2026-11-20").success
    assert materialized(fresh, "filed_issues", "freight") == ["2026-11-20"]
    assert len(world.issues("freight")) == 1


def test_an_unreadable_run_is_told_and_checked_and_fails_no_day(tmp_path: Path, fresh: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [
        dbt_run("1", "2026-11-21T02:00", failing=BROKEN),
        dbt_run("2", "2026-11-21T03:00"),
    ]
    world.sources["shop"].unreadable = {"2"}
    result = world.run(DAILY_JOB, fresh, partition_key="2026-11-20")
    assert result.success
    assert len(world.issues()) == 1
    assert "read run 2: dbt Cloud answered 500" in str(metadata_of(fresh, "dbt_run_results", "2026-11-20")["unread"])
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == {"every_dbt_run_is_read": False, "every_failing_node_is_recorded": True}


def test_in_mode_observe_nothing_is_written_and_what_would_be_is_shown(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path, {"shop": "observe"})
    world.sources["shop"].runs = [dbt_run("1", "2026-11-21T02:00", failing=BROKEN)]
    assert world.run(DAILY_JOB, fresh, partition_key="2026-11-20").success
    assert world.issues() == []
    assert world.hosts["shop"].writes == 0
    assert "would be opened" in str(metadata_of(fresh, "filed_issues", "2026-11-20")["issues"])


def test_a_day_that_was_read_and_never_filed_is_filed_with_the_next_one(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-19T02:00")]
    assert world.run(DAILY_JOB, fresh, partition_key="2026-11-18").success
    world.hub.store.remember_run(dbt_run("2", "2026-11-20T02:00", failing="IO Error: connection timed out"))
    world.sources["shop"].runs += [dbt_run(str(day), f"2026-11-{day}T02:00") for day in (21, 22, 23)]
    assert world.run(DAILY_JOB, fresh, tags=range_tags("2026-11-20", "2026-11-22")).success
    assert len(world.issues()) == 1


def test_history_that_recovered_gets_no_issue_and_history_that_still_fails_gets_one_with_the_present(
    tmp_path: Path, fresh: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    healed = [
        dbt_run("1", "2026-08-20T02:00", failing=BROKEN),
        dbt_run("2", "2026-08-21T02:00"),
        dbt_run("3", "2026-08-22T02:00"),
    ]
    standing = dbt_run("4", "2026-08-23T02:00", failing=BROKEN.replace("amount", "total"))
    world.sources["shop"].runs = [*healed, standing]
    assert world.run(DAILY_JOB, fresh, tags=range_tags("2026-08-10", "2026-08-31")).success
    assert world.issues() == []
    assert len(world.hub.store.records("shop")) == 2
    assert "history" in str(metadata_of(fresh, "filed_issues", "2026-08-19")["summary"])
    assert world.run(DAILY_JOB, fresh, tags=range_tags("2026-11-21", "2026-11-22")).success
    assert world.issues() == ["orders: missing column total [open]"]


def test_failures_that_a_filter_leaves_out_are_no_gap_for_the_check(tmp_path: Path, fresh: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    (project,) = world.settings.projects
    filtered = project.model_copy(update={"filters": project.filters.model_copy(update={"exclude": ["orders"]})})
    world.configure(projects=[filtered])
    world.sources["shop"].runs = [dbt_run("1", "2026-11-21T02:00", failing=BROKEN)]
    result = world.run(DAILY_JOB, fresh, partition_key="2026-11-20")
    assert [one.passed for one in result.get_asset_check_evaluations()] == [True, True]
    told = check_of(result, "every_failing_node_is_recorded")
    assert (told["failures"], told["left_out_by_filters"], told["missing_failures"]) == (1, 1, 0)
    assert "| `exclude: orders` | 1 | `model.shop.orders` |" in str(told["filters"])
    assert world.issues() == []


def test_the_check_finds_what_no_record_holds(tmp_path: Path) -> None:
    """A step that failed without a node, and a node, each with no record at all."""
    world = World(tmp_path)
    (project,) = world.settings.projects
    log = "Encountered an error:\nCompilation Error\n  'ref_of_nothing' is undefined"
    silent = replace(dbt_run("2", "2026-11-21T03:00"), status="error", steps=(DbtStep(1, "dbt run", "error", log=log),))
    for run in (dbt_run("1", "2026-11-21T02:00", failing=BROKEN), silent):
        world.hub.store.remember_run(run)
    lost = all_recorded(world.hub, project, ["2026-11-20"], [])
    assert not lost.passed
    assert (lost.metadata["failures"].value, lost.metadata["missing_failures"].value) == (2, 2)
    assert "model.shop.orders" in str(lost.metadata["missing"].value)
    assert "step 1" in str(lost.metadata["missing"].value)
    assert all_recorded(world.hub, project, ["2026-11-20"], record_errors(project, world.hub.store)).passed


def test_warnings_that_nobody_asked_for_are_named_as_filtered(tmp_path: Path) -> None:
    world = World(tmp_path)
    (project,) = world.settings.projects
    warned = DbtStep(1, "dbt test", "success", (NodeResult("test.shop.unique_orders_id.ab", "warn", "Got 2 results"),))
    world.hub.store.remember_run(replace(dbt_run("1", "2026-11-21T02:00"), steps=(warned,)))
    found = all_recorded(world.hub, project, ["2026-11-20"], ())
    assert found.passed
    assert "`severity: error` | 1" in str(found.metadata["filters"].value)
    assert found.description == "1 failures; 0 in no record; left out: 1 by severity: error"


def test_the_morning_schedule_asks_for_the_closed_day_and_the_one_before_as_one_run(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    repository = World(tmp_path).defs.get_repository_def()
    tick = datetime(2026, 11, 23, 6, 30, 5, tzinfo=timezone.utc)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick, repository_def=repository)
    (request,) = repository.get_schedule_def("every_morning").evaluate_tick(context).run_requests or []
    assert {key: value for key, value in request.tags.items() if "range" in key} == range_tags(
        "2026-11-21", "2026-11-22"
    )


def moment(day: str, as_of: str) -> Moment:
    return Moment(day, datetime.fromisoformat(f"{as_of}:00+00:00"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+00:00")


def test_the_open_day_is_filed_as_of_now_and_days_to_come_not_at_all() -> None:
    assert moments_to_file(["2026-11-22", "2026-11-23", "2026-11-24"], None, NOW) == [
        moment("2026-11-22", "2026-11-23T06:30"),
        moment("2026-11-23", "2026-11-23T09:00"),
    ]
    assert moments_to_file(["2026-11-24"], None, NOW) == ()


def test_days_between_the_mark_and_what_is_asked_for_are_not_left_out() -> None:
    days = [one.day for one in moments_to_file(["2026-11-22"], at("2026-11-20T06:30"), NOW)]
    assert days == ["2026-11-20", "2026-11-21", "2026-11-22"]


def test_a_day_behind_the_mark_leads_up_to_now() -> None:
    mark = at("2026-11-22T06:30")
    assert [one.as_of for one in moments_to_file(["2026-11-10"], mark, NOW)] == [at("2026-11-23T06:30"), NOW]


def test_asking_again_at_the_same_moment_files_once_more_as_of_now() -> None:
    assert moments_to_file(["2026-11-23"], NOW, NOW) == [moment("2026-11-23", "2026-11-23T09:00")]


def test_days_that_ended_before_the_hubs_time_are_never_filed() -> None:
    history = at("2026-11-21T06:30")
    days = ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]
    assert [one.day for one in moments_to_file(days, None, NOW, history)] == ["2026-11-21", "2026-11-22"]
    assert moments_to_file(days[:2], at("2026-11-23T06:30"), NOW, history) == ()


def test_ranges_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="out of order"):
        range_tags("2026-11-22", "2026-11-21")
    assert days_between("2026-11-30", "2026-12-01") == ["2026-11-30", "2026-12-01"]


def test_links_to_partitions_survive_slashes_and_hashes() -> None:
    assert partition_page(dg.AssetKey(["shop", "filed_issues"]), "acme/shop#1") == (
        "/assets/shop/filed_issues?view=partitions&partition=acme%2Fshop%231"
    )
