"""Finished dbt Cloud runs, read step by step, believing only artifacts that the step itself wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

from ..config import DbtCloudSource
from ..domain.dbt import DbtRun, DbtStep, ProjectGraph
from ..domain.expected_runs import DbtJob
from ..ports import DbtRunSummary
from .artifact_cache import ArtifactCache
from .dbt_artifacts import (
    Invocation,
    UnreadableArtifactError,
    aware,
    read_manifest,
    read_run_results,
    read_sources,
)
from .dbt_cloud_api import DbtCloudApi, DbtCloudError, DbtCloudNotFoundError
from .dbt_cloud_listing import ListedRun, RunListing, finish_time, listed_run, part, run_status
from .dbt_step_command import always_leaves_results, artifacts_of, can_have_written, dbt_commands

_STEP_STATUS = {10: "success", 20: "error", 30: "cancelled"}
_LOGS = ("logs", "truncated_debug_logs", "debug_logs")
_LOG_TAIL = 20_000
# Two clocks in one dbt Cloud differ by seconds as a rule, but the machine that ran dbt may be minutes off.
_CLOCK_SLACK = timedelta(seconds=30)
_CLOCK_SKEW = timedelta(minutes=15)

_READERS: Mapping[str, Callable[[bytes], Invocation]] = {
    "run_results.json": read_run_results,
    "sources.json": read_sources,
}

_Artifact = TypeVar("_Artifact")


@dataclass(frozen=True)
class _Step:
    """A step as dbt Cloud tells it; ``index`` is its 1-based place where dbt Cloud gives none."""

    index: int
    name: str
    commands: tuple[str, ...]
    raw: Mapping[str, Any]

    def __str__(self) -> str:
        return f"Step {self.index} ({self.name})"


@dataclass
class _Reading:
    """What was met so far in a run: sentences, and whether an earlier step's results are unknown.

    ``broken`` holds, by step, what is said of artifacts that are there and are not what they should be.
    """

    run: Mapping[str, Any]
    unread: list[str] = field(default_factory=list)
    broken: dict[int, list[str]] = field(default_factory=dict)
    has_unread_results: bool = False


class DbtCloudRuns:
    """A ``DbtRunSource`` over one dbt Cloud account; sources of one account share a ``listing``."""

    def __init__(
        self,
        source: DbtCloudSource,
        artifacts_dir: Path,
        *,
        api: DbtCloudApi | None = None,
        listing: RunListing | None = None,
    ) -> None:
        self._source = source
        self._listing = listing or listing_of(source, [source], api=api)
        self._api = self._listing.api
        self._cache = ArtifactCache(artifacts_dir)

    def finished_runs(self, project: str, since: datetime, until: datetime) -> Sequence[DbtRunSummary]:
        """Runs that finished in ``[since, until)``, oldest first; those for pull requests are left out.

        Raises:
            DbtCloudError: the listing failed.
        """
        listed = self._listing.finished(since, until, f"Listing finished dbt runs of {project}")
        return [
            DbtRunSummary(
                project=project,
                run_id=run.run_id,
                job_id=run.job_id,
                job_name=run.job_name,
                status=run.status,
                finished_at=run.finished_at,
                url=self._url(run),
            )
            for run in listed
            if self._is_wanted(run)
        ]

    def read_run(self, project: str, run_id: str) -> DbtRun:
        """All steps of a run; what cannot be read is said in ``DbtRun.unread``.

        Raises:
            DbtCloudError: the run itself could not be read.
        """
        operation = f"Reading dbt run {run_id} of {project}"
        run = self._run(run_id, operation)
        reading = _Reading(run)
        left = [(step, self._invocations(step, reading)) for step in _steps(run)]
        steps = [_read_step(step, found, reading) for step, found in _each_once(left, run)]
        listed = listed_run(run)
        if listed is None:
            raise DbtCloudError(f"{operation}: it has not finished. It is read when it has.")
        status = run_status(run)
        if status is not None and not status[1]:
            reading.unread.append(
                f"dbt Cloud gave the run a status that is not known ({run.get('status')}): taken as {listed.status}."
            )
        message = str(run.get("status_message") or "").strip()
        if not steps and listed.status == "error" and not message:
            reading.unread.append("dbt Cloud listed no steps, and said nothing of why the run failed.")
        trigger = part(run, "trigger")
        return DbtRun(
            project=project,
            environment=part(run, "environment").get("name") or str(run.get("environment_id") or ""),
            job_id=listed.job_id,
            job_name=listed.job_name,
            run_id=listed.run_id,
            url=self._url(listed),
            status=listed.status,
            finished_at=listed.finished_at,
            started_at=aware(run.get("started_at")),
            git_sha=run.get("git_sha") or trigger.get("git_sha") or None,
            git_branch=run.get("git_branch") or trigger.get("git_branch") or None,
            steps=tuple(steps),
            unread=tuple(reading.unread),
            status_message=message[:_LOG_TAIL],
        )

    def read_graph(self, project: str, run_id: str) -> ProjectGraph | None:
        """The lineage as of a run, or None where no step of it left a manifest that can be read.

        Raises:
            DbtCloudError: dbt Cloud could not be asked.
        """
        run = self._run(run_id, f"Reading dbt run {run_id} of {project}")
        for step in reversed([step for step in _steps(run) if step.commands]):
            try:
                graph = self._artifact(run_id, step, "manifest.json", lambda body: read_manifest(body, project))
            except UnreadableArtifactError:
                continue
            if graph is not None:
                return graph
        return None

    def jobs(self, project: str) -> Sequence[DbtJob]:
        """The project's jobs with their schedules; those for pull requests are left out.

        Raises:
            DbtCloudError: the listing failed.
        """
        listed = self._listing.jobs.jobs(f"Listing the dbt jobs of {project}")
        return [one.job for one in listed if self._is_of_source(one.project_id, one.environment_id, one.job.job_id)]

    def going_jobs(self, project: str) -> frozenset[str]:
        """Ids of jobs, of any project, of which a run is queued, starting or running.

        Raises:
            DbtCloudError: the runs could not be listed.
        """
        return self._listing.jobs.going(f"Listing the running dbt runs of {project}")

    def _run(self, run_id: str, operation: str) -> dict[str, Any]:
        asked = {"include_related": "run_steps,trigger,job,environment"}
        run = {"id": run_id, **self._api.one(f"runs/{run_id}/", asked, operation)}
        if str(run["id"]) != run_id:
            raise DbtCloudError(f"{operation}: dbt Cloud answered with run {run['id']} in its place. Try again later.")
        return run

    def _is_wanted(self, run: ListedRun) -> bool:
        return not run.for_a_change and self._is_of_source(run.project_id, run.environment_id, run.job_id)

    def _is_of_source(self, project_id: int | None, environment_id: int | None, job_id: str) -> bool:
        source = self._source
        return (
            source.project_id in (None, project_id)
            and (not source.job_ids or job_id in {str(one) for one in source.job_ids})
            and (not source.environment_ids or environment_id in source.environment_ids)
        )

    def _url(self, run: ListedRun) -> str:
        if run.href.startswith(("http://", "https://")):
            return run.href
        return f"{self._api.host}/deploy/{self._api.account_id}/projects/{run.project_id}/runs/{run.run_id}/"

    def _invocations(self, step: _Step, reading: _Reading) -> Sequence[Invocation]:
        """What can be a step's own results among the artifacts that it left."""
        wanted = artifacts_of(step.commands, with_freshness=reading.run.get("has_sources_generated") is True)
        found = []
        was_unread = reading.has_unread_results
        for artifact in wanted:
            try:
                one = self._artifact(str(reading.run["id"]), step, artifact, _READERS[artifact])
            except (UnreadableArtifactError, DbtCloudError) as error:
                reading.unread.append(f"{step}: {error}")
                reading.has_unread_results = True
                if isinstance(error, UnreadableArtifactError):
                    reading.broken.setdefault(step.index, []).append(str(error))
                continue
            if one is None or not _is_of(one, step, reading.run, by_a_skewed_clock=not was_unread):
                continue
            if artifact != "run_results.json" or can_have_written(step.commands, one.command):
                found.append(one)
        return found

    def _artifact(self, run_id: str, step: _Step, name: str, read: Callable[[bytes], _Artifact]) -> _Artifact | None:
        """An artifact of one step, from the disk where it was read before; None where the step has none.

        Raises:
            UnreadableArtifactError: what came is not that artifact.
            DbtCloudError: dbt Cloud could not be asked.
        """
        key = (self._api.host.split("://")[1], str(self._api.account_id), run_id, f"step-{step.index}-{name}")
        kept = self._cache.get(*key)
        if kept is not None:
            try:
                return read(kept)
            except UnreadableArtifactError:
                self._cache.drop(*key)
        try:
            # Without `step` dbt Cloud answers with the last step's file.
            self._api.download(
                f"runs/{run_id}/artifacts/{name}",
                {"step": str(step.index)},
                f"Reading {name}",
                lambda pieces: self._cache.keep(pieces, *key),
            )
        except DbtCloudNotFoundError:
            return None
        try:
            return read(self._cache.get(*key) or b"")
        except UnreadableArtifactError:
            self._cache.drop(*key)
            raise


