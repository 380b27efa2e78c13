"""Runs of dbt Core, from the artifacts that it leaves: a ``target/`` directory, or a folder with one folder a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..config import DbtCoreSource
from ..domain.dbt import DbtRun, DbtStep, Outcome, ProjectGraph
from ..domain.step_log import logged_errors
from ..ports import DbtRunSummary
from .dbt_artifacts import Invocation, UnreadableArtifactError, read_manifest, read_run_results, read_sources

_ARTIFACTS = ("run_results.json", "sources.json", "manifest.json")
_LOG_TAIL = 20_000
# dbt.log is appended to; each invocation begins with a line of its own.
_INVOCATION = re.compile(r"^=+ (?:\d{4}-\d\d-\d\d )?(\d\d:\d\d:\d\d(?:\.\d+)?) \| ([0-9a-f-]{36}) =+\s*$", re.MULTILINE)
_SHA_VARIABLES = ("DBT_CLOUD_GIT_SHA", "GIT_SHA", "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "COMMIT_SHA")
_BRANCH_VARIABLES = ("GIT_BRANCH", "GITHUB_REF_NAME", "CI_COMMIT_BRANCH", "BRANCH")


class DbtCoreError(Exception):
    """The artifacts are not where the settings say; the message names the path and the next step."""


@dataclass(frozen=True)
class _Log:
    invocation_id: str | None
    text: str
    written_at: datetime

    @property
    def tells_of_an_error(self) -> bool:
        return bool(logged_errors(self.text))


class DbtCoreRuns:
    """A ``DbtRunSource`` over files; ``git_sha`` and ``environment`` stand in where the artifacts do not say.

    dbt keeps the variables that begin with ``DBT_ENV_CUSTOM_ENV_``: one of ``GIT_SHA``, ``GITHUB_SHA`` or
    ``CI_COMMIT_SHA`` after that prefix tells the commit. The environment is the target of the run.
    """

    def __init__(self, source: DbtCoreSource, *, git_sha: str | None = None, environment: str | None = None) -> None:
        self._path = source.path
        self._git_sha = git_sha
        self._environment = environment

    def finished_runs(self, project: str, since: datetime, until: datetime) -> Sequence[DbtRunSummary]:
        """Runs that finished in ``[since, until)``, oldest first.

        Raises:
            DbtCoreError: there is no such directory, or it holds no artifact.
        """
        found = []
        for directory in self._directories():
            run = self._read(project, directory)
            ran = run.steps or run.unread
            if ran and since <= run.finished_at < until:
                found.append(
                    DbtRunSummary(
                        project=project,
                        run_id=run.run_id,
                        job_id=run.job_id,
                        job_name=run.job_name,
                        status=run.status,
                        finished_at=run.finished_at,
                        url=run.url,
                    )
                )
        return sorted(found, key=lambda one: (one.finished_at, one.run_id))

    def read_run(self, project: str, run_id: str) -> DbtRun:
        """One run with its steps; what cannot be read is said in ``DbtRun.unread``.

        Raises:
            DbtCoreError: no folder holds that run (any more).
        """
        return self._read(project, self._directory_of(project, run_id))

    def read_graph(self, project: str, run_id: str) -> ProjectGraph | None:
        """The lineage beside a run's results, or None where there is none that can be read."""
        try:
            return read_manifest((self._directory_of(project, run_id) / "manifest.json").read_bytes(), project)
        except (OSError, UnreadableArtifactError):
            return None

    def _directories(self) -> list[Path]:
        if not self._path.is_dir():
            raise DbtCoreError(f"{self._path} is no directory. Set `source.path` to dbt's target/ directory.")
        if _holds_artifacts(self._path) or _log_of(self._path):
            return [self._path]
        found = sorted(one for one in self._path.iterdir() if one.is_dir() and (_holds_artifacts(one) or _log_of(one)))
        if not found:
            raise DbtCoreError(
                f"{self._path} holds no dbt artifact, nor a folder that does. Run dbt there first, "
                "or set `source.path` to a target/ directory or to a folder with one folder a run."
            )
        return found

    def _directory_of(self, project: str, run_id: str) -> Path:
        for directory in self._directories():
            if directory.name == run_id or self._read(project, directory).run_id == run_id:
                return directory
        raise DbtCoreError(f"{self._path} holds no run {run_id} any more. It was removed or written over.")

    def _read(self, project: str, directory: Path) -> DbtRun:
        unread: list[str] = []
        invocations = [
            (name, found)
            for name, read in (("sources.json", read_sources), ("run_results.json", read_run_results))
            if (found := _invocation(directory / name, read, unread)) is not None and found.command != "generate"
        ]
        log = _log_of(directory)
        newest = max((one.generated_at for _, one in invocations if one.generated_at), default=None)
        known = {one.invocation_id for _, one in invocations}
        stopped = log is not None and log.invocation_id not in known and log.tells_of_an_error
        if stopped and log is not None and (newest is None or log.written_at >= newest):
            # A command that could not parse the project leaves the results of the one before it in place.
            invocations = []
        steps = [_step(index, name, found) for index, (name, found) in enumerate(invocations, 1)]
        if not steps and log is not None and log.tells_of_an_error:
            steps = [DbtStep(1, "dbt", "error", log=log.text[-_LOG_TAIL:], invocation_id=log.invocation_id)]
        last = invocations[-1][1] if invocations else None
        identity = steps[-1].invocation_id if steps else None
        finished = (newest if invocations else None) or (log.written_at if log else _written_at(directory))
        variables = (last.environment if last else None) or {}
        return DbtRun(
            project=project,
            environment=self._environment or (last.target if last else None) or "default",
            job_id="dbt-core",
            job_name="dbt Core",
            run_id=self._run_id(directory, identity, finished),
            url=directory.resolve().as_uri(),
            status="error" if unread or not steps or any(one.status == "error" for one in steps) else "success",
            finished_at=finished,
            git_sha=_variable(variables, _SHA_VARIABLES) or self._git_sha,
            git_branch=_variable(variables, _BRANCH_VARIABLES),
            steps=tuple(steps),
            unread=tuple(unread),
        )

    def _run_id(self, directory: Path, invocation_id: str | None, finished: datetime) -> str:
        if directory != self._path:
            return directory.name
        return invocation_id or hashlib.sha256(finished.isoformat().encode()).hexdigest()[:16]


