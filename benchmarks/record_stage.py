"""What records cost a node result, over stores of growing size: `python benchmarks/record_stage.py`.

Reads the kept runs of one project and folds them into error records, as each daily run does. Linear means that the cost
of a result does not grow with their number; the largest store may cost 1.5 times as much a result as the smallest.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.dbt import DbtRun, DbtStep, GraphNode, NodeResult, ProjectGraph, TestSpec
from da_agent_hub.stages.record import record_errors

MOST = 1.5
ROUNDS = 3
START = datetime(2025, 11, 1, 2, tzinfo=timezone.utc)
# (name, runs, hours between two, nodes)
STORES = (
    ("a month of nightly runs", 30, 24.0, 1000),
    ("a quarter of nightly runs", 90, 24.0, 1000),
    ("a year of nightly runs", 365, 24.0, 1000),
    ("a day of 1,000 runs", 1000, 0.024, 350),
)


def unique_id(number: int) -> str:
    """Every other node is a test of the model before it."""
    if number % 2 == 0:
        return f"model.shop.model_number_{number}"
    digest = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:10]
    return f"test.shop.not_null_model_number_{number - 1}_id.{digest}"


def lineage(nodes: int) -> ProjectGraph:
    """A tree of models, each with a test."""
    found = {}
    for number in range(0, nodes, 2):
        model, test = unique_id(number), unique_id(number + 1)
        parents = (unique_id(number // 4 * 2),) if number >= 4 else ()
        path = f"models/model_number_{number}.sql"
        found[model] = GraphNode(model, f"model_number_{number}", "model", "shop", path, depends_on=parents)
        found[test] = GraphNode(
            test, test.split(".")[2], "test", "shop", depends_on=(model,), test=TestSpec("not_null", model, "id")
        )
    return ProjectGraph("shop", "duckdb", found, "shop")


def run(number: int, hours: float, nodes: int) -> DbtRun:
    """One run, of which one result in a hundred is bad; which ones moves from week to week."""
    results = []
    for node in range(nodes):
        fails = node % 2 == 1 and (node * 7919 + number // 7) % 1000 < 10
        results.append(
            NodeResult(
                unique_id(node),
                "fail" if fails else "pass" if node % 2 else "success",
                message="Got 3 results, configured to fail if != 0" if fails else "",
                failures=3 if fails else None,
                code=hashlib.sha256(str(node).encode()).hexdigest()[:12],
            )
        )
    at = START + timedelta(hours=hours * number)
    step = DbtStep(1, "dbt build", "error", tuple(results))
    return DbtRun("shop", "production", "1", "nightly", str(number), "", "error", at, git_sha="a" * 40, steps=(step,))


def main() -> int:
    """Print the cost of each store and the ratio of the dearest to the first."""
    project = ProjectSettings(name="shop", repo="acme/shop", source=DbtCoreSource(type="dbt_core", path=Path("target")))
    costs = []
    for name, runs, hours, nodes in STORES:
        with tempfile.TemporaryDirectory() as folder:
            store = open_record_store(f"sqlite:///{folder}/hub.db")
            store.save_graph("shop", "0", START, lineage(nodes))
            for number in range(runs):
                store.remember_run(run(number, hours, nodes))
            seconds = []
            for _ in range(ROUNDS):
                began = time.process_time()
                records = record_errors(project, store)
                seconds.append(time.process_time() - began)
            store.close()
        costs.append(min(seconds) / (runs * nodes))
        print(
            f"{name:26} {runs * nodes:>9,} results  {len(records):>5} records  {min(seconds):6.2f} s  "
            f"{costs[-1] * 1e6:5.2f} µs a result"
        )
    ratio = max(costs) / costs[0]
    print(f"the dearest result costs {ratio:.2f} times as much as in the smallest store; may be {MOST}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