def listing_of(
    source: DbtCloudSource,
    all_sources: Sequence[DbtCloudSource],
    *,
    api: DbtCloudApi | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> RunListing:
    """The listing of a source's account for all sources that read it; ``now`` gives the present, aware."""
    ids = {one.project_id for one in all_sources if same_account(one, source)}
    api = api or DbtCloudApi(source.host, source.account_id, source.token.get_secret_value())
    return RunListing(api, frozenset() if None in ids else frozenset(one for one in ids if one is not None), now)


def same_account(one: DbtCloudSource, other: DbtCloudSource) -> bool:
    """Whether two sources see the same runs: one account, with one token."""
    return (one.host.rstrip("/"), one.account_id, one.token) == (other.host.rstrip("/"), other.account_id, other.token)


def _steps(run: Mapping[str, Any]) -> Sequence[_Step]:
    """The steps of a run in their order; a step without an index is taken for the next one."""
    raw_steps = run.get("run_steps")
    found: list[_Step] = []
    for raw in raw_steps if isinstance(raw_steps, list) else []:
        if isinstance(raw, dict):
            index = _number(raw.get("index")) or max((step.index for step in found), default=0) + 1
            name = str(raw.get("name") or "")
            found.append(_Step(index, name, dbt_commands(name), raw))
    return sorted(found, key=lambda step: step.index)


def _each_once(
    left: Sequence[tuple[_Step, Sequence[Invocation]]], run: Mapping[str, Any]
) -> Sequence[tuple[_Step, Sequence[Invocation]]]:
    """Each invocation with one step: dbt leaves the file of an earlier command where one fails before it runs a node.

    It is of the step in whose time it was written, else of the first that has it.
    """
    owners: dict[str, tuple[bool, int]] = {}
    for step, found in left:
        for one in found:
            in_time = one.generated_at is not None and _is_within(one.generated_at, step.raw, run, _CLOCK_SLACK)
            if one.invocation_id and (one.invocation_id not in owners or in_time > owners[one.invocation_id][0]):
                owners[one.invocation_id] = in_time, step.index
    return [
        (step, [one for one in found if not one.invocation_id or owners[one.invocation_id][1] == step.index])
        for step, found in left
    ]


def _read_step(step: _Step, invocations: Sequence[Invocation], reading: _Reading) -> DbtStep:
    status = _STEP_STATUS.get(_number(step.raw.get("status")) or 0, "unknown")
    reading.unread += [f"{step}: {sentence}" for one in invocations for sentence in one.unread]
    log = next((text for name in _LOGS if isinstance(text := step.raw.get(name), str) and text.strip()), "")
    if status == "error" and not log and not invocations:
        # The log arrives a little after the run has ended: said here, the run is read once more.
        reading.unread.append(f"{step} failed and has left neither an artifact nor a log yet.")
    is_silent = status == "success" and not invocations and not reading.has_unread_results
    if is_silent and always_leaves_results(step.commands):
        reading.unread.append(f"{step} went well and has left no results of its own.")
    return DbtStep(
        index=step.index,
        name=step.name,
        status=status,
        results=tuple(result for one in invocations for result in one.results),
        log=log[-_LOG_TAIL:] if status in ("error", "cancelled") else "",
        invocation_id=next((one.invocation_id for one in invocations), None),
        broken=tuple(reading.broken.get(step.index, ())),
    )


def _is_of(found: Invocation, step: _Step, run: Mapping[str, Any], *, by_a_skewed_clock: bool) -> bool:
    """Whether an artifact was written while its step ran, by clocks that may differ.

    Where they differ by minutes, only the invocation tells a step's artifact from an earlier step's, which must be
    known for that.
    """
    written = found.generated_at
    if written is None or _is_within(written, step.raw, run, _CLOCK_SLACK):
        return True
    return by_a_skewed_clock and _is_within(written, run, run, _CLOCK_SKEW)


def _is_within(written: datetime, part_of_run: Mapping[str, Any], run: Mapping[str, Any], slack: timedelta) -> bool:
    start = aware(part_of_run.get("started_at")) or aware(run.get("started_at"))
    end = aware(part_of_run.get("finished_at")) or finish_time(run) or datetime.max.replace(tzinfo=timezone.utc)
    return (start is None or written >= start - slack) and written - slack <= end


def _number(found: Any) -> int | None:
    try:
        return int(found)
    except (TypeError, ValueError):
        return None
