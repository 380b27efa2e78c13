"""One cause keeps its fingerprint whatever moves around it, and another cause on the same node gets another one."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from string import Formatter
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from da_agent_hub.domain.classification import classify
from da_agent_hub.domain.dbt import GraphNode, ProjectGraph
from da_agent_hub.domain.failure import Failure, FailureKind
from da_agent_hub.domain.fingerprint import fingerprint
from da_agent_hub.domain.message_signature import lasting_name, signature
from da_agent_hub.domain.taxonomy import builtin

# In braces what tells the cause (column, relation, name, token, role) and what only moves.
TEMPLATES = {
    "snowflake column": (
        "000904 (42000): {uuid}: SQL compilation error: error line {line} at position {pos}\n"
        "invalid identifier '{COLUMN}'"
    ),
    "snowflake relation": (
        "002003 (42S02): {uuid}: SQL compilation error:\n"
        "Object '{database}.{schema}.{RELATION}' does not exist or not authorized."
    ),
    "snowflake ambiguous": ("002028 (42601): {uuid}: SQL compilation error:\nambiguous column name '{COLUMN}'"),
    "snowflake grant": (
        "003001 (42501): {uuid}: SQL access control error:\nInsufficient privileges to operate on table '{RELATION}'"
    ),
    "snowflake token": (
        "001003 (42000): {uuid}: SQL compilation error:\n"
        "syntax error line {line} at position {pos} unexpected '{token}'."
    ),
    "snowflake temporary": (
        "002003 (02000): SQL compilation error:\n"
        "Table '{database}.{schema}.{RELATION}__DBT_TMP{stamp}' does not exist or not authorized."
    ),
    "bigquery column": "Unrecognized name: {column}; Did you mean {other}? at [{line}:{pos}]\n\n(job ID: {uuid})",
    "bigquery relation": (
        "404 Not found: Table {database}:{schema}.{relation} was not found in location US\n\n"
        "Location: US\nJob ID: {uuid}"
    ),
    "bigquery shard": "Not found: Table {database}:{schema}.{relation}_{day} was not found in location EU",
    "bigquery grant": (
        "403 Access Denied: Table {database}:{schema}.{relation}: User {address} does not have permission to query "
        "table {database}:{schema}.{relation}, or perhaps it does not exist.\n\nJob ID: {uuid}"
    ),
    "bigquery token": 'Syntax error: Expected ")" but got identifier "{token}" at [{line}:{pos}]',
    "bigquery literal": 'Could not cast literal "{value}" to type {type} at [{line}:{pos}]',
    "redshift column": "column o.{column} does not exist",
    "redshift rule": (
        'Query ({number}) cancelled by WLM abort action of Query Monitoring Rule "{name}".\nDETAIL:\n'
        '  error:  Query ({number}) cancelled by WLM abort action of Query Monitoring Rule "{name}".\n'
        "  code:      1078\n  query:     {number}\n  location:  wlm_query_action.cpp:{line}\n"
        "  process:   wlm [pid={number}]"
    ),
    "redshift grant": "permission denied for relation {relation}",
    "databricks column": (
        "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `{column}` cannot be "
        "resolved. Did you mean one of the following? [`{other}`, `{alias}`]. SQLSTATE: 42703; line {line} pos {pos}"
    ),
    "databricks relation": (
        "[TABLE_OR_VIEW_NOT_FOUND] The table or view `{database}`.`{schema}`.`{relation}` cannot be found. Verify the "
        "spelling and correctness of the schema and catalog. SQLSTATE: 42P01; line {line} pos {pos};\n"
        "'Project [*]\n+- 'UnresolvedRelation [{database}, {schema}, {relation}], [], false"
    ),
    "databricks token": (
        "[PARSE_SYNTAX_ERROR] Syntax error at or near '{token}'. SQLSTATE: 42601 (line {line}, pos {pos})\n\n"
        "== SQL ==\n{other} {token}\n---^^^"
    ),
    "databricks merge": "[DELTA_FAILED_TO_MERGE_FIELDS] Failed to merge fields '{column}' and '{column}'",
    "databricks value": (
        '[CAST_INVALID_INPUT] The value \'{value}\' of the type "STRING" cannot be cast to "{type}" because it is '
        "malformed. Correct the value as per the syntax, or change its target type. SQLSTATE: 22018"
    ),
    "postgres column": (
        'column "{column}" does not exist\nLINE {line}:     {other},\n             ^\n'
        'HINT:  Perhaps you meant to reference the column "{alias}.{other}".'
    ),
    "postgres relation": 'relation "{schema}.{relation}" does not exist\nLINE {line}: from {schema}.{relation}\n      ^',
    "postgres value": 'invalid input syntax for type {type}: "{value}"',
    "postgres null": (
        'null value in column "{column}" of relation "{other}__dbt_tmp{stamp}" violates not-null constraint\n'
        "DETAIL:  Failing row contains ({number}, null, {day_of_month})."
    ),
    "postgres constraint": (
        'duplicate key value violates unique constraint "{name}"\nDETAIL:  Key (id)=({value}) already exists.'
    ),
    "postgres token": 'syntax error at or near "{token}"\nLINE {line}: {token} from x\n        ^',
    "postgres function": (
        "function {schema}.{name}(text, integer) does not exist\nLINE {line}: select {name}(a, 1)\n        ^\n"
        "HINT:  No function matches the given name and argument types. You might need to add explicit type casts."
    ),
    "duckdb column": (
        'Binder Error: Referenced column "{column}" not found in FROM clause!\n'
        'Candidate bindings: "{other}", "{alias}"\n\nLINE {line}:     {column} as x\n             ^'
    ),
    "duckdb relation": (
        'Catalog Error: Table with name {relation} does not exist!\nDid you mean "{schema}.{other}"?\n\n'
        "LINE {line}: from {relation}\n           ^"
    ),
    "duckdb file": 'IO Error: No files found that match the pattern "/{database}/{schema}/data/{relation}.csv"',
    "duckdb value": "Conversion Error: Could not convert string '{value}' to {type} when casting from source column x",
    "duckdb key": 'Constraint Error: Duplicate key "{column}: {number}" violates unique constraint.',
    "sqlserver column": (
        "('42S22', \"[42S22] [Microsoft][ODBC Driver {driver} for SQL Server][SQL Server]Invalid column name "
        "'{column}'. (207) (SQLExecDirectW)\")"
    ),
    "fabric relation": (
        "('42S02', \"[42S02] [Microsoft][ODBC Driver {driver} for SQL Server][SQL Server]Invalid object name "
        "'{database}.{schema}.{relation}'. (208) (SQLExecDirectW)\")"
    ),
    "synapse token": (
        "('42000', \"[42000] [Microsoft][ODBC Driver {driver} for SQL Server][SQL Server]Incorrect syntax near "
        "'{token}'. (102) (SQLExecDirectW)\")"
    ),
    "sqlserver value": (
        "('22018', \"[22018] [Microsoft][ODBC Driver {driver} for SQL Server][SQL Server]Conversion failed when "
        "converting the varchar value '{value}' to data type {type}. (245) (SQLExecDirectW)\")"
    ),
    "athena column": (
        "COLUMN_NOT_FOUND: line {line}:{pos}: Column '{column}' cannot be resolved or requester is not authorized to "
        "access requested resources"
    ),
    "trino relation": (
        'TrinoUserError(type=USER_ERROR, name=TABLE_NOT_FOUND, message="line {line}:{pos}: Table '
        "'{database}.{schema}.{relation}' does not exist\", query_id={trino})"
    ),
    "trino column type": (
        'TrinoUserError(type=USER_ERROR, name=COLUMN_TYPE_UNKNOWN, message="line {line}:{pos}: Column type is '
        'unknown: {column}", query_id={trino})'
    ),
    "dbt macro": (
        "'{name}' is undefined. This can happen when calling a macro that does not exist. Check for typos and/or "
        'install package dependencies with "dbt deps".\n\n> in macro {other} (macros/{other}.sql)\n'
        "> called by model {alias} (models/{alias}.sql)"
    ),
    "dbt ref": "Model 'model.shop.fct' (models/fct.sql) depends on a node named '{name}' which was not found",
    "dbt contract": (
        "This model has an enforced contract that failed.\nPlease ensure the name, data_type, and number of columns in "
        "your contract match the columns in your model's definition.\n\n"
        "| column_name | definition_type | contract_type | mismatch_reason |\n| --- | --- | --- | --- |\n"
        "| {column} | TEXT | INT | data type mismatch |"
    ),
    "fusion column": (
        "error: dbt0227: No column {COLUMN} found. Available are {alias}.{other}, {other} ..(and {rows} more)\n"
        "  --> models/fct.sql:{line}:{pos} (target/compiled/models/fct.sql:{line}:{pos})"
    ),
}
TELLING = {"column", "COLUMN", "relation", "RELATION", "name", "token", "type"}

_WORD = st.one_of(
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8),
    # Names that are words of messages or of SQL.
    st.sampled_from(["value", "schema", "date", "line", "type", "table", "column", "order", "source", "time", "key"]),
)
# A name that says an error by itself, such as deadlock_2, is a matter of classification.
NAMES = (
    st.tuples(st.lists(_WORD, min_size=1, max_size=3), st.sampled_from(["", "_1", "_2", "_2024"]))
    .map(lambda drawn: "_".join(drawn[0]) + drawn[1])
    .filter(lambda name: builtin().recognise(name) is None)
)
_NUMBERS = st.integers(0, 10**9)
MOVING: dict[str, st.SearchStrategy[Any]] = {
    "uuid": st.uuids(),
    "line": st.integers(1, 9999),
    "pos": st.integers(0, 999),
    "rows": st.integers(1, 10**7),
    "number": _NUMBERS,
    "driver": st.sampled_from([17, 18]),
    # A database called as dbt calls its resources looks like the id of one, and keeps its schemas.
    "database": NAMES.filter(
        lambda name: name not in {"model", "source", "snapshot", "seed", "test", "macro", "metric"}
    ),
    "schema": st.one_of(NAMES, st.integers(1, 9999).map("dbt_cloud_pr_{}_77".format)),
    "stamp": st.datetimes().map(lambda at: at.strftime("%Y%m%d%H%M%S%f").zfill(20)),
    "day": st.dates(min_value=datetime(2015, 1, 1).date()).map(lambda day: day.strftime("%Y%m%d")),
    "day_of_month": st.dates(),
    "address": st.sampled_from(["alice@example.com", "dbt-prod@acme-prod.iam.gserviceaccount.com"]),
    "trino": st.builds(
        "{}_{:06d}_{:05d}_{}".format,
        st.dates(min_value=datetime(2015, 1, 1).date()).map(lambda day: day.strftime("%Y%m%d")),
        st.integers(0, 235959),
        st.integers(0, 99999),
        st.text("abcdefghijkmnpqrstuvwxyz23456789", min_size=5, max_size=5),
    ),
    "value": st.text("abcXYZ0123456789 .,/-:é€#%", min_size=1, max_size=30),
    "other": NAMES,
    "alias": NAMES,
}
_TOKENS = st.one_of(NAMES, st.sampled_from([")", "(", ",", ";", "<EOF>", "=", "::"]))
_TYPES = st.sampled_from(
    ["integer", "bigint", "date", "double", "boolean", "varchar(3)", "varchar(256)", "numeric(9,2)"]
)


def failure_of(message: str, **given: Any) -> Failure:
    """A failure of one model; only what ``given`` says is different."""
    values: dict[str, Any] = {
        "project": "shop",
        "environment": "Production",
        "job_id": "1",
        "run_id": "1",
        "run_url": "",
        "step": 1,
        "kind": FailureKind.MODEL,
        "unique_id": "model.shop.fct",
        "happened_at": datetime(2026, 1, 1, tzinfo=timezone.utc),
        **given,
    }
    return Failure(message=message, **values)


def fingerprint_of(message: str, **given: Any) -> str:
    failure = failure_of(message, **given)
    return fingerprint(failure, classify(failure, None))


def slots(template: str) -> list[str]:
    return sorted({name for _, name, _, _ in Formatter().parse(template) if name})


@st.composite
def told(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """What a template's message tells."""
    chosen: dict[str, Any] = {}
    for slot in slots(TEMPLATES[name]):
        if slot in TELLING:
            drawn = draw({"token": _TOKENS, "type": _TYPES}.get(slot, NAMES))
            chosen[slot] = drawn.upper() if slot.isupper() else drawn
    return chosen


