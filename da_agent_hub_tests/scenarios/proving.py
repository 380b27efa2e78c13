"""What proves a scenario true: its fault fails what it should, right answers heal it, and wrong ones only seem to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from .catalogue import failed_checks, stage
from .expectation import Fix, Incident, Scenario
from .patch_trial import try_patch
from .site import Site, run_dbt

Change = Callable[[Site], Mapping[str, str | None]]


def as_before_the_culprit(*paths: str) -> Change:
    """Files as they were before the commit labelled ``culprit``."""
    return lambda site: {path: site.git("show", f"{site.shas['culprit']}^:{path}") for path in paths}


def edit(path: str, *changes: tuple[str, str]) -> Change:
    """Pieces of one file replaced."""
    return lambda site: site.edited(path, *changes)


def both(*changes: Change) -> Change:
    """Several changes at once, each of files of its own."""
    return lambda site: {path: text for change in changes for path, text in change(site).items()}


def diff(site: Site, change: Change) -> str:
    """A change as a patch; the work tree is as before."""
    site.write(change(site))
    text = site.git("diff")
    subprocess.run(["git", "checkout", "-q", "."], cwd=site.root, check=True)
    return text


def fixes(scenario: Scenario) -> set[Fix]:
    """What is asked of the incidents of one scenario."""
    return {incident.fix for incident in scenario.incidents}


def staged(scenario: Scenario, root: Path) -> Site:
    """The project after its failing build, in which nothing fails but what should."""
    site, build = stage(scenario, root)
    assert build.code, build.log
    assert build.bad == scenario.failing, build.log
    assert site.git("status", "--porcelain") == ""
    assert {incident.culprit for incident in scenario.incidents} - {None} == {*site.shas}
    return site


def prove_that_only_right_answers_heal(
    scenario: Scenario, incident: Incident, site: Site, folder: Path, also_right: Change, tempting: Mapping[str, Change]
) -> None:
    """Try the oracle, another right change and wrong ones, of which some pass all but the hidden numbers."""
    assert scenario.oracle
    for number, change in enumerate((scenario.oracle, also_right)):
        assert try_patch(scenario, incident, site, diff(site, change), folder / f"right-{number}").faults == ()
    only_numbers_tell = set()
    for number, (name, change) in enumerate(tempting.items()):
        trial = try_patch(scenario, incident, site, diff(site, change), folder / f"wrong-{number}")
        assert trial.paths
        assert trial.faults, name
        if {fault.partition(":")[0] for fault in trial.faults} <= {check.title for check in scenario.checks}:
            only_numbers_tell.add(name)
    assert only_numbers_tell


def prove_that_code_only_seems_to_heal(
    scenario: Scenario, site: Site, folder: Path, false_friends: Mapping[str, Change], owner: Callable[[Site], None]
) -> None:
    """Build with changes that end green with wrong numbers; then let ``owner`` do what a person does."""
    for number, (name, change) in enumerate(false_friends.items()):
        copy = folder / f"false-{number}"
        shutil.copytree(site.root, copy)
        subprocess.run(["git", "apply", "-"], cwd=copy, input=diff(site, change), text=True, check=True)
        home = copy / scenario.directory
        green = run_dbt(home, "build")
        assert (green.code, green.bad) == (0, frozenset()), f"{name}: {green.log}"
        assert failed_checks(scenario.checks, home / site.warehouse.name), name
    owner(site)
    healed = site.dbt("build")
    assert (healed.code, healed.bad) == (0, frozenset()), healed.log
    assert failed_checks(scenario.checks, site.warehouse) == []
