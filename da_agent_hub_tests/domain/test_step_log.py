from __future__ import annotations

from da_agent_hub.domain.step_log import last_lines, located, logged_errors

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
