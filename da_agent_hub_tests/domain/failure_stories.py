"""One realistic run for each way in which a dbt run fails, and what a person is to be told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from da_agent_hub.domain.dbt import DbtRun, DbtStep, GraphNode, NodeResult, TestSpec
from da_agent_hub.domain.failure import FailureKind

from .dbt_story import NULL_STG, ORDERS, REVENUE, SHOP, STG_ITEMS, STG_ORDERS, UNIQUE_STG, lineage, run

SEED, SNAPSHOT = "seed.shop.countries", "snapshot.shop.orders_history"
UNIT = "unit_test.shop.orders.adds_up"
EMPTY = "test.shop.has_rows.c3"
SOURCE, OTHER_SOURCE = "source.shop.raw.orders", "source.shop.raw.customers"
ON_START, ON_END = "operation.shop.shop-on-run-start-0", "operation.shop.shop-on-run-end-0"
GRAPH = lineage(
    *(replace(one, path="models/sources.yml") if one.resource_type == "source" else one for one in SHOP.nodes.values()),
    GraphNode(SEED, "countries", "seed", "shop", "seeds/countries.csv"),
    GraphNode("model.shop.by_country", "by_country", "model", "shop", "models/by_country.sql", depends_on=(SEED,)),
    GraphNode(SNAPSHOT, "orders_history", "snapshot", "shop", "snapshots/orders_history.sql", depends_on=(ORDERS,)),
    GraphNode(
        UNIT,
        "adds_up",
        "unit_test",
        "shop",
        "models/unit_tests.yml",
        depends_on=(ORDERS,),
        test=TestSpec("unit_test", ORDERS),
    ),
    GraphNode(
        EMPTY, "has_rows", "test", "shop", "tests/has_rows.sql", depends_on=(ORDERS,), test=TestSpec("singular", None)
    ),
    GraphNode(ON_START, "shop-on-run-start-0", "operation", "shop", "dbt_project.yml"),
    GraphNode(ON_END, "shop-on-run-end-0", "operation", "shop", "dbt_project.yml"),
)
BUILD = "Invoke dbt with `dbt build`"


@dataclass(frozen=True)
class Told:
    """What one record says: ``node`` is None where it is of a whole step or run, or of an outage."""

    kind: FailureKind
    error_class: str
    node: str | None
    path: str | None
    says: str
    line: int | None = None
    members: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def step(
    *results: NodeResult, index: int = 4, name: str = BUILD, status: str = "error", log: str = "", broken: str = ""
) -> DbtStep:
    return DbtStep(index, name, status, results, log, f"i-{index}", broken=(broken,) if broken else ())


def of(*steps: DbtStep, status: str = "error", message: str = "") -> DbtRun:
    return replace(run(0), status=status, steps=steps, status_message=message)


def error(unique_id: str, message: str, status: str = "error") -> NodeResult:
    return NodeResult(unique_id, status, message, compiled_sql="select 1")


def rows(unique_id: str, status: str, message: str, failures: int) -> NodeResult:
    return NodeResult(unique_id, status, message, failures, compiled_sql="select order_id from orders")


def good(unique_id: str) -> NodeResult:
    return NodeResult(unique_id, "success")


def skipped(*unique_ids: str) -> tuple[NodeResult, ...]:
    return tuple(NodeResult(unique_id, "skipped") for unique_id in unique_ids)


LOST = "Database Error in model {0} (models/{0}.sql)\n  could not connect to server: Connection refused"
UNKNOWN_REF = """\
13:54:19  Running with dbt=1.11.16
13:54:21  Encountered an error:
Compilation Error
  Model 'model.shop.revenue' (models/revenue.sql) depends on a node named 'nope' which was not found
"""
BAD_YAML = """\
13:54:29  Encountered an error:
Parsing Error
  Error reading shop: models/_marts.yml - Runtime Error
    Syntax error near line 5
"""
NO_SERVER = """\
13:54:44  Encountered an error:
Database Error
  connection to server at "db.internal" (10.0.0.1), port 5432 failed: Connection refused
"""
NO_ROW = """\
12:00:01  Runtime Error in source orders (models/sources.yml)
  Catalog Error: Table with name orders does not exist!
12:00:01  Done.
"""
BROKEN_OFF = """\
12:00:01  1 of 3 START sql table model main.stg_orders ................. [RUN]
12:00:01  2 of 3 START sql table model main.orders ..................... [RUN]
12:00:02  1 of 3 OK created sql table model main.stg_orders ............ [OK in 0.05s]
12:00:02  3 of 3 START test not_null_stg_orders_customer_id ............ [RUN]
"""
STOPPED_BY_HOOK = """\
12:00:01  1 of 1 START hook: shop.on-run-start.0 ............................... [RUN]
12:00:01  Database error while running on-run-start
12:00:01  Encountered an error:
Database Error
  relation "audit_log" does not exist
