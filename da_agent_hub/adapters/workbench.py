"""A place to try things: a private checkout, a warm dbt process and a private warehouse, gone when it is closed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config import GitHubSettings, ProjectSettings, StateSettings
from ..domain.dbt import ProjectGraph
from ..domain.investigation import FileChange
from ..domain.issue import GITHUB_COM, RepoRef
from ..ports import Commit, DbtResult, QueryResult
from .dbt_artifacts import UnreadableArtifactError, read_manifest
from .dbt_process import DbtProcess, WorkerDiedError
from .dbt_profile import PrivateProfile, write_private_profile
from .git_checkout import GitCheckout, Mirror, PrivateDirectory
from .github_auth import git_token
from .read_only_sql import QueryRefusedError, read_only_select

QUERY_SECONDS = 60.0
# Commands that need no warehouse, for a project without a verification target.
_WITHOUT_WAREHOUSE = {"parse", "ls", "list", "deps"}


class GitWorkbench:
    """A ``Workbench`` over git and dbt. ``notes`` says, a sentence each, what it has to do without.

    ``newest`` is the commit that the project's branch had when the workbench was opened.
    """

    def __init__(self, project: ProjectSettings, state: StateSettings, github: GitHubSettings | None) -> None:
        self.project = project.name
        self.dbt_directory = project.dbt_directory.strip("/") or "."
        self.notes: list[str] = []
        checkouts = state.checkouts_dir.absolute()
        checkouts.mkdir(parents=True, exist_ok=True)
        url = clone_url(project, github)
        mirror = Mirror(checkouts, url, git_token(github) if github and "://" in url else None)
        self.newest = mirror.fetch(branch=project.branch)
        self._private = PrivateDirectory(checkouts)
        try:
            private = self._private.path
            home = private / "home"
            home.mkdir()
            self.root = private / "repository"
            self._git = GitCheckout(mirror, self.root, home)
            self._git.checkout(self.newest)
            oldest = self._git.begins_late()
            self.history_begins = f"{oldest.sha[:10]} of {oldest.committed_at:%Y-%m-%d}" if oldest else None
            if self.history_begins:
                self.notes.append(f"the repository was cloned in part: its history begins at {self.history_begins}")
            self._clone = Path(url) if "://" not in url and Path(url).is_dir() else None
            environment = _dbt_environment(home, project.verification.environment)
            production = self._clone / self.dbt_directory if self._clone else None
            self._profile: PrivateProfile = write_private_profile(
                self._dbt_root(), private, project.verification, environment, production
            )
            self.target = self._profile.target
            self.can_run_dbt = self._profile.runnable
            if not self.can_run_dbt:
                self.notes.append("no verification target is configured, so dbt only parsed here and ran nothing")
            self._timeout = project.verification.timeout_seconds
            self._process = DbtProcess(private, environment)
            self._graphs: dict[str, ProjectGraph | None] = {}
            self._connected = False
            self._parsed = checkouts / "parsed" / f"{mirror.path.stem}.msgpack"
            self._remember_parsing()
            self._install_packages()
        except BaseException:
            self._private.remove()
            raise

    # git
    def checkout(self, sha: str) -> None:
        """Move the checkout to a commit, with nothing left over from before."""
        self._git.checkout(sha)

    def head(self) -> str:
        """The commit that is checked out."""
        return self._git.head()

    def read(self, path: str) -> str | None:
        """A file's text, or None where there is none."""
        return self._git.read(path)

    def apply(self, changes: Sequence[FileChange]) -> None:
        """Write a patch into the checkout; raises where a path leaves it."""
        self._git.apply(changes)

    def diff(self) -> str:
        """The real ``git diff`` of the checkout against its commit, new files included."""
        return self._git.diff()

    def commits(self, since: str | None, until: str, paths: Sequence[str] = ()) -> Sequence[Commit]:
        """Commits in ``since..until``, newest first, that touch one of the paths (any, where none is given)."""
        return self._git.commits(since, until, paths)

    def show(self, sha: str, paths: Sequence[str] = ()) -> str:
        """A commit's diff, limited to paths."""
        return self._git.show(sha, paths)

    def read_at(self, sha: str, path: str) -> str | None:
        """A file's text at a commit."""
        return self._git.read_at(sha, path)

    # dbt
    def dbt(self, *arguments: str, timeout: float = 300.0) -> DbtResult:
        """Run dbt in the checkout; a crash or a time-out of dbt is a failed result, never an exception."""
        started = time.monotonic()
        command = " ".join(["dbt", *arguments])
        if not self.can_run_dbt and (not arguments or arguments[0] not in _WITHOUT_WAREHOUSE):
            return DbtResult(command, False, {}, {}, "not run: no verification target is configured", 0.0)
        private = self._private.path
        places: list[str] = ["--project-dir", str(self._dbt_root()), "--profiles-dir", str(self._profile.directory)]
        places += ["--target", self.target]
        if arguments[0] != "deps":
            places += ["--target-path", str(private / "target")]
        flags = ["--log-path", str(private / "logs"), "--no-use-colors", "--log-level-file", "none"]
        flags += ["--no-send-anonymous-usage-stats", "--no-version-check"]
        request = {"verb": "dbt", "arguments": [*flags, *arguments, *places]}
        try:
            answer = self._process.ask(request, min(timeout, self._timeout))
        except WorkerDiedError as death:
            self._connected = False
            seconds = time.monotonic() - started
            return DbtResult(command, False, {}, {}, str(death), seconds, timed_out=death.timed_out)
        self._connected = True
        if "error" in answer:
            answer = {"ok": False, "log": str(answer["error"])}
        return DbtResult(
            command=command,
            ok=bool(answer["ok"]),
            statuses=answer.get("statuses", {}),
            messages=answer.get("messages", {}),
            log=self._without_places(answer.get("log", "")),
            seconds=time.monotonic() - started,
            compiled=answer.get("compiled", {}),
        )

    def graph(self) -> ProjectGraph | None:
        """The lineage of what is checked out, by ``dbt parse``; None where it does not parse."""
        key = f"{self.head()} {hash(self.diff())}"
        if key not in self._graphs:
            manifest = self._private.path / "target" / "manifest.json"
            manifest.unlink(missing_ok=True)
            parsed = self.dbt("parse", timeout=self._timeout)
            self._graphs[key] = None
            if parsed.ok and manifest.exists():
                try:
                    self._graphs[key] = read_manifest(manifest.read_bytes(), self.project)
                except UnreadableArtifactError as error:
                    self.notes.append(f"the manifest could not be read: {error}")
        return self._graphs[key]

    def query(self, sql: str, limit: int = 50) -> QueryResult:
        """One read-only SELECT (``ref`` and ``source`` allowed) against the private warehouse; refusals are errors."""
        if not self.can_run_dbt:
            return QueryResult(error="not run: no verification target is configured")
        try:
            graph = self.graph() if "{{" in sql else None
            statement = read_only_select(sql, self._profile.adapter_type, graph)
        except QueryRefusedError as refusal:
            return QueryResult(error=str(refusal))
        if not self._connected:
            self.dbt("parse", timeout=self._timeout)
        try:
            answer = self._process.ask({"verb": "query", "sql": statement, "limit": limit}, QUERY_SECONDS)
        except WorkerDiedError as death:
            self._connected = False
            return QueryResult(error=str(death))
        if "error" in answer:
            return QueryResult(error=str(answer["error"]))
        rows = tuple(tuple(row) for row in answer["rows"])
        return QueryResult(tuple(answer["columns"]), rows, bool(answer["truncated"]))

    def reset_warehouse(self) -> None:
        """Put the private warehouse back to what production holds now."""
        if self._profile.databases:
            try:
                self._process.ask({"verb": "release"}, 30.0)
            except WorkerDiedError:
                self._connected = False
            for database in self._profile.databases:
                database.refresh()

    def close(self) -> None:
        """Remove the checkout and end its processes."""
        self._process.end()
        self._keep_parsing()
        self._private.remove()

    def _remember_parsing(self) -> None:
        # What dbt parsed for an earlier workbench; it checks itself, file by file, what of that still holds.
        if self._parsed.exists():
            target = self._private.path / "target"
            target.mkdir()
            with suppress(OSError):
                shutil.copyfile(self._parsed, target / "partial_parse.msgpack")

    def _keep_parsing(self) -> None:
        written = self._private.path / "target" / "partial_parse.msgpack"
        if written.exists():
            self._parsed.parent.mkdir(exist_ok=True)
            with suppress(OSError):
                written.replace(self._parsed)

    def _dbt_root(self) -> Path:
        return self.root / self.dbt_directory if self.dbt_directory != "." else self.root

    def _without_places(self, log: str) -> str:
        return log.replace(str(self._private.path) + os.sep, "")

    def _install_packages(self) -> None:
        """Packages come from the operator's own copy of the project where it has them, else from ``dbt deps``."""
        root = self._dbt_root()
        if not any((root / name).exists() for name in ("packages.yml", "dependencies.yml")):
            return
        if (root / "dbt_packages").exists():
            return
        if self._clone is not None and (self._clone / self.dbt_directory / "dbt_packages").is_dir():
            shutil.copytree(self._clone / self.dbt_directory / "dbt_packages", root / "dbt_packages", symlinks=True)
            return
        installed = self.dbt("deps", timeout=120.0)
        if not installed.ok:
            self.notes.append(f"dbt packages could not be installed: {installed.log.strip()[-300:]}")


