from __future__ import annotations

import json

from da_agent_hub.domain.step_log import last_lines, located, logged_errors, unfinished_nodes

UNKNOWN_REF = """\
\x1b[0m13:54:19  Running with dbt=1.11.16
\x1b[0m13:54:21  Encountered an error:
Compilation Error
  Model 'model.shop.b' (models/b.sql) depends on a node named 'nope' which was not found
"""
BAD_YAML = """\
13:54:29  Encountered an error:
Parsing Error
  Error reading shop: marts/_marts.yml - Runtime Error
    Syntax error near line 5
    ------------------------------
    2  | models:
"""
NO_DATABASE = """\
13:54:44  Encountered an error:
IO Error: Cannot open file "/data/shop.duckdb": No such file or directory
13:54:44  Traceback (most recent call last):
  File "duckdb/environments/__init__.py", line 164, in initialize_db
"""
FAILED_MODEL = """\
\x1b[0m13:54:38  \x1b[31mFailure in model b (models/b.sql)\x1b[0m
\x1b[0m13:54:38    Runtime Error in model b (models/b.sql)
  Binder Error: Referenced column "nope" not found in FROM clause!

  LINE 5:     select nope from "shop"."main"."a"
\x1b[0m13:54:38
\x1b[0m13:54:38    compiled code at target/compiled/shop/models/b.sql
"""
DEBUG_LOG = """\
13:54:21.123456 [error] [MainThread]: Encountered an error:
Compilation Error in model b (models/b.sql)
  Unexpected end of template. Jinja was looking for the following tags: 'endif'.
    line 3
      select 1
13:54:21.200000 [debug] [MainThread]: Command `dbt build` failed
"""


def test_an_error_that_stopped_dbt_is_told_with_its_file_and_line() -> None:
    (error,) = logged_errors(UNKNOWN_REF)
    assert (error.stopped_dbt, error.path, error.line) == (True, "models/b.sql", None)
    assert error.message.startswith("Compilation Error\n  Model 'model.shop.b'")
    (error,) = logged_errors(BAD_YAML)
    assert (error.path, error.line) == ("marts/_marts.yml", 5)
    (error,) = logged_errors(DEBUG_LOG)
    assert (error.stopped_dbt, error.path, error.line) == (True, "models/b.sql", 3)
    assert "Command `dbt build`" not in error.message


def test_a_traceback_is_no_part_of_the_message() -> None:
    (error,) = logged_errors(NO_DATABASE)
    assert error.message == 'IO Error: Cannot open file "/data/shop.duckdb": No such file or directory'


def test_a_failed_node_is_told_once_with_its_name_and_the_line_of_compiled_sql_is_not_taken_for_one_of_its_file() -> (
    None
):
    (error,) = logged_errors(FAILED_MODEL)
    assert (error.stopped_dbt, error.resource, error.name) == (False, "model", "b")
    assert (error.path, error.line) == ("models/b.sql", None)


def test_a_log_without_an_error_gives_its_last_lines() -> None:
    assert logged_errors("13:00:00  Cloning\nfatal: repository not found\n") == ()
    assert (
        last_lines("\x1b[0m13:00:00  Cloning\n\nfatal: repository not found\n")
        == "Cloning\nfatal: repository not found"
    )


def test_windows_paths_become_paths_of_the_repository() -> None:
    assert located("Database Error in model a (models\\staging\\a.sql)\n  oops")[0] == "models/staging/a.sql"


UNKNOWN_OPERATION = """\
22:07:55  Encountered an error while running operation: Runtime Error
  dbt could not find a macro with the name "nosuch" in any package
22:07:55  Encountered an error:
Compilation Error
  dbt could not find a macro with the name 'nosuch' in any package. This can happen when calling a macro
"""
FUSION = """\
dbt-fusion 2.0.0-preview.3
   Loading profiles.yml
error: dbt0227: No column NAME_OF found. Available are O.ID, O.TOTAL
  --> models/orders.sql:12:5 (target/compiled/models/orders.sql:14:5)
error: dbt1005: Found duplicate project
  --> models/orders.sql:20:1
  Finished 'compile'  with 2 errors in 2s 500ms
"""
FUSION_HOOK = """\
error: dbt1501: Failed to render SQL invalid operation: AdapterError: Syntax error: Unexpected end of statement
(in <RUN_OPERATION>:1:9)
(in dbt_internal_packages/dbt-adapters/macros/etc/statement.sql:14:35)
  --> <RUN_OPERATION>:1:9
  Finished 'compile'  with 1 error and 1 warning in 2s 500ms
"""


def test_an_operation_that_dbt_does_not_know_is_told_once_and_in_full() -> None:
    (error,) = logged_errors(UNKNOWN_OPERATION)
    assert (error.in_hook, error.stopped_dbt) == (True, True)
    assert "This can happen" in error.message


def test_a_macro_that_failed_in_an_operation_is_told_with_its_file() -> None:
    (error,) = logged_errors(
        "22:07:48  Encountered an error while running operation: Compilation Error in macro bad (macros/m.sql)\n"
        "  no good\n  \n  > in macro bad (macros/m.sql)\n"
    )
    assert (error.in_hook, error.path, error.message.splitlines()[1]) == (True, "macros/m.sql", "  no good")


def test_each_error_of_fusion_is_told_with_its_place_and_without_what_follows() -> None:
    first, second = logged_errors(FUSION)
    assert (first.path, first.line, second.line) == ("models/orders.sql", 12, 20)
    assert first.message.startswith("error: dbt0227: No column NAME_OF")
    assert [first.in_hook, second.in_hook] == [False, False]
    assert "Finished" not in second.message


def test_a_hook_that_fusion_could_not_run_is_one_and_no_file_of_dbt_s_own_is_named_for_it() -> None:
    (error,) = logged_errors(FUSION_HOOK)
    assert (error.in_hook, error.stopped_dbt, error.path) == (True, True, None)


def test_a_log_of_json_says_the_same_as_one_of_text() -> None:
    said = [
        "1 of 2 START sql table model main.orders ..... [RUN]",
        "Database error while running on-run-end",
        "\x1b[31mEncountered an error:\nDatabase Error\n  permission denied for schema audit\x1b[0m",
        "Done. PASS=0",
    ]
    since = "\n".join(json.dumps({"data": {}, "info": {"level": "error", "msg": one}}) for one in said)
    before = "\n".join(json.dumps({"code": "Z001", "level": "error", "msg": one}) for one in said)
    text = "\n".join(f"12:00:00  {one}" for one in said)
    assert logged_errors(since) == logged_errors(before) == logged_errors(text)
    (error,) = logged_errors(since)
    assert (error.in_hook, error.message) == (True, "Database Error\n  permission denied for schema audit")
    assert unfinished_nodes(since) == ("sql table model main.orders",)
    assert last_lines(since, 1) == "Done. PASS=0"


def test_what_only_looks_like_json_is_read_as_it_stands() -> None:
    odd = '{"msg": 3}\n{not json\n[1]\n{"info": "x"}'
    assert last_lines(odd) == odd
