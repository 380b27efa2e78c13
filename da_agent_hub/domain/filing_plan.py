"""What to do about each error record on GitHub: decided from the records and the issues that are there, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .error_record import Category, ErrorRecord, RecordState
from .expected_runs import NO_LONGER_SCHEDULED
from .failure import FailureKind
from .issue import Issue, IssueDraft, IssueRef
from .issue_text import (
    CATEGORY_PREFIX,
    HUB_LABEL,
    PRIORITY_PREFIX,
    IssueText,
    category_is_news,
    labels_of,
    worse,
)
from .life_cycle import REOPEN_WITHIN, SUPPRESSING, Happening, State, Write, move, state_on_github
from .marker import Heard, RecordMarker

NOTHING_NEW = "nothing new"
_REOPENED_BY_PERSON = "a person reopened it after its recovery"


@dataclass(frozen=True)
class Note:
    """A comment that is news to the thread; ``key`` keeps it from being posted twice."""

    key: str
    text: str


@dataclass(frozen=True)
class OpenIssue:
    """No issue stands for this record, or for any of the ``members`` that a digest is to stand for."""

    record: ErrorRecord
    draft: IssueDraft
    members: tuple[ErrorRecord, ...] = ()


@dataclass(frozen=True)
class UpdateIssue:
    """The issue's text or labels lag behind; the note, if any, is posted first. ``labels`` None leaves them.

    ``ends`` says that it tells the end of what a person has closed already.
    """

    record: ErrorRecord
    ref: IssueRef
    body: str
    labels: tuple[str, ...] | None = None
    note: Note | None = None
    ends: bool = False


@dataclass(frozen=True)
class ReopenIssue:
    """A closed issue's failure is back; GitHub's thread shows the reopening even where no note is due."""

    record: ErrorRecord
    ref: IssueRef
    body: str
    note: Note | None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class CloseIssue:
    """An open issue's failure is over."""

    record: ErrorRecord
    ref: IssueRef
    body: str
    note: Note
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class LeaveAlone:
    """Nothing to do, and why."""

    record: ErrorRecord
    ref: IssueRef | None
    reason: str


Decision = OpenIssue | UpdateIssue | ReopenIssue | CloseIssue | LeaveAlone


@dataclass(frozen=True)
class KnownIssue:
    """An issue of the hub with what its body remembers."""

    issue: Issue
    marker: RecordMarker


def known_issues(issues: Iterable[Issue], login: str, linked: Mapping[str, str] | None = None) -> dict[str, KnownIssue]:
    """The newest issue of each fingerprint.

    A marker counts only in an issue that the hub itself opened, or that the store links to this very fingerprint
    (``linked``, fingerprint to issue key): anybody can write a marker into an issue of their own.
    """
    known: dict[str, KnownIssue] = {}
    for issue in sorted(issues, key=lambda one: one.ref.number):
        marker = RecordMarker.read(issue.body)
        if marker is None or issue.is_pull_request:
            continue
        ours = issue.author.lower() == login.lower()
        if ours or (linked or {}).get(marker.fingerprint) == str(issue.ref):
            known[marker.fingerprint] = KnownIssue(issue, marker)
    return known


def plan_filing(
    records: Sequence[ErrorRecord],
    known: Mapping[str, KnownIssue],
    as_of: datetime,
    text: IssueText,
    history: datetime | None = None,
    quiet: timedelta = timedelta(0),
    before: Mapping[str, int] | None = None,
    merged: Mapping[str, IssueRef] | None = None,
) -> tuple[Decision, ...]:
    """One decision a record: open, update, reopen or leave alone. Recovered records are left to ``plan_resolution``.

    What failed last before ``history`` and has recovered gets no issue any more. Within ``quiet`` after a comment on a
    change the next is held back; it is told later, where it still holds then. ``before`` maps fingerprints to the number
    of the digest that told of them earlier, and ``merged`` to the merged pull request of the hub that was to fix them.
    """
    told, fixes = before or {}, merged or {}
    keyed = ((record, record.fingerprint) for record in records)
    return tuple(
        _file(record, known.get(one), as_of, text, history, quiet, told.get(one), fixes.get(one))
        for record, one in keyed
    )


