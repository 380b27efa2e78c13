"""How soon somebody should look: the project's own rules first, plain defaults where none of them holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .error_record import Category, Priority

# Where one of these fails before any node ran, the whole job is down.
_STOPS_THE_JOB = frozenset(
    {"compile_error", "unknown_ref", "unknown_macro", "invalid_yaml", "dependency_cycle", "duplicate_resource"}
)
_NOT_PRODUCTION = re.compile(r"dev|test|stag|sandbox|preview|pre-?prod|\b(?:qa|uat|ci|local)\b")


class Rule(Protocol):
    """A condition that is None always holds."""

    @property
    def priority(self) -> str:
        """critical, high, medium or low."""

    @property
    def environment(self) -> str | None:
        """The environment's name."""

    @property
    def tag(self) -> str | None:
        """A tag of the failing node, or of the node that it tests."""

    @property
    def has_exposure(self) -> bool | None:
        """Whether an exposure stands downstream."""

    @property
    def error_class(self) -> str | None:
        """The error class."""


@dataclass(frozen=True)
class Impact:
    """What priority follows from; ``whole_job`` where nothing of the job ran."""

    environment: str
    category: Category
    error_class: str
    tags: tuple[str, ...]
    exposures: tuple[str, ...]
    downstream: tuple[str, ...]
    whole_job: bool
    severity: str = "error"


def priority_of(impact: Impact, rules: Sequence[Rule]) -> tuple[Priority, str]:
    """The priority and, in words, why."""
    for number, rule in enumerate(rules, 1):
        conditions = _conditions(rule)
        if all(_holds(name, value, impact) for name, value in conditions):
            said = ", ".join(f"{name} is {str(value).lower()}" for name, value in conditions) or "it always holds"
            return Priority(rule.priority), f"priority rule {number}: {said}"
    return _default(impact)


def _conditions(rule: Rule) -> list[tuple[str, object]]:
    named = (
        ("environment", rule.environment),
        ("tag", rule.tag),
        ("has_exposure", rule.has_exposure),
        ("error_class", rule.error_class),
    )
    return [(name, value) for name, value in named if value is not None]


def _holds(name: str, value: object, impact: Impact) -> bool:
    if name == "environment":
        return str(value).casefold() == impact.environment.casefold()
    if name == "tag":
        return value in impact.tags
    if name == "has_exposure":
        return value is bool(impact.exposures)
    return value == impact.error_class


def is_production(environment: str) -> bool:
    """Whether an environment counts as production: each does whose name does not say otherwise."""
    return not _NOT_PRODUCTION.search(environment.casefold())


def _default(impact: Impact) -> tuple[Priority, str]:
    where = f"in {impact.environment}" if impact.environment else "in an unnamed environment"
    reach = (
        f"{len(impact.exposures)} exposure{'s' if len(impact.exposures) > 1 else ''} downstream"
        if impact.exposures
        else "no exposure downstream"
    )
    if impact.severity == "warn":
        return Priority.LOW, f"a warning {where}"
    if not is_production(impact.environment):
        return Priority.LOW, f"{where}, which is not production by its name"
    if impact.category is Category.TRANSIENT:
        return Priority.LOW, f"{where}, but likely to pass by itself"
    if impact.error_class == "missed_run":
        return Priority.HIGH, f"{where}, and a scheduled job is silent"
    if impact.whole_job and impact.error_class in _STOPS_THE_JOB:
        level = Priority.CRITICAL if impact.exposures else Priority.HIGH
        return level, f"{where}, and nothing of the job can run"
    if impact.exposures:
        blocks = impact.category in (Category.CODE_FIX, Category.INFRASTRUCTURE)
        return (Priority.CRITICAL if blocks else Priority.HIGH), f"{where} with {reach}"
    return Priority.MEDIUM, f"{where} with {reach}"
