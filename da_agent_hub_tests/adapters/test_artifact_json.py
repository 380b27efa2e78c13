from __future__ import annotations

import contextlib
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from da_agent_hub.adapters.dbt_artifacts import (
    UnreadableArtifactError,
    read_manifest,
    read_run_results,
    read_sources,
)
from da_agent_hub.domain.dbt import Outcome, ProjectGraph

SCHEMA = "https://schemas.getdbt.com/dbt/{}.json"


def results(*statuses: str, **changed: Any) -> dict[str, Any]:
    """A run_results.json as dbt 1.10 writes it."""
    return {
        "metadata": {
            "dbt_schema_version": SCHEMA.format("run-results/v6"),
            "dbt_version": "1.10.13",
            "generated_at": "2026-11-01T06:30:00.123456Z",
            "invocation_id": "5d2e4f0a-6b1c-4a57-9d93-0c8c3a8f4b11",
            "env": {"CUSTOM": "ü"},
        },
        "results": [
            {
                "status": status,
                "timing": [{"name": "execute", "started_at": "2026-11-01T06:12:00Z", "completed_at": None}],
                "thread_id": "Thread-1 (worker)",
                "execution_time": 1.25,
                "adapter_response": {"_message": "SUCCESS", "rows_affected": 3},
                "message": f"Größe von {number} ist falsch 🦆",
                "failures": number,
                "unique_id": f"test.shop.t{number}.{number:010x}",
                "compiled": True,
                "compiled_code": "select 'ü'",
                "relation_name": None,
                "batch_results": None,
            }
            for number, status in enumerate(statuses)
        ],
        "elapsed_time": 3.5,
        "args": {"which": "build", "target": "prod", "vars": {}},
        **changed,
    }


def manifest() -> dict[str, Any]:
    """A manifest.json as dbt 1.10 writes it."""
    return {
        "metadata": {"dbt_schema_version": SCHEMA.format("manifest/v12"), "project_name": "shop"},
        "nodes": {
            f"model.shop.m{number}": {
                "name": f"m{number}",
                "resource_type": "model",
                "package_name": "shop",
                "original_file_path": f"models/m{number}.sql",
                "config": {"enabled": True, "tags": ["a"], "meta": {"owner": "@ada"}},
                "tags": ["a"],
                "columns": {"id": {"name": "id", "description": "ü"}},
                "meta": {},
                "depends_on": {"macros": [], "nodes": [f"model.shop.m{number - 1}"] if number else []},
            }
            for number in range(5)
        },
        "sources": {"source.shop.raw.t": {"name": "t", "source_name": "raw", "resource_type": "source"}},
        "macros": {"macro.shop.a": {"name": "a", "depends_on": {"macros": []}}, "macro.dbt.b": {"name": "b"}},
        "exposures": {"exposure.shop.e": {"name": "e", "owner": {"name": "Ada"}, "depends_on": {"nodes": []}}},
        "groups": {"group.shop.g": {"name": "g", "owner": {"name": "Ada"}}},
        "unit_tests": {},
    }


