import multiprocessing
import sqlite3
import subprocess
import sys
import textwrap
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from da_agent_hub.adapters.record_engine import MIGRATION_LOCK, create_bare_engine
from da_agent_hub.adapters.record_store import (
    SqlRecordStore,
    StoreTooNewError,
    StoreUnreachableError,
    StoreUnreadableError,
    open_record_store,
)
from da_agent_hub.adapters.record_tables import metadata
from da_agent_hub.domain.command import EventKind, InboxEvent
from da_agent_hub.domain.dbt import DbtRun, DbtStep, GraphNode, NodeResult, Owner, ProjectGraph, TestSpec
from da_agent_hub.domain.error_record import Category, ErrorRecord, Priority, ProvenCategory, RecordState, Sighting
from da_agent_hub.domain.failure import Failure, FailureKind
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal
from da_agent_hub.domain.investigation import Candidate, Ending, Evidence, FileChange, Finding, Investigation
from da_agent_hub.domain.life_cycle import Life, State, Suppression

from .postgres_server import postgres_server

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
ISSUE = "acme/shop#7"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deep' / 'hub.db'}"
    url: str = request.getfixturevalue("postgres_url")
    engine = create_bare_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture
def store(url: str) -> Iterator[SqlRecordStore]:
    store = open_record_store(url)
    yield store
    store.close()


def dbt_run(run_id: str, finished_at: datetime = NOON, **changes) -> DbtRun:
    run = DbtRun(
        project="shop",
        environment="production",
        job_id="11",
        job_name="nightly",
        run_id=run_id,
        url=f"https://dbt.example/runs/{run_id}",
        status="error",
        finished_at=finished_at,
        git_sha="c0ffee",
        steps=(
            DbtStep(
                1, "dbt build", "error", (NodeResult("model.shop.orders", "error", "no such column \u2603"),), "log"
            ),
        ),
    )
    return replace(run, **changes)


def error_record(fingerprint: str = "f1", **changes) -> ErrorRecord:
    failure = Failure(
        "shop",
        "production",
        "11",
        "1",
        "https://dbt.example/runs/1",
        1,
        FailureKind.MODEL,
        "model.shop.orders",
        "x",
        NOON,
    )
    record = ErrorRecord(
        fingerprint=fingerprint,
        project="shop",
        environment="production",
        node="model.shop.orders",
        title="orders fails",
        error_class="missing_column",
        category=Category.CODE_FIX,
        priority=Priority.HIGH,
        latest=failure,
        first_seen=NOON,
        last_seen=NOON,
        occurrences=1,
        state=RecordState.OPEN,
        last_good=Sighting("0", "https://dbt.example/runs/0", NOON - HOUR, "abc"),
        owner=Owner("Sales", "sales@example.com"),
    )
    return replace(record, **changes)


def event(event_id: str, at: datetime = NOON, issue_key: str = ISSUE) -> InboxEvent:
    return InboxEvent(event_id, issue_key, EventKind.COMMENT, "ann", at, "55", "@claude please", "hash", {"a": "b"})


INVESTIGATION = Investigation(
    ending=Ending.ANSWERED,
    investigator="playbooks",
    headline="A commit renamed the column.",
    cause_kind="code",
    findings=(Finding("renamed", "confirmed", ("E1",)),),
    evidence=(Evidence("E1", "diff", "git show c0ffee", "-a\n+b"),),
    candidates=(Candidate("revert", "put it back", "why", (FileChange("models/orders.sql", "select 1"),)),),
    started_at=NOON,
)


def test_a_run_comes_back_as_it_was_remembered(store: SqlRecordStore) -> None:
    store.remember_run(dbt_run("1"))
    assert store.runs("shop") == [dbt_run("1")]


def test_remembering_a_run_twice_changes_nothing_but_a_repaired_reading(store: SqlRecordStore) -> None:
    broken = dbt_run("1", unread=("step 2: no artifact",), steps=())
    store.remember_run(broken)
    store.remember_run(replace(broken, job_name="another"))
    assert store.runs("shop") == [broken]
    store.remember_run(dbt_run("1"))
    store.remember_run(broken)
    assert store.runs("shop") == [dbt_run("1")]


