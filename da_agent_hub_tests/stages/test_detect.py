from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.error_record import RecordState
from da_agent_hub.domain.window import Window
from da_agent_hub.ports import RecordStore
from da_agent_hub.stages.detect import detect
from da_agent_hub.stages.record import record_errors, records_as_of
from da_agent_hub_tests.domain.dbt_story import ACCEPTED_STG, SHOP, START, UNIQUE_STG, lineage, run
from da_agent_hub_tests.fakes.dbt_source import FakeDbtSource

PROJECT = ProjectSettings(name="shop", repo="acme/shop", source=DbtCoreSource(type="dbt_core", path=Path("target")))
BAD = run(1, {UNIQUE_STG: "fail"})
GOOD = replace(run(2, {UNIQUE_STG: "pass"}, sha="b" * 40), finished_at=BAD.finished_at + timedelta(hours=1))
DAY = Window.containing(BAD.finished_at)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")


def test_a_window_is_read_once_and_a_second_look_reads_nothing(store: RecordStore) -> None:
    source = FakeDbtSource(runs=[GOOD, BAD, run(9)], graph=SHOP)
    first = detect(PROJECT, source, store, DAY)
    assert [one.run_id for one in first.read] == [BAD.run_id, GOOD.run_id]
    assert (first.runs, first.failed_runs, first.unread) == (2, 1, ())
    again = detect(PROJECT, source, store, DAY)
    assert (again.read, again.known, again.runs) == ((), (BAD.run_id, GOOD.run_id), 2)
    assert sorted(source.read) == sorted([BAD.run_id, GOOD.run_id])


def test_one_run_that_cannot_be_read_stops_no_other_and_is_tried_again(store: RecordStore) -> None:
    source = FakeDbtSource(runs=[BAD, GOOD], graph=SHOP, unreadable={BAD.run_id})
    found = detect(PROJECT, source, store, DAY)
    assert [one.run_id for one in found.read] == [GOOD.run_id]
    assert len(found.unread) == 1
    assert BAD.run_id in found.unread[0]
    source.unreadable.clear()
    assert [one.run_id for one in detect(PROJECT, source, store, DAY).read] == [BAD.run_id]


def test_a_run_of_which_something_was_unread_is_repaired_by_the_next_look(store: RecordStore) -> None:
    source = FakeDbtSource(runs=[replace(BAD, steps=(), unread=("Step 4: the file is empty",))], graph=SHOP)
    assert len(detect(PROJECT, source, store, DAY).unread) == 1
    source.runs = [BAD]
    assert detect(PROJECT, source, store, DAY).unread == ()
    assert [one.node for one in record_errors(PROJECT, store)] == [UNIQUE_STG]


def test_a_window_that_cannot_be_listed_raises(store: RecordStore) -> None:
    with pytest.raises(ConnectionError):
        detect(PROJECT, FakeDbtSource(down=[(DAY.start, DAY.end)]), store, DAY)


def test_a_window_without_runs_is_no_error(store: RecordStore) -> None:
    assert detect(PROJECT, FakeDbtSource(), store, DAY).runs == 0


def test_records_as_of_a_moment_know_nothing_later(store: RecordStore) -> None:
    detect(PROJECT, FakeDbtSource(runs=[BAD, GOOD], graph=SHOP), store, DAY)
    then = records_as_of(PROJECT, store, GOOD.finished_at)
    assert [one.state for one in then] == [RecordState.OPEN]
    assert tuple(store.records("shop")) == ()
    now = record_errors(PROJECT, store)
    assert [one.state for one in now] == [RecordState.RECOVERED]
    assert [one.fingerprint for one in store.records("shop")] == [one.fingerprint for one in then]


def test_a_test_that_was_renamed_by_its_fix_recovers_through_the_lineage_kept_of_its_failure(
    store: RecordStore,
) -> None:
    renamed = replace(SHOP.nodes[ACCEPTED_STG], unique_id=ACCEPTED_STG[:-2] + "b2")
    fixed = lineage(*(renamed if one.unique_id == ACCEPTED_STG else one for one in SHOP.nodes.values()))
    broken, mended = run(1, {ACCEPTED_STG: "fail"}), run(2, {renamed.unique_id: "pass"}, sha="b" * 40)
    detect(PROJECT, FakeDbtSource(runs=[broken], graph=SHOP), store, Window.containing(broken.finished_at))
    before = record_errors(PROJECT, store)
    detect(PROJECT, FakeDbtSource(runs=[mended], graph=fixed), store, Window.containing(mended.finished_at))
    after = record_errors(PROJECT, store)
    assert [one.fingerprint for one in after] == [one.fingerprint for one in before]
    assert [(one.error_class, one.state) for one in after] == [("unexpected_values", RecordState.RECOVERED)]


def test_a_commit_that_is_new_in_the_window_brings_its_lineage(store: RecordStore) -> None:
    detect(PROJECT, FakeDbtSource(runs=[BAD], graph=SHOP), store, DAY)
    smaller = lineage(SHOP.nodes["model.shop.stg_orders"])
    assert detect(PROJECT, FakeDbtSource(runs=[BAD, GOOD], graph=smaller), store, DAY).graphs == 1
    assert store.latest_graph("shop") == smaller
    same_commit = replace(GOOD, run_id="2000", finished_at=GOOD.finished_at + timedelta(minutes=5))
    assert detect(PROJECT, FakeDbtSource(runs=[same_commit], graph=SHOP), store, DAY).graphs == 0


def test_a_project_without_runs_has_no_records(store: RecordStore) -> None:
    assert record_errors(PROJECT, store) == ()
    assert records_as_of(PROJECT, store, START) == ()


def test_a_commit_whose_lineage_is_kept_is_not_read_again_on_another_day(store: RecordStore) -> None:
    detect(PROJECT, FakeDbtSource(runs=[BAD], graph=SHOP), store, DAY)
    later = replace(BAD, run_id="later", finished_at=BAD.finished_at + timedelta(days=3))
    next_day = Window.containing(later.finished_at)
    assert detect(PROJECT, FakeDbtSource(runs=[later], graph=SHOP), store, next_day).graphs == 0
    changed = replace(later, run_id="changed", git_sha="f" * 40)
    assert detect(PROJECT, FakeDbtSource(runs=[later, changed], graph=SHOP), store, next_day).graphs == 1


def test_where_no_commit_is_told_the_newest_run_of_a_reading_gives_the_lineage(store: RecordStore) -> None:
    runs = [replace(one, git_sha=None) for one in (GOOD, BAD)]
    source = FakeDbtSource(runs=runs, graph=SHOP)
    assert detect(PROJECT, source, store, DAY).graphs == 1
    assert detect(PROJECT, source, store, DAY).graphs == 0
