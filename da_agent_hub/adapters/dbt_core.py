"""Runs of dbt Core, from the artifacts that it leaves: each invocation of dbt is one run, wherever its files lie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from ..config import DbtCoreSource
from ..domain.dbt import DbtRun, DbtStep, Outcome, ProjectGraph
from ..domain.expected_runs import DbtJob
from ..ports import DbtRunSummary
from .dbt_artifacts import Invocation, UnreadableArtifactError, read_manifest, read_run_results, read_sources
from .dbt_log import DbtLog, read_log
from .run_folders import LOG, MANIFEST, MARKER, RUN_RESULTS, SOURCES, RunFolder, RunFolders, RunFoldersError
from .run_marker import RunMarker, read_marker
from .seen_runs import SeenFolder, SeenRun, SeenRuns

_LOG_TAIL = 20_000
_LONGEST_LOG = 4_000_000
# How long a file must have been left alone before what is wrong with it is believed.
_SETTLED = timedelta(minutes=2)
_LONGEST_UPLOAD = timedelta(hours=1)
_CLOCK_SLACK = timedelta(seconds=30)
_SHA_VARIABLES = ("DBT_CLOUD_GIT_SHA", "GIT_SHA", "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "COMMIT_SHA")
_BRANCH_VARIABLES = ("GIT_BRANCH", "GITHUB_REF_NAME", "CI_COMMIT_BRANCH", "BRANCH")
_READERS: tuple[tuple[str, Callable[[bytes], Invocation]], ...] = (
    (SOURCES, read_sources),
    (RUN_RESULTS, read_run_results),
)


class DbtCoreError(Exception):
    """The artifacts are not where the settings say; the message names the path and the next step."""


@dataclass(frozen=True)
class _Content:
    """One folder, read: ``broken`` maps an artifact to what is wrong with it."""

    folder: RunFolder
    invocations: Mapping[str, Invocation]
    broken: Mapping[str, str]
    log: DbtLog | None
    marker: RunMarker
    target: str | None
    settled: bool


class DbtCoreRuns:
    """A ``DbtRunSource`` over files; ``git_sha`` and ``environment`` stand in where the artifacts do not say.

    A ``target/`` directory holds the newest runs, an archive one folder a run, at any depth. dbt keeps the variables
    that begin with ``DBT_ENV_CUSTOM_ENV_``: one of ``GIT_SHA``, ``GITHUB_SHA`` or ``CI_COMMIT_SHA`` after that prefix
    tells the commit. The environment is the target of the run. What was listed before is kept in ``memory``, a
    directory, so that a folder is read again only where one of its files changed.
    """

    def __init__(
        self,
        source: DbtCoreSource,
        *,
        git_sha: str | None = None,
        environment: str | None = None,
        memory: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._folders = RunFolders(source.path, source.storage_options)
        self._git_sha = git_sha
        self._environment = environment or source.environment
        self._expected_every_hours = source.expected_every_hours
        self._now = now
        self._seen = SeenRuns(memory, self._folders.place)
        self._by_name: dict[str, RunFolder] = {}
        self._by_run: dict[str, RunFolder] = {}
        self._marked_since: datetime | None = None
        self._lock = threading.Lock()

    def finished_runs(self, project: str, since: datetime, until: datetime) -> Sequence[DbtRunSummary]:
        """Runs that finished in ``[since, until)``, oldest first.

        Raises:
            DbtCoreError: there is no such place, it cannot be reached, or it holds no artifact.
        """
        self._look(project)
        found: dict[str, DbtRunSummary] = {}
        for _, seen in self._seen.runs():
            # A folder that was copied holds the same invocations: each counts once.
            if since <= seen.finished_at < until and seen.run_id not in found:
                found[seen.run_id] = DbtRunSummary(
                    project=project,
                    run_id=seen.run_id,
                    job_id=seen.job_id,
                    job_name=seen.job_name,
                    status=seen.status,
                    finished_at=seen.finished_at,
                    url=seen.url,
                )
        return sorted(found.values(), key=lambda one: (one.finished_at, one.run_id))

    def read_run(self, project: str, run_id: str) -> DbtRun:
        """One run, by its id or its folder's name; what cannot be read is said in ``DbtRun.unread``.

        Raises:
            DbtCoreError: no folder holds that run (any more).
        """
        folder = self._folder_of(project, run_id)
        runs = list(self._runs_in(project, self._content(folder)))
        for run in reversed(runs):
            if run_id in (run.run_id, folder.name, PurePosixPath(folder.name).name):
                return run
        raise DbtCoreError(f"{self._folders.place} holds no run {run_id} any more. It was removed or written over.")

    def read_graph(self, project: str, run_id: str) -> ProjectGraph | None:
        """The lineage beside a run's results, or None where there is none.

        Raises:
            DbtCoreError: the manifest is there and cannot be read.
        """
        manifest = self._folder_of(project, run_id).files.get(MANIFEST)
        if manifest is None:
            return None
        try:
            return read_manifest(self._folders.read(manifest), project)
        except (RunFoldersError, UnreadableArtifactError) as error:
            raise DbtCoreError(str(error)) from error

    def jobs(self, project: str) -> Sequence[DbtJob]:
        """All of the project's runs as one job, where the settings say how often they are expected."""
        hours = self._expected_every_hours
        return () if hours is None else (DbtJob("", "dbt Core", every_hours=hours),)

    def going_jobs(self, project: str) -> frozenset[str]:
        """None: artifacts tell of what has ended."""
        return frozenset()

    def _look(self, project: str) -> None:
        """Read the folders that are new or changed since the last look."""
        with self._lock:
            try:
                folders = self._folders.found()
            except RunFoldersError as error:
                raise DbtCoreError(str(error)) from error
            self._by_name = {folder.name: folder for folder in folders}
            marked = [folder.files[MARKER].written_at for folder in folders if MARKER in folder.files]
            self._marked_since = min(marked) if marked else None
            self._seen.forget_all_but(self._by_name)
            for folder in folders:
                if self._seen.stamp(folder.name) == folder.stamp or self._is_being_uploaded(folder):
                    continue
                content = self._content(folder)
                runs = list(self._runs_in(project, content))
                stamp = folder.stamp if content.settled else ""
                self._seen.keep(folder.name, SeenFolder(stamp, [_seen(run) for run in runs]))
            self._by_run = self._each_under_its_names()
            self._seen.save()

    def _each_under_its_names(self) -> dict[str, RunFolder]:
        """The folder of each run, by the run's id and by its own name, with and without what is above it."""
        found: dict[str, RunFolder] = {}
        for name, seen in self._seen.runs():
            for known_as in (seen.run_id, name, PurePosixPath(name).name):
                found.setdefault(known_as, self._by_name[name])
        return found

    def _folder_of(self, project: str, run_id: str) -> RunFolder:
        for _ in range(2):
            folder = self._by_run.get(run_id)
            if folder is not None:
                return folder
            self._look(project)
        raise DbtCoreError(f"{self._folders.place} holds no run {run_id} any more. It was removed or written over.")

    def _lacks_its_marker(self, folder: RunFolder) -> bool:
        """Where whoever archives writes a marker last, a newer folder without one is not whole."""
        since = self._marked_since
        return MARKER not in folder.files and since is not None and folder.written_at >= since

    def _is_being_uploaded(self, folder: RunFolder) -> bool:
        return self._lacks_its_marker(folder) and self._now() - folder.written_at < _LONGEST_UPLOAD

    def _content(self, folder: RunFolder) -> _Content:
        broken: dict[str, str] = {}
        invocations: dict[str, Invocation] = {}
        targets: list[str] = []
        marker = read_marker(self._bytes(folder, MARKER, broken))
        for name, read in _READERS:
            payload = self._bytes(folder, name, broken)
            if payload is None:
                continue
            try:
                found = read(payload)
            except UnreadableArtifactError as error:
                broken[name] = str(error)
                continue
            targets += [found.target] if found.target else []
            is_left_over = marker.began_after(found.generated_at, _CLOCK_SLACK)
            if found.command != "generate" and not is_left_over:
                invocations[name] = found
        text = self._bytes(folder, LOG, broken, end=_LONGEST_LOG)
        log = read_log(text, folder.files[LOG].written_at) if text is not None else None
        is_quiet = MARKER in folder.files or self._now() - folder.written_at >= _SETTLED
        return _Content(folder, invocations, broken, log, marker, targets[-1] if targets else None, is_quiet)

    def _bytes(self, folder: RunFolder, name: str, broken: dict[str, str], end: int | None = None) -> bytes | None:
        file = folder.files.get(name)
        if file is None:
            return None
        try:
            return self._folders.read(file) if end is None else self._folders.read_end(file, end)
        except RunFoldersError as error:
            broken[name] = str(error)
            return None

    def _runs_in(self, project: str, content: _Content) -> Iterator[DbtRun]:
        """The runs of a folder: one an invocation that left results, and one where only a log or nothing tells of it."""
        log = content.log
        known = {one.invocation_id for one in content.invocations.values()}
        newest = max((one.generated_at for one in content.invocations.values() if one.generated_at), default=None)
        failed = False
        for name, invocation in content.invocations.items():
            run = self._of_invocation(project, content, name, invocation)
            failed = failed or run.status == "error"
            yield run
        # A command that could not parse the project leaves the results of the one before it in place.
        is_last = log is not None and log.invocation_id not in known and (newest is None or log.written_at >= newest)
        is_over = content.settled or (log is not None and log.is_closed)
        tells = log is not None and is_last and log.tells_of_an_error and is_over
        broken = dict(content.broken) if content.settled else {}
        if self._lacks_its_marker(content.folder):
            broken[MARKER] = f"the folder holds no {MARKER}: its upload was cut short"
        if tells or broken:
            failed = True
            yield self._without_results(project, content, log if is_last else None, tells=bool(tells), broken=broken)
        if content.marker.exit_code and not failed:
            yield self._told_by_its_end(project, content)

    def _of_invocation(self, project: str, content: _Content, name: str, found: Invocation) -> DbtRun:
        log = content.log
        is_its_log = log is not None and log.invocation_id is not None and log.invocation_id == found.invocation_id
        bad = any(result.outcome is Outcome.BAD for result in found.results)
        status = "error" if bad or (log is not None and is_its_log and log.tells_of_an_error) else "success"
        command = found.command or ("source freshness" if name == SOURCES else "build")
        step = DbtStep(
            index=1,
            name=f"dbt {'source freshness' if command == 'freshness' else command}",
            status=status,
            results=found.results,
            log=log.text[-_LOG_TAIL:] if log is not None and is_its_log and status == "error" else "",
            invocation_id=found.invocation_id,
            broken=found.unread,
        )
        variables = found.environment or {}
        finished = found.generated_at or content.marker.finished_at or content.folder.files[name].written_at
        run = self._run(project, content, step, finished, found.invocation_id or f"{name}-{finished:%Y%m%dT%H%M%S}")
        return replace(
            run,
            environment=content.marker.environment or self._environment or found.target or run.environment,
            git_sha=_variable(variables, _SHA_VARIABLES) or run.git_sha,
            git_branch=_variable(variables, _BRANCH_VARIABLES) or run.git_branch,
        )

    def _without_results(
        self, project: str, content: _Content, log: DbtLog | None, *, tells: bool, broken: Mapping[str, str]
    ) -> DbtRun:
        command = "source freshness" if set(broken) == {SOURCES} else (log and log.command) or "build"
        step = DbtStep(
            index=1,
            name=f"dbt {command}",
            status="error",
            log=log.text[-_LOG_TAIL:] if log and tells else "",
            invocation_id=log.invocation_id if log else None,
            broken=tuple(broken.values()),
        )
        written = log.written_at if log and tells else content.folder.written_at
        finished = content.marker.finished_at or written
        return self._run(project, content, step, finished, (log and log.invocation_id) or f"{finished:%Y%m%dT%H%M%S}")

    def _told_by_its_end(self, project: str, content: _Content) -> DbtRun:
        finished = content.marker.finished_at or content.folder.written_at
        log = content.log
        identity = log.invocation_id if log and log.invocation_id else f"{finished:%Y%m%dT%H%M%S}"
        told = {one.invocation_id for one in content.invocations.values()}
        run = self._run(project, content, None, finished, f"{identity}-end" if identity in told else identity)
        end = f"\n{log.end}" if log else ""
        said = f"dbt ended with exit code {content.marker.exit_code}, and no result of it says why.{end}"
        return replace(run, status="error", status_message=said)

    def _run(self, project: str, content: _Content, step: DbtStep | None, finished: datetime, identity: str) -> DbtRun:
        marker = content.marker
        usual = self._environment or content.target or self._seen.newest_environment() or "default"
        is_named = "-" in identity and len(identity) == 36
        return DbtRun(
            project=project,
            environment=marker.environment or usual,
            job_id=marker.job or "dbt-core",
            job_name=marker.job or "dbt Core",
            run_id=identity if is_named else f"{content.folder.name.replace('/', '-') or 'target'}-{identity}",
            url=marker.url or self._folders.url(content.folder),
            status=step.status if step and not step.broken else "error",
            finished_at=finished,
            started_at=marker.started_at,
            git_sha=marker.git_sha or self._git_sha,
            git_branch=marker.git_branch,
            steps=(step,) if step else (),
            unread=step.broken if step else (),
        )


def _seen(run: DbtRun) -> SeenRun:
    return SeenRun(run.run_id, run.job_id, run.job_name, run.status, run.finished_at, run.url, run.environment)


def _variable(variables: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((str(variables[name]) for name in names if variables.get(name)), None)
