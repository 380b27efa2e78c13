"""The hub's own dbt Cloud client and records over two weeks of real runs: nothing missed, nothing told twice."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from da_agent_hub.adapters.dbt_artifacts import aware
from da_agent_hub.adapters.dbt_cloud import DbtCloudRuns
from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.config import DbtCloudSource, ProjectSettings
from da_agent_hub.domain.dbt import DbtRun, Outcome
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.window import Window
from da_agent_hub.sandbox.run_archive import ERROR, SUCCESS, RunArchive
from da_agent_hub.sandbox.server import SandboxServer
from da_agent_hub.sandbox.world import World
from da_agent_hub.stages.detect import detect
from da_agent_hub.stages.record import record_errors

pytestmark = pytest.mark.slow


def nodes_told(records: tuple[ErrorRecord, ...]) -> set[str | None]:
    return {node for record in records for node in (record.node, *record.members)}


def failing_nodes(runs: list[DbtRun]) -> set[str]:
    return {result.unique_id for run in runs for _, result in run.results() if result.outcome is Outcome.BAD}


def test_every_failure_of_two_weeks_is_told_by_one_record_and_a_second_look_reads_nothing(
    world: World, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    archived = [run for run in RunArchive(world.archive_folder).runs() if run.finished]
    store = open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")
    with SandboxServer(world.home, port) as server:
        for place in world.projects:
            source = DbtCloudSource(
                type="dbt_cloud",
                host=f"{server.url}/",
                account_id=world.account_id,
                token=SecretStr(world.dbt_cloud_token),
                project_id=place.dbt_cloud_project_id,
            )
            project = ProjectSettings(name=place.name, repo=f"{place.owner}/{place.repo}", source=source)
            cloud = DbtCloudRuns(source, tmp_path / "artifacts")
            expected = {str(run.id): run for run in archived if run.project_id == place.dbt_cloud_project_id}
            finished = sorted(str(run.finished_at) for run in expected.values())
            days = windows(finished[0], finished[-1])

            read = [run for day in days for run in detect(project, cloud, store, day).read]
            assert {run.run_id for run in read} == set(expected)
            assert {run.run_id for run in read if run.status == "error"} == {
                run_id for run_id, run in expected.items() if run.status == ERROR
            }
            assert [run.unread for run in read if run.unread] == []
            assert [one for day in days for one in detect(project, cloud, store, day).read] == []

            records = record_errors(project, store)
            assert failing_nodes(read) <= nodes_told(records)
            told = {record.latest.run_id for record in records} | {
                sighting.run_id for record in records for sighting in (record.first_bad,) if sighting
            }
            # Tests that share this world cancel runs of it, and a cancelled run is told too.
            assert told <= {run_id for run_id, run in expected.items() if run.status != SUCCESS}
            flaky = {record.node.split(".")[2] for record in records if record.flaky_evidence and record.node}
            by_chance = {one.node for one in world.incidents if (one.project, one.kind) == (place.name, "flaky_test")}
            assert flaky == by_chance
            assert {record.error_class for record in records}.isdisjoint(
                {"unknown_error", "unreadable_run", "custom_test"}
            )
            skipped = {r.unique_id for run in read for _, r in run.results() if r.outcome is Outcome.SKIPPED}
            assert not (skipped & nodes_told(records)) - failing_nodes(read)


def windows(first: str, last: str) -> list[Window]:
    begin, end = aware(first), aware(last)
    assert begin
    assert end
    found = [Window.containing(begin)]
    while found[-1].end <= end + timedelta(seconds=1):
        found.append(Window.containing(found[-1].end))
    return found
