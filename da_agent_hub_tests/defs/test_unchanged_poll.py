"""The sensor over a real dbt Cloud account of several projects: what a poll costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from da_agent_hub.config import DbtCloudSource
from da_agent_hub.defs.hub import Hub
from da_agent_hub.defs.names import DAILY_JOB
from da_agent_hub_tests.fakes.faulty_dbt_cloud import ACCOUNT, TOKEN, Fault, FaultyDbtCloud

from .hub_world import Clock, World, dagster_instance, project

SENSOR = "finished_dbt_runs"
PROJECTS = {"shop": 5, "freight": 6, "billing": 8}
LISTING = r"/runs/$"
MORNING = datetime(2026, 11, 24, 9, 20, tzinfo=timezone.utc)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


@pytest.fixture
def cloud() -> Iterator[FaultyDbtCloud]:
    with FaultyDbtCloud() as server:
        yield server


@pytest.fixture
def world(cloud: FaultyDbtCloud, tmp_path: Path) -> World:
    """Three projects of one account, read with one token, on a clock of the test's own."""
    world = World(tmp_path, dict.fromkeys(PROJECTS, "observe"), Clock(MORNING))
    settings = []
    for name, number in PROJECTS.items():
        source = DbtCloudSource(
            type="dbt_cloud", host=cloud.url, account_id=ACCOUNT, token=SecretStr(TOKEN), project_id=number, job_ids=[7]
        )
        settings.append(project(name, "observe").model_copy(update={"source": source}))
    state = world.settings.state.model_copy(update={"artifacts_dir": tmp_path / "artifacts"})
    world.configure(projects=settings, state=state)
    real = Hub(world.settings, clock=world.clock)
    world.sources = {one.name: real.source(one) for one in settings}  # type: ignore[misc]
    return world


def poll(cloud: FaultyDbtCloud, world: World, instance: dg.DagsterInstance) -> list[tuple[str, int]]:
    """What a tick asks that finds nothing new."""
    before = len(cloud.asked)
    assert world.tick(SENSOR, instance) == []
    return [(one.path.rsplit("/", 2)[1], one.status) for one in cloud.asked[before:]]


def add_run(cloud: FaultyDbtCloud, number: int, project_id: int, finished: datetime) -> None:
    cloud.add_run(number, finished, ["dbt build"], project_id=project_id)
    cloud.add_results(number, 1, {"model.shop.orders": "success"})


@pytest.mark.slow
def test_an_unchanged_poll_of_three_projects_is_one_request_and_a_new_run_is_read_by_its_project_alone(
    cloud: FaultyDbtCloud, world: World, instance: dg.DagsterInstance
) -> None:
    begun = world.clock()
    for number, project_id in enumerate([*PROJECTS.values()] * 50, start=100):  # more than a page
        add_run(cloud, number, project_id, begun - timedelta(seconds=number))
    world.carry_out(SENSOR, DAILY_JOB, instance)
    assert all(len(world.hub.store.runs(name)) == 50 for name in PROJECTS)
    world.clock.forward(minutes=1)
    assert world.tick(SENSOR, instance) == []
    for _ in range(4):
        world.clock.forward(minutes=1)
        assert poll(cloud, world, instance) == [("runs", 304)]
    world.clock.now = MORNING.replace(minute=59, second=59)
    assert poll(cloud, world, instance) == [("runs", 304)]
    # A full hour moves the end of what is asked for, and with the next poll its beginning: each is answered by one page.
    for _ in range(2):
        world.clock.forward(seconds=2)
        assert poll(cloud, world, instance) == [("runs", 200)]
    world.clock.forward(minutes=1)
    assert poll(cloud, world, instance) == [("runs", 304)]

    add_run(cloud, 900, PROJECTS["freight"], world.clock())
    world.clock.forward(seconds=1)
    (request,) = world.tick(SENSOR, instance)
    assert {key.path[0] for key in request.asset_selection or []} == {"freight"}
    downloads = cloud.times_asked("/artifacts/")
    world.execute(DAILY_JOB, request, instance)
    assert world.hub.store.known_run_ids("freight", begun) == {"900"}
    assert cloud.times_asked("/artifacts/") - downloads <= 2  # its results and its lineage


def test_an_account_that_refuses_is_asked_once_a_poll_for_all_its_projects(
    cloud: FaultyDbtCloud, world: World, instance: dg.DagsterInstance
) -> None:
    cloud.spoil(LISTING, Fault(401))
    assert world.tick(SENSOR, instance) == []
    assert cloud.times_asked(LISTING) == 1
