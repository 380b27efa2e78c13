"""The life of an issue as data: its states, what moves it from one to another, and what is written then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from .issue import Issue
from .marker import RecordMarker

REOPEN_WITHIN = timedelta(days=14)
SUPPRESSING = frozenset({"false-positive", "wontfix"})


class State(str, Enum):
    """Where an issue is in its life."""

    NEW = "new"
    INVESTIGATING = "investigating"
    WAITING = "waiting for a person"
    FIX_PROPOSED = "fix proposed"
    FIX_MERGED = "fix merged"
    RECOVERED = "recovered"
    CLOSED = "closed"
    REOPENED = "reopened"
    SUPPRESSED = "suppressed"


class Happening(str, Enum):
    """What may move an issue. ``FAILED`` is a failure that the issue does not tell of, ``FAILED_LATE`` one that came more
    than 14 days after the issue's end; ``CLOSED``, ``REOPENED``, ``SILENCED`` and ``RELEASED`` are done by people.
    """

    INVESTIGATION_BEGAN = "an investigation begins"
    INVESTIGATION_ENDED = "findings are told"
    FIX_OPENED = "a fix is proposed"
    FIX_TURNED_DOWN = "the fix is turned down"
    FIX_MERGED = "the fix is merged"
    FAILED = "it fails again"
    FAILED_LATE = "it fails again after 14 days"
    OVER = "enough good runs"
    CLOSED = "a person closes it"
    REOPENED = "a person reopens it"
    SILENCED = "a person labels it false-positive or wontfix"
    RELEASED = "that label is taken off"


class Write(str, Enum):
    """What the filing does to the issue on GitHub."""

    NOTHING = "nothing"
    UPDATE = "its text is brought up to date"
    CLOSE = "it is closed, or where it is closed already its end is told"
    REOPEN = "it is reopened"
    OPEN_ANEW = "a new issue is opened that names it"


@dataclass(frozen=True)
class Move:
    """Where a happening leads, and what is written."""

    to: State
    write: Write = Write.NOTHING


# The states of an issue that people are expected to look at.
ALIVE = (State.NEW, State.INVESTIGATING, State.WAITING, State.FIX_PROPOSED, State.REOPENED)
_ENDED = (State.FIX_MERGED, State.CLOSED, State.RECOVERED)

# What is not here changes nothing and writes nothing.
MOVES: Mapping[tuple[State, Happening], Move] = {
    **{(state, Happening.FAILED): Move(state, Write.UPDATE) for state in ALIVE},
    **{(state, Happening.INVESTIGATION_BEGAN): Move(State.INVESTIGATING) for state in ALIVE},
    **{(state, Happening.INVESTIGATION_ENDED): Move(State.WAITING) for state in ALIVE},
    **{(state, Happening.FIX_OPENED): Move(State.FIX_PROPOSED) for state in ALIVE},
    (State.FIX_PROPOSED, Happening.FIX_TURNED_DOWN): Move(State.WAITING),
    **{(state, Happening.FIX_MERGED): Move(State.FIX_MERGED) for state in (*ALIVE, State.CLOSED)},
    **{
        (state, Happening.OVER): Move(State.RECOVERED, Write.CLOSE)
        for state in (*ALIVE, State.FIX_MERGED, State.CLOSED)
    },
    **{(state, Happening.FAILED): Move(State.REOPENED, Write.REOPEN) for state in _ENDED},
    **{(state, Happening.FAILED_LATE): Move(state, Write.OPEN_ANEW) for state in _ENDED},
    **{(state, Happening.CLOSED): Move(State.CLOSED) for state in ALIVE},
    **{(state, Happening.REOPENED): Move(State.REOPENED) for state in _ENDED},
    **{(state, Happening.SILENCED): Move(State.SUPPRESSED) for state in (*ALIVE, *_ENDED)},
    (State.SUPPRESSED, Happening.RELEASED): Move(State.CLOSED),
}


def move(state: State, happening: Happening) -> Move:
    """Where a happening leads from a state; back to it, with nothing to write, where nothing is said of the two."""
    return MOVES.get((state, happening), Move(state))


def state_on_github(issue: Issue, marker: RecordMarker, *, fix_merged: bool) -> State:
    """The state that GitHub alone shows, for a hub whose store may be empty; any living one but reopened is ``NEW``."""
    if SUPPRESSING.intersection(issue.labels):
        return State.SUPPRESSED
    told_recovered = marker.state == State.RECOVERED.value
    if issue.state == "closed":
        return State.RECOVERED if told_recovered else State.FIX_MERGED if fix_merged else State.CLOSED
    if told_recovered:
        return State.REOPENED
    return State.FIX_MERGED if fix_merged else State.NEW


@dataclass(frozen=True)
class Suppression:
    """Why the hub is silent about an issue: the label, who set it and when, and what was said with it."""

    label: str
    by: str = ""
    at: datetime | None = None
    comment: str = ""


@dataclass(frozen=True)
class Life:
    """One issue's life so far, by the clock of the hub; ``since`` is when it came into its state.

    ``failed_at`` is the end of the dbt run that first showed the failure, and ``recovered_at`` the end of the one that
    ended it. After a reopening these and what follows from them are those of the new time.
    """

    issue_key: str
    project: str
    opened_at: datetime
    state: State = State.NEW
    since: datetime | None = None
    failed_at: datetime | None = None
    responded_at: datetime | None = None
    recovered_at: datetime | None = None
    pull_request: str | None = None
    suppression: Suppression | None = None

    def then(self, happening: Happening, at: datetime) -> Life:
        """The life after a happening; one from before the present state began is known already and changes nothing."""
        if at < (self.since or self.opened_at):
            return self
        to = move(self.state, happening).to
        responded = self.responded_at
        if happening is Happening.INVESTIGATION_ENDED and responded is None:
            responded = at
        if to is self.state:
            return replace(self, responded_at=responded)
        return replace(self, state=to, since=at, responded_at=responded)

    def answered(self, at: datetime) -> Life:
        """The life after the hub's first word in the thread."""
        return self if self.responded_at else replace(self, responded_at=at)

    def reopened(self, failed_at: datetime, at: datetime) -> Life:
        """The life after a recurrence, measured anew."""
        after = self.then(Happening.FAILED, at)
        if after.state is self.state:
            return after
        return replace(after, opened_at=at, failed_at=failed_at, responded_at=None, recovered_at=None)

    def recovered(self, run_at: datetime | None, at: datetime) -> Life:
        """The life after the run with which the failure was over."""
        return replace(self.then(Happening.OVER, at), recovered_at=run_at or at)

    def settled(self, issue: Issue, at: datetime) -> Life:
        """The life as GitHub's issue shows it now, whatever was missed."""
        life, label = self, next(iter(sorted(SUPPRESSING.intersection(issue.labels))), None)
        if label:
            kept = life.suppression if life.suppression and life.suppression.label == label else Suppression(label)
            return replace(life.then(Happening.SILENCED, at), suppression=kept)
        if life.state is State.SUPPRESSED:
            life = replace(life.then(Happening.RELEASED, at), suppression=None)
        if issue.state == "closed":
            return life.then(Happening.CLOSED, at)
        # A merge closes the issue only where the pull request says so.
        return life if life.state is State.FIX_MERGED else life.then(Happening.REOPENED, at)

    @property
    def seconds_to_detect(self) -> float | None:
        """From the end of the failed run to the issue."""
        return _seconds(self.failed_at, self.opened_at)

    @property
    def seconds_to_respond(self) -> float | None:
        """From the issue to the first findings or answer in it."""
        return _seconds(self.opened_at, self.responded_at)

    @property
    def seconds_to_resolve(self) -> float | None:
        """From the issue to the end of the run with which it was over."""
        return _seconds(self.opened_at, self.recovered_at)


def median(seconds: Iterable[float | None]) -> float | None:
    """The middle of those that are known, or None."""
    known = sorted(one for one in seconds if one is not None)
    if not known:
        return None
    middle = len(known) // 2
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2


def diagram() -> str:
    """The life cycle as Mermaid's ``stateDiagram-v2``, made of ``MOVES``."""
    names = {state: state.name.lower() for state in State}
    lines = ["stateDiagram-v2", *(f'    state "{state.value}" as {names[state]}' for state in State)]
    lines.append(f"    [*] --> {names[State.NEW]} : it fails")
    for (state, happening), one in MOVES.items():
        if one.to is not state:
            lines.append(f"    {names[state]} --> {names[one.to]} : {happening.value}")
        elif one.write is Write.OPEN_ANEW:
            lines.append(f"    {names[state]} --> [*] : {happening.value} (a new issue names it)")
    return "\n".join(lines)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return max(0.0, (end - start).total_seconds())
