"""The one comment of a command: posted at once, edited as the work goes, and in the end its answer."""

from __future__ import annotations

import logging

from ..domain.command import EventKind, InboxEvent
from ..domain.issue import Comment, IssueRef
from ..domain.markdown import BODY_LIMIT, cut
from ..domain.marker import has_key, key_marker
from ..domain.progress import Step, at_work
from ..domain.tracker_error import NotThere, TrackerError
from ..ports import IssueTracker, RecordStore

_ASKED = frozenset({EventKind.COMMENT, EventKind.LABELED, EventKind.ASSIGNED})

logger = logging.getLogger(__name__)


class StopAsked(Exception):  # noqa: N818 -- an except clause reads as what happened
    """A person asked to stop what is under way."""


def is_asked(event: InboxEvent) -> bool:
    """Whether a person's command is behind an event."""
    return event.kind in _ASKED


def thread_of(event: InboxEvent) -> IssueRef:
    """The issue, or the hub's pull request that a command stands on."""
    return IssueRef.parse(event.detail.get("thread", event.issue_key))


def comment_key(event: InboxEvent) -> str:
    """By which the one comment of an event is found again."""
    return f"reply:{event.event_id}" if is_asked(event) else f"findings:{event.event_id}"


class CommandComment:
    """An event's comment in the hands of this process; a process that died left it to be found by its key.

    Work that nobody asked for is told of only when it is done.
    """

    def __init__(self, event: InboxEvent, tracker: IssueTracker, store: RecordStore) -> None:
        self._event = event
        self._tracker = tracker
        self._store = store
        self._told: set[Step] = set()
        self._there: Comment | None = None

    def at(self, step: Step, subject: str = "", known: str = "") -> None:
        """Say what the command is at; a step that was told costs nothing more, and saying it fails no work.

        Raises:
            StopAsked: a person asked to stop.
        """
        self.check()
        if step in self._told or not is_asked(self._event):
            return
        self._told.add(step)
        self.say_if_possible(at_work(step, subject, known))

    def check(self) -> None:
        """Go on only where nobody asked to stop.

        Raises:
            StopAsked: a person did.
        """
        if self._store.stop_requested(self._event.issue_key):
            raise StopAsked(self._event.issue_key)

    def say_if_possible(self, text: str) -> None:
        """Say what may also be left unsaid."""
        try:
            self.say(text)
        except TrackerError as error:
            logger.warning("%s goes on, though its comment could not be changed: %s", self._event.event_id, error)

    def say(self, text: str) -> Comment:
        """Make this the comment's text, the hidden key not included.

        Raises:
            TrackerError: GitHub refused or did not answer.
        """
        thread, key = thread_of(self._event), comment_key(self._event)
        marker = key_marker(key)
        body = f"{cut(text, BODY_LIMIT - len(marker) - 2)}\n\n{marker}"
        there = self._there or find_comment(self._tracker, thread, key)
        if there is not None and there.body == body:
            return there
        try:
            said = self._tracker.edit_comment(thread, there.comment_id, body) if there is not None else None
        except NotThere:  # somebody deleted it meanwhile
            said = None
        self._there = said or self._tracker.add_comment(thread, body)
        return self._there


def find_comment(tracker: IssueTracker, thread: IssueRef, key: str) -> Comment | None:
    """The hub's comment with this key."""
    login = tracker.login().lower()
    found = (one for one in tracker.comments(thread) if one.author.lower() == login and has_key(one.body, key))
    return next(found, None)
