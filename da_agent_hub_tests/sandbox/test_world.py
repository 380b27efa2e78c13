"""A made world: its artifacts show each incident when it should be seen, and nothing else."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from da_agent_hub.sandbox.history import git
from da_agent_hub.sandbox.run_archive import ERROR, SUCCESS, Run, RunArchive
from da_agent_hub.sandbox.world import SandboxError, World, load_world, make_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["default", pytest.param(7, marks=pytest.mark.nightly)])
def told_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, world: World) -> World:
    if request.param == "default":
        return world
    return make_world(tmp_path_factory.mktemp("seed") / "home", seed=request.param)


def results(archive: RunArchive, run: Run, name: str) -> list[dict[str, str]]:
    """Results of the run's own invocations only: an artifact that was there before is not this run's."""
    assert run.started_at
    started = datetime.fromisoformat(run.started_at)
    found = []
    for step in run.steps:
        content = archive.artifact(run.id, step.index, name)
        if content is None or step.finished_at is None:
            continue
        artifact = json.loads(content)
        made = datetime.fromisoformat(artifact["metadata"]["generated_at"].replace("Z", "+00:00"))
        assert step.started_at
        if max(started, datetime.fromisoformat(step.started_at)) <= made <= datetime.fromisoformat(step.finished_at):
            found += artifact["results"]
    return found


def failing(archive: RunArchive, run: Run) -> set[str]:
    names = {
        one["unique_id"].split(".")[2]
        for one in results(archive, run, "run_results.json")
        if one["status"] in ("error", "fail")
    }
    sources = {
        ".".join(one["unique_id"].split(".")[2:])
        for one in results(archive, run, "sources.json")
        if one["status"] in ("error", "runtime error")
    }
    return names | sources


def nightly_runs(world: World) -> list[tuple[str, date, Run]]:
    archive = RunArchive(world.archive_folder)
    jobs = {project.job_ids[0]: project.name for project in world.projects}
    return [
        (jobs[run.job_id], datetime.fromisoformat(run.created_at).date(), run)
        for run in archive.runs()
        if run.job_id in jobs and run.cause_category == "scheduled"
    ]


def test_exactly_the_incidents_fail_on_exactly_their_nights(told_world: World) -> None:
    archive = RunArchive(told_world.archive_folder)
    runs = nightly_runs(told_world)
    assert len(runs) == 28
    for project, day, run in runs:
        due = [one for one in told_world.incidents if one.project == project and day.isoformat() in one.days]
        whole = [one for one in due if one.kind in ("compile_error", "database_locked")]
        expected = set() if whole else {one.node for one in due}
        assert failing(archive, run) == expected, (project, day)
        build = next(step for step in run.steps if step.name == "Invoke dbt with `dbt build`")
        broken = [one for one in due if one.kind != "stale_source"]
        assert run.status == build.status == (ERROR if broken else SUCCESS), (project, day)
        for incident in due:
            assert run.id in incident.run_ids


def test_midday_runs_fail_only_where_an_incident_is_active(told_world: World) -> None:
    archive = RunArchive(told_world.archive_folder)
    nights = {run.id for _, _, run in nightly_runs(told_world)}
    midday = [run for run in archive.runs() if run.id not in nights and run.cause_category == "scheduled"]
    assert len(midday) >= 9
    for run in midday:
        day = datetime.fromisoformat(run.created_at).date().isoformat()
        known = {one.node for one in told_world.incidents if day in one.days}
        assert failing(archive, run) <= known


def test_one_failure_makes_many_nodes_skip(told_world: World) -> None:
    archive = RunArchive(told_world.archive_folder)
    skipped = [
        sum(one["status"] == "skipped" for one in results(archive, run, "run_results.json"))
        for _, _, run in nightly_runs(told_world)
    ]
    assert max(skipped) >= 6


def test_a_project_that_does_not_compile_leaves_the_results_of_the_run_before(told_world: World) -> None:
    archive = RunArchive(told_world.archive_folder)
    incident = next(one for one in told_world.incidents if one.kind == "compile_error")
    run = archive.get(incident.run_ids[0])
    assert run
    step = run.steps[-1]
    stale = json.loads(archive.artifact(run.id, step.index, "run_results.json") or b"{}")
    assert stale["metadata"]["generated_at"] < run.created_at
    assert "which was not found" in archive.log(run.id, step.index)


def test_the_lock_is_told_in_the_words_of_the_database(told_world: World) -> None:
    archive = RunArchive(told_world.archive_folder)
    incident = next(one for one in told_world.incidents if one.kind == "database_locked")
    run = archive.get(incident.run_ids[0])
    assert run
    assert "Could not set lock on file" in archive.log(run.id, run.steps[-1].index)


def test_a_run_tells_the_time_of_its_own_day(told_world: World) -> None:
    archive = RunArchive(told_world.archive_folder)
    for _, day, run in nightly_runs(told_world):
        assert run.started_at
        assert run.finished_at
        started, finished = datetime.fromisoformat(run.started_at), datetime.fromisoformat(run.finished_at)
        assert started.date() == day
        assert timedelta() < finished - started < timedelta(minutes=5)
        for one in results(archive, run, "run_results.json"):
            for timing in one["timing"]:
                moment = datetime.fromisoformat(timing["started_at"].replace("Z", "+00:00"))  # type: ignore[index]
                assert started <= moment <= finished


def test_docs_overwrite_the_results_of_the_build(world: World) -> None:
    archive = RunArchive(world.archive_folder)
    run = nightly_runs(world)[-2][2]
    which = [
        json.loads(archive.artifact(run.id, index, "run_results.json") or b"{}")["args"]["which"] for index in (4, 5)
    ]
    assert which == ["build", "generate"]


def test_a_culprit_commit_is_on_main_between_the_last_good_and_the_first_bad_night(told_world: World) -> None:
    for incident in told_world.incidents:
        if incident.kind not in ("grain_break", "mistyped_column", "compile_error"):
            assert incident.culprit_sha is None
            continue
        assert incident.culprit_sha
        project = next(one for one in told_world.projects if one.name == incident.project)
        repository = told_world.place(project).repository
        at = datetime.fromtimestamp(
            int(git(repository, "show", "-s", "--format=%ct", incident.culprit_sha)), timezone.utc
        )
        first = datetime.fromisoformat(f"{incident.days[0]}T02:00:00+00:00")
        assert first - timedelta(days=1) < at < first


def test_the_warehouse_can_be_copied_and_read(told_world: World, tmp_path: Path) -> None:
    for project in told_world.projects:
        database = Path(project.database)
        assert not database.with_suffix(".duckdb.wal").exists()
        copy = tmp_path / database.name
        copy.write_bytes(database.read_bytes())
        with duckdb.connect(str(copy)) as connection:
            assert connection.execute("select count(*) from duckdb_tables() where schema_name = 'analytics'").fetchone()
            drift = connection.execute("select abs(epoch(now()) - epoch(get_current_timestamp()))").fetchone()
            assert drift
            assert drift[0] < 60


def test_making_it_again_changes_nothing(world: World) -> None:
    before = (world.home / "world.json").stat().st_mtime_ns
    assert make_world(world.home) == world == load_world(world.home)
    assert (world.home / "world.json").stat().st_mtime_ns == before


def test_another_seed_in_the_same_folder_is_refused(world: World) -> None:
    with pytest.raises(SandboxError, match="seed 0"):
        make_world(world.home, seed=3)


def test_a_folder_with_no_world_says_so(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no finished sandbox"):
        load_world(tmp_path)


def test_a_half_written_world_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text('{"home": "/x"')
    with pytest.raises(SandboxError, match="make the sandbox anew"):
        load_world(tmp_path)
