"""A column that a model reads is not there any more: was it renamed upstream, and to what?"""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sqlglot import exp

from ..domain.dbt import GraphNode
from ..domain.investigation import Candidate, FileChange, Investigation
from ..domain.value_proof import NOT_COMPARED, ValueProof
from .case_file import CaseFile, plural
from .experiment import PASSES, Experiment, Trial
from .likely_names import changes_the_measure, plausible
from .masked_sql import Call, MaskedSql
from .mistyped_column import investigate_mistyped
from .warehouse import Column, columns_of, dialect, is_load_metadata, quoted

# What warehouses say of a column that is not there: DuckDB, Postgres and Redshift, Snowflake, BigQuery, Databricks.
_MISSING = (
    re.compile(r'Referenced column "([^"]+)" (?:was )?not found', re.I),
    re.compile(r'does not have a column named "([^"]+)"', re.I),
    re.compile(r'column "?(?:[\w]+\.)?([\w$]+)"? does not exist', re.I),
    re.compile(r"invalid identifier '\"?(?:[\w\"]+\.)*\"?([\w$ ]+?)\"?'", re.I),
    re.compile(r"Unrecognized name: (?:\w+\.)?([\w$]+)", re.I),
    re.compile(r"Name ([\w$]+) not found inside", re.I),
    re.compile(r"with name `(?:[^`]+`\.`)?([^`]+)` cannot be resolved", re.I),
)
SURE_BY_NAME, SURE_BY_VALUES = 0.62, 0.8
MOST_RENAMES = 6
# What is made of a column may have few values whatever it is made of, as a comparison has.
FEW_VALUES = 10


def missing_column(message: str) -> str | None:
    """The column that the warehouse did not find, or None where the message is of another kind."""
    for pattern in _MISSING:
        if found := pattern.search(message):
            return found[1].strip()
    return None


@dataclass(frozen=True)
class Successor:
    """A column that may be the missing one under a new name."""

    column: Column
    name_likeness: float
    value_overlap: float | None

    @property
    def score(self) -> float:
        """0 to 1; values weigh more than names where both are known."""
        if self.value_overlap is None:
            return self.name_likeness
        return 0.35 * self.name_likeness + 0.65 * self.value_overlap


