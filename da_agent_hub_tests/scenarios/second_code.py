"""Held out: commits after which dbt, a model or a unit test stops."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_FIX = frozenset({"code_fix_required"})


def _rail(site: Site) -> None:
    site.commit("Siobhan Kerr", "feat: train kilometres and track wear", {
        **site.base("    staging:\n      +materialized: view\n    reports:\n      +materialized: table\n"),
        "macros/distance.sql": """
            {% macro miles_to_km(column) -%}
                round({{ column }} * 1.609344, 3)
            {%- endmacro %}

            {% macro miles_to_m(column) -%}
                round({{ column }} * 1609.344, 0)
            {%- endmacro %}
            """,
        "models/staging/_sources.yml": """
            version: 2
            sources:
              - name: signalling
                tables:
                  - name: segments
                  - name: runs
            """,
        "models/staging/stg_segments.sql": """
            select segment_id, line, {{ miles_to_km('miles') }} as km, {{ miles_to_m('miles') }} as metres
            from {{ source('signalling', 'segments') }}
            """,
        "models/staging/stg_runs.sql": """
            select run_id, segment_id, kind, tonnes from {{ source('signalling', 'runs') }}
            """,
        "models/reports/rpt_line_length.sql": """
            select line, {{ miles_to_km('sum(miles)') }} as km
            from {{ source('signalling', 'segments') }}
            group by line
            """,
        "models/reports/rpt_track_wear.sql": """
            {% set kinds = ['freight', 'passenger'] %}
            select
                s.line,
                {% for kind in kinds %}
                sum(case when r.kind = '{{ kind }}' then {{ miles_to_km('s.miles') }} else 0 end) as {{ kind }}_km,
                {% endfor %}
                sum(r.tonnes) as tonnes
            from {{ ref('stg_runs') }} as r
            inner join {{ source('signalling', 'segments') }} as s on s.segment_id = r.segment_id
            group by s.line
            """,
        "models/reports/_reports.yml": """
            version: 2
            models:
              - name: rpt_track_wear
                columns:
                  - name: line
                    data_tests: [unique, not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema signalling",
        "create table signalling.segments as select i as segment_id, 'L' || (i % 4) as line, 10 as miles "
        "from range(20) t(i)",
        "create table signalling.runs as select i as run_id, i % 20 as segment_id, "
        "['freight', 'passenger', 'maintenance'][1 + i % 3] as kind, 400 as tonnes from range(300) t(i)",
    )
    site.good_build()
    site.commit("Siobhan Kerr", "docs: what track wear is for", site.edited(
        "models/reports/_reports.yml",
        ("  - name: rpt_track_wear\n", "  - name: rpt_track_wear\n    description: Kilometres by kind\n"),
    ))  # fmt: skip
    site.commit("Hamza Yildiz", "refactor: name conversions by what they return (#41)", {
        **site.edited("macros/distance.sql", ("macro miles_to_km(", "macro km_from_miles(")),
        **site.edited("models/staging/stg_segments.sql", ("miles_to_km(", "km_from_miles(")),
        **site.edited("models/reports/rpt_line_length.sql", ("miles_to_km(", "km_from_miles(")),
    }, label="culprit")  # fmt: skip
    site.commit("Hamza Yildiz", "style: one kind a line", site.edited(
        "models/reports/rpt_track_wear.sql",
        ("{% set kinds = ['freight', 'passenger'] %}", "{% set kinds = [\n    'freight',\n    'passenger',\n] %}"),
    ))  # fmt: skip


