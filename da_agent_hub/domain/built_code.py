"""Whether what a node is made of changed between two runs: told by what dbt ran, whatever else was committed."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from .dbt import NodeResult, Outcome, Passed
from .recovery import Position

# Ids, moments and days that a run writes into its own SQL: invocation_id, a run id of dbt Cloud, run_started_at.
_OF_ONE_RUN = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?"
    r"|\d{6,}",
    re.IGNORECASE,
)

# What every such id or moment has in it: much faster to look for, and most SQL has none, or not even four digits.
_HAS_NUMBERS = re.compile(r"\d{4}(?:\d\d|-\d\d-\d\d)")
_HAS_AN_ID = re.compile(r"-[0-9a-f]{4}-[0-9a-f]{4}-", re.IGNORECASE)
_DIGITS = bytes.maketrans(b"123456789", b"000000000")

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


def digest(compiled: str) -> str:
    """Twelve hexadecimal digits for compiled SQL, the same for all runs of one code, however it is laid out."""
    code = _COMMENT.sub("", compiled) if "--" in compiled else compiled
    if _may_be_of_one_run(code):
        code = _OF_ONE_RUN.sub("?", code)
    lasting = " ".join(code.split())
    return hashlib.sha256(lasting.encode(errors="replace")).hexdigest()[:12]


def _may_be_of_one_run(code: str) -> bool:
    has_four_digits = b"0000" in code.encode(errors="replace").translate(_DIGITS)
    return bool((has_four_digits and _HAS_NUMBERS.search(code)) or _HAS_AN_ID.search(code))


class BuiltCode:
    """The compiled code of each node over the runs of one environment, given in order of time."""

    def __init__(self) -> None:
        self._digests: dict[str, str | None] = {}
        self._changes: dict[str, list[Position]] = {}

    def ran(self, position: Position, result: NodeResult) -> None:
        """Note what ran; code that is not told, as that of a seed, counts as new each time, and a source has none."""
        if result.outcome not in (Outcome.SKIPPED, Outcome.UNKNOWN):
            self.passed(position, Passed((result.unique_id,), (result.code,)))

    def passed(self, position: Position, passed: Passed) -> None:
        """Note all that went well in a step."""
        digests = self._digests
        for unique_id, code in zip(passed.unique_ids, passed.codes, strict=True):
            if (code is None or digests.get(unique_id) != code) and not unique_id.startswith("source."):
                self._changes.setdefault(unique_id, []).append(position)
                digests[unique_id] = code

    def unchanged(self, unique_ids: Iterable[str], after: Position, until: Position) -> bool:
        """Whether none of these nodes ran other code in ``(after, until]``; what did not run there did not change."""
        return not any(True for _ in self.changed(unique_ids, after, until))

    def changed(self, unique_ids: Iterable[str], after: Position, until: Position) -> Iterator[str]:
        """Those of the nodes that ran other code in ``(after, until]``, or code that is not told."""
        for unique_id in unique_ids:
            changes = self._changes.get(unique_id, [])
            if bisect_right(changes, after) != bisect_right(changes, until):
                yield unique_id
