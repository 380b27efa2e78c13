"""Runs the hub's Dagster jobs in this process, for commands that have no always-on Dagster beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg

from ..config import HubSettings
from ..defs.build import build
from ..defs.hub import Hub
from ..defs.names import DAILY_JOB, FILED_ISSUES, ISSUE_JOB, RUN_RESULTS
from ..defs.partitions import ISSUES, range_tags
from ..defs.reading import WHOLE
from ..domain.issue import RepoRef
from ..domain.window import Window

# An event that fails is tried again by the next call; within one, this often.
MOST_ROUNDS = 5
_NOTHING = "nothing to do"


@dataclass(frozen=True)
class JobRun:
    """How one run of a job ended: ``what`` is the range of days or the issue, ``errors`` a sentence a failed step.

    ``observed`` tells, for projects in mode observe, what would have been filed: project, day and a Markdown table.
    ``days`` are the days whose dbt runs were listed: project, day, and whether nothing of it is left unread.
    """

    job: str
    what: str
    run_id: str
    errors: tuple[str, ...] = ()
    observed: tuple[tuple[str, str, str], ...] = ()
    days: tuple[tuple[str, str, bool], ...] = ()


@contextmanager
def dagster_instance(environ: Mapping[str, str] = os.environ) -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME, where runs stay to be looked at; without one, an instance for the moment."""
    if environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            yield instance
    else:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance


@contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Dagster's own logging goes to a file meanwhile: the command says what matters itself."""
    with log.open("w", encoding="utf-8") as file, redirect_stderr(file):
        yield


class Jobs:
    """The jobs of one configuration on one instance; ``tell`` hears what is being done, stderr what Dagster logs."""

    def __init__(
        self,
        settings: HubSettings,
        instance: dg.DagsterInstance,
        tell: Callable[[str], None],
        log_level: str = "CRITICAL",
    ) -> None:
        self.hub = Hub(settings)
        self._definitions = build(settings)
        self._instance = instance
        self._tell = tell
        self._run_config = {"loggers": {"console": {"config": {"log_level": log_level}}}}

    def read_days(self, first: str, last: str, assets: Sequence[tuple[str, str]] | None = None) -> JobRun:
        """The daily job over a range of reporting days, both included; ``assets`` are (project, asset), or all."""
        self._tell(f"reading the days {first} to {last}" + (f" of {assets[0][0]}" if assets else ""))
        selection = [dg.AssetKey(list(one)) for one in assets] if assets else None
        return self._run(DAILY_JOB, f"{first} to {last}", tags=range_tags(first, last), assets=selection)

    def read_activity(self) -> Sequence[str]:
        """Take in what people did on GitHub since the last look; returns a sentence for each repository that failed."""
        from ..stages.collaborate import read_activity

        problems = []
        for repo in sorted({project.repo for project in self.hub.settings.projects}):
            ref = RepoRef.parse(repo)
            self._tell(f"reading what people did in {repo}")
            try:
                read_activity(self.hub.tracker(ref), self.hub.store, self.hub.github(ref), ref, self.hub.now())
            except Exception as error:  # the other repositories still count
                problems.append(self.hub.redact(f"{repo}: {error}"))
        return problems

    def drain_inbox(self, only: str | None = None) -> Sequence[JobRun]:
        """Work on each issue with something waiting, or ``only`` one, until nothing is left or nothing gets done."""
        runs: list[JobRun] = []
        for _ in range(MOST_ROUNDS):
            waiting = [key for key in self.hub.store.pending_issues() if only in (None, key)]
            if not waiting:
                break
            for number, issue_key in enumerate(waiting, 1):
                self._tell(f"working on {issue_key} ({number} of {len(waiting)})")
                self._instance.add_dynamic_partitions(str(ISSUES.name), [issue_key])
                runs.append(self._run(ISSUE_JOB, issue_key, partition_key=issue_key))
            if set(self.hub.store.pending_issues()) >= set(waiting):
                break
        return runs

    def _run(
        self,
        job: str,
        what: str,
        *,
        tags: Mapping[str, str] | None = None,
        partition_key: str | None = None,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> JobRun:
        result = self._definitions.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            run_config=self._run_config,
            tags=dict(tags or {}),
            partition_key=partition_key,
            asset_selection=assets,
            raise_on_error=False,
        )
        errors = tuple(
            f"{event.step_key}: {self.hub.redact(_innermost(event.step_failure_data.error))}"
            for event in result.all_events
            if event.is_step_failure
        )
        if not result.success and not errors:
            errors = (f"{job} did not succeed",)
        events = result.all_events
        return JobRun(job, what, result.run_id, errors, tuple(_observed(events)), tuple(_days_read(events)))


def closed_days(now: datetime) -> tuple[str, str]:
    """The reporting day that closed last, after the one before it, which had runs that were still going."""
    closed = days_before(open_day(now), 1)
    return days_before(closed, 1), closed


def open_day(now: datetime) -> str:
    """The reporting day that now falls into."""
    return Window.containing(now).day


def days_before(day: str, count: int) -> str:
    """The day so many before."""
    return (date.fromisoformat(day) - timedelta(days=count)).isoformat()


def _observed(events: Iterable[dg.DagsterEvent]) -> Iterator[tuple[str, str, str]]:
    for event in events:
        if not event.is_step_materialization or event.asset_key is None or event.asset_key.path[-1] != FILED_ISSUES:
            continue
        told = {
            name: str(value.value) for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        if told.get("mode") == "observe" and told.get("summary", _NOTHING) != _NOTHING:
            yield event.asset_key.path[0], str(event.partition), told.get("issues", "")


def _days_read(events: Iterable[dg.DagsterEvent]) -> Iterator[tuple[str, str, bool]]:
    for event in events:
        if event.is_step_materialization and event.asset_key is not None and event.asset_key.path[-1] == RUN_RESULTS:
            whole = event.step_materialization_data.materialization.metadata.get(WHOLE)
            yield event.asset_key.path[0], str(event.partition), whole is not None and bool(whole.value)


def _innermost(error: object) -> str:
    while (cause := getattr(error, "cause", None)) is not None:
        error = cause
    said = " ".join(str(getattr(error, "message", error)).split())
    return re.sub(r"^(?:\w+\.)+\w+: ", "", said)
