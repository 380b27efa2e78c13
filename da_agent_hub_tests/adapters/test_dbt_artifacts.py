from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from da_agent_hub.adapters.dbt_artifacts import (
    UnreadableArtifactError,
    aware,
    read_manifest,
    read_run_results,
    read_sources,
)
from da_agent_hub.domain.dbt import Outcome


def written(**content: Any) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize("field", ["compiled_code", "compiled_sql"])
def test_compiled_sql_is_kept_of_what_went_wrong_under_either_name(field: str) -> None:
    results = [{"unique_id": f"model.shop.{said}", "status": said, field: "select 1"} for said in ("error", "success")]
    found = read_run_results(written(results=results)).results
    assert [one.compiled_sql for one in found] == ["select 1", None]
    assert found[0].code == found[1].code


def test_a_digest_tells_whether_the_compiled_code_of_a_good_node_changed() -> None:
    told = ["select 1", "select 2", None]
    results = [
        {"unique_id": f"model.shop.m{n}", "status": "success", "compiled_code": one} for n, one in enumerate(told)
    ]
    first, second, unknown = (one.code for one in read_run_results(written(results=results)).results)
    assert first
    assert second
    assert first != second
    assert unknown is None


def test_what_a_run_writes_of_itself_into_its_sql_is_no_change_of_code() -> None:
    told = [
        "select * from x where (id + 80735829) % 20 = 0 and at < '2026-11-11 02:01:15.480048+00:00' and price > 900",
        "select * from x where (id + 80735945) % 20 = 0 and at < '2026-11-12 02:00:55.255618+00:00' and price > 900",
        "select * from x where (id + 80735945) % 20 = 0 and at < '2026-11-12 02:00:55.255618+00:00' and price > 950",
    ]
    results = [{"unique_id": f"test.shop.t{n}", "status": "pass", "compiled_code": one} for n, one in enumerate(told)]
    first, second, changed = (one.code for one in read_run_results(written(results=results)).results)
    assert first == second
    assert second != changed


def test_layout_and_lines_of_comment_are_no_change_of_code() -> None:
    told = ["select a, b\nfrom x", "-- both\nselect\n    a, b\nfrom x\n", "select a\nfrom x"]
    results = [{"unique_id": f"model.shop.m{n}", "status": "success", "compiled_code": s} for n, s in enumerate(told)]
    first, second, changed = (one.code for one in read_run_results(written(results=results)).results)
    assert first == second
    assert second != changed


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", Outcome.GOOD),
        ("Pass", Outcome.GOOD),
        ("Error", Outcome.BAD),
        ("fail", Outcome.BAD),
        ("runtime error", Outcome.BAD),
        ("partial success", Outcome.BAD),
        ("warn", Outcome.WARNED),
        ("reused", Outcome.SKIPPED),
        ("no-op", Outcome.SKIPPED),
        ("a word of next year", Outcome.UNKNOWN),
    ],
)
def test_statuses_of_every_dbt_are_understood(status: str, outcome: Outcome) -> None:
    found = read_run_results(written(results=[{"unique_id": "model.shop.a", "status": status}]))
    assert found.results[0].outcome is outcome


def test_a_field_of_a_strange_type_costs_only_itself_and_an_entry_without_a_name_is_counted() -> None:
    results = [
        {"unique_id": "model.shop.a", "status": "error", "message": {"text": "odd"}, "failures": "many"},
        {"status": "error"},
        17,
    ]
    found = read_run_results(written(results=results, metadata={"env": []}, args=None))
    assert [(one.unique_id, one.message, one.failures) for one in found.results] == [("model.shop.a", "", None)]
    assert found.dropped == 2


def test_freshness_says_when_data_was_loaded_last_and_a_missing_table_what_the_warehouse_said() -> None:
    stale = {
        "unique_id": "source.shop.raw.orders",
        "status": "error",
        "max_loaded_at": "2026-11-01T00:00:00+00:00",
        "max_loaded_at_time_ago_in_s": 180000.0,
        "criteria": {"error_after": {"count": 1, "period": "day"}},
    }
    broken = {"unique_id": "source.shop.raw.items", "status": "runtime error", "error": "no such table"}
    found = read_sources(written(results=[stale, broken])).results
    assert "50.0 hours before the check; fails after 1 day(s)" in found[0].message
    assert (found[1].message, found[1].outcome) == ("no such table", Outcome.BAD)


def test_an_old_manifest_without_attached_nodes_still_tells_what_a_test_is_on() -> None:
    def test(name: str, expression: str, *parents: str) -> dict[str, Any]:
        return {
            "name": name,
            "resource_type": "test",
            "depends_on": {"nodes": parents},
            "test_metadata": {"name": name, "kwargs": {"model": expression, "column_name": "id"}},
        }

    graph = read_manifest(
        written(
            metadata={"adapter_type": "postgres"},
            nodes={
                "model.shop.a": {"name": "a", "resource_type": "model", "package_name": "shop", "raw_sql": "select 1"},
                "model.shop.b": {"name": "b", "resource_type": "model", "package_name": "shop"},
                "test.shop.r.1": test(
                    "relationships", "{{ get_where_subquery(ref('b')) }}", "model.shop.a", "model.shop.b"
                ),
                "test.shop.s.1": test("unique", "{{ source('raw', 't') }}", "source.shop.raw.t", "model.shop.a"),
            },
            sources={"source.shop.raw.t": {"name": "t", "source_name": "raw", "resource_type": "source"}},
        ),
        "shop",
    )
    specs = {one.unique_id: one.test for one in graph.nodes.values() if one.test}
    assert {unique_id: spec.attached_node for unique_id, spec in specs.items()} == {
        "test.shop.r.1": "model.shop.b",
        "test.shop.s.1": "source.shop.raw.t",
    }
    assert (graph.package, graph.nodes["model.shop.a"].raw_sql) == ("shop", "select 1")
    assert graph.nodes["source.shop.raw.t"].name == "raw.t"


@pytest.mark.parametrize("written_as", ["2026-11-01T02:03:04Z", "2026-11-01 02:03:04+00:00", "2026-11-01T02:03:04"])
def test_times_are_aware_utc_however_they_are_written(written_as: str) -> None:
    found = aware(written_as)
    assert found
    assert found.isoformat() == "2026-11-01T02:03:04+00:00"


def test_a_time_that_is_none_is_none() -> None:
    assert aware("soon") is None
    assert aware(None) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "results",
                    "nodes",
                    "sources",
                    "groups",
                    "unique_id",
                    "status",
                    "depends_on",
                    "config",
                    "tags",
                    "owner",
                    "meta",
                    "test_metadata",
                    "kwargs",
                    "columns",
                    "error",
                    "criteria",
                    "model.a.b",
                    "test.a.b",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(_JSON | st.dictionaries(st.sampled_from(["nodes", "results", "metadata"]), _JSON), st.integers(0, 400))
def test_whatever_json_comes_it_is_read_or_refused_in_a_sentence(content: Any, cut: int) -> None:
    whole = json.dumps(content).encode()
    for payload in (whole, whole[:cut]):
        for read in (read_run_results, read_sources, lambda body: read_manifest(body, "shop")):
            with contextlib.suppress(UnreadableArtifactError):
                read(payload)
