"""Finished dbt Cloud runs, read step by step, believing only artifacts that the step itself wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

from ..config import DbtCloudSource
from ..domain.dbt import DbtRun, DbtStep, ProjectGraph
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

_STATUS = {10: "success", 20: "error", 30: "cancelled"}
_FINISHED = "[10,20,30]"
_LOG_TAIL = 20_000
# The clocks of the machine that ran dbt and of the API's database differ a little.
_CLOCK_SLACK = timedelta(seconds=30)
_COMMAND = re.compile(r"\bdbt\s+(?:-{1,2}\S+\s+)*([a-z][a-z-]*)(?:\s+([a-z-]+))?")
_WITHOUT_RESULTS = frozenset({"deps", "debug", "clean", "init", "list", "ls", "docs", "parse"})

_Artifact = TypeVar("_Artifact")


class DbtCloudRuns:
    """A ``DbtRunSource`` over one dbt Cloud account."""

    def __init__(self, source: DbtCloudSource, artifacts_dir: Path, *, api: DbtCloudApi | None = None) -> None:
        self._source = source
        self._api = api or DbtCloudApi(source.host, source.account_id, source.token.get_secret_value())
        self._cache = ArtifactCache(artifacts_dir)

    def finished_runs(self, project: str, since: datetime, until: datetime) -> Sequence[DbtRunSummary]:
        """Runs that finished in ``[since, until)``, oldest first; CI runs are left out.

        Raises:
            DbtCloudError: the listing failed.
        """
        parameters = {
            "finished_at__range": json.dumps([since.isoformat(), until.isoformat()], separators=(",", ":")),
            "status__in": _FINISHED,
            "order_by": "finished_at",
            "include_related": "trigger,job",
        }
        if self._source.project_id is not None:
            parameters["project_id"] = str(self._source.project_id)
        found: dict[str, DbtRunSummary] = {}
        per_job = [{**parameters, "job_definition_id": str(job_id)} for job_id in self._source.job_ids]
        for asked in per_job or [parameters]:
            for run in self._api.pages("runs/", asked, f"Listing finished dbt runs of {project}"):
                summary = self._summary(project, run)
                if summary is not None and since <= summary.finished_at < until:
                    found[summary.run_id] = summary
        return sorted(found.values(), key=lambda one: (one.finished_at, one.run_id))

    def read_run(self, project: str, run_id: str) -> DbtRun:
        """All steps of a run; what cannot be read is said in ``DbtRun.unread``.

        Raises:
            DbtCloudError: the run itself could not be read.
        """
        run = self._run(run_id, f"Reading dbt run {run_id} of {project}")
        unread: list[str] = []
        seen: set[str] = set()
        raw_steps = [one for one in run.get("run_steps") or [] if isinstance(one, dict)]
        raw_steps.sort(key=lambda one: one.get("index") or 0)
        steps = [self._step(run, raw, seen, unread) for raw in raw_steps]
        status = _STATUS.get(run.get("status") or 0, "error")
        if not steps and status == "error":
            unread.append(f"dbt Cloud listed no steps; it said: {run.get('status_message') or 'nothing'}")
        finished = aware(run.get("finished_at")) or aware(run.get("updated_at"))
        if finished is None:
            raise DbtCloudError(f"Reading dbt run {run_id} of {project}: dbt Cloud gave no time at which it finished.")
        trigger = _part(run, "trigger")
        return DbtRun(
            project=project,
            environment=_part(run, "environment").get("name") or str(run.get("environment_id") or ""),
            job_id=_job_id(run),
            job_name=_part(run, "job").get("name") or f"job {_job_id(run)}",
            run_id=str(run["id"]),
            url=self._url(run),
            status=status,
            finished_at=finished,
            started_at=aware(run.get("started_at")),
            git_sha=run.get("git_sha") or trigger.get("git_sha") or None,
            git_branch=run.get("git_branch") or trigger.get("git_branch") or None,
            steps=tuple(steps),
            unread=tuple(unread),
        )

    def read_graph(self, project: str, run_id: str) -> ProjectGraph | None:
        """The lineage as of a run, or None where no step of it left a manifest that can be read.

        Raises:
            DbtCloudError: dbt Cloud could not be asked.
        """
        run = self._run(run_id, f"Reading dbt run {run_id} of {project}")
        indexes = [one["index"] for one in run.get("run_steps") or [] if _dbt_command(one.get("name") or "")]
        for index in sorted(indexes, reverse=True):
            try:
                graph = self._artifact(run_id, index, "manifest.json", lambda body: read_manifest(body, project))
            except UnreadableArtifactError:
                continue
            if graph is not None:
                return graph
        return None

    def _run(self, run_id: str, operation: str) -> dict[str, Any]:
        asked = {"include_related": "run_steps,trigger,job,environment"}
        return self._api.one(f"runs/{run_id}/", asked, operation)

    def _summary(self, project: str, run: Any) -> DbtRunSummary | None:
        if not isinstance(run, dict) or _part(run, "trigger").get("cause_category") == "ci":
            return None
        finished, status = aware(run.get("finished_at")), _STATUS.get(run.get("status") or 0)
        if finished is None or status is None:
            return None
        return DbtRunSummary(
            project=project,
            run_id=str(run["id"]),
            job_id=_job_id(run),
            job_name=_part(run, "job").get("name") or f"job {_job_id(run)}",
            status=status,
            finished_at=finished,
            url=self._url(run),
        )

    def _url(self, run: Mapping[str, Any]) -> str:
        href = run.get("href")
        if isinstance(href, str) and href.startswith(("http://", "https://")):
            return href
        return f"{self._api.host}/deploy/{self._api.account_id}/projects/{run.get('project_id')}/runs/{run['id']}/"

    def _step(self, run: Mapping[str, Any], raw: Mapping[str, Any], seen: set[str], unread: list[str]) -> DbtStep:
        index, name = int(raw.get("index") or 0), str(raw.get("name") or "")
        status = _STATUS.get(raw.get("status") or 0, "unknown")
        invocations = []
        for artifact, read in _artifacts_of(name):
            try:
                found = self._artifact(str(run["id"]), index, artifact, read)
            except (UnreadableArtifactError, DbtCloudError) as error:
                unread.append(f"Step {index} ({name}): {error}")
                continue
            if found is None or found.command == "generate":
                continue
            if found.invocation_id in seen or not _within(found, raw, run):
                # dbt leaves the file of an earlier command in place where this one failed before it ran a node.
                continue
            if found.dropped:
                unread.append(f"Step {index} ({name}): {found.dropped} results of {artifact} name no node or status.")
            invocations.append(found)
        seen.update(one.invocation_id for one in invocations if one.invocation_id)
        log = str(raw.get("logs") or raw.get("truncated_debug_logs") or raw.get("debug_logs") or "")
        if status == "error" and not log and not invocations:
            # The log arrives a little after the run has ended: said here, the run is read once more.
            unread.append(f"Step {index} ({name}) failed and has left neither an artifact nor a log yet.")
        return DbtStep(
            index=index,
            name=name,
            status=status,
            results=tuple(result for one in invocations for result in one.results),
            log=log[-_LOG_TAIL:] if status == "error" else "",
            invocation_id=next((one.invocation_id for one in invocations), None),
        )

    def _artifact(self, run_id: str, step: int, name: str, read: Callable[[bytes], _Artifact]) -> _Artifact | None:
        """An artifact of one step, from the disk where it was read before; None where the step has none.

        Raises:
            UnreadableArtifactError: what came is not that artifact.
            DbtCloudError: dbt Cloud could not be asked.
        """
        key = (self._api.host.split("://")[1], str(self._api.account_id), run_id, f"step-{step}-{name}")
        kept = self._cache.get(*key)
        if kept is not None:
            try:
                return read(kept)
            except UnreadableArtifactError:
                self._cache.drop(*key)
        try:
            # Without `step` dbt Cloud answers with the last step's file.
            body = self._api.get(f"runs/{run_id}/artifacts/{name}", {"step": str(step)}, f"Reading {name}")
        except DbtCloudNotFoundError:
            return None
        found = read(body)
        self._cache.put(body, *key)
        return found


def _artifacts_of(step_name: str) -> list[tuple[str, Callable[[bytes], Invocation]]]:
    command = _dbt_command(step_name)
    if command is None or command[0] in _WITHOUT_RESULTS:
        return []
    if command[0] == "source":
        return [("sources.json", read_sources)]
    return [("run_results.json", read_run_results)]


def _dbt_command(step_name: str) -> tuple[str, str | None] | None:
    """``Invoke dbt with `dbt source freshness``` is (source, freshness); a step that runs no dbt is None."""
    quoted = re.search(r"`([^`]*)`", step_name)
    found = _COMMAND.search(quoted[1] if quoted else step_name.split("Invoke dbt with")[-1])
    return (found[1], found[2]) if found else None


def _within(found: Invocation, step: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    if found.generated_at is None:
        return True
    start = aware(step.get("started_at")) or aware(run.get("started_at"))
    end = aware(step.get("finished_at")) or aware(run.get("finished_at")) or datetime.max.replace(tzinfo=timezone.utc)
    return (start is None or found.generated_at >= start - _CLOCK_SLACK) and (found.generated_at - _CLOCK_SLACK <= end)


def _part(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = run.get(name)
    return part if isinstance(part, dict) else {}


def _job_id(run: Mapping[str, Any]) -> str:
    return str(run.get("job_definition_id") or run.get("job_id") or "")
