"""A source has not been loaded for longer than agreed: when it last was, and who loads it."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

from ..domain.investigation import Investigation
from .case_file import CaseFile, table
from .warehouse import columns_of, load_columns, quoted


def investigate_freshness(case: CaseFile) -> Investigation:
    """Look for the last load of the source; the fix is never in the dbt project."""
    node = case.graph.get(case.record.node)
    name = node.name if node is not None else case.record.title
    last, cited = "", [one.evidence_id for one in case.evidence if one.kind == "message"]
    if node is not None and node.relation_name and case.bench.can_run_dbt:
        columns = columns_of(case, node.relation_name)
        loads = load_columns(columns)
        if not columns:
            cited.append(
                case.add("The source's relation", node.relation_name, "it does not exist, or cannot be read", "query")
            )
        elif loads:
            at = quoted(loads[0], case.graph.adapter_type)
            found = case.ask(
                f"select {at}, count(*) as row_count from {node.relation_name} group by {at} order by {at} desc", 6
            )
            if found.error is None and found.rows:
                last = f"; its last load was at {found.rows[0][0]}"
                cited.append(
                    case.add(
                        f"Last loads of {name}",
                        f"{node.relation_name} by {loads[0]}",
                        table(found.columns, found.rows),
                        "rows",
                    )
                )
    case.claim(f"{name} is older than its agreed freshness{last}.", "confirmed", *cited)
    who = case.owner_of(node) or f"whoever loads {name}"
    return case.conclude(
        f"{name} has not been loaded in time{last}.",
        "data",
        next_step=f"Ask {who} why the load of {name} is late, and start it again.",
        who=who,
        needs_person="the load is late, which no change of the dbt project can mend",
        root_node=node.unique_id if node is not None else None,
        confidence=0.85,
    )
