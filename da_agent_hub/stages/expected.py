"""Look at a project's jobs, so that one which has fallen silent is known to have: a few requests, some times a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..config import ProjectSettings
from ..domain.expected_runs import JobsSeen
from ..domain.window import Window
from ..ports import DbtRunSource, RecordStore

# Between looks at an open day; the day's end is always one.
_PAUSE = timedelta(hours=3)
# How far back runs are listed for a look: beyond the look before it, at the end of the day before.
_LISTED = timedelta(days=1)


def look_at_jobs(
    project: ProjectSettings,
    source: DbtRunSource,
    store: RecordStore,
    window: Window,
    *,
    now: datetime,
    silence_hours: float,
) -> tuple[str, ...]:
    """Keep how the jobs stand, where ``window`` is the present day or the one that just closed; sentences on problems.

    Of an earlier day nobody can say any more which jobs were scheduled then: it is never judged.
    """
    at = min(now, window.end)
    if not window.start < at or now - window.end >= timedelta(hours=silence_hours):
        return ()
    known = store.jobs_seen(project.name)
    if any(seen.at >= at or (at < window.end and at - seen.at < _PAUSE) for seen in known[-1:]):
        return ()
    listed_from = window.start - _LISTED
    try:
        jobs = tuple(source.jobs(project.name))
        # First what is going, then what has ended: a run that ends in between is in the second answer.
        going = source.going_jobs(project.name) if jobs else frozenset()
        ended = source.finished_runs(project.name, listed_from, now) if jobs else ()
    except Exception as error:  # the runs of the day are read all the same
        return (f"The schedules of the jobs: {error}",)
    heard: dict[str, datetime] = {}
    for run in ended:
        for job_id in (run.job_id, ""):
            heard[job_id] = min(run.finished_at, at)  # the newest stands last
    heard |= dict.fromkeys(going, at)
    if jobs or known:
        kept = {job.job_id: heard[job.job_id] for job in jobs if job.job_id in heard}
        store.remember_jobs(JobsSeen(project.name, at, listed_from, silence_hours, jobs, kept))
    return tuple(job.problem for job in jobs if job.problem)
