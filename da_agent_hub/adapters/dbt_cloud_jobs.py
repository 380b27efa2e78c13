"""The jobs of one dbt Cloud account and which of them are at work, asked once for all of its projects."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.expected_runs import DbtJob
from .dbt_cloud_api import DbtCloudApi, DbtCloudError, Parameters

# How old an answer may be that another project of the account is given.
_SHARED_SECONDS = 30.0
_MOST_PAGES = 100
_ACTIVE = 1
_WAITING_STARTING_RUNNING = (1, 2, 3)
_FOR_A_CHANGE = "ci"


@dataclass(frozen=True)
class ListedJob:
    """A job with where it belongs."""

    job: DbtJob
    project_id: int | None
    environment_id: int | None


class JobListing:
    """``project_id`` narrows what is asked for. Threads may share it; one asks while the others wait."""

    def __init__(self, api: DbtCloudApi, project_id: int | None = None) -> None:
        self._api = api
        self._narrowed = {} if project_id is None else {"project_id": str(project_id)}
        self._answers: dict[str, tuple[float, Sequence[Mapping[str, Any]]]] = {}
        self._lock = threading.Lock()

    def jobs(self, operation: str) -> Sequence[ListedJob]:
        """Every job but those for pull requests.

        Raises:
            DbtCloudError: they could not be listed.
        """
        entries = self._entries("jobs/", {"include_related": "environment", "order_by": "id"}, operation)
        return [job for entry in entries if (job := self._job(entry)) is not None]

    def going(self, operation: str) -> frozenset[str]:
        """Ids of jobs of which a run is queued, starting or running.

        Raises:
            DbtCloudError: the runs could not be listed.
        """
        entries = self._entries("runs/", {"status__in": _WAITING_STARTING_RUNNING, "order_by": "id"}, operation)
        # A server that does not know the filter answers with runs of any status.
        going = [entry for entry in entries if entry.get("status") in _WAITING_STARTING_RUNNING]
        return frozenset(str(entry.get("job_definition_id") or entry.get("job_id") or "") for entry in going)

    def _entries(self, path: str, parameters: Parameters, operation: str) -> Sequence[Mapping[str, Any]]:
        with self._lock:
            at, kept = self._answers.get(path, (0.0, ()))
            if path not in self._answers or time.monotonic() - at > _SHARED_SECONDS:
                kept = self._every_page(path, {**self._narrowed, **parameters}, operation)
                self._answers[path] = time.monotonic(), kept
            return kept

    def _every_page(self, path: str, parameters: Parameters, operation: str) -> Sequence[Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        offset = 0
        for _ in range(_MOST_PAGES):
            page = self._api.page(path, parameters, operation, offset=offset)
            before = len(found)
            found |= {str(entry.get("id")): entry for entry in page.entries} if page else {}
            offset += page.size if page else 0
            if page is None or not page.size or len(found) == before:
                break
            if page.total is not None and offset >= page.total:
                return list(found.values())
        if page is not None and page.total is not None and len(found) < page.total:
            raise DbtCloudError(f"{operation}: dbt Cloud counts {page.total} and gave {len(found)}. Try again later.")
        return list(found.values())

    def _job(self, entry: Mapping[str, Any]) -> ListedJob | None:
        if entry.get("id") is None or entry.get("job_type") == _FOR_A_CHANGE:
            return None
        job_id, project_id = str(entry["id"]), entry.get("project_id")
        schedule, triggers = _part(entry, "schedule"), _part(entry, "triggers")
        cron = schedule.get("cron") if triggers.get("schedule") is True else None
        job = DbtJob(
            job_id=job_id,
            name=str(entry.get("name") or f"job {job_id}"),
            environment=str(_part(entry, "environment").get("name") or ""),
            cron=cron if isinstance(cron, str) and cron.strip() else None,
            active=entry.get("state") in (_ACTIVE, None) and entry.get("deactivated") is not True,
            url=f"{self._api.host}/deploy/{self._api.account_id}/projects/{project_id}/jobs/{job_id}",
        )
        return ListedJob(job, _number(project_id), _number(entry.get("environment_id")))


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _number(found: Any) -> int | None:
    return found if isinstance(found, int) else None
