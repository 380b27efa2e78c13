from __future__ import annotations

import pytest

from da_agent_hub.adapters.dbt_step_command import artifacts_of, can_have_written, dbt_commands

RESULTS, SOURCES = ("run_results.json",), ("sources.json",)


@pytest.mark.parametrize(
    ("name", "commands", "files"),
    [
        ("Clone git repository", (), ()),
        ("Create profile from connection dbt Snowflake", (), ()),
        ("Invoke dbt with `dbt deps`", ("deps",), ()),
        ("Invoke dbt with `dbt build --select +orders`", ("build",), RESULTS),
        ("Invoke dbt with `dbt run --select tag:test test_orders`", ("run",), RESULTS),
        ("Invoke dbt with `dbt build --exclude resource_type:test source:raw`", ("build",), RESULTS),
        ("Invoke dbt with `dbt --log-level debug build`", ("build",), RESULTS),
        ("Invoke dbt with `dbt --warn-error --target=clean run`", ("run",), RESULTS),
        ("Invoke dbt with `dbt -t docs test`", ("test",), RESULTS),
        ("Invoke dbt with `dbt source freshness --select source:raw`", ("source freshness",), SOURCES),
        ("Invoke dbt with `dbt source snapshot-freshness`", ("source snapshot-freshness",), SOURCES),
        ("Invoke dbt with `dbt docs generate`", ("docs generate",), ()),
        ("Invoke dbt with `dbt retry`", ("retry",), RESULTS),
        ("Invoke dbt with `dbt clone --state prod`", ("clone",), RESULTS),
        ("Invoke dbt with `dbt run-operation build --args '{a: `b`}'`", ("run-operation",), RESULTS),
        ("Invoke dbt with `dbt snapshot`", ("snapshot",), RESULTS),
        ("Invoke dbt with `dbt seed --full-refresh`", ("seed",), RESULTS),
        ("Invoke dbt with `dbtf build`", ("build",), RESULTS),
        ("Invoke dbt with `dbt deps && dbt build`", ("deps", "build"), RESULTS),
        ("Invoke dbt with `dbt source freshness; dbt build`", ("source freshness", "build"), SOURCES + RESULTS),
        ("Invoke dbt with `DBT_X=1 uv run dbt test`", ("test",), RESULTS),
        ('Invoke dbt with `dbt build --vars \'{"a": 1`', ("build",), RESULTS),
        ("Invoke dbt with `dbt a-command-of-tomorrow`", ("a-command-of-tomorrow",), RESULTS),
        ("Invoke dbt with `dbt`", (), ()),
        ("", (), ()),
    ],
)
def test_the_commands_of_a_step_are_told_from_its_name(
    name: str, commands: tuple[str, ...], files: tuple[str, ...]
) -> None:
    assert dbt_commands(name) == commands
    assert artifacts_of(commands) == files


def test_a_build_may_have_checked_sources_where_the_run_says_that_one_did() -> None:
    assert artifacts_of(("build",), with_freshness=True) == RESULTS + SOURCES
    assert artifacts_of(("run",), with_freshness=True) == RESULTS


@pytest.mark.parametrize(
    ("commands", "which", "can"),
    [
        (("build",), "build", True),
        (("build",), "compile", False),
        (("build",), "generate", False),
        (("docs generate", "build"), "generate", False),
        (("retry",), "build", True),
        (("build",), None, True),
        (("build",), "a-word-of-tomorrow", True),
        (("deps", "run", "test"), "test", True),
        (("run-operation",), "run-operation", True),
    ],
)
def test_results_of_another_command_are_told_from_those_of_the_step(
    commands: tuple[str, ...], which: str | None, can: bool
) -> None:
    assert can_have_written(commands, which) is can
