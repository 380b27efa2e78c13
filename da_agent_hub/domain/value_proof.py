"""Whether a patch gives the values of old: the relations it touches, beside those of the code before the failure."""

from __future__ import annotations

from dataclasses import dataclass

SAME, EXPLAINED, DIFFERENT, NOT_COMPARED = "same", "explained", "different", "not compared"


@dataclass(frozen=True)
class RelationCheck:
    """One relation on the same data: its rows before and with the patch, and what was compared, in a few words."""

    relation: str
    rows_before: int
    rows_after: int
    detail: str


@dataclass(frozen=True)
class ValueProof:
    """How a candidate's values compare with those of the code before the failure, built on the same data.

    ``verdict`` is ``same``, ``explained`` (they differ only in what changes that stay were meant to change), ``different``
    or ``not compared``; ``reason`` says so as half a sentence. ``added`` tells of columns or relations that the older code
    does not have, and ``anchored`` by which commit's code it was compared.
    """

    verdict: str
    reason: str
    relations: tuple[RelationCheck, ...] = ()
    added: bool = False
    anchored: str = ""

    @property
    def holds(self) -> bool:
        """Whether values speak for the candidate."""
        return self.verdict in {SAME, EXPLAINED}
