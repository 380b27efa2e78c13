"""`da-agent-hub try`: investigates any dbt project on this machine, in a private copy beside a GitHub of its own."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
from pydantic import SecretStr

from ..config import (
    DbtCoreSource,
    GitHubSettings,
    HubSettings,
    ProjectSettings,
    ScheduleSettings,
    StateSettings,
    VerificationSettings,
)
from ..domain.window import Window
from .console import Progress, Trouble, console, json_option, write_json
from .demo_home import DemoHome, open_home
from .local_build import LocalRun, build, failed_run_of, private_profile, read_project_file, variables_used
from .local_project import LocalProject, copy_project, find_project, push
from .summary import issue_rows, issue_table
from .watch import IssueSeen, Watch

OWNER, PERSON, BOT = "local", "you", "da-agent-hub[bot]"


@click.command("try")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the copy, the issues and the pull requests are kept. Default: a folder of your cache, one a project.",
)
@click.option("--profiles-dir", type=click.Path(path_type=Path, file_okay=False), help="The folder of profiles.yml.")
@click.option("--target", help="The target of the profile. Default: the profile's own.")
@click.option(
    "--port",
    type=click.IntRange(1024, 65534),
    help="Where the pages of its issues answer. Default: the last one, or any.",
)
@click.option("--stay", is_flag=True, help="Keep the pages of issues and pull requests up until Ctrl-C.")
@json_option
def try_project(
    path: Path,
    home: Path | None,
    profiles_dir: Path | None,
    target: str | None,
    port: int | None,
    stay: bool,
    json_file: Path | None,
) -> None:
    """Investigate the dbt project at PATH, and propose fixes as pull requests, without changing anything in PATH.

    Takes the failures in its target/ folder, or runs `dbt build` on a private copy (of a DuckDB file, too).

    Exit code: 0 it was investigated, whether or not anything fails; 1 something could not be done.
    """
    original = find_project(path)
    folder = (home or _default_home(original)).absolute()
    if original == folder.resolve() or original in folder.resolve().parents:
        raise Trouble(f"{folder} is inside {original}, which stays as it is: name another --home")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place, lock = open_home(folder, None, port, ports=1, movable=True)
    with lock:
        try:
            _investigate(original, place, profiles_dir, target, stay, json_file)
        except KeyboardInterrupt:
            raise Trouble("stopped; the same command begins anew") from None


def _investigate(
    original: Path, home: DemoHome, profiles_dir: Path | None, target: str | None, stay: bool, json_file: Path | None
) -> None:
    from .dagster_jobs import Jobs, dagster_instance, open_day, quiet

    with Progress() as progress:
        _begin_anew(home)
        progress.update(f"copying {original}")
        project = copy_project(original, home.folder / "project")
        content = read_project_file(project)
        private = home.folder / "private"
        profile = private_profile(project, private, profiles_dir and profiles_dir.absolute(), target)
        runs = home.folder / "runs"
        found = failed_run_of(project, content, runs) or build(
            project, profile, private, runs, target=target, tell=progress.update
        )
        console.print(_what_was_found(found, project))
        if not found.failed:
            write_json(json_file, {"project": str(original), "failed": False, "issues": []})
            return
        day = Window.containing(found.run.finished_at)
        with _github(home, project) as token:
            settings = _settings(home, project, _dbt_name(content), token)
            settings = _verified_on(
                settings, project, profile.directory, profile.target, variables_used(project, profile)
            )
            settings = _reaching_back(settings, day)
            with quiet(home.logs / "dagster.log"), dagster_instance({}) as instance:
                jobs = Jobs(settings, instance, progress.update, log_level="DEBUG")
                last = max(day.day, open_day(jobs.hub.now())) if found.built_here else day.day
                done = [jobs.read_days(day.day, last), *jobs.drain_inbox()]
            seen = list(Watch(settings).issues())
            progress.stop()
            _show(seen)
            problems = [f"{run.job} of {run.what}: {error}" for run in done for error in run.errors]
            for problem in problems:
                console.print(f"FAIL  {problem}", style="red", markup=False)
            write_json(
                json_file,
                {
                    "project": str(original),
                    "failed": True,
                    "run": {"artifacts": str(found.folder), "built_here": found.built_here},
                    "problems": problems,
                    "issues": issue_rows(seen),
                },
            )
            if stay:
                console.print(f"{_issues_page(home, project)} is up until Ctrl-C")
                signal.pause()
            elif seen:
                console.print("These links answer while try runs: add --stay to look at them.")
    if problems:
        raise Trouble(f"not everything could be done; {home.logs / 'dagster.log'} says more")


def _begin_anew(home: DemoHome) -> None:
    """A project changes between two calls, and each looks at it as it is now: what the last one left is removed."""
    for name in ("project", "private", "runs", "sandbox", "artifacts", "checkouts"):
        shutil.rmtree(home.folder / name, ignore_errors=True)
    for path in home.folder.glob("hub.db*"):
        path.unlink()


def _default_home(original: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    mark = hashlib.sha256(str(original).encode()).hexdigest()[:8]
    return cache / "da-agent-hub" / f"{original.name}-{mark}"


def _what_was_found(found: LocalRun, project: LocalProject) -> str:
    where = "dbt build on a private copy" if found.built_here else f"{project.original / 'target'}"
    if not found.failed:
        return f"{where}: everything passes, there is nothing to investigate."
    return f"{where}: there are failures. History of {project.name}: {project.history}."


@contextmanager
def _github(home: DemoHome, project: LocalProject) -> Iterator[str]:
    """A GitHub that holds the copy, on loopback; yields the hub's token."""
    from ..sandbox.github import GitHubState, StateError
    from ..sandbox.server import SandboxServer
    from ..sandbox.world import SandboxError

    token = f"ghp_{secrets.token_hex(18)}"
    server = SandboxServer(home.sandbox, home.port)
    try:
        state = GitHubState(home.sandbox / "github")
        state.create_user(BOT, token, kind="Bot", name="DA Agent Hub")
        state.create_user(PERSON, f"ghp_{secrets.token_hex(18)}", name="You")
        bare = state.create_repo(OWNER, project.name)
        for login, permission in ((BOT, "write"), (PERSON, "admin")):
            state.grant(OWNER, project.name, login, permission)
        push(project.copy, bare)
        server.start()
        yield token
    except (StateError, SandboxError) as error:
        raise Trouble(str(error)) from None
    finally:
        server.stop()


