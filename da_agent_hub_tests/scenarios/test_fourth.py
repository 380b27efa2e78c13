"""The fourth set is true: each fault fails what it should, right answers heal it, and tempting wrong ones do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import FOURTH, stage
from .expectation import Fix, Scenario
from .patch_trial import try_patch
from .site import Site
from .test_third import Change, as_before_the_culprit, diff, edit, fixes

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


def with_fix(fix: Fix) -> pytest.MarkDecorator:
    chosen = {name: scenario for name, scenario in FOURTH.items() if fixes(scenario) == {fix}}
    return pytest.mark.parametrize("scenario", chosen.values(), ids=list(chosen))


def staged(scenario: Scenario, root: Path) -> Site:
    site, build = stage(scenario, root)
    assert build.code, build.log
    assert build.bad == scenario.failing, build.log
    assert site.git("status", "--porcelain") == ""
    assert {incident.culprit for incident in scenario.incidents} - {None} == {*site.shas}
    return site


@pytest.mark.nightly
@with_fix(Fix.EXPECTED)
def test_only_right_answers_heal_what_the_code_can_heal(scenario: Scenario, tmp_path: Path) -> None:
    site = staged(scenario, tmp_path / "site")
    (incident,) = scenario.incidents
    assert scenario.oracle
    for number, change in enumerate((scenario.oracle, ALSO_RIGHT[scenario.name])):
        assert try_patch(scenario, incident, site, diff(site, change), tmp_path / f"right-{number}").faults == ()
    only_numbers_tell = set()
    for number, (name, change) in enumerate(TEMPTING[scenario.name].items()):
        trial = try_patch(scenario, incident, site, diff(site, change), tmp_path / f"wrong-{number}")
        assert trial.paths
        assert trial.faults, name
        if {fault.partition(":")[0] for fault in trial.faults} <= {check.title for check in scenario.checks}:
            only_numbers_tell.add(name)
    assert only_numbers_tell
