"""Checks that nothing was lost on the way from dbt's runs to the error records; they read only the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from ..config.settings import ProjectSettings
from ..domain.dbt import DbtRun, DbtStep, Outcome, ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.failure import Failure
from ..domain.markdown import code
from ..domain.record_building import Policy
from ..domain.selection import Subject, subject_of
from ..domain.window import Window
from . import metadata
from .hub import Hub

ALL_READ = "every_dbt_run_is_read"
ALL_RECORDED = "every_failing_node_is_recorded"
_FAILING = (Outcome.BAD, Outcome.UNKNOWN, Outcome.WARNED)


def all_read(hub: Hub, project: ProjectSettings, days: Sequence[str], unread: Sequence[str]) -> dg.AssetCheckResult:
    """Whether every run of the days was read whole; ``unread`` are sentences of this reading."""
    kept = [f"Run {run.run_id}: {sentence}" for run in _runs(hub, project, days) for sentence in run.unread]
    missing = [hub.redact(sentence) for sentence in dict.fromkeys([*unread, *kept])]
    return dg.AssetCheckResult(
        passed=not missing,
        check_name=ALL_READ,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"days": ", ".join(days), "runs_not_whole": len(missing), "unread": metadata.sentences(missing)},
    )


def all_recorded(
    hub: Hub, project: ProjectSettings, days: Sequence[str], records: Sequence[ErrorRecord]
) -> dg.AssetCheckResult:
    """Whether all that failed in the days stands in a record, or is left out by a filter that is named.

    A node by its name, a step or run without such a node by the fingerprint of what it said.
    """
    from ..stages.record import policy_of

    search = _Search(policy_of(project), hub.store.latest_graph(project.name), records)
    for run in _runs(hub, project, days):
        search.through(run)
    left_out = [[code(by), str(count), code(search.example[by])] for by, count in search.left_out.most_common()]
    missing = [[code(what), metadata.link(f"run {run.run_id}", run.url)] for what, run in search.missing]
    filters = [f"{count} by {by}" for by, count in search.left_out.most_common()]
    words = [f"{search.failures} failures", f"{len(missing)} in no record", f"left out: {', '.join(filters) or 'none'}"]
    return dg.AssetCheckResult(
        passed=not missing,
        check_name=ALL_RECORDED,
        severity=dg.AssetCheckSeverity.ERROR,
        # The interface shows the tables of a check only on a click.
        description="; ".join(words),
        metadata={
            "days": ", ".join(days),
            "failures": search.failures,
            "left_out_by_filters": sum(search.left_out.values()),
            "missing_failures": len(missing),
            "filters": metadata.table(("filter", "failures left out", "such as"), left_out, "no filter left any out"),
            "missing": metadata.table(("node or step", "dbt run"), missing),
        },
    )


@dataclass
class _Search:
    """Looks for each failure of some runs in the records: ``missing`` is what is in none, ``left_out`` why it need not."""

    policy: Policy
    graph: ProjectGraph | None
    records: Sequence[ErrorRecord]
    failures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    missing: list[tuple[str, DbtRun]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nodes = {
            node for one in self.records for node in (one.node, one.latest.unique_id, *one.members) if node is not None
        }
        self._fingerprints = {record.fingerprint for record in self.records}
        self._subjects: dict[str, Subject] = {}

    def through(self, run: DbtRun) -> None:
        by_environment = self.policy.selection.environment_left_out_by(run.environment)
        for _, result in run.results():
            if result.outcome not in _FAILING:
                continue
            subject = self._subject(result.unique_id)
            by = by_environment or self.policy.selection.result_left_out_by(result, subject)
            self._note(run, result.unique_id, by, found=result.unique_id in self._nodes)
        if run.status == "success":
            return
        told = self._told(run)
        for failure in told:
            if failure.unique_id is None:
                what = f"step {failure.step}" if failure.step else f"run {failure.run_id}"
                self._note(run, what, by_environment, found=self._fingerprint(failure) in self._fingerprints)
        # Whatever the reading of failures may overlook: a step or a run that failed has at least one.
        silent = [one for one in run.steps if _failed_without_node(one) and not _told_of(one.index, told)]
        for step in silent:
            self._note(run, f"step {step.index} ({step.name})", by_environment, found=False)
        if not told and not silent:
            self._note(run, f"run {run.run_id}", by_environment, found=False)

    def _told(self, run: DbtRun) -> Sequence[Failure]:
        from ..domain.run_failures import failures_of

        return failures_of(run, self.graph, warnings=self.policy.selection.warnings, taxonomy=self.policy.taxonomy)

    def _fingerprint(self, failure: Failure) -> str:
        from ..domain.classification import classify
        from ..domain.fingerprint import fingerprint

        return fingerprint(failure, classify(failure, None, self.policy.taxonomy), None, self.graph)

    def _subject(self, unique_id: str) -> Subject:
        if unique_id not in self._subjects:
            self._subjects[unique_id] = subject_of(unique_id, self.graph, assigned=self.policy.owners)
        return self._subjects[unique_id]

    def _note(self, run: DbtRun, what: str, left_out_by: str | None, *, found: bool) -> None:
        self.failures += 1
        if left_out_by is not None:
            self.left_out[left_out_by] += 1
            self.example.setdefault(left_out_by, what)
        elif not found:
            self.missing.append((what, run))


def _failed_without_node(step: DbtStep) -> bool:
    return step.status == "error" and not any(one.outcome in (Outcome.BAD, Outcome.UNKNOWN) for one in step.results)


def _told_of(step: int, told: Sequence[Failure]) -> bool:
    return any(one.step in (step, 0) for one in told)


def _runs(hub: Hub, project: ProjectSettings, days: Sequence[str]) -> Iterator[DbtRun]:
    for day in days:
        window = Window.of(day)
        yield from hub.store.runs(project.name, window.start, window.end)
