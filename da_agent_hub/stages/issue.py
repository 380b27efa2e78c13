"""Open error records become GitHub issues, one a cause, found again by their marker and kept up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..config import DbtCloudSource, ProjectSettings
from ..domain.command import EventKind, InboxEvent
from ..domain.dbt import ProjectGraph
from ..domain.digest_text import DigestText
from ..domain.error_record import ErrorRecord, RecordState
from ..domain.filing_plan import (
    NOTHING_NEW,
    CloseIssue,
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
from ..domain.storm import KnownDigest, gathered, known_digests, left_over, plan_digests
from ..ports import IssueTracker, RecordStore
from .filing import Carried, Standing, carry_out, find_standing, known_after, merged_fixes
from .life import note_written


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
        """What was decided about each record, and about each digest."""
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
    standing = find_standing(repo, tracker, store, records)
    text = issue_text(project, graph, trigger, secrets)
    closed_ones = [
        record
        for record in records
        if (there := standing.known.get(record.fingerprint)) and there.issue.state == "closed"
        if record.state is not RecordState.RECOVERED
    ]
    merged = merged_fixes(closed_ones, standing.known, tracker, store)
    decisions, known = _plan(project, standing, records, as_of, text, history, merged)
    if project.mode == "observe":
        return Filing(True, tuple(Carried(decision) for decision in decisions), known)

    def remember(decision: Decision, issue: Issue | None) -> None:
        ref = issue.ref if issue else decision.ref if isinstance(decision, LeaveAlone) else None
        if ref is None:
            return
        record = decision.record
        # The one that stands for a digest is linked first: it is what the digest's investigation is about.
        for member in (record, *(decision.members if isinstance(decision, OpenIssue) else ())):
            if store.issue_of(member.fingerprint) != str(ref):
                store.link_issue(member.fingerprint, str(ref))
        note_written(decision, issue, project.name, store, now)
        settled = isinstance(decision, LeaveAlone) and decision.reason != NOTHING_NEW
        if not settled and record.state is not RecordState.RECOVERED:
            store.add_events([filed_event(record, ref, tracker.login(), now)])

    carried = carry_out(decisions, repo, tracker, remember)
    # What was over before it was told is closed at once, as a single issue is by the resolution that follows.
    opened = known_digests((one.issue for one in carried if one.issue), tracker.login(), {})
    over = _plan_digests(project, opened, Standing({}, opened).covered(records, as_of), records, as_of, text)
    closed = carry_out([one for one in over if isinstance(one, CloseIssue)], repo, tracker, remember)
    return Filing(False, (*carried, *closed), known_after(known, carried))


def _plan(
    project: ProjectSettings,
    standing: Standing,
    records: Sequence[ErrorRecord],
    as_of: datetime,
    text: IssueText,
    history: datetime | None,
    merged: Mapping[str, IssueRef],
) -> tuple[tuple[Decision, ...], Mapping[str, KnownIssue]]:
    """One decision a record, and the issues that stand for a record alone."""
    limit, by_fingerprint = project.filters.storm_size, {record.fingerprint: record for record in records}
    covered = standing.covered(records, as_of)
    left = left_over(standing.digests, covered, by_fingerprint, limit, as_of)
    covered = {one: digest for one, digest in covered.items() if one not in left}
    before = {one: digest.issue.ref.number for digest in reversed(standing.digests) for one in digest.marker.members}
    single = [record for record in records if record.fingerprint not in covered]
    planned = plan_filing(single, standing.known, as_of, text, history, quiet_of(project), before, merged)
    apart = [one for one in planned if one.record.fingerprint in left]
    new = [one for one in planned if one.record.fingerprint not in left]
    # An issue of its own for each that is left of a storm comes before the storm's end is told.
    decisions = (
        *apart,
        *gathered(new, limit, as_of, DigestText(text)),
        *_plan_digests(project, standing.digests, covered, records, as_of, text),
    )
    told = {member.fingerprint for one in decisions if isinstance(one, OpenIssue) for member in one.members}
    known = {one: issue for one, issue in standing.known.items() if one not in covered and one not in told}
    return decisions, known


def _plan_digests(
    project: ProjectSettings,
    digests: Sequence[KnownDigest],
    covered: Mapping[str, KnownDigest],
    records: Sequence[ErrorRecord],
    as_of: datetime,
    text: IssueText,
) -> tuple[Decision, ...]:
    by_fingerprint = {record.fingerprint: record for record in records}
    found = plan_digests(digests, covered, by_fingerprint, project.filters.storm_size, as_of, DigestText(text))
    return tuple(found)


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
