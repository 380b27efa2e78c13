"""dbt runs from memory, with days that cannot be listed and runs that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from da_agent_hub.domain.dbt import DbtRun, ProjectGraph
from da_agent_hub.domain.expected_runs import DbtJob
from da_agent_hub.ports import DbtRunSummary


@dataclass
class FakeDbtSource:
    """``down`` is a list of ``[start, end)`` in which a listing fails, ``unreadable`` holds run ids, ``going`` job ids."""

    runs: list[DbtRun] = field(default_factory=list)
    graph: ProjectGraph | None = None
    down: list[tuple[datetime, datetime]] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)
    scheduled: list[DbtJob] = field(default_factory=list)
    going: set[str] = field(default_factory=set)
    jobs_down: bool = False

    def finished_runs(self, project: str, since: datetime, until: datetime) -> Sequence[DbtRunSummary]:
        if any(since < end and until > start for start, end in self.down):
            raise ConnectionError("list runs: dbt Cloud answered 503")
        return [
            DbtRunSummary(run.project, run.run_id, run.job_id, run.job_name, run.status, run.finished_at, run.url)
            for run in sorted(self.runs, key=lambda run: run.finished_at)
            if run.project == project and since <= run.finished_at < until
        ]

    def read_run(self, project: str, run_id: str) -> DbtRun:
        if run_id in self.unreadable:
            raise ConnectionError(f"read run {run_id}: dbt Cloud answered 500")
        self.read.append(run_id)
        return next(run for run in self.runs if run.project == project and run.run_id == run_id)

    def jobs(self, project: str) -> Sequence[DbtJob]:
        if self.jobs_down:
            raise ConnectionError("list jobs: dbt Cloud answered 403")
        return self.scheduled

    def going_jobs(self, project: str) -> frozenset[str]:
        return frozenset(self.going)

    def read_graph(self, project: str, run_id: str) -> ProjectGraph | None:
        return self.graph
