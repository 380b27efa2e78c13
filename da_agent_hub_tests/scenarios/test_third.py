"""The third set is true: each fault fails what it should, the right answer heals it, tempting wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .catalogue import HELD_OUT, SCENARIOS, THIRD
from .expectation import Fix, Scenario
from .proving import (
    Change,
    as_before_the_culprit,
    both,
    edit,
    fixes,
    prove_that_code_only_seems_to_heal,
    prove_that_only_right_answers_heal,
    staged,
)
from .site import Site

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
        "a new history under a new name": both(
            edit(
                "analytics/snapshots/machine_status.sql",
                ("unique_key='asset_no'", "unique_key='machine_no', alias='machine_states'"),
                ("select asset_no,", "select machine_no,"),
            ),
            edit(
                "analytics/models/standstills.sql",
                ("select asset_no,", "select machine_no,"), ("group by asset_no", "group by machine_no"),
            ),
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
    "nursery_children_vanish_with_a_wanted_filter": {
        "the file as before": as_before_the_culprit("models/checkups.sql"),
        "both filters in the join": edit("models/checkups.sql", ("where children.left_on", "    and children.left_on")),
        "the first visit of any kind": edit(
            "models/checkups.sql",
            (
                "    and visits.kind = 'checkup'",
                "qualify row_number() over (partition by children.child_id order by visits.visited_on) = 1",
            ),
        ),
        "or no visit at all": edit(
            "models/checkups.sql", ("visits.kind = 'checkup'", "(visits.kind = 'checkup' or visits.kind is null)")
        ),
    },
    "observatory_renamed_column_has_a_namesake": {
        "the column that the warehouse suggests": edit("models/nights.sql", ("shots.exposure)", "shots.exposure_ms)")),
        "the same in seconds": edit("models/nights.sql", ("shots.exposure)", "shots.exposure_ms / 1000)")),
        "the id": edit("models/nights.sql", ("shots.exposure)", "shots.exposure_id)")),
        "the rename taken back in staging alone": as_before_the_culprit("models/staging/stg_shots.sql"),
    },
    "treasury_lost_variable_and_late_rate": {
        "another default": edit("macros/basis_points.sql", ("'_bp', 0)", "'_bp', 25)")),
        "a guess": edit("models/desks/fees.sql", ("{{ basis_points('fee') }}", "0.002")),
        "the other variable": edit("models/desks/fees.sql", ("basis_points('fee')", "basis_points('spread')")),
        "desks that pay only": edit("models/desks/fees.sql", ("group by desk", "group by desk\nhaving fee > 0")),
    },
}  # fmt: skip

# Right as well, though not the oracle's way: the hidden numbers must not insist on one author's taste.
ALSO_RIGHT: dict[str, Change] = {
    "brewery_ref_pinned_to_the_old_version": edit("models/marts/fct_brews.sql", (", v=1", "")),
    "quarry_snapshot_key_renamed_upstream": edit(
        "analytics/models/stg_assets.sql", ("asset_no as machine_no,", "asset_no as machine_no, asset_no,")
    ),
    "skiing_seed_renamed_without_its_column_types": edit(
        "dbt_project.yml", ("    resorts:\n", "    ski_resorts:\n"), ("code: varchar", "code: varchar(3)")
    ),
    "callcentre_macro_arguments_swapped": as_before_the_culprit(
        "macros/ratios.sql", "models/service/answer_rate.sql", "models/service/service_level.sql"
    ),
    "foundry_union_of_columns_in_another_order": edit(
        "models/plants/stg_south__heats.sql",
        ("pour_weight as poured_kg,", "tap_weight as tapped_kg,"), ("    tap_weight as tapped_kg\n", "    pour_weight as poured_kg\n"),
    ),
    "dairy_window_lost_half_of_its_partition": as_before_the_culprit("models/test_days.sql"),
    "nursery_children_vanish_with_a_wanted_filter": edit(
        "models/checkups.sql",
        ("left join {{ source('health', 'visits') }} as", "left join (select * from {{ source('health', 'visits') }} where kind = 'checkup') as"),
        ("is null\n    and visits.kind = 'checkup'\n", "is null\n"),
    ),
    "observatory_renamed_column_has_a_namesake": both(
        edit("models/staging/stg_shots.sql", ("as integration_s,", "as exposure,")),
        edit("models/depth.sql", ("sum(integration_s)", "sum(exposure)")),
    ),
    "treasury_lost_variable_and_late_rate": as_before_the_culprit("dbt_project.yml"),
}  # fmt: skip

# What seems to heal a run that is not for the code to heal, and what the person does who may decide it.
FALSE_FRIENDS: dict[str, dict[str, Change]] = {
    "laundry_day_loaded_twice_without_a_key": {
        "equal lines once": edit("models/plant/stg_washes.sql", ("select docket_day", "select distinct docket_day")),
        "the day left out": edit(
            "models/plant/stg_washes.sql", ("'washes') }}", "'washes') }} where docket_day <> date '2026-11-19'")
        ),
        "days capped": edit("models/pieces_by_day.sql", ("sum(pieces) as", "least(sum(pieces), 300) as")),
    },
    "streaming_plan_without_a_price": {
        "a price guessed": edit("seeds/plans.csv", ("17.99\n", "17.99\nfamily_plus,Family plus,19.99\n")),
        "a price of nothing": edit("seeds/plans.csv", ("17.99\n", "17.99\nfamily_plus,Family plus,0.00\n")),
        "the plan of similar name": edit(
            "models/staging/stg_subscriptions.sql", ("lower(plan)", "replace(lower(plan), '_plus', '')")
        ),
        "known plans only": edit(
            "models/staging/stg_subscriptions.sql", ("'subscriptions') }}", "'subscriptions') }} where plan <> 'FAMILY_PLUS'")
        ),
    },
    "marina_entries_deleted_at_the_source": {
        "built anew": edit("models/ledger.sql", ("'incremental'", "'table'")),
        "deleted here as well": edit(
            "models/ledger.sql",
            (
                "unique_key='entry_no'",
                "unique_key='entry_no', "
                "post_hook='delete from {{ this }} where entry_no not in (select entry_no from office.entries)'",
            ),
        ),
    },
    "tramway_tariff_changed_on_purpose": {
        "the rule as before": as_before_the_culprit("models/fares.sql"),
        "free rides of schoolchildren left out": edit(
            "models/fares.sql", ("'rides') }}", "'rides') }} where age not between 6 and 11")
        ),
    },
    "glacier_two_stations_turn_to_millimetres": {
        "divided where too deep": edit(
            "dbt/models/stg_readings.sql", ("cast(depth as", "cast(case when depth > 800 then depth / 10 else depth end as")
        ),
        "left out where too deep": edit("dbt/models/stg_readings.sql", ("'readings') }}", "'readings') }} where depth <= 800")),
        "capped": edit("dbt/models/stg_readings.sql", ("cast(depth as", "cast(least(depth, 800) as")),
    },
    "treasury_lost_variable_and_late_rate": {
        "the rate of the day before": edit("models/market/positions.sql", ("left join", "asof left join"), ("rates.day =", "rates.day <=")),
        "at par": edit("models/market/positions.sql", ("* rates.rate", "* coalesce(rates.rate, 1)")),
        "trades with a rate only": edit("models/market/positions.sql", ("left join", "inner join")),
    },
}  # fmt: skip

OWNERS: dict[str, Callable[[Site], None]] = {
    "laundry_day_loaded_twice_without_a_key": lambda site: site.sql(
        "delete from plant.washes where docket_day = date '2026-11-19'",
        "insert into plant.washes select docket_day + 1, customer, article, pieces from plant.washes "
        "where docket_day = date '2026-11-18'",
    ),
    "streaming_plan_without_a_price": lambda site: site.write(
        site.edited("seeds/plans.csv", ("17.99\n", "17.99\nfamily_plus,Family plus,21.99\n"))
    ),
    "marina_entries_deleted_at_the_source": lambda site: site.sql(
        "insert into office.entries select * from analytics.ledger where day < date '2026-08-01'"
    ),
    "tramway_tariff_changed_on_purpose": lambda site: site.write(
        site.edited("tests/only_young_children_ride_free.sql", ("2019", "2026"), ("age >= 6", "age >= 12"))
    ),
    "glacier_two_stations_turn_to_millimetres": lambda site: site.sql(
        "update weather.readings set depth = depth / 10 where day >= date '2026-11-19' and station in ('Aster', 'Birke')"
    ),
    "treasury_lost_variable_and_late_rate": lambda site: site.sql(
        "insert into market.rates values ('CHF', date '2026-11-20', 1.07)"
    ),
}


def test_no_scenario_of_the_third_set_shares_its_project_and_each_has_its_temptations() -> None:
    others = {one.project for one in (*SCENARIOS.values(), *HELD_OUT.values())}
    assert {one.project for one in THIRD.values()}.isdisjoint(others)
    assert {name for name, one in THIRD.items() if Fix.EXPECTED in fixes(one)} == {*TEMPTING} == {*ALSO_RIGHT}
    assert {name for name, one in THIRD.items() if Fix.FORBIDDEN in fixes(one)} == {*FALSE_FRIENDS} == {*OWNERS}


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", THIRD.values(), ids=list(THIRD))
def test_the_fault_fails_exactly_what_it_should_and_only_the_right_answer_heals_it(
    scenario: Scenario, tmp_path: Path
) -> None:
    site = staged(scenario, tmp_path / "site")
    name = scenario.name
    for incident in scenario.incidents:
        if incident.fix is Fix.EXPECTED:
            prove_that_only_right_answers_heal(scenario, incident, site, tmp_path, ALSO_RIGHT[name], TEMPTING[name])
    if name not in OWNERS:
        return
    if scenario.oracle:
        site.write(scenario.oracle(site))
        site.commit("Somebody else", "The part that needs no decision", {})
    prove_that_code_only_seems_to_heal(scenario, site, tmp_path, FALSE_FRIENDS[name], OWNERS[name])
