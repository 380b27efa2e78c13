"""A job that has fallen silent, from the morning's schedule to its issue."""

from datetime import datetime, timezone
from pathlib import Path

import dagster as dg
import pytest

from da_agent_hub.defs.names import DAILY_JOB
from da_agent_hub.domain.expected_runs import DbtJob

from .hub_world import World, dagster_instance, dbt_run


def morning(world: World, instance: dg.DagsterInstance, day: int) -> None:
    """What the schedule asks for at 06:30 is run two minutes later."""
    at = datetime(2026, 11, day, 6, 30, tzinfo=timezone.utc)
    schedule = world.defs.resolve_schedule_def("every_morning")
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
    (request,) = schedule.evaluate_tick(context).run_requests or []
    world.clock.now = at.replace(minute=32)
    assert world.execute(DAILY_JOB, request, instance).success


@pytest.mark.parametrize(
    ("failing", "told"),
    [(None, "The job runs again."), ("Division by zero", "that this run failed is a failure of its own")],
)
def test_the_morning_files_one_issue_for_a_job_that_did_not_run_and_closes_it_after_its_next_run(
    tmp_path: Path, failing: str | None, told: str
) -> None:
    world = World(tmp_path)
    source = world.sources["shop"]
    first = dbt_run("1", "2026-11-24T02:00")
    source.scheduled = [DbtJob(first.job_id, first.job_name, first.environment, "0 2 * * *")]
    source.runs = [first]
    with dagster_instance() as instance:
        morning(world, instance, 24)
        assert world.issues() == []
        for day in (25, 26):
            morning(world, instance, day)
            assert world.issues() == [f"{first.job_name}: missed run [open]"]
        (issue,) = world.hosts["shop"].issues.values()
        assert "has not finished a run since 2026-11-24 02:00 UTC; 2 runs are missing" in issue.body
        source.runs.append(dbt_run("2", "2026-11-27T02:00", failing=failing))
        morning(world, instance, 27)
        assert world.issues()[0] == f"{first.job_name}: missed run [closed]"
        assert len(world.issues()) == (2 if failing else 1)
        assert told in world.hosts["shop"].threads[issue.ref.number][-1].body


def test_a_poll_for_finished_runs_asks_for_no_jobs(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.sources["shop"].jobs_down = True
    with dagster_instance() as instance:
        assert world.tick("finished_dbt_runs", instance) == []
    assert world.hub.store.jobs_seen("shop") == []
