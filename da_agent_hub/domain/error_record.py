"""The lasting memory of one cause of failures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from enum import Enum

from .dbt import Owner
from .failure import Failure, FailureKind


class Category(str, Enum):
    """Who or what must act."""

    TRANSIENT = "transient_failure"
    CODE_FIX = "code_fix_required"
    DATA_QUALITY = "data_quality_issue"
    INFRASTRUCTURE = "infrastructure_issue"
    FALSE_POSITIVE = "false_positive"


class Priority(str, Enum):
    """How soon."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class RecordState(str, Enum):
    """Whether the failing nodes still fail, as far as runs that ran them tell."""

    OPEN = "open"
    RECOVERING = "recovering"
    RECOVERED = "recovered"


@dataclass(frozen=True)
class Quarantine:
    """A pause that the operator gave to a known failure: no issue is written through the day ``until``, in UTC."""

    until: date
    reason: str

    def holds(self, at: datetime) -> bool:
        """Whether it lasts still at an aware moment."""
        return at.astimezone(timezone.utc).date() <= self.until

    def __str__(self) -> str:
        return f"in quarantine until {self.until}: {self.reason}"


@dataclass(frozen=True)
class ProvenCategory:
    """What an investigation proved about a record whose category had been decided from its error class alone.

    It holds for one episode: the next failure may have another cause. ``culprit_sha`` is the commit that is the cause,
    None where the cause is in the data.
    """

    fingerprint: str
    project: str
    episode: int
    given: Category
    category: Category
    culprit_sha: str | None = None

    @property
    def corrects(self) -> bool:
        """Whether it differs from what the error class had said."""
        return self.category is not self.given


@dataclass(frozen=True)
class Sighting:
    """The runs between which a record was seen good or bad: ``git_sha`` may be unknown."""

    run_id: str
    run_url: str
    at: datetime
    git_sha: str | None = None


@dataclass(frozen=True)
class Downtime:
    """From the run that first showed a cause to the run with which it counted as gone; ``ended`` None while it lasts."""

    began: Sighting
    ended: Sighting | None = None

    @property
    def seconds(self) -> float | None:
        """How long it lasted."""
        return (self.ended.at - self.began.at).total_seconds() if self.ended else None


@dataclass(frozen=True)
class ErrorRecord:
    """Everything the hub knows of one cause, as a pure function of the runs seen so far and of what was proven of it.

    ``latest`` is the newest failure of the record's own node; ``members`` are unique ids of nodes that failed from the
    same cause; ``skipped`` were never run because of it. ``good_runs`` counts runs, since the last failure, that really
    ran the node and were good. ``rule`` names the rule that decided category and class; ``confidence`` is 0 to 1.
    ``expert`` names the expert to ask first. ``correction`` is the proof that moved the category away from what the rule had said. ``job_name`` and ``step_name``
    are those of ``latest``; ``downtimes`` are all episodes, oldest first, the present one last.
    """

    fingerprint: str
    project: str
    environment: str
    node: str | None
    title: str
    error_class: str
    category: Category
    priority: Priority
    latest: Failure
    first_seen: datetime
    last_seen: datetime
    occurrences: int
    state: RecordState
    good_runs: int = 0
    episode: int = 1
    last_good: Sighting | None = None
    first_bad: Sighting | None = None
    recovered: Sighting | None = None
    code_changed_since: bool = False
    flaky_evidence: str | None = None
    members: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    owner: Owner | None = None
    tags: tuple[str, ...] = ()
    complexity: int = 3
    confidence: float = 0.5
    rule: str = ""
    priority_reason: str = ""
    correction: ProvenCategory | None = None
    job_name: str = ""
    step_name: str = ""
    downtimes: tuple[Downtime, ...] = ()
    expert: str = ""
    quarantine: Quarantine | None = None

    @property
    def latest_sighting(self) -> Sighting:
        """The run of the newest failure."""
        return Sighting(self.latest.run_id, self.latest.run_url, self.latest.happened_at, self.latest.git_sha)

    def failed_within(self, start: datetime, end: datetime) -> bool:
        """Whether an episode lasted at any time of ``[start, end)``."""
        return any(one.began.at < end and (one.ended is None or one.ended.at >= start) for one in self.downtimes)

    @property
    def failing_rows_query(self) -> str | None:
        """The SQL that returns the rows which a test found; None for anything else, and where dbt left none."""
        is_test = self.latest.kind is FailureKind.TEST and self.latest.failures is not None
        return self.latest.compiled_sql if is_test else None

    @property
    def seconds_to_recover(self) -> float | None:
        """The mean time to recover over the episodes that ended; None where none did."""
        lasted = [one.seconds for one in self.downtimes if one.seconds is not None]
        return sum(lasted) / len(lasted) if lasted else None
