"""The finished runs of one dbt Cloud account, listed once for all of its projects."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .dbt_artifacts import aware
from .dbt_cloud_api import DbtCloudApi, DbtCloudError, Page
from .dbt_cloud_jobs import JobListing

_log = logging.getLogger(__name__)

_HOUR = timedelta(hours=1)
# How old an answer may be that another project of the account is given: a sensor's tick asks for them in one go.
_SHARED_SECONDS = 30.0
_SHARED_REFUSAL_SECONDS = 2.0
_REMEMBERED = 8
_PASSES = 3

_WORDS = {10: "success", 20: "error", 30: "cancelled"}
_GOING = frozenset({1, 2, 3})
# Runs for a pull request. The merge of one runs in production, and is read.
_FOR_A_CHANGE = frozenset({"ci", "github_webhook", "git_provider_webhook"})
_PULL_REQUESTS = (
    "github_pull_request_id", "gitlab_merge_request_id", "azure_pull_request_id", "non_native_pull_request_id",
)  # fmt: skip


@dataclass(frozen=True)
class ListedRun:
    """A finished run as a listing has it; ``status`` is success, error or cancelled."""

    run_id: str
    project_id: int | None
    environment_id: int | None
    job_id: str
    job_name: str
    status: str
    finished_at: datetime
    href: str
    for_a_change: bool


@dataclass(frozen=True)
class _Answered:
    etag: str | None
    runs: Sequence[ListedRun]


@dataclass(frozen=True)
class _Shared:
    """The newest answer: complete for runs that finished in ``[since, until)``."""

    since: datetime
    until: datetime
    at: float
    runs: Sequence[ListedRun]
    refusal: DbtCloudError | None = None


class RunListing:
    """Asks once where several projects want the same, and asks for one page where nothing has changed.

    ``project_ids`` narrows what is asked for, where the account holds only one project of interest. Threads may share
    it; one asks while the others wait for its answer. ``now`` gives the present, aware.
    """

    def __init__(
        self,
        api: DbtCloudApi,
        project_ids: frozenset[int] = frozenset(),
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.api = api
        self._now = now
        self._project_id = next(iter(project_ids)) if len(project_ids) == 1 else None
        self.jobs = JobListing(api, self._project_id)
        self._answers: OrderedDict[tuple[datetime, datetime], _Answered] = OrderedDict()
        self._shared: _Shared | None = None
        self._lock = threading.Lock()

    def finished(self, since: datetime, until: datetime, operation: str) -> Sequence[ListedRun]:
        """Runs that finished in ``[since, until)``, oldest first, each once.

        Raises:
            DbtCloudError: they could not be listed.
        """
        with self._lock:
            runs = self._shared_answer(since, until)
            if runs is None:
                runs = self._ask(since, until, operation)
        return [run for run in runs if since <= run.finished_at < until]

    def _shared_answer(self, since: datetime, until: datetime) -> Sequence[ListedRun] | None:
        shared = self._shared
        if shared is None or not (shared.since <= since and until <= shared.until):
            return None
        age = time.monotonic() - shared.at
        if shared.refusal is not None and age < _SHARED_REFUSAL_SECONDS:
            raise shared.refusal
        return shared.runs if shared.refusal is None and age < _SHARED_SECONDS else None

    def _ask(self, since: datetime, until: datetime, operation: str) -> Sequence[ListedRun]:
        # In whole hours, so that one poll asks what the poll before it asked, and can be told that nothing changed.
        begin, end = _hour(since), _hour(until) + _HOUR
        now = self._now()
        try:
            runs = self._listed(begin, end, operation)
        except DbtCloudError as refusal:
            self._shared = _Shared(begin, until, time.monotonic(), (), refusal)
            raise
        # What finishes from now on is in no answer yet.
        self._shared = _Shared(begin, min(end, now), time.monotonic(), runs)
        return runs

    def _listed(self, begin: datetime, end: datetime, operation: str) -> Sequence[ListedRun]:
        known = self._answers.get((begin, end))
        page = self._page(begin, end, operation, etag=known.etag if known else None)
        if page is None and known is not None:
            return known.runs
        if page is None:
            raise DbtCloudError(f"{operation}: dbt Cloud answered 304 to a first question. Try again later.")
        runs = self._expected(begin, end)
        first = sorted((run for entry in page.entries if (run := listed_run(entry)) is not None), key=_order)
        # A run that is new anywhere in the listing changes its total.
        if runs is None or page.total != len(runs) or first != runs[: page.size]:
            runs = self._every_page(begin, end, operation, page)
        self._remember(begin, end, _Answered(page.etag, runs))
        return runs

    def _expected(self, begin: datetime, end: datetime) -> Sequence[ListedRun] | None:
        """What a listing holds where nothing has changed since the newest answer that goes back as far."""
        for (since, _), answered in reversed(self._answers.items()):
            if since <= begin:
                return [run for run in answered.runs if begin <= run.finished_at <= end]
        return None

    def _every_page(self, begin: datetime, end: datetime, operation: str, first: Page) -> Sequence[ListedRun]:
        """All runs, each once; where entries moved between the pages while they were read, they are read again."""
        found: dict[str, ListedRun | None] = {}
        page: Page = first
        for _ in range(_PASSES):
            offset = 0
            while True:
                before = len(found)
                found |= {str(entry.get("id")): listed_run(entry) for entry in page.entries}
                offset += page.size
                # A server may give shorter pages than asked for: only its total, or an empty page, ends the listing.
                is_last = not page.size or (page.total is not None and offset >= page.total)
                if is_last or (page.total is None and len(found) == before):
                    break
                page = self._page(begin, end, operation, offset) or page
            if page.total is None or len(found) >= page.total:
                break
            page = self._page(begin, end, operation) or page
        else:
            _log.warning("%s: dbt Cloud counts %s runs and gave %s.", operation, page.total, len(found))
        runs = [run for run in found.values() if run is not None]
        return sorted(runs, key=_order)

    def _page(
        self, begin: datetime, end: datetime, operation: str, offset: int = 0, etag: str | None = None
    ) -> Page | None:
        asked: dict[str, str | Sequence[str]] = {
            "finished_at__range": [begin.isoformat(), end.isoformat()],
            "include_related": "trigger,job",
            "order_by": "finished_at",
        }
        if self._project_id is not None:
            asked["project_id"] = str(self._project_id)
        return self.api.page("runs/", asked, operation, offset=offset, etag=etag)

    def _remember(self, begin: datetime, end: datetime, answered: _Answered) -> None:
        self._answers[begin, end] = answered
        self._answers.move_to_end((begin, end))
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)


def listed_run(entry: Mapping[str, Any]) -> ListedRun | None:
    """A run of a listing, or None where it is still going or names neither itself nor a time."""
    status = run_status(entry)
    finished = finish_time(entry)
    if entry.get("id") is None or status is None or finished is None:
        return None
    return ListedRun(
        run_id=str(entry["id"]),
        project_id=_number(entry.get("project_id")),
        environment_id=_number(entry.get("environment_id")),
        job_id=job_id(entry),
        job_name=str(part(entry, "job").get("name") or f"job {job_id(entry)}"),
        status=status[0],
        finished_at=finished,
        href=str(entry.get("href") or ""),
        for_a_change=_is_for_a_change(entry),
    )


def run_status(run: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Success, error or cancelled, and whether dbt Cloud's number is one that is known; None while the run goes on."""
    number = run.get("status")
    if number in _WORDS:
        return _WORDS[number], True
    if number in _GOING:
        return None
    for word, flag in (("success", "is_success"), ("cancelled", "is_cancelled"), ("error", "is_error")):
        if run.get(flag) is True:
            return word, False
    is_going = run.get("in_progress") is True or run.get("is_complete") is False
    return None if is_going else ("error", False)


