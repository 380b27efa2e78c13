"""Values that a test does not accept: which, how many, since which load, and from which upstream relation."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.dbt import GraphNode
from ..domain.investigation import Investigation
from .case_file import CaseFile, plural, table
from .experiment import Experiment, Trial
from .upstream_cause import explain_rows, profile_of, show_loads, who_feeds
from .warehouse import Origin, columns_of, compiled_sql, count, first_number, load_columns, name_read, origins, quoted

MOST_LEVELS = 12
_UNCONVERTIBLE = (
    re.compile(r"Could not convert string ['\"](.*?)['\"] to", re.I),
    re.compile(r"invalid input syntax for (?:type )?[\w ]+: \"(.*?)\"", re.I),
    re.compile(r"Numeric value '(.*?)' is not recognized", re.I),
    re.compile(r"(?:Date|Timestamp) '(.*?)' is not recognized", re.I),
    re.compile(r"Bad (?:int64|double|float64|bool|numeric) value: (\S+)", re.I),
    re.compile(r"invalid (?:date|timestamp) field format: \"(.*?)\"", re.I),
)


def unconvertible_value(message: str) -> str | None:
    """The value that a cast failed on, or None where the message is of another kind."""
    for pattern in _UNCONVERTIBLE:
        if found := pattern.search(message):
            return found[1]
    return None


@dataclass(frozen=True)
class Trace:
    """The most upstream relation in which the offending rows are seen."""

    node: GraphNode
    column: str
    rows: int
    trail: tuple[str, ...]


def investigate_values(
    case: CaseFile, test: GraphNode, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """Accepted values and nulls; None for a test of another kind."""
    assert test.test is not None
    model, column = case.graph.get(test.test.attached_node), test.test.column
    name = test.test.name.rsplit(".", 1)[-1]
    if model is None or not model.relation_name or not column or not re.fullmatch(r"\w+", column):
        return None
    experiment.at(case.head)
    if name == "accepted_values":
        return _new_values(case, test, model, column, reproduced)
    if name in {"not_null", "not_null_proportion", "at_least_one"}:
        return _nulls(case, model, column, reproduced)
    return None


def _new_values(case: CaseFile, test: GraphNode, model: GraphNode, column: str, reproduced: Trial) -> Investigation:
    assert test.test is not None
    known = test.test.arguments.get("values")
    values = [str(one) for one in known] if isinstance(known, list) else []
    at = quoted(column, case.graph.adapter_type)
    accepted = ", ".join("'" + one.replace("'", "''") + "'" for one in values)
    offending = f"cast({at} as varchar) not in ({accepted})" if accepted else f"{at} is not null"
    found = case.ask(
        f"select {at}, count(*) as row_count from {model.relation_name} where {offending} group by {at} order by count(*) desc",
        10,
    )
    values_id = case.add(
        f"Values of {model.name}.{column} that the test does not know",
        found.error or str(model.relation_name),
        table(found.columns, found.rows, case.hidden),
        "rows",
    )
    fresh = [str(row[0]) for row in found.rows]
    shown = "(hidden)" if column.lower() in case.hidden else ", ".join(fresh[:5])
    source = walk_up(
        case, model, column, reproduced, lambda name: is_spelt_as(quoted(name, case.graph.adapter_type), fresh)
    )
    since, cited = (
        why_there(case, source.node, source.column, is_spelt_as(quoted(source.column, case.graph.adapter_type), fresh))
        if source
        else ("", ())
    )
    rows = sum(int(row[1]) for row in found.rows)
    case.claim(f"{plural(len(fresh), 'value')} not accepted: {shown} ({plural(rows, 'row')}).", "confirmed", values_id)
    origin = _name_origin(case, source, since, [values_id, *cited])
    case.claim(
        f"{case.graph.project}'s code made the same of the same rows before: the values are new in the data.",
        "likely",
        values_id,
    )
    noun = "a new value" if len(fresh) == 1 else "new values"
    return case.conclude(
        f"{model.name}.{column} holds {noun}, {shown}, in {plural(rows, 'row')}{origin}.",
        "data",
        next_step=f"Decide whether {shown} is valid. If it is, add it to the accepted values and to whatever maps {column}; if not, mend it where it is entered.",
        who=who_feeds(case, source.node if source else model),
        needs_person=f"whether {shown} is a valid {column} is a decision about the business: accepting it unasked would only silence the test",
        root_node=source.node.unique_id if source else model.unique_id,
        confidence=0.9,
    )


def _nulls(case: CaseFile, model: GraphNode, column: str, reproduced: Trial) -> Investigation:
    adapter = case.graph.adapter_type
    source = walk_up(case, model, column, reproduced, lambda name: f"{quoted(name, adapter)} is null")
    place = source or Trace(model, column, 0, ())
    where = f"{quoted(place.column, adapter)} is null"
    rows = first_number(case.ask(f"select count(*) as n from {place.node.relation_name} where {where}", 1)) or 0
    total = count(case, place.node.relation_name or "") or 0
    rows_id = case.add(
        f"Nulls in {place.node.name}.{place.column}",
        f"{place.node.relation_name} where {where}",
        f"{rows:,} of {total:,} rows\n{' <- '.join(place.trail)}",
        "query",
    )
    since, since_ids = why_there(case, place.node, place.column, where)
    cited = [rows_id, *since_ids]
    partner = None
    if place.node.resource_type == "model":
        case.claim(
            f"The nulls arise in {place.node.name}: none of the relations it reads {place.column} from holds one there; a join finds no partner, or an expression gives null.",
            "likely",
            *cited,
        )
        partner = _odd_partner(case, place.node, place.column, reproduced)
    else:
        case.claim(f"{place.node.name} delivers {plural(rows, 'null')} in {place.column}{since}.", "confirmed", *cited)
    root = partner[0] if partner else place.node
    who = who_feeds(case, root)
    return case.conclude(
        f"{place.node.name}.{place.column} is null in {rows:,} of {total:,} rows{since}{partner[1] if partner else ''}.",
        "data",
        next_step=f"Ask why {place.node.name} {'yields' if place.node.resource_type == 'model' else 'delivers'} nulls in {place.column}, and have the rows delivered again.",
        who=who,
        needs_person="the missing values can only come from where the data is made; filtering the rows or filling them in would hide the loss",
        root_node=root.unique_id,
        confidence=0.85 if place.node.resource_type != "model" else 0.6,
    )


def _odd_partner(case: CaseFile, node: GraphNode, column: str, reproduced: Trial) -> tuple[GraphNode, str] | None:
    """Where a join leaves a column empty: the source that it is taken from, and what is odd about its loads."""
    feed, read = feed_of(case, node, column, reproduced)
    profile = profile_of(case, feed) if feed.unique_id != node.unique_id else None
    if profile is None or not profile.oddities:
        return None
    odd = next((one for one in profile.oddities if not one.columns or read in one.columns), profile.oddities[0])
    case.claim(f"In {feed.name}, from which {column} is taken, {odd.said}.", "likely", show_loads(case, profile, feed))
    return feed, f"; in {feed.name}, from which it is taken, {odd.said}"


def feed_of(case: CaseFile, node: GraphNode, column: str, reproduced: Trial) -> tuple[GraphNode, str]:
    """The relation furthest upstream that a column is taken from, as long as there is one way to go."""
    for _ in range(MOST_LEVELS):
        above = origins_or_namesakes(case, node, column, reproduced)
        if len(above) != 1:
            break
        node, column = above[0].node, above[0].column
    return node, column


def investigate_conversion(case: CaseFile, model: GraphNode, value: str, reproduced: Trial) -> Investigation | None:
    """A cast failed on a value: find the upstream column that holds it."""
    case.bench.checkout(case.head)
    adapter = case.graph.adapter_type
    text = value.replace("'", "''")
    seen: list[tuple[GraphNode, str, int]] = []
    for parent in (case.graph.get(one) for one in case.graph.ancestors(model.unique_id)[:20]):
        if parent is None or not parent.relation_name or parent.resource_type not in {"source", "seed", "model"}:
            continue
        texts = [
            one for one in columns_of(case, parent.relation_name) if re.search(r"char|text|string|^$", one.kind, re.I)
        ]
        for column in texts:
            number = first_number(
                case.ask(
                    f"select count(*) as n from {parent.relation_name} where {quoted(column.name, adapter)} = '{text}'",
                    1,
                )
            )
            if number:
                seen.append((parent, column.name, number))
    if not seen:
        return None
    node, name, rows = next((one for one in seen if one[0].resource_type == "source"), seen[-1])
    where = f"{quoted(name, adapter)} = '{text}'"
    since, since_ids = why_there(case, node, name, where)
    shown = "a value" if name.lower() in case.hidden else repr(value)
    found_id = case.add(
        f"Where {shown} comes from",
        f"{node.relation_name} where {name} holds it",
        f"{node.name}.{name}: {plural(rows, 'row')}",
        "query",
    )
    case.claim(
        f"{node.name}.{name} holds {shown}, which the cast in {model.name} cannot convert.",
        "confirmed",
        found_id,
        *since_ids,
    )
    return case.conclude(
        f"{node.name}.{name} holds {shown} in {plural(rows, 'row')}, which {model.name} cannot convert{since}.",
        "data",
        next_step=f"Have the value mended in {node.name}, or decide what {model.name} should make of it.",
        who=who_feeds(case, node),
        needs_person="a cast that turns such values into null would lose them silently; what they mean is for a person to say",
        root_node=node.unique_id,
        confidence=0.85,
    )


def walk_up(case: CaseFile, model: GraphNode, column: str, reproduced: Trial, condition: object) -> Trace | None:
    """Follow a column upstream as long as a parent's column holds offending rows."""
    assert callable(condition)
    node, name, trail = model, column, [f"{model.name}.{column}"]
    rows = first_number(case.ask(f"select count(*) as n from {model.relation_name} where {condition(name)}", 1)) or 0
    if not rows:
        return None
    for _ in range(MOST_LEVELS):
        step = _offending_parent(case, node, name, reproduced, condition)
        if step is None:
            break
        (node, name), rows = step
        trail.append(f"{node.name}.{name}")
    return Trace(node, name, rows, tuple(trail))