def plan_resolution(
    records: Sequence[ErrorRecord],
    known: Mapping[str, KnownIssue],
    as_of: datetime,
    text: IssueText,
    merged: Mapping[str, IssueRef] | None = None,
    quiet: timedelta = timedelta(0),
) -> tuple[Decision, ...]:
    """One decision a record: close, say that it recovered, reopen or leave alone. A recovery is always told.

    ``merged`` maps fingerprints to the merged pull request of the hub that was to fix them.
    """
    return tuple(
        _resolve(record, known.get(record.fingerprint), as_of, text, (merged or {}).get(record.fingerprint), quiet)
        for record in records
    )


def plan_correction(record: ErrorRecord, known: KnownIssue, text: IssueText) -> Decision:
    """The category of an issue, open or closed, as it was proven; ``record`` is as of what the issue tells of already.

    Nothing else of the issue moves, so that it does not matter whether the proof or the recovery came first.
    """
    issue, marker = known.issue, known.marker
    if reason := _reason_to_leave(record, known, marker.as_of):
        return LeaveAlone(record, issue.ref, reason)
    if record.category.value == marker.category:
        return LeaveAlone(record, issue.ref, NOTHING_NEW)
    # Whether its recovery was told is the marker's to say, else the next filing would never tell it.
    state = next((one for one in RecordState if one.value == marker.state), record.state)
    told = replace(record, state=state)
    note = None
    if category_is_news(record, marker.category):
        note = Note(_key("taken back", marker), text.changed(record, marker.category, marker.priority))
    heard = replace(marker.heard, category="") if note else marker.heard
    return UpdateIssue(record, issue.ref, _body(told, known, marker.as_of, text, heard), _labels(told, known), note)


def is_over(record: ErrorRecord, *, fix_merged: bool) -> bool:
    """Whether a record's failure is over: it recovered, or its fix was merged and the first run after it was good."""
    return record.state is RecordState.RECOVERED or (fix_merged and record.state is RecordState.RECOVERING)


def _file(
    record: ErrorRecord,
    known: KnownIssue | None,
    as_of: datetime,
    text: IssueText,
    history: datetime | None,
    quiet: timedelta,
    before: int | None,
    merged: IssueRef | None,
) -> Decision:
    if known is None:
        if record.quarantine and (record.quarantine.holds(as_of) or record.state is RecordState.RECOVERED):
            return LeaveAlone(record, None, str(record.quarantine))
        if record.category is Category.FALSE_POSITIVE:
            return LeaveAlone(record, None, "it is a false positive, and no issue stands for it")
        if record.state is RecordState.RECOVERED and history is not None and record.last_seen < history:
            return LeaveAlone(record, None, "it had recovered before the hub's time, and is kept as history")
        return _open(record, as_of, text, previous=before)
    reason = _reason_to_leave(record, known, as_of)
    if reason:
        return LeaveAlone(record, known.issue.ref, reason)
    if record.state is RecordState.RECOVERED:
        return LeaveAlone(record, known.issue.ref, "it recovered: closing it comes next")
    return _decide(record, known, as_of, text, quiet, merged, over=False)


def _resolve(
    record: ErrorRecord,
    known: KnownIssue | None,
    as_of: datetime,
    text: IssueText,
    merged: IssueRef | None,
    quiet: timedelta,
) -> Decision:
    if known is None:
        return LeaveAlone(record, None, "no issue stands for it")
    reason = _reason_to_leave(record, known, as_of)
    if reason:
        return LeaveAlone(record, known.issue.ref, reason)
    over = is_over(record, fix_merged=merged is not None)
    if not over and known.issue.state == "open":
        waiting = f"not over yet: {record.good_runs} good runs since the last failure"
        return LeaveAlone(record, known.issue.ref, waiting)
    return _decide(record, known, as_of, text, quiet, merged, over=over)


