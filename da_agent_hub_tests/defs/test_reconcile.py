import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.defs.hub import utc_now
from da_agent_hub.defs.lease import LeaseTaken, held_lease
from da_agent_hub.defs.names import ISSUE_JOB
from da_agent_hub.defs.process_identity import is_dead, is_of_earlier_boot, this_process
from da_agent_hub.defs.reconcile import PROCESS_TAG, reconcile

from .hub_world import World, dagster_instance

ISSUE = "acme/shop#1"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlRecordStore]:
    store = open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")
    yield store
    store.close()


@pytest.fixture
def killed_process() -> str:
    """The name of a process that took a name and was killed."""
    program = "from da_agent_hub.defs.process_identity import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_dead(name)
        process.kill()
        process.wait()
    return name


def test_this_process_lives_and_a_killed_one_is_dead(killed_process: str) -> None:
    assert not is_dead(this_process())
    assert is_dead(killed_process)


def test_a_process_that_has_ended_but_was_not_reaped_is_dead() -> None:
    program = "from da_agent_hub.defs.process_identity import this_process; print(this_process(), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(name)
    process.wait()


def test_a_process_number_that_is_used_again_is_another_process() -> None:
    machine, pid, start = this_process().split(":")
    assert is_dead(f"{machine}:{pid}:{int(start) - 1}")


def test_of_other_machines_and_earlier_boots_only_the_latter_is_told() -> None:
    machine, pid, start = this_process().split(":")
    host, boot, namespace = machine.split("/")
    elsewhere, earlier = f"other/{boot}/{namespace}:{pid}:{start}", f"{host}/00000000/{namespace}:{pid}:{start}"
    assert not is_dead(elsewhere)
    assert not is_of_earlier_boot(elsewhere)
    assert not is_dead(earlier)
    assert is_of_earlier_boot(earlier)


def test_a_lease_is_kept_for_as_long_as_the_work_takes_and_given_back(store: SqlRecordStore) -> None:
    with held_lease(store, ISSUE, utc_now):
        assert store.leases()[ISSUE][0] == this_process()
    assert store.leases() == {}


def test_a_lease_is_given_back_when_the_work_raises(store: SqlRecordStore) -> None:
    with pytest.raises(ZeroDivisionError), held_lease(store, ISSUE, utc_now):
        raise ZeroDivisionError
    assert store.leases() == {}


def test_a_living_holder_is_waited_for_and_then_named(store: SqlRecordStore) -> None:
    store.acquire_lease(ISSUE, "other/x/y:1:2", utc_now(), 60)
    with (
        pytest.raises(LeaseTaken, match="being worked on by other/x/y:1:2"),
        held_lease(store, ISSUE, utc_now, wait_seconds=0),
    ):
        pass
    releaser = threading.Timer(0.7, store.release_lease, (ISSUE, "other/x/y:1:2"))
    releaser.start()
    with held_lease(store, ISSUE, utc_now, wait_seconds=10):
        assert store.leases()[ISSUE][0] == this_process()
    releaser.join()


def test_a_dead_holder_is_not_waited_for(store: SqlRecordStore, killed_process: str) -> None:
    store.acquire_lease(ISSUE, killed_process, utc_now(), 3600)
    started = time.monotonic()
    with held_lease(store, ISSUE, utc_now, wait_seconds=5):
        pass
    assert time.monotonic() - started < 3


def test_only_what_dead_processes_held_is_freed(
    store: SqlRecordStore, instance: dg.DagsterInstance, killed_process: str
) -> None:
    now = utc_now()
    store.acquire_lease("dead", killed_process, now, 3600)
    store.acquire_lease("alive", this_process(), now, 3600)
    store.acquire_lease("elsewhere", "other/x/y:1:2", now, 3600)
    assert reconcile(instance, store, now).freed == ("dead",)
    assert sorted(store.leases()) == ["alive", "elsewhere"]


def unfinished(
    world: World, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str] | None = None
) -> str:
    run = instance.create_run_for_job(world.defs.resolve_job_def(ISSUE_JOB), tags=tags, status=status)
    return run.run_id


def test_a_run_whose_process_was_killed_is_reported_failed_at_once(
    tmp_path: Path, store: SqlRecordStore, instance: dg.DagsterInstance, killed_process: str
) -> None:
    world = World(tmp_path)
    dead = unfinished(world, instance, dg.DagsterRunStatus.STARTED, {PROCESS_TAG: killed_process})
    alive = unfinished(world, instance, dg.DagsterRunStatus.STARTED, {PROCESS_TAG: this_process()})
    assert reconcile(instance, store, utc_now()).failed == (dead,)
    assert instance.get_run_by_id(dead).status is dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]
    assert instance.get_run_by_id(alive).status is dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("status", "seconds", "is_orphan"),
    [
        (dg.DagsterRunStatus.STARTING, 10, False),
        (dg.DagsterRunStatus.STARTING, 25, True),
        (dg.DagsterRunStatus.STARTED, 25, True),
        (dg.DagsterRunStatus.NOT_STARTED, 25, False),
        (dg.DagsterRunStatus.NOT_STARTED, 65, True),
    ],
)
def test_a_run_that_never_came_to_its_first_step_is_an_orphan_of_an_earlier_start_after_a_while(
    tmp_path: Path,
    store: SqlRecordStore,
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    seconds: int,
    is_orphan: bool,
) -> None:
    run_id = unfinished(World(tmp_path), instance, status)
    later = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    found = reconcile(instance, store, later, booted_at=datetime.now(timezone.utc) + timedelta(seconds=1))
    assert found.failed == ((run_id,) if is_orphan else ())


def test_a_run_that_this_code_location_launched_is_never_an_orphan(
    tmp_path: Path, store: SqlRecordStore, instance: dg.DagsterInstance
) -> None:
    started = datetime.now(timezone.utc) - timedelta(seconds=1)
    unfinished(World(tmp_path), instance, dg.DagsterRunStatus.STARTING)
    assert reconcile(instance, store, utc_now() + timedelta(hours=1), booted_at=started).failed == ()


def test_runs_of_other_teams_in_the_same_dagster_are_left_alone(
    tmp_path: Path, store: SqlRecordStore, instance: dg.DagsterInstance
) -> None:
    @dg.op
    def theirs() -> None: ...

    @dg.job
    def their_job() -> None:
        theirs()

    instance.create_run_for_job(their_job, status=dg.DagsterRunStatus.STARTING)
    later = utc_now() + timedelta(hours=1)
    assert reconcile(instance, store, later, booted_at=later).failed == ()


@pytest.mark.slow
def test_a_process_killed_while_it_holds_a_lease_leaves_work_that_is_found_again(
    tmp_path: Path, store: SqlRecordStore, instance: dg.DagsterInstance
) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from da_agent_hub.adapters.record_store import open_record_store
        from da_agent_hub.defs.hub import utc_now
        from da_agent_hub.defs.lease import held_lease
        with held_lease(open_record_store(sys.argv[1]), "acme/shop#1", utc_now):
            print("held", flush=True)
            time.sleep(600)
        """
    )
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    with subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert reconcile(instance, store, utc_now()).freed == ()
        process.kill()
        process.wait()
    assert reconcile(instance, store, utc_now()).freed == (ISSUE,)
