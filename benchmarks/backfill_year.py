"""A year of days of three projects read over HTTP, beside a backfill of empty assets of the same shape.

`python benchmarks/backfill_year.py [--days 365] [--projects 3] [--nodes 1000]`. Each side is a process with a Dagster
instance of its own, set up as the hub sets one up, and a backfill is one run for a month of a project. The two take
turns, run by run, and each is first as often as the other: what else the machine does meets both alike. The hub may
take twice the time of the empty assets.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg

MOST = 2.0
ACCOUNT = 7
FAILING = 0.01


def unique_id(number: int) -> str:
    """Every other node is a test of the model before it."""
    if number % 2 == 0:
        return f"model.shop.model_number_{number}"
    digest = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:10]
    return f"test.shop.not_null_model_number_{number - 1}_id.{digest}"


def run_results(nodes: int, day: int) -> bytes:
    """The artifact of one run; what fails moves from week to week."""
    results = []
    for number in range(nodes):
        fails = number % 2 == 1 and (number * 7919 + day // 7) % 1000 < FAILING * 1000
        results.append(
            {
                "status": "fail" if fails else "pass" if number % 2 else "success",
                "timing": [{"name": "compile", "started_at": None, "completed_at": None}],
                "thread_id": "Thread-1",
                "execution_time": 0.4,
                "adapter_response": {"_message": "OK", "code": "OK", "rows_affected": 12},
                "message": "Got 3 results, configured to fail if != 0" if fails else "OK",
                "failures": 3 if fails else None,
                "unique_id": unique_id(number),
                "compiled": True,
                "compiled_code": f"select id, amount, status from analytics.model_number_{number} where id is null "
                * 6,
                "relation_name": f'"analytics"."main"."model_number_{number}"',
            }
        )
    moment = f"{_first() + timedelta(days=day)}T02:00:00Z"
    invocation = hashlib.md5(f"{day}".encode(), usedforsecurity=False).hexdigest()
    return json.dumps(
        {
            "metadata": {"generated_at": moment, "invocation_id": invocation, "dbt_version": "1.10.0"},
            "results": results,
            "args": {"which": "build", "target": "prod"},
        }
    ).encode()


def manifest(nodes: int) -> bytes:
    """About 3 kB a node, as real ones."""
    described = {}
    for number in range(nodes):
        is_test = number % 2 == 1
        parents = [unique_id(number - 1)] if is_test else [unique_id(number // 4 * 2)] if number > 4 else []
        described[unique_id(number)] = {
            "unique_id": unique_id(number),
            "name": unique_id(number).split(".")[2],
            "resource_type": "test" if is_test else "model",
            "package_name": "shop",
            "original_file_path": "models/schema.yml" if is_test else f"models/marts/model_number_{number}.sql",
            "relation_name": f'"analytics"."main"."model_number_{number}"',
            "depends_on": {"nodes": parents, "macros": ["macro.dbt.test_not_null"] * is_test},
            "config": {"materialized": "test" if is_test else "table", "tags": ["nightly"], "severity": "ERROR"},
            "raw_code": "select id, amount, status\nfrom {{ ref('model') }}\nwhere status is not null\n" * 12,
            "compiled_code": "select id, amount, status\nfrom analytics.main.model\nwhere status is not null\n" * 12,
            "columns": {name: {"name": name, "description": "What it is. " * 4} for name in ("id", "amount", "status")},
            "test_metadata": {"name": "not_null", "kwargs": {"column_name": "id"}} if is_test else None,
            "attached_node": parents[0] if is_test else None,
            "column_name": "id" if is_test else None,
        }
    return json.dumps({"metadata": {"project_name": "shop", "adapter_type": "duckdb"}, "nodes": described}).encode()


def serve(port: int, nodes: int, days: int, projects: int) -> None:
    """dbt Cloud's Admin API over one nightly run a project and day."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    whole_manifest = manifest(nodes)
    weekly: dict[int, bytes] = {}

    def run(number: int) -> dict[str, object]:
        project, day = divmod(number, 10_000)
        finished = datetime.combine(_first() + timedelta(days=day), datetime.min.time(), timezone.utc)
        finished += timedelta(hours=2, minutes=10)
        return {
            "id": number,
            "project_id": project,
            "job_definition_id": project * 10,
            "environment_id": 1,
            "status": 20,
            "git_sha": hashlib.sha1(str(day // 5).encode(), usedforsecurity=False).hexdigest(),
            "started_at": (finished - timedelta(minutes=20)).isoformat(),
            "finished_at": finished.isoformat(),
            "trigger": {"cause_category": "scheduled"},
            "job": {"name": "nightly"},
            "environment": {"name": "production"},
            "href": f"http://127.0.0.1/runs/{number}",
        }

    every = [run(project * 10_000 + day) for day in range(days) for project in range(1, projects + 1)]

    def runs(request: Request) -> Response:
        first, last = (datetime.fromisoformat(one) for one in json.loads(request.query_params["finished_at__range"]))
        project = request.query_params.get("project_id")
        found = [
            one
            for one in every
            if first <= datetime.fromisoformat(str(one["finished_at"])) <= last
            and project in (None, str(one["project_id"]))
        ]
        offset, limit = (int(request.query_params.get(name, 0)) for name in ("offset", "limit"))
        page = found[offset : offset + limit]
        pagination = {"count": len(page), "total_count": len(found)}
        return JSONResponse({"data": page, "extra": {"pagination": pagination}, "status": {"code": 200}})

    def one(request: Request) -> Response:
        found = run(int(request.path_params["run"]))
        step = {"index": 1, "name": "Invoke dbt with `dbt build`", "status": 20, "logs": "", **_times(found)}
        return JSONResponse({"data": {**found, "run_steps": [step]}, "status": {"code": 200}})

    def artifact(request: Request) -> Response:
        day = int(request.path_params["run"]) % 10_000
        if request.path_params["path"] == "manifest.json":
            return Response(whole_manifest, media_type="application/json")
        if request.path_params["path"] != "run_results.json":
            return JSONResponse({"status": {"code": 404}}, status_code=404)
        if day not in weekly:
            weekly[day] = run_results(nodes, day)
        return Response(weekly[day], media_type="application/json")

    for day in range(days):
        weekly[day] = run_results(nodes, day)
    base = f"/api/v2/accounts/{ACCOUNT}/runs"
    routes = [
        Route(f"{base}/", runs),
        Route(f"{base}/{{run:int}}/", one),
        Route(f"{base}/{{run:int}}/artifacts/{{path:path}}", artifact),
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning")


def _times(run: dict[str, object]) -> dict[str, object]:
    return {"started_at": run["started_at"], "finished_at": run["finished_at"]}


def _first() -> date:
    return date.fromisoformat(os.environ["BENCHMARK_FIRST"])


def hub(port: int, projects: int, folder: Path) -> dg.Definitions:
    """The hub's own definitions, over an empty store."""
    from da_agent_hub.config import load_settings
    from da_agent_hub.defs.build import build

    entries = "".join(
        f"  - name: {name}\n    repo: acme/{name}\n    source: {{type: dbt_cloud, account_id: {ACCOUNT}, "
        f"token: t, host: 'http://127.0.0.1:{port}', project_id: {number}}}\n"
        for number, name in enumerate(_names(projects), 1)
    )
    (folder / "hub.yaml").write_text(
        f"projects:\n{entries}github:\n  - {{token: t}}\nstate: {{url: 'sqlite:///{folder}/hub.db', "
        f"artifacts_dir: '{folder}/artifacts', checkouts_dir: '{folder}/checkouts'}}\n"
    )
    return build(load_settings(folder / "hub.yaml", {}))


def empty(projects: int) -> dg.Definitions:
    """Assets that do nothing, of the same keys, dependencies and partitions."""
    from da_agent_hub.defs.names import DAILY_JOB
    from da_agent_hub.defs.partitions import MOST_DAYS, reporting_days

    partitions = reporting_days("2020-01-01")

    def asset(key: dg.AssetKey, upstream: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
        @dg.asset(
            key=key,
            deps=upstream,
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.multi_run(MOST_DAYS),
        )
        def nothing() -> dg.MaterializeResult:  # type: ignore[type-arg]
            return dg.MaterializeResult()

        return nothing

    chains = [_chain(name) for name in _names(projects)]
    assets = [asset(key, keys[:place][-1:]) for keys in chains for place, key in enumerate(keys)]
    job = dg.define_asset_job(DAILY_JOB, selection=dg.AssetSelection.assets(*assets))
    return dg.Definitions(assets=assets, jobs=[job], executor=dg.in_process_executor)


def _names(projects: int) -> Sequence[str]:
    return [f"shop_{number}" for number in range(1, projects + 1)]


def _chain(project: str) -> Sequence[dg.AssetKey]:
    from da_agent_hub.defs.names import ERROR_RECORDS, FILED_ISSUES, RUN_RESULTS

    return [dg.AssetKey([project, one]) for one in (RUN_RESULTS, ERROR_RECORDS, FILED_ISSUES)]


def take_turns(make: Callable[[], dg.Definitions]) -> None:
    """Runs what a line of stdin names, `project first-day last-day`, and answers with its seconds and processor's."""
    from da_agent_hub.defs.names import DAILY_JOB
    from da_agent_hub.defs.partitions import range_tags

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        job = make().resolve_job_def(DAILY_JOB)
    with dg.DagsterInstance.get() as instance:
        _answer(instance.telemetry_enabled)
        for line in sys.stdin:
            project, first, last = line.split()
            began, cpu = time.perf_counter(), time.process_time()
            result = job.execute_in_process(
                instance=instance, run_config=quiet, tags=range_tags(first, last), asset_selection=_chain(project)
            )
            found = [time.perf_counter() - began, time.process_time() - cpu]
            assert result.success
            _answer(found)


def _answer(found: object) -> None:
    print(json.dumps(found), file=sys.__stdout__, flush=True)


class Side:
    """One of the two processes, and what it has taken so far."""

    def __init__(self, part: str, port: int, projects: int, folder: Path, environ: dict[str, str]) -> None:
        from da_agent_hub.cli.dagster_services import dagster_environment, prepare_home

        prepare_home(folder)
        arguments = [f"--part={part}", f"--port={port}", f"--projects={projects}", f"--folder={folder}"]
        self.part = part
        self.seconds = self.processor = 0.0
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env=dagster_environment(folder, folder / "hub.yaml", environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answered() is False, "telemetry is on"

    def run(self, project: str, first: str, last: str) -> None:
        """Backfill some days of a project."""
        assert self._process.stdin is not None
        print(project, first, last, file=self._process.stdin, flush=True)
        seconds, processor = self._answered()
        self.seconds += seconds
        self.processor += processor

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def _answered(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.part} broke off")
        return json.loads(line)


def backfill(days: int, sides: Sequence[Side], projects: Sequence[str]) -> None:
    """Every day of every project, a month a run, each side after the other."""
    from da_agent_hub.defs.partitions import MOST_DAYS, days_between

    every = days_between(str(_first()), str(_first() + timedelta(days=days - 1)))
    turn = 0
    for start in range(0, days, MOST_DAYS):
        chunk = every[start : start + MOST_DAYS]
        for project in projects:
            for side in (sides, sides[::-1])[turn % 2]:
                side.run(project, chunk[0], chunk[-1])
            turn += 1
        told = "  ".join(f"{side.part} {side.seconds:6.1f} s" for side in sides)
        print(f"{chunk[-1]}  {told}", file=sys.stderr, flush=True)


@contextmanager
def _server(arguments: argparse.Namespace, environ: dict[str, str], port: int) -> Iterator[None]:
    import urllib.request

    sizes = [str(arguments.nodes), str(arguments.days), str(arguments.projects)]
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(port), *sizes], env=environ)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/accounts/{ACCOUNT}/runs/1/", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Print both times and their ratio."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*(int(one) for one in sys.argv[2:6]))
        return 0
    parser = argparse.ArgumentParser()
    for name, default in (("days", 365), ("projects", 3), ("nodes", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--part", choices=("hub", "empty"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.part == "hub":
        take_turns(lambda: hub(arguments.port, arguments.projects, arguments.folder))
        return 0
    if arguments.part == "empty":
        take_turns(lambda: empty(arguments.projects))
        return 0
    from da_agent_hub.cli.services import free_port

    port = free_port()
    os.environ["BENCHMARK_FIRST"] = str(date.today() - timedelta(days=arguments.days + 20))
    environ = dict(os.environ)
    with tempfile.TemporaryDirectory() as name, _server(arguments, environ, port):
        sides = [Side(part, port, arguments.projects, Path(name) / part, environ) for part in ("empty", "hub")]
        try:
            backfill(arguments.days, sides, _names(arguments.projects))
        finally:
            for side in sides:
                side.end()
    nothing, full = sides
    ratio = full.seconds / nothing.seconds
    print(f"{arguments.days} days x {arguments.projects} projects of {arguments.nodes} nodes")
    print(f"empty assets  {nothing.seconds:7.1f} s  ({nothing.processor:.1f} s of processor)")
    print(f"the hub       {full.seconds:7.1f} s  ({full.processor:.1f} s of processor)")
    print(f"ratio {ratio:.2f} of time, {full.processor / nothing.processor:.2f} of processor; of time it may be {MOST}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
