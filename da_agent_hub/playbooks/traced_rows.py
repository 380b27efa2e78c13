"""Any other test: take the rows that it returns, find them again upstream, and ask what they have in common there."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlglot
import sqlglot.errors
from sqlglot import exp

from ..domain.dbt import GraphNode
from ..domain.investigation import Ending, Investigation
from ..ports import QueryResult
from .case_file import CaseFile, plural
from .duplicate_keys import joined_keys
from .experiment import Experiment, Trial
from .upstream_cause import UpstreamCause, explain_rows, investigate_loads, who_feeds
from .warehouse import as_text, columns_of, compiled_sql, dialect, first_number, name_read, origins, quoted

MOST_FAILING, MOST_PLACES, MOST_EXPLAINED = 200, 24, 3
_KEYLIKE = re.compile(r"(^|_)(id|key|no|number|code|ref|uuid|sku)$", re.I)


@dataclass(frozen=True)
class _Found:
    """Failing rows as they stand in a relation upstream: ``where`` picks them, ``trail`` leads there."""

    node: GraphNode
    column: str
    where: str
    rows: int
    trail: tuple[str, ...]


def investigate_rows(
    case: CaseFile, test: GraphNode, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """Where the failing rows come from and why; None where nothing upstream tells."""
    sql = (reproduced.result.compiled.get(reproduced.node or test.unique_id) or "").strip().rstrip(";")
    if not sql:
        return None
    experiment.at(case.head)
    wide = _with_all_columns(sql, case.graph.adapter_type)
    failing = case.ask(f"select * from ({wide}) as failing", MOST_FAILING)
    if failing.error is not None:
        wide, failing = sql, case.ask(f"select * from ({sql}) as failing", MOST_FAILING)
    if failing.error is not None or not failing.rows:
        return investigate_loads(case, test)
    subjects = _subjects(test, sql, case.graph.adapter_type)
    best: tuple[UpstreamCause, _Found, GraphNode] | None = None
    for model in [one for one in map(case.graph.get, test.depends_on) if one is not None and one.relation_name]:
        for found in _upstream(case, model, failing, wide, reproduced)[:MOST_EXPLAINED]:
            told = subjects | {found.column.lower()} | _traced(case, model, subjects, found.node, reproduced)
            cause = explain_rows(case, found.node, found.where, sorted(told))
            if best is None or cause.confidence > best[0].confidence:
                best = cause, found, model
    if best is None:
        return investigate_loads(case, test)
    cause, found, model = best
    trail_id = case.add(
        "Where the failing rows come from",
        "compiled SQL of each model",
        f"{plural(found.rows, 'row')} of {found.node.name}, by {' <- '.join(found.trail)}",
        "lineage",
    )
    case.claim(f"The rows that fail {test.name} come from {found.node.name}.", "likely", trail_id, *cause.evidence_ids)
    if not cause.said:
        by_loads = investigate_loads(case, test)
        if by_loads is not None:
            return by_loads
    number = f"{'at least ' if failing.truncated else ''}{plural(len(failing.rows), 'row')}"
    return case.conclude(
        f"{number} of {model.name} {'fails' if len(failing.rows) == 1 else 'fail'} {test.name}; they come from {found.node.name}{cause.clause}.",
        "data",
        ending=Ending.ANSWERED if cause.said else Ending.INCONCLUSIVE,
        next_step=f"Ask {who_feeds(case, found.node)} about these rows of {found.node.name}: mend them where they are made, or change what {test.name} expects.",
        who=who_feeds(case, found.node),
        needs_person=f"the rows break a rule that people set ({test.name}); leaving them out would hide them",
        root_node=found.node.unique_id,
        confidence=cause.confidence or 0.4,
    )  # fmt: skip


def _with_all_columns(sql: str, adapter_type: str) -> str:
    """A test that only filters one relation, with all its columns in place of the few that it returns."""
    try:
        tree = sqlglot.parse_one(sql, read=dialect(adapter_type))
    except sqlglot.errors.SqlglotError:
        return sql
    if not isinstance(tree, exp.Select) or tree.find(exp.AggFunc, exp.Subquery) is not None:
        return sql
    narrows = any(
        tree.args.get(part) for part in ("group", "having", "distinct", "joins", "with", "with_", "limit", "qualify")
    )
    return sql if narrows else str(tree.select(exp.Star(), append=False).sql(dialect=dialect(adapter_type)))


def _subjects(test: GraphNode, sql: str, adapter_type: str) -> frozenset[str]:
    """The columns by which rows fail: the tested one and those of the test's conditions."""
    names = {test.test.column.lower()} if test.test is not None and test.test.column else set()
    try:
        tree = sqlglot.parse_one(sql, read=dialect(adapter_type))
    except sqlglot.errors.SqlglotError:
        return frozenset(names)
    for condition in tree.find_all(exp.Where, exp.Having):
        names |= {column.name.lower() for column in condition.find_all(exp.Column)}
    # A condition on a figure that the test makes is about what that is made of.
    for alias in tree.find_all(exp.Alias):
        if alias.alias.lower() in names:
            names |= {column.name.lower() for column in alias.this.find_all(exp.Column)}
    return frozenset(names)