def moved(draw: st.DrawFn, name: str, telling: dict[str, Any]) -> str:
    """A message of a template: what it tells is given, everything else is drawn."""
    template = TEMPLATES[name]
    chosen = {slot: draw(MOVING[slot]) for slot in slots(template) if slot in MOVING}
    lines = template.format(**telling, **chosen).split("\n")
    colour = draw(st.sampled_from(["", "\x1b[31m", "\x1b[1;33m"]))
    painted = "\n".join(f"{colour}{line}\x1b[0m" if colour else line for line in lines)
    header = draw(
        st.sampled_from(
            [
                "Database Error in model fct (models/fct.sql)\n  ",
                "Runtime Error in model fct (models\\fct.sql)\n  ",
                "Database Error\n",
            ]
        )
    )
    footer = draw(
        st.sampled_from(
            ["", "\n  compiled SQL at target/run/fct.sql", "\n  compiled code at /builds/x/target/run/models/fct.sql"]
        )
    )
    message = header + painted + footer
    if draw(st.booleans()):
        message = message.replace("\n", "\r\n")
    if draw(st.booleans()):
        message = message.replace(" ", "\u00a0", 3)
    return message


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_only_moves_never_changes_the_fingerprint(name: str, data: st.DataObject) -> None:
    telling = data.draw(told(name))
    draw: Any = data.draw
    one, other = moved(draw, name, telling), moved(draw, name, telling)
    assert fingerprint_of(one) == fingerprint_of(other)


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_another_column_relation_macro_token_or_type_always_changes_the_fingerprint(
    name: str, data: st.DataObject
) -> None:
    one, other = data.draw(told(name)), data.draw(told(name))
    assume(one != other)
    draw: Any = data.draw
    assert fingerprint_of(moved(draw, name, one)) != fingerprint_of(moved(draw, name, other))


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_another_node_project_or_environment_always_changes_the_fingerprint_of_a_node_s_failure(
    name: str, data: st.DataObject
) -> None:
    draw: Any = data.draw
    message = moved(draw, name, data.draw(told(name)))
    of_one = fingerprint_of(message)
    assert fingerprint_of(message, unique_id="model.shop.other") != of_one
    assert fingerprint_of(message, project="finance") != of_one
    assert fingerprint_of(message, environment="Staging") != of_one


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["warn", "fail"]))
def test_a_test_that_finds_rows_is_one_cause_however_many_they_are(few: int, many: int, outcome: str) -> None:
    of_test: dict[str, Any] = {"kind": FailureKind.TEST, "unique_id": "test.shop.unique_fct_id.0a1b2c3d4e"}
    one = fingerprint_of(f"Got {few} results, configured to fail if != 0", failures=few, **of_test)
    assert one == fingerprint_of(f"Got {many} results, configured to {outcome} if != 0", failures=many, **of_test)
    of_test["unique_id"] = "test.shop.unique_fct_key.0a1b2c3d4e"
    assert one != fingerprint_of(f"Got {few} results, configured to fail if != 0", failures=few, **of_test)


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_the_signature_of_a_message_s_signature_is_itself(name: str, data: st.DataObject) -> None:
    draw: Any = data.draw
    once = signature(moved(draw, name, data.draw(told(name))))
    assert signature(once) == once


