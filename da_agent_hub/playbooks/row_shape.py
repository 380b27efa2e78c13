"""A relation as its rows can be told apart: which columns say when a row came, which are labels, which are measures."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.dbt import GraphNode
from .case_file import CaseFile
from .warehouse import as_text, columns_of, load_columns, quoted

SAMPLED_ROWS = 200
MOST_COLUMNS = 40
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")


@dataclass(frozen=True)
class Shape:
    """The columns of one relation by what they can tell.

    ``moments`` hold dates and times, ``numbers`` measures or codes, ``labels`` all else; ``loads`` are those of them that a
    loader adds, the ones that tell when first. A column without any value is a label.
    """

    node: GraphNode
    relation: str
    adapter: str
    columns: tuple[str, ...]
    moments: tuple[str, ...]
    numbers: tuple[str, ...]
    labels: tuple[str, ...]
    loads: tuple[str, ...]

    def text(self, column: str) -> str:
        """A column as text."""
        return as_text(quoted(column, self.adapter), self.adapter)

    def day(self, column: str) -> str:
        """The day of a moment, as text."""
        return f"substr({self.text(column)}, 1, 10)"

    def name(self, column: str) -> str:
        """A column's name in SQL."""
        return quoted(column, self.adapter)


def shape_of(case: CaseFile, node: GraphNode) -> Shape | None:
    """Look at some rows of a relation; None where it is not there or holds none."""
    relation = node.relation_name
    if not relation:
        return None
    held = columns_of(case, relation)[:MOST_COLUMNS]
    if not held:
        return None
    adapter = case.graph.adapter_type
    listed = ", ".join(quoted(one.name, adapter) for one in held)
    found = case.ask(f"select {listed} from {relation} limit {SAMPLED_ROWS}", SAMPLED_ROWS)
    if found.error is not None or not found.rows:
        return None
    moments, numbers, labels = [], [], []
    for place, column in enumerate(held):
        cells = [row[place] for row in found.rows if row[place] is not None]
        if cells and all(isinstance(cell, str) and _MOMENT.fullmatch(cell) for cell in cells):
            moments.append(column.name)
        elif cells and all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells):
            numbers.append(column.name)
        else:
            labels.append(column.name)
    loads = load_columns(held)
    when = [one for one in loads if one in moments]
    return Shape(
        node, relation, adapter, tuple(one.name for one in held), tuple(moments), tuple(numbers), tuple(labels),
        (*when, *(one for one in loads if one not in when)),
    )  # fmt: skip


@dataclass(frozen=True)
class Flagged:
    """Rows of a relation with a column ``failing_row`` that is 1 for the failing ones and 0 for the others.

    ``subjects`` are lower-case names of columns by which the rows fail: that they differ there explains nothing.
    """

    shape: Shape
    sql: str
    subjects: frozenset[str]


def flagged(shape: Shape, where: str, subjects: Sequence[str]) -> Flagged:
    """The rows for which a condition holds are the failing ones."""
    sql = f"select held.*, case when {where} then 1 else 0 end as failing_row from {shape.relation} as held"
    return Flagged(shape, sql, frozenset(name.lower() for name in subjects))


def repeated(shape: Shape, keys: Sequence[str], order: Sequence[str]) -> Flagged:
    """All rows of a key but the first are the failing ones."""
    by = ", ".join(shape.name(key) for key in keys)
    first = ", ".join(shape.name(one) for one in order or keys)
    sql = (
        f"select numbered.*, case when repeat_place > 1 then 1 else 0 end as failing_row from (select held.*, "
        f"row_number() over (partition by {by} order by {first}) as repeat_place from {shape.relation} as held) as numbered"
    )
    return Flagged(shape, sql, frozenset(key.lower() for key in keys))


def literal(value: object) -> str:
    """A value that came out of a row, as a text literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"
