"""The projects' dbt models as external assets, from compact specs that the store keeps."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from ..adapters.stored_lineage import LineageNode, read_lineage
from ..config.settings import HubSettings, ProjectSettings
from .hub import Hub

logger = logging.getLogger(__name__)

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Lineage:
    """External assets of one project, and those of them that nothing in dbt depends on."""

    specs: Sequence[dg.AssetSpec] = ()
    ends: Sequence[dg.AssetKey] = ()


def load_lineage(hub: Hub, settings: HubSettings) -> dict[str, Lineage]:
    """Each project's lineage, where it is small enough; a project or store that cannot be shown costs only itself."""
    most = settings.schedule.lineage_max_nodes
    if not most or not settings.projects:
        return {}
    try:
        stored = read_lineage(settings.state.url.get_secret_value(), most)
    except Exception as error:
        logger.warning("the dbt models are left out of the lineage: %s", hub.redact(str(error)))
        return {}
    found: dict[str, Lineage] = {}
    taken: set[dg.AssetKey] = set()
    for project in settings.projects:
        if project.name not in stored:
            continue
        try:
            lineage = project_lineage(project, stored[project.name](), taken)
        except Exception as error:
            logger.warning("the dbt models of %s are left out of the lineage: %s", project.name, error)
            continue
        found[project.name] = lineage
        taken.update(spec.key for spec in lineage.specs)
    return found


def project_lineage(
    project: ProjectSettings,
    nodes: Sequence[LineageNode],
    taken: set[dg.AssetKey] | frozenset[dg.AssetKey] = frozenset(),
) -> Lineage:
    """The specs of one project; keys are those that dagster-dbt gives, below ``lineage_prefix`` or the project's name.

    Keys in ``taken`` belong to another project of the same prefix, and are left to it.
    """
    prefix = project.lineage_prefix or [project.name]
    keys = {node.unique_id: dg.AssetKey([*prefix, *_key(node)]) for node in nodes}
    parents = {parent for node in nodes for parent in node.depends_on}
    specs: dict[dg.AssetKey, dg.AssetSpec] = {}
    for node in nodes:
        key = keys[node.unique_id]
        if key in taken or key in specs:
            continue
        specs[key] = dg.AssetSpec(
            key,
            deps=sorted({keys[parent] for parent in node.depends_on if parent in keys} - {key}),
            group_name=_group(project, node),
            description=node.description or f"The dbt {node.resource_type} {node.name}.",
            kinds={"dbt"},
        )
    ends = [keys[node.unique_id] for node in nodes if node.unique_id not in parents]
    return Lineage(list(specs.values()), list(dict.fromkeys(ends)))


def _key(node: LineageNode) -> Sequence[str]:
    if node.asset_key:
        return node.asset_key
    if node.resource_type == "source":
        # source.<package>.<source>.<table>
        return node.unique_id.split(".")[2:4]
    return [node.name]


def _group(project: ProjectSettings, node: LineageNode) -> str:
    return _NOT_A_NAME.sub("_", f"{project.name}_{node.group}" if node.group else f"{project.name}_dbt")