RAIL = Scenario(
    "rail_macro_renamed_one_caller_missed",
    "A macro gets a new name and two of three callers follow; a macro whose name is closer to the old one gives metres.",
    _rail,
    (
        Incident(
            ("rpt_track_wear",), _CODE_FIX, _CODE, Fix.EXPECTED,
            "The third caller must use the new name, or the old name must exist again.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("freight in kilometres", "select round(sum(freight_km), 1) from analytics.rpt_track_wear", 1609.3),
        HiddenCheck("tonnes", "select sum(tonnes) from analytics.rpt_track_wear", 120000),
        HiddenCheck("length", "select round(sum(km), 1) from analytics.rpt_line_length", 321.9),
    ),
    protected=("models/reports/_reports.yml",),
    oracle=lambda site: site.edited("models/reports/rpt_track_wear.sql", ("miles_to_km(", "km_from_miles(")),
)  # fmt: skip


def _bakery(site: Site) -> None:
    site.commit("Noor Haddad", "till lines -> takings", {
        **site.base(),
        "models/till.yml": """
            sources:
              - name: till
                tables: [{name: lines}]
            models:
              - name: till_lines
                columns: [{name: line_id, data_tests: [unique, not_null]}]
            """,
        "models/till_lines.sql": """
            select
                line_id,
                shop,
                product,
                amount,
                sold_at
            from {{ source('till', 'lines') }}
            where amount is not null
            """,
        "models/takings.sql": """
            select shop, cast(sold_at as date) as day, sum(amount) as takings
            from {{ ref('till_lines') }}
            group by all
            """,
    })  # fmt: skip
    site.sql(
        "create schema till",
        "create table till.lines as select i as line_id, 'shop ' || (i % 3) as shop, 'loaf' as product, "
        "case when i % 50 = 49 then null else 4 end as amount, "
        "timestamp '2026-11-01 06:00' + interval (i) minute as sold_at from range(200) t(i)",
    )
    site.good_build()
    site.commit("Noor Haddad", "takings: order by day", site.edited(
        "models/takings.sql", ("group by all\n", "group by all\norder by day\n"),
    ))  # fmt: skip
    site.commit("Ben Adeyemi", "only read what is new, the till grows", site.edited(
        "models/till_lines.sql",
        ("select\n    line_id,", "{{ config(materialized='incremental', unique_key='line_id') }}\n\nselect\n    line_id,"),
        (
            "where amount is not null\n",
            "where amount is not null\n{% if is_incremental() %}\n"
            "and sold_at > (select coalesce(max(sold_at), timestamp '1970-01-01') from {{ this }})\n",
        ),
    ), label="culprit")  # fmt: skip
    site.commit("Noor Haddad", "describe the till", site.edited(
        "models/till.yml", ("  - name: till_lines\n", "  - name: till_lines\n    description: A line of a receipt\n"),
    ))  # fmt: skip
    site.sql(
        "insert into till.lines select 200 + i, 'shop 1', 'bun', 2, timestamp '2026-11-02 06:00' + interval (i) minute "
        "from range(40) t(i)"
    )


BAKERY = Scenario(
    "bakery_endif_lost",
    "A model is made incremental and the block's endif is lost, so dbt does not parse.",
    _bakery,
    (Incident((), _CODE_FIX, _CODE, Fix.EXPECTED, "The block must be closed, or taken back.", culprit="culprit"),),
    (
        HiddenCheck("old and new lines", "select count(*) from analytics.till_lines", 236),
        HiddenCheck("takings", "select sum(takings) from analytics.takings", 864),
        HiddenCheck("no line without an amount", "select count(*) from analytics.till_lines where amount is null", 0),
    ),
    protected=("models/till.yml",),
    oracle=lambda site: site.edited("models/till_lines.sql", ("from {{ this }})\n", "from {{ this }})\n{% endif %}\n")),
)


def _realty(site: Site) -> None:
    site.commit("Camille Roux", "Listings and the league of agencies", {
        **site.base("    staging: {+materialized: view}\n    marts: {+materialized: table}\n"),
        "models/staging/portal.yml": """
            version: 2
            sources:
              - name: portal
                schema: portal_export
                tables:
                  - name: listings
            models:
              - name: stg_portal__listings
                columns:
                  - name: listing_id
                    data_tests: [unique]
                  - name: list_price
                    data_tests: [not_null]
            """,
        "models/staging/stg_portal__listings.sql": """
            select
                  id as listing_id
                , agency
                , district
                , price_eur as list_price
                , previous_price_eur as last_price
                , sqm
            from {{ source('portal', 'listings') }}
            """,
        "models/marts/fct_listings.sql": """
            select
                  listing_id
                , agency
                , district
                , list_price
                , list_price / sqm as price_per_sqm
            from {{ ref('stg_portal__listings') }}
            """,
        "models/marts/agency_league.sql": """
            with listings as (
                select * from {{ ref('stg_portal__listings') }}
            )

            select
                  l.agency
                , count(*) as listings
                , avg(l.list_price) as avg_price
                , sum(l.list_price - l.last_price) as moved
            from listings l
            group by l.agency
            """,
        "models/marts/marts.yml": """
            version: 2
            models:
              - name: agency_league
                columns:
                  - name: agency
                    data_tests: [unique, not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema portal_export",
        "create table portal_export.listings as select i as id, 'agency ' || (i % 5) as agency, "
        "'district ' || (i % 7) as district, 200000 + 1000 * i as price_eur, 205000 + 1000 * i as previous_price_eur, "
        "80 as sqm from range(50) t(i)",
    )
    site.good_build()
    site.commit("Camille Roux", "REAL-118 say asking price, as the brokers do", {
        **site.edited("models/staging/stg_portal__listings.sql", ("as list_price", "as asking_price")),
        **site.edited("models/staging/portal.yml", ("name: list_price", "name: asking_price")),
        **site.edited(
            "models/marts/fct_listings.sql",
            ("    , list_price\n", "    , asking_price\n"), ("list_price / sqm", "asking_price / sqm"),
        ),
    }, label="culprit")  # fmt: skip
    site.commit("Oskar Nyberg", "REAL-121 price bands", {
        "models/marts/price_bands.sql": """
            select
                  floor(asking_price / 10000) * 10000 as band
                , count(*) as listings
            from {{ ref('fct_listings') }}
            group by 1
            """,
    })  # fmt: skip
    site.commit("Oskar Nyberg", "REAL-122 league table: best first", site.edited(
        "models/marts/agency_league.sql", ("group by l.agency\n", "group by l.agency\norder by listings desc\n"),
    ))  # fmt: skip


REALTY = Scenario(
    "realty_renamed_column_forgotten_in_one_mart",
    "A column is renamed in staging and one mart is forgotten; the warehouse suggests a wrong column of similar name, "
    "and a later model already needs the new name.",
    _realty,
    (
        Incident(
            ("agency_league",), _CODE_FIX, _CODE, Fix.EXPECTED, "The mart must read the new name.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("the average is of asking prices", "select avg(avg_price) from analytics.agency_league", 224500.0),
        HiddenCheck("prices moved", "select sum(moved) from analytics.agency_league", -250000),
        HiddenCheck("bands are there", "select sum(listings) from analytics.price_bands", 50),
    ),
    protected=("models/marts/marts.yml", "models/marts/price_bands.sql"),
    oracle=lambda site: site.edited(
        "models/marts/agency_league.sql",
        ("avg(l.list_price)", "avg(l.asking_price)"), ("l.list_price - l", "l.asking_price - l"),
    ),
)  # fmt: skip


def _gym(site: Site) -> None:
    site.commit("Dario Conti", "Members by how often they come", {
        **site.base(),
        "models/sources.yml": """
            sources:
              - name: turnstile
                tables: [{name: entries}]
            """,
        "models/visits_per_member.sql": """
            select member_id, count(*) as visits from {{ source('turnstile', 'entries') }} group by member_id
            """,
        "models/member_tiers.sql": """
            select
                member_id,
                visits,
                case
                    when visits >= 12 then 'gold'
                    when visits >= 4 then 'regular'
                    else 'rare'
                end as tier
            from {{ ref('visits_per_member') }}
            """,
        "models/tier_sizes.sql": "select tier, count(*) as members from {{ ref('member_tiers') }} group by tier\n",
        "models/unit_tests.yml": """
            unit_tests:
              - name: a_tier_starts_at_its_number_of_visits
                model: member_tiers
                given:
                  - input: ref('visits_per_member')
                    rows:
                      - {member_id: 1, visits: 12}
                      - {member_id: 2, visits: 11}
                      - {member_id: 3, visits: 4}
                      - {member_id: 4, visits: 3}
                expect:
                  rows:
                    - {member_id: 1, visits: 12, tier: gold}
                    - {member_id: 2, visits: 11, tier: regular}
                    - {member_id: 3, visits: 4, tier: regular}
                    - {member_id: 4, visits: 3, tier: rare}
            """,
    })  # fmt: skip
    site.sql(
        "create schema turnstile",
        "create table turnstile.entries as select m as member_id, v as visit from range(30) a(m), range(16) b(v) "
        "where v <= m % 15",
    )
    site.good_build()
    site.commit("Dario Conti", "Tier sizes: biggest first", site.edited(
        "models/tier_sizes.sql", ("group by tier", "group by tier order by members desc"),
    ))  # fmt: skip
    site.commit("Lotte Maas", "Read the tiers bottom up, like the price list", site.edited(
        "models/member_tiers.sql",
        (
            "        when visits >= 12 then 'gold'\n        when visits >= 4 then 'regular'\n        else 'rare'\n",
            "        when visits <= 4 then 'rare'\n        when visits < 12 then 'regular'\n        else 'gold'\n",
        ),
    ), label="culprit")  # fmt: skip
    site.commit("Lotte Maas", "Where the entries come from", site.edited(
        "models/sources.yml", ("  - name: turnstile\n", "  - name: turnstile\n    description: One row an entry\n"),
    ))  # fmt: skip


GYM = Scenario(
    "gym_unit_test_catches_a_boundary",
    "A case expression is turned upside down and one boundary moves by one; a unit test catches it.",
    _gym,
    (
        Incident(
            # the third part of a unit test's unique id is the model that it tests
            ("member_tiers",), _CODE_FIX, _CODE, Fix.EXPECTED,
            "The boundary must be as before; the unit test is right.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("gold", "select members from analytics.tier_sizes where tier = 'gold'", 8),
        HiddenCheck("regular", "select members from analytics.tier_sizes where tier = 'regular'", 16),
        HiddenCheck("rare", "select members from analytics.tier_sizes where tier = 'rare'", 6),
    ),
    protected=("models/unit_tests.yml", "models/visits_per_member.sql"),
    oracle=lambda site: site.edited("models/member_tiers.sql", ("visits <= 4", "visits < 4")),
)  # fmt: skip

SCENARIOS = (RAIL, BAKERY, REALTY, GYM)
