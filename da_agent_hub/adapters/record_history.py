"""What dbt said and what it means: runs, lineages, looks at the jobs, and the error records made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
from sqlalchemy import delete, select

from ..domain.dbt import DbtRun, GraphNode, ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.expected_runs import JobsSeen
from . import record_tables as tables
from .record_rows import RecordRows, as_json, pack, unpack
from .stored_lineage import LineageNode, StoredLineage, unpacked

LINEAGE_TYPES = frozenset({"model", "seed", "snapshot", "source"})


class RecordHistory(RecordRows):
    """The part of ``RecordStore`` that dbt's runs fill."""

    def remember_run(self, run: DbtRun) -> None:
        """Keep a run, condensed; the same run twice changes nothing but a repaired ``unread``."""
        row = {
            "project": run.project,
            "run_id": run.run_id,
            "finished_at": run.finished_at,
            "status": run.status,
            "unread": len(run.unread),
            "payload": pack(run.condensed()),
        }
        added = self._insert(tables.dbt_runs).values(row)
        with self._write() as connection:
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=["project", "run_id"],
                    set_=row,
                    where=tables.dbt_runs.c.unread > added.excluded.unread,
                )
            )

    def known_run_ids(self, project: str, since: datetime) -> frozenset[str]:
        """Runs that were read, by finish time."""
        runs = tables.dbt_runs.c
        return frozenset(self._all(select(runs.run_id).where(runs.project == project, runs.finished_at >= since)))

    def runs(self, project: str, since: datetime | None = None, until: datetime | None = None) -> Sequence[DbtRun]:
        """Kept runs with results, by finish time, oldest first; ``[since, until)``."""
        runs = tables.dbt_runs.c
        query = select(runs.payload).where(runs.project == project).order_by(runs.finished_at, runs.run_id)
        if since is not None:
            query = query.where(runs.finished_at >= since)
        if until is not None:
            query = query.where(runs.finished_at < until)
        return [unpack(payload, DbtRun) for payload in self._all(query)]

    def save_graph(self, project: str, run_id: str, as_of: datetime, graph: ProjectGraph) -> None:
        """Keep a project's lineage, the newest of a day, and of the newest also what the Dagster lineage shows."""
        lineage = [_lineage_node(node) for node in graph.nodes.values() if node.resource_type in LINEAGE_TYPES]
        kept = replace(graph, nodes=dict(graph.nodes))
        day = as_of.strftime("%Y-%m-%d")
        row = {"project": project, "day": day, "run_id": run_id, "as_of": as_of, "payload": pack(kept)}
        shown = {"project": project, "as_of": as_of, "nodes": len(lineage), "payload": pack(lineage)}
        with self._write() as connection:
            for table, values, key in (
                (tables.dbt_graphs, row, ["project", "day"]),
                (tables.dbt_lineage, shown, ["project"]),
            ):
                added = self._insert(table).values(values)
                connection.execute(
                    added.on_conflict_do_update(
                        index_elements=key, set_=values, where=table.c.as_of <= added.excluded.as_of
                    )
                )

    def latest_graph(self, project: str, until: datetime | None = None) -> ProjectGraph | None:
        """The newest kept lineage."""
        graphs = tables.dbt_graphs.c
        query = select(graphs.payload).where(graphs.project == project).order_by(graphs.as_of.desc()).limit(1)
        if until is not None:
            query = query.where(graphs.as_of < until)
        payload = self._one(query)
        return None if payload is None else unpack(payload, ProjectGraph)

    def graph_commit(self, project: str, until: datetime) -> str | None:
        """The commit that the newest lineage kept before ``until`` is of; None where there is none or it is unknown."""
        graphs, runs = tables.dbt_graphs.c, tables.dbt_runs.c
        payload = self._one(
            select(runs.payload)
            .join_from(
                tables.dbt_graphs, tables.dbt_runs, (graphs.project == runs.project) & (graphs.run_id == runs.run_id)
            )
            .where(graphs.project == project, graphs.as_of < until)
            .order_by(graphs.as_of.desc())
            .limit(1)
        )
        return None if payload is None else unpack(payload, DbtRun).git_sha

    def lineage(self, max_nodes: int) -> StoredLineage:
        """Each project's newest lineage, where it has at most so many nodes; decoded when called, and may then raise."""
        shown = tables.dbt_lineage.c
        rows = self._rows(select(shown.project, shown.payload).where(shown.nodes <= max_nodes))
        return {project: unpacked(payload) for project, payload in rows}

    def remember_jobs(self, seen: JobsSeen) -> None:
        """Keep a look at a project's jobs; the first look of a moment stays."""
        row = {"project": seen.project, "at": seen.at, "payload": pack(seen)}
        with self._write() as connection:
            connection.execute(self._insert(tables.dbt_jobs_seen).values(row).on_conflict_do_nothing())

    def jobs_seen(self, project: str, until: datetime | None = None) -> Sequence[JobsSeen]:
        """Kept looks, oldest first, up to and with ``until``."""
        seen = tables.dbt_jobs_seen.c
        query = select(seen.payload).where(seen.project == project).order_by(seen.at)
        if until is not None:
            query = query.where(seen.at <= until)
        return [unpack(payload, JobsSeen) for payload in self._all(query)]

    def save_records(self, project: str, records: Sequence[ErrorRecord]) -> None:
        """Replace the project's records by these: records are a function of the runs seen."""
        rows = [
            {
                "fingerprint": record.fingerprint,
                "project": project,
                "position": position,
                "state": record.state.value,
                "payload": as_json(record),
            }
            for position, record in enumerate(records)
        ]
        with self._write() as connection:
            connection.execute(delete(tables.error_records).where(tables.error_records.c.project == project))
            if rows:
                connection.execute(tables.error_records.insert(), rows)

    def records(self, project: str | None = None) -> Sequence[ErrorRecord]:
        """All records, or one project's."""
        kept = tables.error_records.c
        query = select(kept.payload).order_by(kept.project, kept.position)
        if project is not None:
            query = query.where(kept.project == project)
        return [msgspec.json.decode(payload, type=ErrorRecord) for payload in self._all(query)]

    def record(self, fingerprint: str) -> ErrorRecord | None:
        """One record."""
        kept = tables.error_records.c
        payload = self._one(select(kept.payload).where(kept.fingerprint == fingerprint))
        return None if payload is None else msgspec.json.decode(payload, type=ErrorRecord)


def _lineage_node(node: GraphNode) -> LineageNode:
    dagster = node.meta.get("dagster")
    chosen = dagster.get("asset_key") if isinstance(dagster, Mapping) else None
    return LineageNode(
        unique_id=node.unique_id,
        name=node.name,
        resource_type=node.resource_type,
        depends_on=node.depends_on,
        group=node.group,
        description=node.description[:500],
        asset_key=tuple(map(str, chosen)) if isinstance(chosen, list) else (),
    )