"""
FAILED_OPERATION = """\
12:00:01  Running with dbt=1.7.4
12:00:02  Encountered an error while running operation: Database Error
  permission denied for schema x
"""
FAILED_HOOK = """\
12:00:01  1 of 1 ERROR hook: shop.on-run-end.0 ................................. [ERROR in 0.11s]
12:00:01  Completed with 1 error, 0 partial successes, and 0 warnings:
12:00:01
12:00:01  Failure in operation shop-on-run-end-0 (./dbt_project.yml)
12:00:01    shop.on-run-end.0 failed, error:
 Parser Error: syntax error at or near "grnt"

LINE 2: grnt x
        ^^^^
12:00:01
12:00:01    compiled code at target/compiled/shop/./dbt_project.yml/hooks/shop-on-run-end-0.sql
12:00:01  Done. PASS=2 WARN=0 ERROR=1 SKIP=0 NO-OP=0 TOTAL=3
"""

STORIES: dict[str, tuple[DbtRun, tuple[Told, ...]]] = {
    "a model whose SQL names a column that is gone": (
        of(
            step(
                good(STG_ORDERS),
                error(
                    ORDERS,
                    'Database Error in model orders (models/orders.sql)\n  column "total" does not exist\n'
                    "  LINE 5:     select total\n                     ^\n  compiled code at target/run/orders.sql",
                ),
                *skipped(REVENUE),
            )
        ),
        (
            Told(
                FailureKind.MODEL,
                "missing_column",
                ORDERS,
                "models/orders.sql",
                'column "total" does not exist',
                skipped=(REVENUE,),
            ),
        ),
    ),
    "a model that dbt could not compile": (
        of(
            step(
                error(
                    ORDERS,
                    "Compilation Error in model orders (models/orders.sql)\n  'totals' is undefined. This can happen\n"
                    "  line 7\n    {{ totals(1) }}",
                )
            )
        ),
        (Told(FailureKind.MODEL, "unknown_macro", ORDERS, "models/orders.sql", "'totals' is undefined", line=7),),
    ),
    "a model of which only some batches went well": (
        of(step(error(ORDERS, "PARTIAL SUCCESS (3/4)", status="partial success"))),
        (Told(FailureKind.MODEL, "unknown_error", ORDERS, "models/orders.sql", "PARTIAL SUCCESS (3/4)"),),
    ),
    "a model that ran into the warehouse's time limit": (
        of(
            step(
                error(
                    ORDERS,
                    "Database Error in model orders (models/orders.sql)\n  000630 (57014): Statement reached its "
                    "statement or warehouse timeout of 600 second(s) and was canceled.",
                )
            )
        ),
        (Told(FailureKind.MODEL, "statement_timeout", ORDERS, "models/orders.sql", "timeout of 600"),),
    ),
    "a seed that fails, and the steps after it that never ran": (
        of(
            step(
                error(SEED, "Database Error in seed countries (seeds/countries.csv)\n  Could not convert string 'x'"),
                index=3,
                name="Invoke dbt with `dbt seed`",
            ),
            step(index=4, name="Invoke dbt with `dbt run`", status="cancelled"),
            step(index=5, name="Invoke dbt with `dbt test`", status="unknown"),
            message="dbt command failed",
        ),
        (Told(FailureKind.SEED, "invalid_value", SEED, "seeds/countries.csv", "Could not convert string"),),
    ),
    "nodes that a later step skips because of an earlier one": (
        of(
            step(
                error(SEED, "Database Error in seed countries (seeds/countries.csv)\n  Could not convert string 'x'"),
                index=3,
            ),
            step(*skipped("model.shop.by_country"), good(STG_ORDERS), index=4, status="success"),
        ),
        (
            Told(
                FailureKind.SEED,
                "invalid_value",
                SEED,
                "seeds/countries.csv",
                "Could not convert string",
                skipped=("model.shop.by_country",),
            ),
        ),
    ),
    "a snapshot": (
        of(
            step(
                error(
                    SNAPSHOT,
                    "Database Error in snapshot orders_history (snapshots/orders_history.sql)\n"
                    "  permission denied for schema snapshots",
                )
            )
        ),
        (
            Told(
                FailureKind.SNAPSHOT,
                "permission_denied",
                SNAPSHOT,
                "snapshots/orders_history.sql",
                "permission denied for schema snapshots",
            ),
        ),
    ),
    "a unit test whose rows differ": (
        of(
            step(
                NodeResult(UNIT, "fail", "\n\nactual differs from expected:\n\n@@,total\n→ ,1→2\n", 1), *skipped(ORDERS)
            )
        ),
        (
            Told(
                FailureKind.UNIT_TEST,
                "unit_test_mismatch",
                UNIT,
                "models/unit_tests.yml",
                "actual differs from expected",
                skipped=(ORDERS,),
            ),
        ),
    ),
    "a data test that found rows": (
        of(step(rows(UNIQUE_STG, "fail", "Got 5 results, configured to fail if != 0", 5), *skipped(ORDERS, REVENUE))),
        (
            Told(
                FailureKind.TEST,
                "duplicate_keys",
                UNIQUE_STG,
                "models/schema.yml",
                "Got 5 results",
                skipped=(ORDERS, REVENUE),
            ),
        ),
    ),
    "a data test that fails because it found no rows": (
        of(step(rows(EMPTY, "fail", "Got 0 results, configured to fail if < 1", 0))),
        (Told(FailureKind.TEST, "row_condition", EMPTY, "tests/has_rows.sql", "Got 0 results"),),
    ),
    "a data test that could not be run": (
        of(
            step(
                error(
                    NULL_STG,
                    "Database Error in test not_null_stg_orders_customer_id (models/schema.yml)\n"
                    '  column "customer_id" does not exist',
                )
            )
        ),
        (Told(FailureKind.TEST, "missing_column", NULL_STG, "models/schema.yml", 'column "customer_id"'),),
    ),
    "a data test that warns of rows": (
        of(
            step(rows(UNIQUE_STG, "warn", "Got 2 results, configured to warn if != 0", 2), status="success"),
            status="success",
        ),
        (Told(FailureKind.TEST, "duplicate_keys", UNIQUE_STG, "models/schema.yml", "Got 2 results"),),
    ),
    "a data test that warns of no rows": (
        of(
            step(rows(EMPTY, "warn", "Got 0 results, configured to warn if < 1", 0), status="success"), status="success"
        ),
        (Told(FailureKind.TEST, "row_condition", EMPTY, "tests/has_rows.sql", "Got 0 results"),),
    ),
    "a source that is late": (
        of(
            step(
                error(
                    SOURCE, "Loaded last at 2026-10-30T00:00:00Z, 50.0 hours before the check; fails after 24 hour(s)"
                )
            )
        ),
        (Told(FailureKind.SOURCE_FRESHNESS, "stale_source", SOURCE, "models/sources.yml", "50.0 hours"),),
    ),
    "a source whose freshness could not be asked": (
        of(
            step(
                error(SOURCE, "Database Error in source orders (models/sources.yml)\n  something odd", "runtime error")
            )
        ),
        (Told(FailureKind.SOURCE_FRESHNESS, "unknown_error", SOURCE, "models/sources.yml", "something odd"),),
    ),
    "a source that dbt wrote no row of": (
        of(step(NodeResult(OTHER_SOURCE, "pass"), log=NO_ROW)),
        (
            Told(
                FailureKind.SOURCE_FRESHNESS,
                "missing_source_table",
                SOURCE,
                "models/sources.yml",
                "Table with name orders does not exist",
            ),
        ),
    ),
    "a ref to a model that is not there": (
        of(step(log=UNKNOWN_REF)),
        (Told(FailureKind.COMPILE, "unknown_ref", None, "models/revenue.sql", "a node named 'nope'"),),
    ),
    "a file of YAML that cannot be parsed": (
        of(step(log=BAD_YAML)),
        (Told(FailureKind.COMPILE, "invalid_yaml", None, "models/_marts.yml", "Syntax error near line 5", line=5),),
    ),
    "a hook at the start, for which every node was skipped": (
        of(
            step(
                error(ON_START, "Database Error\n  permission denied for schema audit"),
                *skipped(STG_ORDERS, STG_ITEMS, ORDERS, SEED),
            )
        ),
        (
            Told(
                FailureKind.HOOK,
                "permission_denied",
                ON_START,
                "dbt_project.yml",
                "permission denied for schema audit",
                skipped=tuple(sorted((STG_ORDERS, STG_ITEMS, ORDERS, SEED))),
            ),
        ),
    ),
    "a hook at the end": (
        of(step(good(ORDERS), error(ON_END, 'Database Error\n  syntax error at or near "grnt"'))),
        (Told(FailureKind.HOOK, "syntax_error", ON_END, "dbt_project.yml", "syntax error"),),
    ),
    "a macro that was called by itself": (
        of(
            step(
                error(
                    "macro.shop.grant_all",
                    "Database Error in macro grant_all (macros/grant_all.sql)\n  permission denied for schema x",
                ),
                name="Invoke dbt with `dbt run-operation grant_all`",
            )
        ),
        (
            Told(
                FailureKind.HOOK,
                "permission_denied",
                "macro.shop.grant_all",
                "macros/grant_all.sql",
                "permission denied",
            ),
        ),
    ),
    "a connection that was lost under two nodes": (
        of(
            step(
                error(STG_ORDERS, LOST.format("stg_orders")),
                error(STG_ITEMS, LOST.format("stg_items")),
                *skipped(ORDERS),
            )
        ),
        (
            Told(
                FailureKind.MODEL,
                "connection_lost",
                None,
                "models/stg_orders.sql",
                "Connection refused",
                members=(STG_ITEMS, STG_ORDERS),
                skipped=(ORDERS,),
            ),
        ),
    ),
    "a warehouse that could not be reached at all": (
        of(step(log=NO_SERVER)),
        (Told(FailureKind.CONNECTION, "connection_lost", None, None, "port 5432 failed"),),
    ),
    "a run that a person cancelled while it worked": (
        of(
            step(index=1, name="Clone git repository", status="success"),
            step(log=BROKEN_OFF, status="cancelled"),
            status="cancelled",
            message="Cancelled by Jane.",
        ),
        (
            Told(
                FailureKind.CANCELLED,
                "run_cancelled",
                None,
                None,
                "The run was cancelled before it had finished. Cancelled by Jane. It was in step 4 (Invoke dbt with "
                "`dbt build`). Running then: sql table model main.orders, test not_null_stg_orders_customer_id.",
            ),
        ),
    ),
    "a run that was cancelled while it waited": (
        of(status="cancelled", message="Cancelled by API"),
        (Told(FailureKind.CANCELLED, "run_cancelled", None, None, "cancelled before it began. Cancelled by API"),),
    ),
    "a run that was ended because it took too long": (
        of(
            step(log=BROKEN_OFF, status="cancelled"),
            status="cancelled",
            message="Run exceeded the job's maximum run time of 3600 seconds and was cancelled.",
        ),
        (
            Told(
                FailureKind.TIMED_OUT,
                "run_timed_out",
                None,
                None,
                "Run exceeded the job's maximum run time of 3600 seconds and was cancelled. It was in step 4 (Invoke dbt "
                "with `dbt build`). Running then: sql table model main.orders",
            ),
        ),
    ),
    "a run that timed out and is given as failed, after a model that failed by itself": (
        of(
            step(error(ORDERS, "Database Error in model orders (models/orders.sql)\n  division by zero"), index=3),
            step(log=BROKEN_OFF),
            message="The run timed out.",
        ),
        (
            Told(FailureKind.MODEL, "division_by_zero", ORDERS, "models/orders.sql", "division by zero"),
            Told(FailureKind.TIMED_OUT, "run_timed_out", None, None, "The run timed out. It was in step 4"),
        ),
    ),
    "a run that never started": (
        of(message="Your account has no run slot left for this job."),
        (
            Told(
                FailureKind.NOT_STARTED,
                "run_not_started",
                None,
                None,
                "The run ended before its first step. Your account has no run slot left",
            ),
        ),
    ),
    "a step that is none of dbt's": (
        of(step(index=1, name="Clone git repository", log="12:00:00  Cloning\nfatal: repository not found\n")),
        (Told(FailureKind.NOT_STARTED, "git_failed", None, None, "fatal: repository not found"),),
    ),
    "a step of which nothing is known": (
        of(step(index=1, name="Send the report", log="12:00:00  Sending\nno such recipient\n")),
        (Told(FailureKind.OTHER, "step_failed", None, None, "no such recipient"),),
    ),
    "a hook that ended the command, as dbt told before 1.9": (
        of(step(log=STOPPED_BY_HOOK)),
        (Told(FailureKind.HOOK, "missing_relation", None, None, 'relation "audit_log" does not exist'),),
    ),
    "an operation that dbt wrote no file of": (
        of(step(name="Invoke dbt with `dbt run-operation grant_all`", log=FAILED_OPERATION)),
        (Told(FailureKind.HOOK, "permission_denied", None, None, "permission denied for schema x"),),
    ),
    "a hook that failed as a node, of which only the log tells": (
        of(step(log=FAILED_HOOK)),
        (Told(FailureKind.HOOK, "syntax_error", ON_END, "dbt_project.yml", 'syntax error at or near "grnt"'),),
    ),
    "a run that left nothing": (
        of(),
        (Told(FailureKind.UNREADABLE, "unreadable_run", None, None, "neither a step nor an artifact says why"),),
    ),
    "a file of results that is cut": (
        of(step(status="success", broken="run_results.json is cut at byte 4096"), status="success"),
        (Told(FailureKind.UNREADABLE, "unreadable_run", None, None, "cut at byte 4096"),),
    ),
    "a status that dbt added later": (
        of(step(NodeResult(ORDERS, "pondering", "hm"), status="success"), status="success"),
        (
            Told(
                FailureKind.UNKNOWN_STATUS,
                "unknown_status",
                None,
                "models/orders.sql",
                "'pondering'",
                members=(ORDERS,),
            ),
        ),
    ),
}