def clone_url(project: ProjectSettings, github: GitHubSettings | None) -> str:
    """Where the project's repository is cloned from: ``clone_url``, or the GitHub host's own address."""
    if project.clone_url:
        return project.clone_url if "://" in project.clone_url else str(Path(project.clone_url).expanduser().absolute())
    repo = RepoRef.parse(project.repo)
    host = github.host if github else repo.host
    scheme = (urlsplit(github.base_url).scheme if github and host != GITHUB_COM else "") or "https"
    return f"{scheme}://{host}/{repo.full_name}.git"


@contextmanager
def open_workbench(
    project: ProjectSettings, state: StateSettings, github: GitHubSettings | None
) -> Iterator[GitWorkbench]:
    """A workbench at the newest commit of the project's branch, closed at the end whatever happens.

    Raises:
        CheckoutError: where the repository cannot be cloned.
        ProfileError: where the verification target cannot be used.
    """
    bench = GitWorkbench(project, state, github)
    try:
        yield bench
    finally:
        bench.close()


def _dbt_environment(home: Path, allowed: Sequence[str]) -> Mapping[str, str]:
    # No token, no key: only what dbt and its adapter need to start, and what the operator named.
    environment: dict[str, Any] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2])]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
    if "da_agent_hub" in sys.modules and "VIRTUAL_ENV" in os.environ:
        environment["VIRTUAL_ENV"] = os.environ["VIRTUAL_ENV"]
    for name in allowed:
        if name in os.environ:
            environment[name] = os.environ[name]
    return environment
