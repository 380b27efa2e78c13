"""Third set: commits that leave the SQL nearly alone and point it, its seed or its snapshot at the wrong thing."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_FIX = frozenset({"code_fix_required"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _brewery(site: Site) -> None:
    site.commit("Malte Hinrichs", "Beers, brews and the duty on them", {
        **site.base("    core: {+materialized: table}\n    marts: {+materialized: table}\n"),
        "models/core/_core.yml": """
            version: 2
            sources:
              - name: cellar
                tables: [{name: beers}, {name: brews}]
            models:
              - name: dim_beers
                latest_version: 2
                versions:
                  - v: 1
                    description: Strength in degrees Plato, closed with the end of 2025. The tax office reads it.
                  - v: 2
                    description: Strength in percent by volume
            """,
        "models/core/dim_beers_v1.sql": """
            select beer_id, beer, style, plato as strength
            from {{ source('cellar', 'beers') }}
            where launched < date '2026-01-01'
            """,
        "models/core/dim_beers_v2.sql": """
            select beer_id, beer, style, abv as strength, launched
            from {{ source('cellar', 'beers') }}
            """,
        "models/core/stg_brews.sql": """
            {{ config(materialized='ephemeral') }}
            select brew_no, beer_id, tank, brewed_on, litres from {{ source('cellar', 'brews') }}
            """,
        "models/marts/fct_brews.sql": """
            select
                brews.brew_no,
                brews.brewed_on,
                brews.litres,
                beers.style,
                brews.litres * beers.strength / 100 as litres_of_alcohol
            from {{ ref('stg_brews') }} as brews
            left join {{ ref('dim_beers') }} as beers on beers.beer_id = brews.beer_id
            """,
        "models/marts/tank_plan.sql": """
            select brews.tank, beers.style, count(*) as brews
            from {{ ref('stg_brews') }} as brews
            left join {{ ref('dim_beers') }} as beers on beers.beer_id = brews.beer_id
            group by all
            """,
        "models/marts/duty_declaration.sql": """
            -- the law of before 2026 counts degrees Plato
            select beers.style, sum(brews.litres * beers.strength) / 100 as degrees
            from {{ ref('stg_brews') }} as brews
            inner join {{ ref('dim_beers', v=1) }} as beers on beers.beer_id = brews.beer_id
            group by beers.style
            """,
        "models/marts/_marts.yml": """
            version: 2
            models:
              - name: fct_brews
                columns:
                  - name: brew_no
                    data_tests: [unique, not_null]
                  - name: style
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema cellar",
        "create table cellar.beers as select i as beer_id, 'Beer ' || i as beer, ['Helles', 'Bock'][1 + i % 2] as style, "
        "12 as plato, 5 as abv, case when i < 7 then date '2024-05-01' else date '2026-03-01' end as launched "
        "from range(10) t(i)",
        "create table cellar.brews as select i as brew_no, i % 10 as beer_id, 'T' || (i % 4) as tank, "
        "date '2026-10-01' + (i // 3)::int as brewed_on, 1000 as litres from range(90) t(i)",
    )
    site.good_build()
    site.commit("Malte Hinrichs", "Tank plan: fullest tank first", site.edited(
        "models/marts/tank_plan.sql", ("group by all", "group by all\norder by brews desc"),
    ))  # fmt: skip
    site.commit("Adaeze Nwosu", "Pin dim_beers in every mart, so that a v3 surprises nobody", {
        **site.edited("models/marts/fct_brews.sql", ("ref('dim_beers')", "ref('dim_beers', v=1)")),
        **site.edited("models/marts/tank_plan.sql", ("ref('dim_beers')", "ref('dim_beers', v=2)")),
    }, label="culprit")  # fmt: skip
    site.commit("Malte Hinrichs", "Say which law the declaration follows", site.edited(
        "models/marts/duty_declaration.sql", ("-- the law", "-- paragraph 2: the law"),
    ))  # fmt: skip
    site.sql(
        "insert into cellar.brews select 90 + i, i % 10, 'T1', date '2026-11-20', 1000 from range(10) t(i)",
    )


