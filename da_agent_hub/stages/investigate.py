"""Investigate one issue: look for the cause, keep what was found, tell the thread once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from ..config import ProjectSettings
from ..domain.category_proof import proven_category
from ..domain.command import InboxEvent
from ..domain.dbt import ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.findings_text import findings_text
from ..domain.fix_proposal import FixProposal
from ..domain.investigation import Ending, Investigation, InvestigationCase
from ..domain.issue import Comment, IssueRef
from ..domain.markdown import BODY_LIMIT, cut
from ..domain.marker import has_key, key_marker
from ..ports import Investigator, IssueTracker, RecordStore, Workbench


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
        TrackerError: if the comment could not be written; the investigation is kept by then.
    """
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
        investigation = replace(found, proven=proven_category(record, found))
    store.save_investigation(str(issue), event.event_id, investigation)
    tell_findings(issue, event, investigation, None, tracker)
    return investigation


def tell_findings(
    issue: IssueRef, event: InboxEvent, investigation: Investigation, fix: FixProposal | None, tracker: IssueTracker
) -> Comment:
    """Post or edit the one comment of this event; killed in between, the next attempt finds it by its key."""
    key = f"findings:{event.event_id}"
    marker = key_marker(key)
    body = f"{cut(findings_text(investigation, fix), BODY_LIMIT - len(marker) - 2)}\n\n{marker}"
    login = tracker.login().lower()
    for comment in tracker.comments(issue):
        if comment.author.lower() == login and has_key(comment.body, key):
            return comment if comment.body == body else tracker.edit_comment(issue, comment.comment_id, body)
    return tracker.add_comment(issue, body)
