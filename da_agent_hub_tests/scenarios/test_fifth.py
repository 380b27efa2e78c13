"""The fifth set is true: green before each fault and red after it; right answers heal it, tempting wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .catalogue import FIFTH, SETS
from .expectation import Fix, Scenario
from .proving import (
    Change,
    as_before_the_culprit,
    edit,
    fixes,
    prove_that_code_only_seems_to_heal,
    prove_that_only_right_answers_heal,
    staged,
)
from .site import Site

TEMPTING: dict[str, dict[str, Change]] = {
    "staffing_filter_inverted_in_a_cleanup": {
        "the file as before": as_before_the_culprit("models/employees.sql"),
        "people with a grade": edit(
            "models/employees.sql", ("where coalesce(contract, 'permanent') = 'agency'", "where grade is not null")
        ),
        "no longer asked who is of the agency": edit(
            "models/employees.sql", ("where coalesce(contract, 'permanent') = 'agency'\n    and left_on", "where left_on")
        ),
        "those without a contract lost": edit(
            "models/employees.sql", ("coalesce(contract, 'permanent') = 'agency'", "contract <> 'agency'")
        ),
        "a grade for those without": edit("models/employees.sql", ("    grade,", "    coalesce(grade, 'E5') as grade,")),
    },
    "arcade_ranks_joined_without_their_season": {
        "one row a match": edit(
            "models/scores.sql",
            ("left join ranks on ranks.player_id = matches.player_id", "left join ranks on ranks.player_id = matches.player_id\n"
             "qualify row_number() over (partition by match_id order by ranks.season) = 1"),
        ),
        "the league of now": edit(
            "models/scores.sql",
            ("'ranks') }}\n", "'ranks') }} where season = (select max(season) from {{ source('game', 'ranks') }})\n"),
        ),
        "equal rows once": edit("models/scores.sql", ("select\n    matches.match_id", "select distinct\n    matches.match_id")),
        "no league at all": edit(
            "models/scores.sql",
            ("left join ranks on ranks.player_id = matches.player_id\n", ""), ("ranks.league", "null::varchar as league"),
        ),
    },
    "nightbus_macro_cannot_count_past_midnight": {
        "the file as before": as_before_the_culprit("macros/times.sql"),
        "unknown after midnight": edit("macros/times.sql", ("cast({{ column }} as time)", "try_cast({{ column }} as time)")),
        "the night left out": edit(
            "macros/times.sql", ("cast({{ column }} as time)", "cast(case when {{ column }} < '24' then {{ column }} else '23:59:00' end as time)")
        ),
        "hours of the clock": edit(
            "macros/times.sql",
            (
                "cast({{ column }} as time)",
                "cast(lpad((cast(split_part({{ column }}, ':', 1) as integer) % 24)::varchar, 2, '0') || substr({{ column }}, 3) as time)",
            ),
        ),
    },
}  # fmt: skip

# Right as well, though not the oracle's way: the hidden numbers must not insist on one author's taste.
ALSO_RIGHT: dict[str, Change] = {
    "staffing_filter_inverted_in_a_cleanup": edit(
        "models/employees.sql", ("coalesce(contract, 'permanent') = 'agency'", "(contract is null or contract != 'agency')")
    ),
    "arcade_ranks_joined_without_their_season": edit(
        "models/scores.sql",
        ("left join ranks on ranks.player_id = matches.player_id", "left join ranks on (ranks.player_id, ranks.season) = (matches.player_id, matches.season)"),
    ),
    "nightbus_macro_cannot_count_past_midnight": edit(
        "macros/times.sql",
        (
            "date_diff('minute', TIME '00:00:00', cast({{ column }} as time))",
            "cast(epoch(cast({{ column }} as interval)) / 60 as integer)",
        ),
    ),
}  # fmt: skip

# What seems to heal a run that is not for the code to heal, and what the person does who may decide it.
FALSE_FRIENDS: dict[str, dict[str, Change]] = {
    "haulage_loader_retried_after_its_timeout": {
        "equal lines once": edit("models/staging/stg_dock__scans.sql", ("select\n", "select distinct\n"), ("    , _loaded_at\n", "")),
        "one batch a day": edit(
            "models/staging/stg_dock__scans.sql",
            ("'scans') }}", "'scans') }}\nqualify _loaded_at = min(_loaded_at) over (partition by scanned_on)"),
        ),
        "the last batch a day": edit(
            "models/staging/stg_dock__scans.sql",
            ("'scans') }}", "'scans') }}\nqualify _loaded_at = max(_loaded_at) over (partition by scanned_on, route)"),
        ),
        "never beyond a waybill's twelve": edit("models/marts/pallets_by_route.sql", ("sum(pallets) as", "least(sum(pallets), 12) as")),
    },
    "dialysis_file_read_to_two_thirds": {
        "whole files only": edit(
            "dbt/models/stg_sessions.sql",
            (
                "'sessions') }}",
                "'sessions') }}\nQUALIFY COUNT(*) OVER (PARTITION BY file) = 90",
            ),
        ),
        "filled up with the day before": edit(
            "dbt/models/stg_sessions.sql",
            (
                "FROM {{ source('wards', 'sessions') }}",
                "FROM {{ source('wards', 'sessions') }}\nUNION ALL\n"
                "SELECT session_id + 90, patient_no, unit, started_at + INTERVAL 1 DAY, minutes, "
                "(SELECT MAX(file) FROM {{ source('wards', 'sessions') }})\n"
                "FROM {{ source('wards', 'sessions') }} WHERE session_id BETWEEN 1601 AND 1629",
            ),
        ),
    },
    "orchard_new_plots_picked_before_their_register": {
        "known plots only": edit("models/fct_picks.sql", ("left join plots", "inner join plots")),
        "plots made up of picks": edit(
            "models/dim_plots.sql",
            (
                "from plots",
                "from plots\nunion all\nselect distinct plot_code, 'UNKNOWN', 2.0, date '2026-11-01', 2026 "
                "from {{ source('harvest', 'picks') }}\nwhere plot_code not in (select plot_code from {{ source('land', 'plots') }})",
            ),
        ),
    },
    "roaming_kilobytes_become_bytes": {
        "divided where too large": edit(
            "models/usage.sql", ("volume / 1024.0 as mb", "case when volume > 1024 * 1024 then volume / 1024.0 / 1024 else volume / 1024.0 end as mb")
        ),
        "left out where too large": edit("models/usage.sql", ("'usage') }}", "'usage') }} where volume <= 1024 * 1024")),
        "ended at a gigabyte": edit("models/usage.sql", ("volume / 1024.0 as mb", "least(volume / 1024.0, 1024) as mb")),
    },
    "windpark_clock_set_to_utc": {
        "one reading an hour": edit(
            "models/production_hours.sql",
            ("('stg_readings') }}", "('stg_readings') }}\nQUALIFY ROW_NUMBER() OVER (PARTITION BY turbine, hour_utc ORDER BY kwh DESC) = 1"),
        ),
        "the hour summed up": edit(
            "models/production_hours.sql",
            ("  , kwh\n", "  , SUM(kwh) AS kwh\n"), ("('stg_readings') }}", "('stg_readings') }}\nGROUP BY ALL"),
        ),
    },
    "imprint_audio_rate_agreed_with_the_guild": {
        "the rate as before": as_before_the_culprit("macros/royalty_rate.sql"),
        "never above the guard": edit(
            "models/royalties.sql",
            ("{{ royalty_rate('s.format') }} as rate", "least(0.2, {{ royalty_rate('s.format') }}) as rate"),
        ),
        "without audio": edit("models/royalties.sql", ("'sales') }} as s", "'sales') }} as s\n where s.format <> 'audio'")),
    },
    "underwriting_test_tightened_past_the_tariff": {
        "known excesses only": edit(
            "models/policies.sql", ("= policies.vehicle_no", "= policies.vehicle_no\nwhere policies.excess_eur <= 500")
        ),
        "the largest that is left": edit(
            "models/policies.sql", ("policies.excess_eur,", "least(policies.excess_eur, 500) as excess_eur,")
        ),
    },
}  # fmt: skip

OWNERS: dict[str, Callable[[Site], None]] = {
    "haulage_loader_retried_after_its_timeout": lambda site: site.sql(
        "delete from dock.scans where _loaded_at::time = time '02:25'"
    ),
    "dialysis_file_read_to_two_thirds": lambda site: site.sql(
        "insert into wards.sessions select 1630 + i, 'P' || (100 + (i * 7) % 45), 'unit ' || (1 + i // 18), "
        "(select max(started_at)::date from wards.sessions) + interval 6 hour + interval 1 minute * (i % 18) * 20, "
        "200 + (i * 7 + 11) % 50, (select max(file) from wards.sessions) from range(61, 90) t(i)"
    ),
    "orchard_new_plots_picked_before_their_register": lambda site: site.sql(
        "insert into land.plots select 'K' || (22 + i), 'Pinova', 2.0, date '2019-03-01', null from range(3) t(i)",
        "update land.plots set _synced_at = now()::timestamp",
    ),
    "roaming_kilobytes_become_bytes": lambda site: site.sql(
        "update tap.usage set volume = volume // 1024 where file_no >= 316"
    ),
    "windpark_clock_set_to_utc": lambda site: site.sql(
        "update scada.readings set clock = clock + interval 1 hour where rowid >= 960"
    ),
    "imprint_audio_rate_agreed_with_the_guild": lambda site: site.write(
        site.edited("models/royalties.yml", ("high: 0.2}", "high: 0.3}"))
    ),
    "underwriting_test_tightened_past_the_tariff": lambda site: site.write(
        site.edited("models/policies.yml", ("250, 500]", "250, 500, 1000]"))
    ),
}  # fmt: skip


def with_fix(fix: Fix) -> pytest.MarkDecorator:
    chosen = {name: scenario for name, scenario in FIFTH.items() if fixes(scenario) == {fix}}
    return pytest.mark.parametrize("scenario", chosen.values(), ids=list(chosen))


def test_no_scenario_of_the_fifth_set_shares_its_project_and_each_has_its_temptations() -> None:
    others = {one.project for name, scenarios in SETS.items() if name != "fifth" for one in scenarios.values()}
    assert {one.project for one in FIFTH.values()}.isdisjoint(others)
    assert {name for name, one in FIFTH.items() if fixes(one) == {Fix.EXPECTED}} == {*TEMPTING} == {*ALSO_RIGHT}
    assert {name for name, one in FIFTH.items() if fixes(one) == {Fix.FORBIDDEN}} == {*FALSE_FRIENDS} == {*OWNERS}
    assert {*FIFTH} == {*TEMPTING, *OWNERS}


@pytest.mark.slow
@pytest.mark.nightly
@with_fix(Fix.EXPECTED)
def test_only_right_answers_heal_what_the_code_can_heal(scenario: Scenario, tmp_path: Path) -> None:
    site, name = staged(scenario, tmp_path / "site"), scenario.name
    (incident,) = scenario.incidents
    prove_that_only_right_answers_heal(scenario, incident, site, tmp_path, ALSO_RIGHT[name], TEMPTING[name])


@pytest.mark.slow
@pytest.mark.nightly
@with_fix(Fix.FORBIDDEN)
def test_code_can_only_seem_to_heal_what_people_must_decide(scenario: Scenario, tmp_path: Path) -> None:
    site, name = staged(scenario, tmp_path / "site"), scenario.name
    prove_that_code_only_seems_to_heal(scenario, site, tmp_path, FALSE_FRIENDS[name], OWNERS[name])
