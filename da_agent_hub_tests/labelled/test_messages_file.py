"""The labelled messages are well formed: their content is read by whoever measures the rules."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parent / "messages"
FAMILIES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
MESSAGES = [
    {"family": family, **entry}
    for family in FAMILIES
    for entry in yaml.safe_load((FOLDER / f"{family}.yaml").read_text(encoding="utf-8"))
]
CATEGORIES = {
    "transient_failure",
    "code_fix_required",
    "data_quality_issue",
    "infrastructure_issue",
    "false_positive",
}
EXPERTS = {
    "dbt-expert",
    "snowflake-expert",
    "tableau-expert",
    "dlthub-expert",
    "business-context",
    "da-architect",
}
KINDS = {
    "model",
    "seed",
    "snapshot",
    "test",
    "unit_test",
    "freshness",
    "hook",
    "operation",
    "parse",
    "compile",
    "connection",
    "step",
}
ERROR_CLASSES = {
    "duplicate_keys",
    "duplicate_merge_keys",
    "null_values",
    "unexpected_values",
    "orphan_rows",
    "row_condition",
    "custom_test",
    "stale_source",
    "invalid_value",
    "division_by_zero",
    "statement_timeout",
    "lock_conflict",
    "connection_lost",
    "rate_limited",
    "run_cancelled",
    "out_of_memory",
    "out_of_disk",
    "authentication_failed",
    "permission_denied",
    "quota_exceeded",
    "missing_database",
    "invalid_profile",
    "git_failed",
    "step_failed",
    "unreadable_run",
    "missing_column",
    "missing_relation",
    "unknown_ref",
    "unknown_macro",
    "invalid_yaml",
    "type_mismatch",
    "syntax_error",
    "compile_error",
    "ambiguous_column",
    "unit_test_mismatch",
    "contract_violation",
    "dependency_cycle",
    "package_failed",
    "schema_changed",
    "string_too_long",
    "numeric_overflow",
    "other",
}
REQUIRED = {
    "id",
    "part",
    "adapter",
    "kind",
    "origin",
    "source",
    "error_class",
    "category",
    "expert",
    "message",
}
OPTIONAL = {"also", "also_expert", "test", "node", "note"}


def test_no_two_messages_share_an_id() -> None:
    repeated = [name for name, count in Counter(m["id"] for m in MESSAGES).items() if count > 1]
    assert repeated == []


def test_no_two_messages_are_the_same_text_on_the_same_kind_of_node() -> None:
    seen = Counter((m["message"], m["kind"], m.get("test"), m.get("node"), m["adapter"]) for m in MESSAGES)
    assert [key for key, count in seen.items() if count > 1] == []


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message["id"]))
def test_an_entry_has_the_fields_and_words_that_the_readme_explains(
    message: dict[str, object],
) -> None:
    fields = set(message) - {"family"}
    assert fields >= REQUIRED
    assert fields <= REQUIRED | OPTIONAL
    assert message["part"] in {"first", "second"}
    assert message["origin"] in {"quoted", "provoked", "realistic"}
    assert message["kind"] in KINDS
    assert message["error_class"] in ERROR_CLASSES
    assert message["expert"] in EXPERTS
    assert message["category"] in CATEGORIES
    also, also_expert = message.get("also", []), message.get("also_expert", [])
    assert isinstance(also, list)
    assert set(also) <= CATEGORIES - {message["category"]}
    assert isinstance(also_expert, list)
    assert set(also_expert) <= EXPERTS - {message["expert"]}
    assert str(message["message"]).strip()
    assert str(message["source"]).strip()


def test_every_warehouse_family_is_represented() -> None:
    assert set(FAMILIES) == {
        "athena_trino",
        "bigquery",
        "databricks",
        "dbt",
        "duckdb",
        "postgres",
        "redshift",
        "snowflake",
        "sqlserver",
    }


def test_there_are_enough_messages_to_measure_a_rule_on_each_family() -> None:
    counts = Counter(message["family"] for message in MESSAGES)
    assert {family: n for family, n in counts.items() if n < 20} == {}
    assert counts["dbt"] >= 40
    assert len(MESSAGES) >= 240


def test_a_third_of_the_messages_was_labelled_first_in_every_family() -> None:
    first = Counter(message["family"] for message in MESSAGES if message["part"] == "first")
    assert {family for family in FAMILIES if first[family] < 8} == set()
    assert first.total() >= 80


def test_a_quoted_message_can_be_found_again_by_the_number_of_its_thread() -> None:
    quoted = [message for message in MESSAGES if message["origin"] == "quoted"]
    assert [m["id"] for m in quoted if not re.search(r"(#|topic )\d+", str(m["source"]))] == []