def _traced(
    case: CaseFile, model: GraphNode, names: frozenset[str], source: GraphNode, reproduced: Trial
) -> frozenset[str]:
    """How a source calls the columns that a test is about."""
    held = {one.name.lower() for one in columns_of(case, model.relation_name or "")}
    called: set[str] = set()
    for name in sorted(names & held)[:6]:
        called |= {
            column.lower() for node, column, _ in _places(case, model, name, reproduced) if node.unique_id == source.unique_id
        }  # fmt: skip
    return frozenset(called)


def _upstream(case: CaseFile, model: GraphNode, failing: QueryResult, sql: str, reproduced: Trial) -> list[_Found]:
    """Relations without a parent that hold the failing rows, by the first of their columns that leads to any."""
    for column in _row_columns(case, model, failing):
        mine = quoted(column, case.graph.adapter_type)
        found: dict[str, _Found] = {}
        for node, name, trail in _places(case, model, column, reproduced):
            if node.resource_type not in {"source", "seed"} or node.unique_id in found:
                continue
            for where in _matching(quoted(name, case.graph.adapter_type), mine, sql, case.graph.adapter_type):
                rows = first_number(case.ask(f"select count(*) as n from {node.relation_name} where {where}", 1))
                if rows:
                    found[node.unique_id] = _Found(node, name, where, rows, trail)
                    break
        if found:
            return list(found.values())
    return []


def _matching(theirs: str, mine: str, sql: str, adapter_type: str) -> Iterator[str]:
    """Conditions for rows that a column ties to the failing ones: as it is, whatever its case and space, by the day."""
    one, other = as_text(theirs, adapter_type), as_text(f"failing.{mine}", adapter_type)
    rows = f"from ({sql}) as failing where failing.{mine} is not null"
    yield f"{one} in (select {other} {rows})"
    yield f"lower(trim({one})) in (select lower(trim({other})) {rows})"
    yield f"substr({one}, 1, 10) in (select substr({other}, 1, 10) {rows} and {other} like '____-__-__%')"


def _row_columns(case: CaseFile, model: GraphNode, failing: QueryResult) -> list[str]:
    """Columns by which the failing rows can be found again: tested to be unique, an id, then a day or a label."""
    held = {one.name.lower() for one in columns_of(case, model.relation_name or "")}
    shared = [name for name in failing.columns if name.lower() in held]
    unique = {
        (one.test.column or "").lower()
        for one in map(case.graph.get, case.graph.children.get(model.unique_id, ()))
        if one is not None and one.test is not None and one.test.name == "unique"
    }
    cells = {name: [row[place] for row in failing.rows] for place, name in enumerate(failing.columns)}
    days = [one for one in shared if all(re.match(r"\d{4}-\d\d-\d\d", str(cell)) for cell in cells[one])]
    labels = [one for one in shared if all(isinstance(cell, str) for cell in cells[one]) and one not in days]
    ordered = [
        *(one for one in shared if one.lower() in unique),
        *(one for one in shared if _KEYLIKE.search(one)),
        *days,
        *labels,
    ]
    return list(dict.fromkeys(ordered))[:5]


def _places(
    case: CaseFile, model: GraphNode, column: str, reproduced: Trial
) -> Iterator[tuple[GraphNode, str, tuple[str, ...]]]:
    """Every relation upstream that holds a column, by what it is made of, by its name, or by the key of a join."""
    waiting: list[tuple[GraphNode, str, tuple[str, ...]]] = [(model, column, (f"{model.name}.{column}",))]
    seen: set[tuple[str, str]] = set()
    while waiting and len(seen) < MOST_PLACES:
        node, name, trail = waiting.pop(0)
        if (node.unique_id, name.lower()) in seen:
            continue
        seen.add((node.unique_id, name.lower()))
        yield node, name, trail
        if node.resource_type not in {"model", "snapshot"}:
            continue
        for parent, read in _read_from(case, node, name, reproduced):
            waiting.append((parent, read, (*trail, f"{parent.name}.{read}")))


def _read_from(case: CaseFile, node: GraphNode, name: str, reproduced: Trial) -> Sequence[tuple[GraphNode, str]]:
    sql = compiled_sql(case, node, [reproduced.result])
    found = [(one.node, one.column) for one in origins(case, node, name, sql)]
    known = {one.unique_id for one, _ in found}
    names = {name.lower(), name_read(node, name).lower(), *(column.lower() for _, column in found)}
    joins = {parent.unique_id: keys for parent, keys in joined_keys(case, node, sql)}
    for parent in map(case.graph.get, node.depends_on):
        if parent is None or not parent.relation_name or parent.unique_id in known:
            continue
        held = {one.name.lower(): one.name for one in columns_of(case, parent.relation_name)}
        same = [held[one] for one in sorted(names) if one in held]
        same += [key for key in joins.get(parent.unique_id, ()) if key.lower() in names]
        found += [(parent, one) for one in dict.fromkeys(same)]
    return found
