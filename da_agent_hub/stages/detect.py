"""Detect: read the finished dbt runs of a window that the store does not hold yet."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from ..config import ProjectSettings
from ..domain.dbt import DbtRun
from ..domain.window import Window
from ..ports import DbtRunSource, RecordStore
from .expected import look_at_jobs

_READERS = 4
# A run that could not parse the project, or built nothing, leaves no manifest: an earlier one of the commit may.
_MANIFEST_TRIES = 3


@dataclass(frozen=True)
class Detection:
    """What one look at a window found; ``unread`` says, one sentence each, what could not be read.

    ``read`` are the runs read now, ``known`` those the store held before; ``failed_runs`` counts runs, of both, that
    did not succeed.
    """

    project: str
    window: Window
    read: tuple[DbtRun, ...] = ()
    known: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    failed_runs: int = 0
    graphs: int = 0

    @property
    def runs(self) -> int:
        """How many finished runs the window holds."""
        return len(self.read) + len(self.known)


def detect(
    project: ProjectSettings,
    source: DbtRunSource,
    store: RecordStore,
    window: Window,
    *,
    now: datetime | None = None,
    silence_hours: float = 3.0,
) -> Detection:
    """Read the runs that finished in a window and remember them; those already in the store are not read again.

    Only a run of which something was unread is tried once more. Where ``now`` is given and the window has only just
    closed or is still open, the jobs are looked at too: a run may be late by ``silence_hours``.

    Raises:
        Exception: the source's own error, where the window could not be listed at all.
    """
    listed = source.finished_runs(project.name, window.start, window.end)
    known = store.known_run_ids(project.name, window.start)
    kept = store.runs(project.name, window.start, window.end)
    incomplete = {run.run_id for run in kept if run.unread}
    wanted = [one for one in listed if one.run_id not in known or one.run_id in incomplete]
    read: list[DbtRun] = []
    unread: list[str] = []
    with ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="dbt-runs") as pool:
        waiting = [(one, pool.submit(source.read_run, project.name, one.run_id)) for one in wanted]
        for summary, answer in waiting:
            try:
                run = answer.result()
            except Exception as error:  # one run's reading never costs the others theirs
                unread.append(f"Run {summary.run_id} of {summary.job_name}: {error}")
                continue
            store.remember_run(run)
            read.append(run)
            unread += [f"Run {run.run_id} of {run.job_name}: {sentence}" for sentence in run.unread]
    graphs = _read_graphs(project.name, source, store, read, unread, kept=kept)
    if now is not None:
        unread += look_at_jobs(project, source, store, window, now=now, silence_hours=silence_hours)
    return Detection(
        project=project.name,
        window=window,
        read=tuple(read),
        known=tuple(one.run_id for one in listed if one not in wanted),
        unread=tuple(unread),
        failed_runs=sum(one.status != "success" for one in listed),
        graphs=graphs,
    )


def _read_graphs(
    project: str,
    source: DbtRunSource,
    store: RecordStore,
    read: Sequence[DbtRun],
    unread: list[str],
    *,
    kept: Sequence[DbtRun],
) -> int:
    """Keep the lineage of each commit that is new; where commits are not told, the newest of each reading."""
    ordered = sorted(read, key=lambda one: one.finished_at)
    if not ordered:
        return 0
    known = {store.graph_commit(project, ordered[0].finished_at)}
    if None not in known:
        known |= {run.git_sha for run in kept}
    by_commit: dict[str | None, list[DbtRun]] = {}
    for run in ordered:
        if run.git_sha is None or run.git_sha not in known:
            by_commit.setdefault(run.git_sha, []).append(run)
    found = 0
    for runs in by_commit.values():
        for run in runs[: -_MANIFEST_TRIES - 1 : -1]:
            try:
                graph = source.read_graph(project, run.run_id)
            except Exception as error:  # records without lineage are poorer, not wrong
                unread.append(f"The manifest of run {run.run_id}: {error}")
                continue
            if graph is not None:
                store.save_graph(project, run.run_id, run.finished_at, graph)
                found += 1
                break
    return found
