"""Fifth set: feeds whose rows all came, but mean something else than they did the day before."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_ROWS = frozenset({"data_quality_issue"})
_DATA = frozenset({"data"})


def _usage(files: str, unit: int) -> str:
    """Files of sixty records; volumes in kilobytes for a ``unit`` of 1, and in bytes for one of 1024."""
    return (
        "insert into tap.usage select f * 100 + i, f, '26201' || (7000 + (i * 11) % 40), ['NO02', 'FI05', 'ES07'][1 + i % 3], "
        "current_date - (318 - f)::int + interval 1 minute * (i * 23), "
        f"((3 ** ((i * 7 + f) % 13))::bigint + i) * {unit} from range({files}) a(f), range(60) b(i)"
    )


def _roaming(site: Site) -> None:
    site.commit("Sanne Visser", "Roaming usage from the clearing house", {
        **site.base("    +materialized: table\n"),
        "models/tap.yml": """
            version: 2
            sources:
              - name: tap
                description: Records of usage abroad, one file a day from the clearing house
                tables: [{name: usage}, {name: tariffs}]
            """,
        "models/usage.sql": """
            select record_no, file_no, imsi, visited, started_at, volume / 1024 as mb
              from {{ source('tap', 'usage') }}
            """,
    })  # fmt: skip
    site.commit("Sanne Visser", "A generic test for upper bounds", {
        "tests/generic/at_most.sql": """
            {% test at_most(model, column_name, bound) %}
            select {{ column_name }} from {{ model }} where {{ column_name }} > {{ bound }}
            {% endtest %}
            """,
        "models/usage.yml": """
            version: 2
            models:
              - name: usage
                columns:
                  - name: record_no
                    data_tests: [unique]
                  - name: mb
                    description: No session goes beyond a gigabyte, the network ends it there
                    data_tests:
                      - at_most:
                          name: sessions_end_at_a_gigabyte
                          bound: 1024
            """,
    })  # fmt: skip
    site.commit("Emre Aksoy", "Charges by partner", {
        "models/partner_charges.sql": """
            select u.visited, sum(u.mb * t.eur_per_mb) as eur
              from {{ ref('usage') }} u
              join {{ source('tap', 'tariffs') }} t on t.visited = u.visited
             group by u.visited
            """,
    })  # fmt: skip
    site.commit("Emre Aksoy", "Heavy users, for the letters", {
        "models/heavy_users.sql": """
            select imsi, sum(mb) as mb
              from {{ ref('usage') }}
             group by imsi
            having sum(mb) > 500
            """,
    })  # fmt: skip
    site.commit("Olga Petrova", "Charges: round to the cent", site.edited(
        "models/partner_charges.sql", ("sum(u.mb * t.eur_per_mb)", "round(sum(u.mb * t.eur_per_mb), 2)"),
    ))  # fmt: skip
    site.commit(
        "Olga Petrova",
        "How to get at the clearing house",
        {"docs/clearing.md": "Files come at 04:00. Questions: tap desk.\n"},
    )
    site.sql(
        "create schema tap",
        "create table tap.usage (record_no int, file_no int, imsi varchar, visited varchar, started_at timestamp, volume bigint)",
        "create table tap.tariffs as select unnest(['NO02', 'FI05', 'ES07']) as visited, unnest([0.02, 0.015, 0.03]) as eur_per_mb",
        _usage("308, 316", 1),
    )
    site.good_build()
    site.commit("Sanne Visser", "Usage: partners in capitals, should a file differ", site.edited(
        "models/usage.sql", (" visited,", " upper(visited) as visited,"),
    ))  # fmt: skip
    site.commit("Emre Aksoy", "Usage: say the divisor as a decimal", site.edited(
        "models/usage.sql", ("volume / 1024 as", "volume / 1024.0 as"),
    ))  # fmt: skip
    site.commit("Olga Petrova", "Heavy users: most first", site.edited(
        "models/heavy_users.sql", ("> 500\n", "> 500\n order by mb desc\n"),
    ))  # fmt: skip
    site.sql(_usage("316, 318", 1024))


ROAMING = Scenario(
    "roaming_kilobytes_become_bytes",
    "The clearing house sends volumes in bytes since two files ago. Small ones still look like large ones in kilobytes.",
    _roaming,
    (
        Incident(
            ("sessions_end_at_a_gigabyte",), _ROWS, _DATA, Fix.FORBIDDEN,
            "only the clearing house can say since when and for how long the unit is another",
            roots=("source.roaming.tap.usage",),
        ),
    ),
    (
        HiddenCheck("records", "select count(*) from analytics.usage", 600),
        HiddenCheck(
            "megabytes", "select sum(mb) from analytics.usage",
            sum(3 ** ((i * 7 + f) % 13) + i for f in range(308, 318) for i in range(60)) / 1024,
        ),
        HiddenCheck(
            "megabytes of the last two files", "select sum(mb) from analytics.usage where file_no >= 316",
            sum(3 ** ((i * 7 + f) % 13) + i for f in range(316, 318) for i in range(60)) / 1024,
        ),
    ),
)  # fmt: skip


def _readings(day: int, clock: str) -> str:
    """The hours of a day by the park's clock; ``clock`` is the hour on the label of the first."""
    return (
        f"insert into scada.readings select 'T' || (1 + t), current_date - {day} + interval '{clock}' + interval 1 hour * h, "
        f"600 + (h * 37 + {day} * 50 + t * 10) % 900 from range(5) a(t), range(24) b(h)"
    )


