"""A job that did not run: an investigation tells what is known of it, and builds nothing."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.domain.error_record import ErrorRecord, RecordState
from da_agent_hub.domain.expected_runs import DbtJob, JobsSeen
from da_agent_hub.domain.investigation import Ending
from da_agent_hub.domain.record_building import build_records

from .broken_project import BrokenProject, told

PAGE = "https://cloud.getdbt.com/deploy/1/projects/2/jobs/7"
NIGHTLY = DbtJob("7", "nightly", "prod", "0 2 * * *", url=PAGE)
ANY_SCHEDULER = DbtJob("", "dbt Core", "prod", every_hours=24.0)


def at(day: int, hour: int = 6) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=timezone.utc)


def ran(day: int, status: str) -> DbtRun:
    url = f"https://cloud.getdbt.com/deploy/1/projects/2/runs/{day}"
    return DbtRun("garden", "prod", "7", "nightly", str(day), url, status, at(day, 2), git_sha="abcdef0123456789")


def missed(job: DbtJob, *runs: DbtRun) -> ErrorRecord:
    """What is on record after silence on the 23rd."""
    looks = [JobsSeen("garden", at(day), at(day) - timedelta(days=2), 3.0, (job,)) for day in (20, 21, 22, 23)]
    return next(one for one in build_records(runs, None, looks=looks) if one.error_class == "missed_run")


@pytest.fixture
def garden(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path)
    project.commit("first", {"models/plants.sql": "select 1 as plant"})
    return project


def test_it_tells_the_schedule_the_last_run_and_how_it_ended_the_last_good_one_and_where_to_look(
    garden: BrokenProject,
) -> None:
    record = missed(NIGHTLY, ran(21, "success"), ran(22, "error"))
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    silence, good = found.evidence
    assert silence.source == PAGE, told(found)
    assert "at 02:00 every day, UTC" in silence.text
    assert "since 2026-11-22 02:00 UTC; 1 run is missing. Its last run, 22, failed." in silence.text
    assert (good.source, good.text) == (ran(21, "").url, "run 21 at 2026-11-21 02:00 UTC, commit abcdef0123")
    assert found.headline.startswith("nightly does not run: Job nightly (at 02:00 every day, UTC) has not finished")
    assert all(one.certainty == "confirmed" and one.evidence_ids for one in found.findings)
    assert (found.ending, found.cause_kind, found.candidates) == (Ending.INCONCLUSIVE, "infrastructure", ())
    assert "start it by hand" in found.next_step
    assert found.who_should_act == "whoever runs nightly"
    assert found.needs_person is not None


def test_of_dbt_core_it_asks_the_scheduler_and_where_the_artifacts_were_left(garden: BrokenProject) -> None:
    bench = garden.bench()
    try:
        found = garden.investigate(missed(ANY_SCHEDULER, ran(21, "success")), bench)
    finally:
        bench.close()
    assert "at least every 24 hours" in found.headline, told(found)
    assert "artifacts" in found.next_step


def test_a_job_that_has_run_again_needs_nobody(garden: BrokenProject) -> None:
    record = missed(NIGHTLY, ran(21, "success"), ran(24, "error"))
    assert record.state is RecordState.RECOVERED
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert found.headline == "nightly is silent no more.", told(found)
    assert found.next_step.startswith("Nothing")
