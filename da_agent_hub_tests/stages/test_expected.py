from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.domain.error_record import RecordState
from da_agent_hub.domain.expected_runs import DbtJob
from da_agent_hub.domain.window import Window
from da_agent_hub.stages.detect import Detection, detect
from da_agent_hub.stages.record import record_errors, records_as_of
from da_agent_hub_tests.domain.dbt_story import SHOP, UNIQUE_STG, run
from da_agent_hub_tests.fakes.dbt_source import FakeDbtSource

PROJECT = ProjectSettings(name="shop", repo="acme/shop", source=DbtCoreSource(type="dbt_core", path=Path("target")))
NIGHTLY = DbtJob("7", "nightly", "Production", "0 2 * * *", url="https://cloud.getdbt.com/jobs/7")


def at(day: int, hour: int = 6, minute: int = 30) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=timezone.utc)


def ran(day: int, hour: int = 2, minute: int = 11) -> DbtRun:
    return replace(run(day * 100 + hour, {UNIQUE_STG: "pass"}), finished_at=at(day, hour, minute), started_at=None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlRecordStore]:
    opened = open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")
    yield opened
    opened.close()


def morning(source: FakeDbtSource, store: SqlRecordStore, day: int) -> Detection:
    """What the daily schedule does a little after 06:30."""
    now = at(day) + timedelta(minutes=2)
    for back in (2, 1):
        window = Window.containing(now - timedelta(days=back))
        found = detect(PROJECT, source, store, window, now=now)
    return found


def test_the_morning_reports_silence_though_no_run_finished_at_all(store: SqlRecordStore) -> None:
    source = FakeDbtSource(runs=[ran(20)], graph=SHOP, scheduled=[NIGHTLY])
    morning(source, store, 20)
    assert record_errors(PROJECT, store) == ()
    assert morning(source, store, 21).unread == ()
    (record,) = records_as_of(PROJECT, store, at(21))
    assert "since 2026-11-20 02:11 UTC; 1 run is missing" in record.latest.message
    assert record_errors(PROJECT, store) == (record,)
    morning(source, store, 22)
    (later,) = record_errors(PROJECT, store)
    assert (later.fingerprint, later.occurrences) == (record.fingerprint, 2)
    source.runs.append(ran(22, 9))
    morning(source, store, 23)
    assert [(one.occurrences, one.state, one.episode) for one in record_errors(PROJECT, store)] == [
        (3, RecordState.OPEN, 2)
    ]
    assert records_as_of(PROJECT, store, at(21)) == (record,)


def test_days_of_the_past_invent_no_silence(store: SqlRecordStore) -> None:
    source = FakeDbtSource(graph=SHOP, scheduled=[NIGHTLY])
    for day in range(1, 19):
        detect(PROJECT, source, store, Window.of(f"2026-11-{day:02}"), now=at(20, 12))
    assert store.jobs_seen("shop") == []
    morning(source, store, 20)
    for day in range(1, 20):
        detect(PROJECT, source, store, Window.of(f"2026-11-{day:02}"), now=at(21, 12))
    assert record_errors(PROJECT, store) == ()


def test_a_run_that_is_going_or_ended_a_moment_ago_or_cannot_be_read_is_not_missing(store: SqlRecordStore) -> None:
    source = FakeDbtSource(runs=[ran(20)], graph=SHOP, scheduled=[NIGHTLY])
    morning(source, store, 20)
    source.going = {"7"}
    morning(source, store, 21)
    source.going.clear()
    source.runs.append(replace(ran(22), finished_at=at(22) + timedelta(minutes=1)))
    morning(source, store, 22)
    source.runs.append(ran(23))
    source.unreadable = {source.runs[-1].run_id}
    assert len(morning(source, store, 23).unread) == 1
    assert record_errors(PROJECT, store) == ()
    morning(source, store, 24)
    assert [one.error_class for one in record_errors(PROJECT, store)] == ["missed_run"]


def test_an_open_day_is_looked_at_a_few_times_and_its_end_once(store: SqlRecordStore) -> None:
    source = FakeDbtSource(scheduled=[NIGHTLY])
    day = Window.of("2026-11-20")
    for hour in range(7, 24):
        for minute in (0, 20, 40):
            detect(PROJECT, source, store, day, now=at(20, hour, minute))
    assert [seen.at.hour for seen in store.jobs_seen("shop")] == [7, 10, 13, 16, 19, 22]
    for minute in (31, 40, 50):
        detect(PROJECT, source, store, day, now=at(21, 6, minute))
    assert [seen.at for seen in store.jobs_seen("shop")][-1:] == [at(21)]
    assert len(store.jobs_seen("shop")) == 7
    assert [seen.at for seen in store.jobs_seen("shop", at(20, 10, 0))] == [at(20, 7, 0), at(20, 10, 0)]


def test_jobs_that_cannot_be_listed_or_understood_are_told_and_stop_no_run(store: SqlRecordStore) -> None:
    source = FakeDbtSource(runs=[ran(20)], graph=SHOP, jobs_down=True)
    found = morning(source, store, 20)
    assert (found.runs, found.unread) == (1, ("The schedules of the jobs: list jobs: dbt Cloud answered 403",))
    assert store.jobs_seen("shop") == []
    odd = FakeDbtSource(runs=[ran(20)], scheduled=[replace(NIGHTLY, cron="at night"), replace(NIGHTLY, job_id="8")])
    (said,) = morning(odd, store, 20).unread
    assert said == "The schedule 'at night' of job nightly is no cron expression: its silence is not watched."


def test_a_project_without_jobs_keeps_no_looks_and_one_that_lost_them_says_so(store: SqlRecordStore) -> None:
    morning(FakeDbtSource(), store, 20)
    assert store.jobs_seen("shop") == []
    source = FakeDbtSource(scheduled=[NIGHTLY])
    morning(source, store, 21)
    morning(source, store, 22)
    source.scheduled.clear()
    morning(source, store, 23)
    assert [one.state for one in record_errors(PROJECT, store)] == [RecordState.RECOVERED]