BREWERY = Scenario(
    "brewery_ref_pinned_to_the_old_version",
    "Refs are pinned to a version, one of them to the old one, which lacks this year's beers and counts strength in "
    "another unit. Only the missing style makes a test fail.",
    _brewery,
    (
        Incident(
            ("not_null_fct_brews_style",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "Until the pin, the mart read version 2.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("brews", "select count(*) from analytics.fct_brews where style is not null", 100),
        HiddenCheck("alcohol", "select sum(litres_of_alcohol) from analytics.fct_brews", 5000),
        HiddenCheck("only two styles", "select count(distinct style) from analytics.fct_brews", 2),
        HiddenCheck("duty as the law has it", "select sum(degrees) from analytics.duty_declaration", 8400),
    ),
    protected=("models/marts/_marts.yml", "models/core/*", "models/marts/duty_declaration.sql"),
    oracle=lambda site: site.edited("models/marts/fct_brews.sql", ("v=1", "v=2")),
)  # fmt: skip


def _quarry(site: Site) -> None:
    site.commit("Osei Boateng", "Machines, and how long they stand still", {
        **site.base("    +materialized: table\n"),
        "analytics/models/assets.yml": """
            sources:
              - name: maintenance
                tables: [{name: assets}]
            models:
              - name: machines
                columns: [{name: hours, data_tests: [not_null]}]
            """,
        "analytics/models/stg_assets.sql": """
            select asset_no, asset_group, pit, status, hours from {{ source('maintenance', 'assets') }}
            """,
        "analytics/snapshots/machine_status.sql": """
            {% snapshot machine_status %}
                {{ config(
                    target_schema='analytics', unique_key='asset_no', strategy='check', check_cols=['status']
                ) }}
                select asset_no, pit, status from {{ ref('stg_assets') }}
            {% endsnapshot %}
            """,
        "analytics/models/machines.sql": "select asset_no, asset_group, hours from {{ ref('stg_assets') }}\n",
        "analytics/models/standstills.sql": """
            select asset_no, count(*) as standstills
            from {{ ref('machine_status') }}
            where status = 'down'
            group by asset_no
            """,
    })  # fmt: skip
    site.sql(
        "create schema maintenance",
        "create table maintenance.assets as select 500 + i as asset_no, ['loader', 'drill', 'truck'][1 + i % 3] "
        "as asset_group, 'pit ' || (i % 2) as pit, 'up' as status, 100 * i as hours from range(12) t(i)",
    )
    site.good_build()
    site.sql("update maintenance.assets set status = 'down' where asset_no in (501, 504, 507)")
    site.good_build()
    site.commit("Osei Boateng", "Machines: hours in full", site.edited(
        "analytics/models/machines.sql", ("hours from", "cast(hours as integer) as hours from"),
    ))  # fmt: skip
    site.commit("Renske Dijkstra", "A machine is a machine: asset_no -> machine_no", {
        **site.edited("analytics/models/stg_assets.sql", ("select asset_no,", "select asset_no as machine_no,")),
        **site.edited("analytics/models/machines.sql", ("select asset_no,", "select machine_no,")),
    }, label="culprit")  # fmt: skip
    site.commit("Osei Boateng", "Idle machines for the Monday round", {
        "analytics/models/idle.sql": "select machine_no from {{ ref('machines') }} where hours < 300\n",
    })  # fmt: skip
    site.sql("update maintenance.assets set status = 'up' where asset_no in (501, 504)")


QUARRY = Scenario(
    "quarry_snapshot_key_renamed_upstream",
    "A staging column gets a new name; the snapshot keyed by it is forgotten. Its history knows the old name only.",
    _quarry,
    (
        Incident(
            ("machine_status",), _CODE_FIX, _CODE, Fix.EXPECTED,
            "The snapshot can read the new name under the old one, so that its history goes on.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck(
            "one current state a machine",
            "select count(*) from analytics.machine_status where dbt_valid_to is null", 12,
        ),
        HiddenCheck("history goes on", "select count(*) from analytics.machine_status", 17),
        HiddenCheck("machines ever", "select count(distinct asset_no) from analytics.machine_status", 12),
        HiddenCheck("standstills", "select sum(standstills) from analytics.standstills", 3),
        HiddenCheck("idle ones", "select count(machine_no) from analytics.idle", 3),
    ),
    protected=("analytics/models/assets.yml", "analytics/models/idle.sql"),
    oracle=lambda site: site.edited(
        "analytics/snapshots/machine_status.sql", ("select asset_no,", "select machine_no as asset_no,")
    ),
    directory="analytics",
)  # fmt: skip

_RESORTS = """code,resort,country
042,Sankt Anton,AT
42,Zermatt,CH
007,Lech,AT
13,Verbier,CH
108,Ischgl,AT
"""


def _skiing(site: Site) -> None:
    base = site.base("    +materialized: table\n")
    base["dbt_project.yml"] += (
        "seeds:\n  skiing:\n    +full_refresh: true\n    resorts:\n      +column_types:\n        code: varchar\n"
        "    seasons:\n      +column_types:\n        opens: date\n"
    )
    site.commit("Vreni Caduff", "Entries by country", {
        **base,
        "seeds/resorts.csv": _RESORTS,
        "seeds/seasons.csv": "season,opens\n2025/26,2025-11-28\n2026/27,2026-11-06\n",
        "models/gates.yml": """
            version: 2
            sources:
              - name: gates
                tables: [{name: entries}]
            """,
        "models/fct_entries.sql": """
            select e.entry_id, e.resort_code, r.resort, r.country, e.paid
            from {{ source('gates', 'entries') }} e
            left join {{ ref('resorts') }} r on e.resort_code = cast(r.code as varchar)
            where e.day >= (select max(opens) from {{ ref('seasons') }})
            """,
        "models/entries_by_country.sql": """
            select country, count(*) as entries, sum(paid) as paid from {{ ref('fct_entries') }} group by country
            """,
        "models/fct_entries.yml": """
            version: 2
            models:
              - name: fct_entries
                columns:
                  - name: entry_id
                    data_tests: [unique]
                  - name: country
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema gates",
        "create table gates.entries as select i as entry_id, ['042', '42', '007', '13', '108'][1 + i % 5] as resort_code, "
        "date '2026-11-06' + (i % 14)::int as day, 50 + 10 * (i % 5) as paid from range(200) t(i)",
    )
    site.good_build()
    site.commit("Vreni Caduff", "Entries by country: dearest first", site.edited(
        "models/entries_by_country.sql", ("group by country", "group by country order by paid desc"),
    ))  # fmt: skip
    site.commit("Luca Bernasconi", "Seeds say what they are about: resorts -> ski_resorts", {
        "seeds/resorts.csv": None,
        "seeds/ski_resorts.csv": _RESORTS,
        **site.edited("models/fct_entries.sql", ("ref('resorts')", "ref('ski_resorts')")),
    }, label="culprit")  # fmt: skip
    site.commit("Luca Bernasconi", "Describe entries", site.edited(
        "models/fct_entries.yml", ("  - name: fct_entries\n", "  - name: fct_entries\n    description: One a gate\n"),
    ))  # fmt: skip
    site.sql(
        "insert into gates.entries select 200 + i, ['007', '13'][1 + i % 2], date '2026-11-20', 80 from range(20) t(i)"
    )


SKIING = Scenario(
    "skiing_seed_renamed_without_its_column_types",
    "A seed gets a new name, its column types stay under the old one, so that 042 becomes 42, which is another resort.",
    _skiing,
    (
        Incident(
            ("not_null_fct_entries_country", "unique_fct_entries_entry_id"), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The column types belong to the seed under its new name.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("entries", "select count(*) from analytics.fct_entries", 220),
        HiddenCheck("Austria", "select paid from analytics.entries_by_country where country = 'AT'", 9200),
        HiddenCheck("Switzerland", "select paid from analytics.entries_by_country where country = 'CH'", 6400),
        HiddenCheck("Zermatt", "select count(*) from analytics.fct_entries where resort = 'Zermatt'", 40),
    ),
    protected=("models/fct_entries.yml",),
    oracle=lambda site: site.edited("dbt_project.yml", ("    resorts:\n", "    ski_resorts:\n")),
)  # fmt: skip

SCENARIOS = (BREWERY, QUARRY, SKIING)
