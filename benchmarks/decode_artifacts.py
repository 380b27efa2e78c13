"""What reading dbt's artifacts costs, beside json.loads: `python benchmarks/decode_artifacts.py [--large]`.

A manifest may take 0.2 times the time of json.loads, and as much memory beside the file as the file is large.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from generated_project import write_manifest, write_run_results

MOST_TIME = 0.2
MOST_MEMORY = 1.0
ROUNDS = 5
SIZES = {1_000: 700, 10_000: 7_000, 50_000: 35_000}  # nodes to results
JSON = "json.loads"
HUB = "the hub"
LINEAGE = "the hub, every node asked for"
PARSER = "dbt-artifacts-parser"
DAGSTER = "dagster-dbt"
MISSING = 3


def reader(kind: str, name: str) -> Callable[[bytes], Any]:
    """What turns the bytes of an artifact into something to ask; imported only in the process that measures it."""
    if name == JSON:
        return json.loads
    if name == PARSER:
        from dbt_artifacts_parser import parser

        parse = parser.parse_manifest if kind == "manifest" else parser.parse_run_results
        return lambda payload: parse(json.loads(payload))
    if name == DAGSTER:
        # Its client reads run results with the standard library, and manifests with orjson.
        import dagster_dbt  # noqa: F401
        import orjson

        return orjson.loads if kind == "manifest" else json.loads
    from da_agent_hub.adapters.dbt_artifacts import read_manifest, read_run_results

    if kind == "results":
        return read_run_results
    if name == HUB:
        return lambda payload: read_manifest(payload, "benchmark")

    def every_node(payload: bytes) -> Any:
        graph = read_manifest(payload, "benchmark")
        return graph, graph.children

    return every_node


def measure(kind: str, name: str, path: Path) -> None:
    """Print processor seconds and the memory, in bytes, that was needed beside the file's own."""
    try:
        read = reader(kind, name)
    except ImportError:
        sys.exit(MISSING)
    payload = path.read_bytes()
    if name != PARSER:  # which takes nothing that lacks a field
        read(b'{"nodes": {}, "results": []}')
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = read(payload)
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = 1 if sys.platform == "darwin" else 1024
    print(json.dumps([seconds, (after - before) * scale]))
    assert found is not None


def measured(kind: str, name: str, path: Path) -> tuple[float, int] | None:
    """The same in a fresh process; None where the package is not installed."""
    command = [sys.executable, __file__, "--measure", kind, name, str(path)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode == MISSING:
        return None
    if ran.returncode:
        raise SystemExit(f"{name} could not read {path.name}")
    seconds, memory = json.loads(ran.stdout)
    return seconds, memory


def compare(kind: str, label: str, path: Path, names: list[str], rounds: int) -> bool:
    """One block of the table; whether the hub's own reading keeps to its limits."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    for _ in range(rounds):  # taking turns, so that a busy machine is busy for all
        for name in names:
            if (one := measured(kind, name, path)) is not None:
                found[name].append(one)
    size = path.stat().st_size
    base = min(seconds for seconds, _ in found[JSON])
    print(f"\n{label}, {size / 1e6:.0f} MB")
    print(f"  {'':32}{'seconds':>9}{'x json.loads':>14}{'memory x file':>15}")
    kept = True
    for name, rows in found.items():
        if not rows:
            print(f"  {name:32}{'not installed':>23}")
            continue
        seconds, memory = min(one for one, _ in rows), min(one for _, one in rows)
        print(f"  {name:32}{seconds:9.3f}{seconds / base:14.2f}{memory / size:15.2f}")
        if name == HUB and kind == "manifest":
            kept = seconds / base <= MOST_TIME and memory / size <= MOST_MEMORY
    return kept


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--large", action="store_true", help="also 50,000 nodes and 35,000 results")
    options.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.measure:
        measure(asked.measure[0], asked.measure[1], Path(asked.measure[2]))
        return 0
    kept = True
    with tempfile.TemporaryDirectory() as name:
        for nodes, results in SIZES.items():
            if nodes > 10_000 and not asked.large:
                continue
            rounds = 2 if nodes > 10_000 else ROUNDS
            manifest, run_results = Path(name, f"manifest-{nodes}.json"), Path(name, f"results-{results}.json")
            write_manifest(manifest, nodes)
            write_run_results(run_results, results)
            readers = [JSON, HUB, LINEAGE, PARSER, DAGSTER]
            kept = compare("manifest", f"manifest.json of {nodes:,} nodes", manifest, readers, rounds) and kept
            readers = [JSON, HUB, PARSER, DAGSTER]
            compare("results", f"run_results.json of {results:,} results", run_results, readers, rounds)
    print(f"\nlimits for the hub's manifest: {MOST_TIME} x json.loads, {MOST_MEMORY} x the file of memory")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
