"""Quarantine with an expiry: failures that are known, recorded all the same, and told to nobody for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Protocol

from .error_record import ErrorRecord, Quarantine
from .selection import Subject, first_match

LONG_DAYS = 90


class QuarantineRule(Protocol):
    """Globs on node names, the last day, in UTC, and why."""

    @property
    def nodes(self) -> Sequence[str]:
        """Globs on the name of a node, or of the node that a test tests."""

    @property
    def until(self) -> date:
        """The last day."""

    @property
    def reason(self) -> str:
        """Why, in the operator's words."""


def with_quarantine(
    records: Sequence[ErrorRecord], rules: Sequence[QuarantineRule], subject: Callable[[str], Subject]
) -> tuple[ErrorRecord, ...]:
    """The records, each with the quarantine that its last failure fell into.

    It holds where one rule names every node that the record stands for: a cause that reaches a node which nobody
    named is told. Of several rules, the one that lasts longest.
    """
    return tuple(_with_quarantine(record, rules, subject) for record in records) if rules else tuple(records)


def hints(rules: Sequence[QuarantineRule], now: datetime) -> tuple[str, ...]:
    """What an operator should know of rules that are over, or that last longer than a quarantine should."""
    today = now.astimezone(timezone.utc).date()
    found = []
    for rule in rules:
        named = f"the quarantine of {', '.join(rule.nodes)} until {rule.until}"
        if rule.until < today:
            found.append(f"{named} is over: remove it")
        elif (days := (rule.until - today).days) > LONG_DAYS:
            found.append(f"{named} lasts {days} days more: mend the nodes, or exclude them")
    return tuple(found)


def _with_quarantine(
    record: ErrorRecord, rules: Sequence[QuarantineRule], subject: Callable[[str], Subject]
) -> ErrorRecord:
    nodes = [one for one in dict.fromkeys([record.node or record.latest.unique_id, *record.members]) if one]
    failed_on = record.last_seen.astimezone(timezone.utc).date()
    fitting = [
        rule
        for rule in rules
        if nodes and failed_on <= rule.until and all(first_match(subject(one).names, rule.nodes) for one in nodes)
    ]
    if not fitting:
        return record
    longest = max(fitting, key=lambda rule: rule.until)
    return replace(record, quarantine=Quarantine(longest.until, longest.reason))
