from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.domain.error_record import Category, ErrorRecord, Priority, RecordState
from da_agent_hub.domain.expected_runs import DbtJob, JobsSeen, silences
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.record_building import Policy, build_records
from da_agent_hub.domain.selection import Selection

from .dbt_story import SHOP, UNIQUE_STG, run

EVERYTHING = Policy()
NIGHTLY = DbtJob("7", "nightly", "Production", "0 2 * * *", url="https://cloud.getdbt.com/deploy/1/projects/2/jobs/7")
numbers = itertools.count(1)


def ran(day: int, hour: int = 2, minute: int = 11, status: str = "success", job: str = "7") -> DbtRun:
    """A run that ended on a day of November."""
    made = run(next(numbers), {UNIQUE_STG: "pass"}, status=status, job=job)
    return replace(made, finished_at=datetime(2026, 11, day, hour, minute, tzinfo=timezone.utc), started_at=None)


def look(day: int, *jobs: DbtJob, hour: int = 6, minute: int = 30, **changed: object) -> JobsSeen:
    at = datetime(2026, 11, day, hour, minute, tzinfo=timezone.utc)
    return replace(JobsSeen("shop", at, at - timedelta(days=2), 3.0, jobs or (NIGHTLY,)), **changed)  # type: ignore[arg-type]


def records(runs: Sequence[DbtRun], looks: Sequence[JobsSeen], policy: Policy = EVERYTHING) -> tuple[ErrorRecord, ...]:
    return build_records(runs, SHOP, policy, looks=looks)


def test_a_job_that_is_silent_past_its_schedule_is_one_record_in_plain_words() -> None:
    runs = [ran(21), ran(22)]
    (record,) = records(runs, [look(day) for day in (20, 21, 22, 23, 24)])
    assert record.latest.message == (
        "Job nightly (at 02:00 every day, UTC) has not finished a run since 2026-11-22 02:11 UTC; 2 runs are missing. "
        f"Its last run, {runs[-1].run_id}, was good."
    )
    assert (record.error_class, record.category, record.priority) == (
        "missed_run",
        Category.INFRASTRUCTURE,
        Priority.HIGH,
    )
    assert (record.latest.kind, record.node, record.latest.path) == (FailureKind.MISSED_RUN, None, None)
    assert (record.occurrences, record.state, record.title) == (2, RecordState.OPEN, "nightly: missed run")
    assert record.first_seen == datetime(2026, 11, 23, 5, 0, tzinfo=timezone.utc)
    assert record.last_good is not None
    assert record.last_good.at == datetime(2026, 11, 22, 2, 11, tzinfo=timezone.utc)


def test_the_next_run_of_the_job_recovers_it_and_that_of_another_job_does_not() -> None:
    looks = [look(day) for day in (20, 21, 22)]
    assert [one.state for one in records([ran(21, job="8")], looks)] == [RecordState.OPEN]
    (record,) = records([ran(23)], looks)
    assert (record.state, record.good_runs) == (RecordState.RECOVERED, 1)
    again = records([ran(23)], [*looks, look(23), look(24)])
    assert [(one.episode, one.state) for one in again] == [(2, RecordState.OPEN)]
    assert again[0].fingerprint == record.fingerprint


@pytest.mark.parametrize("status", ["error", "cancelled"])
def test_a_run_that_fails_ends_the_silence_has_a_record_of_its_own_and_is_no_good_run(status: str) -> None:
    looks = [look(day) for day in (20, 21, 22)]
    failed = ran(23, status=status)
    silence, own = records([failed], looks)
    assert (silence.error_class, silence.state, silence.good_runs) == ("missed_run", RecordState.RECOVERED, 0)
    assert silence.recovered is not None
    assert silence.recovered.run_id == failed.run_id
    assert own.error_class != "missed_run"
    assert (own.latest.run_id, own.state) == (failed.run_id, RecordState.OPEN)
    good = ran(20)
    (again,) = [one for one in records([good, failed], [*looks, look(25)]) if one.error_class == "missed_run"]
    assert (again.episode, again.state) == (2, RecordState.OPEN)
    assert again.last_good is not None
    assert again.last_good.run_id == good.run_id


@pytest.mark.parametrize(
    ("status", "ended"), [("success", "was good"), ("error", "failed"), ("cancelled", "was cancelled")]
)
def test_a_silence_says_how_the_last_run_before_it_ended(status: str, ended: str) -> None:
    looks = [look(day) for day in (20, 21, 22)]
    last = ran(21, status=status)
    (record,) = [one for one in records([last, ran(23)], looks) if one.error_class == "missed_run"]
    assert record.latest.message.endswith(f"1 run is missing. Its last run, {last.run_id}, {ended}.")
    heard = look(22, heard={"7": datetime(2026, 11, 21, 9, 0, tzinfo=timezone.utc)})
    found = records([last], [*looks[:2], heard, look(23)])
    (record,) = [one for one in found if one.error_class == "missed_run"]
    assert "since 2026-11-21 09:00 UTC" in record.latest.message
    assert record.latest.message.endswith(
        f"The last run that was read, {last.run_id}, of 2026-11-21 02:11 UTC, {ended}."
    )


