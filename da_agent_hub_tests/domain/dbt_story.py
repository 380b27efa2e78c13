"""Builders of small dbt stories for tests: a shop's lineage and runs of it, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from da_agent_hub.domain.dbt import DbtRun, DbtStep, GraphNode, NodeResult, ProjectGraph, TestSpec

START = datetime(2026, 11, 1, 2, 0, tzinfo=timezone.utc)


def model(name: str, *parents: str, tags: tuple[str, ...] = ()) -> GraphNode:
    return GraphNode(
        unique_id=f"model.shop.{name}",
        name=name,
        resource_type="model",
        package="shop",
        path=f"models/{name}.sql",
        depends_on=parents,
        tags=tags,
    )


def data_test(kind: str, on: str, column: str | None = None, severity: str = "error", suffix: str = "a1") -> GraphNode:
    name = f"{kind}_{on}_{column}" if column else f"{kind}_{on}"
    return GraphNode(
        unique_id=f"test.shop.{name}.{suffix}",
        name=name,
        resource_type="test",
        package="shop",
        path="models/schema.yml",
        depends_on=(f"model.shop.{on}",),
        test=TestSpec(kind, f"model.shop.{on}", column, severity=severity),
    )


def exposure(name: str, *parents: str) -> GraphNode:
    return GraphNode(unique_id=f"exposure.shop.{name}", name=name, resource_type="exposure", depends_on=parents)


def lineage(*nodes: GraphNode) -> ProjectGraph:
    return ProjectGraph("shop", "duckdb", {node.unique_id: node for node in nodes}, "shop")


SHOP = lineage(
    GraphNode("source.shop.raw.orders", "raw.orders", "source"),
    GraphNode("source.shop.raw.customers", "raw.customers", "source"),
    model("stg_orders", "source.shop.raw.orders"),
    model("stg_items", "source.shop.raw.orders"),
    model("stg_customers", "source.shop.raw.customers"),
    model("orders", "model.shop.stg_orders", "model.shop.stg_items", "model.shop.stg_customers", tags=("finance",)),
    model("revenue", "model.shop.orders"),
    exposure("board", "model.shop.revenue"),
    data_test("unique", "stg_orders", "order_id"),
    data_test("unique", "orders", "order_id"),
    data_test("not_null", "stg_orders", "customer_id"),
    data_test("not_null", "orders", "customer_id"),
    data_test("accepted_values", "stg_orders", "status"),
    data_test("singular", "orders"),
)
UNIQUE_STG = "test.shop.unique_stg_orders_order_id.a1"
UNIQUE_ORDERS = "test.shop.unique_orders_order_id.a1"
NULL_STG = "test.shop.not_null_stg_orders_customer_id.a1"
NULL_ORDERS = "test.shop.not_null_orders_customer_id.a1"
ACCEPTED_STG = "test.shop.accepted_values_stg_orders_status.a1"
SINGULAR = "test.shop.singular_orders.a1"
STG_ORDERS, STG_ITEMS, ORDERS, REVENUE = (
    f"model.shop.{one}" for one in ("stg_orders", "stg_items", "orders", "revenue")
)

NO_COLUMN = (
    'Runtime Error in model {0} (models/{0}.sql)\n  Binder Error: Referenced column "{1}" not found in FROM clause!\n'
    '  Candidate bindings: "id"\n  \n  LINE 5:     select {1}'
)


def result(unique_id: str, status: str, message: str = "", failures: int | None = None) -> NodeResult:
    if status == "fail" and not message:
        failures = 5 if failures is None else failures
        message = f"Got {failures} results, configured to fail if != 0"
    return NodeResult(unique_id, status, message, failures if status in ("fail", "warn", "pass") else None)


def run(
    number: int,
    outcomes: Mapping[str, str] | tuple[NodeResult, ...] = (),
    *,
    sha: str = "a" * 40,
    status: str | None = None,
    log: str = "",
    job: str = "7",
    environment: str = "Production",
    step: str = "Invoke dbt with `dbt build`",
) -> DbtRun:
    """Run ``number`` of a daily job; ``outcomes`` maps unique ids to dbt's statuses."""
    results = (
        tuple(result(unique_id, said) for unique_id, said in outcomes.items())
        if isinstance(outcomes, Mapping)
        else outcomes
    )
    bad = log or any(one.status in ("error", "fail") for one in results)
    status = status or ("error" if bad else "success")
    finished = START + timedelta(days=number)
    return DbtRun(
        project="shop",
        environment=environment,
        job_id=job,
        job_name="nightly",
        run_id=str(1000 + number),
        url=f"https://cloud.getdbt.com/deploy/1/projects/2/runs/{1000 + number}/",
        status=status,
        finished_at=finished,
        started_at=finished - timedelta(minutes=5),
        git_sha=sha,
        steps=(DbtStep(4, step, status, results, log, f"invocation-{number}" if results else None),),
    )
