from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from da_agent_hub.domain.dbt import DbtRun, NodeResult, Outcome
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.record_building import Policy, build_records
from da_agent_hub.domain.run_failures import failures_of
from da_agent_hub.domain.selection import Selection

from .failure_stories import GRAPH, STORIES, of, step

WITH_WARNINGS = Policy(Selection(warnings=True))
STORY = pytest.mark.parametrize("story", STORIES, ids=lambda name: name.replace(" ", "_"))


def records_of(runs: Sequence[DbtRun]) -> tuple[ErrorRecord, ...]:
    return build_records(runs, GRAPH, WITH_WARNINGS)


@STORY
def test_each_kind_is_one_record_with_its_node_file_line_and_message(story: str) -> None:
    told, expected = STORIES[story]
    found = {record.latest.kind: record for record in records_of([told])}
    assert set(found) == {one.kind for one in expected}
    for one in expected:
        record, failure = found[one.kind], found[one.kind].latest
        assert (record.error_class, record.node, failure.path, failure.line) == (
            one.error_class,
            one.node,
            one.path,
            one.line,
        )
        assert one.says in failure.message
        assert (record.members, record.skipped) == (one.members, one.skipped)
        assert record.title
        assert record.rule
        assert (failure.job_id, failure.run_id, failure.run_url) == (told.job_id, told.run_id, told.url)


@STORY
def test_every_failure_of_a_run_is_in_exactly_one_record(story: str) -> None:
    told, expected = STORIES[story]
    failures = failures_of(told, GRAPH, warnings=True)
    records = records_of([told])
    assert len(records) == len(expected)
    held = Counter(node for one in records for node in {one.node, one.latest.unique_id, *one.members} if node)
    assert held == Counter({one.unique_id for one in failures if one.unique_id})
    bad = {one.unique_id for _, one in told.results() if one.outcome in (Outcome.BAD, Outcome.WARNED, Outcome.UNKNOWN)}
    assert bad <= set(held)
    assert not bad & {node for one in records for node in one.skipped}


@STORY
def test_it_is_the_same_record_the_next_night_and_recovers_with_good_runs(story: str) -> None:
    told, _ = STORIES[story]
    once = {one.fingerprint for one in records_of([told])}
    nights = [
        replace(told, run_id=str(2000 + night), finished_at=told.finished_at + timedelta(days=night))
        for night in (0, 1)
    ]
    again = records_of(nights)
    assert {one.fingerprint for one in again} == once
    assert {one.occurrences for one in again} == {2}
    every = [*(NodeResult(one, "success") for one in GRAPH.nodes), NodeResult("macro.shop.grant_all", "success")]
    healed = [
        replace(
            told,
            run_id=str(3000 + night),
            finished_at=told.finished_at + timedelta(days=night),
            status="success",
            status_message="",
            git_sha="f" * 40,
            steps=tuple(step(*every, index=one.index, name=one.name, status="success") for one in told.steps)
            or (step(*every, status="success"),),
        )
        for night in (2, 3, 4)
    ]
    assert {one.state.value for one in records_of([*nights, *healed])} == {"recovered"}


def test_the_stories_tell_of_every_kind_but_silence() -> None:
    told = {one.kind for _, expected in STORIES.values() for one in expected}
    assert told == set(FailureKind) - {FailureKind.MISSED_RUN}


def test_all_stories_of_one_night_are_told_apart() -> None:
    """In jobs of their own, nothing of one run hides or doubles what another run says."""
    begun = datetime(2026, 11, 1, 2, 0, tzinfo=timezone.utc)
    nodes = ("a model whose", "a seed that", "a snapshot", "a run that never", "a ref to", "a run that was ended")
    chosen = {name: told for name, told in STORIES.items() if name.startswith(nodes)}
    runs = [
        replace(told, run_id=str(number), job_id=str(number), finished_at=begun + timedelta(minutes=number))
        for number, (told, _) in enumerate(chosen.values())
    ]
    assert len(records_of(runs)) == sum(len(expected) for _, expected in chosen.values())


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Job execution timeout exceeded", FailureKind.TIMED_OUT),
        ("The run was cancelled because it exceeded its maximum execution time", FailureKind.TIMED_OUT),
        ("This run timed out after 12 hours", FailureKind.TIMED_OUT),
        ("Cloning the repository: connection to github.com timed out", FailureKind.NOT_STARTED),
        ("Your account exceeded its limit of concurrent runs", FailureKind.NOT_STARTED),
    ],
)
def test_only_a_run_that_itself_took_too_long_counts_as_timed_out(said: str, kind: FailureKind) -> None:
    (failure,) = failures_of(of(message=said), GRAPH)
    assert (failure.kind, said in failure.message) == (kind, True)
