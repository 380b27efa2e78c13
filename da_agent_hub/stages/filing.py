"""The writes that keep an issue in step with its record, each of them safe to repeat and to be killed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..domain.error_record import ErrorRecord, RecordState
from ..domain.filing_plan import (
    CloseIssue,
    Decision,
    KnownIssue,
    LeaveAlone,
    Note,
    OpenIssue,
    ReopenIssue,
    UpdateIssue,
    known_issues,
)
from ..domain.issue import Comment, Issue, IssueRef, RepoRef
from ..domain.issue_text import LABELS
from ..domain.markdown import BODY_LIMIT, cut
from ..domain.marker import RecordMarker, has_key, key_marker
from ..domain.storm import KnownDigest, digest_of_each, known_digests
from ..domain.tracker_error import NotThere, RateLimited, TrackerError
from ..ports import IssueTracker, RecordStore


@dataclass(frozen=True)
class Carried:
    """A decision and what became of it: ``issue`` as GitHub answered it, or the ``problem`` that the next run meets."""

    decision: Decision
    issue: Issue | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Standing:
    """What stands on GitHub for a project's records: their own issues by fingerprint, and digests, newest first."""

    known: Mapping[str, KnownIssue]
    digests: tuple[KnownDigest, ...]

    def covered(self, records: Iterable[ErrorRecord], as_of: datetime) -> dict[str, KnownDigest]:
        """The digest that speaks for a record in place of an issue of its own, by fingerprint."""
        return digest_of_each(records, self.digests, self.known, as_of)


def find_standing(repo: RepoRef, tracker: IssueTracker, store: RecordStore, records: Iterable[ErrorRecord]) -> Standing:
    """What there is: by its marker, or by the store's link where the hub's label was taken off.

    Raises:
        TrackerError: if the list could not be read; nothing may be filed without it.
    """
    issues = {str(issue.ref): issue for issue in tracker.hub_issues(repo)}
    linked = {record.fingerprint: key for record in records if (key := store.issue_of(record.fingerprint))}
    for key in dict.fromkeys(linked.values()):
        ref = IssueRef.parse(key)
        if key not in issues and ref.repo == repo:
            try:
                issue = tracker.issue(ref)
            except NotThere:
                continue
            # GitHub answers for a transferred issue with the one it became.
            if issue.ref == ref:
                issues[key] = issue
    login = tracker.login()
    return Standing(known_issues(issues.values(), login, linked), known_digests(issues.values(), login, linked))


def merged_fixes(
    records: Iterable[ErrorRecord], known: Mapping[str, KnownIssue], tracker: IssueTracker, store: RecordStore
) -> dict[str, IssueRef]:
    """The newest merged pull request of the hub for each of these records, by fingerprint.

    A record whose issue told of this very recovery is left out: it asks for nothing more.
    """
    merged: dict[str, IssueRef] = {}
    for record in records:
        there = known.get(record.fingerprint)
        if there is None:
            continue
        if there.marker.state == RecordState.RECOVERED.value and record.last_seen <= there.marker.last_seen:
            continue
        for fix in store.fixes(str(there.issue.ref)):
            if fix.pull_request:
                try:
                    pull_request = tracker.pull_request(IssueRef.parse(fix.pull_request))
                except NotThere:
                    continue
                if pull_request.merged:
                    merged[record.fingerprint] = pull_request.ref
    return merged


def known_after(known: Mapping[str, KnownIssue], carried: Iterable[Carried]) -> dict[str, KnownIssue]:
    """The issues as they are once these decisions were carried out, without asking GitHub for the list again."""
    after = dict(known)
    for one in carried:
        marker = RecordMarker.read(one.issue.body) if one.issue else None
        if one.issue is not None and marker is not None:
            after[marker.fingerprint] = KnownIssue(one.issue, marker)
    return after


def carry_out(
    decisions: Sequence[Decision],
    repo: RepoRef,
    tracker: IssueTracker,
    done: Callable[[Decision, Issue | None], None] = lambda decision, issue: None,
) -> tuple[Carried, ...]:
    """Do what was decided, one record after the other; one that fails stops no other, a rate limit stops the rest.

    ``done`` is told of each decision, with its issue where one was written.
    """
    if any(not isinstance(decision, LeaveAlone) for decision in decisions):
        tracker.ensure_labels(repo, LABELS)
    carried: list[Carried] = []
    pause: RateLimited | None = None
    for decision in decisions:
        if pause is not None and not isinstance(decision, LeaveAlone):
            carried.append(Carried(decision, problem=str(pause)))
            continue
        try:
            issue = write(decision, repo, tracker)
            done(decision, issue)
            carried.append(Carried(decision, issue))
        except RateLimited as limit:
            pause = limit
            carried.append(Carried(decision, problem=str(limit)))
        except TrackerError as error:
            carried.append(Carried(decision, problem=str(error)))
    return tuple(carried)


def post_once(tracker: IssueTracker, ref: IssueRef, note: Note) -> Comment:
    """The hub's comment with this note's key: the one that is there, or a new one."""
    login = tracker.login().lower()
    for comment in tracker.comments(ref):
        if comment.author.lower() == login and has_key(comment.body, note.key):
            return comment
    marker = key_marker(note.key)
    return tracker.add_comment(ref, f"{cut(note.text, BODY_LIMIT - len(marker) - 2)}\n\n{marker}")


def write(decision: Decision, repo: RepoRef, tracker: IssueTracker) -> Issue | None:
    """Carry one decision out; None where there is nothing to write.

    Raises:
        TrackerError: if GitHub refused or did not answer.
    """
    # The comment comes first and the body, whose marker remembers the news as told, last: killed between the two, the
    # next run decides the same again and finds its comment.
    if isinstance(decision, OpenIssue):
        draft = decision.draft
        willing = tuple(login for login in draft.assignees if tracker.can_be_assigned(repo, login))
        return tracker.create_issue(repo, replace(draft, assignees=willing))
    if isinstance(decision, LeaveAlone):
        return None
    if decision.note is not None:
        post_once(tracker, decision.ref, decision.note)
    states: Mapping[type, str | None] = {ReopenIssue: "open", CloseIssue: "closed", UpdateIssue: None}
    state = states[type(decision)]
    return tracker.update_issue(decision.ref, body=decision.body, state=state, labels=decision.labels)