def test_a_job_is_not_judged_by_a_time_before_it_was_first_seen() -> None:
    assert records([], [look(20)]) == ()
    assert records([], [look(20), look(20, hour=23)]) == ()
    (record,) = records([], [look(20), look(21)])
    assert "since it was first seen on 2026-11-20; 1 run is missing" in record.latest.message


def test_a_run_may_be_late_by_the_grace_and_a_late_one_takes_the_failure_back() -> None:
    before = look(20)
    assert records([], [before, look(21, hour=4, minute=59)]) == ()
    assert len(records([], [before, look(21, hour=5, minute=0)])) == 1
    assert records([ran(21, hour=4)], [before, look(21, hour=5, minute=0)]) == ()
    (late,) = records([ran(21, hour=5, minute=40)], [before, look(21, hour=5), look(21, hour=6)])
    assert late.state is RecordState.RECOVERED


def test_a_run_that_is_still_going_or_that_could_not_be_read_is_not_missing() -> None:
    heard = look(21, heard={"7": datetime(2026, 11, 21, 6, 30, tzinfo=timezone.utc)})
    assert records([], [look(20), heard]) == ()
    (record,) = records([], [look(20), heard, look(22)])
    assert "since 2026-11-21 06:30 UTC; 1 run is missing" in record.latest.message


@pytest.mark.parametrize("status", ["error", "cancelled"])
def test_a_run_that_failed_did_come(status: str) -> None:
    found = records([ran(21, status=status)], [look(20), look(21)])
    assert "missed_run" not in {one.error_class for one in found}


def test_a_due_time_that_the_listing_does_not_reach_is_never_judged() -> None:
    late = look(27, listed_from=datetime(2026, 11, 26, 6, 30, tzinfo=timezone.utc))
    weekly = replace(NIGHTLY, cron="0 2 * * 1")  # due on the 23rd
    assert records([], [look(20, weekly), replace(late, jobs=(weekly,))]) == ()
    assert len(records([], [look(20, weekly), look(23, weekly)])) == 1


@pytest.mark.parametrize(
    "now",
    [
        replace(NIGHTLY, active=False),
        replace(NIGHTLY, cron=None),
        replace(NIGHTLY, cron="at night"),
        replace(NIGHTLY, job_id="8", cron="0 0 1 1 *"),
    ],
)
def test_a_job_that_is_paused_unscheduled_or_gone_is_not_expected_and_its_silence_ends(now: DbtJob) -> None:
    assert records([], [look(20), look(21, now), look(22, now)]) == ()
    (record,) = records([], [look(20), look(21), look(22, now), look(23, now)])
    assert record.state is RecordState.RECOVERED
    assert record.recovered is not None
    assert record.recovered.run_id == "no longer scheduled"


def test_a_new_schedule_is_judged_from_when_it_was_first_seen() -> None:
    earlier = replace(NIGHTLY, cron="0 1 * * *")
    assert records([], [look(20), look(21, earlier, hour=2, minute=30)]) == ()
    assert len(records([], [look(20), look(21, earlier, hour=2, minute=30), look(22, earlier)])) == 1


def test_many_missing_runs_of_a_frequent_job_are_one_failure_at_a_look() -> None:
    often = replace(NIGHTLY, cron="*/15 * * * 0,1,2,3,4,5,6")
    (record,) = records([], [look(20, often), look(21, often)])
    assert record.occurrences == 1
    assert "every 15th minute of every hour, UTC" in record.latest.message
    assert "84 runs are missing" in record.latest.message
    (record,) = records([], [look(20, often), look(21, often), look(22, often)])
    assert (record.occurrences, "100 runs or more" in record.latest.message) == (2, True)


def test_runs_of_dbt_core_are_expected_every_so_many_hours() -> None:
    job = DbtJob("", "dbt Core", every_hours=24.0)
    runs = [ran(20, job="dbt-core"), ran(21, job="dbt-core")]
    looks = [look(day, job) for day in (20, 21, 22)]
    (record,) = records(runs, looks)
    assert record.latest.message == (
        "Job dbt Core (at least every 24 hours) has not finished a run since 2026-11-21 02:11 UTC; 1 run is missing. "
        f"Its last run, {runs[-1].run_id}, was good."
    )
    assert record.environment == "Production"
    assert [one.state for one in records([*runs, ran(22, hour=9, job="dbt-core")], looks)] == [RecordState.RECOVERED]


def test_silence_in_an_environment_that_is_not_monitored_is_left_out() -> None:
    looks = [look(20), look(21)]
    assert records([], looks, Policy(Selection(environments=("Staging",)))) == ()
    assert len(records([], looks, Policy(Selection(environments=("production",))))) == 1


def test_what_is_missing_does_not_depend_on_the_order_or_number_of_reads() -> None:
    runs = [ran(day, hour) for day in (21, 23, 24) for hour in (2, 9)]
    looks = [look(day, hour=hour, minute=0) for day in range(20, 28) for hour in (3, 6, 12)]
    once = silences(looks, runs)
    assert {one.tick.day for one in once} == {22, 25, 26, 27}
    for seed in range(20):
        shuffled = random.Random(seed)
        again, others = [*looks, *looks[:5]], [*runs, *runs[:2]]
        shuffled.shuffle(again)
        shuffled.shuffle(others)
        assert silences(again, others) == once
        assert records(others, again) == records(runs, looks)
