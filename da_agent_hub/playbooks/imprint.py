"""What a relation holds, as counts of hashes: two builds on the same data can be compared after the first one is gone."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlglot

from ..domain.dbt import GraphNode, ProjectGraph
from .case_file import CaseFile
from .duplicate_keys import key_of
from .warehouse import Column, columns_of, count, dialect, duplicate_keys, load_columns, quoted

_ABSENT = "(null)"
_WHOLE_ROW = ""
_FEW_ROWS, _DIGITS, _ROW_DIGITS, _ALL_DIGITS = 2_000, 2, 3, 32
_COLUMNS_AT_ONCE = 20
_TRIES_TO_CAST = {"duckdb", "snowflake", "bigquery", "databricks", "spark"}
_WHOLE = re.compile(r"^u?(tiny|small|big|huge)?int(eger)?$", re.I)
_BROKEN = re.compile(r"^(decimal|numeric|double|float|real)", re.I)
_Prints = tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Imprint:
    """One relation as it was built.

    ``anchor`` are the columns by which each value is tied to its row: its key, where its tests name one (``is_key``).
    ``prints`` holds counts of hashes for each column, and for whole rows under the empty name. ``left_out`` are columns
    that tell when a row was built.
    """

    columns: tuple[str, ...]
    rows: int
    anchor: tuple[str, ...]
    is_key: bool
    repeated_keys: int
    prints: Mapping[str, _Prints]
    left_out: tuple[str, ...] = ()

    def differs_in(self, other: Imprint) -> dict[str, int]:
        """Common columns whose values differ, and in how many rows at least; the empty name stands for whole rows."""
        names = [name for name in self.columns if name in other.prints]
        found = {name: _apart(self.prints[name], other.prints[name]) for name in names}
        found = {name: rows for name, rows in found.items() if rows}
        if not found and set(self.columns) == set(other.columns):
            rows = _apart(self.prints[_WHOLE_ROW], other.prints[_WHOLE_ROW])
            return {_WHOLE_ROW: rows} if rows else {}
        return found


def anchor_of(graph: ProjectGraph, node: GraphNode, columns: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The columns that tie a value to its row, and whether tests say that they are a key."""
    held = {name.lower(): name for name in columns}
    for unique_id in graph.children.get(node.unique_id, ()):
        test = graph.get(unique_id)
        if test is None or test.test is None or test.test.attached_node != node.unique_id:
            continue
        key = key_of(test)
        if key is not None and all(name.lower() in held for name in key):
            return tuple(held[name.lower()] for name in key), True
    return tuple(name for name in columns if re.search(r"(^|_)(id|key|no|number|code)$", name, re.I)), False


def take_imprint(case: CaseFile, graph: ProjectGraph, node: GraphNode, anchor: Sequence[str] | None) -> Imprint | None:
    """The imprint of a node as the private warehouse holds it now; None where it cannot be read.

    ``anchor`` is what another imprint of it was tied by, or None to choose.
    """
    relation = node.relation_name or ""
    held = columns_of(case, relation)
    # Moments at which a row was loaded or built are never the same twice.
    moments = load_columns([one for one in held if re.search("timestamp|date|time", one.kind, re.I)])
    columns = sorted((one for one in held if one.name not in moments), key=lambda one: one.name)
    names = tuple(one.name for one in columns)
    rows = count(case, relation)
    if not columns or rows is None:
        return None
    tied, is_key = anchor_of(graph, node, names)
    if anchor is not None:
        tied, is_key = tuple(anchor), is_key and tuple(anchor) == tied
    if not set(tied) <= set(names):
        return None
    repeated = duplicate_keys(case, relation, tied) or 0 if is_key else 0
    by_name = {one.name: one for one in columns}
    wanted = {_WHOLE_ROW: columns, **{one.name: [*(by_name[name] for name in tied), one] for one in columns}}
    prints: dict[str, _Prints] = {}
    for start in range(0, len(wanted), _COLUMNS_AT_ONCE):
        part = dict(list(wanted.items())[start : start + _COLUMNS_AT_ONCE])
        digits = {name: _ALL_DIGITS if rows <= _FEW_ROWS else _DIGITS if name else _ROW_DIGITS for name in part}
        most = len(part) * max(_FEW_ROWS, 16**_ROW_DIGITS) + 1
        answer = case.ask(_query(relation, part, digits, case.graph.adapter_type), most)
        if answer.error is not None or answer.truncated:
            return None
        for place, name in enumerate(part):
            prints[name] = tuple(tuple(row[1:]) for row in answer.rows if row[0] is not None and int(row[0]) == place)
    return Imprint(names, rows, tied, is_key, repeated, prints, tuple(moments))


def _apart(one: _Prints, other: _Prints) -> int:
    """In how many rows two columns differ, at least."""
    first, second = ({row[0]: row[1:] for row in prints} for prints in (one, other))
    more = sum(_rows(first[key], second.get(key)) for key in first if first[key] != second.get(key))
    less = sum(_rows(second[key], first.get(key)) for key in second if first.get(key) != second[key])
    return max(more, less)


def _rows(here: tuple[object, ...], there: tuple[object, ...] | None) -> int:
    number = int(str(here[0]))
    if there is None:
        return number
    return max(1 if here[1:] != there[1:] else 0, number - int(str(there[0])))


def _query(relation: str, wanted: Mapping[str, Sequence[Column]], digits: Mapping[str, int], adapter_type: str) -> str:
    parts = []
    for place, (name, columns) in enumerate(wanted.items()):
        row = " || '|' || ".join(f"coalesce({_text(one, adapter_type)}, '{_ABSENT}')" for one in columns)
        parts.append(
            f"select {place} as place, substr(h, 1, {digits[name]}) as bucket, count(*) as n, min(h) as low, max(h) as high "
            f"from (select md5({row}) as h from relation_compared) as hashed{place} group by 1, 2"
        )
    sql = " union all ".join(parts)
    adapter = dialect(adapter_type)
    if adapter is not None and adapter != "duckdb":
        (sql,) = sqlglot.transpile(sql, read="duckdb", write=adapter)
    return sql.replace("relation_compared", relation)


def _text(column: Column, adapter_type: str) -> str:
    """A value as text: numbers rounded and alike in each type, so that 2 and 2.0 are the same and '02' is not."""
    name = quoted(column.name, "duckdb")
    text = f"cast({name} as varchar)"
    if _WHOLE.match(column.kind):
        return f"{text} || '.0'"
    if _BROKEN.match(column.kind):
        return f"cast(round(cast({name} as double), 6) as varchar)"
    if not column.kind and dialect(adapter_type) in _TRIES_TO_CAST:
        return f"coalesce(cast(round(try_cast({text} as double), 6) as varchar), {text})"
    return text
