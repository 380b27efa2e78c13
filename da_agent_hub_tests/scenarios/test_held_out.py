"""The held-out scenarios are true: each fault fails what it should, the right fix passes, tempting wrong ones do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import HELD_OUT, SCENARIOS, stage
from .expectation import Fix, Scenario
from .patch_trial import try_patch
from .proving import Change, as_before_the_culprit, diff, edit

TEMPTING: dict[str, dict[str, Change]] = {
    "rail_macro_renamed_one_caller_missed": {
        "the macro of the most similar name": edit("models/reports/rpt_track_wear.sql", ("miles_to_km(", "miles_to_m(")),
    },
    "bakery_endif_lost": {
        "the condition without its if": edit("models/till_lines.sql", ("{% if is_incremental() %}", "")),
    },
    "realty_renamed_column_forgotten_in_one_mart": {
        "the column that the warehouse suggests": edit(
            "models/marts/agency_league.sql", ("avg(l.list_price)", "avg(l.last_price)"), ("l.list_price - ", "")
        ),
        "the rename taken back": as_before_the_culprit(
            "models/staging/stg_portal__listings.sql", "models/staging/portal.yml", "models/marts/fct_listings.sql"
        ),
    },
    "gym_unit_test_catches_a_boundary": {
        "the other boundary": edit("models/member_tiers.sql", ("visits < 12", "visits <= 12")),
        "the expectation changed": edit(
            "models/unit_tests.yml", ("visits: 4, tier: regular", "visits: 4, tier: rare"),
        ),
    },
    "fleet_surrogate_key_lost_a_column": {
        "one leg a key": edit(
            "models/marts/fct_trips.sql",
            (
                "from {{ ref('int_legs') }}",
                "from {{ ref('int_legs') }}\nqualify row_number() over (partition by trip_key order by leg) = 1",
            ),
        ),
        "another column in the key": edit("models/marts/fct_trips.sql", ("'started_at']", "'started_at', 'depot']")),
    },
    "pharmacy_coalesce_dropped_on_a_busy_day": {
        "what has no stock filtered away": edit("models/stock_levels.sql", ("left join movements", "join movements")),
        "the file before both": as_before_the_culprit("models/stock_levels.sql"),
    },
    "vineyard_seed_row_doubled": {
        "the seed as before": as_before_the_culprit("seeds/grapes.csv"),
        "one tasting a grape": edit(
            "models/tastings.sql", ("= t.grape", "= t.grape\nqualify count(*) over (partition by t.tasting_id) = 1")
        ),
    },
    "salon_filter_moved_into_the_join": {
        "the file as before": as_before_the_culprit("models/fct_visits.sql"),
        "an inner join": edit("models/fct_visits.sql", ("LEFT JOIN", "JOIN")),
    },
    "orchestra_union_all_too_often": {
        "both files as before": as_before_the_culprit("models/patrons.sql", "models/sales.sql"),
        "one shop only": edit(
            "models/patrons.sql",
            ("union all\nselect lower(mail) as patron, city from {{ source('web', 'orders') }}", ""),
            ("select lower(email)", "select distinct lower(email)"),
        ),
    },
}  # fmt: skip


def test_no_held_out_scenario_shares_its_name_or_project_with_the_first_set() -> None:
    assert {one.project for one in HELD_OUT.values()}.isdisjoint(one.project for one in SCENARIOS.values())
    assert {name for name, one in HELD_OUT.items() if one.incidents[0].fix is Fix.EXPECTED} == {*TEMPTING}


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", HELD_OUT.values(), ids=list(HELD_OUT))
def test_the_fault_fails_exactly_what_it_should_and_only_the_right_fix_passes(
    scenario: Scenario, tmp_path: Path
) -> None:
    site, build = stage(scenario, tmp_path / "site")
    assert build.code, build.log
    assert build.bad == scenario.failing, build.log
    assert site.git("status", "--porcelain") == ""
    (incident,) = scenario.incidents
    assert incident.culprit is None or incident.culprit in site.shas
    if scenario.oracle:
        assert try_patch(scenario, incident, site, diff(site, scenario.oracle), tmp_path / "right").faults == ()
    for number, (name, change) in enumerate(TEMPTING.get(scenario.name, {}).items()):
        trial = try_patch(scenario, incident, site, diff(site, change), tmp_path / f"wrong-{number}")
        assert trial.paths
        assert trial.faults, name


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["depot_warehouse_is_locked", "tollroad_late_lanes_came_since"])
def test_what_healed_by_itself_is_green_at_the_next_build(name: str, tmp_path: Path) -> None:
    site, _ = stage(HELD_OUT[name], tmp_path / "site")
    again = site.dbt("build")
    assert (again.code, again.bad) == (0, frozenset()), again.log
