"""`da-agent-hub respond`: one event of GitHub worked off in this process, for GitHub Actions and no always-on Dagster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ..domain.markdown import code, escape
from .console import (
    BadConfiguration,
    Progress,
    Trouble,
    config_option,
    console,
    json_option,
    read_settings,
    write_json,
)

if TYPE_CHECKING:
    from ..adapters.webhook_payloads import Heard
    from ..defs.hub import Hub
    from ..domain.command import InboxEvent
    from .dagster_jobs import JobRun, Jobs

# As long as a workflow's run may take: what waited behind it may have been let go by GitHub.
_LOOK_BACK = timedelta(hours=1)
_SETTLING = timedelta(seconds=5)
_NO_EVENT = "give --event FILE and --name NAME, or run it in GitHub Actions, which sets GITHUB_EVENT_PATH and _NAME"


@click.command()
@config_option
@click.option("--event", type=click.Path(path_type=Path), help="The event's JSON. Default: $GITHUB_EVENT_PATH.")
@click.option("--name", help="What happened, as issue_comment. Default: $GITHUB_EVENT_NAME.")
@click.option("--verbose", is_flag=True, help="Also show what Dagster logs, on stderr.")
@json_option
def respond(config: Path | None, event: Path | None, name: str | None, verbose: bool, json_file: Path | None) -> None:
    """Work on what one event of GitHub asks for: a comment, label or assignment.

    Reads the issue again over GitHub's API, asks whether its author may command, and works until it is answered. With
    an empty record store, what the hub knew of the issue is read from dbt's runs again.

    Exit code: 0 done, or the event asks nothing of the hub; 1 something could not be done; 2 the configuration or the
    event cannot be used.
    """
    settings, _ = read_settings(config)
    name = name or os.environ.get("GITHUB_EVENT_NAME")
    event = event or (Path(told) if (told := os.environ.get("GITHUB_EVENT_PATH")) else None)
    if not name or event is None:
        raise BadConfiguration(_NO_EVENT)
    from .dagster_jobs import Jobs, dagster_instance

    runs: list[JobRun] = []
    with dagster_instance() as instance, Progress() as progress:
        jobs = Jobs(settings, instance, progress.update, log_level="DEBUG" if verbose else "CRITICAL")
        progress.update(f"reading the event {name}")
        heard = _hear(jobs, name, event)
        key = heard.event.issue_key if heard.event is not None else None
        if key is not None and heard.event is not None and heard.finished_with is None:
            runs += _remember(jobs, key)
            _look(jobs, heard.event)
            runs += jobs.drain_inbox(only=key)
        outcomes = dict(jobs.hub.store.event_outcomes(key)) if key is not None else {}
    problems = [f"{run.job} of {run.what}: {error}" for run in runs for error in run.errors]
    lines = _told(heard.said, outcomes)
    for line in lines:
        console.print(line, markup=False)
    for problem in problems:
        console.print(f"FAIL  {problem}", style="red", markup=False)
    _write_step_summary(name, key, lines, problems)
    write_json(
        json_file,
        {"ok": not problems, "event": name, "of": key, "said": heard.said, "outcomes": outcomes, "problems": problems},
    )
    if problems:
        raise SystemExit(1)


def _hear(jobs: Jobs, name: str, file: Path) -> Heard:
    """The event, appended to the inbox where it asks something.

    Raises:
        BadConfiguration: the file is missing or holds no event of this name.
        Trouble: GitHub or the record store did not answer.
    """
    from ..adapters.record_engine import RecordStoreError
    from ..domain.tracker_error import TrackerError
    from .webhooks import deliveries

    hub = jobs.hub
    try:
        body = file.read_bytes()
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be read ({error.strerror}): {_NO_EVENT}") from None
    try:
        heard = deliveries(hub, lambda key: _fixed_issue(hub, key)).read(name, "", body, hub.now())
        if heard.event is not None:
            hub.store.add_events([heard.event])
            if heard.finished_with is not None:
                hub.store.finish_event(heard.event.event_id, heard.finished_with)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as broken:
        raise BadConfiguration(f"{file} holds no {name} event: {broken}") from None
    except (TrackerError, RecordStoreError) as away:
        raise Trouble(hub.redact(str(away))) from None
    return heard


def _look(jobs: Jobs, hint: InboxEvent) -> None:
    """Read what the event tells of, and with an empty store also what an earlier call was to answer and did not.

    Raises:
        Trouble: GitHub did not answer.
    """
    from ..domain.issue import IssueRef
    from ..domain.marker import answers
    from ..domain.tracker_error import NotThere, TrackerError
    from ..stages.activity import look_at

    hub, ref = jobs.hub, IssueRef.parse(hint.subject)
    tracker, store = hub.tracker(ref.repo), hub.store
    try:
        look_at(tracker, store, hub.github(ref.repo), replace(hint, happened_at=hint.happened_at - _LOOK_BACK))
        own = tracker.login().lower()
        said = [one.body for one in tracker.comments(ref) if one.author.lower() == own]
    except NotThere:
        return  # the run that works on the issue says so
    except TrackerError as away:
        raise Trouble(hub.redact(str(away))) from None
    store.finish_event(hint.event_id, "looked")
    for event in store.pending_events(hint.issue_key):
        # What this event tells of is worked on in any case: whoever runs a workflow again wants that.
        if event.happened_at < hint.happened_at - _SETTLING and any(answers(body, event.event_id) for body in said):
            store.finish_event(event.event_id, "answered before")


def _fixed_issue(hub: Hub, pull_request: str) -> str | None:
    from ..domain.issue import IssueRef
    from ..stages.activity import fixed_issue

    ref = IssueRef.parse(pull_request)
    found = fixed_issue(hub.tracker(ref.repo), hub.store, hub.github(ref.repo), ref)
    return str(found) if found is not None else None


def _remember(jobs: Jobs, key: str) -> list[JobRun]:
    """With a store that does not know the issue's record, read dbt's runs since the issue says that it began."""
    from ..defs.names import ERROR_RECORDS, RUN_RESULTS
    from ..domain.issue import IssueRef
    from ..domain.marker import RecordMarker
    from ..domain.tracker_error import TrackerError
    from ..domain.window import Window
    from ..stages.restore import restore
    from .dagster_jobs import open_day

    hub, ref = jobs.hub, IssueRef.parse(key)
    if hub.store.record_of(key) is not None:
        return []
    tracker = hub.tracker(ref.repo)
    try:
        issue = tracker.issue(ref)
        marker = RecordMarker.read(issue.body) if issue.author.lower() == tracker.login().lower() else None
    except TrackerError:
        return []  # the run that works on the issue says why
    project = hub.project(marker.project) if marker is not None else None
    if marker is None or project is None:
        return []
    now = hub.now()
    earliest = now - timedelta(days=hub.settings.schedule.history_days)
    first = max(Window.containing(max(marker.first_seen, earliest)).day, hub.settings.schedule.start_date)
    read = jobs.read_days(first, open_day(now), assets=[(project.name, RUN_RESULTS), (project.name, ERROR_RECORDS)])
    restore(project, [issue], tracker.login(), hub.store)
    return [read]


def _told(said: str, outcomes: Mapping[str, str | None]) -> list[str]:
    asked = {event: outcome for event, outcome in outcomes.items() if not event.startswith("delivery:")}
    return [said, *(f"{event}: {outcome or 'waits for the next call'}" for event, outcome in asked.items())]


def _write_step_summary(name: str, key: str | None, lines: list[str], problems: list[str]) -> None:
    """What GitHub Actions shows on the page of the workflow's run."""
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    rows = [f"- {escape(line, 500)}" for line in lines] + [f"- FAIL: {escape(line, 500)}" for line in problems]
    heading = f"### {code(name)} of {code(key)}" if key else f"### {code(name)}"
    try:
        with Path(place).open("a", encoding="utf-8") as summary:
            summary.write("\n".join([heading, "", *rows, "", ""]))
    except OSError as error:
        console.print(f"the step summary cannot be written ({error.strerror})", markup=False)
