"""The guard refuses what is unsafe or not understood, and lets an ordinary fix through."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from da_agent_hub.domain.patch_guard import Safe, Unreadable, Unsafe, judge_patch

YAML = """
models:
  - name: orders
    columns:
      - name: id
        data_tests:
          - unique
          - not_null
          - accepted_values:
              arguments: {values: [a, b]}
sources:
  - name: raw
    tables:
      - name: t
        freshness: {error_after: {count: 12, period: hour}}
"""
SQL = "{{ config(materialized='table') }}\nselect id, amt from {{ ref('raw') }}\n"
BASE = {
    "models/orders.sql": SQL,
    "models/orders.yml": YAML,
    "tests/positive.sql": "select 1 where false\n",
    "dbt_project.yml": "name: p\nvars: {a: 1}\n",
}


@pytest.fixture
def judged(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Judge the real git diff of some changed files."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    for name, text in BASE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "base")

    def judge(**files: str | None):  # type: ignore[no-untyped-def]
        after = {name.replace("__", "/"): text for name, text in files.items()}
        after = {(name if "." in name else f"{name}.sql"): text for name, text in after.items()}
        return judge_files(after)

    def judge_files(after: dict[str, str | None]):  # type: ignore[no-untyped-def]
        for name, text in after.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        git("add", "-A", "-N", "-f")
        diff = git("diff", "--no-renames", "HEAD")
        return judge_patch(diff, {name: BASE.get(name) for name in after}, after)

    return judge_files


def test_an_ordinary_change_of_a_model_is_safe(judged) -> None:  # type: ignore[no-untyped-def]
    assert judged({"models/orders.sql": SQL.replace("amt", "amount as amt")}) == Safe(("models/orders.sql",))


def test_adding_a_test_or_a_description_is_safe(judged) -> None:  # type: ignore[no-untyped-def]
    text = YAML.replace("          - unique\n", "          - unique\n          - positive\n").replace(
        "- name: id", "- name: id\n        description: key"
    )
    assert isinstance(judged({"models/orders.yml": text}), Safe)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models/orders.yml", YAML.replace("          - unique\n", "")),
        ("models/orders.yml", YAML.replace("[a, b]", "[a, b, c]")),
        ("models/orders.yml", YAML.replace("- unique\n", "- unique: {config: {severity: warn}}\n")),
        ("models/orders.yml", YAML.replace("- unique\n", "- unique: {config: {where: 'id > 3'}}\n")),
        ("models/orders.yml", YAML.replace("- name: orders\n", "- name: orders\n    config: {enabled: false}\n")),
        ("models/orders.yml", YAML.replace("count: 12", "count: 120")),
        ("models/orders.yml", YAML.replace("        freshness: {error_after: {count: 12, period: hour}}\n", "")),
        ("models/orders.yml", YAML.replace("- name: id", "- name: other")),
        ("models/orders.yml", None),
        ("models/orders.sql", None),
        ("models/orders.sql", SQL.replace("materialized='table'", "materialized='table', enabled=false")),
        ("models/orders.sql", SQL + "where false\n"),
        ("models/orders.sql", SQL + "limit 0\n"),
        ("models/orders.sql", SQL + "{% set x = run_query('drop table y') %}\n"),
        ("models/orders.sql", SQL + "-- {{ env_var('TOKEN') }}\n"),
        ("tests/positive.sql", "select 1 where 1 = 0\n"),
        ("tests/positive.sql", None),
        ("TESTS/positive.sql", "select 1\n"),
        ("dbt_project.yml", "name: p\nvars: {a: 1}\non-run-end: ['drop table x']\n"),
        ("dbt_project.yml", "name: p\nvars: {a: 1}\nmodels: {+enabled: false}\n"),
        ("dbt_project.yml", "name: p\nvars: {a: 1}\ntests: {+severity: warn}\n"),
        (".github/workflows/ci.yml", "on: push\n"),
        (".GitHub/workflows/ci.yml", "on: push\n"),
        ("packages.yml", "packages: []\n"),
        ("profiles.yml", "p: {}\n"),
        ("models/.hidden.sql", "select 1\n"),
        ("models/run.py", "print()\n"),
        ("Makefile", "all:\n"),
    ],
)  # fmt: skip
def test_what_weakens_a_test_or_leaves_the_models_is_unsafe(judged, name: str, text: str | None) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(judged({name: text}), Unsafe)


def test_a_changed_variable_in_the_project_file_is_safe(judged) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(judged({"dbt_project.yml": "name: p\nvars: {a: 2}\n"}), Safe)


def test_yaml_that_does_not_parse_is_unreadable_and_not_unsafe(judged) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(judged({"models/orders.yml": "models: [\n"}), Unreadable)


def test_links_and_modes_are_refused() -> None:
    link = "diff --git a/models/a.sql b/models/a.sql\nnew file mode 120000\nindex 0000000..1\n--- /dev/null\n+++ b/models/a.sql\n@@ -0,0 +1 @@\n+/etc/passwd\n"
    assert isinstance(judge_patch(link, {"models/a.sql": None}, {"models/a.sql": "/etc/passwd"}), Unsafe)
    mode = "diff --git a/models/a.sql b/models/a.sql\nold mode 100644\nnew mode 100755\n"
    assert isinstance(judge_patch(mode, {"models/a.sql": "x"}, {"models/a.sql": "x"}), Unsafe)


@pytest.mark.parametrize(
    "path", ["../x.sql", "/etc/x.sql", "models/../../x.sql", "a\\b.sql", "models//x.sql", "C:x.sql"]
)
def test_paths_that_leave_the_checkout_are_refused(path: str) -> None:
    diff = f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"
    assert isinstance(judge_patch(diff, {path: "a"}, {path: "b"}), Unsafe)


def test_a_patch_outside_the_dbt_directory_is_refused() -> None:
    diff = "diff --git a/other/x.sql b/other/x.sql\nindex 1..2 100644\n--- a/other/x.sql\n+++ b/other/x.sql\n@@ -1 +1 @@\n-a\n+b\n"
    assert isinstance(judge_patch(diff, {"other/x.sql": "a"}, {"other/x.sql": "b"}, dbt_directory="dbt"), Unsafe)


def test_renames_quoted_paths_and_empty_diffs_are_not_understood() -> None:
    for diff in (
        "",
        'diff --git "a/x\\n.sql" "b/x\\n.sql"\n',
        "diff --git a/x.sql b/y.sql\nrename from x.sql\nrename to y.sql\n",
        "diff --cc x.sql\n",
    ):
        assert isinstance(judge_patch(diff, {}, {}), Unreadable)


@given(st.text(max_size=400))
def test_no_text_makes_the_guard_crash_or_answer_safe(text: str) -> None:
    assert not isinstance(judge_patch(text, {}, {}), Safe)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["models", "name", "columns", "tests", "data_tests", "config", "severity"]), inner, max_size=4), max_leaves=12))  # fmt: skip
def test_yaml_of_any_shape_is_judged_without_a_crash(document: object) -> None:
    import yaml

    diff = "diff --git a/models/a.yml b/models/a.yml\nindex 1..2 100644\n--- a/models/a.yml\n+++ b/models/a.yml\n@@ -1 +1 @@\n-a\n+b\n"
    text = yaml.safe_dump(document)
    judge_patch(diff, {"models/a.yml": YAML}, {"models/a.yml": text})
    judge_patch(diff, {"models/a.yml": text}, {"models/a.yml": YAML})
