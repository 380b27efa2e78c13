"""The scenarios themselves are true: the fault fails what it should, and the right fix passes every hidden check."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import SCENARIOS, failed_checks, stage
from .expectation import Fix, Scenario

pytestmark = pytest.mark.nightly
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))


@each_scenario
def test_the_fault_fails_exactly_what_it_should_and_the_right_fix_passes_every_hidden_check(
    scenario: Scenario, tmp_path: Path
) -> None:
    site, build = stage(scenario, tmp_path / "site")
    assert build.code, build.log
    assert build.bad == scenario.failing, build.log
    for incident in scenario.incidents:
        assert incident.culprit is None or incident.culprit in site.shas
        assert (incident.fix is Fix.EXPECTED) <= (scenario.oracle is not None)
    if site.has_git:
        assert site.git("status", "--porcelain") == ""
    if scenario.oracle is None:
        return
    site.write(scenario.oracle(site))
    repaired = site.dbt("build")
    still_failing = frozenset(
        name for incident in scenario.incidents if incident.fix is Fix.FORBIDDEN for name in incident.failing
    )
    assert repaired.bad == still_failing, repaired.log
    assert failed_checks(scenario.checks, site.warehouse) == []
