"""Where judgement is asked for: several causes or several symptoms, chance, a wrong test, a missing database."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site


def _airline(site: Site) -> None:
    site.commit("Chidi Okeke", "Flights, crews and aircraft", {
        **site.base("    +materialized: table\n", extra="snapshots:\n  airline:\n    +target_schema: history\n"),
        "models/sources.yml": """
            sources:
              - name: ops
                tables: [{name: flights}, {name: crews}, {name: aircraft}]
            """,
        "snapshots/aircraft_history.sql": """
            {% snapshot aircraft_history %}
            {{ config(unique_key='tail_no', strategy='check', check_cols=['seats']) }}
            select tail_no, seats from {{ source('ops', 'aircraft') }}
            {% endsnapshot %}
            """,
        "models/stg_flights.sql": "select flight_no, tail_no, crew_id, departs from {{ source('ops', 'flights') }}\n",
        "models/stg_crews.sql": "select crew_id, captain, base from {{ source('ops', 'crews') }}\n",
        "models/seats_by_flight.sql": """
            select f.flight_no, a.seats
            from {{ ref('stg_flights') }} f
            left join {{ ref('aircraft_history') }} a on a.tail_no = f.tail_no and a.dbt_valid_to is null
            """,
        "models/crews_by_base.sql": "select base, count(*) as crews from {{ ref('stg_crews') }} group by base\n",
        "models/schema.yml": """
            models:
              - name: stg_flights
                columns:
                  - {name: flight_no, data_tests: [unique]}
                  - {name: tail_no, data_tests: [not_null]}
              - name: stg_crews
                columns: [{name: crew_id, data_tests: [unique]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema ops",
        "create table ops.aircraft as select 'T' || i as tail_no, 150 + i as seats from range(4) t(i)",
        "create table ops.crews as select i as crew_id, 'Cap ' || i as captain, ['OSL', 'LIS'][1 + i % 2] as base, "
        "i % 3 as grade from range(10) t(i)",
        "create table ops.flights as select i as flight_no, 'T' || (i % 4) as tail_no, i % 10 as crew_id, "
        "timestamp '2026-11-20' + interval (i) hour as departs from range(40) t(i)",
    )
    site.good_build()
    site.commit("Agnes Lund", "Carry the grade of a crew", {
        "models/stg_crews.sql": "select crew_id, captain, base, garde as grade from {{ source('ops', 'crews') }}\n",
    }, label="culprit")  # fmt: skip
    site.commit("Chidi Okeke", "Flights: one column a line", {
        "models/stg_flights.sql": """
            select
                flight_no,
                tail_no,
                crew_id,
                departs
            from {{ source('ops', 'flights') }}
            """,
    })  # fmt: skip
    site.sql("insert into ops.flights select 40 + i, null, i, timestamp '2026-11-22' from range(9) t(i)")


AIRLINE = Scenario(
    "airline_two_causes_in_one_run",
    "In one run a mistyped column breaks one model and a burst of nulls fails a test of another.",
    _airline,
    (
        Incident(
            ("stg_crews",), frozenset({"code_fix_required"}), frozenset({"code"}), Fix.EXPECTED,
            "The source's column is spelt grade.", culprit="culprit", roots=("model.airline.stg_crews",),
        ),
        Incident(
            ("not_null_stg_flights_tail_no",), frozenset({"data_quality_issue"}), frozenset({"data"}), Fix.FORBIDDEN,
            "Only operations know which aircraft flies.", roots=("source.airline.ops.flights",),
        ),
    ),
    (
        HiddenCheck("crews", "select sum(crews) from analytics.crews_by_base", 10),
        HiddenCheck("grades are the source's", "select sum(grade) from analytics.stg_crews", 9),
        HiddenCheck("flights are untouched", "select count(*) from analytics.stg_flights", 49),
    ),
    protected=("models/stg_flights.sql", "models/schema.yml"),
    oracle=lambda site: site.edited("models/stg_crews.sql", ("garde as grade", "grade")),
)  # fmt: skip


def _festival(site: Site) -> None:
    site.commit("Rosa Jimenez", "Tickets and stages", {
        **site.base("    +materialized: table\n"),
        "models/sources.yml": """
            sources:
              - name: box
                tables: [{name: tickets}, {name: slots}]
            """,
        "models/int_tickets.sql": """
            with tickets as (select * from {{ source('box', 'tickets') }}),
            slots as (select distinct day, stage from {{ source('box', 'slots') }})
            select tickets.ticket_id, tickets.day, slots.stage, tickets.price
            from tickets left join slots on slots.day = tickets.day
            """,
        "models/fct_tickets.sql": "select ticket_id, day, stage, price from {{ ref('int_tickets') }}\n",
        "models/ticket_badges.sql": """
            select ticket_id, 'B-' || ticket_id as badge from {{ ref('int_tickets') }}
            """,
        "models/schema.yml": """
            models:
              - name: fct_tickets
                columns: [{name: ticket_id, data_tests: [unique]}]
              - name: ticket_badges
                columns: [{name: badge, data_tests: [unique]}]
            """,
        "tests/takings_agree.sql": """
            select a.s, b.s as raw
            from (select sum(price) as s from {{ ref('fct_tickets') }}) a,
                 (select sum(price) as s from {{ source('box', 'tickets') }}) b
            where a.s <> b.s
            """,
    })  # fmt: skip
    site.sql(
        "create schema box",
        "create table box.tickets as select i as ticket_id, 1 + i % 3 as day, 80 as price from range(90) t(i)",
        "create table box.slots as select 1 + i % 3 as day, 'Stage ' || (1 + i % 3) as stage, i as hour "
        "from range(12) t(i)",
    )
    site.good_build()
    site.commit(
        "Rosa Jimenez", "Badges: say what they are", {"README.md": "# festival\nA badge is a ticket on paper.\n"}
    )
    site.commit("Timo Weber", "Take the hour of a slot along", site.edited(
        "models/int_tickets.sql",
        ("select distinct day, stage from", "select distinct day, stage, hour from"),
    ), label="culprit")  # fmt: skip
    site.commit("Rosa Jimenez", "Tickets: one column a line", {
        "models/fct_tickets.sql": """
            select
                ticket_id,
                day,
                stage,
                price
            from {{ ref('int_tickets') }}
            """,
    })  # fmt: skip


FESTIVAL = Scenario(
    "festival_three_tests_one_cause",
    "An intermediate model's join loses its grain; two marts and three tests below it fail. That is one issue.",
    _festival,
    (
        Incident(
            ("unique_fct_tickets_ticket_id", "unique_ticket_badges_badge", "takings_agree"),
            frozenset({"code_fix_required", "data_quality_issue"}), frozenset({"code"}), Fix.EXPECTED,
            "The slots must be one a day again.", culprit="culprit", roots=("model.festival.int_tickets",),
        ),
    ),
    (
        HiddenCheck("tickets", "select count(*) from analytics.fct_tickets", 90),
        HiddenCheck("badges", "select count(*) from analytics.ticket_badges", 90),
        HiddenCheck("takings", "select sum(price) from analytics.fct_tickets", 7200),
    ),
    protected=("tests/*", "models/schema.yml"),
    oracle=lambda site: site.edited("models/int_tickets.sql", ("day, stage, hour from", "day, stage from")),
)  # fmt: skip


def _theatre(site: Site) -> None:
    site.commit("Marta Kowal", "Seats sold", {
        **site.base(),
        "models/theatre.yml": """
            sources:
              - name: sales
                tables: [{name: seats}]
            """,
        "models/stg_seats.sql": "select seat_sale_id, tariff, price from {{ source('sales', 'seats') }}\n",
        "models/takings.sql": "select tariff, sum(price) as takings from {{ ref('stg_seats') }} group by tariff\n",
        "tests/no_seat_is_free.sql": "select * from {{ ref('stg_seats') }} where price <= 0\n",
        "docs/tariffs.md": "- full\n- student\n",
    })  # fmt: skip
    site.sql(
        "create schema sales",
        "create table sales.seats as select i as seat_sale_id, ['full', 'student'][1 + i % 2] as tariff, "
        "[40, 20][1 + i % 2] as price from range(80) t(i)",
    )
    site.good_build()
    site.commit("Henrik Dahl", "Companions of wheelchair users sit for free from December on", {
        "docs/tariffs.md": "- full\n- student\n- companion: free\n",
    })  # fmt: skip
    site.commit("Marta Kowal", "Tariffs in order", site.edited(
        "models/takings.sql", ("group by tariff", "group by tariff order by tariff"),
    ))  # fmt: skip
    site.sql("insert into sales.seats select 80 + i, 'companion', 0 from range(6) t(i)")


THEATRE = Scenario(
    "theatre_the_test_is_outdated",
    "The house now gives seats away on purpose; the test that no seat is free is no longer right.",
    _theatre,
    (
        Incident(
            ("no_seat_is_free",), frozenset({"false_positive", "data_quality_issue"}), frozenset({"data", "unknown"}),
            Fix.FORBIDDEN, "A person must change the test; dropping the free seats would be wrong.",
            roots=("source.theatre.sales.seats", "test.theatre.no_seat_is_free"),
        ),
    ),
    protected=("*",),
)  # fmt: skip


def _newsletter(site: Site) -> None:
    site.commit("Zoe Martin", "Holdout of the newsletter test", {
        **site.base("    +materialized: table\n"),
        "models/sources.yml": """
            sources:
              - name: list
                tables: [{name: readers}]
            """,
        "models/audience.sql": """
            select reader_id, joined_on, random() < 0.2 as is_holdout from {{ source('list', 'readers') }}
            """,
        "models/mailing.sql": "select reader_id from {{ ref('audience') }} where not is_holdout\n",
        "tests/holdout_is_a_fifth.sql": """
            with share as (select avg(case when is_holdout then 1 else 0 end) as part from {{ ref('audience') }})
            select part from share where part not between 0.18 and 0.22
            """,
    })  # fmt: skip
    site.sql(
        "create schema list",
        "create table list.readers as select i as reader_id, date '2026-01-01' + i::int as joined_on from range(200) t(i)",
    )
    site.good_build(attempts=12)
    site.commit("Arjun Mehta", "Audience: note on privacy", site.edited(
        "models/audience.sql", ("select reader_id", "-- no names here\nselect reader_id"),
    ))  # fmt: skip


NEWSLETTER = Scenario(
    "newsletter_random_holdout",
    "A model draws a random fifth at every build, and a test asks for nearly a fifth: red on some nights. Any patch "
    "seems to heal it about every other time.",
    _newsletter,
    (
        Incident(
            ("holdout_is_a_fifth",), frozenset({"transient_failure", "false_positive", "code_fix_required"}),
            frozenset({"flaky"}), Fix.FORBIDDEN, "How to split the readers is the owner's choice.",
            roots=("model.newsletter.audience", "test.newsletter.holdout_is_a_fifth"),
        ),
    ),
    protected=("*",),
    attempts=16,
)  # fmt: skip


def _cinema(site: Site) -> None:
    site.commit("Paolo Ricci", "Screenings", {
        **site.base(),
        "models/sources.yml": """
            sources:
              - name: pos
                tables: [{name: screenings}]
            """,
        "models/screenings.sql": """
            {{ config(materialized='incremental', unique_key='screening_id', on_schema_change='fail') }}
            select screening_id, film, sold from {{ source('pos', 'screenings') }}
            {% if is_incremental() %}
            where screening_id > (select max(screening_id) from {{ this }})
            {% endif %}
            """,
        "models/films.sql": "select film, sum(sold) as sold from {{ ref('screenings') }} group by film\n",
    })  # fmt: skip
    site.sql(
        "create schema pos",
        "create table pos.screenings as select i as screening_id, 'Film ' || (i % 4) as film, i % 90 as sold, "
        "i % 3 as hall from range(120) t(i)",
    )
    site.good_build()
    site.commit("Paolo Ricci", "Films by sales", site.edited(
        "models/films.sql", ("group by film", "group by film order by sold desc"),
    ))  # fmt: skip
    site.commit("Yara Haddad", "Tell in which hall a screening was", site.edited(
        "models/screenings.sql", ("film, sold from", "film, hall, sold from"),
    ), label="culprit")  # fmt: skip
    site.sql("insert into pos.screenings select 120 + i, 'Film 1', 10, 1 from range(5) t(i)")


CINEMA = Scenario(
    "cinema_incremental_needs_full_refresh",
    "A commit adds a column to an incremental model that refuses schema changes: the code is right, the table is old.",
    _cinema,
    (
        Incident(
            ("screenings",), frozenset({"code_fix_required", "infrastructure_issue"}), frozenset({"code"}),
            Fix.OPTIONAL, "A person runs a full refresh; taking the column back, or appending it, is defensible.",
            culprit="culprit", roots=("model.cinema.screenings",),
        ),
    ),
    (
        HiddenCheck("screenings", "select count(*) from analytics.screenings", 125),
        HiddenCheck("tickets", "select sum(sold) from analytics.films", 4490),
    ),
    oracle=lambda site: site.edited(
        "models/screenings.sql", ("on_schema_change='fail'", "on_schema_change='append_new_columns'")
    ),
)  # fmt: skip


def _harbour(site: Site) -> None:
    base = site.base()
    base["profiles.yml"] = (
        str(base["profiles.yml"]) + "      attach:\n        - path: tides.duckdb\n          read_only: true\n"
    )
    site.commit("Freya Holm", "Moorings with the tide", {
        **base,
        "models/sources.yml": """
            sources:
              - name: port
                tables: [{name: moorings}]
              - name: tides
                database: tides
                schema: main
                tables: [{name: levels}]
            """,
        "models/moorings.sql": """
            select m.ship, m.at_hour, t.level from {{ source('port', 'moorings') }} m
            join {{ source('tides', 'levels') }} t on t.hour = m.at_hour
            """,
    })  # fmt: skip
    site.sql(
        "create schema port",
        "create table port.moorings as select 'S' || i as ship, i as at_hour from range(10) t(i)",
        f"attach '{site.home / 'tides.duckdb'}' as tides",
        "create table tides.levels as select i as hour, i % 6 as level from range(24) t(i)",
    )
    site.good_build()
    site.commit(
        "Freya Holm", "Say whose tides these are", {"README.md": "# harbour\nThe tides come from the coast guard.\n"}
    )
    (site.home / "tides.duckdb").unlink()


HARBOUR = Scenario(
    "harbour_attached_database_gone",
    "A second database that the profile attaches is not there, so dbt cannot connect at all.",
    _harbour,
    (
        Incident(
            (), frozenset({"infrastructure_issue"}), frozenset({"infrastructure"}), Fix.FORBIDDEN,
            "Whoever runs the platform must bring the database back.",
        ),
    ),
    protected=("*",),
)  # fmt: skip

SCENARIOS = (AIRLINE, FESTIVAL, THEATRE, NEWSLETTER, CINEMA, HARBOUR)
