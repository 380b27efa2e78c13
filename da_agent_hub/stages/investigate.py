"""Investigate one issue: look for the cause, keep what was found, tell the thread once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from ..config import ProjectSettings
from ..domain.category_proof import proven_category
from ..domain.command import InboxEvent
from ..domain.dbt import ProjectGraph
from ..domain.error_record import ErrorRecord, RecordState
from ..domain.findings_text import findings_text
from ..domain.fix_proposal import FixProposal
from ..domain.investigation import Ending, Investigation, InvestigationCase
from ..domain.issue import Comment, IssueRef
from ..domain.progress import Step, expert_not_asked
from ..domain.same_cause import Investigated, issues_of_one_cause
from ..ports import Investigator, IssueTracker, RecordStore, Workbench
from .command_comment import CommandComment


def investigate_issue(
    issue: IssueRef,
    event: InboxEvent,
    *,
    project: ProjectSettings,
    record: ErrorRecord | None,
    graph: ProjectGraph | None,
    investigator: Investigator,
    bench: Workbench,
    tracker: IssueTracker,
    store: RecordStore,
    now: datetime,
) -> Investigation:
    """Run the investigator, keep the result under the event and post one findings comment for it.

    Repeated for the same event, the investigation replaces itself and the comment is edited in place.

    Raises:
        StopAsked: a person asked to stop before it began.
        TrackerError: if the comment could not be written; the investigation is kept by then.
    """
    comment = CommandComment(event, tracker, store)
    comment.at(Step.INVESTIGATING, f"{investigator.name} look at it")
    if record is None:
        investigation = Investigation(
            Ending.INCONCLUSIVE,
            investigator.name,
            "No dbt failure is on record for this issue, so there is nothing to look at.",
            "unknown",
            needs_person="the hub can only investigate failures that it has read from dbt runs",
            started_at=now.astimezone(timezone.utc),
        )
    else:
        request = event.text or None
        found = investigator.investigate(InvestigationCase(record, str(issue), request), graph, bench)
        known = [one for one in same_cause(issue, record, found, project, store) if one.number < issue.number]
        investigation = replace(
            found, proven=proven_category(record, found), same_cause=str(known[0]) if known else None
        )
    store.save_investigation(str(issue), event.event_id, investigation)
    tell_findings(event, investigation, None, tracker, store)
    return investigation


def same_cause(
    issue: IssueRef, record: ErrorRecord, found: Investigation, project: ProjectSettings, store: RecordStore
) -> tuple[IssueRef, ...]:
    """Other issues of the project whose last investigation found the same cause and that are not over, oldest first."""
    others = []
    for other in store.records(project.name):
        if other.fingerprint == record.fingerprint or other.state is RecordState.RECOVERED:
            continue
        key = store.issue_of(other.fingerprint)
        known = store.investigations(key) if key else ()
        if key and known:
            others.append(Investigated(IssueRef.parse(key), other, known[-1]))
    return issues_of_one_cause(Investigated(issue, record, found), others)


def tell_findings(
    event: InboxEvent,
    investigation: Investigation,
    fix: FixProposal | None,
    tracker: IssueTracker,
    store: RecordStore,
) -> Comment:
    """Post or edit the one comment of this event; killed in between, the next attempt finds it by its key."""
    plan = store.plan_of(event.event_id) or {}
    parts = [plan["preface"]] if plan.get("preface") else []
    parts.append(findings_text(investigation, fix))
    expert = (plan.get("command") or {}).get("expert")
    if expert and expert not in investigation.experts:
        parts.append(expert_not_asked(str(expert), investigation.investigator))
    return CommandComment(event, tracker, store).say("\n\n".join(parts))
