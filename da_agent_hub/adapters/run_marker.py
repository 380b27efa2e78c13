"""run.json: what a scheduler may write beside the artifacts of a run, after everything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from .artifact_json import UnreadableArtifactError, lenient, read_object
from .dbt_artifacts import aware


class _Written(msgspec.Struct):
    job: str | None = None
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    environment: str | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    url: str | None = None


class _Fields(msgspec.Struct):
    """Any object at all."""


@dataclass(frozen=True)
class RunMarker:
    """What the scheduler said of a run, as far as it did; times are aware UTC, ``url`` is an http address."""

    job: str | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    environment: str | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    url: str | None = None

    def began_after(self, moment: datetime | None, slack: timedelta) -> bool:
        """Whether something was written before the run began, and so by another one."""
        return self.started_at is not None and moment is not None and moment < self.started_at - slack


def read_marker(content: bytes | None) -> RunMarker:
    """The marker, empty where there is none; a field that is not what it should be is left out."""
    if content is None:
        return RunMarker()
    try:
        read_object(content, _Fields, "run.json")
    except UnreadableArtifactError:
        return RunMarker()
    found = lenient(msgspec.Raw(content), _Written)
    return RunMarker(
        job=found.job or None,
        exit_code=found.exit_code,
        started_at=aware(found.started_at),
        finished_at=aware(found.finished_at),
        environment=found.environment or None,
        git_sha=found.git_sha or None,
        git_branch=found.git_branch or None,
        url=found.url if found.url and found.url.startswith(("http://", "https://")) else None,
    )
