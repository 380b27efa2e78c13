"""Whether a cause still fails: episodes of one fingerprint over the runs that really ran its node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

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

    ``root`` is another cause's fingerprint where the failure followed from that one. ``good`` False beside no failure
    means that the cause is gone all the same, as a job that was silent and then ran and failed is silent no more.
    """

    position: Position
    sighting: Sighting
    failure: Failure | None = None
    root: str | None = None
    good: bool = True


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


def episodes(observations: Sequence[Observation], category: Category, good_runs: int | None = None) -> list[Episode]:
    """Split observations, in order of time, into episodes.

    Transient and infrastructure causes recover after three good runs; others after the first good run of changed code
    (its commit differs from the last failure's), or the second good run of unchanged code. ``good_runs`` says another
    number that is enough.
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
        if not seen.good:
            if current is not None and current.recovered is None:
                current.recovered = seen.sighting
            continue
        last_good = seen.sighting
        if current is None or seen.sighting.run_id == last_good_run:
            continue
        last_good_run = seen.sighting.run_id
        current.good_runs += 1
        bad_sha = current.failures[-1].sighting.git_sha
        if bad_sha and seen.sighting.git_sha and bad_sha != seen.sighting.git_sha:
            current.code_changed = True
        if current.recovered is None and current.good_runs >= (good_runs or _needed(category, current.code_changed)):
            current.recovered = seen.sighting
    return found


def _needed(category: Category, code_changed: bool) -> int:
    if category in (Category.TRANSIENT, Category.INFRASTRUCTURE):
        return GOOD_RUNS_TRANSIENT
    return GOOD_RUNS_CHANGED_CODE if code_changed else GOOD_RUNS_UNCHANGED_CODE


@dataclass
class _Spell:
    """Failures in a row, with the good observations beside them."""

    before: Observation | None
    failures: list[Observation]
    after: Observation | None = None

    @property
    def in_one_run(self) -> bool:
        return len({one.sighting.run_id for one in self.failures}) == 1

    def no_code_turned_it(self, unchanged: Callable[[Observation, Observation], bool]) -> bool:
        """Whether it neither came nor went with a change of code."""
        came = self.before is None or unchanged(self.before, self.failures[0])
        return came and (self.after is None or unchanged(self.failures[-1], self.after))


def same_commit(before: Observation, after: Observation) -> bool:
    """Whether two observations are known to be of one commit."""
    return before.sighting.git_sha is not None and before.sighting.git_sha == after.sighting.git_sha


def flaky_evidence(
    observations: Sequence[Observation], unchanged: Callable[[Observation, Observation], bool] = same_commit
) -> str | None:
    """A sentence where a node failed more than once, each time in a single run, with no change of code at any turn.

    One failure that was good again later is no evidence: the data may have been repaired. Nor are failures that lasted:
    chance does not stay, and what a load broke does until somebody mends it.
    """
    spells = _spells(observations)
    single = [spell for spell in spells if spell.in_one_run and spell.no_code_turned_it(unchanged)]
    lasting = sum(not spell.in_one_run for spell in spells)
    if len(single) < 2 or len(single) <= lasting or single[0].after is None:
        return None
    bad, good, again = single[0].failures[0].sighting, single[0].after.sighting, single[1].failures[0].sighting
    return (
        f"failed in run {bad.run_id}, was good in run {good.run_id} and failed again in run {again.run_id}, with no "
        f"change to its code or to what it reads at any of these turns ({len(single)} failures of a single run)"
    )


def _spells(observations: Sequence[Observation]) -> list[_Spell]:
    found: list[_Spell] = []
    before: Observation | None = None
    for seen in observations:
        if seen.failure is not None and (not found or found[-1].after):
            found.append(_Spell(before, [seen]))
        elif seen.failure is not None:
            found[-1].failures.append(seen)
        else:
            before = seen
            if found and found[-1].after is None:
                found[-1].after = seen
    return found
