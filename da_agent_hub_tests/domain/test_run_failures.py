from __future__ import annotations

from dataclasses import replace

import pytest

from da_agent_hub.domain.dbt import DbtStep, NodeResult
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.record_building import build_records
from da_agent_hub.domain.run_failures import failures_of

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