def _holds_artifacts(directory: Path) -> bool:
    return any((directory / name).is_file() for name in _ARTIFACTS)


def _invocation(path: Path, read: Callable[[bytes], Invocation], unread: list[str]) -> Invocation | None:
    try:
        found = read(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, UnreadableArtifactError) as error:
        unread.append(str(error))
        return None
    unread += found.unread
    return found


def _step(index: int, artifact: str, found: Invocation) -> DbtStep:
    bad = any(result.outcome is Outcome.BAD for result in found.results)
    command = found.command or ("source freshness" if artifact == "sources.json" else "build")
    return DbtStep(
        index=index,
        name=f"dbt {command}",
        status="error" if bad else "success",
        results=found.results,
        invocation_id=found.invocation_id,
    )


def _log_of(directory: Path) -> _Log | None:
    """The part of dbt.log that the last invocation wrote."""
    places = [directory / "dbt.log", directory / "logs" / "dbt.log"]
    if directory.name == "target" or _holds_artifacts(directory):
        places.append(directory.parent / "logs" / "dbt.log")
    for path in places:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            written = path.stat().st_mtime
        except OSError:
            continue
        begins = list(_INVOCATION.finditer(text))
        last = begins[-1] if begins else None
        return _Log(
            invocation_id=last[2] if last else None,
            text=text[last.end() :] if last else text,
            written_at=datetime.fromtimestamp(written, timezone.utc),
        )
    return None


def _written_at(directory: Path) -> datetime:
    newest = max((path.stat().st_mtime for name in _ARTIFACTS if (path := directory / name).is_file()), default=0.0)
    return datetime.fromtimestamp(newest or directory.stat().st_mtime, timezone.utc)


def _variable(variables: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((variables[name] for name in names if variables.get(name)), None)
