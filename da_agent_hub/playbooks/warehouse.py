"""Questions to the private warehouse: columns, loads, duplicate keys, and where a column comes from."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
import sqlglot.errors
from sqlglot import exp
from sqlglot.lineage import lineage

from ..domain.dbt import GraphNode, ProjectGraph
from ..ports import DbtResult, QueryResult
from .case_file import CaseFile

# How loaders name what they add to a row: dlt, Fivetran, Airbyte, Stitch, Meltano, Snowpipe and hand-written ones.
_LOAD_METADATA = re.compile(
    r"^_|^(dlt|fivetran|airbyte|sdc|etl|dwh|meta|metadata|load|loaded|ingest|ingested|ingestion|batch|import|imported"
    r"|extract|extracted|sync|synced|insert|inserted|file|filename|source_file|row_loaded|record_loaded)(_|$)"
    r"|_(loaded|load|ingested|ingestion|imported|extracted|synced|inserted|batch|batched)(_at|_on|_ts|_id|_time|_date|_dt"
    r"|_timestamp|_datetime|_file|_no|_number|_key)?$|(load|batch|ingest|sync|extract|insert)_?(id|ts|time|timestamp|date)$"
    r"|^(loadts|loaddate|loadtime|filename|file_name|_?source_?file)$",
    re.IGNORECASE,
)
_MOMENT = re.compile(r"timestamp|date|datetime", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column as the warehouse holds it; ``kind`` is its type in the warehouse's words."""

    name: str
    kind: str


def quoted(name: str, adapter_type: str) -> str:
    """An identifier for SQL, quoted in the adapter's way where it needs it."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        return name
    return exp.to_identifier(name, quoted=True).sql(dialect=dialect(adapter_type))


def dialect(adapter_type: str) -> str | None:
    """sqlglot's name for a dbt adapter, or None for one it does not know."""
    try:
        sqlglot.Dialect.get_or_raise(adapter_type)
    except ValueError:
        return None
    return adapter_type


def as_text(expression: str, adapter_type: str) -> str:
    """An expression cast to text, by the adapter's name of that type."""
    return f"cast({expression} as {exp.DataType.build('varchar').sql(dialect=dialect(adapter_type))})"


def median(expression: str, adapter_type: str) -> str:
    """The median of an expression over the rows of a group."""
    if adapter_type == "bigquery":  # has no exact median that aggregates
        return f"approx_quantiles({expression}, 2)[offset(1)]"
    if adapter_type in {"postgres", "redshift"}:
        return f"percentile_cont(0.5) within group (order by {expression})"
    return f"median({expression})"


def minutes_between(earlier: str, later: str, adapter_type: str) -> str:
    """How many minutes lie between two moments, in the adapter's way."""
    sql = f"date_diff('minute', cast({earlier} as timestamp), cast({later} as timestamp))"
    adapter = dialect(adapter_type)
    return sqlglot.parse_one(sql, read="duckdb").sql(dialect=adapter) if adapter else sql


def columns_of(case: CaseFile, relation: str) -> tuple[Column, ...]:
    """The columns that a relation really has now, in order; empty where it does not exist."""
    empty = case.ask(f"select * from {relation} where 1 = 0", 1)
    if empty.error is not None:
        return ()
    kinds: Mapping[str, str] = {}
    if case.graph.adapter_type == "duckdb" and empty.columns:
        parts = ", ".join(f"typeof({quoted(name, 'duckdb')})" for name in empty.columns)
        found = case.ask(f"select {parts} from {relation} limit 1", 1)
        if found.rows:
            kinds = {name: str(kind) for name, kind in zip(empty.columns, found.rows[0], strict=True)}
    return tuple(Column(name, kinds.get(name, "")) for name in empty.columns)


def load_columns(columns: Sequence[Column]) -> tuple[str, ...]:
    """Columns that a loader adds, those that tell when first."""
    found = [column for column in columns if _LOAD_METADATA.search(column.name)]
    when = [one for one in found if _MOMENT.search(one.kind) or re.search(r"(_at|_ts|time|date)$", one.name.lower())]
    return tuple(column.name for column in [*when, *(one for one in found if one not in when)])


def is_load_metadata(name: str) -> bool:
    """Whether a column's name says that it came with the load and not with the record."""
    return bool(_LOAD_METADATA.search(name))


def count(case: CaseFile, relation: str) -> int | None:
    """Rows of a relation, or None where it cannot be read."""
    return first_number(case.ask(f"select count(*) as n from {relation}", 1))


