"""Issues of failures that have no node: what broke, the run to look at, and what to do next, each in plain words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.expected_runs import DbtJob, JobsSeen
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.issue_text import IssueText, failed_since
from da_agent_hub.domain.record_building import build_records

from .failure_stories import GRAPH, STORIES, of, step

TEXT = IssueText(GRAPH)
NO_VARIABLE = """\
13:54:21  Encountered an error:
Compilation Error
  Env var required but not provided: 'DBT_REGION'
"""
PAGE = "https://cloud.getdbt.com/deploy/1/projects/2/jobs/7"
NIGHTLY = DbtJob("7", "nightly", "Production", "0 2 * * *", url=PAGE)


def record_of(told: DbtRun) -> ErrorRecord:
    """The one record of a run that is of no node."""
    (record,) = (one for one in build_records([told], GRAPH) if one.node is None)
    return record


def missed(*later: JobsSeen) -> ErrorRecord:
    looks = [at(day) for day in (20, 21, 22)]
    (record,) = build_records([], GRAPH, looks=[*looks, *later])
    return record


def at(day: int, *, jobs: tuple[DbtJob, ...] = (NIGHTLY,)) -> JobsSeen:
    moment = datetime(2026, 11, day, 6, 30, tzinfo=timezone.utc)
    return JobsSeen("shop", moment, moment - timedelta(days=2), 3.0, jobs)


NODELESS = {
    FailureKind.COMPILE: (of(step(log=NO_VARIABLE)), "could not read the project", "environment variables"),
    FailureKind.HOOK: (
        STORIES["a hook that ended the command, as dbt told before 1.9"][0],
        "a hook or an operation failed",
        "what changed between the last good and the first bad run",
    ),
    FailureKind.CONNECTION: (
        STORIES["a warehouse that could not be reached at all"][0],
        "could not reach the warehouse",
        "closes by itself after three good runs",
    ),
    FailureKind.CANCELLED: (
        STORIES["a run that a person cancelled while it worked"][0],
        "the run was cancelled",
        "Find out who or what cancelled it",
    ),
    FailureKind.TIMED_OUT: (
        STORIES["a run that was ended because it took too long"][0],
        "took too long and was ended",
        "give the job more time",
    ),
    FailureKind.NOT_STARTED: (
        STORIES["a run that never started"][0],
        "before dbt built anything",
        "start the job again",
    ),
    FailureKind.UNREADABLE: (STORIES["a file of results that is cut"][0], "cannot be read", "Read the run's log"),
    FailureKind.OTHER: (STORIES["a step of which nothing is known"][0], "a step of the run failed", "read its log"),
    FailureKind.UNKNOWN_STATUS: (
        STORIES["a status that dbt added later"][0],
        "may be good or bad",
        "whether this status is a good or a bad one",
    ),
}


@pytest.mark.parametrize("kind", NODELESS, ids=lambda kind: kind.value)
def test_a_failure_without_a_node_says_what_it_means_in_which_run_and_what_to_do(kind: FailureKind) -> None:
    told, meaning, what_to_do = NODELESS[kind]
    record = record_of(told)
    assert record.latest.kind is kind
    body = TEXT.body(record, told.finished_at)
    opening, _, rest = body.partition("\n\n")
    assert TEXT.title(record).replace("_", " ").startswith(record.title.replace("_", " "))
    assert meaning in opening
    assert f"job `{told.job_name}`" in opening
    assert f"| Last seen | [run {told.run_id}]({told.url})" in rest
    _, _, advice = rest.partition("### What to do next")
    assert what_to_do in advice.partition("### Talk to the hub")[0]


def test_a_run_as_a_whole_has_no_step_and_a_step_is_told_by_its_name() -> None:
    cancelled = record_of(NODELESS[FailureKind.CANCELLED][0])
    assert ", step" not in TEXT.body(cancelled, cancelled.last_seen).partition("### What happened")[0]
    hook = record_of(STORIES["an operation that dbt wrote no file of"][0])
    body = TEXT.body(hook, hook.last_seen)
    assert "step 4 (`` Invoke dbt with `dbt run-operation grant_all` ``)" in body


def test_only_what_dbt_said_is_given_as_such_and_what_is_not_built_is_no_small_thing() -> None:
    lost = record_of(NODELESS[FailureKind.CONNECTION][0])
    body = TEXT.body(lost, lost.last_seen)
    assert "### What dbt said" in body
    assert "| Impact | all that the job builds |" in body
    assert "Skipped by it" not in body
    never = record_of(NODELESS[FailureKind.NOT_STARTED][0])
    assert "### What dbt said" not in TEXT.body(never, never.last_seen)


def test_an_outage_counts_the_nodes_that_it_fails() -> None:
    lost = record_of(STORIES["a connection that was lost under two nodes"][0])
    assert "The same cause fails 2 nodes: `stg_items`, `stg_orders`." in TEXT.body(lost, lost.last_seen)


def test_a_run_that_did_not_happen_names_its_job_its_schedule_and_how_it_ends() -> None:
    record = missed()
    body = TEXT.body(record, record.last_seen)
    assert TEXT.title(record) == "nightly: missed run"
    assert "a run that was due did not come" in body
    assert f"[run due 2026-11-22 02:00 UTC]({PAGE}), 2026-11-22 05:00 UTC; missing 2 times in all" in body
    assert "at 02:00 every day, UTC" in body
    assert "the issue closes with its next run" in body
    assert failed_since(record).startswith(
        "was noticed 2 times since 2026-11-21 05:00 UTC, last in [run due 2026-11-22"
    )
    assert TEXT.recurred(record).startswith("The job is silent again since [run due 2026-11-21 02:00 UTC]")


def test_a_silence_that_ends_with_its_schedule_names_no_run() -> None:
    record = missed(at(23, jobs=(replace(NIGHTLY, active=False),)))
    said = TEXT.recovered(record, "The job is not expected to run any more.")
    assert said.startswith(
        "Over since 2026-11-23 06:30 UTC. The job is not expected to run any more. A run was missing 2"
    )
    assert "run no longer" not in said
