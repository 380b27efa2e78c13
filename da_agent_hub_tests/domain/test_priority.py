from __future__ import annotations

from dataclasses import replace

import pytest

from da_agent_hub.config import PriorityRule
from da_agent_hub.domain.error_record import Category, Priority
from da_agent_hub.domain.priority import Impact, is_production, priority_of

NULLS = Impact("Production", Category.DATA_QUALITY, "null_values", ("finance",), ("exposure.shop.board",), (), False)


def test_the_first_rule_whose_conditions_all_hold_decides_and_says_so() -> None:
    rules = [
        PriorityRule(priority="low", environment="staging"),
        PriorityRule(priority="low", tag="finance", has_exposure=False),
        PriorityRule(priority="critical", environment="production", tag="finance"),
        PriorityRule(priority="low"),
    ]
    assert priority_of(NULLS, rules) == (
        Priority.CRITICAL,
        "priority rule 3: environment is production, tag is finance",
    )
    assert priority_of(replace(NULLS, tags=()), rules) == (Priority.LOW, "priority rule 4: it always holds")


@pytest.mark.parametrize(
    ("impact", "priority"),
    [
        (NULLS, Priority.HIGH),
        (replace(NULLS, exposures=()), Priority.MEDIUM),
        (replace(NULLS, environment="Staging"), Priority.LOW),
        (replace(NULLS, category=Category.TRANSIENT), Priority.LOW),
        (replace(NULLS, severity="warn"), Priority.LOW),
        (replace(NULLS, category=Category.CODE_FIX, error_class="missing_column"), Priority.CRITICAL),
        (replace(NULLS, exposures=(), error_class="compile_error", whole_job=True), Priority.HIGH),
    ],
)
def test_without_rules_environment_exposures_and_class_decide(impact: Impact, priority: Priority) -> None:
    found, reason = priority_of(impact, [])
    assert found is priority
    assert reason


@pytest.mark.parametrize(
    ("environment", "counts"),
    [
        ("Production", True),
        ("prod", True),
        ("default", True),
        ("Development", False),
        ("pre-prod", False),
        ("CI", False),
    ],
)
def test_an_environment_is_production_unless_its_name_says_otherwise(environment: str, counts: bool) -> None:
    assert is_production(environment) is counts
