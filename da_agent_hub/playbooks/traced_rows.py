"""Any other test: take the rows that it returns by their key, and follow them upstream to the load that brought them."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..domain.dbt import GraphNode
from ..domain.investigation import Ending, Investigation
from .case_file import CaseFile, plural
from .experiment import Experiment, Trial
from .unexpected_values import is_one_of, since_which_load, walk_up
from .warehouse import columns_of, quoted

MOST_KEYS = 40


def investigate_rows(
    case: CaseFile, test: GraphNode, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """Where the failing rows come from; None where they hold no key of a model."""
    sql = reproduced.result.compiled.get(reproduced.node or test.unique_id)
    if not sql:
        return None
    experiment.at(case.head)
    failing = case.ask(f"select * from ({sql.strip().rstrip(';')}) as failing", MOST_KEYS)
    if failing.error is not None or not failing.rows:
        return None
    for model in filter(None, map(case.graph.get, test.depends_on)):
        key = _key(case, model, failing.columns)
        if key is None:
            continue
        place = [name.lower() for name in failing.columns].index(key.lower())
        keys = list(dict.fromkeys(str(row[place]) for row in failing.rows if row[place] is not None))
        source = walk_up(case, model, key, reproduced, _is_among(case, keys))
        if source is None:
            continue
        where = is_one_of(quoted(source.column, case.graph.adapter_type), keys)
        since, since_id = since_which_load(case, source.node, where)
        trail = " <- ".join(source.trail)
        trail_id = case.add(
            "Where the failing rows come from",
            "compiled SQL of each model",
            f"{plural(len(keys), 'key')} of {trail}",
            "lineage",
        )
        case.claim(
            f"The rows that fail {test.name} come from {source.node.name}{since}.",
            "likely",
            trail_id,
            *([since_id] if since_id else []),
        )
        at_least = f"at least {len(keys)}" if failing.truncated else str(len(keys))
        return case.conclude(
            f"{at_least} rows of {model.name} fail {test.name}; they come from {source.node.name}{since}.",
            "data",
            ending=Ending.ANSWERED if since else Ending.INCONCLUSIVE,
            next_step=f"Look at these rows in {source.node.name}: mend them where they are made, or change what {test.name} expects.",
            who=case.owner_of(source.node) or f"the owner of {source.node.name}",
            needs_person=f"the rows break a rule that people set ({test.name}); leaving them out would hide them",
            root_node=source.node.unique_id,
            confidence=0.7 if since else 0.5,
        )  # fmt: skip
    return None


def _is_among(case: CaseFile, keys: Sequence[str]) -> Callable[[str], str]:
    return lambda name: is_one_of(quoted(name, case.graph.adapter_type), keys)


def _key(case: CaseFile, model: GraphNode, columns: tuple[str, ...]) -> str | None:
    """A column of the failing rows by which the model's rows can be found again: one that is tested to be unique, or an id."""
    if not model.relation_name:
        return None
    held = {one.name.lower() for one in columns_of(case, model.relation_name)}
    shared = [name for name in columns if name.lower() in held]
    unique = {
        (one.test.column or "").lower()
        for one in map(case.graph.get, case.graph.children.get(model.unique_id, ()))
        if one is not None and one.test is not None and one.test.name == "unique"
    }
    for name in [
        *(one for one in shared if one.lower() in unique),
        *(one for one in shared if re.search(r"(^|_)(id|key|no|number)$", one, re.I)),
    ]:
        return name
    return None