def _settled(day: int) -> str:
    return (
        f"insert into grid.settled select current_date - {day} + interval 1 hour * (h - 1), sum(600 + (h * 37 + {day} * 50 + t * 10) % 900), "
        "40 + (h * 7) % 30 from range(5) a(t), range(24) b(h) group by h"
    )


def _windpark(site: Site) -> None:
    site.commit("Jeppe Holm", "Production by hour", {
        **site.base("    +materialized: table\n    staging: {+materialized: view}\n"),
        "models/staging/scada.yml": """
            version: 2
            sources:
              - name: scada
                tables:
                  - name: readings
                    description: "Energy by turbine and hour. `clock` is the start of the hour on the park's clock: UTC+1, summer and winter."
            """,
        "models/staging/stg_readings.sql": """
            SELECT
                turbine
              , clock - INTERVAL 1 HOUR AS hour_utc
              , kwh
            FROM {{ source('scada', 'readings') }}
            """,
        "models/production_hours.sql": """
            SELECT
                turbine || ' ' || STRFTIME(hour_utc, '%Y-%m-%d %H') AS production_key
              , turbine
              , hour_utc
              , kwh
            FROM {{ ref('stg_readings') }}
            """,
    })  # fmt: skip
    site.commit("Jeppe Holm", "One line a turbine and hour", {
        "models/production.yml": """
            version: 2
            models:
              - name: production_hours
                columns:
                  - name: production_key
                    data_tests: [unique, not_null]
            """,
    })  # fmt: skip
    site.commit("Astrid Lund", "Settlement of the grid operator", {
        "models/staging/grid.yml": """
            version: 2
            sources:
              - name: grid
                tables:
                  - name: settled
                    description: What the grid operator measured and paid, by hour in UTC
            """,
        "models/park_hours.sql": """
            SELECT
                p.hour_utc
              , SUM(p.kwh) AS kwh
              , ANY_VALUE(s.kwh) AS settled_kwh
              , SUM(p.kwh) * ANY_VALUE(s.eur_mwh) / 1000 AS eur
            FROM {{ ref('production_hours') }} p
            LEFT JOIN {{ source('grid', 'settled') }} s ON s.hour_utc = p.hour_utc
            GROUP BY p.hour_utc
            """,
    })  # fmt: skip
    site.commit("Mikkel Bach", "Revenue by turbine", {
        "models/turbine_revenue.sql": """
            SELECT p.turbine, SUM(p.kwh * s.eur_mwh) / 1000 AS eur
            FROM {{ ref('production_hours') }} p
            JOIN {{ source('grid', 'settled') }} s ON s.hour_utc = p.hour_utc
            GROUP BY p.turbine
            """,
    })  # fmt: skip
    site.commit("Mikkel Bach", "Threads for the small machine", {"docs/run.md": "dbt build, at 05:30.\n"})
    site.sql(
        "create schema scada",
        "create schema grid",
        "create table scada.readings (turbine varchar, clock timestamp, kwh int)",
        "create table grid.settled (hour_utc timestamp, kwh int, eur_mwh int)",
        *(_readings(day, "0 hours") for day in range(9, 1, -1)),
        *(_settled(day) for day in range(9, 1, -1)),
    )
    site.good_build()
    site.commit("Astrid Lund", "Production: key first, then what it is made of, with blanks trimmed", site.edited(
        "models/production_hours.sql", ("    turbine || ' '", "    TRIM(turbine) || ' '"),
    ))  # fmt: skip
    site.commit("Jeppe Holm", "Readings: energy as a decimal for the settlement", site.edited(
        "models/staging/stg_readings.sql", (", kwh\n", ", CAST(kwh AS DECIMAL(12, 1)) AS kwh\n"),
    ))  # fmt: skip
    site.commit(
        "Mikkel Bach",
        "Run half an hour later, the operator is late on Mondays",
        {"docs/run.md": "dbt build, at 06:00.\n"},
    )
    site.sql(_readings(1, "-1 hours"), _settled(1))


WINDPARK = Scenario(
    "windpark_clock_set_to_utc",
    "The park's historian labels hours in UTC since yesterday, where the project still takes an hour off.",
    _windpark,
    (
        Incident(
            ("unique_production_hours_production_key",), _ROWS, _DATA, Fix.FORBIDDEN,
            "the park must say since when its clock is another, or set it back",
            roots=("source.windpark.scada.readings",),
        ),
    ),
    (
        HiddenCheck("readings", "select count(*) from analytics.production_hours", 9 * 120),
        HiddenCheck("energy", "select sum(kwh) = (select sum(kwh) from grid.settled) from analytics.park_hours", True),
        HiddenCheck("hours that differ from the settlement", "select count(*) from analytics.park_hours where kwh is distinct from settled_kwh", 0),
        HiddenCheck("revenue", "select abs(sum(eur) - (select sum(kwh * eur_mwh) / 1000 from grid.settled)) < 0.01 from analytics.turbine_revenue", True),
    ),
)  # fmt: skip

SCENARIOS = (ROAMING, WINDPARK)
