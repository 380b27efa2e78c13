"""An incremental table keeps rows that today's code and data would not give."""

from __future__ import annotations

from ..domain.dbt import GraphNode
from ..domain.investigation import Investigation
from .case_file import CaseFile


def investigate_stale_rows(case: CaseFile, node: GraphNode, reproduced_id: str) -> Investigation:
    """Built anew it passes: an incremental table keeps rows from before the code or the data was mended."""
    nodes = [case.graph.get(one) for one in (node.unique_id, *case.graph.ancestors(node.unique_id))]
    tables = [one.name for one in nodes if one is not None and one.materialized == "incremental"]
    command = f"dbt build --full-refresh --select {' '.join(tables)}"
    anew_id = case.add(
        "Does it fail when the tables are built anew?", command, f"{node.name} passes then", "experiment"
    )
    names = ", ".join(tables)
    case.claim(f"{names} keeps rows that today's code and data would not give.", "confirmed", reproduced_id, anew_id)
    return case.conclude(
        f"{node.name} fails on rows that the incremental {names} kept from an earlier run; built anew it passes.",
        "data",
        next_step=f"Run {command}, once nothing in it is history that the sources no longer hold.",
        who=case.owner_of(case.graph.get(case.record.node)) or f"the owner of {tables[0]}",
        needs_person="no change of the code mends rows that are stored already; building the table anew is a person's decision",
        root_node=next((one.unique_id for one in nodes if one is not None and one.name == tables[0]), None),
        confidence=0.85,
    )
