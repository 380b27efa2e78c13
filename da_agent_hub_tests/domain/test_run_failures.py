from __future__ import annotations

from dataclasses import replace

import pytest

from da_agent_hub.domain.dbt import DbtRun, DbtStep, NodeResult
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.record_building import Policy, build_records
from da_agent_hub.domain.run_failures import failures_of
from da_agent_hub.domain.taxonomy import builtin

from .dbt_story import SHOP, run

CUT = "run_results.json is cut at byte 4096"
LOG = "12:00:00  Encountered an error:\nCompilation Error\n  Model 'model.shop.a' depends on a node named 'b' which was not found"


def step(index: int, *results: NodeResult, status: str = "success", **changed: object) -> DbtStep:
    return replace(DbtStep(index, "dbt build", status, results=results), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["success", "error"])
def test_a_broken_artifact_is_a_failure_of_its_own_beside_what_the_other_steps_say(status: str) -> None:
    bad = NodeResult("model.shop.orders", "error", "Database Error")
    told = replace(run(0), steps=(step(1, bad, status="error"), step(2, status=status, broken=(CUT,))))
    first, second = failures_of(told, SHOP)
    assert (first.kind, first.unique_id) == (FailureKind.MODEL, "model.shop.orders")
    assert (second.kind, second.step, second.unique_id) == (FailureKind.UNREADABLE, 2, None)
    assert second.message == f"Run {told.run_id}, step 2 (dbt build):\n{CUT}"
    assert {one.error_class for one in build_records([told], SHOP)} == {"unknown_error", "unreadable_run"}


def test_a_broken_artifact_hides_nothing_that_the_log_tells() -> None:
    told = replace(run(0), steps=(step(1, status="error", broken=(CUT,), log=LOG),))
    assert [one.kind for one in failures_of(told, SHOP)] == [FailureKind.COMPILE, FailureKind.UNREADABLE]


@pytest.mark.parametrize("status", ["success", "error"])
def test_an_artifact_that_is_broken_each_night_is_one_record_until_a_step_is_read_again(status: str) -> None:
    nights = [replace(run(day), steps=(step(1, status=status, broken=(f"{CUT}{day}",)),)) for day in (0, 1)]
    (record,) = build_records(nights, SHOP)
    assert (record.occurrences, record.state.value) == (2, "open")
    (record,) = build_records(
        [*nights, replace(run(2), steps=(step(1, NodeResult("model.shop.orders", "success")),))], SHOP
    )
    assert record.state.value != "open"


def test_a_status_that_is_not_known_is_one_record_over_all_nodes_that_have_it() -> None:
    odd = [NodeResult(f"model.shop.{name}", "cached", "From before") for name in ("orders", "revenue")]
    told = replace(run(0), steps=(step(1, *odd, NodeResult("model.shop.stg_items", "success")),))
    found = failures_of(told, SHOP)
    assert [(one.kind, one.severity) for one in found] == [(FailureKind.UNKNOWN_STATUS, "warn")] * 2
    assert "'cached'" in found[0].message
    assert "From before" in found[0].message
    (record,) = build_records([told], SHOP)
    assert record.error_class == "unknown_status"
    assert record.members == ("model.shop.orders", "model.shop.revenue")


MISSING = """\
12:00:00  1 of 2 ERROR STALE freshness of raw.customers
12:00:01  Failure in source customers (models/schema.yml)
  Status: error
12:00:01  Runtime Error in source orders (models/schema.yml)
  Catalog Error: Table with name orders does not exist!
12:00:01  Done.
"""


def test_a_source_that_has_no_result_because_its_table_is_missing_fails_beside_one_that_is_late() -> None:
    late = NodeResult("source.shop.raw.customers", "error", "Loaded last at 2026-11-01")
    told = replace(run(0), steps=(step(1, late, status="error", log=MISSING),))
    found = {one.unique_id: one for one in failures_of(told, SHOP)}
    assert set(found) == {"source.shop.raw.customers", "source.shop.raw.orders"}
    assert found["source.shop.raw.orders"].kind is FailureKind.SOURCE_FRESHNESS
    assert "does not exist" in found["source.shop.raw.orders"].message


OWN = builtin().extended(
    {
        "classes": {
            "gateway_closed": {"category": "infrastructure_issue", "kind": "connection"},
            "night_watch": {"category": "infrastructure_issue", "kind": "timed_out"},
        },
        "entries": [
            {"class": "gateway_closed", "sentence": "the gateway is shut", "example": "the gateway is shut"},
            {"class": "night_watch", "sentence": "ended by the night watch", "example": "ended by the night watch"},
        ],
    },
    "own.yaml",
)


