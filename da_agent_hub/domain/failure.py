"""One dbt node failing in one dbt run: an immutable fact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class FailureKind(str, Enum):
    """What failed."""

    MODEL = "model"
    SEED = "seed"
    SNAPSHOT = "snapshot"
    TEST = "test"
    UNIT_TEST = "unit_test"
    SOURCE_FRESHNESS = "source_freshness"
    COMPILE = "compile"
    HOOK = "hook"
    CONNECTION = "connection"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    NOT_STARTED = "not_started"
    MISSED_RUN = "missed_run"
    UNREADABLE = "unreadable"
    UNKNOWN_STATUS = "unknown_status"
    OTHER = "other"


@dataclass(frozen=True)
class Failure:
    """A node (or, with ``unique_id`` None, a whole step) that failed in a run.

    ``path`` and ``line`` are where dbt's message points, relative to the dbt project. ``skipped`` are the nodes that
    dbt skipped in the same step because of this one.
    """

    project: str
    environment: str
    job_id: str
    run_id: str
    run_url: str
    step: int
    kind: FailureKind
    unique_id: str | None
    message: str
    happened_at: datetime
    git_sha: str | None = None
    failures: int | None = None
    severity: str = "error"
    compiled_sql: str | None = None
    path: str | None = None
    line: int | None = None
    skipped: tuple[str, ...] = ()
