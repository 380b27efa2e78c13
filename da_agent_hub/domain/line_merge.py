"""Changes carried from one version of a file to another, line by line or word by word, or not at all where they overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

Split = Callable[[str], list[str]]


def lines(text: str) -> list[str]:
    """A text in lines, each with its end."""
    return text.splitlines(keepends=True)


def words(text: str) -> list[str]:
    """A text in words, white space and single signs."""
    return re.findall(r"\s+|\w+|[^\w\s]", text)


@dataclass(frozen=True)
class Hunk:
    """Pieces ``[start, end)`` (0-based) of the file after a commit, and the pieces that stood there before.

    Pieces are lines, or words where it was split so.
    """

    path: str
    start: int
    end: int
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many pieces going back would touch."""
        return len(self.before) + len(self.after)


def hunks_of(path: str, before: str, after: str, split: Split = lines) -> tuple[Hunk, ...]:
    """The smallest separate changes; a replacement of pieces one by one is split into single pieces."""
    old, new = split(before), split(after)
    found: list[Hunk] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        if kind == "replace" and b - a == d - c > 1:
            found += [Hunk(path, c + n, c + n + 1, (old[a + n],), (new[c + n],)) for n in range(b - a)]
        else:
            found.append(Hunk(path, c, d, tuple(old[a:b]), tuple(new[c:d])))
    return tuple(found)


def without(hunks: Sequence[Hunk], after: str, now: str, split: Split = lines) -> str | None:
    """The text ``now`` with hunks of an earlier commit taken back, or None where later changes overlap them."""
    committed, current = split(after), split(now)
    equal = [
        (a, b, c)
        for kind, a, b, c, _ in SequenceMatcher(None, committed, current, autojunk=False).get_opcodes()
        if kind == "equal"
    ]
    for hunk in sorted(hunks, key=lambda one: one.start, reverse=True):
        place = next((c + hunk.start - a for a, b, c in equal if a <= hunk.start and hunk.end <= b), None)
        if place is None:
            return None
        current[place : place + len(hunk.after)] = hunk.before
    return "".join(current)


def taken_over(then: str | None, wanted: str | None, now: str | None) -> str | None:
    """The change from ``then`` to ``wanted`` made to ``now``, or None where ``now`` changed the same lines or is gone."""
    if then is None or wanted is None or now is None:
        return None
    return without(hunks_of("", wanted, then), then, now)
