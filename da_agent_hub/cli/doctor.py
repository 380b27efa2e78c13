"""`da-agent-hub doctor`: the configuration and each connection, one line each, with the next step where one fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import click

from ..config import (
    ClaudeSettings,
    DbtCoreSource,
    GitHubSettings,
    HubSettings,
    ProjectSettings,
    StateSettings,
)
from ..defs.hub import Hub
from ..domain.issue import RepoRef
from ..domain.quarantine import hints
from ..domain.tracker_error import NotPermitted, Unanswered
from .console import config_option, console, json_option, read_settings, writable_folder, write_json


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``next_step`` is empty where all is well."""

    name: str
    ok: bool
    detail: str
    next_step: str = ""

    def __str__(self) -> str:
        step = f" Next: {self.next_step}" if self.next_step else ""
        return f"{'OK  ' if self.ok else 'FAIL'}  {self.name}: {self.detail}{step}"


class _Failed(Exception):  # noqa: N818
    """A check that failed, with what to do about it."""

    def __init__(self, detail: str, next_step: str) -> None:
        super().__init__(detail)
        self.next_step = next_step


@click.command()
@config_option
@click.option("--claude", is_flag=True, help="Also ask Claude's API whether the key works (a free request).")
@json_option
def doctor(config: Path | None, claude: bool, json_file: Path | None) -> None:
    """Check the configuration and each connection.

    Exit code: 0 all is well, 1 something failed, 2 the configuration cannot be used.
    """
    settings, path = read_settings(config)
    checks: list[Check] = []
    for check in examine(settings, path, ask_claude=claude):
        checks.append(check)
        console.print(str(check), style=None if check.ok else "red", markup=False)
    failed = sum(not check.ok for check in checks)
    console.print(f"{failed} of {len(checks)} checks failed." if failed else f"All {len(checks)} checks passed.")
    write_json(json_file, {"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        raise SystemExit(1)


def examine(settings: HubSettings, path: Path | None, *, ask_claude: bool) -> Iterator[Check]:
    """Every check, in the order in which a failing one explains those after it."""
    hub = Hub(settings)

    def check(name: str, look: Callable[[], str], otherwise: str) -> Check:
        try:
            return Check(name, True, hub.redact(look()))
        except Exception as error:  # a check that breaks is a finding about that check, and the others still count
            detail = hub.redact(" ".join(str(error).split()) or type(error).__name__)
            told = str(getattr(error, "next_step", ""))
            if told and detail.endswith(told):
                detail = detail[: -len(told)].rstrip()
            return Check(name, False, detail, otherwise if isinstance(error, Unanswered) else told or otherwise)

    yield Check("configuration", True, f"{path or 'the environment alone'}: {len(settings.projects)} project(s)")
    yield check("git", _git, "install git")
    yield check("dbt", _dbt, "install dbt-core")
    yield check("state", partial(_store, settings.state), "check state.url")
    yield check("state folders", partial(_folders, settings.state), "check state.artifacts_dir and state.checkouts_dir")
    for project in settings.projects:
        step = f"check the source of {project.name}"
        yield check(f"{project.name}: dbt runs", partial(_dbt_runs, project, hub), step)
        if project.filters.quarantine:
            yield check(f"{project.name}: quarantine", partial(_quarantine, project, hub), "check filters.quarantine")
    for github in settings.github:
        step = f"check the network and the base_url of {github.host}"
        yield check(f"{github.host}: login", partial(_login, github), step)
    for project in settings.projects:
        step = f"check the network and the repo of {project.name}"
        yield check(f"{project.name}: {project.repo}", partial(_repository, project, hub), step)
        step = f"check clone_url, dbt_directory and verification of {project.name}"
        yield check(f"{project.name}: verification", partial(_verification, project, hub), step)
    yield check("experts", partial(_experts, settings.claude), "check claude.agents_dir")
    yield check("claude", partial(_claude, settings.claude, ask_claude), "check claude.api_key")


def _git() -> str:
    if shutil.which("git") is None:
        raise _Failed("git is not on the PATH", "install git, https://git-scm.com/downloads")
    return subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _dbt() -> str:
    adapters = sorted(
        f"{name} {found.version}"
        for found in distributions()
        if (name := found.metadata["Name"] or "").startswith("dbt-")
        and any(entry.name == "__init__.py" and "dbt/adapters/" in str(entry) for entry in found.files or ())
        and name not in ("dbt-adapters", "dbt-core")
    )
    try:
        core = version("dbt-core")
    except PackageNotFoundError:
        raise _Failed("dbt-core is not installed", "install da-agent-hub with its dependencies") from None
    if not adapters:
        raise _Failed(f"dbt-core {core} has no adapter", "install the one of your warehouse, such as dbt-duckdb")
    return f"dbt-core {core}, {', '.join(adapters)}"


def _store(state: StateSettings) -> str:
    from ..adapters.record_store import open_record_store

    store = open_record_store(state.url.get_secret_value())
    try:
        holder = f"doctor-{os.getpid()}"
        store.acquire_lease("doctor", holder, datetime.now(timezone.utc), 5)
        store.release_lease("doctor", holder)
        return f"reachable and writable, {len(store.records())} error records"
    finally:
        store.close()


def _folders(state: StateSettings) -> str:
    for folder in (state.artifacts_dir, state.checkouts_dir):
        writable_folder(folder)
    return f"{state.artifacts_dir} and {state.checkouts_dir} can be written"


def _dbt_runs(project: ProjectSettings, hub: Hub) -> str:
    until = hub.now()
    since = until - timedelta(days=hub.settings.schedule.history_days)
    if isinstance(project.source, DbtCoreSource):
        where = str(project.source.path)
        if isinstance(project.source.path, Path) and not project.source.path.is_dir():
            raise _Failed(f"{where} is not a folder", "run dbt there first, or set source.path")
    else:
        where = f"dbt Cloud account {project.source.account_id}"
    found = hub.source(project).finished_runs(project.name, since, until)
    return f"{where}, {len(found)} finished runs in the last {hub.settings.schedule.history_days} days"


def _quarantine(project: ProjectSettings, hub: Hub) -> str:
    rules = project.filters.quarantine
    lasting = sum(rule.until >= hub.now().date() for rule in rules)
    # Hints, and no failure: a hub must not stop watching because a day went by.
    return "; ".join([f"{lasting} of {len(rules)} in force", *hints(rules, hub.now())])


def _login(github: GitHubSettings) -> str:
    from ..adapters.github import GitHubTracker

    return f"logged in as {GitHubTracker(github).login()}"


def _repository(project: ProjectSettings, hub: Hub) -> str:
    repo = RepoRef.parse(project.repo)
    tracker = hub.tracker(repo)
    branch, _ = tracker.default_branch(repo)
    issues = len(tracker.hub_issues(repo))
    login = tracker.login()
    if hub.github(repo).app is not None:
        # GitHub tells what an App may do where it is installed, and not as a collaborator.
        return f"{login} reads it, default branch {branch}, {issues} issues of the hub"
    try:
        permission = tracker.permission(repo, login)
    except NotPermitted:
        permission = "read"  # GitHub tells this to those who may write, and to nobody else
    if project.mode != "observe" and permission not in ("write", "maintain", "admin"):
        raise _Failed(
            f"{login} has {permission} permission in {repo}, and mode {project.mode} must label and write there",
            f"give {login} write permission, or set the mode to observe",
        )
    return f"{login} has {permission} permission (labels included), default branch {branch}, {issues} issues of the hub"


def _verification(project: ProjectSettings, hub: Hub) -> str:
    from ..adapters.workbench import open_workbench

    with open_workbench(project, hub.settings.state, hub.github(RepoRef.parse(project.repo))) as bench:
        if not bench.can_run_dbt:
            return "not set up: patches are proposed as drafts, unverified (set verification.profiles_dir and target)"
        return f"a checkout of {project.repo} was made, patches are tried on target {bench.target}"


def _experts(claude: ClaudeSettings) -> str:
    from ..agent.experts import load_experts

    experts, problems = load_experts(claude.agents_dir)
    if problems and (experts or claude.api_key):
        raise _Failed("; ".join(problems), "mend or remove these files")
    if problems:
        return f"none ({claude.agents_dir} is missing); the playbooks need none"
    return ", ".join(expert.name for expert in experts) or "none"


def _claude(claude: ClaudeSettings, ask: bool) -> str:
    if claude.api_key is None:
        return "no key, and none is needed: the playbooks investigate"
    if not ask:
        return "a key is set and not used yet: the playbooks investigate; --claude asks the API whether the key works"
    import anthropic

    client = anthropic.Anthropic(
        api_key=claude.api_key.get_secret_value(), base_url=claude.base_url, timeout=20, max_retries=1
    )
    try:
        models = client.models.list(limit=1)
    except anthropic.APIStatusError as error:
        raise _Failed(
            f"the API answered {error.status_code}: {error.message}", "check the key in claude.api_key"
        ) from None
    except anthropic.APIConnectionError as error:
        raise _Failed(f"the API was not reached ({error})", "check the network and claude.base_url") from None
    return f"the key works; newest model {models.data[0].id}" if models.data else "the key works"
