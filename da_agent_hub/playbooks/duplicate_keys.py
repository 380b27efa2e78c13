"""A key that should be unique is not: where upstream do the repeated rows begin, and are they the same row twice?"""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import sqlglot
import sqlglot.errors
from sqlglot import exp

from ..domain.dbt import GraphNode
from ..domain.investigation import Candidate, FileChange, Investigation
from ..domain.value_proof import NOT_COMPARED, ValueProof
from .case_file import CaseFile, plural, table
from .experiment import PASSES, Experiment, Trial
from .masked_sql import MaskedSql
from .renamed_column import reads
from .upstream_cause import explain_repeats, who_feeds
from .warehouse import (
    columns_of,
    compiled_sql,
    dialect,
    duplicate_keys,
    first_number,
    is_load_metadata,
    load_columns,
    name_read,
    origins,
    quoted,
    relations_of,
)

MOST_LEVELS, MOST_SIDES = 12, 4


@dataclass(frozen=True)
class Place:
    """A relation with the key as it is called there."""

    node: GraphNode
    keys: tuple[str, ...]
    repeated: int


def key_of(test: GraphNode) -> tuple[str, ...] | None:
    """The columns that a uniqueness test is about, or None where the test asserts something else."""
    if test.test is None:
        return None
    arguments: Mapping[str, object] = test.test.arguments
    name = test.test.name.rsplit(".", 1)[-1]
    if name == "unique" and test.test.column and re.fullmatch(r"\w+", test.test.column):
        return (test.test.column,)
    columns = arguments.get("combination_of_columns") or arguments.get("column_list")
    if isinstance(columns, list) and columns and all(isinstance(one, str) for one in columns):
        return tuple(columns)
    return None


