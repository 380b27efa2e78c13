"""Whether a cause still fails: episodes of one fingerprint over the runs that really ran its node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from .error_record import Category, RecordState, Sighting
from .failure import Failure

# What passes by itself may come back by itself, so it has to stay away for longer.
GOOD_RUNS_TRANSIENT = 3
GOOD_RUNS_UNCHANGED_CODE = 2
GOOD_RUNS_CHANGED_CODE = 1

Position = tuple[datetime, str, int]


@dataclass(frozen=True)
class Observation:
    """One run's word on a cause: ``failure`` None means that the node ran and was good.

    ``root`` is another cause's fingerprint where the failure followed from that one.
    """

    position: Position
    sighting: Sighting
    failure: Failure | None = None
    root: str | None = None


@dataclass
class Episode:
    """From a first failure to the run at which the cause counted as gone (``recovered``), if it did."""

    last_good: Sighting | None
    failures: list[Observation] = field(default_factory=list)
    good_runs: int = 0
    code_changed: bool = False
    recovered: Sighting | None = None

    @property
    def stands_alone(self) -> bool:
        """Whether any failure of it is not explained by another cause."""
        return any(one.root is None for one in self.failures)

    @property
    def state(self) -> RecordState:
        """Open, recovering (good since, but not often enough yet) or recovered."""
        if self.recovered:
            return RecordState.RECOVERED
        return RecordState.RECOVERING if self.good_runs else RecordState.OPEN


def episodes(observations: Sequence[Observation], category: Category) -> list[Episode]:
    """Split observations, in order of time, into episodes.

    Transient and infrastructure causes recover after three good runs; others after the first good run of changed code
    (its commit differs from the last failure's), or the second good run of unchanged code.
    """
    found: list[Episode] = []
    last_good: Sighting | None = None
    last_good_run = ""
    for seen in observations:
        current = found[-1] if found else None
        if seen.failure is not None:
            if current is None or current.recovered:
                current = Episode(last_good=last_good)
                found.append(current)
            current.failures.append(seen)
            current.good_runs, current.code_changed, last_good_run = 0, False, ""
            continue
        last_good = seen.sighting
        if current is None or seen.sighting.run_id == last_good_run:
            continue
        last_good_run = seen.sighting.run_id
        current.good_runs += 1
        bad_sha = current.failures[-1].sighting.git_sha
        if bad_sha and seen.sighting.git_sha and bad_sha != seen.sighting.git_sha:
            current.code_changed = True
        if current.recovered is None and current.good_runs >= _needed(category, current.code_changed):
            current.recovered = seen.sighting
    return found


def _needed(category: Category, code_changed: bool) -> int:
    if category in (Category.TRANSIENT, Category.INFRASTRUCTURE):
        return GOOD_RUNS_TRANSIENT
    return GOOD_RUNS_CHANGED_CODE if code_changed else GOOD_RUNS_UNCHANGED_CODE


def flaky_evidence(observations: Sequence[Observation]) -> str | None:
    """A sentence where a node was bad, good and bad again on code that did not change; None where it was not.

    One failure that was good again later is no evidence: the data may have been repaired.
    """
    healed: tuple[Sighting, Sighting] | None = None
    broke = 0
    first: tuple[Sighting, Sighting, Sighting] | None = None
    for before, after in pairwise(observations):
        unchanged = before.sighting.git_sha is not None and before.sighting.git_sha == after.sighting.git_sha
        if not unchanged:
            # With a change in between, the code may be the reason for the turn.
            healed = None if before.failure or after.failure else healed
            continue
        if before.failure and not after.failure:
            healed = (before.sighting, after.sighting)
        elif after.failure and not before.failure and healed:
            broke += 1
            first = first or (*healed, after.sighting)
    if first is None:
        return None
    bad, good, again = first
    turns = "once" if broke == 1 else f"{broke} times"
    return (
        f"failed in run {bad.run_id}, was good in run {good.run_id} and failed again in run {again.run_id} with no "
        f"change of code at either turn (commit {(again.git_sha or '')[:12]}; this happened {turns})"
    )
