"""Line changes carried from one version of a file to another, or not at all where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True)
class Hunk:
    """Lines ``[start, end)`` (0-based) of the file after a commit, and the lines that stood there before."""

    path: str
    start: int
    end: int
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many lines going back would touch."""
        return len(self.before) + len(self.after)


def hunks_of(path: str, before: str, after: str) -> tuple[Hunk, ...]:
    """The smallest separate changes; a replacement of lines one by one is split into single lines."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Hunk] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        if kind == "replace" and b - a == d - c > 1:
            found += [Hunk(path, c + n, c + n + 1, (old[a + n],), (new[c + n],)) for n in range(b - a)]
        else:
            found.append(Hunk(path, c, d, tuple(old[a:b]), tuple(new[c:d])))
    return tuple(found)


def without(hunks: Sequence[Hunk], after: str, now: str) -> str | None:
    """The text ``now`` with hunks of an earlier commit taken back, or None where later changes overlap them."""
    committed, current = after.splitlines(keepends=True), now.splitlines(keepends=True)
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