def _decide(
    record: ErrorRecord,
    known: KnownIssue,
    as_of: datetime,
    text: IssueText,
    quiet: timedelta,
    merged: IssueRef | None,
    *,
    over: bool,
) -> Decision:
    """What the life cycle says is written of what the record tells and the issue does not."""
    issue = known.issue
    state = state_on_github(issue, known.marker, fix_merged=merged is not None)
    happening = _happening(record, known, state, over=over)
    if not isinstance(happening, Happening):
        return LeaveAlone(record, issue.ref, happening)
    write = move(state, happening).write
    if write is Write.UPDATE:
        return _update(record, known, as_of, text, quiet)
    if write is Write.CLOSE:
        return _close(record, known, as_of, text, merged)
    if write is Write.REOPEN:
        return _reopen(record, known, as_of, text, quiet, state, merged)
    if write is Write.OPEN_ANEW:
        return _open(record, as_of, text, previous=issue.ref.number)
    return LeaveAlone(record, issue.ref, f"{happening.value}, and an issue that is {state.value} stays as it is")


def _happening(record: ErrorRecord, known: KnownIssue, state: State, *, over: bool) -> Happening | str:
    """What the record tells of and the issue does not, or why that is nothing."""
    issue, marker = known.issue, known.marker
    if marker.state == RecordState.RECOVERED.value and record.last_seen <= marker.last_seen:
        return "its recovery was told before" if issue.state == "closed" else _REOPENED_BY_PERSON
    if over:
        return Happening.OVER
    if issue.state == "open":
        return Happening.FAILED
    if state is State.RECOVERED:
        # The hub closed it, perhaps while it replayed old days: GitHub's clock says nothing about when.
        closed_at = marker.as_of
    else:
        closed_at = issue.closed_at or issue.updated_at
        if record.last_seen <= closed_at:
            return "a person closed it, and it has not failed since"
    back_at = record.first_bad.at if record.first_bad else record.last_seen
    return Happening.FAILED_LATE if back_at - closed_at > REOPEN_WITHIN else Happening.FAILED


def _reason_to_leave(record: ErrorRecord, known: KnownIssue, as_of: datetime) -> str | None:
    if as_of < known.marker.as_of:
        return f"the issue already tells of {known.marker.as_of:%Y-%m-%d %H:%M} UTC, which is later than this snapshot"
    suppressing = sorted(SUPPRESSING.intersection(known.issue.labels))
    if suppressing:
        return f"a person labelled it {suppressing[0]}"
    if record.quarantine and record.quarantine.holds(as_of):
        return str(record.quarantine)
    return None


def _open(record: ErrorRecord, as_of: datetime, text: IssueText, previous: int | None = None) -> OpenIssue:
    owner = record.owner.github if record.owner else None
    # What recovered before it was filed is opened as any other; the resolution then tells how it ended.
    told = replace(record, state=RecordState.OPEN) if record.state is RecordState.RECOVERED else record
    return OpenIssue(
        record,
        IssueDraft(
            title=text.title(record),
            body=text.body(told, as_of, previous),
            labels=labels_of(record),
            assignees=(owner,) if owner else (),
        ),
    )


def _update(record: ErrorRecord, known: KnownIssue, as_of: datetime, text: IssueText, quiet: timedelta) -> Decision:
    issue, marker = known.issue, known.marker
    note, heard = _change(record, marker, as_of, text, quiet)
    body, labels = _body(record, known, as_of, text, heard), _labels(record, known)
    if labels is None and _same_but_for_as_of(body, issue.body):
        return LeaveAlone(record, issue.ref, NOTHING_NEW)
    return UpdateIssue(record, issue.ref, body, labels, note)


def _change(
    record: ErrorRecord, marker: RecordMarker, as_of: datetime, text: IssueText, quiet: timedelta
) -> tuple[Note | None, Heard]:
    """The comment on what changed, where one is due, and what the thread has heard after it."""
    category = marker.heard_category or marker.category
    priority = marker.heard_priority or marker.priority
    if marker.state == RecordState.RECOVERED.value:
        note = Note(_key("recurred", marker), text.recurred(record))
    elif category_is_news(record, category) or worse(record.priority, priority):
        note = Note(_key("changed", marker), text.changed(record, category, priority))
    else:
        return None, Heard(marker.noted_at)
    if marker.noted_at is not None and timedelta(0) <= as_of - marker.noted_at < quiet:
        return None, Heard(
            marker.noted_at,
            category if category != record.category.value else "",
            priority if priority != record.priority.value else "",
        )
    return note, Heard(as_of)