def _settings(home: DemoHome, project: LocalProject, name: str, token: str) -> HubSettings:
    host = f"127.0.0.1:{home.port}"
    return HubSettings(
        projects=[
            ProjectSettings(
                name=name,
                repo=f"{host}/{OWNER}/{project.name}",
                source=DbtCoreSource(type="dbt_core", path=home.folder / "runs"),
                dbt_directory=project.dbt_directory,
                # With packages and history that a clone from the GitHub beside it would not have.
                clone_url=str(project.copy),
                mode="fix",
            )
        ],
        github=[GitHubSettings(host=host, base_url=f"http://{host}/api/v3", token=SecretStr(token), bot_login=BOT)],
        state=StateSettings(
            url=SecretStr(f"sqlite:///{home.folder / 'hub.db'}"),
            artifacts_dir=home.folder / "artifacts",
            checkouts_dir=home.folder / "checkouts",
        ),
    )


def _verified_on(
    settings: HubSettings, project: LocalProject, profiles_dir: Path, target: str, variables: list[str]
) -> HubSettings:
    verification = VerificationSettings(profiles_dir=profiles_dir, target=target, environment=variables)
    only = settings.projects[0].model_copy(update={"verification": verification})
    return settings.model_copy(update={"projects": [only]})


def _reaching_back(settings: HubSettings, day: Window) -> HubSettings:
    start = (day.start - timedelta(days=2)).date().isoformat()
    return settings.model_copy(update={"schedule": ScheduleSettings(history_days=366, start_date=start)})


def _dbt_name(content: dict[str, object]) -> str:
    name = re.sub(r"[^a-z0-9_]+", "_", str(content["name"]).lower()).strip("_")
    return name if name[:1].isalpha() else f"dbt_{name}"


def _issues_page(home: DemoHome, project: LocalProject) -> str:
    return f"http://127.0.0.1:{home.port}/{OWNER}/{project.name}/issues"


def _show(seen: list[IssueSeen]) -> None:
    console.print(issue_table(seen))
    for one in seen:
        console.rule(f"#{one.issue.ref.number}", align="left")
        console.print(f"{one.issue.title}\n{one.issue.url}", markup=False)
        if one.investigation:
            console.print(one.investigation.headline, style="bold", markup=False)
            for finding in one.investigation.findings:
                console.print(f"  {finding.certainty}: {finding.claim}", markup=False)
            if one.investigation.needs_person:
                console.print(f"A person is needed: {one.investigation.needs_person}", markup=False)
        if one.fix and one.fix.diff:
            console.print(one.fix.diff, markup=False)
        if one.fix and not one.pull_request:
            console.print(f"No pull request: {one.fix.reason}", markup=False)
        if one.pull_request:
            state = "verified by dbt" if one.verified else "not verified: a draft"
            console.print(f"{one.pull_request.url} ({state})", markup=False)
