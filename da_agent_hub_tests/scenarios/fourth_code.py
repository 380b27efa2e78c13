"""Fourth set: slips after which a model does not build, each with a fix that needs no person."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_BROKEN = frozenset({"code_fix_required"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _rescue(site: Site) -> None:
    site.commit("Aoife Brennan", "Shelter reports in dbt", {
        **site.base("    +materialized: table\n"),
        "README.md": "# Shelter\n\n`transform/` is the dbt project; it runs every morning at five.\n",
        "transform/models/animals.sql": """
            select id as animal_id, name, species, born as born_on, intake as intake_date, adopted as adopted_on
            from {{ source('shelter', 'animals') }}
            """,
        "transform/models/animals.yml": """
            version: 2
            sources:
              - name: shelter
                tables: [{name: animals}]
            models:
              - name: animals
                columns:
                  - {name: animal_id, data_tests: [unique, not_null]}
                  - {name: intake_date, description: The day the animal came to us}
            """,
        "transform/models/intakes_by_month.sql": """
            select date_trunc('month', intake_date) as month, species, count(*) as intakes
            from {{ ref('animals') }}
            group by 1, 2
            """,
        "transform/models/occupancy.sql": """
            select species, count(*) as animals, min(intake_date) as longest_here_since
            from {{ ref('animals') }}
            where adopted_on is null
            group by species
            """,
        "transform/models/reports/length_of_stay.sql": """
            select a.species, count(*) as adoptions, avg(a.adopted_on - a.intake_date) as mean_days
            from {{ ref('animals') }} a
            where a.adopted_on is not null
            group by a.species
            """,
        "transform/models/reports/reports.yml": """
            version: 2
            models:
              - name: length_of_stay
                columns:
                  - {name: mean_days, data_tests: [not_null]}
            """,
    })  # fmt: skip
    site.sql(
        "create schema shelter",
        "create table shelter.animals as select i as id, 'Pet ' || i as name, ['dog', 'cat', 'rabbit'][1 + i % 3] as "
        "species, date '2024-03-01' + i::int as born, date '2026-08-01' + i::int as intake, "
        "case when i % 4 <> 0 then date '2026-08-01' + (i + 14 + 7 * (i % 3))::int end as adopted from range(72) t(i)",
    )
    site.good_build()
    site.commit("Kwame Mensah", "Occupancy: fullest first", site.edited(
        "transform/models/occupancy.sql", ("group by species", "group by species\norder by animals desc"),
    ))  # fmt: skip
    site.commit("Aoife Brennan", "Name the report's owner", site.edited(
        "transform/models/reports/reports.yml", ("- name: length_of_stay\n", "- name: length_of_stay\n    meta: {owner: adoptions desk}\n"),
    ))  # fmt: skip
    site.commit("Kwame Mensah", "animals: admitted_on instead of intake_date, like born_on and adopted_on", {
        **site.edited("transform/models/animals.sql", ("as intake_date", "as admitted_on")),
        **site.edited("transform/models/animals.yml", ("name: intake_date", "name: admitted_on")),
        **site.edited("transform/models/intakes_by_month.sql", ("intake_date", "admitted_on")),
        **site.edited("transform/models/occupancy.sql", ("intake_date", "admitted_on")),
    }, label="culprit")  # fmt: skip
    site.commit("Aoife Brennan", "Names without blanks", site.edited(
        "transform/models/animals.sql", ("animal_id, name,", "animal_id, trim(name) as name,"),
    ))  # fmt: skip
    site.sql("insert into shelter.animals values (72, 'Pip', 'dog', '2025-01-20', '2026-11-20', null)")


RESCUE = Scenario(
    "rescue_renamed_column_left_in_a_report",
    "A column gets a better name in its model and in two readers; a report in another folder still asks for the old.",
    _rescue,
    (
        Incident(
            ("length_of_stay",), _BROKEN, _CODE, Fix.EXPECTED, "The report must follow the rename.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("adoptions", "select sum(adoptions) from analytics.length_of_stay", 54),
        HiddenCheck("days of dogs", "select mean_days from analytics.length_of_stay where species = 'dog'", 14),
        HiddenCheck("days of rabbits", "select mean_days from analytics.length_of_stay where species = 'rabbit'", 28),
        HiddenCheck("the new name stays", "select count(admitted_on) from analytics.animals", 73),
    ),
    protected=("transform/models/*.yml",),
    oracle=lambda site: site.edited("transform/models/reports/length_of_stay.sql", ("intake_date", "admitted_on")),
    directory="transform",
)  # fmt: skip


def _parking(site: Site) -> None:
    site.commit("Piotr Nowak", "Takings by day and method", {
        **site.base("    +materialized: table\n"),
        "models/meters.yml": """
            version: 2
            sources:
              - name: meters
                tables:
                  - name: payments
            models:
              - name: takings_by_day
                columns:
                  - name: day
                    data_tests: [unique, not_null]
            """,
        "models/takings_by_day.sql": """
            {%- set methods = ['card', 'coin', 'app'] -%}

            select
                cast(paid_at as date) as day,
                count(*) as payments,
                {% for method in methods -%}
                sum(amount) filter (where method = '{{ method }}') as {{ method }}_amount
                {%- if not loop.last %},{% endif %}
                {% endfor %}
            from {{ source('meters', 'payments') }}
            group by 1
            """,
        "models/takings_by_month.sql": """
            select
                date_trunc('month', day) as month,
                sum(card_amount) as card_amount,
                sum(coin_amount) as coin_amount,
                sum(app_amount) as app_amount
            from {{ ref('takings_by_day') }}
            group by 1
            """,
    })  # fmt: skip
    site.sql(
        "create schema meters",
        "create table meters.payments as select i as payment_id, timestamp '2026-10-26 08:00:00' + to_hours(i) as paid_at, "
        "['card', 'coin', 'app', 'pass'][1 + i % 4] as method, 1 + i % 3 as amount from range(480) t(i)",
    )
    site.good_build()
    site.commit("Piotr Nowak", "Takings: methods as the meters write them, whatever the case", site.edited(
        "models/takings_by_day.sql", ("where method =", "where lower(method) ="),
    ))  # fmt: skip
    site.commit("Greta Holm", "Takings by month: oldest first", site.edited(
        "models/takings_by_month.sql", ("group by 1", "group by 1\norder by 1"),
    ))  # fmt: skip
    site.commit("Greta Holm", "Takings: season passes and a total of the day (#41)", {
        **site.edited(
            "models/takings_by_day.sql",
            ("'app']", "'app', 'pass']"),
            ("{% endfor %}\n", "{% endfor %}\n    sum(amount) as total_amount\n"),
        ),
        **site.edited(
            "models/meters.yml",
            (
                "data_tests: [unique, not_null]\n",
                "data_tests: [unique, not_null]\n      - name: total_amount\n        data_tests: [not_null]\n",
            ),
        ),
    }, label="culprit")  # fmt: skip
    site.commit("Piotr Nowak", "Describe the payments", site.edited(
        "models/meters.yml", ("- name: payments\n", "- name: payments\n        description: One row a ticket or pass\n"),
    ))  # fmt: skip


PARKING = Scenario(
    "parking_no_comma_after_the_loop",
    "A column is added behind a Jinja loop whose last turn writes no comma.",
    _parking,
    (
        Incident(
            ("takings_by_day",), _BROKEN, _CODE, Fix.EXPECTED, "The comma between the loop and the total is missing.",
            culprit="culprit",
        ),
    ),
    (
        HiddenCheck("total", "select sum(total_amount) from analytics.takings_by_day", 960),
        HiddenCheck("passes", "select sum(pass_amount) from analytics.takings_by_day", 240),
        HiddenCheck("coins by month", "select sum(coin_amount) from analytics.takings_by_month", 240),
        HiddenCheck("days", "select count(*) from analytics.takings_by_day", 21),
    ),
    protected=("models/meters.yml",),
    oracle=lambda site: site.edited(
        "models/takings_by_day.sql", ("_amount\n    {%- if not loop.last %},{% endif %}", "_amount,")
    ),
)  # fmt: skip


def _ferry(site: Site) -> None:
    site.commit("Nikos Andreou", "Sailings from the port's system", {
        **site.base("    +materialized: table\n"),
        "models/port/port.yml": """
            version: 2

            sources:
              - name: port
                tables:
                  - name: sailings
                    columns:
                      - name: departs_at
                        description: Planned departure, local time
                      - name: passengers
                        description: Persons on board, crew not counted

            models:
              - name: stg_port__sailings
                columns:
                  - name: sailing_no
                    data_tests: [unique, not_null]
                  - name: departs_at
                    data_tests: [not_null]
            """,
        "models/port/stg_port__sailings.sql": """
            with

            source as (

                select * from {{ source('port', 'sailings') }}

            ),

            renamed as (

                select
                    no as sailing_no,
                    route,
                    vessel,
                    departs_at,
                    seats,
                    passengers
                from source

            )

            select * from renamed
            """,
        "models/load_by_hour.sql": """
            select
                route,
                extract(hour from departs_at) as hour,
                count(*) as sailings,
                sum(passengers) as passengers,
                sum(passengers) / sum(seats) as load
            from {{ ref('stg_port__sailings') }}
            group by all
            """,
        "models/last_sailing_by_route.sql": """
            select route, max(departs_at) as last_departs_at from {{ ref('stg_port__sailings') }} group by route
            """,
    })  # fmt: skip
    sailings = (
        "select i as no, ['Aegina', 'Hydra', 'Poros'][1 + i % 3] as route, 'MV ' || (i % 5) as vessel, "
        "timestamp '2026-11-08 07:00:00' + to_hours((i // 6) * 24 + 2 * (i % 6)) as {departure}, 200 as seats, "
        "80 + i % 50 as passengers, timestamp '{synced}' as _synced_at from range({first}, {end}) t(i)"
    )
    site.sql(
        "create schema port",
        f"create table port.sailings as {sailings.format(departure='departs_at', first=0, end=72, synced='2026-11-20 03:00:00')}",
    )
    site.good_build()
    site.commit("Nikos Andreou", "Last sailing: by name of route", site.edited(
        "models/last_sailing_by_route.sql", ("group by route", "group by route order by route"),
    ))  # fmt: skip
    site.commit("Ingrid Vik", "Port: vessels in capitals", site.edited(
        "models/port/stg_port__sailings.sql", ("        vessel,", "        upper(vessel) as vessel,"),
    ))  # fmt: skip
    site.commit("Nikos Andreou", "Load as a percentage", site.edited(
        "models/load_by_hour.sql", ("sum(passengers) / sum(seats) as load", "round(100.0 * sum(passengers) / sum(seats), 1) as load_pct"),
    ))  # fmt: skip
    site.sql(
        "alter table port.sailings rename column departs_at to departure_at",
        f"insert into port.sailings {sailings.format(departure='departure_at', first=72, end=78, synced='2026-11-21 03:00:00')}",
    )


FERRY = Scenario(
    "ferry_departure_renamed_at_the_port",
    "The port's system gives the column of the departure another name; all others are as they were.",
    _ferry,
    (
        Incident(
            ("stg_port__sailings",), _CODE_OR_ROWS, frozenset({"data"}), Fix.EXPECTED,
            "One column is gone and one of the same meaning is new: staging takes it under the name that readers know.",
            roots=("source.ferry.port.sailings", "model.ferry.stg_port__sailings"),
        ),
    ),
    (
        HiddenCheck("sailings", "select sum(sailings) from analytics.load_by_hour", 78),
        HiddenCheck("at seven", "select sum(sailings) from analytics.load_by_hour where hour = 7", 13),
        HiddenCheck(
            "last to Hydra",
            "select last_departs_at::varchar from analytics.last_sailing_by_route where route = 'Hydra'",
            "2026-11-20 15:00:00",
        ),
    ),
    oracle=lambda site: {
        **site.edited(
            "models/port/stg_port__sailings.sql", ("        departs_at,", "        departure_at as departs_at,")
        ),
        **site.edited(
            "models/port/port.yml",
            ("- name: departs_at\n            description", "- name: departure_at\n            description"),
        ),
    },
)  # fmt: skip

SCENARIOS = (RESCUE, PARKING, FERRY)
