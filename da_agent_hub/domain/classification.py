"""What kind of failure it is, and so who or what must act: from the test's specification first, the message second."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .dbt import GraphNode
from .error_record import Category
from .failure import Failure, FailureKind
from .taxonomy import Taxonomy, builtin

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
    {
        "connection_lost",
        "unreachable_host",
        "warehouse_not_available",
        "session_expired",
        "authentication_failed",
        "rate_limited",
        "quota_exceeded",
        "out_of_disk",
        "unknown_status",
    }
)
# These may hit several nodes of one run from one cause, but also one node for its own.
CONTENTION = frozenset({"lock_conflict", "statement_timeout", "out_of_memory"})

# Decided by how the run ended, whatever the message says.
_BY_KIND = {
    FailureKind.CANCELLED: ("run_cancelled", "the run was cancelled", 0.6),
    FailureKind.TIMED_OUT: ("run_timed_out", "the run was ended because it took too long", 0.8),
    FailureKind.MISSED_RUN: ("missed_run", "no run of the job came when its schedule said so", 0.95),
    FailureKind.UNREADABLE: ("unreadable_run", "what dbt left of the run could not be read", 0.5),
    FailureKind.UNKNOWN_STATUS: ("unknown_status", "dbt gave a status that is not known", 0.5),
}
# How dbt begins what it tells of an error; a late source has none.
_DBT_ERROR = re.compile(r"\s*\w+ Error\b")
# By the level of the entry that matched: code, sentence, words.
_SURE = (0.9, 0.85, 0.6)


@dataclass(frozen=True)
class Classification:
    """The class with what it follows from; ``about`` is the column or relation that the message or test names."""

    error_class: str
    category: Category
    rule: str
    confidence: float
    complexity: int
    about: str | None = None


def classify(failure: Failure, node: GraphNode | None, taxonomy: Taxonomy | None = None) -> Classification:
    """Decide class and category of one failure; ``node`` is the failing node where the lineage holds it.

    ``taxonomy`` is the package's own where none is given.
    """
    error_class, rule, confidence, about = _decided(failure, node, taxonomy or builtin())
    known = (taxonomy or builtin()).class_named(error_class)
    return Classification(error_class, known.category, rule, confidence, known.complexity, about)


_Decision = tuple[str, str, float, str | None]


def _decided(failure: Failure, node: GraphNode | None, taxonomy: Taxonomy) -> _Decision:
    if failure.kind in _BY_KIND:
        return _of_kind(failure, taxonomy)
    if failure.kind is FailureKind.UNIT_TEST and found_rows(failure):
        return "unit_test_mismatch", "a unit test's rows differ from what it expects", 0.9, None
    if failure.kind is FailureKind.TEST and found_rows(failure):
        return _of_test(failure, node)
    found = taxonomy.recognise(failure.message)
    if failure.kind is FailureKind.SOURCE_FRESHNESS:
        if found is None and not _DBT_ERROR.match(failure.message):
            return "stale_source", "the source is older than its freshness limit", 0.95, None
        if found is not None and found.entry.error_class == "missing_relation":
            # Nothing but the source was asked for: no model's SQL can be what is wrong.
            return "missing_source_table", "the source's own table is not there", 0.85, _clean(found.about)
    if found is not None:
        words = taxonomy.class_named(found.entry.error_class).words
        return found.entry.error_class, f"the message says {words}", _SURE[found.entry.level], _clean(found.about)
    if failure.kind is FailureKind.COMPILE:
        return "compile_error", "dbt could not compile the project", 0.7, None
    if failure.kind is FailureKind.CONNECTION:
        return "connection_lost", "dbt could not reach the warehouse", 0.5, None
    if failure.kind is FailureKind.NOT_STARTED:
        return "run_not_started", "the run ended before its first step", 0.6, None
    if failure.unique_id is None:
        return "step_failed", "a step failed and its log names no known error", 0.4, None
    return "unknown_error", "no known pattern matches the message", 0.3, None


def _of_kind(failure: Failure, taxonomy: Taxonomy) -> _Decision:
    """How a run ended decides, unless its message shows another class of that very kind, which a user has added."""
    error_class, rule, confidence = _BY_KIND[failure.kind]
    shown = taxonomy.class_of(failure.message)
    if shown is not None and shown.kind is failure.kind and shown.name != error_class:
        return shown.name, f"the message says {shown.words}", confidence, None
    return error_class, rule, confidence, None


def found_rows(failure: Failure) -> bool:
    """Whether a test ran and found rows; one that could not be run at all has a message of the warehouse instead."""
    return failure.failures is not None or not failure.message or failure.message.startswith("Got ")


def _of_test(failure: Failure, node: GraphNode | None) -> _Decision:
    test = node.test if node else None
    if test is not None:
        package, _, name = test.name.rpartition(".")
        error_class = _TESTS.get(test.name) or ("anomaly" if package == "elementary" else "custom_test")
        about = test.column or _combined(test.arguments.get("combination_of_columns"))
        return error_class, f"the test {test.name} found rows", 0.9 if error_class != "custom_test" else 0.6, about
    name = (failure.unique_id or "").split(".")[-2:][0]
    for prefix, error_class in _TEST_PREFIXES.items():
        if name.startswith(prefix):
            return error_class, f"the test's name starts with {prefix.rstrip('_')}", 0.7, None
    return "custom_test", "a test found rows, and no manifest says what it asserts", 0.4, None


def _combined(columns: object) -> str | None:
    return ",".join(map(str, columns)) if isinstance(columns, (list, tuple)) else None


def _clean(about: str | None) -> str | None:
    return about.strip("\"'`[]").replace('"', "").replace("`", "").lower() if about else None