def written(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def said_of(payload: bytes) -> str:
    with pytest.raises(UnreadableArtifactError) as refused:
        read_run_results(payload)
    return str(refused.value)


WHOLE = written(results("error", "pass", "fail"))
# Everything that a cut can go through: an escape, a quote within a string, a number, a word.
QUOTED = json.dumps(
    results("error", "fail") | {"odd": ['"a" \\ {', "\u2028🦆", -12.5e-30, True, False, None, float("-inf")]}
)


@pytest.mark.parametrize(
    "encoded",
    [
        WHOLE,
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.decode().encode("utf-16"),
        WHOLE.decode().encode("utf-16-le"),
        WHOLE.decode().encode("utf-16-be"),
        WHOLE.decode().encode("utf-32"),
        gzip.compress(WHOLE),
        gzip.compress(b"\xef\xbb\xbf" + WHOLE),
        b"\n\n  " + WHOLE + b"\n\0\0\0",
    ],
    ids=["utf-8", "bom", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gzip", "gzip-bom", "padded"],
)
def test_an_artifact_is_the_same_in_every_encoding_that_it_is_found_in(encoded: bytes) -> None:
    assert read_run_results(encoded) == read_run_results(WHOLE)
    assert "🦆" in read_run_results(encoded).results[0].message


def test_a_cut_file_says_at_which_byte_it_ends() -> None:
    assert said_of(WHOLE[:300]) == "run_results.json is cut at byte 300"
    assert said_of(WHOLE[:300] + bytes(4096)) == "run_results.json is cut at byte 300"
    packed = gzip.compress(WHOLE)
    assert said_of(packed[:-20]) == f"run_results.json is compressed, and cut at byte {len(packed) - 20}"


def test_wherever_a_file_is_cut_it_is_said() -> None:
    for cut in range(1, len(QUOTED)):
        assert said_of(QUOTED[:cut].encode()) == f"run_results.json is cut at byte {cut}"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "run_results.json is empty"),
        (b" \n\0\0", "run_results.json is empty"),
        (b"\n <!DOCTYPE html><html>Sign in</html>", "run_results.json is an HTML or XML page, not JSON"),
        (b"null", "run_results.json is null, where dbt writes an object"),
        (b"[1]", "run_results.json is a list, where dbt writes an object"),
        (b"no such file", "run_results.json is not JSON: at byte 0, expecting value"),
        (b'{"metadata": {} "results": []}', "run_results.json is not JSON: at byte 16, expecting ',' delimiter"),
        (b'{"data": null}', "run_results.json holds no list of results"),
        (b'{"results": null}', "run_results.json holds no list of results"),
        (b'{"results": 7}', "run_results.json holds no list of results"),
        (b'{"a":' * 100_000, "run_results.json is nested too deeply to be read"),
        (written(manifest()), "run_results.json holds another artifact: a manifest.json (v12)"),
    ],
)
def test_what_is_no_artifact_says_what_it_is_instead(payload: bytes, said: str) -> None:
    assert said_of(payload) == said


def test_a_catalog_or_the_results_of_a_run_are_no_manifest() -> None:
    catalog = manifest() | {"metadata": {"dbt_schema_version": SCHEMA.format("catalog/v1")}}
    for other, file in ((catalog, "catalog.json (v1)"), (results(), "run_results.json (v6)")):
        with pytest.raises(UnreadableArtifactError, match="holds another artifact") as refused:
            read_manifest(written(other), "shop")
        assert file in str(refused.value)
    with pytest.raises(UnreadableArtifactError, match="holds another artifact"):
        read_sources(WHOLE)


@pytest.mark.parametrize("rest", [b"tail of a longer file}", WHOLE, b"}"])
def test_what_stands_after_the_end_is_not_read_and_said(rest: bytes) -> None:
    found = read_run_results(WHOLE + rest)
    assert found.results == read_run_results(WHOLE).results
    assert found.unread == (f"run_results.json goes on after its end: {len(rest)} bytes were not read",)


@pytest.mark.parametrize(
    "odd",
    [
        '"execution_time": NaN',
        '"execution_time": Infinity',
        '"execution_time": 1e999',
        '"failures": ' + "9" * 5_000,
        '"failures": ' + "9" * 50,
        '"relation_name": "\\ud800"',
        '"adapter_response": {"code": "\\udfff\\ud800"}',
        '"timing": null',
        '"relation_name": "a\tb\x01"',
        '"message": ["no", "text"]',
        '"compiled_code": 17',
    ],
)
def test_one_odd_value_costs_neither_its_result_nor_the_others(odd: str) -> None:
    content = (
        '{"results": [{"unique_id": "model.shop.a", "status": "error", %s}, {"unique_id": "b", "status": "fail"}]}'
    )
    found = read_run_results((content % odd).encode())
    assert [(one.unique_id, one.outcome) for one in found.results] == [
        ("model.shop.a", Outcome.BAD),
        ("b", Outcome.BAD),
    ]
    json.dumps([one.message for one in found.results]).encode()


def test_bytes_that_are_no_text_cost_only_the_characters_they_are() -> None:
    found = read_run_results(b'{"results": [{"unique_id": "model.shop.a", "status": "error", "message": "caf\xe9"}]}')
    assert [(one.unique_id, one.message) for one in found.results] == [("model.shop.a", "caf�")]


