"""Reads the dbt runs of the days that were asked for; a day that cannot be listed hides no other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from logging import Logger
from typing import TYPE_CHECKING

import dagster as dg

from ..config.settings import ProjectSettings
from ..domain.dbt import DbtRun, NodeResult, Outcome
from ..domain.markdown import escape
from ..domain.window import Window
from . import metadata
from .hub import Hub
from .partitions import days_between, last_days

if TYPE_CHECKING:
    from ..stages.detect import Detection

AGAIN_AFTER_SECONDS = 3.0
# Metadata of a day: nothing of it is left unread.
WHOLE = "read_whole"


def read_days(
    hub: Hub, project: ProjectSettings, days: Sequence[str], log: Logger
) -> tuple[dict[str, metadata.Metadata], list[str], list[str]]:
    """Metadata of each day that was read, a sentence for each that could not be listed, and what was left unread."""
    detections: dict[str, Detection] = {}
    problems = _read(hub, project, days, detections, log)
    if problems:
        time.sleep(AGAIN_AFTER_SECONDS)
        problems = _read(hub, project, list(problems), detections, log)
    if detections:
        # One line for all days: each line is a transaction of Dagster's own.
        read = sum(len(found.read) for found in detections.values())
        known = sum(len(found.known) for found in detections.values())
        log.info(f"{project.name}, {len(detections)} days: {read} dbt runs read, {known} known before")
    told = _told(hub, project, detections)
    unread = [sentence for day in days if day in detections for sentence in detections[day].unread]
    return told, [f"{day}: {problem}" for day, problem in problems.items()], unread


def _read(
    hub: Hub, project: ProjectSettings, days: Sequence[str], detections: dict[str, Detection], log: Logger
) -> dict[str, str]:
    from ..stages.detect import detect

    problems = {}
    for day in days:
        try:
            found = detect(
                project,
                hub.source(project),
                hub.store,
                Window.of(day),
                now=hub.now(),
                silence_hours=hub.settings.schedule.silence_hours,
            )
        except Exception as error:
            problems[day] = hub.redact(str(error) or type(error).__name__)
            log.warning(f"{project.name} {day} could not be listed: {problems[day]}")
            continue
        detections[day] = found
    return problems


def _told(hub: Hub, project: ProjectSettings, detections: Mapping[str, Detection]) -> dict[str, metadata.Metadata]:
    """Metadata of the days that were read, in one pass that holds no more than a day's runs."""
    told: dict[str, metadata.Metadata] = {}
    failures: dict[str, int] = {}
    if not detections:
        return told
    for day in days_between(last_days(min(detections), metadata.PLOT_DAYS)[0], max(detections)):
        window = Window.of(day)
        runs = hub.store.runs(project.name, window.start, window.end)
        failures[day] = sum(len(_failed(run)) for run in runs)
        if day in detections:
            shown = {one: failures[one] for one in last_days(day, metadata.PLOT_DAYS)}
            told[day] = _metadata(hub, detections[day], runs, shown)
    return told


def _failed(run: DbtRun) -> list[NodeResult]:
    return [result for _, result in run.results() if result.outcome in (Outcome.BAD, Outcome.UNKNOWN)]


def _metadata(hub: Hub, found: Detection, runs: Sequence[DbtRun], failures: Mapping[str, int]) -> metadata.Metadata:
    failed = [result for run in runs for result in _failed(run)]
    groups = {
        "run status": [run.status for run in runs],
        "failed node's kind": [result.unique_id.split(".", 1)[0] for result in failed],
        "failed node's status": [result.status for result in failed],
        "failed node's environment": [run.environment or "(none)" for run in runs for _ in _failed(run)],
    }
    rows = [
        [
            metadata.link(run.run_id, run.url),
            escape(run.job_name, 100),
            escape(run.environment, 60),
            run.status,
            f"{run.finished_at:%Y-%m-%d %H:%M} UTC",
            str(sum(step.nodes for step in run.steps)),
        ]
        # What failed first: a long table is cut.
        for run in sorted(runs, key=lambda run: (run.status == "success", run.finished_at))
    ]
    listed = {run.run_id for run in found.read} | set(found.known)
    return {
        "window": dg.MetadataValue.text(metadata.window_text(found.window)),
        "dbt_runs": dg.MetadataValue.int(found.runs),
        "failed_runs": dg.MetadataValue.int(found.failed_runs),
        "failed_nodes": dg.MetadataValue.int(len(failed)),
        "newly_read": dg.MetadataValue.int(len(found.read)),
        # A broken folder that was replaced is listed no more, and nothing is left to read of it.
        WHOLE: dg.MetadataValue.bool(not found.unread and not any(run.unread for run in runs if run.run_id in listed)),
        "last_days": metadata.plot(failures, "failed node results"),
        "counts": metadata.counts(groups, "no runs"),
        "unread": metadata.sentences([hub.redact(sentence) for sentence in found.unread]),
        "runs": metadata.table(("run", "job", "environment", "status", "finished", "node results"), rows, "no runs"),
    }
