"""`da-agent-hub backfill`: reads the history of a range of days, so that the hub knows what failed before its time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from ..domain.error_record import Category, ErrorRecord, RecordState
from .console import BadConfiguration, Progress, Trouble, config_option, console, json_option, read_settings, write_json

if TYPE_CHECKING:
    from .dagster_jobs import JobRun, Jobs

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@config_option
@click.option("--from", "first", type=_DAY, required=True, help="The first reporting day, as 2026-01-31.")
@click.option("--to", "last", type=_DAY, help="The last one. Default: the day that closed last.")
@click.option("--project", "names", multiple=True, metavar="NAME", help="Only this project. May be given repeatedly.")
@click.option("--again", is_flag=True, help="Also list the days that an earlier backfill has read whole.")
@click.option("--verbose", is_flag=True, help="Also show what Dagster logs, on stderr.")
@json_option
def backfill(
    config: Path | None,
    first: datetime,
    last: datetime | None,
    names: tuple[str, ...],
    again: bool,
    verbose: bool,
    json_file: Path | None,
) -> None:
    """Read the dbt runs of past days into error records. Files no issue.

    About a month at a time. Stopped and called again, it goes on where it was; a day that cannot be read stops no
    other. What is still failing becomes an issue with the next daily run; what has recovered since stays as history,
    for recurrences and times to resolve.

    Exit code: 0 every day was read; 1 some could not be; 2 the configuration cannot be used.
    """
    settings, path = read_settings(config)
    from ..defs.names import ERROR_RECORDS, RUN_RESULTS
    from ..defs.partitions import MOST_DAYS, days_between
    from .dagster_jobs import Jobs, closed_days, dagster_instance, open_day

    known = [project.name for project in settings.projects]
    if unknown := sorted(set(names) - set(known)):
        raise BadConfiguration(
            f"{path or 'the environment'} has no project {', '.join(unknown)}: "
            f"name one of {', '.join(known) or 'none, add one'}"
        )
    now = datetime.now(timezone.utc)
    begin, end = f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}" if last else closed_days(now)[1]
    _check_range(begin, end, open_day(now), settings.schedule.start_date)
    projects = [name for name in known if not names or name in names]
    started = time.monotonic()
    problems: list[str] = []
    with dagster_instance() as instance, Progress() as progress:
        jobs = Jobs(settings, instance, progress.update, log_level="DEBUG" if verbose else "CRITICAL")
        for project in projects:
            done = set() if again else read_before(jobs, project)
            wanted = [day for day in days_between(begin, end) if day not in done]
            if len(wanted) < len(days_between(begin, end)):
                console.print(f"{project}: {len(days_between(begin, end)) - len(wanted)} days were read before")
            for chunk in _chunks(wanted, MOST_DAYS):
                began = time.monotonic()
                read = jobs.read_days(chunk[0], chunk[-1], assets=[(project, RUN_RESULTS)])
                # A run of its own: where a day could not be listed, the others still become records.
                recorded = jobs.read_days(chunk[0], chunk[-1], assets=[(project, ERROR_RECORDS)])
                problems += [f"{project} {run.what}: {error}" for run in (read, recorded) for error in run.errors]
                problems += [
                    f"{project} {day}: not all of it could be read; the line `unread` of the day's results in Dagster "
                    "says what, and the next call asks again"
                    for _, day, is_whole in read.days
                    if not is_whole
                ]
                _remember(jobs, project, read, today=open_day(now))
                console.print(_line(jobs, project, chunk, read, time.monotonic() - began), markup=False)
        records = {project: list(jobs.hub.store.records(project)) for project in projects}
    console.print(_table(records))
    console.print(f"Days {begin} to {end} in {time.monotonic() - started:.0f} s.")
    for problem in problems:
        console.print(f"FAIL  {problem}", style="red", markup=False)
    write_json(
        json_file,
        {
            "ok": not problems,
            "days": [begin, end],
            "projects": {project: _figures(found) for project, found in records.items()},
            "problems": problems,
        },
    )
    if problems:
        raise SystemExit(1)


def read_before(jobs: Jobs, project: str) -> set[str]:
    """The days that a backfill has read whole."""
    return set(jobs.hub.store.cursor(_cursor(project)).get("days", ()))


def _remember(jobs: Jobs, project: str, run: JobRun, *, today: str) -> None:
    """Add the days that were read whole and can get no further dbt run."""
    whole = {day for _, day, is_whole in run.days if is_whole and day < today}
    if whole:
        jobs.hub.store.set_cursor(_cursor(project), {"days": sorted(read_before(jobs, project) | whole)})


def _cursor(project: str) -> str:
    return f"backfill {project}"


def _check_range(first: str, last: str, today: str, start_date: str) -> None:
    if first > last:
        raise Trouble(f"--from {first} is after --to {last}: give the earlier day first")
    if last > today:
        raise Trouble(f"--to {last} lies ahead: the newest reporting day is {today}")
    if first < start_date:
        raise Trouble(
            f"--from {first} is before schedule.start_date ({start_date}), where the hub's days begin: "
            "set an earlier start_date in hub.yaml"
        )


def _chunks(days: Sequence[str], size: int) -> list[list[str]]:
    """Runs of days with none between them left out, of at most ``size``."""
    found: list[list[str]] = []
    for day in days:
        follows = found and datetime.fromisoformat(day) - datetime.fromisoformat(found[-1][-1]) == timedelta(days=1)
        if follows and len(found[-1]) < size:
            found[-1].append(day)
        else:
            found.append([day])
    return found


def _line(jobs: Jobs, project: str, days: Sequence[str], read: JobRun, seconds: float) -> str:
    from ..domain.window import Window

    runs = jobs.hub.store.runs(project, Window.of(days[0]).start, Window.of(days[-1]).end)
    failed = sum(run.status != "success" for run in runs)
    left = len(days) - sum(whole for _, _, whole in read.days)
    unread = f", {left} days not read whole" if left else ""
    return (
        f"{project} {days[0]} to {days[-1]}: {len(days)} days, {len(runs)} dbt runs, {failed} failed{unread} "
        f"({seconds:.1f} s)"
    )


def _table(records: dict[str, list[ErrorRecord]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Project")
    for heading in ("Causes", "still failing", *(one.value.replace("_", " ") for one in Category), "time to recover"):
        table.add_column(heading, justify="right")
    for project, found in records.items():
        figures = _figures(found)
        hours = figures["median_hours_to_recover"]
        table.add_row(
            project,
            str(figures["causes"]),
            str(figures["still_failing"]),
            *(str(figures["by_category"].get(one.value, 0)) for one in Category),
            "-" if hours is None else f"{hours:.1f} h",
        )
    return table


def _figures(records: Sequence[ErrorRecord]) -> dict[str, Any]:
    """Counts of a project's records, and the median time from the first bad run to the recovery, in hours."""
    hours = [
        (record.recovered.at - record.first_bad.at).total_seconds() / 3600
        for record in records
        if record.recovered is not None and record.first_bad is not None
    ]
    return {
        "causes": len(records),
        "still_failing": sum(record.state is not RecordState.RECOVERED for record in records),
        "by_category": dict(Counter(record.category.value for record in records)),
        "median_hours_to_recover": round(median(hours), 2) if hours else None,
    }