def finish_time(run: Mapping[str, Any]) -> datetime | None:
    """When a run ended; one that was cancelled before it began may have no other time than that of its last change."""
    times = (aware(_text(run.get(name))) for name in ("finished_at", "updated_at", "created_at"))
    return next((time for time in times if time is not None), None)


def job_id(run: Mapping[str, Any]) -> str:
    """The job of a run, as text."""
    return str(run.get("job_definition_id") or run.get("job_id") or "")


def part(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Something that a run comes with, or nothing."""
    found = run.get(name)
    return found if isinstance(found, dict) else {}


def _is_for_a_change(run: Mapping[str, Any]) -> bool:
    trigger = part(run, "trigger")
    cause, job_type = trigger.get("cause_category"), part(run, "job").get("job_type")
    if cause in _FOR_A_CHANGE or (_text(trigger.get("schema_override")) or "").startswith("dbt_cloud_pr_"):
        return True
    # It may name the pull request that it merged.
    if "merge" in (cause, job_type):
        return False
    return job_type == "ci" or any(trigger.get(name) for name in _PULL_REQUESTS)


def _order(run: ListedRun) -> tuple[datetime, str]:
    return run.finished_at, run.run_id


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0)


def _number(found: Any) -> int | None:
    return found if isinstance(found, int) else None


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) else None
