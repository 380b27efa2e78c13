"""A range of days of which one cannot be listed, over a real dbt Cloud account and a real Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from da_agent_hub.config import DbtCloudSource
from da_agent_hub.defs.hub import Hub
from da_agent_hub.defs.names import DAILY_JOB, ERROR_RECORDS, FILED_ISSUES, RUN_RESULTS
from da_agent_hub.defs.partitions import range_tags
from da_agent_hub_tests.fakes.faulty_dbt_cloud import ACCOUNT, TOKEN, FaultyDbtCloud

from .hub_world import World, dagster_instance, project

DAYS = ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"]
BAD = "2026-11-19"
GOOD = [day for day in DAYS if day != BAD]
# In the middle of the bad day: a listing asks for whole hours around a day.
NOON_OF_THE_BAD = (
    datetime(2026, 11, 19, 12, tzinfo=timezone.utc),
    datetime(2026, 11, 19, 13, tzinfo=timezone.utc),
)
ASSETS = (RUN_RESULTS, ERROR_RECORDS, FILED_ISSUES)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


@pytest.fixture
def cloud() -> Iterator[FaultyDbtCloud]:
    with FaultyDbtCloud() as server:
        for number, day in enumerate(DAYS, start=1):
            server.add_run(number, datetime.fromisoformat(f"{day}T20:00:00+00:00"), ["dbt build"], failed=True)
            server.add_results(number, 1, {f"model.shop.m{number}": "error"})
        server.cannot_list = [NOON_OF_THE_BAD]
        yield server


@pytest.fixture
def world(cloud: FaultyDbtCloud, tmp_path: Path) -> World:
    world = World(tmp_path)
    source = DbtCloudSource(
        type="dbt_cloud", host=cloud.url, account_id=ACCOUNT, token=SecretStr(TOKEN), project_id=5, job_ids=[7]
    )
    settings = project("shop", "file").model_copy(update={"source": source})
    state = world.settings.state.model_copy(update={"artifacts_dir": tmp_path / "artifacts"})
    world.configure(projects=[settings], state=state)
    world.sources["shop"] = Hub(world.settings).source(settings)  # type: ignore[assignment]
    return world


def run_days(world: World, instance: dg.DagsterInstance, *assets: str) -> dg.ExecuteInProcessResult:
    selection = {"asset_selection": [dg.AssetKey(["shop", one]) for one in assets]} if assets else {}
    return world.run(DAILY_JOB, instance, tags=range_tags(DAYS[0], DAYS[-1]), **selection)


def materialized(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """The days that Dagster shows as materialized, by asset."""
    return {asset: sorted(instance.get_materialized_partitions(dg.AssetKey(["shop", asset]))) for asset in ASSETS}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return str(failure.step_failure_data.error)


@pytest.mark.slow
def test_the_good_days_of_a_range_are_read_recorded_and_filed_and_the_run_fails_with_the_bad_one(
    world: World, instance: dg.DagsterInstance
) -> None:
    result = run_days(world, instance)
    assert not result.success
    assert instance.get_runs()[0].status is dg.DagsterRunStatus.FAILURE
    assert BAD in failure_of(result)
    assert not any(day in failure_of(result).splitlines()[0] for day in GOOD)
    assert materialized(instance) == dict.fromkeys(ASSETS, GOOD)
    assert sorted(title.split(":")[0] for title in world.issues()) == ["m1", "m2", "m4", "m5"]
    assert len(world.hub.store.records("shop")) == 4
    assert {one.metadata["days"].value for one in result.get_asset_check_evaluations()} == {", ".join(GOOD)}


@pytest.mark.slow
def test_a_run_that_is_tried_again_from_its_failure_reads_the_bad_day_too(
    world: World, cloud: FaultyDbtCloud, instance: dg.DagsterInstance
) -> None:
    first = run_days(world, instance)
    cloud.cannot_list.clear()
    retried = [event.step_key for event in first.all_events if event.is_step_failure]
    assert retried == ["shop__days"]  # all three assets, the reading among them
    tags = range_tags(DAYS[0], DAYS[-1])
    assert world.run(DAILY_JOB, instance, tags=tags).success
    assert materialized(instance) == dict.fromkeys(ASSETS, DAYS)
    assert "m3" in [title.split(":")[0] for title in world.issues()]


@pytest.mark.slow
def test_reading_alone_fails_itself_and_keeps_its_good_days(world: World, instance: dg.DagsterInstance) -> None:
    result = run_days(world, instance, RUN_RESULTS)
    assert not result.success
    assert BAD in failure_of(result)
    assert materialized(instance) == {RUN_RESULTS: GOOD, ERROR_RECORDS: [], FILED_ISSUES: []}
    assert world.issues() == []


@pytest.mark.slow
def test_records_alone_ask_dbt_cloud_for_nothing(
    world: World, cloud: FaultyDbtCloud, instance: dg.DagsterInstance
) -> None:
    assert run_days(world, instance, ERROR_RECORDS).success
    assert cloud.asked == []
    assert materialized(instance) == {RUN_RESULTS: [], ERROR_RECORDS: DAYS, FILED_ISSUES: []}


@pytest.mark.slow
def test_where_no_day_could_be_listed_nothing_is_materialized(
    world: World, cloud: FaultyDbtCloud, instance: dg.DagsterInstance
) -> None:
    begin = NOON_OF_THE_BAD[0] - timedelta(days=30)
    cloud.cannot_list = [(begin, begin + timedelta(days=60))]
    result = run_days(world, instance)
    assert not result.success
    assert all(day in failure_of(result) for day in DAYS)
    assert materialized(instance) == {asset: [] for asset in ASSETS}
    assert list(result.get_asset_check_evaluations()) == []