def test_runs_are_found_by_finish_time_from_and_including_since_up_to_but_without_until(store: SqlRecordStore) -> None:
    for number in (3, 1, 2):
        store.remember_run(dbt_run(str(number), NOON + number * HOUR))
    store.remember_run(dbt_run("9", project="freight"))
    found = store.runs("shop", NOON + HOUR, NOON + 3 * HOUR)
    assert [run.run_id for run in found] == ["1", "2"]
    assert store.known_run_ids("shop", NOON + 2 * HOUR) == {"2", "3"}


def test_times_of_other_zones_are_the_same_moment_and_naive_ones_are_refused(store: SqlRecordStore) -> None:
    store.remember_run(dbt_run("1", NOON.astimezone(timezone(timedelta(hours=9)))))
    assert store.known_run_ids("shop", NOON) == {"1"}
    assert store.known_run_ids("shop", NOON + timedelta(seconds=1)) == frozenset()
    with pytest.raises(Exception, match="no time zone"):
        store.known_run_ids("shop", NOON.replace(tzinfo=None))


def graph(*names: str) -> ProjectGraph:
    nodes = {
        f"model.shop.{name}": GraphNode(
            f"model.shop.{name}",
            name,
            "model",
            depends_on=("source.shop.raw.x",),
            meta={"dagster": {"asset_key": ["dwh", name]}},
        )
        for name in names
    }
    test = GraphNode("test.shop.t", "t", "test", test=TestSpec("unique", arguments={"column_name": "id"}))
    return ProjectGraph("shop", "duckdb", {**nodes, test.unique_id: test})


def test_the_newest_graph_is_kept_for_each_day_and_the_newest_of_all_is_shown_as_lineage(store: SqlRecordStore) -> None:
    store.save_graph("shop", "2", NOON + HOUR, graph("orders", "customers"))
    store.save_graph("shop", "1", NOON, graph("orders"))
    store.save_graph("shop", "0", NOON - 24 * HOUR, graph())
    assert store.latest_graph("shop") == graph("orders", "customers")
    assert store.latest_graph("shop", until=NOON) == graph()
    (nodes,) = [read() for read in store.lineage(max_nodes=2).values()]
    assert [(node.name, node.asset_key) for node in nodes] == [
        ("orders", ("dwh", "orders")),
        ("customers", ("dwh", "customers")),
    ]
    assert store.lineage(max_nodes=1) == {}


def test_records_of_one_project_are_replaced_as_a_whole_and_others_stay(store: SqlRecordStore) -> None:
    store.save_records("shop", [error_record("b"), error_record("a")])
    store.save_records("freight", [error_record("z", project="freight")])
    store.save_records("shop", [error_record("c"), error_record("a")])
    assert [record.fingerprint for record in store.records("shop")] == ["c", "a"]
    assert [record.fingerprint for record in store.records()] == ["z", "c", "a"]
    assert store.record("a") == error_record("a")
    assert store.record("b") is None


def test_a_record_knows_its_newest_issue_and_each_issue_its_record(store: SqlRecordStore) -> None:
    store.save_records("shop", [error_record("a")])
    store.link_issue("a", "acme/shop#1")
    store.link_issue("a", "acme/shop#4")
    store.link_issue("a", "acme/shop#1")
    assert store.issue_of("a") == "acme/shop#4"
    assert store.record_of("acme/shop#1") == store.record_of("acme/shop#4") == error_record("a")
    assert store.issue_of("b") is None
    store.save_records("shop", [error_record("a"), error_record("b")])
    for member in ("b", "a", "b"):
        store.link_issue(member, "acme/shop#7")
    assert store.issue_of("a") == store.issue_of("b") == "acme/shop#7"
    assert store.record_of("acme/shop#7") == error_record("b")
    assert store.record_of("acme/shop#9") is None


