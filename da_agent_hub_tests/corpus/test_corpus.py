"""Reads folders of real dbt artifacts, where ``DA_AGENT_HUB_CORPUS`` names a directory of them: one folder a run."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .artifact_folder import verdict_on

VARIABLE = "DA_AGENT_HUB_CORPUS"


def artifact(path: Path, kind: str, version: int, **content: Any) -> None:
    schema = f"https://schemas.getdbt.com/dbt/{kind}/v{version}.json"
    metadata = {"dbt_schema_version": schema, "generated_at": "2026-11-01T06:30:00Z", "invocation_id": "one"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metadata": metadata, **content}))


def result(
    unique_id: str, status: str, message: Any = None, failures: int | None = None, **more: Any
) -> dict[str, Any]:
    return {"unique_id": unique_id, "status": status, "message": message, "failures": failures, **more}


def shop(folder: Path, run_results: int, manifest: int, *, statuses: Callable[[str], str] = str) -> Path:
    """A run of a small shop in which a model broke, what is below was skipped, and tests failed and warned."""
    code = "compiled_code" if run_results >= 5 else "compiled_sql"
    said = [
        result("model.shop.stg", "success", "OK", **{code: "select 1"}),
        result("model.shop.orders", "error", "Database Error\n  column x does not exist", **{code: "select x"}),
        result("model.shop.revenue", "skipped"),
        result("test.shop.not_null_stg_id.1", "fail", "Got 3 results, configured to fail if != 0", 3),
        result("test.shop.unique_stg_id.2", "warn", "Got 1 result, configured to warn if != 0", 1),
    ]
    for one in said:
        one["status"] = statuses(one["status"])
    artifact(folder / "run_results.json", "run-results", run_results, results=said, args={"which": "build"})
    parents = {
        "model.shop.stg": [],
        "model.shop.orders": ["model.shop.stg"],
        "model.shop.revenue": ["model.shop.orders"],
        "test.shop.not_null_stg_id.1": ["model.shop.stg"],
        "test.shop.unique_stg_id.2": ["model.shop.stg"],
    }
    nodes = {
        unique_id: {
            "name": unique_id.split(".")[2],
            "resource_type": unique_id.split(".")[0],
            "original_file_path": f"models\\{unique_id.split('.')[2]}.sql",
            "depends_on": {"nodes": depends_on, "macros": None},
        }
        for unique_id, depends_on in parents.items()
    }
    artifact(folder / "manifest.json", "manifest", manifest, nodes=nodes, sources=None, disabled=None)
    return folder


@pytest.mark.parametrize("version", range(1, 7))
def test_each_result_of_every_schema_version_is_in_one_record_or_said_to_be_skipped_or_filtered(
    version: int, tmp_path: Path
) -> None:
    verdict = verdict_on(shop(tmp_path, version, version * 2))
    assert verdict.wrong == []
    assert verdict.counted["in a record"] == 3
    assert verdict.counted["skipped, with its cause"] == 1
    assert verdict.counted["filtered where warnings are not asked for"] == 1


@pytest.mark.parametrize("version", [12, 20])
def test_what_fusion_writes_with_capitals_is_read_alike(version: int, tmp_path: Path) -> None:
    verdict = verdict_on(shop(tmp_path, 6, version, statuses=str.capitalize))
    assert (verdict.wrong, verdict.counted["in a record"]) == ([], 3)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_late_sources_and_a_source_that_is_not_there_are_each_in_one_record(version: int, tmp_path: Path) -> None:
    late = result("source.shop.raw.orders", "Error", max_loaded_at="2026-01-01T00:00:00Z", criteria={})
    gone = result("source.shop.raw.items", "runtime error", error="relation raw.items does not exist")
    artifact(tmp_path / "sources.json", "sources", version, results=[late, gone])
    verdict = verdict_on(tmp_path)
    assert (verdict.wrong, verdict.counted["in a record"]) == ([], 2)


def test_every_result_of_the_corpus_is_where_its_artifact_says(capsys: pytest.CaptureFixture[str]) -> None:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} names no directory of real dbt artifacts")
    verdicts = [verdict_on(folder) for folder in sorted(Path(named).iterdir()) if folder.is_dir()]
    assert verdicts, f"{named} holds no folder"
    counted = sum((verdict.counted for verdict in verdicts), Counter[str]())
    with capsys.disabled():
        print(f"\n{len(verdicts)} folders: " + ", ".join(f"{count} {what}" for what, count in counted.items()))  # noqa: T201
    assert {verdict.folder: verdict.wrong for verdict in verdicts if verdict.wrong} == {}
