"""Columns that a project says hold personal data: their values are counted, never shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from ..domain.dbt import GraphNode
from ..ports import Workbench
from .case_file import CaseFile


def hidden_here(case: CaseFile, node: GraphNode, columns: Sequence[str]) -> frozenset[str]:
    """Which columns of a test's rows must not show: all of them where what it tests is personal."""
    # dbt's own tests call the tested column unique_field, value_field or from_field.
    model = case.graph.get(node.test.attached_node) if node.test else None
    everything = model is not None and ("pii" in model.tags or bool(model.meta.get("pii")))
    tested = node.test.column if node.test else None
    if everything or (tested and tested.lower() in case.hidden):
        return frozenset(one.lower() for one in columns)
    return case.hidden


def personal_columns(bench: Workbench) -> frozenset[str]:
    """Columns that the project's YAML tags as personal data, by name: a name is hidden wherever it occurs."""
    hidden: set[str] = set()
    root = bench.root / bench.dbt_directory
    for path in [*root.rglob("*.yml"), *root.rglob("*.yaml")]:
        if not {"dbt_packages", "target", ".git"} & set(path.parts):
            hidden |= _tagged(path)
    return frozenset(hidden)


def _tagged(path: Path) -> set[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        return _tagged_in(yaml.safe_load(text)) if "pii" in text.lower() else set()
    except (OSError, yaml.YAMLError):
        return set()


def _tagged_in(part: object) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(_tagged_in, part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*map(_tagged_in, part.values()))
    for column in part.get("columns") or ():
        if isinstance(column, dict) and isinstance(column.get("name"), str):
            config = column.get("config") if isinstance(column.get("config"), dict) else {}
            assert isinstance(config, dict)
            tags = [column.get("tags"), config.get("tags")]
            metas = [column.get("meta"), config.get("meta")]
            tagged = any("pii" in str(one).lower() for one in tags if one)
            if tagged or any(isinstance(meta, dict) and meta.get("pii") for meta in metas):
                found.add(column["name"].lower())
    return found
