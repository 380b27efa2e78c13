"""Record: turn what the store holds of a project's runs into error records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..config import ProjectSettings
from ..config.taxonomy_files import taxonomy_of
from ..domain.category_proof import corrected
from ..domain.dbt import DbtRun, GraphNode, Outcome, ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.quarantine import with_quarantine
from ..domain.record_building import Policy, build_records
from ..domain.selection import Match, Selection, subject_of
from ..ports import RecordStore


def record_errors(project: ProjectSettings, store: RecordStore) -> tuple[ErrorRecord, ...]:
    """The project's records as of everything that was seen, saved."""
    records = records_as_of(project, store, None)
    store.save_records(project.name, records)
    return records


def records_as_of(project: ProjectSettings, store: RecordStore, until: datetime | None) -> tuple[ErrorRecord, ...]:
    """The project's records as they stood before ``until``, or as they stand now where it is None; nothing is saved."""
    runs = store.runs(project.name, until=until)
    graph = store.latest_graph(project.name, until)
    former = _former_nodes(project.name, store, runs, graph)
    looks = store.jobs_seen(project.name, until)
    records = build_records(runs, graph, policy_of(project), former, looks)
    # What was proven later holds for the same failure on an earlier day too.
    found = corrected(records, store.proven_categories(project.name))
    return with_quarantine(found, project.filters.quarantine, lambda one: subject_of(one, graph, former))


def policy_of(project: ProjectSettings) -> Policy:
    """The settings that records depend on."""
    filters = project.filters
    selection = Selection(
        warnings=filters.severity == "warn",
        include=Match(filters.include, filters.tags, filters.owners, filters.resource_types, filters.packages),
        exclude=Match(
            filters.exclude,
            filters.exclude_tags,
            filters.exclude_owners,
            filters.exclude_resource_types,
            filters.exclude_packages,
        ),
        environments=project.environments,
        exclude_environments=project.exclude_environments,
    )
    return Policy(selection, project.priority_rules, project.owners, taxonomy_of(project.taxonomy))


def _former_nodes(
    project: str, store: RecordStore, runs: Sequence[DbtRun], graph: ProjectGraph | None
) -> dict[str, GraphNode]:
    """Nodes that failed and have left the lineage since, as the lineage at their last failure knew them."""
    if graph is None:
        return {}
    gone = {
        result.unique_id: run.finished_at
        for run in runs
        for _, result in run.results()
        if result.outcome in (Outcome.BAD, Outcome.WARNED) and result.unique_id not in graph.nodes
    }
    found: dict[str, GraphNode] = {}
    for moment in sorted(set(gone.values())):
        earlier = store.latest_graph(project, moment + timedelta(seconds=1))
        for unique_id, last_failed in gone.items():
            if last_failed == moment and earlier is not None and unique_id in earlier.nodes:
                found[unique_id] = earlier.nodes[unique_id]
    return found
