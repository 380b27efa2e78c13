"""What the templates are given: threads, diffs and colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .bare_repo import FileDiff

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True)
class DiffLine:
    """A line of a diff; ``kind`` is ``hunk``, ``added``, ``removed``, ``note`` or ``same``; numbers are None where absent."""

    kind: str
    old: int | None
    new: int | None
    text: str


def diff_lines(file: FileDiff) -> list[DiffLine]:
    """A file's patch, line by line."""
    lines: list[DiffLine] = []
    old = new = 0
    for text in file.patch.split("\n") if file.patch else []:
        found = _HUNK.match(text)
        if found:
            old, new = int(found[1]), int(found[2])
            lines.append(DiffLine("hunk", None, None, text))
        elif text.startswith("+"):
            lines.append(DiffLine("added", None, new, text[1:]))
            new += 1
        elif text.startswith("-"):
            lines.append(DiffLine("removed", old, None, text[1:]))
            old += 1
        elif text.startswith("\\"):
            lines.append(DiffLine("note", None, None, text))
        else:
            lines.append(DiffLine("same", old, new, text[1:]))
            old, new = old + 1, new + 1
    return lines


def ink_on(color: str) -> str:
    """Black or white, whichever reads better on a hex colour."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (0, 2, 4))
    return "#1f2328" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"


def event_words(entry: dict[str, Any]) -> str:
    """What a timeline entry says after its actor's name."""
    kind = entry["event"]
    if kind in ("labeled", "unlabeled"):
        return "added the label" if kind == "labeled" else "removed the label"
    if kind in ("assigned", "unassigned"):
        who = entry["assignee"]["login"]
        return f"assigned {who}" if kind == "assigned" else f"unassigned {who}"
    if kind == "closed":
        reason = {"not_planned": " as not planned", "completed": " as completed", "duplicate": " as a duplicate"}
        return f"closed this{reason.get(entry.get('state_reason') or '', '')}"
    if kind == "renamed":
        return f"changed the title from “{entry['rename']['from']}” to “{entry['rename']['to']}”"
    words = {
        "reopened": "reopened this",
        "merged": "merged this",
        "cross-referenced": "mentioned this in",
        "committed": "committed",
        "reviewed": "reviewed",
        "head_ref_deleted": "deleted the branch",
    }
    return words.get(kind, str(kind))


def error_words(item: Any) -> str:
    """One entry of the ``errors`` of an answer: GitHub's own words, or those for its code."""
    if not isinstance(item, dict):
        return str(item)
    words = {
        "missing_field": "is missing",
        "missing": "does not exist",
        "invalid": "is not valid",
        "already_exists": "exists already",
    }
    told = words.get(item.get("code", ""))
    return str(item.get("message") or (f"{item.get('field', 'it')} {told}" if told else ""))


def moment(text: str | None) -> str:
    """A time as people read it."""
    return f"{text[:10]} {text[11:16]} UTC" if text else ""


def total(files: Sequence[FileDiff]) -> tuple[int, int]:
    """Lines added and removed."""
    return sum(file.additions for file in files), sum(file.deletions for file in files)
