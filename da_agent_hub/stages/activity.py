"""What people did on GitHub since the last look becomes inbox events: nothing is missed, and nothing counts twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256

from ..config import GitHubSettings
from ..domain.command import COMMAND_LABELS, EventKind, InboxEvent
from ..domain.command_parser import mentions
from ..domain.event_id import Said, event_id, opening_id
from ..domain.issue import Comment, Issue, IssueRef, RepoRef, TimelineEvent
from ..domain.issue_text import HUB_LABEL
from ..domain.marker import is_marked
from ..domain.tracker_error import NotThere
from ..ports import IssueTracker, RecordStore

# GitHub's times are whole seconds, and its list may lag behind what was just written.
_OVERLAP = timedelta(minutes=2)
_MOST_ISSUES = 40
# An issue is marked as changed a moment after the label or the assignment that changed it.
_SETTLING = timedelta(seconds=5)
_FIX_BRANCH = re.compile(r"claude/issue-(?P<number>[0-9]{1,9})(?:-|$)")


@dataclass(frozen=True)
class Activity:
    """What one look found: ``changed`` False means that GitHub said so in one request.

    ``moved`` are the issues and pull requests that were read, ``new_events`` how many events were not yet known, and
    ``more`` whether some were left for the next look.
    """

    changed: bool
    moved: tuple[IssueRef, ...] = ()
    new_events: int = 0
    more: bool = False

    @property
    def summary(self) -> str:
        """One line for a log."""
        if not self.changed:
            return "nothing moved"
        rest = ", more at the next look" if self.more else ""
        return f"{len(self.moved)} moved, {self.new_events} new events{rest}"


def read_activity(
    tracker: IssueTracker, store: RecordStore, github: GitHubSettings, repo: RepoRef, now: datetime
) -> Activity:
    """Look once, with one conditional request and then two for each issue that moved, four for a fix; at most 40 a look.

    The first look of all starts now, less a short overlap: what people wrote before the hub came is not answered.

    Raises:
        TrackerError: where GitHub could not be read; the cursor stays, so that the next look misses nothing.
    """
    name = f"activity:{repo}"
    cursor = store.cursor(name)
    if not cursor:
        start = (now - _OVERLAP).isoformat()
        cursor = {"since": start, "started": start}
        # At once, since a first look that failed must not make the second start later.
        store.set_cursor(name, cursor)
    since, started = datetime.fromisoformat(cursor["since"]), datetime.fromisoformat(cursor["started"])
    changed, etag = tracker.changed_issues(repo, since, cursor.get("etag"))
    if changed is None:
        return Activity(changed=False)
    looked_at = changed[:_MOST_ISSUES]
    # An issue that waits for a later look moved last, but perhaps not first, after the last complete one.
    complete = datetime.fromisoformat(cursor.get("complete", cursor["since"]))
    reader = _Reader(tracker, store, github, tracker.login(), complete - _OVERLAP, started)
    new = 0
    for issue in looked_at:
        new += store.add_events(reader.events_of(issue))
    more = len(changed) > len(looked_at)
    moved_to = max([since, *(issue.updated_at - _OVERLAP for issue in looked_at)])
    if more and moved_to == since:
        # More than a full look within the overlap, or within one second, would be read again for ever.
        moved_to = max(looked_at[-1].updated_at, since + timedelta(seconds=1))
    # An ETag belongs to one address, and ``since`` is part of it.
    store.set_cursor(
        name,
        {
            "started": cursor["started"],
            "since": moved_to.isoformat(),
            "complete": (complete if more else moved_to).isoformat(),
            "etag": etag if moved_to == since else None,
        },
    )
    return Activity(True, tuple(issue.ref for issue in looked_at), new, more)


def look_at(tracker: IssueTracker, store: RecordStore, github: GitHubSettings, hint: InboxEvent) -> int:
    """Read the issue or pull request that a webhook named, as polling would; returns how many events were new.

    What the hint says is not believed: it tells where to look, and where polling never began, since when.

    Raises:
        TrackerError: where GitHub could not be read.
    """
    issue = tracker.issue(IssueRef.parse(hint.subject))
    cursor = store.cursor(f"activity:{issue.ref.repo}")
    told = hint.happened_at - _SETTLING
    started = datetime.fromisoformat(cursor["started"]) if cursor else told
    return store.add_events(_Reader(tracker, store, github, tracker.login(), told, started).events_of(issue))


def fixed_issue(
    tracker: IssueTracker, store: RecordStore, github: GitHubSettings, pull_request: IssueRef
) -> IssueRef | None:
    """The issue whose fix a pull request is: by the store, or by its branch where the hub opened it.

    Raises:
        TrackerError: where GitHub could not be read.
    """
    key = store.issue_of_pull_request(str(pull_request))
    if key:
        return IssueRef.parse(key)
    never = datetime.min.replace(tzinfo=timezone.utc)
    reader = _Reader(tracker, store, github, tracker.login(), never, never)
    return reader.issue_of_pull_request(tracker.issue(pull_request))


@dataclass(frozen=True)
class _Reader:
    tracker: IssueTracker
    store: RecordStore
    github: GitHubSettings
    login: str
    since: datetime
    started: datetime

    def events_of(self, issue: Issue) -> list[InboxEvent]:
        target = self.issue_of_pull_request(issue) if issue.is_pull_request else issue.ref
        if target is None:
            return []
        found = [
            *self._opening(issue),
            *(
                event
                for one in self.tracker.comments(issue.ref, self.since)
                for event in self._comment(one, issue, target)
            ),
            *(self._on_a_pull_request(issue, target) if issue.is_pull_request else ()),
            *(event for one in self.tracker.events(issue.ref) for event in self._timeline(one, issue, target)),
        ]
        return [event for event in found if event.happened_at >= self.started]

    def _opening(self, issue: Issue) -> Iterator[InboxEvent]:
        if not issue.is_pull_request and not self._is_self(issue.author) and self._addressed(issue.body):
            yield self._said(opening_id(issue.ref), issue.ref, issue.author, issue.created_at, "", issue.body)

    def _on_a_pull_request(self, issue: Issue, target: IssueRef) -> Iterator[InboxEvent]:
        for one in self.tracker.reviews(issue.ref):
            yield from self._comment(one, issue, target, Said.REVIEW)
        for one in self.tracker.review_comments(issue.ref, self.since):
            yield from self._comment(one, issue, target, Said.REVIEW_COMMENT)

    def _comment(
        self, comment: Comment, issue: Issue, target: IssueRef, said_in: Said = Said.COMMENT
    ) -> Iterator[InboxEvent]:
        if comment.author_is_bot or self._is_self(comment.author) or is_marked(comment.body):
            return
        if self._addressed(comment.body):
            key, subject = event_id(said_in, comment.comment_id, target.repo), str(comment.comment_id)
            said = self._said(key, target, comment.author, comment.created_at, subject, comment.body)
            # What is said on a fix is answered there.
            detail = {} if issue.ref == target else {"thread": str(issue.ref)}
            yield replace(said, detail=detail | ({"said_in": said_in.value} if said_in is not Said.COMMENT else {}))

    def _timeline(self, event: TimelineEvent, issue: Issue, target: IssueRef) -> Iterator[InboxEvent]:
        kind, subject = EventKind(event.kind), event.subject
        if issue.is_pull_request:
            if kind is not EventKind.MERGED:
                return
            subject = str(issue.ref)
        elif self._is_self(event.actor) or event.actor.endswith("[bot]") or not self._concerns(kind, subject, issue):
            return
        key = event_id(Said.EVENT, event.event_id, target.repo)
        yield InboxEvent(key, str(target), kind, event.actor, event.created_at, subject)

    def _concerns(self, kind: EventKind, subject: str, issue: Issue) -> bool:
        if kind is EventKind.LABELED:
            return subject in COMMAND_LABELS
        if kind is EventKind.ASSIGNED:
            return self._is_self(subject)
        ours = HUB_LABEL in issue.labels or self._is_self(issue.author)
        return kind in (EventKind.CLOSED, EventKind.REOPENED) and ours

    def issue_of_pull_request(self, pull_request: Issue) -> IssueRef | None:
        """The issue whose fix it is, or None."""
        key = self.store.issue_of_pull_request(str(pull_request.ref))
        if key:
            return IssueRef.parse(key)
        if not self._is_self(pull_request.author):
            return None
        try:
            branch = _FIX_BRANCH.match(self.tracker.pull_request(pull_request.ref).head_branch)
        except NotThere:
            return None
        return IssueRef(pull_request.ref.repo, int(branch["number"])) if branch else None

    def _said(self, key: str, target: IssueRef, actor: str, at: datetime, subject: str, text: str) -> InboxEvent:
        return InboxEvent(key, str(target), EventKind.COMMENT, actor, at, subject, text, body_hash(text))

    def _addressed(self, text: str) -> bool:
        return mentions(text, self.github.trigger)

    def _is_self(self, login: str) -> bool:
        return login.lower() in {self.login.lower(), (self.github.bot_login or self.login).lower()}


def body_hash(text: str) -> str:
    """SHA-256 of a body, with the line ends that GitHub's web form changes made equal."""
    return sha256("\n".join(text.splitlines()).encode("utf-8", "surrogatepass")).hexdigest()
