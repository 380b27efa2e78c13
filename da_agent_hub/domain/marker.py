"""Hidden machine-readable comments: what the hub wrote, for which cause, readable again with an empty store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

_MARKER = re.compile(r"<!-- da-agent-hub:record=(?P<json>\{[^\n<>]*\}) -->")
_DIGEST = re.compile(r"<!-- da-agent-hub:digest=(?P<json>\{[^\n<>]*\}) -->")
_NAME = "da-agent-hub"
_LATER = frozenset({"noted_at", "heard_category", "heard_priority", "given_category", "culprit_sha"})


def key_marker(key: str) -> str:
    """The hidden HTML comment that names why a comment was posted; the key may hold any text."""
    return f"<!-- {_NAME}:key={_quoted(key)} -->"


def has_key(body: str, key: str) -> bool:
    """Whether a body carries the marker of this very key. Ask it only of bodies that the hub itself wrote."""
    return key_marker(key) in body


def answers(body: str, event_id: str) -> bool:
    """Whether a body carries a key of this event: its answer, or that it was begun. Ask it only of the hub's own."""
    return is_marked(body) and f":{_quoted(event_id)} -->" in body


def is_marked(body: str) -> bool:
    """Whether a body carries any marker of the hub."""
    return f"<!-- {_NAME}:" in body


@dataclass(frozen=True)
class Heard:
    """What the thread of an issue was told: when of a change last, and what of a verdict that has moved on since.

    ``category`` and ``priority`` are empty where the thread knows what the body says.
    """

    at: datetime | None = None
    category: str = ""
    priority: str = ""


@dataclass(frozen=True)
class RecordMarker:
    """What an issue's body remembers of its record; ``as_of`` is the moment up to which runs had been read.

    ``previous`` is the number of an earlier issue of the same record, closed for good. ``noted_at`` and what was
    ``heard`` are those of the thread. ``given_category`` is that of the error class where an investigation proved
    another one, and ``culprit_sha`` the commit that it found.
    """

    fingerprint: str
    project: str
    environment: str
    category: str
    priority: str
    state: str
    episode: int
    occurrences: int
    first_seen: datetime
    last_seen: datetime
    as_of: datetime
    previous: int | None = None
    noted_at: datetime | None = None
    heard_category: str = ""
    heard_priority: str = ""
    given_category: str = ""
    culprit_sha: str = ""

    @property
    def heard(self) -> Heard:
        """What the thread was told."""
        return Heard(self.noted_at, self.heard_category, self.heard_priority)

    def __str__(self) -> str:
        values = {
            name: value.astimezone(timezone.utc).isoformat() if isinstance(value, datetime) else value
            for name, value in vars(self).items()
            # A body from before these were there stays as it is.
            if value or name not in _LATER
        }
        return f"<!-- {_NAME}:record={_hidden_json(values)} -->"

    @classmethod
    def read(cls, body: str) -> RecordMarker | None:
        """The last marker of a body that can be read, or None. Trust it only in a body that the hub itself wrote."""
        read = (_record_marker(found) for found in reversed(_MARKER.findall(body)))
        return next((marker for marker in read if marker), None)


@dataclass(frozen=True)
class DigestMarker:
    """What a digest issue remembers: the fingerprints that it stands for, and whether it told that it is over.

    The first member is the one whose record stands for all; ``as_of`` is the moment up to which runs had been read.
    """

    project: str
    members: tuple[str, ...]
    over: bool
    as_of: datetime

    def __str__(self) -> str:
        values = {
            "project": self.project,
            "members": list(self.members),
            "over": self.over,
            "as_of": self.as_of.astimezone(timezone.utc).isoformat(),
        }
        return f"<!-- {_NAME}:digest={_hidden_json(values)} -->"

    @classmethod
    def read(cls, body: str) -> DigestMarker | None:
        """The last marker of a body that can be read, or None. Trust it only in a body that the hub itself wrote."""
        read = (_digest_marker(found) for found in reversed(_DIGEST.findall(body)))
        return next((marker for marker in read if marker), None)


def _hidden_json(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    # Such signs stand only inside JSON strings; escaped there, no text can end this comment or open another.
    for sign, escaped in (("<", r"\u003c"), (">", r"\u003e"), ("&", r"\u0026"), ("--", r"-\u002d")):
        text = text.replace(sign, escaped)
    return text


def _digest_marker(text: str) -> DigestMarker | None:
    try:
        values = json.loads(text)
        members = tuple(str(one) for one in values["members"])
        marker = DigestMarker(str(values["project"]), members, bool(values["over"]), _moment(values["as_of"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return marker if members else None


def _record_marker(text: str) -> RecordMarker | None:
    try:
        values = json.loads(text)
        return RecordMarker(
            fingerprint=str(values["fingerprint"]),
            project=str(values["project"]),
            environment=str(values["environment"]),
            category=str(values["category"]),
            priority=str(values["priority"]),
            state=str(values["state"]),
            episode=int(values["episode"]),
            occurrences=int(values["occurrences"]),
            first_seen=_moment(values["first_seen"]),
            last_seen=_moment(values["last_seen"]),
            as_of=_moment(values["as_of"]),
            previous=int(values["previous"]) if values.get("previous") is not None else None,
            noted_at=_moment(values["noted_at"]) if values.get("noted_at") is not None else None,
            heard_category=str(values.get("heard_category", "")),
            heard_priority=str(values.get("heard_priority", "")),
            given_category=str(values.get("given_category", "")),
            culprit_sha=str(values.get("culprit_sha", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(timezone.utc)


def _quoted(key: str) -> str:
    # quote leaves - . _ ~ alone; two dashes in a row could end the comment
    return quote(key, safe=":/#@,").replace("-", "%2D")