def _close(
    record: ErrorRecord, known: KnownIssue, as_of: datetime, text: IssueText, merged: IssueRef | None
) -> UpdateIssue | CloseIssue:
    issue = known.issue
    over = replace(record, state=RecordState.RECOVERED)
    body, labels = _body(over, known, as_of, text), _labels(over, known)
    note = Note(_key("recovered", known.marker), text.recovered(record, _how(record, merged)))
    if issue.state == "closed":
        return UpdateIssue(record, issue.ref, body, labels, note, ends=True)
    return CloseIssue(record, issue.ref, body, note, labels)


def _reopen(
    record: ErrorRecord,
    known: KnownIssue,
    as_of: datetime,
    text: IssueText,
    quiet: timedelta,
    state: State,
    merged: IssueRef | None,
) -> ReopenIssue:
    marker = known.marker
    if state is State.RECOVERED and merged is None:
        note, heard = _change(record, marker, as_of, text, quiet)
    else:
        # Whoever closed it, or wrote and merged the fix, is owed the reason, however soon.
        fix = merged.number if merged else None
        note, heard = Note(_key("recurred", marker), text.recurred(record, fix)), Heard(as_of)
    return ReopenIssue(record, known.issue.ref, _body(record, known, as_of, text, heard), note, _labels(record, known))


def _key(news: str, marker: RecordMarker) -> str:
    """News is named by the moment it moved on from, so that a repeat after a crash finds its own comment."""
    return f"{news}:{marker.as_of.isoformat()}:{marker.last_seen.isoformat()}"


def _body(record: ErrorRecord, known: KnownIssue, as_of: datetime, text: IssueText, heard: Heard | None = None) -> str:
    return text.body(record, as_of, known.marker.previous, heard or known.marker.heard)


def _same_but_for_as_of(one: str, other: str) -> bool:
    return _without_as_of(one) == _without_as_of(other)


def _without_as_of(body: str) -> str:
    marker = RecordMarker.read(body)
    text = "\n".join(body.splitlines())
    if marker is None:
        return text
    return text.replace(str(marker), str(replace(marker, as_of=marker.last_seen)))


def _labels(record: ErrorRecord, known: KnownIssue) -> tuple[str, ...] | None:
    """The issue's labels with the hub's brought up to date, or None where they are; a person's choice stays."""
    there = known.issue.labels
    kept = [label for label in there if not label.startswith((CATEGORY_PREFIX, PRIORITY_PREFIX))]
    wanted = kept if HUB_LABEL in kept else [HUB_LABEL, *kept]
    for prefix, told, now in (
        (CATEGORY_PREFIX, known.marker.category, record.category.value),
        (PRIORITY_PREFIX, known.marker.priority, record.priority.value),
    ):
        chosen = [label for label in there if label.startswith(prefix)]
        wanted += chosen if chosen and chosen != [prefix + told] else [prefix + now]
    return tuple(wanted) if set(wanted) != set(there) else None


def _how(record: ErrorRecord, merged: IssueRef | None) -> str:
    if merged:
        return f"The fix in #{merged.number} was merged before it."
    if record.latest.kind is FailureKind.MISSED_RUN:
        return _how_silence_ended(record)
    if record.code_changed_since:
        return "The project's code changed between the last failure and this run."
    if record.good_runs:
        runs = "1 good run" if record.good_runs == 1 else f"{record.good_runs} good runs"
        return f"Nothing in the project's code changed; {runs} since the last failure really ran it."
    return "A later run ran it and was good."


def _how_silence_ended(record: ErrorRecord) -> str:
    if record.recovered is not None and record.recovered.run_id == NO_LONGER_SCHEDULED:
        return "The job is not expected to run any more."
    if record.good_runs:
        return "The job runs again."
    return "The job runs again; that this run failed is a failure of its own."
