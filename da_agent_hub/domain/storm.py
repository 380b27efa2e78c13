"""Many new failures at once are one digest issue, found again by its marker, until few enough of them are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .digest_text import DigestText
from .error_record import Category, ErrorRecord, Priority, RecordState
from .filing_plan import (
    NOTHING_NEW,
    CloseIssue,
    Decision,
    KnownIssue,
    LeaveAlone,
    Note,
    OpenIssue,
    UpdateIssue,
)
from .issue import Issue, IssueDraft
from .issue_text import CATEGORY_PREFIX, HUB_LABEL, PRIORITY_PREFIX
from .life_cycle import SUPPRESSING
from .marker import DigestMarker

# The fingerprints of so many fit into a body beside a table.
MOST_MEMBERS = 1_000

_ORDER = [one.value for one in Priority]


@dataclass(frozen=True)
class KnownDigest:
    """A digest issue with what its body remembers."""

    issue: Issue
    marker: DigestMarker

    @property
    def suppressed_by(self) -> str | None:
        """The label by which a person silenced it."""
        return next(iter(sorted(SUPPRESSING.intersection(self.issue.labels))), None)

    def speaks_for(self, record: ErrorRecord, own: KnownIssue | None, as_of: datetime) -> bool:
        """Whether nothing else is to be said of a member; ``own`` is the newest issue of its own, if any."""
        if record.fingerprint not in self.marker.members:
            return False
        if own is not None and own.issue.ref.number > self.issue.ref.number:
            return False
        if as_of < self.marker.as_of or self.suppressed_by:
            return True
        if self.marker.over:
            return record.state is RecordState.RECOVERED and record.last_seen <= self.marker.as_of
        if self.issue.state == "closed":
            return record.last_seen <= (self.issue.closed_at or self.issue.updated_at)
        return True


def known_digests(issues: Iterable[Issue], login: str, linked: Mapping[str, str]) -> tuple[KnownDigest, ...]:
    """Digest issues, newest first: those that the hub opened, or that the store links to one of their members."""
    found = []
    for issue in sorted(issues, key=lambda one: one.ref.number, reverse=True):
        marker = DigestMarker.read(issue.body)
        if marker is None or issue.is_pull_request:
            continue
        if issue.author.lower() == login.lower() or any(linked.get(one) == str(issue.ref) for one in marker.members):
            found.append(KnownDigest(issue, marker))
    return tuple(found)


def digest_of_each(
    records: Iterable[ErrorRecord],
    digests: Sequence[KnownDigest],
    known: Mapping[str, KnownIssue],
    as_of: datetime,
) -> dict[str, KnownDigest]:
    """The digest that speaks for a record, by fingerprint; other records have issues of their own, or will have."""
    found = {}
    for record in records:
        own = known.get(record.fingerprint)
        one = next((digest for digest in digests if digest.speaks_for(record, own, as_of)), None)
        if one is not None:
            found[record.fingerprint] = one
    return found


def is_over(digest: KnownDigest, records: Mapping[str, ErrorRecord], limit: int) -> bool:
    """Whether a storm is: at most half of its members, and no more than ``limit``, still fail, and none is recovering."""
    members = [records[one] for one in digest.marker.members if one in records]
    if any(one.state is RecordState.RECOVERING for one in members):
        return False
    failing = sum(one.state is RecordState.OPEN for one in members)
    return failing <= limit and 2 * failing <= len(digest.marker.members)


def left_over(
    digests: Iterable[KnownDigest],
    covered: Mapping[str, KnownDigest],
    records: Mapping[str, ErrorRecord],
    limit: int,
    as_of: datetime,
) -> dict[str, int]:
    """Members that still fail in a storm that is over, with its number: each gets an issue of its own now."""
    found: dict[str, int] = {}
    for digest in digests:
        if _lasts(digest, as_of) and is_over(digest, records, limit):
            for one in digest.marker.members:
                if covered.get(one) is digest and records[one].state is RecordState.OPEN:
                    found[one] = digest.issue.ref.number
    return found


def gathered(decisions: Sequence[Decision], limit: int, as_of: datetime, text: DigestText) -> tuple[Decision, ...]:
    """The decisions, where those that open more than ``limit`` issues became as few digests as hold them."""
    new = sorted((one.record for one in decisions if isinstance(one, OpenIssue)), key=_most_pressing_first)
    if len(new) <= limit:
        return tuple(decisions)
    digests = (new[start : start + MOST_MEMBERS] for start in range(0, len(new), MOST_MEMBERS))
    others = [one for one in decisions if not isinstance(one, OpenIssue)]
    return (*others, *(decision for members in digests for decision in _opened(members, limit, as_of, text)))


def plan_digests(
    digests: Iterable[KnownDigest],
    covered: Mapping[str, KnownDigest],
    records: Mapping[str, ErrorRecord],
    limit: int,
    as_of: datetime,
    text: DigestText,
) -> Iterator[Decision]:
    """One decision for each record that a digest speaks for: that of the first stands for the digest itself.

    ``records`` are all of the project by fingerprint, and ``covered`` those that ``digest_of_each`` found.
    """
    for digest in digests:
        members = [one for one in digest.marker.members if covered.get(one) is digest]
        there = [records[one] for one in digest.marker.members if one in records]
        if not there:
            continue
        yield _digest(digest, there, records, limit, as_of, text)
        told = f"it is told in the digest {digest.issue.ref}"
        yield from (LeaveAlone(records[one], digest.issue.ref, told) for one in members if records[one] is not there[0])


def _lasts(digest: KnownDigest, as_of: datetime) -> bool:
    """Whether the hub still keeps a digest up to date."""
    kept = digest.issue.state == "open" and not digest.marker.over and digest.suppressed_by is None
    return kept and as_of >= digest.marker.as_of


def _digest(
    digest: KnownDigest,
    there: Sequence[ErrorRecord],
    records: Mapping[str, ErrorRecord],
    limit: int,
    as_of: datetime,
    text: DigestText,
) -> Decision:
    issue, marker, first = digest.issue, digest.marker, there[0]
    if digest.suppressed_by:
        return LeaveAlone(first, issue.ref, f"a person labelled the digest {digest.suppressed_by}")
    if not _lasts(digest, as_of):
        return LeaveAlone(first, issue.ref, f"the digest {issue.ref} is closed, or tells of a later moment")
    over = is_over(digest, records, limit)
    now = replace(marker, over=over, as_of=as_of)
    body = text.body(there, len(marker.members), limit, now)
    if over:
        left = sum(one.state is RecordState.OPEN for one in there)
        note = Note(f"storm over:{issue.ref}", text.over(len(marker.members), left))
        return CloseIssue(first, issue.ref, body, note)
    if _same_but_for_as_of(body, issue.body):
        return LeaveAlone(first, issue.ref, NOTHING_NEW)
    return UpdateIssue(first, issue.ref, body)


def _opened(members: Sequence[ErrorRecord], limit: int, as_of: datetime, text: DigestText) -> Iterator[Decision]:
    marker = DigestMarker(members[0].project, tuple(one.fingerprint for one in members), over=False, as_of=as_of)
    category = Counter(one.category.value for one in members).most_common(1)[0][0]
    draft = IssueDraft(
        title=text.title(members),
        body=text.body(members, len(members), limit, marker),
        labels=(HUB_LABEL, CATEGORY_PREFIX + category, PRIORITY_PREFIX + members[0].priority.value),
    )
    yield OpenIssue(members[0], draft, members=tuple(members))
    told = f"one of {len(members)} new failures, which are told in one issue"
    yield from (LeaveAlone(one, None, told) for one in members[1:])


def _most_pressing_first(record: ErrorRecord) -> tuple[bool, int, bool, int, datetime, str]:
    # What is over, and what heals by itself, is the last thing to investigate for all of them.
    return (
        record.state is RecordState.RECOVERED,
        _ORDER.index(record.priority.value),
        record.category is Category.TRANSIENT,
        -len(record.downstream),
        record.first_seen,
        record.fingerprint,
    )


def _same_but_for_as_of(one: str, other: str) -> bool:
    return _without_as_of(one) == _without_as_of(other)


def _without_as_of(body: str) -> str:
    marker = DigestMarker.read(body)
    text = "\n".join(body.splitlines())
    return text if marker is None else text.replace(str(marker), str(replace(marker, as_of=datetime.max)))
