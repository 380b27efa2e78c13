"""Held out: commits after which everything still builds and the rows are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _fleet(site: Site) -> None:
    site.commit("Wanjiru Kamau", "Trips, leg by leg, with their fuel", {
        **site.base("    marts: {+materialized: table}\n    interim: {+materialized: ephemeral}\n"),
        "macros/hash_key.sql": """
            {% macro hash_key(columns) %}
            md5({% for column in columns %}coalesce(cast({{ column }} as varchar), '~')
                {%- if not loop.last %} || '|' || {% endif %}{% endfor %})
            {% endmacro %}
            """,
        "models/telematics.yml": """
            sources:
              - name: telematics
                tables: [{name: legs}, {name: fuelings}]
            """,
        "models/interim/int_legs.sql": """
            select vehicle_id, cast(started_at as timestamp) as started_at, leg, depot, km
            from {{ source('telematics', 'legs') }}
            where km > 0
            """,
        "models/interim/int_fuel.sql": """
            select
                {{ hash_key(['vehicle_id', 'started_at', 'leg']) }} as trip_key,
                sum(litres) as litres
            from {{ source('telematics', 'fuelings') }}
            group by 1
            """,
        "models/marts/fct_trips.sql": """
            select
                {{ hash_key(['vehicle_id', 'started_at', 'leg']) }} as trip_key,
                vehicle_id,
                started_at,
                leg,
                depot,
                km
            from {{ ref('int_legs') }}
            """,
        "models/marts/consumption.sql": """
            select t.vehicle_id, sum(t.km) as km, sum(f.litres) as litres
            from {{ ref('fct_trips') }} t
            left join {{ ref('int_fuel') }} f using (trip_key)
            group by t.vehicle_id
            """,
        "models/marts/marts.yml": """
            models:
              - name: fct_trips
                columns:
                  - name: trip_key
                    data_tests:
                      - unique
                      - not_null
            """,
    })  # fmt: skip
    site.sql(
        "create schema telematics",
        "create table telematics.legs as select i // 2 % 10 as vehicle_id, "
        "timestamp '2026-11-01' + interval (i // 20) hour as started_at, 1 + i % 2 as leg, "
        "'D' || (i % 3) as depot, 10 + i % 5 as km from range(120) t(i)",
        "create table telematics.fuelings as select vehicle_id, started_at, leg, 3 as litres from telematics.legs",
    )
    site.good_build()
    site.commit("Wanjiru Kamau", "hash_key: say how nulls are read", site.edited(
        "macros/hash_key.sql", ("{% macro hash_key", "{# a null counts as ~ #}\n{% macro hash_key"),
    ))  # fmt: skip
    site.commit("Joris Peeters", "Depot in upper case, columns in the order of the docs", {
        "models/marts/fct_trips.sql": """
            select
                {{ hash_key(['vehicle_id', 'started_at']) }} as trip_key,
                vehicle_id,
                upper(depot) as depot,
                started_at,
                leg,
                km
            from {{ ref('int_legs') }}
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Joris Peeters", "Consumption: litres per vehicle, sorted", site.edited(
        "models/marts/consumption.sql", ("group by t.vehicle_id", "group by t.vehicle_id\norder by litres desc"),
    ))  # fmt: skip
    site.sql(
        "insert into telematics.legs select 3, timestamp '2026-11-03' + interval (i) hour, 1, 'D1', 7 from range(5) t(i)"
    )