def test_a_users_entry_decides_what_failed_where_a_message_alone_tells() -> None:
    shut = "12:00:00  Encountered an error:\nRuntime Error\n  the gateway is shut since noon\n"
    told = replace(run(0), status="error", steps=(step(1, status="error", log=shut),))
    assert failures_of(told, SHOP)[0].kind is FailureKind.COMPILE
    assert failures_of(told, SHOP, taxonomy=OWN)[0].kind is FailureKind.CONNECTION
    (record,) = build_records([told], SHOP, Policy(taxonomy=OWN))
    assert (record.latest.kind, record.error_class) == (FailureKind.CONNECTION, "gateway_closed")
    tail = replace(told, steps=(step(1, status="error", log="12:00:00  the gateway is shut\n"),))
    assert failures_of(tail, SHOP)[0].kind is FailureKind.OTHER
    assert failures_of(tail, SHOP, taxonomy=OWN)[0].kind is FailureKind.CONNECTION


def test_a_users_entry_tells_of_a_run_that_was_ended_for_its_length_each_night_as_one_record() -> None:
    nights = [
        replace(
            run(day),
            status="cancelled",
            status_message=f"Ended by the night watch, shift {day}.",
            steps=(step(1, status="cancelled", log=f"12:00:01  1 of 3 START sql table model main.m{day} .. [RUN]\n"),),
        )
        for day in (0, 1)
    ]
    assert failures_of(nights[0], SHOP)[0].kind is FailureKind.CANCELLED
    (record,) = build_records(nights, SHOP, Policy(taxonomy=OWN))
    assert (record.latest.kind, record.error_class, record.occurrences) == (FailureKind.TIMED_OUT, "night_watch", 2)


@pytest.mark.parametrize(
    ("command", "said", "kind"),
    [
        ("Invoke dbt with `dbt seed`", "Numeric value 'x' is not recognized", FailureKind.SEED),
        ("dbt --no-use-colors snapshot", "division by zero", FailureKind.SNAPSHOT),
        ("Invoke dbt with `dbt run --select a`", "division by zero", FailureKind.MODEL),
        ("Invoke dbt with `dbt run`", "could not connect to server: Connection refused", FailureKind.CONNECTION),
        ("Invoke dbt with `dbt run-operation x`", "something odd", FailureKind.HOOK),
        ("Invoke dbt with `dbt deps`", "Env var required but not provided: 'X'", FailureKind.COMPILE),
        ("Invoke dbt with `dbt build`", "something odd", FailureKind.OTHER),
    ],
)
def test_a_log_in_no_form_of_dbts_whose_message_is_known_is_never_of_an_unknown_kind(
    command: str, said: str, kind: FailureKind
) -> None:
    told = replace(run(0), steps=(step(1, status="error", name=command, log=f"12:00:00  {said}\n"),))
    assert [one.kind for one in failures_of(told, SHOP)] == [kind]


def stopped(day: int, said: str, job: str = "7", name: str = "dbt build") -> DbtRun:
    log = f"12:00:00  Encountered an error:\nCompilation Error\n  {said}\n"
    return replace(run(day, job=job), status="error", steps=(step(1, status="error", log=log, name=name),))


def test_compile_errors_that_name_no_file_are_told_apart_by_their_words_and_are_one_over_all_jobs() -> None:
    first, second = "The snapshot strategy is odd", "The incremental predicate is odd"
    same = build_records([stopped(0, first), stopped(1, first, job="8", name="dbt run")], SHOP)
    assert [one.occurrences for one in same] == [2]
    other = build_records([stopped(0, first), stopped(1, second)], SHOP)
    assert [one.occurrences for one in other] == [1, 1]
    assert build_records([stopped(2, first, job="9")], SHOP)[0].fingerprint == same[0].fingerprint


def test_a_compile_error_over_two_jobs_is_open_while_either_still_meets_it() -> None:
    said = "The snapshot strategy is odd"
    good = run(2, {"model.shop.orders": "success"}, sha="b" * 40)
    records = build_records([stopped(0, said), good, stopped(3, said, job="8")], SHOP)
    assert [one.state.value for one in records] == ["open"]


def test_an_operation_recovers_when_its_job_goes_well_under_another_step_and_not_while_the_job_fails() -> None:
    log = "12:00:02  Encountered an error while running operation: Runtime Error\n  something odd\n"
    name = "Invoke dbt with `dbt run-operation grant`"
    broken = replace(run(0), status="error", steps=(step(1, status="error", log=log, name=name),))
    later = [run(day, {"model.shop.orders": "success"}, sha="b" * 40) for day in (1, 2, 3)]
    (record,) = build_records([broken, *later], SHOP)
    assert (record.latest.kind, record.state.value, record.good_runs) == (FailureKind.HOOK, "recovered", 3)
    still = [replace(one, status="error") for one in later]
    assert {one.latest.kind: one.state.value for one in build_records([broken, *still], SHOP)}[
        FailureKind.HOOK
    ] == "open"
