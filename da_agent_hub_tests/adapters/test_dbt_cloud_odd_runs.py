"""What dbt Cloud says without a fault and that is odd all the same: late, twice, of another step, by another clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.run_failures import failures_of
from da_agent_hub_tests.fakes.faulty_dbt_cloud import FaultyDbtCloud

from .cloud_team import GREEN, NOON, WHOLE, WINDOW, Team, runs_of, three_runs

LISTING = r"/runs/$"


@pytest.fixture
def cloud() -> Iterator[FaultyDbtCloud]:
    with FaultyDbtCloud() as server:
        three_runs(server)
        yield server


@pytest.fixture
def team(cloud: FaultyDbtCloud, tmp_path: Path) -> Team:
    return Team(cloud, tmp_path)


def test_artifacts_of_the_last_step_for_every_step_are_not_told_twice(team: Team) -> None:
    team.cloud.ignores_steps = True
    found = team.detect()
    assert team.kept()["2"] == ["model.shop.a error", "model.shop.b success"]
    assert [len(run.unread) for run in found.read] == [1, 1, 1]
    assert "went well and has left no results of its own" in found.unread[0]


def test_results_of_the_step_before_are_not_believed_of_the_step_that_left_them_in_place(team: Team) -> None:
    team.cloud.artifacts[2, 2, "run_results.json"] = team.cloud.artifacts[2, 1, "run_results.json"]
    team.cloud.runs[2]["run_steps"][1]["logs"] = (
        "02:00:01  Encountered an error:\nCompilation Error\n"
        "  Model 'model.shop.a' (models/a.sql) depends on a node named 'x' which was not found"
    )
    found = team.detect()
    assert found.unread == ()
    assert team.kept()["2"] == ["seed.shop.countries success"]
    (failure,) = failures_of(next(run for run in found.read if run.run_id == "2"), None)
    assert (failure.kind, failure.step) == (FailureKind.COMPILE, 2)


@pytest.mark.parametrize("minutes", [-7, -4, -1, 1, 4, 7])
def test_a_clock_that_is_minutes_off_loses_no_results_and_swaps_none(team: Team, minutes: int) -> None:
    clock = timedelta(minutes=minutes)
    for number in (1, 2, 3):
        failed = number == 2
        team.cloud.add_results(number, 1, {"seed.shop.countries": "success"}, which="seed", clock=clock)
        statuses = {"model.shop.a": "error" if failed else "success", "model.shop.b": "success"}
        team.cloud.add_results(number, 2, statuses, clock=clock)
    found = team.detect()
    assert found.unread == ()
    assert team.kept() == WHOLE
    assert all([step.nodes for step in run.steps] == [1, 2] for run in found.read)


def test_docs_that_were_generated_last_hide_no_failure(team: Team) -> None:
    team.cloud.add_run(4, NOON + timedelta(minutes=4), ["dbt build", "dbt docs generate"])
    team.cloud.add_results(4, 1, {"model.shop.a": "error"})
    team.cloud.add_results(4, 2, {"model.shop.a": "success"}, which="generate")
    team.detect()
    assert team.kept()["4"] == ["model.shop.a error"]


def test_a_log_that_comes_late_is_read_when_it_is_there(team: Team) -> None:
    del team.cloud.artifacts[2, 2, "run_results.json"]
    step = team.cloud.runs[2]["run_steps"][1]
    step["logs"] = ""
    (sentence,) = team.detect().unread
    assert "failed and has left neither an artifact nor a log yet" in sentence
    step["logs"] = "Database Error\n  connection refused"
    found = team.detect()
    assert found.unread == ()
    (failure,) = failures_of(found.read[0], None)
    assert "connection refused" in failure.message


def test_a_giant_log_is_kept_to_its_end(team: Team) -> None:
    del team.cloud.artifacts[2, 2, "run_results.json"]
    team.cloud.runs[2]["run_steps"][1]["logs"] = "x" * 30_000_000 + "\nDatabase Error\n  disk full"
    found = team.detect(timeout=(1.0, 20.0), whole_answer=60.0)
    run = next(run for run in found.read if run.run_id == "2")
    assert found.unread == ()
    assert len(run.steps[1].log) == 20_000
    assert run.steps[1].log.endswith("disk full")


@pytest.mark.parametrize(
    ("number", "flags", "meant"),
    [
        (40, {"is_error": True}, "error"),
        (40, {"is_success": True}, "success"),
        (40, {"is_cancelled": True}, "cancelled"),
        (None, {}, "error"),
        ("20", {}, "error"),
    ],
)
def test_a_status_of_tomorrow_is_read_said_and_never_taken_for_success_without_a_word(
    team: Team, number: Any, flags: dict[str, bool], meant: str
) -> None:
    team.cloud.runs[2] |= {"status": number, **flags}
    found = team.detect()
    assert next(run.status for run in found.read if run.run_id == "2") == meant
    assert f"a status that is not known ({number}): taken as {meant}" in found.unread[0]
    assert team.kept() == WHOLE


def test_steps_without_index_or_name_or_status_are_read_in_their_order(team: Team) -> None:
    for step in team.cloud.runs[2]["run_steps"]:
        del step["index"]
    team.cloud.runs[3]["run_steps"] = [None, "step", *team.cloud.runs[3]["run_steps"], {}]
    assert team.detect().unread == ()
    assert team.kept() == WHOLE


def test_a_run_that_never_began_is_told_in_the_words_of_dbt_cloud(team: Team) -> None:
    said = "This run timed out after 12 hours in the queue."
    team.cloud.add_run(4, NOON, failed=True, status_message=said, started_at=None)
    team.cloud.add_run(
        5, NOON, status=30, status_message="Cancelled by a newer run.", started_at=None, finished_at=None
    )
    found = team.detect()
    assert found.unread == ()
    told = {run.run_id: failures_of(run, None)[0] for run in found.read if run.run_id in "45"}
    assert said in told["4"].message
    assert told["5"].kind is FailureKind.CANCELLED
    assert "Cancelled by a newer run." in told["5"].message


def test_a_run_that_is_still_going_is_found_when_it_has_finished_however_long_it_took(team: Team) -> None:
    slow = team.cloud.add_run(4, NOON + timedelta(hours=9), ["dbt build"], status=3)
    finished = slow["finished_at"]
    slow["finished_at"] = None
    assert {run.run_id for run in team.detect().read} == {"1", "2", "3"}
    slow |= {"status": 10, "finished_at": finished}
    team.cloud.add_results(4, 1, {"model.shop.a": "success"})
    assert [run.run_id for run in team.detect().read] == ["4"]


# Where requests are counted, a busy machine must not make one time out and be asked again.
PATIENT = {"timeout": (5.0, 30.0), "whole_answer": 30.0}


def many(cloud: FaultyDbtCloud, first: int, count: int, since: datetime) -> None:
    for number in range(first, first + count):
        cloud.add_run(number, since + timedelta(seconds=number))


def listed(cloud: FaultyDbtCloud, directory: Path) -> list[str]:
    found = runs_of(cloud, directory).finished_runs("shop", WINDOW.start, WINDOW.end)
    assert [one.finished_at for one in found] == sorted(one.finished_at for one in found)
    return [one.run_id for one in found]


def test_runs_that_show_up_or_go_while_pages_are_read_neither_hide_nor_double_others(team: Team) -> None:
    many(team.cloud, 1_000, 250, NOON)
    moves = iter(
        [
            lambda: None,
            lambda: many(team.cloud, 2_000, 5, WINDOW.start),  # pushes the rest towards the end
            lambda: [team.cloud.runs.pop(number) for number in range(1_000, 1_007)],  # draws the rest to the front
        ]
    )
    team.cloud.before_page = lambda offset: next(moves, lambda: None)()
    found = listed(team.cloud, team.directory)
    assert max(Counter(found).values()) == 1
    assert {str(number) for number in team.cloud.runs} <= set(found)


def test_a_run_that_shows_up_late_in_the_middle_of_an_old_listing_is_found_by_the_next_poll(team: Team) -> None:
    many(team.cloud, 1_000, 250, NOON)
    runs = runs_of(team.cloud, team.directory, **PATIENT)

    def poll() -> set[str]:
        return {one.run_id for one in runs.finished_runs("shop", WINDOW.start, datetime.now(timezone.utc))}

    first = poll()
    asked = team.cloud.times_asked(LISTING)
    assert poll() == first
    assert team.cloud.times_asked(LISTING) == asked + 1
    team.cloud.add_run(2_000, NOON + timedelta(seconds=1_180, milliseconds=500))
    assert poll() - first == {"2000"}


def test_the_first_poll_of_a_new_hour_is_one_request_too_and_finds_what_showed_up_late(team: Team) -> None:
    many(team.cloud, 1_000, 250, NOON)
    runs = runs_of(team.cloud, team.directory, **PATIENT)

    def poll(since: datetime) -> tuple[set[str], int]:
        before = team.cloud.times_asked(LISTING)
        found = {one.run_id for one in runs.finished_runs("shop", since, datetime.now(timezone.utc))}
        return found, team.cloud.times_asked(LISTING) - before

    first, asked = poll(WINDOW.start)
    assert asked == 3
    assert poll(WINDOW.start + timedelta(hours=1)) == (first, 1)
    team.cloud.add_run(2_000, NOON + timedelta(seconds=1_180, milliseconds=500))
    assert poll(WINDOW.start + timedelta(hours=2)) == (first | {"2000"}, 3)


@pytest.mark.parametrize("etags", [True, False])
def test_an_unchanged_poll_asks_once_and_gets_no_body_where_the_server_knows_etags(team: Team, etags: bool) -> None:
    team.cloud.gives_etags = etags
    runs = runs_of(team.cloud, team.directory, **PATIENT)
    for _ in range(3):
        runs.finished_runs("shop", WINDOW.start, datetime.now(timezone.utc))
    assert [one.status for one in team.cloud.asked] == ([200, 304, 304] if etags else [200] * 3)


@pytest.mark.parametrize(
    "more",
    [
        {"trigger": {"cause_category": "ci"}},
        {"trigger": {"cause_category": "github_webhook"}},
        {"trigger": {"cause_category": "git_provider_webhook"}},
        {"trigger": {"cause_category": "merge", "schema_override": "dbt_cloud_pr_7_12"}},
        {"trigger": {"cause_category": "ci"}, "job": {"name": "On merge", "job_type": "merge"}},
        {"trigger": {"cause_category": "rerun", "github_pull_request_id": 7}},
        {"trigger": {"cause_category": "api", "gitlab_merge_request_id": 7}},
        {"trigger": {"schema_override": "dbt_cloud_pr_7_12"}},
        {"trigger": None, "job": {"name": "Slim CI", "job_type": "ci"}},
    ],
)
def test_runs_for_pull_requests_are_left_out(team: Team, more: dict[str, Any]) -> None:
    team.cloud.runs[2] |= more
    assert listed(team.cloud, team.directory) == ["1", "3"]


@pytest.mark.parametrize(
    "more",
    [
        {"trigger": {"cause_category": "merge"}},
        {"trigger": {"cause_category": "merge", "github_pull_request_id": 7}},
        {"trigger": {"cause_category": "rerun", "gitlab_merge_request_id": 7}, "job": {"job_type": "merge"}},
        {"trigger": None, "job": {"name": "On merge", "job_type": "merge"}},
    ],
)
def test_runs_that_a_merge_began_are_read_for_they_run_in_production(team: Team, more: dict[str, Any]) -> None:
    team.cloud.runs[2] |= more
    assert listed(team.cloud, team.directory) == ["1", "2", "3"]
    team.detect()
    assert team.kept() == WHOLE


def test_freshness_that_a_build_checked_is_read_where_the_run_says_so(team: Team) -> None:
    team.cloud.runs[1]["has_sources_generated"] = True
    team.cloud.add_results(1, 2, {"source.shop.raw.orders": "warn"}, name="sources.json", invocation="invocation-1-2")
    team.detect()
    assert team.kept()["1"] == sorted([*GREEN, "source.shop.raw.orders warn"])
    assert team.cloud.times_asked(r"/runs/[23]/artifacts/sources") == 0


@pytest.mark.parametrize("command", ["dbt retry", "dbt clone", "dbt snapshot", "dbtf build", "dbt deps && dbt build"])
def test_every_command_with_results_is_read(team: Team, command: str) -> None:
    team.cloud.add_run(4, NOON, [command], failed=True)
    which = {"dbt clone": "clone", "dbt snapshot": "snapshot"}.get(command, "build")
    team.cloud.add_results(4, 1, {"model.shop.z": "error"}, which=which)
    assert team.detect().unread == ()
    assert team.kept()["4"] == ["model.shop.z error"]


def test_artifacts_are_downloaded_once_whoever_reads_them(team: Team) -> None:
    team.detect()
    asked = team.cloud.times_asked("artifacts")
    other = Team(team.cloud, team.directory)
    other.store = open_record_store(f"sqlite:///{team.directory / 'other.db'}")
    other.detect()
    assert other.kept() == WHOLE
    assert team.cloud.times_asked("artifacts") == asked


def test_forty_runs_read_by_several_threads_each_keep_their_own_results(team: Team) -> None:
    for number in range(1_000, 1_040):
        team.cloud.add_run(number, NOON + timedelta(seconds=number), ["dbt build"])
        team.cloud.add_results(number, 1, {f"model.shop.m{number}": "success"})
    assert team.detect().unread == ()
    assert {run: nodes for run, nodes in team.kept().items() if len(run) == 4} == {
        str(number): [f"model.shop.m{number} success"] for number in range(1_000, 1_040)
    }
