"""A column that a model reads and nobody else knows: mistyped in the model, or renamed in its parent?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..domain.dbt import GraphNode
from ..domain.investigation import Candidate, FileChange, Investigation
from ..domain.value_proof import NOT_COMPARED, ValueProof
from .case_file import CaseFile
from .experiment import PASSES, Experiment
from .likely_names import only_slip, plausible
from .warehouse import Column, columns_of

NEARLY = 0.8


def investigate_mistyped(
    case: CaseFile,
    reader: GraphNode,
    parent: GraphNode,
    missing: str,
    present: Sequence[Column],
    experiment: Experiment,
    evidence_ids: tuple[str, ...],
) -> Investigation | None:
    """The slip and its mending; None where the name may have been right before."""
    path = case.path_of(reader)
    raw = case.bench.read_at(case.head, path) if path else None
    meant = _meant(case, reader, parent, missing, present)
    if path is None or raw is None or meant is None:
        return None
    name, why = meant
    change = FileChange(path, re.sub(rf"\b{re.escape(missing)}\b", name, raw))
    trial = experiment.at(case.head, (change,))
    if trial.verdict != PASSES:
        return None
    uses_id = case.add(
        f"Who knows {missing}, and who {name}",
        f"the project's files, columns of {parent.name} and of the relations below {reader.name}",
        f"{missing}: {reader.name} alone\n{name}: {why}",
        "comparison",
    )
    tried = case.add(
        f"Tried: {name} in place of {missing}", trial.command, f"{experiment.node.name}: {trial.verdict}", "experiment"
    )
    case.claim(f"{missing} is mistyped in {reader.name}: {name} is meant.", "confirmed", *evidence_ids, uses_id, tried)
    case.propose(
        Candidate(
            strategy="mend the name",
            summary=f"Read {name} in place of {missing} in {reader.name}",
            rationale=f"{parent.name} has {name} and never had {missing}, which nothing else in the project knows; {why}.",
            changes=(change,),
            risk="low",
            evidence_ids=(*evidence_ids, uses_id, tried),
            values=ValueProof(NOT_COMPARED, f"no earlier commit is known to run; {why}"),
        )
    )
    return case.conclude(
        f"{reader.name} reads {missing}, a slip of the pen for {name} of {parent.name}.",
        "code",
        next_step=f"Review: {case.candidates[0].summary}.",
        who=case.owner_of(reader) or f"the owner of {reader.name}",
        root_node=reader.unique_id,
        confidence=0.9,
    )


def _meant(
    case: CaseFile, reader: GraphNode, parent: GraphNode, missing: str, present: Sequence[Column]
) -> tuple[str, str] | None:
    """The name that was meant and what tells so; a name that anything else knows was right once, so it is no slip."""
    near = plausible(missing, [one.name for one in present], cutoff=NEARLY)
    name = only_slip(missing, near)
    if name is None or _names(reader.raw_sql, name):
        return None
    below = [one for one in map(case.graph.get, case.graph.descendants(reader.unique_id)) if one is not None]
    others = [one for one in case.graph.nodes.values() if one.unique_id != reader.unique_id]
    if any(_names(one.raw_sql, missing) or missing.lower() in map(str.lower, one.columns) for one in others):
        return None
    if missing.lower() in map(str.lower, reader.columns):
        return None
    # Relations as production last built them: the reader's own may be a view that does not run any more.
    case.bench.checkout(case.head)
    case.bench.reset_warehouse()
    built = {
        one.name: [column.name.lower() for column in columns_of(case, one.relation_name)]
        for one in [reader, *below[:6]]
        if one.relation_name and one.resource_type in {"model", "snapshot"}
    }
    if any(missing.lower() in columns for columns in built.values()):
        return None
    reasons = [f"{one} was last built with it" for one, columns in built.items() if name.lower() in columns]
    reasons += [f"{one.name} reads it" for one in below if one.test is None and _names(one.raw_sql, name)]
    siblings = map(case.graph.get, case.graph.children.get(parent.unique_id, ()))
    reasons += [f"{one.name} reads it" for one in siblings if one is not None and one.unique_id != reader.unique_id and _names(one.raw_sql, name)]  # fmt: skip
    reasons += [f"{one.name} documents it" for one in (parent, reader) if name.lower() in map(str.lower, one.columns)]
    return (name, ", ".join(dict.fromkeys(reasons))) if reasons else None


def _names(sql: str, name: str) -> bool:
    return bool(re.search(rf"\b{re.escape(name)}\b", re.sub(r"--[^\n]*", " ", sql), re.I))