def _offending_parent(
    case: CaseFile, node: GraphNode, column: str, reproduced: Trial, condition: object
) -> tuple[tuple[GraphNode, str], int] | None:
    assert callable(condition)
    for origin in origins_or_namesakes(case, node, column, reproduced):
        rows = first_number(
            case.ask(f"select count(*) as n from {origin.node.relation_name} where {condition(origin.column)}", 1)
        )
        if rows:
            return (origin.node, origin.column), rows
    return None


def origins_or_namesakes(case: CaseFile, node: GraphNode, column: str, reproduced: Trial) -> Sequence[Origin]:
    """The parents' columns that a column is made of; where its SQL does not tell, those of its name."""
    if node.resource_type not in {"model", "snapshot"}:
        return ()
    known = origins(case, node, column, compiled_sql(case, node, [reproduced.result]))
    if known:
        return known
    parents = (case.graph.get(one) for one in node.depends_on)
    return [Origin(one, name_read(node, column)) for one in parents if one is not None and one.relation_name]


def is_one_of(column: str, values: Sequence[str]) -> str:
    """A condition that holds for rows whose column, as text, is one of some values."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values) or "null"
    return f"cast({column} as varchar) in ({listed})"


def is_spelt_as(column: str, values: Sequence[str]) -> str:
    """As ``is_one_of``, whatever the case and the space around: staging models often change both."""
    return is_one_of(f"lower(trim(cast({column} as varchar)))", [value.strip().lower() for value in values])


def why_there(case: CaseFile, node: GraphNode, column: str, where: str) -> tuple[str, tuple[str, ...]]:
    """What the offending rows of a relation have in common, else since which load they come; with what bears it out."""
    cause = explain_rows(case, node, where, [column])
    if cause.said:
        return cause.clause, cause.evidence_ids
    since, evidence_id = _since_which_load(case, node, where)
    return since, (evidence_id,) if evidence_id else ()


def _since_which_load(case: CaseFile, node: GraphNode, where: str) -> tuple[str, str | None]:
    """Since which load offending rows come, by the load column of a relation that has one."""
    loads = load_columns(columns_of(case, node.relation_name or ""))
    if not loads:
        return "", None
    at = quoted(loads[0], case.graph.adapter_type)
    found = case.ask(
        f"select {at}, count(*) as row_count, sum(case when {where} then 1 else 0 end) as offending from {node.relation_name} group by {at} order by {at} desc",
        12,
    )
    if found.error is not None or not found.rows:
        return "", None
    evidence_id = case.add(
        f"Loads of {node.name}, newest first",
        f"{node.relation_name} by {loads[0]}",
        table(found.columns, found.rows),
        "rows",
    )
    offending = [row for row in found.rows if row[2]]
    if not offending or (found.truncated and len(offending) == len(found.rows)):
        return "", evidence_id
    first = offending[-1][0]
    return (
        f", all since the load of {first}" if len(offending) > 1 else f", all from the load of {first}"
    ), evidence_id


def _name_origin(case: CaseFile, source: Trace | None, since: str, evidence_ids: Sequence[str]) -> str:
    if source is None:
        return ""
    trail_id = case.add(
        "Lineage of the column, downstream to upstream",
        "compiled SQL of each model",
        " <- ".join(source.trail),
        "lineage",
    )
    case.claim(f"They come from {source.node.name}.{source.column}{since}.", "confirmed", trail_id, *evidence_ids)
    return f", delivered by {source.node.name}{since}"