def test_results_by_name_and_results_twice_are_all_read() -> None:
    by_name = {"model.shop.a": {"status": "Error"}, "model.shop.b": {"status": "success"}}
    found = read_run_results(written({"results": by_name}))
    assert [(one.unique_id, one.status) for one in found.results] == [
        ("model.shop.a", "error"),
        ("model.shop.b", "success"),
    ]
    twice = [{"unique_id": "model.shop.a", "status": one} for one in ("success", "error")]
    assert [one.status for one in read_run_results(written({"results": twice})).results] == ["success", "error"]


def test_the_number_of_rows_that_dbt_0_19_wrote_as_the_message_of_a_test_is_read() -> None:
    found = read_run_results(written({"results": [{"unique_id": "test.shop.t", "status": "fail", "message": 3}]}))
    assert [(one.message, one.failures) for one in found.results] == [("3", 3)]


def test_a_manifest_with_one_odd_field_is_read_but_for_that_field() -> None:
    content = manifest()
    content["nodes"]["model.shop.m1"]["columns"] = ["id"]
    content["nodes"]["model.shop.m2"] = None
    content["exposures"] = None
    content["sources"] = []
    graph = read_manifest(written(content), "shop")
    assert graph.nodes["model.shop.m1"].depends_on == ("model.shop.m0",)
    assert graph.nodes["model.shop.m1"].columns == ()
    assert graph.nodes["model.shop.m3"].columns == ("id",)
    assert "model.shop.m2" in graph.nodes
    assert graph.nodes["macro.shop.a"].resource_type == "macro"
    assert "macro.dbt.b" not in graph.nodes


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_file_that_ends_early_is_never_taken_for_a_whole_one(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([WHOLE, written(manifest()), QUOTED.encode()]))
    cut = data.draw(st.integers(0, len(whole) - 1))
    for read in (read_run_results, lambda body: read_manifest(body, "shop")):
        with pytest.raises(UnreadableArtifactError) as refused:
            read(whole[:cut])
        assert ("is cut at byte" if cut else "is empty") in str(refused.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.data())
def test_bytes_changed_at_random_are_read_or_refused_in_a_sentence(noise: bytes, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([WHOLE, written(manifest())]))
    at = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 60))
    payload = whole[:at] + noise + whole[at + length :]
    for read in (read_run_results, read_sources, lambda body: read_manifest(body, "shop")):
        found = None
        with contextlib.suppress(UnreadableArtifactError):
            found = read(payload)
        if isinstance(found, ProjectGraph):
            assert len(list(found.nodes.values())) == len(found.nodes)
            assert found.children is not None


_ODD = st.sampled_from([None, [], {}, "", "odd", 17, -1.5, True, [[{}]], {"a": [None]}, "x" * 30_000, float("nan")])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["error", "fail", "Fail", "warn", "skipped", "pass", "partial success", "a new word"])),
    st.data(),
)
def test_no_result_disappears_whatever_its_fields_hold(statuses: list[str], data: st.DataObject) -> None:
    content = results(*statuses)
    for entry in content["results"]:
        for field in data.draw(st.lists(st.sampled_from(sorted(entry)), max_size=4, unique=True)):
            if data.draw(st.booleans()):
                del entry[field]
            else:
                entry[field] = data.draw(_ODD)
    for position in data.draw(st.lists(st.integers(0, len(statuses)), max_size=2)):
        content["results"].insert(position, data.draw(_ODD))
    found = read_run_results(written(content))
    assert len(found.results) + found.dropped == len(content["results"])
    assert bool(found.unread) == bool(found.dropped)
    named = {
        entry["unique_id"]: entry["status"].lower()
        for entry in content["results"]
        if isinstance(entry, dict)
        and all(isinstance(entry.get(field), str) and entry[field] for field in ("unique_id", "status"))
    }
    assert {one.unique_id: one.status for one in found.results} == named


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_node_disappears_whatever_its_fields_hold(data: st.DataObject) -> None:
    content = manifest()
    for entry in content["nodes"].values():
        for field in data.draw(st.lists(st.sampled_from(sorted(entry)), max_size=3, unique=True)):
            entry[field] = data.draw(_ODD)
    graph = read_manifest(written(content), "shop")
    assert set(content["nodes"]) <= set(graph.nodes)
    assert all(node.unique_id == unique_id for unique_id, node in graph.nodes.items())
