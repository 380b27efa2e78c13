"""All scenarios by name, and how one is staged in a folder."""

from __future__ import annotations

from pathlib import Path

import duckdb

from . import (
    code_faults,
    data_faults,
    fifth_calls,
    fifth_code,
    fifth_feeds,
    fifth_loads,
    fourth_code,
    fourth_people,
    fourth_refactors,
    grain_faults,
    hard_calls,
    second_calls,
    second_code,
    second_rows,
    third_config,
    third_mixed,
    third_people,
    third_rows,
)
from .expectation import HiddenCheck, Scenario
from .site import DbtBuild, Site

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (*code_faults.SCENARIOS, *grain_faults.SCENARIOS, *data_faults.SCENARIOS, *hard_calls.SCENARIOS)
}

HELD_OUT: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (*second_code.SCENARIOS, *second_rows.SCENARIOS, *second_calls.SCENARIOS)
}

THIRD: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (*third_config.SCENARIOS, *third_rows.SCENARIOS, *third_people.SCENARIOS, *third_mixed.SCENARIOS)
}

FOURTH: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (*fourth_code.SCENARIOS, *fourth_refactors.SCENARIOS, *fourth_people.SCENARIOS)
}

FIFTH: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *fifth_loads.SCENARIOS,
        *fifth_feeds.SCENARIOS,
        *fifth_code.SCENARIOS,
        *fifth_calls.SCENARIOS,
    )
}

# Whoever improves the hub looks at the first set only; the others measure what it makes of the unseen.
SETS = {"first": SCENARIOS, "held_out": HELD_OUT, "third": THIRD, "fourth": FOURTH, "fifth": FIFTH}


def stage(scenario: Scenario, root: Path) -> tuple[Site, DbtBuild]:
    """Build the project in a new folder up to and with the ``dbt build`` that fails, whose artifacts remain."""
    site = Site(root, scenario.project, directory=scenario.directory, git=scenario.git)
    scenario.build(site)
    build = site.dbt("build")
    for _ in range(scenario.attempts - 1):
        if build.code:
            break
        build = site.dbt("build")
    if scenario.afterwards:
        scenario.afterwards(site)
    return site, build


def failed_checks(checks: tuple[HiddenCheck, ...], warehouse: Path) -> list[str]:
    """The hidden checks that a warehouse does not pass, each with what it answered."""
    failed = []
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for check in checks:
            try:
                row = connection.execute(check.sql).fetchone()
                answer = row[0] if row else None
            except duckdb.Error as error:
                answer = error
            if answer != check.expected and not _close(answer, check.expected):
                failed.append(f"{check.title}: {answer!r} instead of {check.expected!r}")
    return failed


def _close(answer: object, expected: object) -> bool:
    try:
        return abs(float(answer) - float(expected)) < 1e-6  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