@given(st.one_of(st.text(), st.text("ab1 0'\"`.:/\\-_|[](){}<>#=\n", max_size=80)))
@settings(max_examples=400, deadline=None)
def test_the_signature_of_any_text_s_signature_is_itself(text: str) -> None:
    once = signature(text)
    assert signature(once) == once


@given(NAMES)
def test_a_lasting_name_lasts(name: str) -> None:
    assert lasting_name(lasting_name(f"a.b.{name}")) == lasting_name(name) == name


_HOSTILE = [
    *"a1.'\"`[](){}/\\-_: \n\t#|=@$<é\x1b",
    *("a.", "a/", "a-", "a:", "0 ", "'a", "'a'b", '"a: ', "a@b.c.", "1,", "1.", "0x", "\x1b[", "\x1b]8;"),
    *("line 1 ", "schema ", "value: ", "for type ", "values=(", "contains [", "__dbt_tmp_", "error in a b (", "at a("),
    *(
        "traceback (\n",
        "00000000-0000-0000-0000-",
        "job id=.",
        "did you mean ",
        "unexpected ",
        "char(1,",
        "2024-01-01 ",
    ),
]


@pytest.mark.parametrize("repeated", _HOSTILE, ids=map(repr, _HOSTILE))
@pytest.mark.parametrize("start", ["", 'column "', "value '"])
def test_a_megabyte_of_hostile_text_costs_less_than_a_second(start: str, repeated: str) -> None:
    text = start + repeated * (1_000_000 // len(repeated))
    in_lines = "\n".join([text[:1_990]] * 500)
    began = time.perf_counter()
    told_of = [signature(text), signature(in_lines), lasting_name(text)]
    assert time.perf_counter() - began < 1
    assert max(map(len, told_of)) < 20_000


CONTACTS = GraphNode("source.shop.crm.contacts", "contacts", "source", relation_name='"raw"."crm"."contacts"')
OTHERS = GraphNode("source.shop.shop.contacts", "contacts", "source", relation_name='"raw"."shop"."contacts"')
READER = GraphNode(
    "model.shop.fct", "fct", "model", depends_on=("source.shop.crm.contacts", "source.shop.shop.contacts")
)


@pytest.mark.parametrize(
    "message",
    [
        'relation "{}.contacts" does not exist',
        "Insufficient privileges to operate on table 'RAW.{}.CONTACTS'",
    ],
)
def test_of_two_relations_of_one_name_the_lineage_tells_which_is_meant(message: str) -> None:
    graph = ProjectGraph("shop", "postgres", {node.unique_id: node for node in (CONTACTS, OTHERS, READER)})

    def of_schema(schema: str) -> str:
        failure = failure_of(message.format(schema))
        return fingerprint(failure, classify(failure, READER), READER, graph)

    assert of_schema("crm") != of_schema("shop")
    # Neither of them: schemas that the lineage does not know are the environment's.
    assert of_schema("dev_alice") == of_schema("dev_bob")


# A fingerprint that changes orphans the issues that carry it: whoever changes one of these does it on purpose.
PINNED = [
    ("invalid identifier 'O.CUSTOMER_KEY'", {}, "edf17339d12829f6"),
    ("Object 'PROD.ANALYTICS.STG_PAYMENTS' does not exist or not authorized.", {}, "f0405e31e805923f"),
    ("Unrecognized name: visitor_idd; Did you mean visitor_id? at [14:9]", {}, "76c04c264f84e028"),
    ("Not found: Table acme-prod:raw.events_20240501 was not found in location US", {}, "8da9c94a9ab4f56c"),
    ("value too long for type character varying(256)", {}, "f776af1d661beb67"),
    ("[PARSE_SYNTAX_ERROR] Syntax error at or near 'form'. SQLSTATE: 42601 (line 9, pos 0)", {}, "0c3f4d77d04dfa48"),
    ('invalid input syntax for type date: "tbd"', {}, "2a539419fdb6344f"),
    ('Binder Error: Referenced column "full_nam" not found in FROM clause!', {}, "f072a99a9aed286b"),
    ("deadlock detected", {}, "60856e7ddc0d45da"),
    ("could not connect to server: Connection refused", {}, "79d5b7187df11d3a"),
    (
        "Env var required but not provided: 'START_DATE'",
        {"kind": FailureKind.COMPILE, "unique_id": None},
        "a6e9bdc914b6a967",
    ),
    (
        "Got 3 results",
        {"kind": FailureKind.TEST, "unique_id": "test.shop.unique_fct_id.0a1b2c3d4e", "failures": 3},
        "67754dba884c849c",
    ),
    (
        "max loaded_at 2026-01-01",
        {"kind": FailureKind.SOURCE_FRESHNESS, "unique_id": "source.shop.raw.ads"},
        "eb29e270bf1cdbbc",
    ),
    (
        "permission denied for table users",
        {"kind": FailureKind.HOOK, "unique_id": "operation.shop.shop-on-run-end-0"},
        "51bf7760d02a0d8e",
    ),
]


@pytest.mark.parametrize(("message", "given", "pinned"), PINNED, ids=[one[2] for one in PINNED])
def test_a_fingerprint_that_issues_may_carry_stays_as_it_is(message: str, given: dict[str, Any], pinned: str) -> None:
    assert fingerprint_of(message, **given) == pinned


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Insufficient privileges to operate on table 'CONTACTS'",
            "insufficient privileges to operate on table contacts",
        ),
        ("Numeric value 'ABC' is not recognized", "numeric value <value> is not recognized"),
        ("String 'Garden chair, it's green' is too long", "string <value> is too long"),
        ("Syntax error at or near 'form'.", "syntax error at or near form"),
        ('syntax error at or near ";"', "syntax error at or near ;"),
        ('invalid input syntax for type integer: "ABC"', "invalid input syntax for type integer: <value>"),
        ("Bad int64 value: 12,5", "bad int64 value: <value>"),
        ('relation "raw"."users" already exists', "relation users already exists"),
        ("permission denied for schema dev_alice", "permission denied for schema <environment>"),
        (
            "Field address_line_2 of type varchar(20) has 21 characters",
            "field address_line_2 of type varchar(20) has # characters",
        ),
        ("Peak usage: 128% of 7.98GB at 2024-05-01T03:12:44Z", "peak usage: #% of # at #"),
        (
            "FileNotFound: s3://lake/raw/ads/part-00012-0c1f8f8e-5f2c-4d9f-8f50-d2b4a1e0a111-c000.csv",
            "filenotfound: ads/part-#--c000.csv",
        ),
        (
            'Traceback (most recent call last):\n  File "udf.py", line 31, in main\n    x = a - b\n'
            "TypeError: unsupported operand",
            "typeerror: unsupported operand",
        ),
    ],
)
def test_what_tells_the_cause_stays_and_what_only_moves_goes(message: str, told: str) -> None:
    assert signature(message) == told
