"""Runs that a schedule promised and that never came, judged only where the jobs and their runs were really looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile

from cronsim import CronSim, CronSimError

from .dbt import DbtRun
from .failure import Failure, FailureKind

# Stands in the place of a run's id where it was no run that ended a silence.
NO_LONGER_SCHEDULED = "no longer scheduled"
# How many missing runs are counted one by one.
_MOST_COUNTED = 100
_EVERY_WEEKDAY = "0,1,2,3,4,5,6"
_SOME_DAY = datetime(2026, 1, 1)
_NEVER = timedelta(days=36_500)


@dataclass(frozen=True)
class DbtJob:
    """A job as its scheduler describes it; what has neither ``cron`` nor ``every_hours`` is not expected to run.

    ``cron`` has five fields and is UTC. ``every_hours`` is the longest wanted time between two ends of runs. An empty
    ``job_id`` stands for all runs of the project, an empty ``environment`` for that of its newest run.
    """

    job_id: str
    name: str
    environment: str = ""
    cron: str | None = None
    active: bool = True
    url: str = ""
    every_hours: float | None = None

    @property
    def is_expected(self) -> bool:
        """Whether it should run by itself, at times that can be understood."""
        return self.active and (self.every_hours is not None or _is_cron(self.cron))

    @property
    def problem(self) -> str | None:
        """A sentence where its schedule cannot be understood."""
        if not self.active or self.cron is None or _is_cron(self.cron):
            return None
        return f"The schedule {self.cron!r} of job {self.name} is no cron expression: its silence is not watched."

    @property
    def schedule(self) -> str:
        """Its schedule in words."""
        if self.every_hours is not None:
            return f"at least every {self.every_hours:g} hours"
        return _in_words(self.cron or "")

    def ticks(self, after: datetime, until: datetime) -> tuple[datetime, ...]:
        """When it was due in ``(after, until]``, newest first, at most a hundred."""
        # Looks come more often than runs: most find that nothing was due since the last run.
        if until <= after or (self.every_hours is None and _next_tick(self.cron or "", after) > until):
            return ()
        return tuple(islice(takewhile(lambda tick: tick > after, self._due(after, until)), _MOST_COUNTED))

    def _due(self, after: datetime, until: datetime) -> Iterator[datetime]:
        if self.every_hours is None:
            # Walking back leaves out the moment at which it begins.
            yield from CronSim(_short(self.cron or ""), until + timedelta(seconds=1), reverse=True)
            return
        step = timedelta(hours=self.every_hours)
        for number in range((until - after) // step, 0, -1):
            yield after + number * step


@dataclass(frozen=True)
class JobsSeen:
    """A look at a project's jobs at ``at``, when all runs that had finished since ``listed_from`` were listed.

    ``heard`` maps a job's id to the newest moment, not after ``at``, at which a run of it had ended or was still going.
    A run may be late by ``grace_hours``.
    """

    project: str
    at: datetime
    listed_from: datetime
    grace_hours: float
    jobs: tuple[DbtJob, ...] = ()
    heard: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Silence:
    """A job that was due at ``tick`` and of which nothing was heard since ``heard``, nor before ``noticed``.

    ``missing`` counts the runs that did not come, up to a hundred; ``watched_since`` is when its schedule was first
    seen.
    """

    project: str
    job: DbtJob
    tick: datetime
    noticed: datetime
    missing: int
    heard: datetime | None
    watched_since: datetime

    def failure(self, environment: str, last: DbtRun | None = None) -> Failure:
        """The silence as a failure of the job as a whole; ``last`` is the newest run before it, where one was read."""
        since = (
            f"{self.heard:%Y-%m-%d %H:%M} UTC" if self.heard else f"it was first seen on {self.watched_since:%Y-%m-%d}"
        )
        counted = "1 run is" if self.missing == 1 else f"{self.missing} runs are"
        if self.missing >= _MOST_COUNTED:
            counted = f"{_MOST_COUNTED} runs or more are"
        ended = f" {_how_it_ended(last, self.heard)}" if last else ""
        return Failure(
            project=self.project,
            environment=environment,
            job_id=self.job.job_id,
            run_id=f"due {self.tick:%Y-%m-%d %H:%M} UTC",
            run_url=self.job.url,
            step=0,
            kind=FailureKind.MISSED_RUN,
            unique_id=None,
            message=(
                f"Job {self.job.name} ({self.job.schedule}) has not finished a run since {since}; {counted} missing.{ended}"
            ),
            happened_at=self.noticed,
        )


def silences(looks: Sequence[JobsSeen], runs: Sequence[DbtRun]) -> tuple[Silence, ...]:
    """What was found missing at each look, by job and due time, each once; ``runs`` may hold any runs of the project.

    A job is judged from the look on at which its present schedule was first seen. A due time counts where the look's
    listing reaches back to it, so that a run that nobody read is never taken for one that did not come.
    """
    ended = _ends(runs)
    watched: dict[str, tuple[tuple[object, ...], datetime]] = {}
    heard: dict[str, datetime] = {}
    found: dict[tuple[str, datetime], Silence] = {}
    for look in sorted(looks, key=lambda look: look.at):
        expected = {job.job_id: job for job in look.jobs if job.is_expected}
        watched = {job_id: since for job_id, since in watched.items() if job_id in expected}
        for job_id, job in expected.items():
            schedule = (job.cron, job.every_hours)
            if job_id not in watched or watched[job_id][0] != schedule:
                watched[job_id] = schedule, look.at
            since = watched[job_id][1]
            told = [one for one in (heard.get(job_id), look.heard.get(job_id)) if one is not None]
            ends = ended.get(job_id, ())
            if before := bisect_right(ends, look.at):
                told.append(ends[before - 1])
            if told:
                heard[job_id] = max(told)
            last = heard.get(job_id)
            grace = timedelta(hours=look.grace_hours)
            ticks = job.ticks(max(since, last) if last else since, look.at - grace)
            if ticks and ticks[0] >= look.listed_from:
                silence = Silence(look.project, job, ticks[0], ticks[0] + grace, len(ticks), last, since)
                found.setdefault((job_id, ticks[0]), silence)
    return tuple(sorted(found.values(), key=lambda one: (one.noticed, one.job.job_id)))


def let_go(looks: Sequence[JobsSeen]) -> Mapping[str, Sequence[datetime]]:
    """When looks found a job, expected at the look before, no longer there, active or scheduled."""
    found: dict[str, list[datetime]] = defaultdict(list)
    before: set[str] = set()
    for look in sorted(looks, key=lambda look: look.at):
        expected = {job.job_id for job in look.jobs if job.is_expected}
        for job_id in before - expected:
            found[job_id].append(look.at)
        before = expected
    return found


def _how_it_ended(last: DbtRun, heard: datetime | None) -> str:
    words = {"success": "was good", "cancelled": "was cancelled"}
    # What was heard of later than it was still going, or could not be read.
    at = "" if last.finished_at == heard else f", of {last.finished_at:%Y-%m-%d %H:%M} UTC,"
    which = "Its last run" if not at else "The last run that was read"
    return f"{which}, {last.run_id}{at or ','} {words.get(last.status, 'failed')}."


def _ends(runs: Sequence[DbtRun]) -> Mapping[str, Sequence[datetime]]:
    ends: dict[str, list[datetime]] = defaultdict(list)
    for run in runs:
        for job_id in {run.job_id, ""}:
            ends[job_id].append(run.finished_at)
    return {job_id: sorted(found) for job_id, found in ends.items()}


def _short(cron: str) -> str:
    """The same schedule, without days that dbt Cloud lists one by one where all are meant."""
    fields = cron.split()
    return " ".join([*fields[:4], "*"]) if len(fields) == 5 and fields[4] == _EVERY_WEEKDAY else cron


@lru_cache(maxsize=1024)
def _is_cron(cron: str | None) -> bool:
    try:
        return cron is not None and len(cron.split()) == 5 and bool(CronSim(_short(cron), _SOME_DAY))
    except CronSimError:
        return False


@lru_cache(maxsize=4096)
def _next_tick(cron: str, after: datetime) -> datetime:
    return next(CronSim(_short(cron), after), after + _NEVER)


@lru_cache(maxsize=1024)
def _in_words(cron: str) -> str:
    said = CronSim(_short(cron), _SOME_DAY).explain()
    return f"{said[:1].lower()}{said[1:]}, UTC" if len(said) <= 80 else f"cron {cron}, UTC"
