"""`da-agent-hub monitor`: the daily job once, for cron or CI users without an always-on Dagster."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import click
from rich.markdown import Markdown

from .console import Progress, config_option, console, json_option, read_settings, write_json


@click.command()
@config_option
@click.option("--until-now", is_flag=True, help="Also read the day that is still open.")
@click.option("--days", type=click.IntRange(1, 366), help="Read this many closed days instead of two.")
@click.option("--verbose", is_flag=True, help="Also show what Dagster logs, on stderr.")
@json_option
def monitor(config: Path | None, until_now: bool, days: int | None, verbose: bool, json_file: Path | None) -> None:
    """Read finished dbt runs, file issues, work on what waits; once.

    Runs the jobs of the hub's Dagster definitions in this process. With DAGSTER_HOME set, its runs stay to be seen.

    Exit code: 0 all was done, whether or not failures were found; 1 something could not be done; 2 the configuration
    cannot be used.
    """
    settings, _ = read_settings(config)
    from .dagster_jobs import Jobs, closed_days, dagster_instance, days_before, open_day
    from .summary import issue_rows, issue_table
    from .watch import Watch

    now = datetime.now(timezone.utc)
    first, last = closed_days(now)
    first = days_before(last, days - 1) if days else first
    last = open_day(now) if until_now else last
    with dagster_instance() as instance, Progress() as progress:
        jobs = Jobs(settings, instance, progress.update, log_level="DEBUG" if verbose else "CRITICAL")
        runs = [jobs.read_days(first, last)]
        problems = list(jobs.read_activity())
        runs += jobs.drain_inbox()
    problems += [f"{run.job} of {run.what}: {error}" for run in runs for error in run.errors]
    seen = list(Watch(settings).issues())
    console.print(issue_table(seen))
    closed = sum(one.issue.state == "closed" for one in seen)
    console.print(
        f"Days {first} to {last}: {len(seen) - closed} issues open, {closed} closed, {len(runs)} Dagster runs."
    )
    observed = [one for run in runs for one in run.observed]
    for project, day, table in observed:
        console.print(f"{project} {day}, in mode observe:", markup=False)
        console.print(Markdown(table))
    for problem in problems:
        console.print(f"FAIL  {problem}", style="red", markup=False)
    write_json(
        json_file,
        {
            "ok": not problems,
            "days": [first, last],
            "runs": [{"job": run.job, "of": run.what, "id": run.run_id, "errors": run.errors} for run in runs],
            "problems": problems,
            "observed": [{"project": project, "day": day, "would": table} for project, day, table in observed],
            "issues": issue_rows(seen),
        },
    )
    if problems:
        raise SystemExit(1)
