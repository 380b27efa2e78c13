"""Open error records become GitHub issues, one a cause, found again by their marker and kept up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..config import DbtCloudSource, ProjectSettings
from ..domain.command import EventKind, InboxEvent
from ..domain.dbt import ProjectGraph
from ..domain.error_record import ErrorRecord, RecordState
from ..domain.filing_plan import (
    NOTHING_NEW,
    Decision,
    KnownIssue,
    LeaveAlone,
    OpenIssue,
    ReopenIssue,
    UpdateIssue,
    plan_filing,
)
from ..domain.issue import Issue, IssueRef, RepoRef
from ..domain.issue_text import IssueText
from ..ports import IssueTracker, RecordStore
from .filing import Carried, carry_out, find_known, known_after


@dataclass(frozen=True)
class Filing:
    """What was decided for each record, and what became of it; in mode ``observe`` nothing was written.

    ``problems`` are sentences for the operator; the next filing meets what they name again. ``known`` are the issues
    by fingerprint as they are after it: hand them to ``resolve_issues``.
    """

    observed: bool
    carried: tuple[Carried, ...]
    known: Mapping[str, KnownIssue]

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One decision a record, in the order of the records."""
        return tuple(one.decision for one in self.carried)

    @property
    def opened(self) -> tuple[Issue, ...]:
        """New issues."""
        return tuple(one.issue for one in self.carried if one.issue and isinstance(one.decision, OpenIssue))

    @property
    def updated(self) -> tuple[Issue, ...]:
        """Issues whose text or labels moved."""
        return tuple(one.issue for one in self.carried if one.issue and isinstance(one.decision, UpdateIssue))

    @property
    def reopened(self) -> tuple[Issue, ...]:
        """Issues whose failure came back."""
        return tuple(one.issue for one in self.carried if one.issue and isinstance(one.decision, ReopenIssue))

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be written, and why."""
        return tuple(f"{one.decision.record.title}: {one.problem}" for one in self.carried if one.problem)


def file_issues(
    project: ProjectSettings,
    tracker: IssueTracker,
    store: RecordStore,
    *,
    records: Sequence[ErrorRecord],
    graph: ProjectGraph | None,
    as_of: datetime,
    now: datetime,
    trigger: str = "@claude",
    secrets: Sequence[str] = (),
    history: datetime | None = None,
) -> Filing:
    """File a project's records as of a moment: one issue each, linked in the store, with a FILED event in the inbox.

    An issue that was made just before a crash is found by its marker, linked, and gets the same event. ``secrets`` are
    further configured values that must not appear in an issue. What failed last before ``history`` and has recovered
    gets no issue any more.

    Raises:
        TrackerError: if the repository's issues could not be listed, or its labels not be made.
    """
    repo = RepoRef.parse(project.repo)
    known = find_known(repo, tracker, store, records)
    decisions = plan_filing(
        records, known, as_of, issue_text(project, graph, trigger, secrets), history, quiet_of(project)
    )
    if project.mode == "observe":
        return Filing(True, tuple(Carried(decision) for decision in decisions), known)

    def remember(decision: Decision, issue: Issue | None) -> None:
        ref = issue.ref if issue else decision.ref if isinstance(decision, LeaveAlone) else None
        if ref is None:
            return
        record = decision.record
        if store.issue_of(record.fingerprint) != str(ref):
            store.link_issue(record.fingerprint, str(ref))
        settled = isinstance(decision, LeaveAlone) and decision.reason != NOTHING_NEW
        if not settled and record.state is not RecordState.RECOVERED:
            store.add_events([filed_event(record, ref, tracker.login(), now)])

    carried = carry_out(decisions, repo, tracker, remember)
    return Filing(False, carried, known_after(known, carried))


def quiet_of(project: ProjectSettings) -> timedelta:
    """How far apart comments on changes of one issue are at least."""
    return timedelta(hours=project.filters.suppression_hours)


def filed_event(record: ErrorRecord, ref: IssueRef, login: str, now: datetime) -> InboxEvent:
    """The event that starts work on an issue, one an episode."""
    return InboxEvent(
        event_id=f"filed:{ref}:{record.episode}",
        issue_key=str(ref),
        kind=EventKind.FILED,
        actor=login,
        happened_at=now,
        detail={"fingerprint": record.fingerprint, "project": record.project},
    )


def issue_text(
    project: ProjectSettings, graph: ProjectGraph | None, trigger: str, secrets: Sequence[str] = ()
) -> IssueText:
    """How the issues of a project are worded, with its own token kept out."""
    source = project.source
    own = (source.token.get_secret_value(),) if isinstance(source, DbtCloudSource) else ()
    return IssueText(graph, trigger, (*own, *secrets))
