from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from da_agent_hub.domain.classification import classify
from da_agent_hub.domain.dbt import GraphNode, TestSpec
from da_agent_hub.domain.error_record import Category
from da_agent_hub.domain.failure import Failure, FailureKind
from da_agent_hub.domain.fingerprint import fingerprint, signature

FAILED = Failure(
    project="shop",
    environment="Production",
    job_id="7",
    run_id="1",
    run_url="https://cloud.getdbt.com/1",
    step=4,
    kind=FailureKind.MODEL,
    unique_id="model.shop.orders",
    message="",
    happened_at=datetime(2026, 11, 1, tzinfo=timezone.utc),
)

# What warehouses and dbt really write, by adapter.
MESSAGES = {
    "duckdb": [
        ("missing_column", "customer_id", 'Binder Error: Referenced column "customer_id" not found in FROM clause!\n  Candidate bindings: "id"'),
        ("missing_column", "nope", 'Binder Error: Table "o" does not have a column named "nope"\n\n  Candidate bindings: : "id"'),
        ("missing_column", "cust", 'Binder Error: Values list "orders" does not have a column named "cust"'),
        ("ambiguous_column", "id", 'Binder Error: Ambiguous reference to column name "id" (use: "a.id" or "b.id")'),
        ("missing_relation", "raw_orders", "Catalog Error: Table with name raw_orders does not exist!\n  Did you mean \"orders\"?"),
        ("missing_function", "datediffx", "Catalog Error: Scalar Function with name datediffx does not exist!\n  Did you mean \"datediff\"?"),
        ("invalid_value", None, "Conversion Error: Could not convert string 'abc' to INT32"),
        ("type_mismatch", None, "Binder Error: Cannot compare values of type VARCHAR and type INTEGER - an explicit cast is required"),
        ("type_mismatch", None, "Binder Error: No function matches the given name and argument types 'sum(VARCHAR)'. You might need to add explicit type casts."),
        ("syntax_error", None, 'Parser Error: syntax error at or near "form"'),
        ("group_by_error", None, 'Binder Error: column "status" must appear in the GROUP BY clause or must be part of an aggregate function.'),
        ("lock_conflict", None, 'IO Error: Could not set lock on file "/data/shop.duckdb": Conflicting lock is held in /usr/bin/python3.11 (PID 4711).'),
        ("lock_conflict", None, "TransactionContext Error: Catalog write-write conflict on create with \"orders\""),
        ("out_of_memory", None, "Out of Memory Error: failed to allocate data of size 16.0 MiB (12.5 GiB/12.5 GiB used)"),
        ("duplicate_keys", None, 'Constraint Error: Duplicate key "order_id: 1" violates primary key constraint.'),
        ("missing_relation", "data/*.csv", 'IO Error: No files found that match the pattern "data/*.csv"'),
        ("statement_timeout", None, "INTERRUPT Error: Interrupted!"),
        ("missing_database", "/nonexistent/x.duckdb", 'IO Error: Cannot open file "/nonexistent/x.duckdb": No such file or directory'),
        ("permission_denied", None, 'IO Error: Cannot open file "/data/x.duckdb": Permission denied'),
        ("missing_database", "/d/x.duckdb", 'IO Error: Cannot open database "/d/x.duckdb" in read-only mode: database does not exist'),
        ("missing_database", "crm", 'Binder Error: Catalog "crm" does not exist!'),
        ("missing_database", "crm.main", 'Catalog Error: Table with name "crm.main.x" does not exist because schema "crm.main" does not exist.'),
        ("missing_database", "crm.raw", 'Catalog Error: Table with name "crm.raw.x" does not exist because schema "crm.raw" does not exist.'),
    ],
    "snowflake": [
        ("missing_column", "o.cust_id", "000904 (42000): 01b2c3d4-0000-5f6a-0000-000012345678: SQL compilation error: error line 12 at position 4\n  invalid identifier 'O.CUST_ID'"),
        ("missing_relation", "raw.shop.orders", "002003 (42S02): SQL compilation error:\n  Object 'RAW.SHOP.ORDERS' does not exist or not authorized."),
        ("missing_database", "crm", "002003 (02000): SQL compilation error:\n  Database 'CRM' does not exist or not authorized."),
        ("syntax_error", None, "001003 (42000): SQL compilation error:\n  syntax error line 3 at position 7 unexpected 'FORM'."),
        ("ambiguous_column", "id", "002028 (42601): SQL compilation error:\n  ambiguous column name 'ID'"),
        ("statement_timeout", None, "000630 (57014): Statement reached its statement or warehouse timeout of 3,600 second(s) and was canceled."),
        ("invalid_value", None, "100038 (22018): Numeric value 'abc' is not recognized"),
        ("invalid_value", None, "100040 (22007): Date '2026-13-01' is not recognized"),
        ("duplicate_merge_keys", None, "100090 (42P18): Duplicate row detected during DML action\n  Row Values: [1, \"a\"]"),
        ("permission_denied", None, "003001 (42501): SQL access control error:\n  Insufficient privileges to operate on schema 'MARTS'"),
        ("authentication_failed", None, "250001 (08001): None: Failed to connect to DB: xy12345.snowflakecomputing.com:443. Incorrect username or password was specified."),
        ("lock_conflict", None, "000625 (57014): Statement '01b2' has locked table 'ORDERS' in transaction 17 and this lock has not yet been released."),
        ("lock_conflict", None, "000628: Number of waiters for this lock exceeds the 20 statements limit."),
        ("missing_function", "datedifff", "002140 (42601): SQL compilation error:\n  Unknown function DATEDIFFF"),
        ("group_by_error", None, "000979 (42601): SQL compilation error:\n  [ORDERS.STATUS] is not a valid group by expression"),
        ("division_by_zero", None, "100051 (22012): Division by zero"),
        ("quota_exceeded", None, "090073 (22000): Warehouse 'WH' cannot be resumed because resource monitor 'RM' has exceeded its quota."),
    ],
    "bigquery": [
        ("missing_column", "custmer_id", "Unrecognized name: custmer_id; Did you mean customer_id? at [7:3]"),
        ("missing_column", "cust", "Name cust not found inside o at [3:10]"),
        ("missing_relation", "shop:raw.orders", "404 Not found: Table shop:raw.orders was not found in location US"),
        ("syntax_error", None, 'Syntax error: Expected end of input but got identifier "bork" at [9:1]'),
        ("type_mismatch", None, "Query error: No matching signature for function TIMESTAMP_TRUNC for argument types: STRING, DATE_TIME_PART. Supported signatures: TIMESTAMP_TRUNC(TIMESTAMP)"),
        ("invalid_value", None, "Bad double value: abc"),
        ("out_of_memory", None, "Resources exceeded during query execution: The query could not be executed in the allotted memory."),
        ("permission_denied", None, "403 Access Denied: Table shop:raw.orders: User does not have permission to query table shop:raw.orders"),
        ("quota_exceeded", None, "403 PATCH https://bigquery.googleapis.com/bigquery/v2/projects/x: Billing has not been enabled for this project."),
        ("rate_limited", None, "403 Exceeded rate limits: too many table update operations for this table."),
        ("duplicate_merge_keys", None, "UPDATE/MERGE must match at most one source row for each target row"),
        ("group_by_error", None, "SELECT list expression references column status which is neither grouped nor aggregated at [2:8]"),
        ("ambiguous_column", "id", "Column name id is ambiguous at [4:10]"),
        ("statement_timeout", None, "Operation did not complete within the designated timeout of 300 seconds."),
        ("division_by_zero", None, "division by zero: 4 / 0"),
        ("missing_function", "datediffx", "Function not found: datediffx at [2:8]"),
    ],
    "postgres": [
        ("missing_column", "cust_id", 'column "cust_id" does not exist\n  LINE 12:     cust_id,'),
        ("missing_column", "o.cust_id", "column o.cust_id does not exist\n  LINE 4:   o.cust_id"),
        ("missing_database", "crm", 'connection to server at "db", port 5432 failed: FATAL:  database "crm" does not exist'),
        ("missing_relation", "raw.orders", 'relation "raw.orders" does not exist\n  LINE 9: from raw.orders'),
        ("syntax_error", None, 'syntax error at or near ";"\n  LINE 87: FROM raw_games;'),
        ("ambiguous_column", "id", 'column reference "id" is ambiguous\n  LINE 3: select id'),
        ("invalid_value", None, 'invalid input syntax for type integer: "abc"'),
        ("type_mismatch", None, "operator does not exist: integer = text\n  HINT:  No operator matches the given name and argument types."),
        ("statement_timeout", None, "canceling statement due to statement timeout"),
        ("lock_conflict", None, "deadlock detected\n  DETAIL:  Process 17 waits for ShareLock on transaction 5; blocked by process 18."),
        ("lock_conflict", None, "canceling statement due to lock timeout"),
        ("connection_lost", None, 'connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused'),
        ("connection_lost", None, "server closed the connection unexpectedly"),
        ("authentication_failed", None, 'connection to server at "db", port 5432 failed: FATAL:  password authentication failed for user "dbt"'),
        ("permission_denied", None, "permission denied for schema marts"),
        ("null_values", "customer_id", 'null value in column "customer_id" of relation "orders" violates not-null constraint'),
        ("duplicate_keys", None, 'duplicate key value violates unique constraint "orders_pkey"'),
        ("out_of_disk", None, 'could not extend file "base/16384/16731": No space left on device'),
        ("rate_limited", None, "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute"),
        ("missing_function", "datediff", "function datediff(unknown, date, date) does not exist"),
    ],
    "redshift": [
        ("missing_column", "cust_id", "column \"cust_id\" does not exist in o"),
        ("lock_conflict", None, "1023\n  DETAIL:  Serializable isolation violation on table - 108263, transactions forming the cycle are: 1, 2"),
        ("invalid_value", None, "Invalid digit, Value 'a', Pos 0, Type: Integer"),
        ("query_limit_exceeded", None, "Query (123) cancelled by WLM abort action of Query Monitoring Rule \"long\""),
        ("out_of_disk", None, "Disk Full\n  DETAIL:  error:  Disk Full"),
    ],
    "databricks": [
        ("missing_column", "cust_id", "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `cust_id` cannot be resolved. Did you mean one of the following? [`customer_id`]. SQLSTATE: 42703; line 3 pos 7"),
        ("missing_relation", "shop.raw.orders", "[TABLE_OR_VIEW_NOT_FOUND] The table or view `shop`.`raw`.`orders` cannot be found. Verify the spelling and correctness of the schema and catalog."),
        ("syntax_error", None, "[PARSE_SYNTAX_ERROR] Syntax error at or near 'form'. SQLSTATE: 42601 (line 3, pos 5)"),
        ("ambiguous_column", "id", "[AMBIGUOUS_REFERENCE] Reference `id` is ambiguous, could be: [`a`.`id`, `b`.`id`]. SQLSTATE: 42704"),
        ("lock_conflict", None, "[DELTA_CONCURRENT_APPEND] ConcurrentAppendException: Files were added to the root of the table by a concurrent update."),
        ("duplicate_merge_keys", None, "[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE] Cannot perform Merge as multiple source rows matched"),
        ("invalid_value", None, "[CAST_INVALID_INPUT] The value 'abc' of the type \"STRING\" cannot be cast to \"INT\" because it is malformed."),
        ("division_by_zero", None, "[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead."),
        ("group_by_error", None, "[MISSING_AGGREGATION] The non-aggregating expression \"status\" is based on columns which are not participating in the GROUP BY clause."),
    ],
    "sqlserver": [
        ("missing_column", "cust_id", "('42S22', \"[42S22] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid column name 'cust_id'. (207) (SQLExecDirectW)\")"),
        ("missing_relation", "raw.orders", "[42S02] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid object name 'raw.orders'. (208)"),
        ("lock_conflict", None, "[40001] Transaction (Process ID 55) was deadlocked on lock resources with another process and has been chosen as the deadlock victim."),
        ("statement_timeout", None, "[HYT00] [Microsoft][ODBC Driver 18 for SQL Server]Query timeout expired (0)"),
        ("authentication_failed", None, "[28000] [Microsoft][ODBC Driver 18 for SQL Server]Login failed for user 'dbt'. (18456)"),
        ("invalid_value", None, "[22018] Conversion failed when converting the varchar value 'abc' to data type int. (245)"),
        ("null_values", "customer_id", "[23000] Cannot insert the value NULL into column 'customer_id', table 'shop.dbo.orders'; column does not allow nulls."),
        ("connection_lost", None, "[08S01] [Microsoft][ODBC Driver 18 for SQL Server]Communication link failure (0)"),
        ("missing_function", "datediffx", "[42000] 'datediffx' is not a recognized built-in function name. (195)"),
    ],
    "trino": [
        ("missing_column", "cust_id", "TrinoUserError(type=USER_ERROR, name=COLUMN_NOT_FOUND, message=\"line 3:5: Column 'cust_id' cannot be resolved\", query_id=20261101_000000_00001_abcde)"),
        ("missing_relation", "hive.raw.orders", "TrinoUserError(type=USER_ERROR, name=TABLE_NOT_FOUND, message=\"line 9:6: Table 'hive.raw.orders' does not exist\")"),
        ("syntax_error", None, "TrinoUserError(type=USER_ERROR, name=SYNTAX_ERROR, message=\"line 1:8: mismatched input 'form'. Expecting: ','\")"),
        ("out_of_memory", None, "TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_LOCAL_MEMORY_LIMIT, message=\"Query exceeded per-node memory limit of 2GB\")"),
        ("statement_timeout", None, "TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_TIME_LIMIT, message=\"Query exceeded maximum time limit of 10.00m\")"),
        ("permission_denied", None, "TrinoUserError(type=USER_ERROR, name=PERMISSION_DENIED, message=\"Access Denied: Cannot select from table raw.orders\")"),
    ],
    "dbt": [
        ("unknown_ref", "stg_order", "Compilation Error\n  Model 'model.shop.orders' (models/orders.sql) depends on a node named 'stg_order' which was not found"),
        ("unknown_ref", "raw.order", "Compilation Error\n  Model 'model.shop.orders' (models/orders.sql) depends on a source named 'raw.order' which was not found"),
        ("unknown_macro", "cents_to_euros", "Compilation Error in model orders (models/orders.sql)\n  'cents_to_euros' is undefined. This can happen when calling a macro that does not exist."),
        ("contract_violation", None, "Compilation Error in model orders (models/orders.sql)\n  This model has an enforced contract that failed.\n  Please ensure the name, data_type, and number of columns"),
        ("compile_error", None, "Compilation Error in model b (models/b.sql)\n  Unexpected end of template. Jinja was looking for the following tags: 'endif'."),
        ("invalid_yaml", None, "Parsing Error\n  Error reading shop: s.yml - Runtime Error\n    Syntax error near line 5"),
        ("missing_variable", "region", "Compilation Error in model orders (models/orders.sql)\n  Required var 'region' not found in config:"),
        ("dependency_cycle", "model.shop.a", "Encountered an error:\nRuntime Error\n  Found a cycle: model.shop.a --> model.shop.b"),
        ("duplicate_resource", "orders", "Compilation Error\n  dbt found two models with the name \"orders\"."),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("error_class", "about", "message"),
    [pytest.param(*case, id=f"{adapter}-{case[0]}") for adapter, cases in MESSAGES.items() for case in cases],
)
def test_messages_of_every_warehouse_get_their_class(error_class: str, about: str | None, message: str) -> None:
    wrapped = message if "Error in" in message else f"Database Error in model orders (models/orders.sql)\n  {message}"
    found = classify(replace(FAILED, message=wrapped), None)
    assert found.error_class == error_class
    if about is not None:
        assert found.about == about


@pytest.mark.parametrize(
    ("test", "error_class"),
    [
        ("unique", "duplicate_keys"),
        ("not_null", "null_values"),
        ("accepted_values", "unexpected_values"),
        ("relationships", "orphan_rows"),
        ("singular", "row_condition"),
        ("dbt_utils.unique_combination_of_columns", "duplicate_keys"),
        ("our_own_check", "custom_test"),
    ],
)
def test_a_test_that_found_rows_is_classified_by_what_it_asserts(test: str, error_class: str) -> None:
    node = GraphNode("test.shop.t.a", "t", "test", test=TestSpec(test, "model.shop.orders", "order_id"))
    failure = replace(FAILED, kind=FailureKind.TEST, unique_id=node.unique_id, message="Got 3 results", failures=3)
    found = classify(failure, node)
    assert (found.error_class, found.category) == (error_class, Category.DATA_QUALITY)


def test_a_test_that_could_not_run_is_classified_by_its_message() -> None:
    message = 'Database Error in test t (models/schema.yml)\n  column "x" does not exist'
    failure = replace(FAILED, kind=FailureKind.TEST, unique_id="test.shop.t.a", message=message)
    assert classify(failure, None).error_class == "missing_column"


def test_without_a_manifest_the_name_of_a_generic_test_still_tells_its_class() -> None:
    unique_id = "test.shop.unique_orders_order_id.a1"
    failure = replace(FAILED, kind=FailureKind.TEST, unique_id=unique_id, message="Got 3 results", failures=3)
    assert classify(failure, None).error_class == "duplicate_keys"


def test_a_message_that_no_pattern_knows_is_honestly_unknown() -> None:
    found = classify(replace(FAILED, message="the moon was full"), None)
    assert (found.error_class, found.confidence) == ("unknown_error", 0.3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("404 Not found: Dataset p:dev was not found\n  (job ID: 7f85d9ad-65e9-4be3-a387-436ba0b8ab0f)", "404 Not found: Dataset p:dev was not found\n  (job ID: 8cc7e15d-fd02-4b7e-b462-e92ddeba2e0a)"),
        ('relation "dev.marts.x" is odd at 12:30 with 17 rows', 'relation "prod.marts2.x" is odd at 09:10 with 3 rows'),
        ("Bad row '2026-11-01' in a\n  LINE 5: select", "Bad row '2026-12-24' in a\n  LINE 19: select"),
        ("cannot drop orders__dbt_tmp20261101", "cannot drop orders__dbt_tmp20261102"),
    ],
)  # fmt: skip
def test_a_signature_ignores_what_changes_from_run_to_run(one: str, other: str) -> None:
    assert signature(one) == signature(other)


def test_a_signature_keeps_what_is_about_the_cause() -> None:
    assert signature("cannot load file orders.csv") != signature("cannot load file items.csv")


def test_fingerprints_tell_projects_environments_nodes_and_classes_apart() -> None:
    failures = [
        FAILED,
        replace(FAILED, project="other"),
        replace(FAILED, environment="Staging"),
        replace(FAILED, unique_id="model.shop.items"),
        replace(FAILED, message="out of memory"),
    ]
    assert len({fingerprint(one, classify(one, None)) for one in failures}) == len(failures)