def first_number(result: QueryResult) -> int | None:
    """The one number that a counting query returned."""
    if result.error is not None or not result.rows or result.rows[0][0] is None:
        return None
    return int(result.rows[0][0])


def duplicate_keys(case: CaseFile, relation: str, keys: Sequence[str]) -> int | None:
    """How many key values occur more than once; None where the relation lacks the key."""
    names = ", ".join(quoted(key, case.graph.adapter_type) for key in keys)
    present = " and ".join(f"{quoted(key, case.graph.adapter_type)} is not null" for key in keys)
    return first_number(
        case.ask(
            f"select count(*) as n from (select {names} from {relation} where {present} group by {names} "
            "having count(*) > 1) as repeated_keys",
            1,
        )
    )


@dataclass(frozen=True)
class Origin:
    """The upstream relation and column that a column is taken from, unchanged or through an expression."""

    node: GraphNode
    column: str


def origins(case: CaseFile, node: GraphNode, column: str, compiled: str | None) -> tuple[Origin, ...]:
    """The direct parents' columns that feed a column of a model, by its compiled SQL; empty where that cannot be told."""
    parents = relations_of(case.graph, node)
    if not compiled or not parents:
        return ()
    schema: dict[str, dict[str, str]] = {}
    expression = _parsed(compiled, case.graph.adapter_type)
    if expression is None:
        return ()
    # Relations are given plain names of their own, so that neither quoting nor catalogs can hide one.
    names = {}
    for table in expression.find_all(exp.Table):
        parent = parents.get(
            _plain(table.sql(dialect=dialect(case.graph.adapter_type), comments=False).split(" AS ")[0])
        )
        if parent is not None:
            name = f"parent_{list(parents.values()).index(parent)}"
            names[name] = parent
            alias = table.alias or table.name
            table.replace(exp.alias_(exp.to_table(name), alias, table=True))
    for name, parent in names.items():
        if parent.relation_name:
            schema[name] = {one.name.lower(): one.kind or "text" for one in columns_of(case, parent.relation_name)}
    try:
        root = lineage(column.lower(), expression, schema=schema, dialect=dialect(case.graph.adapter_type))
    except (sqlglot.errors.SqlglotError, ValueError, KeyError, AttributeError, RecursionError):
        return ()
    found: dict[tuple[str, str], Origin] = {}
    for leaf in root.walk():
        if isinstance(leaf.expression, exp.Table) and leaf.expression.name in names:
            parent = names[leaf.expression.name]
            read = leaf.name.rsplit(".", 1)[-1].strip('"`')
            found[parent.unique_id, read] = Origin(parent, read)
    return tuple(found.values())


def name_read(node: GraphNode, column: str) -> str:
    """By which name a model reads what it calls ``column``, as far as its text shows; the same name where it does not."""
    aliased = rf"(?:cast\(\s*)?(?:\w+\.)?\"?(\w+)\"?(?:\s+as\s+[\w() ,]+\)|::\w+)?\s+as\s+\"?{re.escape(column)}\b"
    found = re.search(aliased, re.sub(r"--[^\n]*", " ", node.raw_sql), re.I)
    return found[1] if found else column


def relations_of(graph: ProjectGraph, node: GraphNode) -> dict[str, GraphNode]:
    """A node's direct parents by their relation's name, lower case and without quotes."""
    parents = (graph.get(one) for one in node.depends_on)
    return {_plain(one.relation_name): one for one in parents if one is not None and one.relation_name}


def compiled_sql(case: CaseFile, node: GraphNode, results: Sequence[DbtResult] = ()) -> str | None:
    """A node's compiled SQL: from builds that were made, else from dbt's compile of the checkout as it stands."""
    for result in results:
        if node.unique_id in result.compiled:
            return result.compiled[node.unique_id]
    if node.unique_id == case.record.node and case.record.latest.compiled_sql:
        return case.record.latest.compiled_sql
    compiled = case.bench.dbt("compile", "--select", node.name)
    return compiled.compiled.get(node.unique_id)


def _parsed(sql: str, adapter_type: str) -> Any:
    try:
        return sqlglot.parse_one(sql, read=dialect(adapter_type))
    except sqlglot.errors.SqlglotError:
        return None


def _plain(relation: str) -> str:
    return re.sub(r'["`\[\]]', "", relation).lower().strip()
