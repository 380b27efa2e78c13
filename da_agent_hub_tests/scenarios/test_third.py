"""The third set is true: each fault fails what it should, the right answer heals it, tempting wrong ones do not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from .catalogue import HELD_OUT, SCENARIOS, THIRD, failed_checks, stage
from .expectation import Fix, Scenario
from .patch_trial import try_patch
from .site import Site, run_dbt

Change = Callable[[Site], Mapping[str, str | None]]


def as_before_the_culprit(*paths: str) -> Change:
    return lambda site: {path: site.git("show", f"{site.shas['culprit']}^:{path}") for path in paths}


def edit(path: str, *changes: tuple[str, str]) -> Change:
    return lambda site: site.edited(path, *changes)


def both(*changes: Change) -> Change:
    return lambda site: {path: text for change in changes for path, text in change(site).items()}


TEMPTING: dict[str, dict[str, Change]] = {
    "brewery_ref_pinned_to_the_old_version": {
        "a style for those without": edit("models/marts/fct_brews.sql", ("beers.style,", "coalesce(beers.style, '?') as style,")),
        "brews of known beers only": edit("models/marts/fct_brews.sql", ("left join", "inner join")),
        "the old version opened for new beers": edit(
            "models/core/dim_beers_v1.sql", ("where launched < date '2026-01-01'", "")
        ),
    },
    "quarry_snapshot_key_renamed_upstream": {
        "the snapshot keyed by the new name": edit(
            "analytics/snapshots/machine_status.sql",
            ("unique_key='asset_no'", "unique_key='machine_no'"), ("select asset_no,", "select machine_no,"),
        ),
        "the column that the warehouse suggests": edit(
            "analytics/snapshots/machine_status.sql", ("select asset_no,", "select asset_group as asset_no,")
        ),
        "the rename taken back in staging alone": as_before_the_culprit("analytics/models/stg_assets.sql"),
    },
    "skiing_seed_renamed_without_its_column_types": {
        "zeros put before": edit("models/fct_entries.sql", ("cast(r.code as varchar)", "lpad(cast(r.code as varchar), 3, '0')")),
        "codes compared as numbers, one match an entry": edit(
            "models/fct_entries.sql",
            ("e.resort_code = cast(r.code as varchar)", "cast(e.resort_code as integer) = r.code"),
            ("from {{ ref('seasons') }})", "from {{ ref('seasons') }})\nqualify row_number() over (partition by e.entry_id) = 1"),
        ),
        "entries of known resorts only": edit(
            "models/fct_entries.sql",
            ("left join", "inner join"),
            ("from {{ ref('seasons') }})", "from {{ ref('seasons') }})\nqualify row_number() over (partition by e.entry_id) = 1"),
        ),
    },
    "callcentre_macro_arguments_swapped": {
        "one at most": edit("models/workforce/occupancy.sql", ("{{ share(", "least(1, {{ share("), ("logged_in_s)') }}", "logged_in_s)') }})")),
        "the macro as before": as_before_the_culprit("macros/ratios.sql"),
        "the busy ones left out": edit("models/workforce/occupancy.sql", ("order by", "having occupancy <= 1\norder by")),
    },
    "foundry_union_of_columns_in_another_order": {
        "the file as before": as_before_the_culprit("models/plants/stg_south__heats.sql"),
        "odd casts left out": edit("models/casts.sql", ("heats') }}", "heats') }} where poured_kg <= tapped_kg")),
        "by name, but without repeats": edit(
            "models/casts.sql", ("union all\n", "union\n"), ("heats') }}", "heats') }} where tapped_kg > 700")
        ),
    },
    "dairy_window_lost_half_of_its_partition": {
        "long gaps left out": edit("models/test_days.sql", ("by milked_on)", "by milked_on)\nqualify coalesce(days_since, 0) <= 35")),
        "long gaps unknown": edit(
            "models/test_days.sql",
            (
                "milked_on - lag(milked_on) over by_cow as",
                "case when milked_on - lag(milked_on) over by_cow <= 35 then milked_on - lag(milked_on) over by_cow end as",
            ),
        ),
        "a wider limit": edit("models/herd.yml", ("value: 35", "value: 70")),
    },
}  # fmt: skip

# What seems to heal a run that is not for the code to heal, and what the person does who may decide it.
FALSE_FRIENDS: dict[str, dict[str, Change]] = {}
OWNERS: dict[str, Callable[[Site], None]] = {}


def fixes(scenario: Scenario) -> set[Fix]:
    return {incident.fix for incident in scenario.incidents}


def test_no_scenario_of_the_third_set_shares_its_project_and_each_has_its_temptations() -> None:
    others = {one.project for one in (*SCENARIOS.values(), *HELD_OUT.values())}
    assert {one.project for one in THIRD.values()}.isdisjoint(others)
    assert {name for name, one in THIRD.items() if Fix.EXPECTED in fixes(one)} == {*TEMPTING}
    assert {name for name, one in THIRD.items() if Fix.FORBIDDEN in fixes(one)} == {*FALSE_FRIENDS} == {*OWNERS}


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", THIRD.values(), ids=list(THIRD))
def test_the_fault_fails_exactly_what_it_should_and_only_the_right_answer_heals_it(
    scenario: Scenario, tmp_path: Path
) -> None:
    site, build = stage(scenario, tmp_path / "site")
    assert build.code, build.log
    assert build.bad == scenario.failing, build.log
    assert site.git("status", "--porcelain") == ""
    for incident in scenario.incidents:
        assert incident.culprit is None or incident.culprit in site.shas
    right = diff(site, scenario.oracle) if scenario.oracle else ""
    for incident in scenario.incidents:
        if incident.fix is not Fix.EXPECTED:
            continue
        assert try_patch(scenario, incident, site, right, tmp_path / "right").faults == ()
        for number, (name, change) in enumerate(TEMPTING[scenario.name].items()):
            trial = try_patch(scenario, incident, site, diff(site, change), tmp_path / f"wrong-{number}")
            assert trial.paths
            assert trial.faults, name
    if scenario.name not in OWNERS:
        return
    if scenario.oracle:
        site.write(scenario.oracle(site))
        site.commit("Somebody else", "The part that needs no decision", {})
    for number, (name, change) in enumerate(FALSE_FRIENDS[scenario.name].items()):
        copy = tmp_path / f"false-{number}"
        shutil.copytree(site.root, copy)
        subprocess.run(["git", "apply", "-"], cwd=copy, input=diff(site, change), text=True, check=True)
        home = copy / scenario.directory
        green = run_dbt(home, "build")
        assert (green.code, green.bad) == (0, frozenset()), f"{name}: {green.log}"
        assert failed_checks(scenario.checks, home / site.warehouse.name), name
    OWNERS[scenario.name](site)
    healed = site.dbt("build")
    assert (healed.code, healed.bad) == (0, frozenset()), healed.log
    assert failed_checks(scenario.checks, site.warehouse) == []


def diff(site: Site, change: Change) -> str:
    site.write(change(site))
    text = site.git("diff")
    subprocess.run(["git", "checkout", "-q", "."], cwd=site.root, check=True)
    return text
