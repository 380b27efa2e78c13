"""Keys that refer to rows which are not there: lost on the way, not loaded yet, or written in another form."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Sequence

from ..domain.dbt import GraphNode
from ..domain.investigation import Ending, Investigation
from .case_file import CaseFile, plural, table
from .experiment import Experiment, Trial
from .unexpected_values import MOST_LEVELS, feed_of, is_one_of, origins_or_namesakes, walk_up
from .upstream_cause import explain_rows, profile_of, show_loads, who_feeds
from .warehouse import Origin, as_text, columns_of, first_number, load_columns, quoted

MOST_KEYS, FORMS_SEEN = 10, 200


def investigate_missing_parents(
    case: CaseFile, test: GraphNode, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """Which keys find no row, what the rows that hold them have in common, and how the other side was loaded."""
    assert test.test is not None
    model, column = case.graph.get(test.test.attached_node), test.test.column
    if model is None or not model.relation_name or not column or not re.fullmatch(r"\w+", column):
        return None
    adapter = case.graph.adapter_type
    field = str(test.test.arguments.get("field") or column)
    parent = next(
        (
            one
            for one in (case.graph.get(up) for up in test.depends_on)
            if one is not None and one.unique_id != model.unique_id and one.relation_name
        ),
        None,
    )
    if parent is None or not re.fullmatch(r"\w+", field):
        return None
    experiment.at(case.head)
    at, to = quoted(column, adapter), quoted(field, adapter)
    missing = f"{at} is not null and {at} not in (select {to} from {parent.relation_name} where {to} is not null)"
    found = case.ask(
        f"select {at}, count(*) as row_count from {model.relation_name} where {missing} group by {at} order by count(*) desc, {at}",
        MOST_KEYS,
    )
    if found.error is not None or not found.rows:
        return None
    number = first_number(
        case.ask(f"select count(distinct {at}) as n from {model.relation_name} where {missing}", 1)
    ) or len(found.rows)
    rows_id = case.add(
        f"Values of {model.name}.{column} without a row in {parent.name}",
        str(model.relation_name),
        table(found.columns, found.rows, case.hidden),
        "rows",
    )
    case.claim(
        f"{plural(number, 'value')} of {model.name}.{column} {'has' if number == 1 else 'have'} no row in {parent.name}.",
        "confirmed",
        rows_id,
    )
    orphans = f"select {as_text(at, adapter)} from {model.relation_name} where {missing}"

    def is_orphan(name: str) -> str:
        return f"{as_text(quoted(name, adapter), adapter)} in ({orphans})"

    keys = [str(row[0]) for row in found.rows]
    held = _held_upstream(case, parent, field, keys, reproduced)
    if held is not None:
        return _lost_on_the_way(case, parent, model, number, held)
    child = walk_up(case, model, column, reproduced, is_orphan)
    feed, read = feed_of(case, parent, field, reproduced)
    said, cited = [], [rows_id]
    form = _other_form(case, feed, read, keys) if column.lower() not in case.hidden else ""
    if form:
        case.claim(f"{form}.", "likely", rows_id)
        said.append(form)
    profile = profile_of(case, feed)
    of_keys = [one for one in profile.oddities if not one.columns or read in one.columns] if profile else []
    if profile is not None:
        cited.append(show_loads(case, profile, feed))
        for one in of_keys[:2]:
            case.claim(f"In {feed.name}, {one.said}.", "likely", cited[-1])
        said += [f"in {feed.name} {one.said}" for one in of_keys[:1]]
    where = is_orphan(child.column) if child is not None else ""
    late = child is not None and _is_behind(case, feed, child.node, where)
    if late:
        case.claim(f"The newest load of {feed.name} is older than the rows that refer to it.", "confirmed", *cited)
        said = said or [f"the newest load of {feed.name} is older than the rows that refer to it"]
    confidence = 0.85 if late or of_keys else 0.75
    cause = explain_rows(case, child.node, where, [child.column]) if child is not None else None
    if cause is not None and cause.said:
        said.append(f"in {cause.node.name} {cause.said}" if said else cause.said)
    if cause is not None and cause.said and (late or of_keys):
        case.claim(
            f"Two explanations fit: {feed.name} was not loaded whole, or {cause.node.name} refers to what {feed.name} never had.",
            "possible", *cited, *cause.evidence_ids,
        )  # fmt: skip
    if not (late or of_keys or form):
        case.claim(
            f"No relation upstream of {parent.name} holds them: they were never loaded, or are late.", "likely", rows_id
        )
    at_parent = late or bool(of_keys)
    root = feed if at_parent else child.node if child is not None else model
    return case.conclude(
        f"{plural(number, 'value')} of {model.name}.{column} {'points' if number == 1 else 'point'} to rows that {parent.name} has not received"
        + (f": {'; '.join(said[:3])}." if said else "."),
        "data",
        next_step=f"Ask {who_feeds(case, feed)} whether the load of {feed.name} is late or short: then the next one heals this; else have the rows delivered.",
        who=who_feeds(case, root),
        needs_person="the missing rows can only come from the load; dropping the ones that refer to them would lose data",
        root_node=root.unique_id,
        confidence=confidence,
    )  # fmt: skip


def _lost_on_the_way(case: CaseFile, parent: GraphNode, model: GraphNode, number: int, held: Origin) -> Investigation:
    held_id = case.add(
        f"The missing keys in {held.node.name}",
        str(held.node.relation_name),
        f"{held.node.name} holds them in {held.column}: they are lost between it and {parent.name}",
        "query",
    )
    case.claim(f"{held.node.name} holds the missing rows, but they do not reach {parent.name}.", "confirmed", held_id)
    return case.conclude(
        f"{plural(number, 'row')} of {parent.name} that {model.name} refers to {'is' if number == 1 else 'are'} in {held.node.name}, but lost on the way to {parent.name}.",
        "code",
        ending=Ending.ANSWERED,
        next_step=f"Look at the filters and joins between {held.node.name} and {parent.name}.",
        who=case.owner_of(parent) or f"the owner of {parent.name}",
        needs_person=f"whether {parent.name} leaves these rows out on purpose is not to be seen from the code",
        root_node=parent.unique_id,
        confidence=0.7,
    )  # fmt: skip


def _other_form(case: CaseFile, feed: GraphNode, column: str, keys: Sequence[str]) -> str:
    """Whether no key of the other side is written as the missing ones are, letters and digits apart."""
    adapter = case.graph.adapter_type
    at = quoted(column, adapter)
    some = case.ask(
        f"select distinct {at} from {feed.relation_name} where {at} is not null order by {at} desc", FORMS_SEEN
    )
    forms = {_form(str(row[0])) for row in some.rows}
    odd = {_form(key) for key in keys}
    if some.error is not None or not forms or odd & forms or len(some.rows) < 3:
        return ""
    if all(form == "9" for form in (*odd, *forms)):
        return ""
    return f"{feed.name} writes {column} as '{some.rows[0][0]}', and no key there has the form of '{keys[0]}'"


def _form(key: str) -> str:
    return re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "9", key)))


def _held_upstream(
    case: CaseFile, node: GraphNode, column: str, keys: Sequence[str], reproduced: Trial
) -> Origin | None:
    """The furthest relation upstream that holds keys which the node itself lacks."""
    here: Sequence[Origin] = [Origin(node, column)]
    held = None
    for _ in range(MOST_LEVELS):
        here = [up for one in here for up in origins_or_namesakes(case, one.node, one.column, reproduced)]
        if not here:
            break
        for one in here:
            if first_number(
                case.ask(
                    f"select count(*) as n from {one.node.relation_name} where {is_one_of(quoted(one.column, case.graph.adapter_type), keys)}",
                    1,
                )
            ):
                held = one
    return held


def _is_behind(case: CaseFile, feed: GraphNode, child: GraphNode, where: str) -> bool:
    """Whether everything in a feed was loaded before the offending rows of another relation were."""
    loads = [load_columns(columns_of(case, one.relation_name or ""))[:1] for one in (feed, child)]
    if not all(loads) or feed.unique_id == child.unique_id:
        return False
    newest, since = (quoted(one[0], case.graph.adapter_type) for one in loads)
    found = case.ask(
        f"select case when (select max({newest}) from {feed.relation_name}) < "
        f"(select min({since}) from {child.relation_name} where {where}) then 1 else 0 end as is_behind",
        1,
    )
    return first_number(found) == 1
