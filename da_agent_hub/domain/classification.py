"""What kind of failure it is, and so who or what must act: from the test's specification first, the message second."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .dbt import GraphNode
from .error_record import Category
from .failure import Failure, FailureKind
from .message_patterns import matched

# error class -> (category, complexity 1-10); a class that is not here is code to be fixed.
_CLASSES: dict[str, tuple[Category, int]] = {
    "duplicate_keys": (Category.DATA_QUALITY, 4),
    "duplicate_merge_keys": (Category.DATA_QUALITY, 5),
    "null_values": (Category.DATA_QUALITY, 3),
    "unexpected_values": (Category.DATA_QUALITY, 2),
    "orphan_rows": (Category.DATA_QUALITY, 4),
    "row_condition": (Category.DATA_QUALITY, 4),
    "custom_test": (Category.DATA_QUALITY, 4),
    "stale_source": (Category.DATA_QUALITY, 4),
    "invalid_value": (Category.DATA_QUALITY, 4),
    "division_by_zero": (Category.DATA_QUALITY, 3),
    "statement_timeout": (Category.TRANSIENT, 5),
    "lock_conflict": (Category.TRANSIENT, 4),
    "connection_lost": (Category.TRANSIENT, 3),
    "rate_limited": (Category.TRANSIENT, 3),
    "run_cancelled": (Category.TRANSIENT, 2),
    "run_timed_out": (Category.TRANSIENT, 5),
    "run_not_started": (Category.INFRASTRUCTURE, 4),
    "missed_run": (Category.INFRASTRUCTURE, 4),
    "out_of_memory": (Category.INFRASTRUCTURE, 6),
    "out_of_disk": (Category.INFRASTRUCTURE, 5),
    "authentication_failed": (Category.INFRASTRUCTURE, 3),
    "permission_denied": (Category.INFRASTRUCTURE, 3),
    "quota_exceeded": (Category.INFRASTRUCTURE, 3),
    "missing_database": (Category.INFRASTRUCTURE, 4),
    "invalid_profile": (Category.INFRASTRUCTURE, 3),
    "git_failed": (Category.INFRASTRUCTURE, 3),
    "step_failed": (Category.INFRASTRUCTURE, 5),
    "unreadable_run": (Category.INFRASTRUCTURE, 5),
    "unknown_status": (Category.INFRASTRUCTURE, 2),
    "unknown_error": (Category.INFRASTRUCTURE, 5),
    "missing_column": (Category.CODE_FIX, 3),
    "missing_relation": (Category.CODE_FIX, 3),
    "unknown_ref": (Category.CODE_FIX, 2),
    "unknown_macro": (Category.CODE_FIX, 2),
    "invalid_yaml": (Category.CODE_FIX, 2),
    "type_mismatch": (Category.CODE_FIX, 4),
    "syntax_error": (Category.CODE_FIX, 2),
    "compile_error": (Category.CODE_FIX, 3),
    "ambiguous_column": (Category.CODE_FIX, 2),
    "unit_test_mismatch": (Category.CODE_FIX, 4),
    "contract_violation": (Category.CODE_FIX, 4),
    "dependency_cycle": (Category.CODE_FIX, 5),
}

_TESTS = {
    "unique": "duplicate_keys",
    "dbt_utils.unique_combination_of_columns": "duplicate_keys",
    "dbt_expectations.expect_column_values_to_be_unique": "duplicate_keys",
    "dbt_expectations.expect_compound_columns_to_be_unique": "duplicate_keys",
    "not_null": "null_values",
    "dbt_utils.not_null_proportion": "null_values",
    "dbt_utils.not_empty_string": "null_values",
    "dbt_expectations.expect_column_values_to_not_be_null": "null_values",
    "accepted_values": "unexpected_values",
    "dbt_expectations.expect_column_values_to_be_in_set": "unexpected_values",
    "dbt_utils.accepted_range": "row_condition",
    "dbt_utils.expression_is_true": "row_condition",
    "relationships": "orphan_rows",
    "dbt_utils.relationships_where": "orphan_rows",
    "dbt_utils.recency": "stale_source",
    "dbt_expectations.expect_row_values_to_have_recent_data": "stale_source",
    "singular": "row_condition",
    "unit_test": "unit_test_mismatch",
}
# What a test's unique id starts with where no manifest is at hand.
_TEST_PREFIXES = {
    "unique_": "duplicate_keys",
    "not_null_": "null_values",
    "accepted_values_": "unexpected_values",
    "relationships_": "orphan_rows",
    "source_unique_": "duplicate_keys",
    "source_not_null_": "null_values",
    "source_accepted_values_": "unexpected_values",
    "source_relationships_": "orphan_rows",
}

# One outage hits whatever node happens to run, and a newer dbt uses its new status everywhere: no node is the cause.
OUTAGES = frozenset(
    {"connection_lost", "authentication_failed", "rate_limited", "quota_exceeded", "out_of_disk", "unknown_status"}
)
# These may hit several nodes of one run from one cause, but also one node for its own.
CONTENTION = frozenset({"lock_conflict", "statement_timeout", "out_of_memory"})

# How dbt begins what it tells of an error; a late source has none.
_DBT_ERROR = re.compile(r"\s*\w+ Error\b")


@dataclass(frozen=True)
class Classification:
    """The class with what it follows from; ``about`` is the column or relation that the message or test names."""

    error_class: str
    category: Category
    rule: str
    confidence: float
    complexity: int
    about: str | None = None


def classify(failure: Failure, node: GraphNode | None) -> Classification:
    """Decide class and category of one failure; ``node`` is the failing node where the lineage holds it."""
    is_late = failure.kind is FailureKind.SOURCE_FRESHNESS and not _DBT_ERROR.match(failure.message)
    if is_late and matched(failure.message) is None:
        return _as("stale_source", "the source is older than its freshness limit", 0.95)
    if failure.kind is FailureKind.CANCELLED:
        return _as("run_cancelled", "the run was cancelled", 0.6)
    if failure.kind is FailureKind.TIMED_OUT:
        return _as("run_timed_out", "the run was ended because it took too long", 0.8)
    if failure.kind is FailureKind.MISSED_RUN:
        return _as("missed_run", "no run of the job came when its schedule said so", 0.95)
    if failure.kind is FailureKind.UNREADABLE:
        return _as("unreadable_run", "what dbt left of the run could not be read", 0.5)
    if failure.kind is FailureKind.UNKNOWN_STATUS:
        return _as("unknown_status", "dbt gave a status that is not known", 0.5)
    if failure.kind is FailureKind.UNIT_TEST and found_rows(failure):
        return _as("unit_test_mismatch", "a unit test's rows differ from what it expects", 0.9)
    if failure.kind is FailureKind.TEST and found_rows(failure):
        return _of_test(failure, node)
    found = matched(failure.message)
    if found is not None:
        error_class, about = found
        return _as(error_class, f"the message says {_words(error_class)}", 0.85, _clean(about))
    if failure.kind is FailureKind.COMPILE:
        return _as("compile_error", "dbt could not compile the project", 0.7)
    if failure.kind is FailureKind.NOT_STARTED:
        return _as("run_not_started", "the run ended before its first step", 0.6)
    if failure.unique_id is None:
        return _as("step_failed", "a step failed and its log names no known error", 0.4)
    return _as("unknown_error", "no known pattern matches the message", 0.3)


def found_rows(failure: Failure) -> bool:
    """Whether a test ran and found rows; one that could not be run at all has a message of the warehouse instead."""
    return failure.failures is not None or not failure.message or failure.message.startswith("Got ")


def _of_test(failure: Failure, node: GraphNode | None) -> Classification:
    test = node.test if node else None
    if test is not None:
        error_class = _TESTS.get(test.name, "custom_test")
        about = test.column or _combined(test.arguments.get("combination_of_columns"))
        return _as(error_class, f"the test {test.name} found rows", 0.9 if error_class != "custom_test" else 0.6, about)
    name = (failure.unique_id or "").split(".")[-2:][0]
    for prefix, error_class in _TEST_PREFIXES.items():
        if name.startswith(prefix):
            return _as(error_class, f"the test's name starts with {prefix.rstrip('_')}", 0.7)
    return _as("custom_test", "a test found rows, and no manifest says what it asserts", 0.4)


def _as(error_class: str, rule: str, confidence: float, about: str | None = None) -> Classification:
    category, complexity = _CLASSES.get(error_class, (Category.CODE_FIX, 4))
    return Classification(error_class, category, rule, confidence, complexity, about)


def _combined(columns: object) -> str | None:
    return ",".join(map(str, columns)) if isinstance(columns, (list, tuple)) else None


def _clean(about: str | None) -> str | None:
    return about.strip("\"'`[]").replace('"', "").replace("`", "").lower() if about else None


def _words(error_class: str) -> str:
    return error_class.replace("_", " ")