def test_the_filed_mark_never_moves_back(store: SqlRecordStore) -> None:
    assert store.filed_until("shop") is None
    for until in (NOON, NOON + HOUR, NOON):
        store.set_filed_until("shop", until)
    assert store.filed_until("shop") == NOON + HOUR


def test_an_event_is_taken_in_once_and_waits_in_order_of_happening(store: SqlRecordStore) -> None:
    assert store.add_events([event("c2", NOON + HOUR), event("c1"), event("c1")]) == 2
    assert store.add_events([event("c1"), event("d1", NOON - HOUR, "acme/shop#3")]) == 1
    assert store.pending_events(ISSUE) == [event("c1"), event("c2", NOON + HOUR)]
    assert store.pending_issues() == ["acme/shop#3", ISSUE]


def test_a_finished_event_waits_no_more_and_seeing_it_again_does_not_wake_it(store: SqlRecordStore) -> None:
    store.add_events([event("c1")])
    store.finish_event("c1", "answered")
    store.finish_event("c1", "something else")
    assert store.add_events([event("c1")]) == 0
    assert store.pending_issues() == []
    assert store.event_outcomes(ISSUE) == {"c1": "answered"}


def test_the_first_plan_for_an_event_stays(store: SqlRecordStore) -> None:
    store.add_events([event("c1")])
    assert store.plan_of("c1") is None
    store.save_plan("c1", {"investigate": True})
    store.save_plan("c1", {"investigate": False})
    assert store.plan_of("c1") == {"investigate": True}


def test_failures_of_an_event_are_counted(store: SqlRecordStore) -> None:
    store.add_events([event("c1")])
    assert [store.note_event_failure("c1") for _ in range(3)] == [1, 2, 3]
    assert store.event_failures(ISSUE) == 3
    store.finish_event("c1", "failed")
    assert store.event_failures(ISSUE) == 0


def test_a_stop_is_seen_until_it_is_cleared(store: SqlRecordStore) -> None:
    store.request_stop(ISSUE)
    store.request_stop(ISSUE)
    assert store.stop_requested(ISSUE)
    store.clear_stop(ISSUE)
    assert not store.stop_requested(ISSUE)


def test_a_lease_belongs_to_one_holder_until_it_expires_or_is_given_back(store: SqlRecordStore) -> None:
    assert store.acquire_lease(ISSUE, "a", NOON, 60)
    assert not store.acquire_lease(ISSUE, "b", NOON + timedelta(seconds=59), 60)
    assert store.acquire_lease(ISSUE, "a", NOON + timedelta(seconds=59), 60)
    assert not store.acquire_lease(ISSUE, "b", NOON + timedelta(seconds=61), 60)
    assert store.acquire_lease(ISSUE, "b", NOON + timedelta(seconds=119), 60)
    store.release_lease(ISSUE, "a")
    assert store.leases() == {ISSUE: ("b", NOON + timedelta(seconds=179))}
    store.release_lease(ISSUE, "b")
    assert store.leases() == {}


def test_request_numbers_never_repeat_even_after_the_work_was_done(store: SqlRecordStore) -> None:
    assert store.last_request("s") is None
    assert store.attempts("s") == 0
    assert [store.note_request("s", NOON), store.note_request("s", NOON + HOUR)] == [1, 2]
    assert store.last_request("s") == (2, NOON + HOUR)
    store.clear_requests("s")
    assert store.last_request("s") is None
    assert store.note_request("s", NOON) == 3
    assert store.attempts("s") == 1


def test_an_investigation_is_kept_under_what_asked_for_it_and_a_repeat_replaces_itself(store: SqlRecordStore) -> None:
    second = replace(INVESTIGATION, headline="second")
    store.save_investigation(ISSUE, "c1", INVESTIGATION)
    store.save_investigation(ISSUE, "c2", second)
    store.save_investigation(ISSUE, "c1", replace(INVESTIGATION, headline="again"))
    assert [one.headline for one in store.investigations(ISSUE)] == ["again", "second"]
    assert store.investigation_for(ISSUE, "c2") == second
    assert store.investigation_for(ISSUE, "c3") is None


