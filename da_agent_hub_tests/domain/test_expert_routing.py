from __future__ import annotations

import pytest

from da_agent_hub.domain.error_record import Category
from da_agent_hub.domain.expert_routing import RoutingFacts, first_expert
from da_agent_hub.domain.failure import FailureKind


@pytest.mark.parametrize(
    ("error_class", "category", "kind", "adapter", "expert"),
    [
        ("missing_column", Category.CODE_FIX, FailureKind.MODEL, "snowflake", "dbt-expert"),
        ("permission_denied", Category.INFRASTRUCTURE, FailureKind.MODEL, "snowflake", "snowflake-expert"),
        ("permission_denied", Category.INFRASTRUCTURE, FailureKind.MODEL, "bigquery", "da-architect"),
        ("permission_denied", Category.INFRASTRUCTURE, FailureKind.MODEL, "", "da-architect"),
        ("stale_source", Category.DATA_QUALITY, FailureKind.SOURCE_FRESHNESS, "snowflake", "dlthub-expert"),
        ("unexpected_values", Category.DATA_QUALITY, FailureKind.TEST, "postgres", "business-context"),
        ("duplicate_keys", Category.DATA_QUALITY, FailureKind.TEST, "postgres", "dbt-expert"),
        ("invalid_profile", Category.INFRASTRUCTURE, FailureKind.COMPILE, "snowflake", "dbt-expert"),
    ],
)
def test_a_failure_goes_first_to_whoever_owns_what_must_change(
    error_class: str, category: Category, kind: FailureKind, adapter: str, expert: str
) -> None:
    name, reason = first_expert(RoutingFacts(error_class, category, kind, adapter))
    assert name == expert
    assert reason
