"""Correct: an issue whose category an investigation proved wrong is brought up to date without waiting for a filing."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import ProjectSettings
from ..domain.filing_plan import UpdateIssue, known_issues, plan_correction
from ..domain.issue import Issue, IssueRef
from ..ports import IssueTracker, RecordStore
from .filing import write
from .issue import issue_text
from .record import record_errors, records_as_of


def correct_issue(
    ref: IssueRef,
    *,
    project: ProjectSettings,
    tracker: IssueTracker,
    store: RecordStore,
    trigger: str = "@claude",
    secrets: Sequence[str] = (),
) -> Issue | None:
    """Label, marker and text of an issue as they are with what the store holds as proven; None where nothing moved.

    The issue is told as of the moment that it tells of already, so that days that are being replayed stay in order.
    Call it while nobody files the project's records: both write the same text.

    Raises:
        TrackerError: if the issue could not be read or changed; the next filing corrects it then.
    """
    record_errors(project, store)
    record = store.record_of(str(ref))
    if record is None:
        return None
    known = known_issues([tracker.issue(ref)], tracker.login(), {record.fingerprint: str(ref)})
    there = known.get(record.fingerprint)
    if there is None:
        return None
    as_of = there.marker.as_of
    then = next((one for one in records_as_of(project, store, as_of) if one.fingerprint == record.fingerprint), None)
    if then is None:
        return None
    graph = store.latest_graph(project.name, as_of) or store.latest_graph(project.name)
    decision = plan_correction(then, there, issue_text(project, graph, trigger, secrets))
    return write(decision, ref.repo, tracker) if isinstance(decision, UpdateIssue) else None