def test_the_newest_proof_of_a_records_category_is_kept_with_its_investigation(store: SqlRecordStore) -> None:
    first = ProvenCategory("f1", "shop", 2, Category.DATA_QUALITY, Category.CODE_FIX, "c0ffee")
    second = replace(first, category=Category.DATA_QUALITY, culprit_sha=None)
    store.save_investigation(ISSUE, "c1", replace(INVESTIGATION, proven=first))
    assert store.proven_categories("shop") == {"f1": first}
    store.save_investigation(ISSUE, "c2", replace(INVESTIGATION, proven=second))
    store.save_investigation(ISSUE, "c3", INVESTIGATION)
    assert store.proven_categories("shop") == {"f1": second}
    assert store.proven_categories("other") == {}
    assert store.investigations(ISSUE)[0].proven == first


def test_a_pull_request_leads_back_to_its_issue(store: SqlRecordStore) -> None:
    fix = FixProposal(FixOutcome.OPENED, "", pull_request="acme/shop#12", diff="+x")
    store.save_fix(ISSUE, "c1", fix)
    store.save_fix(ISSUE, "c1", fix)
    assert store.fixes(ISSUE) == [fix]
    assert store.fix_for(ISSUE, "c1") == fix
    assert store.issue_of_pull_request("acme/shop#12") == ISSUE
    assert store.issue_of_pull_request("acme/shop#13") is None


def test_a_cursor_moves(store: SqlRecordStore) -> None:
    assert store.cursor("runs") == {}
    store.set_cursor("runs", {"since": "a"})
    store.set_cursor("runs", {"since": "b"})
    assert store.cursor("runs") == {"since": "b"}


def test_lives_are_replaced_and_kept_by_project_and_opening(store: SqlRecordStore) -> None:
    why = Suppression("wontfix", "alice", NOON, "we drop it")
    life = Life("acme/shop#1", "shop", NOON, State.SUPPRESSED, NOON, suppression=why)
    for one in (replace(life, state=State.NEW), life, Life("acme/shop#2", "other", NOON)):
        store.save_life(one)
    assert store.life("acme/shop#1") == life
    assert store.lives("shop", NOON) == [life]
    assert store.lives("shop", NOON + timedelta(seconds=1)) == []
    assert store.life("acme/shop#3") is None


def test_everything_is_there_after_opening_again(store: SqlRecordStore, url: str) -> None:
    store.add_events([event("c1")])
    again = open_record_store(url)
    assert again.pending_issues() == [ISSUE]
    again.close()