def investigate_missing_column(
    case: CaseFile, node: GraphNode, missing: str, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """Find the parent that lost the column, its successor, and the edit of the reading model."""
    model = case.graph.get(node.test.attached_node) if node.test is not None else node
    if model is None:
        return None
    case.bench.checkout(case.head)
    case.bench.reset_warehouse()
    parents = [
        parent for parent in (case.graph.get(one) for one in model.depends_on) if parent and parent.relation_name
    ]
    held = {parent.unique_id: columns_of(case, parent.relation_name or "") for parent in parents}
    suspects = _suspects(case, model, missing, parents, held)
    if not suspects:
        return None
    reader, parent, present = suspects[0]
    shown = ", ".join(column.name for column in present)
    columns_id = case.add(
        f"Columns that {parent.name} has now", f"select * from {parent.relation_name} limit 0", shown, "columns"
    )
    error_id = next((one.evidence_id for one in reversed(case.evidence) if one.kind == "message"), columns_id)
    case.claim(f"{parent.name} has no column {missing}, which {reader.name} reads.", "confirmed", error_id, columns_id)
    slip = investigate_mistyped(case, reader, parent, missing, present, experiment, (error_id, columns_id))
    if slip is not None:
        return slip
    owner = case.owner_of(parent)
    ranked = _successors(case, reader, parent, missing, present)
    chosen = _clear_winner(missing, ranked)
    if chosen is None:
        alike = plausible(missing, [one.name for one in present])
        scores = {one.column.name: f" ({one.score:.0%})" for one in ranked[:4]}
        named = ", ".join(f"{one}{scores.get(one, '')}" for one in dict.fromkeys([*scores, *alike])) or "none"
        case.claim(f"No column of {parent.name} is clearly its successor (nearest: {named}).", "possible", columns_id)
        return case.conclude(
            f"The column {missing} is gone from {parent.name}, and no column there is clearly its new name.",
            "data",
            next_step=f"Ask the owner of {parent.name} whether {missing} was renamed or dropped.",
            who=owner or f"the owner of {parent.name}",
            needs_person=f"{missing} was dropped from {parent.name} or renamed beyond recognition; guessing would put "
            "wrong values into every model downstream",
            root_node=parent.unique_id,
            confidence=0.7,
        )
    likeness = f"names alike {chosen.name_likeness:.0%}"
    if chosen.value_overlap is not None:
        likeness += f", {chosen.value_overlap:.0%} of the values that {reader.name} last held occur in it"
    rename_id = case.add(
        f"Successor of {missing}", f"columns of {parent.name}, compared by name, type and values",
        "\n".join(
            f"{one.column.name} {one.column.kind}: score {one.score:.2f}, name {one.name_likeness:.2f}, values "
            + ("not comparable" if one.value_overlap is None else f"{one.value_overlap:.2f}")
            for one in ranked[:5]
        ),
        "comparison",
    )  # fmt: skip
    case.claim(
        f"{missing} was renamed to {chosen.column.name} in {parent.name} ({likeness}).", "likely", columns_id, rename_id
    )
    _propose(case, reader, parent, missing, chosen.column.name, experiment, (error_id, columns_id, rename_id))
    return case.conclude(
        f"The column {missing} of {parent.name} was renamed to {chosen.column.name} upstream, and {reader.name} still reads it by its old name.",
        "data",
        next_step=f"Review the pull request that reads {chosen.column.name} as {missing}, and tell the owner of {parent.name}."
        if case.candidates
        else f"Read {chosen.column.name} in place of {missing} in {reader.name}.",
        who=owner or f"the owner of {reader.name}",
        root_node=parent.unique_id,
        confidence=min(0.95, 0.5 + chosen.score / 2),
    )


def _suspects(
    case: CaseFile,
    model: GraphNode,
    missing: str,
    parents: Sequence[GraphNode],
    held: dict[str, tuple[Column, ...]],
) -> list[tuple[GraphNode, GraphNode, tuple[Column, ...]]]:
    """(reader, parent, its columns): parents of the model that lack the column, those most likely to have had it first."""
    found = []
    named = re.compile(rf"\b{re.escape(missing)}\b", re.I)
    for parent in parents:
        present = held[parent.unique_id]
        if not present or any(column.name.lower() == missing.lower() for column in present):
            continue
        documented = any(column.lower() == missing.lower() for column in parent.columns)
        elsewhere = sum(
            bool(named.search(other.raw_sql)) for other in map(case.graph.get, case.graph.children.get(parent.unique_id, ())) if other
        )  # fmt: skip
        likeness = max((_alike(missing, column.name) for column in present), default=0.0)
        found.append((documented, parent.resource_type == "source", elsewhere, likeness, parent, present))
    found.sort(key=lambda one: one[:4], reverse=True)
    suspects = [(model, parent, present) for *_, parent, present in found]
    # A view that only passes `select *` on shows the gap, but it is its source that lost the column.
    further = []
    for _, parent, _ in suspects:
        if (
            parent.resource_type == "model"
            and re.search(r"select\s+\*", parent.raw_sql, re.I)
            and not named.search(parent.raw_sql)
        ):
            for grandparent in map(case.graph.get, parent.depends_on):
                if grandparent is not None and grandparent.relation_name:
                    present = columns_of(case, grandparent.relation_name)
                    if present and all(column.name.lower() != missing.lower() for column in present):
                        further.append((parent, grandparent, present))
    return further + suspects


def _successors(
    case: CaseFile, reader: GraphNode, parent: GraphNode, missing: str, present: Sequence[Column]
) -> list[Successor]:
    known = {column.lower() for column in parent.columns}
    for child in case.graph.children.get(parent.unique_id, ()):
        one = case.graph.get(child)
        if one is not None and one.resource_type in {"model", "snapshot"}:
            known |= {word.lower() for word in re.findall(r"[A-Za-z_][\w$]*", _without_comments(one.raw_sql))}
    fresh = [column for column in present if column.name.lower() not in known and not is_load_metadata(column.name)]
    held = _holding(case, reader, missing)
    ranked = [Successor(column, _alike(missing, column.name), _overlap(case, held, parent, column)) for column in fresh]
    return sorted(ranked, key=lambda one: one.score, reverse=True)


@dataclass(frozen=True)
class _Held:
    """A relation's column that still has what was made of the missing column; ``made`` is how, None where unchanged."""

    relation: str
    column: str
    made: exp.Expression | None


def _holding(case: CaseFile, reader: GraphNode, missing: str) -> _Held | None:
    """What still holds the missing column's values from the last good build."""
    found = MaskedSql(reader.raw_sql, case.graph.adapter_type).made_of_alone(missing)
    if found is not None and not isinstance(found[1], exp.Column):
        name, made = found[0], found[1]
    elif (same := _output_name(reader, missing)) is not None:
        name, made = same, None
    else:
        return None
    for unique_id in (reader.unique_id, *case.graph.descendants(reader.unique_id)[:10]):
        node = case.graph.get(unique_id)
        if node is None or not node.relation_name or node.materialized not in {"table", "incremental", "snapshot"}:
            continue  # a view of the reader is broken as well
        there = next((one for one in columns_of(case, node.relation_name) if one.name.lower() == name.lower()), None)
        if there is not None:
            return _Held(node.relation_name, there.name, made)
    return None


def _overlap(case: CaseFile, held: _Held | None, parent: GraphNode, new: Column) -> float | None:
    """Which share of the distinct values that were held the new column gives, made the same way; None if unknown."""
    if held is None:
        return None
    adapter = case.graph.adapter_type
    relation, before, after = held.relation, quoted(held.column, adapter), quoted(new.name, adapter)
    if held.made is not None:
        column = exp.column(exp.to_identifier(new.name, quoted=True))
        again = held.made.copy().transform(lambda one: column.copy() if isinstance(one, exp.Column) else one)
        after = again.sql(dialect=dialect(adapter))
    found = case.ask(
        "select count(*) as n, count(seen.value) as kept from "
        f"(select distinct cast({before} as varchar) as value from {relation} where {before} is not null) as held "
        f"left join (select distinct cast({after} as varchar) as value from {parent.relation_name}) as seen "
        "on held.value = seen.value",
        1,
    )
    if found.error is not None or not found.rows or not found.rows[0][0]:
        return None
    if held.made is not None and int(found.rows[0][0]) < FEW_VALUES:
        return None
    return float(found.rows[0][1]) / float(found.rows[0][0])


def _clear_winner(missing: str, ranked: Sequence[Successor]) -> Successor | None:
    if not ranked:
        return None
    best = ranked[0]
    if changes_the_measure(missing, best.column.name) and (best.value_overlap or 0.0) < SURE_BY_VALUES:
        return None  # amount and amount_cents are alike by name, and a hundredfold apart
    second = ranked[1].score if len(ranked) > 1 else 0.0
    if best.value_overlap is not None:
        # A transformed value never overlaps, so a strong name may stand alone; a weak name needs the values.
        sure = best.value_overlap >= SURE_BY_VALUES or (best.name_likeness >= 0.75 and best.value_overlap > 0.1)
        sure = sure or (best.name_likeness >= 0.8 and len(ranked) == 1)
    else:
        sure = best.name_likeness >= SURE_BY_NAME
    return best if sure and best.score - second >= 0.1 else None


def _alike(one: str, other: str) -> float:
    first, second = one.lower(), other.lower()
    whole = SequenceMatcher(None, first, second).ratio()
    words, others = set(re.split(r"_+", first)), set(re.split(r"_+", second))
    shared = len(words & others) / max(1, min(len(words), len(others)))
    # One name within the other, as amount in amount_usd, says more than letters in common.
    return max(whole, 0.7 * shared + 0.3 * whole if shared == 1.0 and len(words ^ others) > 0 else 0.0)


def _output_name(reader: GraphNode, missing: str) -> str | None:
    """What the reader calls the column where it passes it on as it is; None where it makes something else of it."""
    item = rf"(?:\bselect|,)\s*(?:\w+\.)?{re.escape(missing)}(?:\s+as\s+\"?(\w+)\"?)?\s*(?=,|\bfrom\b)"
    found = re.search(item, _without_comments(reader.raw_sql), re.I)
    if found is not None:
        return found[1] or missing
    return missing if re.search(r"\bselect\s+\*", reader.raw_sql, re.I) else None


def _without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", " ", sql, flags=re.DOTALL)


def _propose(
    case: CaseFile, reader: GraphNode, parent: GraphNode, missing: str, fresh: str, experiment: Experiment,
    evidence_ids: tuple[str, ...],
) -> None:  # fmt: skip
    path = case.path_of(reader)
    raw = case.bench.read_at(case.head, path) if path else None
    if path is None or raw is None:
        return
    renamed = {missing: fresh}
    first = MaskedSql(raw, case.graph.adapter_type)
    for text in (
        first.with_column_read_as(reads(parent), missing, fresh),
        first.with_column_added(reads(parent), missing, fresh),
    ):
        while text is not None and text != raw:
            change = FileChange(path, text)
            trial = experiment.at(case.head, (change,))
            if trial.verdict == PASSES:
                _propose_reading(case, reader, parent, renamed, raw, change, trial, experiment, evidence_ids)
                return
            # Several columns may have been renamed at once: each trial shows the next one.
            another = missing_column(trial.message)
            chosen = _another(case, reader, parent, another, renamed) if another else None
            if another is None or chosen is None:
                break
            renamed[another] = chosen.column.name
            text = MaskedSql(text, case.graph.adapter_type).with_column_read_as(
                reads(parent), another, chosen.column.name
            )


def _another(
    case: CaseFile, reader: GraphNode, parent: GraphNode, missing: str, renamed: dict[str, str]
) -> Successor | None:
    if missing in renamed or len(renamed) >= MOST_RENAMES:
        return None
    case.bench.reset_warehouse()
    present = [one for one in columns_of(case, parent.relation_name or "") if one.name not in renamed.values()]
    return _clear_winner(missing, _successors(case, reader, parent, missing, present))


def _propose_reading(
    case: CaseFile, reader: GraphNode, parent: GraphNode, renamed: dict[str, str], raw: str, change: FileChange,
    trial: Trial, experiment: Experiment, evidence_ids: tuple[str, ...],
) -> None:  # fmt: skip
    pairs = ", ".join(f"{fresh} as {old}" for old, fresh in renamed.items())
    tried = case.add(
        f"Tried: read {pairs} in {reader.name}", trial.command, f"{experiment.node.name}: {trial.verdict}", "experiment"
    )
    lines = sum(a != b for a, b in zip(raw.splitlines(), (change.content or "").splitlines(), strict=False))
    case.propose(
        Candidate(
            strategy="read the renamed column",
            summary=f"Read {pairs} in {reader.name}",
            rationale=f"{parent.name} uses {'the new name' if len(renamed) == 1 else 'the new names'} now. {plural(lines, 'line')} of the "
            f"model that reads it {'changes' if lines == 1 else 'change'}, the output keeps its "
            f"{'name' if len(renamed) == 1 else 'names'}, so nothing downstream changes.",
            changes=(change,),
            risk="low",
            evidence_ids=(*evidence_ids, tried),
            values=ValueProof(
                NOT_COMPARED, "the source gives these values under another name now, so no earlier code runs on them"
            ),
        )
    )


class reads:  # noqa: N801 - reads as a condition where it is used
    """Whether a ``ref`` or ``source`` call means a node."""

    def __init__(self, node: GraphNode) -> None:
        self._node = node

    def __call__(self, call: Call) -> bool:
        """Compare by name."""
        if self._node.resource_type == "source":
            source, _, table = self._node.name.partition(".")
            return call.names_source(source, table)
        return call.names_model(self._node.name)
