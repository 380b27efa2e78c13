"""Holds what the hub makes of a folder with real dbt artifacts against what the artifacts themselves say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from da_agent_hub.adapters.dbt_core import DbtCoreRuns
from da_agent_hub.config import DbtCoreSource
from da_agent_hub.domain.dbt import DbtRun, ProjectGraph
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.failure import Failure
from da_agent_hub.domain.record_building import Policy, build_records
from da_agent_hub.domain.run_failures import failures_of
from da_agent_hub.domain.selection import Selection

_GOOD = frozenset({"success", "pass"})
# dbt ran nothing, and nothing was wrong.
_NOTHING_TO_DO = frozenset({"no-op", "reused"})
_LONGEST_MESSAGE = 20_000


@dataclass
class Verdict:
    """Where the results that are not good went, counted, and what is wrong, one sentence each."""

    folder: str
    counted: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def verdict_on(folder: Path) -> Verdict:
    """Read a folder as a user's hub would, with warnings asked for, and without."""
    verdict = Verdict(folder.name)
    results = _results(folder)
    verdict.counted["results"] = len(results)
    paths = _paths(folder)
    source = DbtCoreRuns(DbtCoreSource(type="dbt_core", path=folder))
    run = source.read_run("corpus", _only_run(source))
    graph = source.read_graph("corpus", run.run_id)
    if (folder / "manifest.json").exists() and graph is None:
        verdict.wrong.append("the manifest could not be read")
    verdict.wrong += [f"unread: {sentence}" for sentence in run.unread]
    failures = failures_of(run, graph, warnings=True)
    records = build_records([run], graph, Policy(selection=Selection(warnings=True)))
    strict = build_records([run], graph)
    for result in results:
        _judge_result(result, verdict, paths, run=run, failures=failures, records=records, strict=strict)
    _judge_lineage(verdict, paths, graph)
    return verdict


def _only_run(source: DbtCoreRuns) -> str:
    (listed,) = source.finished_runs(
        "corpus", datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, tzinfo=timezone.utc)
    )
    return listed.run_id


def _results(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in ("sources.json", "run_results.json"):
        path = folder / name
        if path.exists():
            found += json.loads(path.read_text(encoding="utf-8-sig"))["results"]
    return found


def _paths(folder: Path) -> dict[str, str]:
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    manifest = json.loads(path.read_text(encoding="utf-8-sig"))
    return {
        unique_id: node.get("original_file_path") or node.get("path") or ""
        for section in ("nodes", "sources", "exposures", "unit_tests")
        for unique_id, node in (manifest.get(section) or {}).items()
    }


def _judge_result(
    result: dict[str, Any],
    verdict: Verdict,
    paths: dict[str, str],
    *,
    run: DbtRun,
    failures: Sequence[Failure],
    records: Sequence[ErrorRecord],
    strict: Sequence[ErrorRecord],
) -> None:
    unique_id, status = result["unique_id"], result["status"].lower()
    about = f"{unique_id} ({status})"
    if not any(one.unique_id == unique_id and one.status == status for _, one in run.results()):
        verdict.wrong.append(f"{about} is not among the results that were read")
    if status in _GOOD:
        return
    verdict.counted["not good"] += 1
    if status in _NOTHING_TO_DO:
        verdict.counted["nothing to do"] += 1
        return
    if status == "skipped":
        causes = sum(unique_id in record.skipped for record in records)
        verdict.counted["skipped, with its cause" if causes else "skipped, no failure above it"] += 1
        if not causes and any(one.severity == "error" for one in failures):
            verdict.counted["skipped in a run that failed, cause not told"] += 1
        return
    holders = [one for one in records if unique_id == one.node or unique_id in one.members]
    verdict.counted["in a record" if len(holders) == 1 else "lost or doubled"] += 1
    if len(holders) != 1:
        verdict.wrong.append(f"{about} is in {len(holders)} records")
    if status == "warn" and not any(unique_id == one.node or unique_id in one.members for one in strict):
        verdict.counted["filtered where warnings are not asked for"] += 1
    own = [one for one in failures if one.unique_id == unique_id]
    if len(own) != 1:
        verdict.wrong.append(f"{about} is {len(own)} failures")
        return
    said = result.get("message") if result.get("message") is not None else result.get("error")
    if said is not None and own[0].message != str(said)[:_LONGEST_MESSAGE]:
        verdict.wrong.append(f"{about} says {own[0].message!r}, and the artifact {said!r}")
    if paths.get(unique_id) and own[0].path != paths[unique_id].replace("\\", "/"):
        verdict.wrong.append(f"{about} is in {own[0].path}, and by the manifest in {paths[unique_id]}")
    if own[0].failures != result.get("failures") and result.get("failures") is not None:
        verdict.wrong.append(f"{about} counts {own[0].failures} rows, and the artifact {result['failures']}")


def _judge_lineage(verdict: Verdict, paths: dict[str, str], graph: ProjectGraph | None) -> None:
    verdict.counted["nodes"] = len(paths)
    for unique_id, path in paths.items():
        node = graph.get(unique_id) if graph else None
        if node is not None and node.path != path.replace("\\", "/"):
            verdict.wrong.append(f"{unique_id} is in {node.path}, and by the manifest in {path}")
        if node is None:
            verdict.counted["nodes left out, because they are disabled"] += 1
