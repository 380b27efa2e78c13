"""Brings a project's issues up to the days that were asked for, in order, and tells what was done on each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from logging import Logger
from typing import TYPE_CHECKING

import dagster as dg

from ..config.settings import ProjectSettings
from ..domain.error_record import ErrorRecord
from ..domain.issue import IssueRef, RepoRef
from ..domain.markdown import escape
from ..domain.window import Window
from . import metadata
from .hub import Hub
from .lease import Lease
from .names import GITHUB_ISSUES
from .partitions import last_days, partition_page
from .replay import Moment, moments_to_file

if TYPE_CHECKING:
    from ..stages.filing import Carried

_DONE = {
    "OpenIssue": "opened",
    "UpdateIssue": "updated",
    "ReopenIssue": "reopened",
    "CloseIssue": "closed",
    "LeaveAlone": "left alone",
}

# Long enough for a median, short enough to show a change.
_MEASURED = timedelta(days=30)

_BEFORE = "filed before; brought up to the present with the newest day of this run"
_HISTORY = "history: kept for recurrences and times to resolve, and no issue is filed for what has recovered since"


def file_days(
    hub: Hub, project: ProjectSettings, days: Sequence[str], lease: Lease, log: Logger
) -> tuple[dict[str, metadata.Metadata], list[str]]:
    """Metadata of each day that went well, and a sentence for each that did not.

    A day whose issues could not be listed ends the replay there. A day with a problem in one issue goes on with the
    others, but the mark stays before it, so that the next filing meets it again.
    """
    store, now = hub.store, hub.now()
    mark = store.filed_until(project.name)
    told: dict[str, metadata.Metadata] = {}
    bad: list[str] = []
    history = now - timedelta(days=hub.settings.schedule.history_days)
    moments = moments_to_file(days, mark, now, history)
    for moment in moments:
        lease.check()
        if moment is not moments[-1] and not _has_runs(hub, project, mark, moment):
            done: Sequence[Carried] = ()
            shown: metadata.Metadata = {}
        else:
            try:
                records, done = _file(hub, project, moment, history)
                shown = _standing(records, done, moment)
                shown |= metadata.median_times(store.lives(project.name, now - _MEASURED))
            except Exception as error:
                bad.append(hub.redact(f"{moment.day}: {error}"))
                break
        problems = [hub.redact(f"{one.decision.record.title}: {one.problem}") for one in done if one.problem]
        if problems:
            bad.append(f"{moment.day}: " + "; ".join(problems))
        elif not bad:
            store.set_filed_until(project.name, moment.as_of)
        told[moment.day] = {**_metadata(project, moment, done), **shown}
        log.info(f"{project.name} filed as of {moment.as_of:%Y-%m-%d %H:%M} UTC: {_summary(done)}")
        mark = moment.as_of
    for day in days:
        if day not in told and not bad:
            told[day] = _not_filed(project, day, _HISTORY if Window.of(day).end <= history else _BEFORE)
    return {day: told[day] for day in days if day in told}, bad


def _file(
    hub: Hub, project: ProjectSettings, moment: Moment, history: datetime
) -> tuple[Sequence[ErrorRecord], Sequence[Carried]]:
    from ..stages.issue import file_issues
    from ..stages.record import records_as_of
    from ..stages.resolve import resolve_issues
    from ..stages.restore import restore_from_issues

    repo = RepoRef.parse(project.repo)
    store, tracker, trigger = hub.store, hub.tracker(repo), hub.github(repo).trigger
    # With a store that is new, what the issues remember counts first.
    restore_from_issues(project, tracker, store)
    records = records_as_of(project, store, moment.as_of)
    graph = store.latest_graph(project.name, until=moment.as_of) or store.latest_graph(project.name)
    filing = file_issues(
        project,
        tracker,
        store,
        records=records,
        graph=graph,
        as_of=moment.as_of,
        now=hub.now(),
        trigger=trigger,
        secrets=hub.secrets,
        history=history,
    )
    resolved = resolve_issues(
        project,
        tracker,
        store,
        records=records,
        as_of=moment.as_of,
        now=hub.now(),
        known=filing.known,
        graph=graph,
        trigger=trigger,
        secrets=hub.secrets,
    )
    return records, (*filing.carried, *resolved)


def _has_runs(hub: Hub, project: ProjectSettings, since: datetime | None, moment: Moment) -> bool:
    if since is None:
        return True
    store = hub.store
    return bool(store.known_run_ids(project.name, since) - store.known_run_ids(project.name, moment.as_of))


def _metadata(project: ProjectSettings, moment: Moment, done: Sequence[Carried]) -> metadata.Metadata:
    rows = []
    for one in done:
        word = _DONE[type(one.decision).__name__]
        if word == "left alone":
            continue
        ref = one.issue.ref if one.issue else getattr(one.decision, "ref", None)
        page = metadata.link(str(ref), partition_page(GITHUB_ISSUES, str(ref))) if ref else ""
        url = metadata.link(one.issue.title, one.issue.url) if one.issue else escape(one.decision.record.title, 160)
        rows.append([word if one.issue else f"would be {word}", url, page, escape(one.problem or "", 300)])
    return {
        "window": dg.MetadataValue.text(metadata.window_text(Window.of(moment.day))),
        "as_of": dg.MetadataValue.text(f"{moment.as_of:%Y-%m-%d %H:%M} UTC"),
        "mode": dg.MetadataValue.text(project.mode),
        "summary": dg.MetadataValue.text(_summary(done)),
        **{word.replace(" ", "_"): dg.MetadataValue.int(number) for word, number in _counted(done).items()},
        "issues": metadata.table(("done", "issue", "in Dagster", "problem"), rows, "nothing to write"),
    }


def _standing(records: Sequence[ErrorRecord], done: Sequence[Carried], moment: Moment) -> metadata.Metadata:
    """What failed on a day, as of its moment, each record with its issue and, where nothing was written, why."""
    windows = [Window.of(one) for one in last_days(moment.day, metadata.PLOT_DAYS)]
    by_day = {one.day: sum(record.failed_within(one.start, one.end) for record in records) for one in windows}
    failing = [one for one in records if one.failed_within(windows[-1].start, windows[-1].end)]
    issues: dict[str, IssueRef] = {}
    reasons: dict[str, str] = {}
    for one in done:
        fingerprint = one.decision.record.fingerprint
        ref = one.issue.ref if one.issue else getattr(one.decision, "ref", None)
        if ref is not None:
            issues[fingerprint] = ref
        reasons.setdefault(fingerprint, getattr(one.decision, "reason", "") if one.issue is None else "")
    rows = [
        [
            escape(record.title, 160),
            record.category.value,
            record.priority.value,
            metadata.issue_link(str(ref)) if (ref := issues.get(record.fingerprint)) else "none",
            metadata.run_link(record.latest_sighting),
            escape(reasons.get(record.fingerprint, ""), 200),
        ]
        for record in failing
    ]
    header = ("record", "category", "priority", "issue", "newest failure", "why nothing was written")
    return {
        "error_records": dg.MetadataValue.int(len(failing)),
        "records_without_issue": dg.MetadataValue.int(sum(one.fingerprint not in issues for one in failing)),
        "last_days": metadata.plot(by_day, "error records"),
        "counts": metadata.record_counts(failing),
        "records": metadata.table(header, rows, "no error records"),
    }


def _not_filed(project: ProjectSettings, day: str, why: str) -> metadata.Metadata:
    return {
        "window": dg.MetadataValue.text(metadata.window_text(Window.of(day))),
        "mode": dg.MetadataValue.text(project.mode),
        "summary": dg.MetadataValue.text(why),
    }


def _summary(done: Sequence[Carried]) -> str:
    told = [f"{number} {word}" for word, number in _counted(done).items() if number]
    return ", ".join(told) or "nothing to do"


def _counted(done: Sequence[Carried]) -> dict[str, int]:
    words = [_DONE[type(one.decision).__name__] for one in done if one.problem is None]
    return {word: words.count(word) for word in _DONE.values() if word != "left alone"}
