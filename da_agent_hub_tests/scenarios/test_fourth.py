"""The fourth set is true: each fault fails what it should, right answers heal it, and tempting wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .catalogue import FOURTH, HELD_OUT, SCENARIOS, THIRD
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
    "bikeshare_refactor_keeps_the_first_version": {
        "open rentals left out": edit(
            "models/marts/rentals.sql",
            ("from versions\n", "from versions\nwhere status <> 'open'\n"), ("order by changed_at)", "order by changed_at desc)"),
        ),
        "the dearest version": edit("models/marts/rentals.sql", ("order by changed_at)", "order by fee desc)")),
        "one fee for all versions": edit("models/marts/rentals.sql", ("    fee,", "    max(fee) over (partition by rental_id) as fee,")),
        "the newest fee, the oldest status": edit(
            "models/marts/rentals.sql",
            ("    fee,", "    first_value(fee) over (partition by rental_id order by changed_at desc) as fee,"),
        ),
    },
    "rescue_renamed_column_left_in_a_report": {
        "the column that the warehouse suggests": edit("transform/models/reports/length_of_stay.sql", ("a.intake_date", "a.born_on")),
        "days unknown": edit("transform/models/reports/length_of_stay.sql", ("a.adopted_on - a.intake_date", "0")),
        "the rename taken back in animals alone": edit("transform/models/animals.sql", ("as admitted_on", "as intake_date")),
        "the whole rename taken back": as_before_the_culprit(
            "transform/models/animals.sql", "transform/models/intakes_by_month.sql", "transform/models/occupancy.sql"
        ),
    },
    "parking_no_comma_after_the_loop": {
        "the file as before": as_before_the_culprit("models/takings_by_day.sql"),
        "commit taken back": as_before_the_culprit("models/takings_by_day.sql", "models/meters.yml"),
        "passes left out": edit(
            "models/takings_by_day.sql", (", 'pass']", "]"), ("{%- if not loop.last %},{% endif %}", "{{- ',' }}")
        ),
        "a total of known methods": edit(
            "models/takings_by_day.sql",
            ("    sum(amount) as", "    , sum(amount) filter (where lower(method) in ('card', 'coin', 'app')) as"),
        ),
    },
    "ferry_departure_renamed_at_the_port": {
        "the other time": edit("models/port/stg_port__sailings.sql", ("        departs_at,", "        _synced_at as departs_at,")),
        "no departure": edit(
            "models/port/stg_port__sailings.sql", ("        departs_at,", "        cast(null as timestamp) as departs_at,")
        ),
        "departures without the hour": edit(
            "models/port/stg_port__sailings.sql", ("        departs_at,", "        departure_at::date::timestamp as departs_at,")
        ),
    },
    "lawfirm_wrong_key_typed_in_a_refactor": {
        "a name for those without": edit("models/billing/billable_hours.sql", (", clients.client_name", ", COALESCE(clients.client_name, 'unknown') AS client_name")),
        "entries of known clients only": edit("models/billing/billable_hours.sql", ("LEFT JOIN clients", "INNER JOIN clients")),
        "entries without a client left out": edit(
            "models/billing/billable_hours.sql", ("clients.client_id", "clients.client_id\nWHERE clients.client_name IS NOT NULL")
        ),
        "joined by the other end": edit("models/billing/billable_hours.sql", ("ON matters.matter_id =", "ON time_entries.matter_id =")),
    },
}  # fmt: skip

# Right as well, though not the oracle's way: the hidden numbers must not insist on one author's taste.
ALSO_RIGHT: dict[str, Change] = {
    "bikeshare_refactor_keeps_the_first_version": as_before_the_culprit("models/marts/rentals.sql"),
    "rescue_renamed_column_left_in_a_report": edit(
        "transform/models/reports/length_of_stay.sql",
        ("{{ ref('animals') }} a", "(select *, admitted_on as intake_date from {{ ref('animals') }}) a"),
    ),
    "parking_no_comma_after_the_loop": edit("models/takings_by_day.sql", ("    sum(amount) as", "    , sum(amount) as")),
    "ferry_departure_renamed_at_the_port": edit(
        "models/port/stg_port__sailings.sql", ("select * from {{", "select * rename (departure_at as departs_at) from {{")
    ),
    "lawfirm_wrong_key_typed_in_a_refactor": as_before_the_culprit("models/billing/billable_hours.sql"),
}  # fmt: skip

# What seems to heal a run that is not for the code to heal, and what the person does who may decide it.
FALSE_FRIENDS: dict[str, dict[str, Change]] = {
    "payroll_overtime_agreed_anew": {
        "the rule as before": as_before_the_culprit("dbt_project.yml"),
        "the rule as before, for departments": edit(
            "models/overtime_by_department.sql", ("sum(overtime) as", "sum(greatest(hours - 40, 0)) as")
        ),
        "never above the budget": edit("models/overtime_by_department.sql", ("sum(overtime) as", "least(sum(overtime), 40) as")),
    },
    "swimclub_family_shares_an_address": {
        "the feature taken back": as_before_the_culprit("models/members.sql"),
        "one member an address": edit(
            "models/members.sql",
            ("select\n    member_no,", "with everybody as (\n\nselect\n    member_no,"),
            (
                "on family.member_no = members.member_no",
                "on family.member_no = members.member_no\n\n)\n\nselect * from everybody\n"
                "qualify row_number() over (partition by email order by kind, member_no) = 1",
            ),
        ),
        "family without an address": edit("models/members.sql", ("lower(members.email) as", "cast(null as varchar) as")),
    },
    "apiary_scale_lost_its_clock": {
        "old readings left out": edit(
            "bees/models/stg_readings.sql", ("'readings') }}", "'readings') }} where weighed_at >= timestamp '2021-04-01'")
        ),
        "set to the first day": edit(
            "bees/models/stg_readings.sql", ("weighed_at,", "greatest(weighed_at, timestamp '2021-04-01') as weighed_at,")
        ),
        "set to the last day before": edit(
            "bees/models/stg_readings.sql",
            ("weighed_at,", "case when weighed_at < timestamp '2021-04-01' then timestamp '2026-11-19' else weighed_at end as weighed_at,"),
        ),
    },
    "recycling_material_without_a_fraction": {
        "any other is residual": edit("macros/fraction.sql", ("'plastic'\n", "'plastic'\n        ELSE 'residual'\n")),
        "the fraction that seems nearest": edit("macros/fraction.sql", ("WHEN 'film'", "WHEN 'composite' THEN 'plastic'\n        WHEN 'film'")),
        "a price guessed as well": both(
            edit("macros/fraction.sql", ("WHEN 'film'", "WHEN 'composite' THEN 'composite'\n        WHEN 'film'")),
            edit("seeds/prices.csv", ("-40\n", "-40\ncomposite,0\n")),
        ),
        "known materials only": edit("models/weighings.sql", ("'tickets') }}", "'tickets') }}\n WHERE {{ fraction('material') }} IS NOT NULL")),
    },
    "foodbank_two_branches_not_in_yet": {
        "the last day left out": edit("models/marts/stock_by_day.sql", ("group by day", "group by day\nhaving count(distinct branch) = 5")),
        "counts of the day before": edit(
            "models/staging/stg_counts.sql",
            ("select upper(branch) as branch, day, kg", "select days.branch, days.day, counts.kg"),
            (
                "from {{ source('stock', 'counts') }}",
                "from (select b.branch, d.day from {{ ref('branches') }} b cross join "
                "(select distinct day from {{ source('stock', 'counts') }}) d) days\n"
                "asof join {{ source('stock', 'counts') }} counts on days.branch = counts.branch and days.day >= counts.day",
            ),
        ),
        "nothing in stock": edit(
            "models/staging/stg_counts.sql",
            (
                "'counts') }}",
                "'counts') }}\nunion all\nselect branch, date '2026-11-20', 0 from {{ ref('branches') }} where branch in ('B3', 'B5')",
            ),
        ),
    },
}  # fmt: skip

OWNERS: dict[str, Callable[[Site], None]] = {
    "payroll_overtime_agreed_anew": lambda site: site.write(
        site.edited("tests/overtime_within_budget.sql", ("2026: 40 hours", "2026: 60 hours"), ("overtime > 40", "overtime > 60"))
    ),
    "swimclub_family_shares_an_address": lambda site: site.write(
        site.edited(
            "models/club.yml",
            ("one letter a row\n        data_tests:\n          - unique\n",
             "one letter a row\n        data_tests:\n          - unique:\n              config: {where: \"kind = 'adult'\"}\n"),
        )
    ),
    "apiary_scale_lost_its_clock": lambda site: site.sql(
        "update scales.readings set weighed_at = weighed_at + (timestamp '2026-11-20' - timestamp '1970-01-01') "
        "where weighed_at < timestamp '2021-04-01'",
    ),
    "recycling_material_without_a_fraction": lambda site: site.write({
        **site.edited("macros/fraction.sql", ("WHEN 'film'", "WHEN 'composite' THEN 'composite'\n        WHEN 'film'")),
        **site.edited("seeds/prices.csv", ("-40\n", "-40\ncomposite,-45\n")),
    }),
    "foodbank_two_branches_not_in_yet": lambda site: site.sql(
        "insert into stock.counts values ('B3', date '2026-11-20', 390), ('B5', date '2026-11-20', 390)"
    ),
}  # fmt: skip


def with_fix(fix: Fix) -> pytest.MarkDecorator:
    chosen = {name: scenario for name, scenario in FOURTH.items() if fixes(scenario) == {fix}}
    return pytest.mark.parametrize("scenario", chosen.values(), ids=list(chosen))


def test_no_scenario_of_the_fourth_set_shares_its_project_and_each_has_its_temptations() -> None:
    others = {one.project for one in (*SCENARIOS.values(), *HELD_OUT.values(), *THIRD.values())}
    assert {one.project for one in FOURTH.values()}.isdisjoint(others)
    assert {name for name, one in FOURTH.items() if fixes(one) == {Fix.EXPECTED}} == {*TEMPTING} == {*ALSO_RIGHT}
    assert {name for name, one in FOURTH.items() if fixes(one) == {Fix.FORBIDDEN}} == {*FALSE_FRIENDS} == {*OWNERS}
    assert {*FOURTH} == {*TEMPTING, *OWNERS}


@pytest.mark.nightly
@with_fix(Fix.EXPECTED)
def test_only_right_answers_heal_what_the_code_can_heal(scenario: Scenario, tmp_path: Path) -> None:
    site, name = staged(scenario, tmp_path / "site"), scenario.name
    (incident,) = scenario.incidents
    prove_that_only_right_answers_heal(scenario, incident, site, tmp_path, ALSO_RIGHT[name], TEMPTING[name])


@pytest.mark.nightly
@with_fix(Fix.FORBIDDEN)
def test_code_can_only_seem_to_heal_what_people_must_decide(scenario: Scenario, tmp_path: Path) -> None:
    site, name = staged(scenario, tmp_path / "site"), scenario.name
    prove_that_code_only_seems_to_heal(scenario, site, tmp_path, FALSE_FRIENDS[name], OWNERS[name])
