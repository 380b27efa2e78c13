"""Fifth set: loads that went wrong (once too often, broken off, without the table that the others refer to)."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_ROWS = frozenset({"data_quality_issue"})
_DATA = frozenset({"data"})


def _scans(days: str, hour: str = "02:10", routes: int = 12, scans: int = 6) -> str:
    """One batch a day: equal lines are equal pallets, not one pallet twice."""
    return (
        "insert into dock.scans select 'hub ' || (r % 3), 'R' || (100 + r), current_date - d::int, 2, 400 + 20 * (s // 2) + d, "
        f"current_date - d::int + interval 1 day + interval '{hour}' "
        f"from range({days}) a(d), range({routes}) b(r), range({scans}) c(s)"
    )


def _haulage(site: Site) -> None:
    site.commit("Berit Solheim", "Start with the scans of the loading docks", {
        **site.base("    +materialized: table\n    staging: {+materialized: view}\n"),
        "models/staging/sources.yml": """
            version: 2
            sources:
              - name: dock
                description: Scanners at the gates, loaded at 02:10; what a scanner sends late follows at 06:40
                tables: [{name: scans}]
            """,
        "models/staging/stg_dock__scans.sql": """
            select
                hub
                , route
                , scanned_on
                , pallets
                , kg
                , _loaded_at
            from {{ source('dock', 'scans') }}
            """,
    })  # fmt: skip
    site.commit("Berit Solheim", "Pallets by route", {
        "models/marts/pallets_by_route.sql": """
            select
                scanned_on as day
                , route
                , sum(pallets) as pallets
                , sum(kg) as kg
            from {{ ref('stg_dock__scans') }}
            group by scanned_on, route
            """,
    })  # fmt: skip
    site.commit("Tomasz Lis", "Bring in the waybills of the office", {
        **site.edited("models/staging/sources.yml", ("tables: [{name: scans}]\n", "tables: [{name: scans}]\n  - name: office\n    tables: [{name: waybills}]\n")),
        "models/staging/stg_office__waybills.sql": "select route, day, pallets from {{ source('office', 'waybills') }}\n",
    })  # fmt: skip
    site.commit("Tomasz Lis", "Nothing leaves a dock without a waybill", {
        "tests/no_more_pallets_than_waybills.sql": """
            select p.day, p.route, p.pallets, w.pallets as announced
            from {{ ref('pallets_by_route') }} p
            join {{ ref('stg_office__waybills') }} w on w.route = p.route and w.day = p.day
            where p.pallets > w.pallets
            """,
    })  # fmt: skip
    site.commit("Berit Solheim", "Tonnes through each hub", {
        "models/marts/hub_load.sql": """
            select hub, scanned_on as day, sum(kg) / 1000 as tonnes
            from {{ ref('stg_dock__scans') }}
            group by hub, scanned_on
            """,
    })  # fmt: skip
    site.commit(
        "Aylin Demir", "Readme for the newcomers", {"README.md": "# haulage\nPallets and tonnes of the three hubs.\n"}
    )
    site.sql(
        "create schema dock",
        "create schema office",
        "create table dock.scans (hub varchar, route varchar, scanned_on date, pallets int, kg int, _loaded_at timestamp)",
        "create table office.waybills as select 'R' || (100 + r) as route, current_date - d::int as day, "
        "12 + case when r < 4 then 2 else 0 end + case when r % 5 = 0 then 1 else 0 end as pallets "
        "from range(2, 10) a(d), range(12) b(r)",
        _scans("2, 10"),
        _scans("2, 10", "06:40", 4, 1),
    )
    site.good_build()
    site.commit("Tomasz Lis", "Hub load: heaviest day first", site.edited(
        "models/marts/hub_load.sql", ("group by hub, scanned_on", "group by hub, scanned_on\norder by tonnes desc"),
    ))  # fmt: skip
    site.commit("Aylin Demir", "Scans: hub in capitals as on the gates", site.edited(
        "models/staging/stg_dock__scans.sql", ("    hub\n", "    upper(hub) as hub\n"),
    ))  # fmt: skip
    site.commit("Berit Solheim", "Readme: who to ring when a scanner is silent", site.edited(
        "README.md", ("hubs.\n", "hubs.\n\nSilent scanners: dock office, extension 40.\n"),
    ))  # fmt: skip
    site.sql(
        "insert into office.waybills select route, current_date - 1, pallets from office.waybills where day = current_date - 2",
        _scans("1, 2"),
        _scans("1, 2", "02:25"),
        _scans("1, 2", "06:40", 4, 1),
    )


HAULAGE = Scenario(
    "haulage_loader_retried_after_its_timeout",
    "The loader timed out at the end of a batch that was in, and loaded it again. Lines have no key, and equal ones are usual.",
    _haulage,
    (
        Incident(
            ("no_more_pallets_than_waybills",), _ROWS, _DATA, Fix.FORBIDDEN,
            "only the loader's owner can take the second batch out; equal lines are real pallets",
            roots=("source.haulage.dock.scans",),
        ),
    ),
    (
        HiddenCheck("pallets", "select sum(pallets) from analytics.pallets_by_route", 9 * (144 + 8)),
        HiddenCheck("pallets of the last day", "select sum(pallets) from analytics.pallets_by_route where day = (select max(day) from office.waybills)", 152),
        HiddenCheck("tonnes", "select round(sum(tonnes), 3) from analytics.hub_load", 289.98),
    ),
)  # fmt: skip


def _sessions(day: str, first: str, rows: str) -> str:
    return (
        f"insert into wards.sessions select {first} + i, 'P' || (100 + (i * 7) % 45), 'unit ' || (1 + i // 18), "
        f"current_date - {day} + interval 6 hour + interval 1 minute * (i % 18) * 20, 200 + (i * 7 + {day} * 11) % 50, "
        f"'sessions_' || strftime(current_date - {day}, '%Y%m%d') || '.csv' from range({rows}) t(i)"
    )


def _dialysis(site: Site) -> None:
    site.commit("Dr. Noor Haddad", "Dialysis sessions out of the nightly files", {
        **site.base(),
        site.at("models/wards.yml"): """
            version: 2

            sources:
              - name: wards
                tables:
                  - name: sessions
                    columns:
                      - name: session_id
                        data_tests: [unique, not_null]
            """,
        site.at("models/stg_sessions.sql"): """
            SELECT
                session_id,
                patient_no,
                unit,
                started_at,
                minutes,
                file AS source_file
            FROM {{ source('wards', 'sessions') }}
            """,
    })  # fmt: skip
    site.commit("Lukas Brandt", "Use of the chairs by day", {
        site.at("models/chair_use.sql"): """
            SELECT
                unit,
                CAST(started_at AS DATE) AS day,
                COUNT(*) AS sessions,
                SUM(minutes) / 60 AS hours
            FROM {{ ref('stg_sessions') }}
            GROUP BY 1, 2
            """,
    })  # fmt: skip
    site.commit("Lukas Brandt", "Treatments by patient", {
        site.at("models/patient_treatments.sql"): """
            SELECT patient_no, COUNT(*) AS treatments, AVG(minutes) AS avg_minutes
            FROM {{ ref('stg_sessions') }}
            GROUP BY patient_no
            """,
    })  # fmt: skip
    site.commit("Dr. Noor Haddad", "All five units treat on every day", {
        site.at("tests/every_unit_treats_every_day.sql"): """
            SELECT CAST(started_at AS DATE) AS day, COUNT(DISTINCT unit) AS units
            FROM {{ ref('stg_sessions') }}
            GROUP BY 1
            HAVING COUNT(DISTINCT unit) < 5
            """,
    })  # fmt: skip
    site.commit("Ines Kovac", "Compare files with what the ward system says it sent", {
        **site.edited(
            site.at("models/wards.yml"), ("    tables:\n", "    tables:\n      - name: deliveries\n        description: One line a file, written by the sender\n")
        ),
        site.at("tests/files_are_complete.sql"): """
            SELECT s.source_file, d.rows_sent, COUNT(*) AS rows_here
            FROM {{ ref('stg_sessions') }} s
            JOIN {{ source('wards', 'deliveries') }} d ON d.file = s.source_file
            GROUP BY 1, 2
            HAVING COUNT(*) <> d.rows_sent
            """,
    })  # fmt: skip
    site.commit("Ines Kovac", "Owners of the models", {"CODEOWNERS": "models/ @wards-analytics\n"})
    site.sql(
        "create schema wards",
        "create table wards.sessions (session_id int, patient_no varchar, unit varchar, started_at timestamp, minutes int, file varchar)",
        *(_sessions(str(day), str(1000 + 90 * (8 - day)), "90") for day in range(8, 1, -1)),
        "create table wards.deliveries as select file, count(*) as rows_sent, max(started_at)::date + interval '26 hours' as sent_at "
        "from wards.sessions group by file",
    )
    site.good_build()
    site.commit("Lukas Brandt", "Chair use: name the hours for what they are", site.edited(
        site.at("models/chair_use.sql"), ("AS hours", "AS treatment_hours"),
    ))  # fmt: skip
    site.commit("Ines Kovac", "Sessions: patient numbers without blanks", site.edited(
        site.at("models/stg_sessions.sql"), ("    patient_no,", "    TRIM(patient_no) AS patient_no,"),
    ))  # fmt: skip
    site.commit("Dr. Noor Haddad", "Patients: round the average, nobody needs the seconds", site.edited(
        site.at("models/patient_treatments.sql"), ("AVG(minutes)", "ROUND(AVG(minutes), 1)"),
    ))  # fmt: skip
    site.sql(
        _sessions("1", "1630", "61"),
        "insert into wards.deliveries select 'sessions_' || strftime(current_date - 1, '%Y%m%d') || '.csv', 90, "
        "current_date + interval '2 hours'",
    )


DIALYSIS = Scenario(
    "dialysis_file_read_to_two_thirds",
    "The load of the last file broke off after 61 of 90 lines; two tests see it in the same staging model.",
    _dialysis,
    (
        Incident(
            ("every_unit_treats_every_day", "files_are_complete"), _ROWS, _DATA, Fix.FORBIDDEN,
            "the other lines must be loaded; no code has them", roots=("source.dialysis.wards.sessions",),
        ),
    ),
    (
        HiddenCheck("sessions", "select sum(sessions) from analytics.chair_use", 720),
        HiddenCheck("minutes", "select sum(minutes) from analytics.stg_sessions", sum(200 + (i * 7 + day * 11) % 50 for day in range(1, 9) for i in range(90))),
        HiddenCheck("units on the last day", "select count(*) from analytics.chair_use where day = (select max(started_at)::date from wards.sessions)", 5),
        HiddenCheck("treatments", "select sum(treatments) from analytics.patient_treatments", 720),
    ),
    directory="dbt",
)  # fmt: skip


def _orchard(site: Site) -> None:
    site.commit("Gwen Parry", "Picks and plots", {
        **site.base("    +materialized: table\n"),
        "models/src_farm.yml": """
            version: 2
            sources:
              - name: land
                description: Land register, copied whole each night
                tables:
                  - name: plots
              - name: harvest
                description: What the pickers book on their handhelds, appended each night
                tables:
                  - name: picks
                  - name: crews
            """,
        "models/dim_plots.sql": """
            with plots as (
                select * from {{ source('land', 'plots') }}
            )
            select plot_code, variety, hectares, planted_on from plots
            """,
        "models/fct_picks.sql": """
            with picks as (
                select * from {{ source('harvest', 'picks') }}
            ),
            plots as (
                select * from {{ ref('dim_plots') }}
            )
            select
                picks.pick_id,
                picks.plot_code,
                picks.crew_no,
                plots.variety,
                picks.picked_on,
                picks.kg
            from picks
            left join plots
                on plots.plot_code = picks.plot_code
            """,
    })  # fmt: skip
    site.commit("Gwen Parry", "Test what the packing house relies on", {
        "models/farm.yml": """
            version: 2
            models:
              - name: dim_plots
                columns:
                  - name: plot_code
                    data_tests: [unique, not_null]
              - name: fct_picks
                columns:
                  - name: pick_id
                    data_tests: [unique, not_null]
                  - name: plot_code
                    data_tests:
                      - relationships:
                          to: ref('dim_plots')
                          field: plot_code
                  - name: variety
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.commit("Piet de Boer", "Yield by hectare", {
        "models/yields.sql": """
            select plots.variety, sum(picks.kg) / sum(distinct plots.hectares) as kg_per_ha
            from {{ ref('fct_picks') }} as picks
            join {{ ref('dim_plots') }} as plots on plots.plot_code = picks.plot_code
            group by plots.variety
            """,
    })  # fmt: skip
    site.commit("Piet de Boer", "Yield: hectares once a plot, not once a distinct size", {
        "models/yields.sql": """
            with by_plot as (
                select plot_code, sum(kg) as kg from {{ ref('fct_picks') }} group by plot_code
            )
            select plots.variety, sum(by_plot.kg) as kg, sum(by_plot.kg) / sum(plots.hectares) as kg_per_ha
            from by_plot
            join {{ ref('dim_plots') }} as plots on plots.plot_code = by_plot.plot_code
            group by plots.variety
            """,
    })  # fmt: skip
    site.commit("Rhys Morgan", "Crews by day for the payroll", {
        "models/crew_days.sql": """
            select crew_no, picked_on, sum(kg) as kg from {{ ref('fct_picks') }} group by crew_no, picked_on
            """,
    })  # fmt: skip
    site.commit("Rhys Morgan", "Editor settings", {".editorconfig": "[*.sql]\nindent_size = 4\n"})
    site.sql(
        "create schema land",
        "create schema harvest",
        "create table land.plots as select 'K' || (10 + i) as plot_code, ['Cox', 'Braeburn', 'Jonagold'][1 + i % 3] as variety, "
        "1.5 + (i % 4) / 2 as hectares, date '2014-03-01' + (200 * i)::int as planted_on, "
        "current_date - 1 + interval '1 hour 5 minutes' as _synced_at from range(12) t(i)",
        "create table harvest.picks as select d * 36 + i as pick_id, 'K' || (10 + i % 12) as plot_code, 1 + i % 5 as crew_no, "
        "current_date - 10 + d::int as picked_on, 180 + (i * 13 + d) % 60 as kg, "
        "current_date - 9 + d::int + interval '1 hour 20 minutes' as _synced_at from range(9) a(d), range(36) b(i)",
        "create table harvest.crews as select i + 1 as crew_no, 'crew ' || (i + 1) as name, "
        "current_date - 1 + interval '1 hour 22 minutes' as _synced_at from range(5) t(i)",
    )
    site.good_build()
    site.commit("Piet de Boer", "Plots: age of the trees", site.edited(
        "models/dim_plots.sql", ("planted_on from", "planted_on, year(planted_on) as planted_year from"),
    ))  # fmt: skip
    site.commit("Gwen Parry", "Varieties the way the packing house writes them", site.edited(
        "models/dim_plots.sql", (" variety,", " upper(variety) as variety,"),
    ))  # fmt: skip
    site.commit("Rhys Morgan", "Crew days: take the number of picks along", site.edited(
        "models/crew_days.sql", ("sum(kg) as kg", "count(*) as picks, sum(kg) as kg"),
    ))  # fmt: skip
    site.sql(
        "insert into harvest.picks select 324 + i, 'K' || (10 + i % 15), 1 + i % 5, current_date - 1, 200 + i % 15, "
        "current_date + interval '1 hour 20 minutes' from range(45) t(i)",
        "update harvest.crews set _synced_at = current_date + interval '1 hour 22 minutes'",
    )


ORCHARD = Scenario(
    "orchard_new_plots_picked_before_their_register",
    "Three plots were bought and are picked, but the nightly copy of the land register did not run.",
    _orchard,
    (
        Incident(
            ("relationships_fct_picks_plot_code__plot_code__ref_dim_plots_", "not_null_fct_picks_variety"), _ROWS, _DATA,
            Fix.FORBIDDEN, "the plots exist; the register must be copied", roots=("source.orchard.land.plots",),
        ),
    ),
    (
        HiddenCheck("picks", "select count(*) from analytics.fct_picks", 369),
        HiddenCheck("picks of the new plots by variety", "select count(*) from analytics.fct_picks where variety = 'PINOVA'", 9),
        HiddenCheck("kilograms", "select sum(kg) = (select sum(kg) from harvest.picks) from analytics.yields", True),
        HiddenCheck("varieties", "select count(*) from analytics.yields", 4),
    ),
)  # fmt: skip

SCENARIOS = (HAULAGE, DIALYSIS, ORCHARD)