def test_the_migrations_make_the_tables_that_the_store_declares(store: SqlRecordStore, url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with create_bare_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_store_of_the_first_release_is_brought_up_to_date_and_keeps_what_it_holds(url: str) -> None:
    store = open_record_store(url)
    store.add_events([event("c1")])
    store.save_records("shop", [error_record("a")])
    store.close()
    engine = create_bare_engine(url)
    number = "INTEGER PRIMARY KEY" if engine.dialect.name == "sqlite" else "SERIAL PRIMARY KEY"
    with engine.begin() as connection:
        for table in ("proven_categories", "dbt_jobs_seen", "record_issues", "issue_lives"):
            connection.execute(text(f"DROP TABLE {table}"))
        links = "fingerprint VARCHAR(200) NOT NULL, issue_key VARCHAR(400) NOT NULL UNIQUE"
        connection.execute(text(f"CREATE TABLE issue_links (seq {number}, {links})"))
        for key in ("acme/shop#1", "acme/shop#4"):
            connection.execute(
                text("INSERT INTO issue_links (fingerprint, issue_key) VALUES ('a', :key)"), {"key": key}
            )
        connection.execute(text("UPDATE alembic_version SET version_num = 'r0001'"))
    engine.dispose()

    again = open_record_store(url)
    assert again.proven_categories("shop") == {}
    assert again.pending_issues() == [ISSUE]
    assert again.issue_of("a") == "acme/shop#4"
    assert again.record_of("acme/shop#1") == error_record("a")
    again.close()


def _open_and_add(url: str, name: str, start: float) -> None:
    time.sleep(max(0.0, start - time.time()))
    store = open_record_store(url)
    for number in range(20):
        store.add_events([event(f"{name}-{number}")])


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_all_work(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    start = time.time() + 2.5
    workers = [context.Process(target=_open_and_add, args=(url, f"w{n}", start)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    store = open_record_store(url)
    assert len(store.pending_events(ISSUE)) == 80
    store.close()


@pytest.mark.postgres
def test_a_process_that_waited_while_another_made_the_schema_finds_it(postgres_url: str) -> None:
    engine = create_bare_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    open_record_store(postgres_url).close()
    with engine.begin() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    with ThreadPoolExecutor(1) as other:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            opened = other.submit(open_record_store, postgres_url)
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            while not connection.execute(waiting).scalar():
                time.sleep(0.01)
            metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
        store = opened.result(30)
    store.add_events([event("c1")])
    assert store.pending_issues() == [ISSUE]
    store.close()
    engine.dispose()


@pytest.mark.slow
def test_what_a_killed_process_was_told_was_kept_is_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    program = textwrap.dedent(
        """
        import sys
        from da_agent_hub_tests.adapters.test_record_store import event
        from da_agent_hub.adapters.record_store import open_record_store
        store = open_record_store(sys.argv[1])
        for number in range(100000):
            store.add_events([event(f"e{number}")])
            print(number, flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [next(process.stdout) for _ in range(40)]
    process.kill()
    told += process.stdout.readlines()
    process.wait()
    kept = len(open_record_store(url).pending_events(ISSUE))
    assert kept in {len(told), len(told) + 1}


def test_a_file_that_is_no_database_is_named_with_the_next_step(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    file.write_text("half a sentence, and then the power w" * 50)
    with pytest.raises(StoreUnreadableError, match=r"hub\.db is broken .*move it away and start again"):
        open_record_store(f"sqlite:///{file}")


def test_a_half_written_file_is_named_with_the_next_step(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    store = open_record_store(f"sqlite:///{file}")
    store.add_events([event(f"e{number}") for number in range(500)])
    store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreUnreadableError, match=r"hub\.db is broken"):
        open_record_store(f"sqlite:///{file}")


def test_tables_without_a_schema_version_are_named_with_the_next_step(url: str) -> None:
    open_record_store(url).close()
    with create_bare_engine(url).begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    with pytest.raises(StoreUnreadableError, match="no schema version"):
        open_record_store(url)


def test_a_store_that_lost_a_table_is_named_with_the_next_step(store: SqlRecordStore, url: str) -> None:
    with create_bare_engine(url).begin() as connection:
        connection.execute(text("DROP TABLE cursors"))
    with pytest.raises(StoreUnreadableError, match=r"another shape than expected.*cursors"):
        store.cursor("x")


def test_a_store_of_a_newer_release_is_left_alone(url: str) -> None:
    open_record_store(url).close()
    with create_bare_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    with pytest.raises(StoreTooNewError, match="r9999"):
        open_record_store(url)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnreachableError, match="check that the server runs") as raised:
        open_record_store("postgresql://hub:tr0ub4dor@127.0.0.1:1/hub")
    assert "tr0ub4dor" not in str(raised.value)


def test_a_url_that_is_none_is_refused_with_what_to_write() -> None:
    with pytest.raises(StoreUnreachableError, match="sqlite:///path/to"):
        open_record_store("hub.db")
    with pytest.raises(StoreUnreachableError, match="sqlite:///path/to"):
        open_record_store("mysterydb://x")


def test_a_place_where_no_directory_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnreachableError, match="write access"):
        open_record_store(f"sqlite:///{tmp_path / 'file' / 'hub.db'}")


def test_payloads_of_runs_are_compressed(store: SqlRecordStore, url: str) -> None:
    store.remember_run(dbt_run("1"))
    with create_bare_engine(url).connect() as connection:
        payload = connection.execute(text("SELECT payload FROM dbt_runs")).scalar_one()
    assert b"nightly" in zlib.decompress(bytes(payload))