def investigate_duplicates(
    case: CaseFile, test: GraphNode, keys: tuple[str, ...], experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """Walk from the tested relation up to where the duplicates begin, and judge them there."""
    assert test.test is not None
    model = case.graph.get(test.test.attached_node)
    if model is None or not model.relation_name:
        return None
    experiment.at(case.head)  # the relations as the newest commit builds them
    trail = _trail(case, model, keys, reproduced)
    if not trail:
        return None
    root = trail[-1]
    relation = root.node.relation_name or ""
    shown = "\n".join(
        f"{place.node.name}: {plural(place.repeated, 'key')} of ({', '.join(place.keys)}) more than once"
        for place in trail
    )
    trail_id = case.add(
        "Where the key is repeated, downstream to upstream",
        f"group by key having count(*) > 1, on {relation} last",
        shown,
        "query",
    )
    columns = [column.name for column in columns_of(case, relation)]
    differing = _differing(case, relation, root.keys, columns)
    loads = load_columns(columns_of(case, relation))
    sample_id = _sample(case, relation, root.keys, columns, loads)
    business = [name for name in differing if not is_load_metadata(name)]
    who = who_feeds(case, root.node)
    keyed = ", ".join(root.keys)
    begins = f"The duplicates begin in {root.node.name}" + (", a source" if root.node.resource_type == "source" else "")
    case.claim(
        f"{begins}: {plural(root.repeated, 'value')} of {keyed} more than once.", "confirmed", trail_id, sample_id
    )
    order = list(loads) or [one for one in differing if not re.search(r"amount|price|qty|quantity", one, re.I)][:1]
    cause = explain_repeats(case, root.node, root.keys, order)
    brought = _loads(case, relation, root.keys, loads[0]) if loads else ""
    brought_id = (
        case.add(f"Loads that brought repeated rows, by {loads[0]}", relation, brought, "query") if brought else ""
    )
    if business:
        case.claim(
            f"Rows with the same {keyed} differ in {', '.join(business[:6])}: they are not the same row twice.",
            "confirmed", sample_id,
        )  # fmt: skip
        return case.conclude(
            f"{root.node.name} holds {plural(root.repeated, 'value')} of {keyed} in several rows that differ in {', '.join(business[:4])}{cause.repeats}{_shared(case, root, reproduced)}.",
            "data",
            next_step=f"Decide which of the differing rows is right, and mend the load of {root.node.name}.",
            who=who,
            needs_person=f"rows with the same {keyed} hold different values of {', '.join(business[:4])}; keeping one of them would hide data",
            root_node=root.node.unique_id,
            confidence=0.85,
        )
    same = "identical" if not differing else f"identical but for {', '.join(differing)}"
    same_id = case.add(
        "How rows with the same key differ",
        relation,
        f"Columns that differ within a key: {', '.join(differing) or 'none'}",
        "query",
    )
    case.claim(
        f"The repeated rows are {same}: the same records were delivered more than once.",
        "confirmed",
        same_id,
        *([brought_id] if brought_id else []),
    )
    _propose(
        case, root, trail, differing, loads, experiment, (trail_id, same_id, *([brought_id] if brought_id else [])), who
    )
    return case.conclude(
        f"{plural(root.repeated, 'record')} of {root.node.name} {'was' if root.repeated == 1 else 'were'} loaded more than once: rows with the same {keyed} are {same}{cause.repeats}.",
        "data",
        next_step=f"Mend the load of {root.node.name} and remove the repeated rows"
        + ("; the pull request keeps the models right until then." if case.candidates else "."),
        who=who,
        needs_person=f"the repeated rows must be removed where they are loaded; no model that reads {root.node.name} can be changed safely",
        root_node=root.node.unique_id,
        confidence=0.9,
    )  # fmt: skip


def _shared(case: CaseFile, root: Place, reproduced: Trial) -> str:
    """Where a model puts several relations together of which none repeats a key: which of them hold the same keys."""
    if root.node.resource_type != "model":
        return ""
    sql = compiled_sql(case, root.node, [reproduced.result])
    adapter = case.graph.adapter_type
    by_parent: dict[str, tuple[GraphNode, list[str]]] = {}
    for key in root.keys:
        for origin in origins(case, root.node, key, sql):
            by_parent.setdefault(origin.node.unique_id, (origin.node, []))[1].append(origin.column)
    sides = [one for one in by_parent.values() if len(one[1]) == len(root.keys)][:MOST_SIDES]
    for (one, mine), (other, theirs) in combinations(sides, 2):
        first, second = (
            f"select {', '.join(quoted(name, adapter) for name in names)} from {node.relation_name}"
            for node, names in ((one, mine), (other, theirs))
        )
        shared = first_number(case.ask(f"select count(*) as n from ({first} intersect {second}) as shared", 1))
        if shared:
            said = f"{plural(shared, 'key')} of ({', '.join(root.keys)}) come from {one.name} and from {other.name}"
            case.claim(
                f"{said}: they use the same keys, or one repeats what the other has.", "confirmed",
                case.add("Keys that two relations share", f"{one.name} intersect {other.name}", said, "query"),
            )  # fmt: skip
            return f"; {said}"
    return ""


def _trail(case: CaseFile, model: GraphNode, keys: tuple[str, ...], reproduced: Trial) -> list[Place]:
    trail: list[Place] = []
    here: tuple[GraphNode, tuple[str, ...]] | None = (model, keys)
    while here is not None and len(trail) < MOST_LEVELS:
        node, names = here
        repeated = duplicate_keys(case, node.relation_name or "", names)
        if not repeated:
            break
        trail.append(Place(node, names, repeated))
        here = _upstream(case, node, names, reproduced)
    return trail


def _upstream(
    case: CaseFile, node: GraphNode, keys: tuple[str, ...], reproduced: Trial
) -> tuple[GraphNode, tuple[str, ...]] | None:
    """The parent that has the duplicates already: by the key's own origin, else by the key of a join."""
    if node.resource_type not in {"model", "snapshot"}:
        return None
    sql = compiled_sql(case, node, [reproduced.result])
    by_parent: dict[str, tuple[GraphNode, list[str]]] = {}
    for key in keys:
        for origin in origins(case, node, key, sql):
            by_parent.setdefault(origin.node.unique_id, (origin.node, []))[1].append(origin.column)
    for parent in (case.graph.get(one) for one in node.depends_on):
        if parent is not None and parent.relation_name and parent.unique_id not in by_parent:
            by_parent[parent.unique_id] = (parent, [name_read(node, key) for key in keys])
    # A key that a model makes of several columns is those columns upstream.
    for parent, names in by_parent.values():
        if parent.relation_name and len(names) >= len(keys) and duplicate_keys(case, parent.relation_name, names):
            return parent, tuple(names)
    for parent, joined in joined_keys(case, node, sql):
        if parent.relation_name and duplicate_keys(case, parent.relation_name, joined):
            return parent, joined
    return None


def joined_keys(case: CaseFile, node: GraphNode, sql: str | None) -> list[tuple[GraphNode, tuple[str, ...]]]:
    """Each joined parent with its columns of the join's equalities, seen through CTEs that only select from it."""
    try:
        tree = sqlglot.parse_one(sql or "", read=dialect(case.graph.adapter_type))
    except sqlglot.errors.SqlglotError:
        return []
    parents = relations_of(case.graph, node)

    def parent_of(place: exp.Expression | None, depth: int = 0) -> GraphNode | None:
        if isinstance(place, exp.Subquery):
            source = (
                place.this.args.get("from_") or place.this.args.get("from")
                if isinstance(place.this, exp.Select)
                else None
            )
            return parent_of(source.this, depth + 1) if source is not None and depth < 6 else None
        if not isinstance(place, exp.Table):
            return None
        name = ".".join(part.name for part in place.parts).lower()
        if name in parents:
            return parents[name]
        for cte in tree.find_all(exp.CTE):
            if cte.alias.lower() == name and isinstance(cte.this, exp.Select) and not cte.this.args.get("joins"):
                source = cte.this.args.get("from_") or cte.this.args.get("from")
                if source is not None and depth < 6 and not cte.this.args.get("group"):
                    return parent_of(source.this, depth + 1)
        return None

    found = []
    for join in tree.find_all(exp.Join):
        parent, alias = parent_of(join.this), join.this.alias_or_name.lower()
        if parent is None:
            continue
        names = [one.name for one in join.args.get("using") or ()]
        condition = join.args.get("on")
        for equal in condition.find_all(exp.EQ) if condition is not None else ():
            names += [
                side.name
                for side in (equal.left, equal.right)
                if isinstance(side, exp.Column) and side.table.lower() == alias
            ]
        if names:
            found.append((parent, tuple(dict.fromkeys(names))))
    return found


def _differing(case: CaseFile, relation: str, keys: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Columns whose value differs between rows of one key."""
    adapter = case.graph.adapter_type
    others = [name for name in columns if name.lower() not in {key.lower() for key in keys}]
    if not others:
        return []
    names = ", ".join(quoted(key, adapter) for key in keys)
    varying = ", ".join(
        f"case when count(distinct {quoted(name, adapter)}) > 1 or (count({quoted(name, adapter)}) not in (0, count(*))) then 1 else 0 end as c{place}"
        for place, name in enumerate(others)
    )
    sums = ", ".join(f"sum(c{place}) as s{place}" for place in range(len(others)))
    found = case.ask(
        f"select {sums} from (select {varying} from {relation} group by {names} having count(*) > 1) as repeated_rows",
        1,
    )
    if found.error is not None or not found.rows:
        return list(others)  # not known to be equal: they count as different
    return [name for name, changes in zip(others, found.rows[0], strict=True) if changes]


def _sample(case: CaseFile, relation: str, keys: Sequence[str], columns: Sequence[str], loads: Sequence[str]) -> str:
    names = ", ".join(quoted(key, case.graph.adapter_type) for key in keys)
    matching = " and ".join(
        f"held.{quoted(key, case.graph.adapter_type)} = twice.{quoted(key, case.graph.adapter_type)}" for key in keys
    )
    by = ", ".join(f"held.{quoted(one, case.graph.adapter_type)}" for one in [*keys, *loads])
    sql = (
        f"select held.* from {relation} as held join (select {names} from {relation} group by {names} "
        f"having count(*) > 1 order by {names} limit 3) as twice on {matching} order by {by}"
    )
    rows = case.ask(sql, 8)
    text = rows.error or table(rows.columns, rows.rows, case.hidden)
    return case.add(f"Rows of {relation} with the same key", sql, text, "rows")


def _loads(case: CaseFile, relation: str, keys: Sequence[str], load: str) -> str:
    names = ", ".join(quoted(key, case.graph.adapter_type) for key in keys)
    at = quoted(load, case.graph.adapter_type)
    found = case.ask(
        f"select {at}, count(*) as repeated_rows from (select *, row_number() over (partition by {names} order by {at}) as place "
        f"from {relation}) as numbered where place > 1 group by {at} order by count(*) desc, {at}",
        6,
    )
    return "" if found.error is not None or not found.rows else table(found.columns, found.rows)


def _propose(
    case: CaseFile, root: Place, trail: Sequence[Place], differing: Sequence[str], loads: Sequence[str],
    experiment: Experiment, evidence_ids: tuple[str, ...], who: str,
) -> None:  # fmt: skip
    children = [case.graph.get(one) for one in case.graph.children.get(root.node.unique_id, ())]
    readers = [one for one in children if one is not None and one.resource_type == "model" and case.path_of(one)]
    on_trail = {place.node.unique_id for place in trail} | set(case.graph.ancestors(experiment.node.unique_id))
    readers = [one for one in readers if one.unique_id in on_trail]
    if not readers or root.node.resource_type not in {"source", "seed"}:
        return
    order = [one for one in loads if one in differing]
    changes = []
    for reader in readers:
        path = case.path_of(reader)
        raw = case.bench.read_at(case.head, path) if path else None
        text = (
            MaskedSql(raw, case.graph.adapter_type).with_one_row_a_key(reads(root.node), root.keys, order)
            if raw
            else None
        )
        if path is None or text is None:
            return
        changes.append(FileChange(path, text))
    trial = experiment.at(case.head, changes)
    if trial.verdict != PASSES:
        return
    tried = case.add(
        "Tried: read each key once", trial.command, f"{experiment.node.name}: {trial.verdict}", "experiment"
    )
    names = ", ".join(one.name for one in readers)
    case.propose(
        Candidate(
            strategy="read each key once",
            summary=f"Read each {', '.join(root.keys)} of {root.node.name} once in {names}",
            rationale=f"The repeated rows hold the same record, so no value is lost by keeping one of them. This keeps the models "
            f"right, but the load itself must be mended by {who}.",
            changes=tuple(changes),
            risk="low",
            evidence_ids=(*evidence_ids, tried),
            values=ValueProof(
                NOT_COMPARED, "no code gives these values while rows are there twice; the rows of a key are the same"
            ),
        )
    )
