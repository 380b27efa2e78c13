"""A year of days of three projects read over HTTP, beside a backfill of empty assets of the same shape.

`python benchmarks/backfill_year.py [--days 365] [--projects 3] [--nodes 1000]`. Both run in one process each, a month a
Dagster run, on an SQLite instance of their own. The hub may take twice the time of the empty assets.
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
from collections.abc import Callable
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

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


def hub(port: int, days: int, projects: int, folder: Path) -> dict[str, float]:
    """Seconds of the hub's own daily assets, from an empty store."""
    from da_agent_hub.config import load_settings
    from da_agent_hub.defs.build import build
    from da_agent_hub.defs.names import DAILY_JOB

    entries = "".join(
        f"  - name: shop_{number}\n    repo: acme/shop_{number}\n    source: {{type: dbt_cloud, account_id: {ACCOUNT}, "
        f"token: t, host: 'http://127.0.0.1:{port}', project_id: {number}}}\n"
        for number in range(1, projects + 1)
    )
    (folder / "hub.yaml").write_text(
        f"projects:\n{entries}github:\n  - {{token: t}}\nstate: {{url: 'sqlite:///{folder}/hub.db', "
        f"artifacts_dir: '{folder}/artifacts', checkouts_dir: '{folder}/checkouts'}}\n"
    )
    settings = load_settings(folder / "hub.yaml", {})
    definitions = build(settings)
    names = [project.name for project in settings.projects]
    return _backfill(definitions.resolve_job_def(DAILY_JOB).execute_in_process, names, days)


def empty(days: int, projects: int) -> dict[str, float]:
    """Seconds of assets that do nothing, of the same keys and partitions."""
    import dagster as dg

    from da_agent_hub.defs.names import ERROR_RECORDS, FILED_ISSUES, RUN_RESULTS
    from da_agent_hub.defs.partitions import MOST_DAYS, reporting_days

    partitions = reporting_days("2020-01-01")
    names = [f"shop_{number}" for number in range(1, projects + 1)]

    def asset(key: list[str], upstream: list[list[str]]) -> dg.AssetsDefinition:
        @dg.asset(
            key=key,
            deps=[dg.AssetKey(one) for one in upstream],
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.multi_run(MOST_DAYS),
        )
        def nothing() -> None:
            return None

        return nothing

    assets = [
        asset([name, one], [[name, before]] if before else [])
        for name in names
        for one, before in ((RUN_RESULTS, None), (ERROR_RECORDS, RUN_RESULTS), (FILED_ISSUES, ERROR_RECORDS))
    ]
    job = dg.define_asset_job("daily", selection=dg.AssetSelection.assets(*assets))
    definitions = dg.Definitions(assets=assets, jobs=[job], executor=dg.in_process_executor)
    return _backfill(definitions.resolve_job_def("daily").execute_in_process, names, days)


def _backfill(execute: Callable[..., object], names: list[str], days: int) -> dict[str, float]:
    import dagster as dg

    from da_agent_hub.defs.names import ERROR_RECORDS, FILED_ISSUES, RUN_RESULTS
    from da_agent_hub.defs.partitions import MOST_DAYS, days_between, range_tags

    every = days_between(str(_first()), str(_first() + timedelta(days=days - 1)))
    began, cpu = time.perf_counter(), time.process_time()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance:
        for start in range(0, days, MOST_DAYS):
            chunk = every[start : start + MOST_DAYS]
            for name in names:
                result = execute(
                    instance=instance,
                    run_config=quiet,
                    tags=range_tags(chunk[0], chunk[-1]),
                    asset_selection=[dg.AssetKey([name, one]) for one in (RUN_RESULTS, ERROR_RECORDS, FILED_ISSUES)],
                )
                assert getattr(result, "success", False)
            print(f"  {chunk[-1]}  {time.perf_counter() - began:6.1f} s", file=sys.stderr, flush=True)
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}


@contextmanager
def _server(arguments: argparse.Namespace, environ: dict[str, str], port: int):  # type: ignore[no-untyped-def]
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
    if arguments.part:
        found = (
            hub(arguments.port, arguments.days, arguments.projects, arguments.folder)
            if arguments.part == "hub"
            else empty(arguments.days, arguments.projects)
        )
        print(json.dumps(found))
        return 0
    from da_agent_hub.cli.services import free_port

    port = free_port()
    first = date.today() - timedelta(days=arguments.days + 20)
    environ = {**os.environ, "BENCHMARK_FIRST": str(first), "DAGSTER_DISABLE_TELEMETRY": "true"}
    figures = {}
    with tempfile.TemporaryDirectory() as name, _server(arguments, environ, port):
        for part in ("empty", "hub"):
            folder = Path(name) / part
            folder.mkdir()
            sizes = [f"--days={arguments.days}", f"--projects={arguments.projects}", f"--nodes={arguments.nodes}"]
            print(part, file=sys.stderr)
            done = subprocess.run(
                [sys.executable, __file__, "--part", part, "--port", str(port), "--folder", str(folder), *sizes],
                env={**environ, "DAGSTER_HOME": str(folder)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            figures[part] = json.loads(done.stdout.splitlines()[-1])
    ratio = figures["hub"]["seconds"] / figures["empty"]["seconds"]
    processor = figures["hub"]["cpu_seconds"] / figures["empty"]["cpu_seconds"]
    print(f"{arguments.days} days x {arguments.projects} projects of {arguments.nodes} nodes")
    print(f"empty assets  {figures['empty']['seconds']:7.1f} s  ({figures['empty']['cpu_seconds']:.1f} s of processor)")
    print(f"the hub       {figures['hub']['seconds']:7.1f} s  ({figures['hub']['cpu_seconds']:.1f} s of processor)")
    print(f"ratio {ratio:.2f} of time, {processor:.2f} of processor; may be {MOST}")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
