from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from da_agent_hub.defs.inbox import Waiting, issues_to_work_on
from da_agent_hub.defs.process_identity import this_process
from da_agent_hub.defs.run_requests import pause_after
from da_agent_hub.domain.command import EventKind, InboxEvent

from .hub_world import NOW, World, dagster_instance


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


def event(number: int, issue_key: str | None = None) -> InboxEvent:
    key = issue_key or f"acme/shop#{number}"
    return InboxEvent(f"e{number}", key, EventKind.FILED, "hub-bot", NOW + timedelta(seconds=number))


def test_each_waiting_issue_gets_one_run_and_its_partition(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    world.hub.store.add_events([event(1), event(2), event(3, "acme/shop#1")])
    requests = world.tick("inbox", instance)
    assert [request.partition_key for request in requests] == ["acme/shop#1", "acme/shop#2"]
    assert set(instance.get_dynamic_partitions("issues")) == {"acme/shop#1", "acme/shop#2"}
    assert world.tick("inbox", instance) == []


def test_no_more_runs_than_a_tick_has_time_for_are_asked_for(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    world.hub.store.add_events([event(number) for number in range(1, 31)])
    assert len(world.tick("inbox", instance)) == 25
    assert len(world.tick("inbox", instance)) == 5


def test_a_request_that_came_to_nothing_is_made_again_under_a_new_key(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.hub.store.add_events([event(1)])
    (first,) = world.tick("inbox", instance)
    world.clock.forward(seconds=16)
    (second,) = world.tick("inbox", instance)
    assert first.run_key != second.run_key


def test_a_row_that_names_no_issue_stops_no_other(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    world.hub.store.add_events([event(0, "nonsense"), event(1)])
    assert [request.partition_key for request in world.tick("inbox", instance)] == ["acme/shop#1"]


def chosen(waiting: Waiting, **world) -> bool:
    options = {"in_flight": frozenset(), "leases": {}, "now": NOW, **world}
    return bool(issues_to_work_on([waiting], **options))


def test_an_issue_is_left_alone_while_a_run_or_a_living_lease_works_on_it() -> None:
    waiting = Waiting("acme/shop#1", None, 0)
    soon = NOW + timedelta(seconds=60)
    assert chosen(waiting)
    assert not chosen(waiting, in_flight={"acme/shop#1"})
    assert not chosen(waiting, leases={"acme/shop#1": (this_process(), soon)})
    assert not chosen(waiting, leases={"acme/shop#1": ("other/x/y:1:2", soon)})
    assert chosen(waiting, leases={"acme/shop#1": ("other/x/y:1:2", NOW)})
    machine, pid, start = this_process().split(":")
    assert chosen(waiting, leases={"acme/shop#1": (f"{machine}:{pid}:{int(start) - 1}", soon)})


def test_pauses_grow_with_failures_and_end_somewhere() -> None:
    assert [pause_after(failures).total_seconds() for failures in range(6)] == [15, 15, 60, 240, 900, 900]
    assert not chosen(Waiting("acme/shop#1", NOW - timedelta(seconds=50), 2))
    assert chosen(Waiting("acme/shop#1", NOW - timedelta(seconds=60), 2))