FLEET = Scenario(
    "fleet_surrogate_key_lost_a_column",
    "While columns are put in order, the list of a surrogate key loses one, so the legs of a trip share a key.",
    _fleet,
    (
        Incident(
            ("unique_fct_trips_trip_key",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The leg belongs to the key; to keep one leg of a trip would lose kilometres.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("legs", "select count(*) from analytics.fct_trips", 125),
        HiddenCheck("kilometres", "select sum(km) from analytics.consumption", 1475),
        HiddenCheck("fuel finds its leg", "select sum(litres) from analytics.consumption", 360),
    ),
    protected=("models/marts/marts.yml",),
    oracle=lambda site: site.edited(
        "models/marts/fct_trips.sql", ("['vehicle_id', 'started_at']", "['vehicle_id', 'started_at', 'leg']")
    ),
)  # fmt: skip


def _pharmacy(site: Site) -> None:
    site.commit("Elif Arslan", "Stock by product", {
        **site.base("    +materialized: table\n"),
        "models/schema.yml": """
            version: 2
            sources:
              - name: pos
                tables: [{name: products}, {name: movements}]
            models:
              - name: stock_levels
                columns:
                  - name: product_id
                    data_tests: [unique, not_null]
                  - name: on_hand
                    data_tests: [not_null]
            """,
        "models/stock_levels.sql": """
            with products as (

                select * from {{ source('pos', 'products') }}

            ),

            movements as (

                select product_id, sum(quantity) as quantity
                from {{ source('pos', 'movements') }}
                group by product_id

            )

            select
                products.product_id,
                products.label,
                products.supplier,
                products.shelf,
                products.is_cooled,
                coalesce(movements.quantity, 0) as on_hand
            from products
            left join movements on movements.product_id = products.product_id
            """,
        "models/reorder.sql": """
            select product_id, label, 20 - on_hand as missing from {{ ref('stock_levels') }} where on_hand < 20
            """,
    })  # fmt: skip
    site.sql(
        "create schema pos",
        "create table pos.products as select i as product_id, 'P' || i as label, 'S' || (i % 3) as supplier, "
        "'A' || (i % 9) as shelf, i % 6 = 0 as is_cooled, 'ATC' || (i % 4) as atc_code from range(40) t(i)",
        "create table pos.movements as select i as movement_id, i % 33 as product_id, 1 + i % 3 as quantity, "
        "date '2026-11-01' as day from range(330) t(i)",
    )
    site.good_build()
    site.commit("Elif Arslan", "Stock: when a product last moved", site.edited(
        "models/stock_levels.sql",
        ("sum(quantity) as quantity\n", "sum(quantity) as quantity, max(day) as last_moved_on\n"),
        (
            "    coalesce(movements.quantity, 0) as on_hand\n",
            "    movements.quantity as on_hand,\n    movements.last_moved_on\n",
        ),
    ), label="culprit")  # fmt: skip
    _commit_soon_after(site, 145, "Raj Patel", "Stock: carry the ATC code", site.edited(
        "models/stock_levels.sql", ("    products.label,\n", "    products.label,\n    products.atc_code,\n"),
    ))  # fmt: skip
    site.commit("Raj Patel", "Cooled stock by ATC code", {
        "models/stock_by_atc.sql": """
            select atc_code, sum(on_hand) as on_hand, max(last_moved_on) as last_moved_on
            from {{ ref('stock_levels') }}
            group by atc_code
            """,
    })  # fmt: skip


def _commit_soon_after(site: Site, minutes: int, by: str, message: str, files: Mapping[str, str]) -> None:
    """Commit so many minutes after the last commit: on the same day, unless that was late."""
    last = datetime.fromisoformat(site.git("log", "-1", "--format=%cI").strip())
    stamp, mail = (last + timedelta(minutes=minutes)).isoformat(), f"{by.split()[0].lower()}@{site.project}.example"
    site.write(files)
    site.git("add", "-A")
    site.git("commit", "-q", "-m", message, environment={
        "GIT_AUTHOR_NAME": by, "GIT_AUTHOR_EMAIL": mail, "GIT_AUTHOR_DATE": stamp,
        "GIT_COMMITTER_NAME": by, "GIT_COMMITTER_EMAIL": mail, "GIT_COMMITTER_DATE": stamp,
    })  # fmt: skip


PHARMACY = Scenario(
    "pharmacy_coalesce_dropped_on_a_busy_day",
    "Within hours two people commit to one file: the first drops a coalesce beside a new column, the second is "
    "innocent, and a later model needs the columns of both.",
    _pharmacy,
    (
        Incident(
            ("not_null_stock_levels_on_hand",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "What never moved is none on hand; such products must stay.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("all products", "select count(*) from analytics.stock_levels", 40),
        HiddenCheck("none on hand", "select count(*) from analytics.stock_levels where on_hand = 0", 7),
        HiddenCheck("what is missing", "select sum(missing) from analytics.reorder where missing = 20", 140),
        HiddenCheck("on hand", "select sum(on_hand) from analytics.stock_by_atc", 660),
    ),
    protected=("models/schema.yml", "models/stock_by_atc.sql"),
    oracle=lambda site: site.edited(
        "models/stock_levels.sql", ("movements.quantity as on_hand", "coalesce(movements.quantity, 0) as on_hand")
    ),
)  # fmt: skip


_GRAPES = """code,variety,colour
CHA,Chardonnay,white
GAM,Gamay,red
GEW,Gewurztraminer,white
GRE,Grenache,red
PIN,Pinot noir,red
RIE,Riesling,white
SYR,Syrah,red
"""


def _vineyard(site: Site) -> None:
    base = site.base("    +materialized: table\n")
    base["dbt_project.yml"] += "seeds:\n  vineyard:\n    +schema: reference\n"
    site.commit("Benoit Laurent", "Tastings", {
        **base,
        "seeds/grapes.csv": _GRAPES,
        "models/cellar.yml": """
            sources:
              - name: cellar
                tables: [{name: tastings}]
            """,
        "models/tastings.sql": """
            select t.tasting_id, t.cask, t.score, t.grape as grape_code, g.variety, g.colour
            from {{ source('cellar', 'tastings') }} t
            left join {{ ref('grapes') }} g on g.code = t.grape
            """,
        "models/scores.sql": """
            select colour, count(*) as tastings, avg(score) as score from {{ ref('tastings') }} group by colour
            """,
        "models/tastings.yml": """
            models:
              - name: tastings
                columns: [{name: tasting_id, data_tests: [unique, not_null]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema cellar",
        "create table cellar.tastings as select i as tasting_id, i % 12 as cask, 80 + i % 10 as score, "
        "['CHA', 'GAM', 'GRE', 'PIN', 'RIE', 'SYR'][1 + i % 6] as grape from range(60) t(i)",
    )
    site.good_build()
    site.commit("Benoit Laurent", "Scores: best first", site.edited(
        "models/scores.sql", ("group by colour", "group by colour order by score desc"),
    ))  # fmt: skip
    site.commit("Mina Park", "Grapes of the new parcel", site.edited(
        "seeds/grapes.csv",
        ("GRE,Grenache,red\n", "GRE,Grenache,red\nMER,Merlot,red\n"),
        ("SYR,Syrah,red\n", "SYR,Syrah,red\nPIN,Pinot noir,red\nVIO,Viognier,white\n"),
    ), label="culprit")  # fmt: skip
    site.commit("Benoit Laurent", "Add Cinsault", site.edited(
        "seeds/grapes.csv", ("CHA,Chardonnay,white\n", "CHA,Chardonnay,white\nCIN,Cinsault,red\n"),
    ))  # fmt: skip
    site.sql("insert into cellar.tastings select 60 + i, 20 + i, 90, ['MER', 'VIO'][1 + i % 2] from range(8) t(i)")


VINEYARD = Scenario(
    "vineyard_seed_row_doubled",
    "A commit adds three lines to a seed, one of which is there already; the other two are needed.",
    _vineyard,
    (
        Incident(
            ("unique_tastings_tasting_id",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The doubled line agrees in everything, so one of the two can go.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("tastings", "select sum(tastings) from analytics.scores", 68),
        HiddenCheck("every grape is known", "select count(*) from analytics.tastings where variety is null", 0),
        HiddenCheck("red ones", "select tastings from analytics.scores where colour = 'red'", 44),
    ),
    protected=("models/tastings.yml",),
    oracle=lambda site: site.edited("seeds/grapes.csv", ("SYR,Syrah,red\nPIN,Pinot noir,red\n", "SYR,Syrah,red\n")),
)  # fmt: skip


def _salon(site: Site) -> None:
    site.commit("Katya Morozova", "Visits since the takeover", {
        **site.base("    +materialized: view\n"),
        "models/booking/_sources.yml": """
            version: 2
            sources:
              - name: booking
                tables:
                  - name: visits
                  - name: staff
            """,
        "models/booking/stg_visits.sql": """
            SELECT
                visit_no AS visit_id,
                staff_no AS staff_id,
                CAST(visited AS DATE) AS visited_on,
                paid
            FROM {{ source('booking', 'visits') }}
            """,
        "models/booking/dim_staff.sql": """
            SELECT
                staff_no AS staff_id,
                first_name || ' ' || last_name AS staff_name
            FROM {{ source('booking', 'staff') }}
            """,
        "models/fct_visits.sql": """
            SELECT
                v.visit_id,
                v.visited_on,
                COALESCE(s.staff_name, 'freelance') AS staff_name,
                v.paid
            FROM {{ ref('stg_visits') }} AS v
            LEFT JOIN {{ ref('dim_staff') }} AS s
                ON s.staff_id = v.staff_id
            WHERE v.visited_on >= DATE '2026-07-01'
            """,
        "models/takings_by_staff.sql": """
            SELECT staff_name, SUM(paid) AS takings FROM {{ ref('fct_visits') }} GROUP BY staff_name
            """,
        "models/models.yml": """
            version: 2
            models:
              - name: fct_visits
                columns:
                  - name: visit_id
                    data_tests: [unique, not_null]
            """,
        "tests/no_visit_from_before_the_takeover.sql": """
            -- the books of the former owner are not ours
            SELECT * FROM {{ ref('fct_visits') }} WHERE visited_on < DATE '2026-07-01'
            """,
    })  # fmt: skip
    site.sql(
        "create schema booking",
        "create table booking.staff as select i as staff_no, 'Ann' || i as first_name, 'Lee' as last_name, "
        "'A' || i as nick from range(4) t(i)",
        "create table booking.visits as select i as visit_no, i % 5 as staff_no, "
        "timestamp '2026-06-01' + interval (i) day as visited, 30 as paid, 45 as minutes from range(120) t(i)",
    )
    site.good_build()
    site.commit("Katya Morozova", "Takings: round to cents", site.edited(
        "models/takings_by_staff.sql", ("SUM(paid)", "ROUND(SUM(paid), 2)"),
    ))  # fmt: skip
    site.commit("Sam Whitfield", "Minutes and nicknames; join conditions in one place", {
        **site.edited("models/booking/stg_visits.sql", ("    paid\n", "    paid,\n    minutes\n")),
        **site.edited("models/booking/dim_staff.sql", ("AS staff_name\n", "AS staff_name,\n    nick AS nickname\n")),
        **site.edited(
            "models/fct_visits.sql",
            ("    v.paid\n", "    s.nickname,\n    v.minutes,\n    v.paid\n"),
            ("\nWHERE v.visited_on", "\n    AND v.visited_on"),
        ),
    }, label="culprit")  # fmt: skip
    site.commit("Sam Whitfield", "Minutes by nickname", {
        "models/minutes_by_nickname.sql": """
            SELECT nickname, SUM(minutes) AS minutes FROM {{ ref('fct_visits') }} GROUP BY nickname
            """,
    })  # fmt: skip


SALON = Scenario(
    "salon_filter_moved_into_the_join",
    "One commit touches three files; the hunk that matters turns a where into a condition of a left join. The columns "
    "that it adds are used by now.",
    _salon,
    (
        Incident(
            ("no_visit_from_before_the_takeover",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The date is a filter of visits; freelancers' visits must stay.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("visits", "select count(*) from analytics.fct_visits", 90),
        HiddenCheck("freelance", "select takings from analytics.takings_by_staff where staff_name = 'freelance'", 540),
        HiddenCheck("minutes", "select sum(minutes) from analytics.minutes_by_nickname", 4050),
        HiddenCheck("nicknames", "select count(nickname) from analytics.minutes_by_nickname", 4),
    ),
    protected=("tests/*", "models/models.yml", "models/minutes_by_nickname.sql"),
    oracle=lambda site: site.edited("models/fct_visits.sql", ("\n    AND v.visited_on", "\nWHERE v.visited_on")),
)  # fmt: skip


def _orchestra(site: Site) -> None:
    site.commit("Anneli Koskinen", "Patrons and sales of both shops", {
        **site.base("    +materialized: table\n"),
        "models/shops.yml": """
            version: 2
            sources:
              - name: counter
                tables: [{name: tickets}]
              - name: web
                tables: [{name: orders}]
            models:
              - name: patrons
                columns:
                  - name: patron
                    data_tests: [unique, not_null]
            """,
        "models/patrons.sql": """
            select lower(email) as patron, city from {{ source('counter', 'tickets') }}
            union
            select lower(mail) as patron, city from {{ source('web', 'orders') }}
            """,
        "models/sales.sql": """
            select lower(email) as patron, concert, price from {{ source('counter', 'tickets') }}
            union
            select lower(mail) as patron, concert, price from {{ source('web', 'orders') }}
            """,
        "models/spend_by_city.sql": """
            select p.city, sum(s.price) as spent
            from {{ ref('sales') }} s
            join {{ ref('patrons') }} p using (patron)
            group by p.city
            """,
    })  # fmt: skip
    site.sql(
        "create schema counter",
        "create schema web",
        "create table counter.tickets as select 'Guest' || (i % 20) || '@mail.example' as email, "
        "'city ' || (i % 20 % 3) as city, 'C' || (i % 4) as concert, 30 as price from range(80) t(i)",
        "create table web.orders as select 'guest' || (10 + i % 25) || '@mail.example' as mail, "
        "'city ' || ((10 + i % 25) % 3) as city, 'C' || (i % 5) as concert, 30 as price from range(100) t(i)",
    )
    site.good_build()
    site.commit("Anneli Koskinen", "Spend: biggest city first", site.edited(
        "models/spend_by_city.sql", ("group by p.city", "group by p.city\norder by spent desc"),
    ))  # fmt: skip
    site.commit("Ville Laine", "A second ticket at the same price got lost: union all", {
        **site.edited("models/sales.sql", ("\nunion\n", "\nunion all\n")),
        **site.edited("models/patrons.sql", ("\nunion\n", "\nunion all\n")),
        "tests/no_ticket_is_lost.sql": """
            select s.n, c.n + w.n as sold
            from (select count(*) as n from {{ ref('sales') }}) s,
                 (select count(*) as n from {{ source('counter', 'tickets') }}) c,
                 (select count(*) as n from {{ source('web', 'orders') }}) w
            where s.n <> c.n + w.n
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Ville Laine", "What a patron is", site.edited(
        "models/shops.yml", ("  - name: patrons\n", "  - name: patrons\n    description: Whoever bought anywhere\n"),
    ))  # fmt: skip


ORCHESTRA = Scenario(
    "orchestra_union_all_too_often",
    "A commit turns union into union all in two models, rightly in one, with a test of its own, and wrongly in the "
    "other.",
    _orchestra,
    (
        Incident(
            ("unique_patrons_patron",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "A patron is one row; tickets are not to be lost again.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("patrons", "select count(*) from analytics.patrons", 35),
        HiddenCheck("tickets", "select count(*) from analytics.sales", 180),
        HiddenCheck("spent", "select sum(spent) from analytics.spend_by_city", 5400),
    ),
    protected=("tests/*", "models/shops.yml", "models/sales.sql"),
    oracle=lambda site: site.edited("models/patrons.sql", ("\nunion all\n", "\nunion\n")),
)  # fmt: skip

SCENARIOS = (FLEET, PHARMACY, VINEYARD, SALON, ORCHESTRA)
