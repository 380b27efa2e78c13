"""What an investigator may ask of a warehouse: one SELECT over relations, with ``ref`` and ``source`` as its only Jinja."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

from ..domain.dbt import ProjectGraph

_JINJA = re.compile(r"\{\{\s*(ref|source)\s*\(([^(){}]*)\)\s*\}\}")
_TEXT = re.compile(r"""['"]([^'"]+)['"]""")
_FORBIDDEN_FUNCTIONS = re.compile(
    r"^(read_|scan_|sniff_|glob$|getenv|.*_scan$|query$|query_table$|dblink|pg_read|pg_ls|lo_|load_|http|system)", re.I
)
_WRITING = (
    exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Copy,
    exp.Attach, exp.Detach, exp.Set, exp.Pragma, exp.Use, exp.Into, exp.Lock,
)  # fmt: skip


class QueryRefusedError(Exception):
    """The text is not one read-only SELECT; the message says what stood in the way."""


def read_only_select(sql: str, adapter_type: str, graph: ProjectGraph | None) -> str:
    """The SELECT to send, with ``ref`` and ``source`` resolved.

    Raises:
        QueryRefusedError: for anything that is not one SELECT, reads files or the environment, or holds other Jinja.
    """
    resolved = _JINJA.sub(lambda call: _relation(call[1], _TEXT.findall(call[2]), graph), sql)
    if re.search(r"\{[{%#]", resolved):
        raise QueryRefusedError("only ref() and source() may stand in the Jinja of a query")
    try:
        statements = [one for one in sqlglot.parse(resolved, read=_dialect(adapter_type)) if one is not None]
    except sqlglot.errors.SqlglotError as error:
        raise QueryRefusedError(f"the query could not be parsed: {str(error)[:300]}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise QueryRefusedError("a query is one SELECT")
    for node in statements[0].walk():
        if isinstance(node, _WRITING):
            raise QueryRefusedError(f"a query only reads, and this one holds {node.key.upper()}")
        if (
            isinstance(node, exp.Table)
            and isinstance(node.this, exp.Identifier)
            and re.search(r"[/\\*]|\.\w+$", node.name)
        ):
            raise QueryRefusedError(f"{node.name!r} is a file, not a relation")
        if isinstance(node, exp.Func):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            if _FORBIDDEN_FUNCTIONS.match(name):
                raise QueryRefusedError(f"the function {name} reads outside the warehouse")
    return resolved.strip().rstrip(";")


def _relation(kind: str, names: list[str], graph: ProjectGraph | None) -> str:
    if graph is None:
        raise QueryRefusedError("ref() and source() cannot be resolved: the project does not parse")
    for node in graph.nodes.values():
        if kind == "source" and node.resource_type == "source":
            fits = len(names) == 2 and node.unique_id.endswith(f".{names[0]}.{names[1]}")
        else:
            fits = (
                kind == "ref"
                and bool(names)
                and node.resource_type in {"model", "seed", "snapshot"}
                and node.name == names[-1]
                and (len(names) == 1 or node.package == names[0])
            )
        if fits and node.relation_name:
            return node.relation_name
    raise QueryRefusedError(f"{kind}({', '.join(names)}) is not in the project")


def _dialect(adapter_type: str) -> str | None:
    try:
        sqlglot.Dialect.get_or_raise(adapter_type)
    except ValueError:
        return None
    return adapter_type
