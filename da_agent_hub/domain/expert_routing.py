"""Whom to ask first about a failure, and why: from what is known of it before anybody has looked."""

from __future__ import annotations

from dataclasses import dataclass

from .error_record import Category
from .failure import FailureKind

_DBT, _LOADS, _MEANING = "dbt-expert", "dlthub-expert", "business-context"
_SNOWFLAKE, _PLATFORM = "snowflake-expert", "da-architect"

# The platform refuses or fails, but what has to change stands in the project or in how dbt is called.
_SET_IN_THE_PROJECT = frozenset(
    {
        "invalid_profile",
        "missing_environment_variable",
        "missing_state",
        "run_cancelled",
        "step_failed",
        "unknown_status",
    }
)
_MUST_NOT_BE_GUESSED = frozenset({"unexpected_values", "row_condition", "custom_test"})
_DID_NOT_ARRIVE = frozenset({"stale_source", "missing_source_table", "bad_file", "anomaly"})


@dataclass(frozen=True)
class RoutingFacts:
    """What routing follows from; ``adapter`` is dbt's adapter type, ``layer`` the folder of models, where known."""

    error_class: str
    category: Category
    kind: FailureKind
    adapter: str = ""
    layer: str = ""


def first_expert(facts: RoutingFacts) -> tuple[str, str]:
    """The name of the expert and, in words, why."""
    if facts.error_class in _DID_NOT_ARRIVE:
        return _LOADS, "rows or a table did not arrive as they should"
    if facts.kind is FailureKind.TEST and facts.error_class in _MUST_NOT_BE_GUESSED:
        return _MEANING, "somebody must say which values are right"
    by_platform = facts.category in (Category.INFRASTRUCTURE, Category.TRANSIENT)
    if not by_platform or facts.error_class in _SET_IN_THE_PROJECT:
        return _DBT, "the project's code, tests and settings come first"
    if facts.adapter == "snowflake":
        return _SNOWFLAKE, "Snowflake refused or failed, not the project's code"
    return _PLATFORM, "the platform around dbt refused or failed, not the project's code"
