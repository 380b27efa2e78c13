"""Checks that nothing was lost on the way from dbt's runs to the error records; they read only the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from ..config.settings import ProjectSettings
from ..domain.dbt import DbtRun, Outcome, ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.markdown import code
from ..domain.window import Window
from . import metadata
from .hub import Hub

ALL_READ = "every_dbt_run_is_read"
ALL_RECORDED = "every_failing_node_is_recorded"


def all_read(hub: Hub, project: ProjectSettings, days: Sequence[str], unread: Sequence[str]) -> dg.AssetCheckResult:
    """Whether every run of the days was read whole; ``unread`` are sentences of this reading."""
    kept = [f"Run {run.run_id}: {sentence}" for run in _runs(hub, project, days) for sentence in run.unread]
    missing = [hub.redact(sentence) for sentence in dict.fromkeys([*unread, *kept])]
    return dg.AssetCheckResult(
        passed=not missing,
        check_name=ALL_READ,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"days": ", ".join(days), "unread": metadata.sentences(missing)},
    )


def all_recorded(
    hub: Hub, project: ProjectSettings, days: Sequence[str], records: Sequence[ErrorRecord]
) -> dg.AssetCheckResult:
    """Whether every node that failed in the days stands in a record, or is left out by a filter."""
    from ..stages.record import policy_of

    selection = policy_of(project).selection
    graph = hub.store.latest_graph(project.name)
    recorded = {node for record in records for node in (record.node, record.latest.unique_id, *record.members) if node}
    missing = []
    for run in _runs(hub, project, days):
        if not selection.wants_run(run):
            continue
        for _, result in run.results():
            if result.outcome is not Outcome.BAD or result.unique_id in recorded:
                continue
            if selection.wants(*_names_and_tags(result.unique_id, graph)):
                missing.append([code(result.unique_id), metadata.link(f"run {run.run_id}", run.url)])
    return dg.AssetCheckResult(
        passed=not missing,
        check_name=ALL_RECORDED,
        metadata={"days": ", ".join(days), "missing": metadata.table(("node", "dbt run"), missing)},
    )


def _runs(hub: Hub, project: ProjectSettings, days: Sequence[str]) -> Iterator[DbtRun]:
    for day in days:
        window = Window.of(day)
        yield from hub.store.runs(project.name, window.start, window.end)


def _names_and_tags(unique_id: str, graph: ProjectGraph | None) -> tuple[list[str], list[str]]:
    node = graph.get(unique_id) if graph is not None else None
    if graph is None or node is None:
        return [unique_id.split(".")[-1]], []
    tested = graph.get(node.test.attached_node) if node.test is not None else None
    nodes = [one for one in (node, tested) if one is not None]
    return [one.name for one in nodes], [tag for one in nodes for tag in one.tags]
