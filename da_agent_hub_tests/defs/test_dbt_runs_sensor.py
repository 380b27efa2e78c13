from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from da_agent_hub.config import WebhookSettings
from da_agent_hub.defs.dbt_runs import accounts
from da_agent_hub.defs.names import DAILY_JOB
from da_agent_hub.defs.partitions import RANGE_END, RANGE_START
from da_agent_hub.domain.command import EventKind, InboxEvent, dbt_account_key

from .hub_world import World, dagster_instance, dbt_run, project

SENSOR = "finished_dbt_runs"
BROKEN = 'Binder Error: Referenced column "amount" not found in FROM clause!'


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


def days(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_START], request.tags[RANGE_END]


def test_the_first_start_asks_once_for_all_days_of_unread_runs_in_the_history(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [
        dbt_run("old", "2026-11-01T02:00"),
        dbt_run("1", "2026-11-12T02:00"),
        dbt_run("2", "2026-11-23T08:00"),
    ]
    (request,) = world.tick(SENSOR, instance)
    assert days(request) == ("2026-11-11", "2026-11-23")
    assert world.tick(SENSOR, instance) == []


def test_what_was_read_and_filed_is_not_asked_for_again_and_a_new_run_is(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-22T02:00", failing=BROKEN), dbt_run("2", "2026-11-23T08:00")]
    (result,) = world.carry_out(SENSOR, DAILY_JOB, instance)
    assert result.success
    assert world.tick(SENSOR, instance) == []
    world.clock.forward(minutes=10)
    world.sources["shop"].runs.append(dbt_run("3", "2026-11-23T09:05"))
    (request,) = world.tick(SENSOR, instance)
    assert days(request) == ("2026-11-23", "2026-11-23")


def test_only_the_projects_concerned_are_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path, {"shop": "file", "freight": "file"})
    world.sources["freight"].runs = [dbt_run("1", "2026-11-22T02:00", project="freight")]
    (request,) = world.tick(SENSOR, instance)
    assert {key.path[0] for key in request.asset_selection or []} == {"freight"}


def test_a_request_that_dagster_never_made_a_run_of_is_asked_again_under_a_new_key(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-22T02:00")]
    (first,) = world.tick(SENSOR, instance)
    world.clock.forward(seconds=14)
    assert world.tick(SENSOR, instance) == []
    world.clock.forward(seconds=2)
    (second,) = world.tick(SENSOR, instance)
    assert days(second) == days(first)
    assert second.run_key != first.run_key


def test_a_run_that_failed_is_asked_again_even_where_its_dbt_runs_were_read(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-22T02:00", failing=BROKEN)]
    world.github.away = True
    (failed,) = world.carry_out(SENSOR, DAILY_JOB, instance)
    assert not failed.success
    assert world.hub.store.known_run_ids("shop", world.clock.now.replace(day=1)) == {"1"}
    world.github.away = False
    assert world.tick(SENSOR, instance) == []
    world.clock.forward(seconds=16)
    (again,) = world.carry_out(SENSOR, DAILY_JOB, instance)
    assert again.success
    assert len(world.issues()) == 1


def test_runs_read_by_hand_but_never_filed_are_asked_for(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-22T02:00", failing=BROKEN)]
    world.hub.store.remember_run(world.sources["shop"].runs[0])
    (request,) = world.tick(SENSOR, instance)
    assert days(request) == ("2026-11-21", "2026-11-21")


def test_a_run_that_cannot_be_read_is_tried_three_times_and_then_left_to_its_check(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [dbt_run("1", "2026-11-22T02:00")]
    world.sources["shop"].unreadable = {"1"}
    tries = 0
    for _ in range(5):
        tries += len(world.carry_out(SENSOR, DAILY_JOB, instance))
        world.clock.forward(minutes=2)
    assert tries == 3


def test_more_than_a_month_is_asked_for_in_pieces(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path)
    world.configure(schedule=world.settings.schedule.model_copy(update={"history_days": 100}))
    world.sources["shop"].runs = [dbt_run("1", "2026-09-01T08:00"), dbt_run("2", "2026-11-22T08:00")]
    (first,) = world.carry_out(SENSOR, DAILY_JOB, instance)
    assert first.success
    (second,) = world.tick(SENSOR, instance)
    assert days(second) == ("2026-11-22", "2026-11-22")


def test_an_account_that_cannot_be_listed_hides_no_other_project(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    world = World(tmp_path, {"shop": "file", "freight": "file"})
    world.sources["shop"].down = [(world.clock.now.replace(month=1), world.clock.now)]
    world.sources["freight"].runs = [dbt_run("1", "2026-11-22T02:00", project="freight")]
    (request,) = world.tick(SENSOR, instance)
    assert {key.path[0] for key in request.asset_selection or []} == {"freight"}


def test_each_account_has_a_sensor_of_its_own() -> None:
    shop = project("shop", "file")
    other = project("freight", "file")
    elsewhere = other.model_copy(update={"source": other.source.model_copy(update={"account_id": 8})})
    assert list(accounts([shop, other])) == ["finished_dbt_runs"]
    assert list(accounts([shop, elsewhere])) == ["finished_dbt_runs_shop", "finished_dbt_runs_freight"]


def test_a_webhook_of_an_ended_run_has_the_account_asked_at_once_and_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.configure(webhooks=WebhookSettings(dbt_cloud_secrets=[SecretStr("a-secret-of-dbt-cloud")]))
    sensor = world.defs.get_repository_def().get_sensor_def(SENSOR)
    assert sensor.minimum_interval_seconds == world.settings.schedule.inbox_poll_seconds
    assert world.tick(SENSOR, instance) == []
    world.sources["shop"].runs = [dbt_run("1", "2026-11-23T08:59")]
    world.clock.forward(seconds=10)
    assert world.tick(SENSOR, instance) == []
    ended = InboxEvent("dbt-cloud:wev_1", dbt_account_key(7), EventKind.DBT_RUN, "dbt Cloud", world.clock())
    world.hub.store.add_events([ended])
    assert world.tick("inbox", instance) == []
    (request,) = world.tick(SENSOR, instance)
    assert days(request) == ("2026-11-23", "2026-11-23")
    assert world.hub.store.pending_events(dbt_account_key(7)) == []


def test_without_a_webhook_the_account_is_asked_as_often_as_the_settings_say(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world = World(tmp_path)
    world.configure(webhooks=WebhookSettings(dbt_cloud_secrets=[SecretStr("a-secret-of-dbt-cloud")]))
    assert world.tick(SENSOR, instance) == []
    world.sources["shop"].runs = [dbt_run("1", "2026-11-23T08:59")]
    world.clock.forward(seconds=59)
    assert world.tick(SENSOR, instance) == []
    world.clock.forward(seconds=1)
    assert len(world.tick(SENSOR, instance)) == 1
