"""The queue of triggered runs: one run at a time a project, on main as it is then; a restart takes up what was left."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from datetime import datetime, timezone

import duckdb

from .dbt_jobs import Job, JobRunner
from .dbt_worker import DbtWorker, WorkerDiedError
from .history import HistoryError
from .run_archive import CANCELLED, ERROR, QUEUED, STARTING, Run, RunArchive
from .world import World, WorldProject, head_of_main, last_load_day, next_run_id


class JobQueue:
    """Started with the server. The dbt worker of a project starts with its first run and ends with the queue."""

    def __init__(self, world: World, archive: RunArchive) -> None:
        self.world = world
        self.archive = archive
        self._waiting: dict[str, queue.SimpleQueue[int | None]] = {
            one.name: queue.SimpleQueue() for one in world.projects
        }
        self._workers = {one.name: DbtWorker() for one in world.projects}
        self._turn = threading.Lock()
        self._stopping = False

    def start(self) -> None:
        """Take up every run that a stopped server left, from its beginning, and wait for more."""
        for project in self.world.projects:
            for run in self.archive.runs():
                if run.project_id == project.dbt_cloud_project_id and not run.finished:
                    self.archive.save(
                        replace(
                            run,
                            status=QUEUED,
                            started_at=None,
                            steps=(),
                            status_message="Queued again: the server was restarted",
                        )
                    )
                    self._waiting[project.name].put(run.id)
            threading.Thread(target=self._work, args=(project,), name=f"dbt-{project.name}", daemon=True).start()

    def stop(self) -> None:
        """End the workers; a run that is interrupted by this is taken up by the next start."""
        self._stopping = True
        for name, waiting in self._waiting.items():
            waiting.put(None)
            self._workers[name].close()

    def add(self, project: WorldProject, job: Job, cause: str, override: tuple[str, ...] = ()) -> Run:
        """A new run, queued."""
        odd = self.world.told(project).odd_key
        run = self.archive.add(
            lambda highest: Run(
                next_run_id(highest + 7, odd, hit=False), project.dbt_cloud_project_id, job.id, job.environment_id, QUEUED,
                datetime.now(timezone.utc).isoformat(), cause, "api", steps_override=override,
            )
        )  # fmt: skip
        self._waiting[project.name].put(run.id)
        return run

    def cancel(self, run: Run) -> Run:
        """A run that still waits ends as cancelled; any other is left alone."""
        with self._turn:
            newest = self.archive.get(run.id) or run
            if newest.status != QUEUED:
                return newest
            now = datetime.now(timezone.utc).isoformat()
            return self.archive.save(
                replace(newest, status=CANCELLED, finished_at=now, status_message="Cancelled by API")
            )

    def _work(self, project: WorldProject) -> None:
        while (number := self._waiting[project.name].get()) is not None:
            with self._turn:
                run = self.archive.get(number)
                if run is None or run.finished:
                    continue
                run = self.archive.save(replace(run, status=STARTING))
            try:
                self._carry_out(project, run)
            except WorkerDiedError as error:
                if not self._stopping:
                    self._fail(run, str(error))
            except (HistoryError, OSError, duckdb.Error, ValueError) as error:
                self._fail(run, str(error))

    def _fail(self, run: Run, message: str) -> None:
        newest = self.archive.get(run.id) or run
        now = datetime.now(timezone.utc).isoformat()
        self.archive.save(replace(newest, status=ERROR, finished_at=now, status_message=message))

    def _carry_out(self, project: WorldProject, run: Run) -> None:
        place = self.world.place(project)
        job = next(job for job in project.jobs if job.id == run.job_id)
        self.world.loader(project).load_until(last_load_day(datetime.now(timezone.utc)))
        JobRunner(self.archive, place, self._workers[project.name]).run(run, job, sha=head_of_main(place.repository))
