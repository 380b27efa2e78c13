"""Faults that somebody committed, where every model runs and the rows are wrong."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
# A failing test says that rows are wrong; that a commit made them so is only known later.
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _telecom(site: Site) -> None:
    site.commit("Nadia Rahman", "Usage and tariffs", {
        **site.base("    marts:\n      +materialized: table\n"),
        "models/staging/sources.yml": """
            sources:
              - name: billing
                tables: [{name: usage}, {name: tariffs}, {name: tariff_history}]
            """,
        "models/staging/stg_usage.sql": """
            select usage_id, tariff_code, cast(used_on as date) as used_on, minutes
            from {{ source('billing', 'usage') }}
            """,
        "models/staging/stg_tariffs.sql": """
            select tariff_code, price_per_minute from {{ source('billing', 'tariffs') }}
            """,
        "models/staging/stg_tariff_history.sql": """
            select tariff_code, price_per_minute, valid_from, valid_to
            from {{ source('billing', 'tariff_history') }}
            """,
        "models/marts/fct_usage.sql": """
            with usage as (

                select * from {{ ref('stg_usage') }}

            ),

            tariffs as (

                select * from {{ ref('stg_tariffs') }}

            ),

            priced as (

                select
                    usage.usage_id,
                    usage.used_on,
                    usage.tariff_code,
                    usage.minutes,
                    usage.minutes * tariffs.price_per_minute as amount
                from usage
                left join tariffs
                    on tariffs.tariff_code = usage.tariff_code

            )

            select * from priced
            """,
        "models/marts/revenue_by_month.sql": """
            select date_trunc('month', used_on) as month, sum(amount) as revenue, count(*) as calls
            from {{ ref('fct_usage') }}
            group by 1
            """,
        "models/marts/marts.yml": """
            models:
              - name: fct_usage
                columns:
                  - name: usage_id
                    data_tests: [unique, not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema billing",
        "create table billing.tariffs as select * from (values ('S', 0.10), ('M', 0.08), ('L', 0.05)) "
        "t(tariff_code, price_per_minute)",
        "create table billing.tariff_history as select * from (values "
        "('S', 0.12, date '2025-01-01', date '2026-08-01'), ('S', 0.10, date '2026-08-01', null), "
        "('M', 0.08, date '2025-01-01', null), "
        "('L', 0.07, date '2025-01-01', date '2026-07-15'), ('L', 0.05, date '2026-07-15', null)) "
        "t(tariff_code, price_per_minute, valid_from, valid_to)",
        "create table billing.usage as select i as usage_id, ['S', 'M', 'L'][1 + i % 3] as tariff_code, "
        "date '2026-07-01' + (i % 60)::int as used_on, 1 + i % 20 as minutes from range(300) t(i)",
    )
    site.good_build()
    site.commit("Nadia Rahman", "Round amounts to cents", site.edited(
        "models/marts/fct_usage.sql",
        ("usage.minutes * tariffs.price_per_minute as", "round(usage.minutes * tariffs.price_per_minute, 2) as"),
    ))  # fmt: skip
    site.commit("Viktor Dahl", "Price usage from the tariff history", site.edited(
        "models/marts/fct_usage.sql", ("ref('stg_tariffs')", "ref('stg_tariff_history')"),
    ), label="culprit")  # fmt: skip
    site.commit("Nadia Rahman", "Cast minutes once, in staging", site.edited(
        "models/staging/stg_usage.sql", (", minutes\n", ", cast(minutes as integer) as minutes\n"),
    ))  # fmt: skip
    site.commit("Elif Kaya", "Show price beside the amount", site.edited(
        "models/marts/fct_usage.sql",
        ("        usage.minutes,\n", "        usage.minutes,\n        tariffs.price_per_minute,\n"),
    ))  # fmt: skip
    site.commit("Viktor Dahl", "Calls a month", site.edited(
        "models/marts/revenue_by_month.sql", ("count(*) as calls", "count(distinct usage_id) as calls"),
    ))  # fmt: skip


TELECOM = Scenario(
    "telecom_join_to_history_fans_out",
    "A mart's join moves from a table with one row a tariff to its history, without the validity; the culprit is not "
    "the newest commit to the file.",
    _telecom,
    (
        Incident(
            ("unique_fct_usage_usage_id",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "Go back to the current tariffs, or join on validity too; both keep a row a call.",
            culprit="culprit", roots=("model.telecom.fct_usage",),
        ),
    ),
    (
        HiddenCheck("a row a call", "select count(*) from analytics.fct_usage", 300),
        HiddenCheck("no minute lost", "select sum(minutes) from analytics.fct_usage", 3150),
        HiddenCheck("the price column stays", "select count(price_per_minute) from analytics.fct_usage", 300),
        HiddenCheck(
            "every price is the one of that day, or every one is today's",
            "with p as (select f.usage_id, f.price_per_minute as got, t.price_per_minute as today, h.price_per_minute as "
            "then_ from analytics.fct_usage f join billing.tariffs t using (tariff_code) join billing.tariff_history h "
            "on h.tariff_code = f.tariff_code and f.used_on >= h.valid_from and f.used_on < coalesce(h.valid_to, "
            "date '2999-01-01')) select bool_and(got = today) or bool_and(got = then_) from p",
            True,
        ),
    ),
    oracle=lambda site: site.edited(
        "models/marts/fct_usage.sql", ("ref('stg_tariff_history')", "ref('stg_tariffs')")
    ),
)  # fmt: skip


def _hotel(site: Site) -> None:
    site.commit("Giulia Conti", "Bookings with their channel", {
        **site.base("    +materialized: table\n"),
        "models/sources.yml": """
            version: 2
            sources:
              - name: pms
                tables: [{name: bookings}, {name: channels}]
            """,
        "models/bookings.sql": """
            select b.booking_id, b.arrival, b.nights, c.channel_name
            from {{ source('pms', 'bookings') }} b
            left join {{ source('pms', 'channels') }} c on b.channel_id = c.channel_id
            """,
        "models/nights_by_channel.sql": """
            select channel_name, sum(nights) as nights from {{ ref('bookings') }} group by channel_name
            """,
        "tests/every_booking_is_kept.sql": """
            -- a booking without a channel came through the door; it counts
            with raw as (select count(*) as n from {{ source('pms', 'bookings') }}),
            mart as (select count(*) as n from {{ ref('bookings') }})
            select raw.n as expected, mart.n as found from raw, mart where raw.n <> mart.n
            """,
    })  # fmt: skip
    site.sql(
        "create schema pms",
        "create table pms.channels as select * from (values (1, 'agency'), (2, 'web')) t(channel_id, channel_name)",
        "create table pms.bookings as select i as booking_id, date '2026-10-01' + (i % 30)::int as arrival, "
        "1 + i % 4 as nights, case when i % 10 < 4 then 1 when i % 10 < 8 then 2 end as channel_id from range(200) t(i)",
    )
    site.good_build()
    site.commit("Giulia Conti", "List channels by size", site.edited(
        "models/nights_by_channel.sql", ("group by channel_name", "group by channel_name order by nights desc"),
    ))  # fmt: skip
    site.commit("Sven Olsen", "Write bookings with import CTEs and tell direct ones apart", {
        "models/bookings.sql": """
            with

            bookings as (
                select * from {{ source('pms', 'bookings') }}
            ),

            channels as (
                select * from {{ source('pms', 'channels') }}
            ),

            joined as (
                select
                    bookings.booking_id,
                    bookings.arrival,
                    bookings.nights,
                    channels.channel_name,
                    coalesce(channels.channel_name <> 'agency', true) as is_direct
                from bookings
                inner join channels
                    on bookings.channel_id = channels.channel_id
            )

            select * from joined
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Giulia Conti", "Count direct nights", {
        "models/direct_nights.sql": "select sum(nights) as nights from {{ ref('bookings') }} where is_direct\n",
    })  # fmt: skip
    site.commit("Mia Torres", "Carry the departure of a booking", site.edited(
        "models/bookings.sql",
        ("        bookings.nights,\n", "        bookings.nights,\n        bookings.arrival + bookings.nights::int as departure,\n"),
    ))  # fmt: skip


HOTEL = Scenario(
    "hotel_left_join_became_inner",
    "A rewrite of a model changes a left join to an inner one and adds a column on which a later model builds, so that "
    "neither the whole commit nor the whole file can be put back.",
    _hotel,
    (
        Incident(
            ("every_booking_is_kept",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED, "The join must be a left join again.",
            culprit="culprit", roots=("model.hotel.bookings",),
        ),
    ),
    (
        HiddenCheck("all bookings", "select count(*) from analytics.bookings", 200),
        HiddenCheck("no invented channels", "select count(channel_name) from analytics.bookings", 160),
        HiddenCheck("direct nights", "select nights from analytics.direct_nights", 300),
        HiddenCheck("departures stay", "select count(departure) from analytics.bookings", 200),
    ),
    protected=("tests/*",),
    oracle=lambda site: site.edited("models/bookings.sql", ("inner join channels", "left join channels")),
)  # fmt: skip


def _gaming(site: Site) -> None:
    site.commit("Yuki Mori", "Players and matches", {
        **site.base("    intermediate:\n      +materialized: ephemeral\n    marts:\n      +materialized: table\n"),
        "macros/handles.sql": """
            {% macro handle(column) %}lower(trim({{ column }})){% endmacro %}
            """,
        "macros/numbers.sql": """
            {% macro share(part, whole) %}({{ part }}) * 1.0 / nullif({{ whole }}, 0){% endmacro %}
            """,
        "models/staging/sources.yml": """
            sources:
              - name: lobby
                tables: [{name: players}, {name: results}]
            """,
        "models/staging/stg_players.sql": """
            select {{ handle('nick') }} as player, country from {{ source('lobby', 'players') }}
            """,
        "models/staging/stg_results.sql": """
            select match_id, {{ handle('winner') }} as winner, {{ handle('loser') }} as loser
            from {{ source('lobby', 'results') }}
            """,
        "models/intermediate/int_results_by_player.sql": """
            select winner as player, 1 as won from {{ ref('stg_results') }}
            union all
            select loser, 0 from {{ ref('stg_results') }}
            """,
        "models/marts/player_form.sql": """
            select player, count(*) as matches, {{ share('sum(won)', 'count(*)') }} as win_rate
            from {{ ref('int_results_by_player') }} group by player
            """,
        "models/marts/country_ladder.sql": """
            select f.player, p.country, f.matches, f.win_rate
            from {{ ref('player_form') }} f left join {{ ref('stg_players') }} p on p.player = f.player
            """,
        "models/marts/marts.yml": """
            models:
              - name: country_ladder
                columns:
                  - name: player
                    data_tests: [unique]
                  - name: country
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema lobby",
        "create table lobby.players as select 'Ace' || i as nick, ['JP', 'BR', 'SE'][1 + i % 3] as country "
        "from range(9) t(i)",
        "create table lobby.results as select i as match_id, case when i % 4 = 0 then 'ACE' else 'Ace' end || (i % 9) "
        "as winner, ' Ace' || ((i + 1) % 9) as loser from range(45) t(i)",
    )
    site.good_build()
    site.commit("Yuki Mori", "Guard shares against text", site.edited(
        "macros/numbers.sql", ("({{ part }}) * 1.0", "cast({{ part }} as double)"),
    ))  # fmt: skip
    site.commit("Lucas Moreau", "Keep the spelling of handles that players chose", site.edited(
        "macros/handles.sql", ("lower(trim({{ column }}))", "trim({{ column }})"),
    ), label="culprit")  # fmt: skip
    site.commit("Dana Roth", "Ladder: note the order of columns", site.edited(
        "models/marts/country_ladder.sql", ("select f.player", "-- player first: the app reads by place\nselect f.player"),
    ))  # fmt: skip
    site.commit("Yuki Mori", "Player form: write group by last", site.edited(
        "models/marts/player_form.sql", ("}} group by player", "}}\ngroup by player"),
    ))  # fmt: skip


GAMING = Scenario(
    "gaming_macro_breaks_a_far_test",
    "A one-line change of a macro makes keys that differ in case; a not-null test fails four models further down, "
    "whose own files only saw innocent commits since.",
    _gaming,
    (
        Incident(
            ("not_null_country_ladder_country",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The macro must fold case again; the rows of the test must not be filtered away.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("nine players", "select count(*) from analytics.country_ladder", 9),
        HiddenCheck("no match lost", "select sum(matches) from analytics.player_form", 90),
        HiddenCheck("countries", "select count(distinct country) from analytics.country_ladder", 3),
        HiddenCheck("no invented country", "select bool_and(country in ('JP','BR','SE')) from analytics.country_ladder", True),
    ),
    oracle=lambda site: site.edited("macros/handles.sql", ("trim({{ column }})", "lower(trim({{ column }}))")),
)  # fmt: skip


def _radio(site: Site) -> None:
    regions = "postcode,region\n10,North\n20,South\n30,East\n40,West\n"
    site.commit("Kofi Boateng", "Listeners by region", {
        **site.base("    +materialized: table\n"),
        "seeds/regions.csv": regions,
        "models/sources.yml": """
            sources:
              - name: panel
                tables: [{name: diaries}]
            """,
        "models/reach.sql": """
            select d.diary_id, r.region, d.minutes, d.heard_on
            from {{ source('panel', 'diaries') }} d
            join {{ ref('regions') }} r on r.postcode = d.postcode
            """,
        "models/schema.yml": """
            models:
              - name: reach
                columns: [{name: diary_id, data_tests: [unique, not_null]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema panel",
        "create table panel.diaries as select i as diary_id, [10, 20, 30, 40][1 + i % 4] as postcode, "
        "5 + i % 50 as minutes, date '2026-11-01' + (i // 20)::int as heard_on from range(200) t(i)",
    )
    site.good_build()
    site.commit("Kofi Boateng", "Say what a diary is", {"README.md": "# radio\nA diary is one listener's day.\n"})
    site.commit("Anouk Visser", "Add the new postcodes of the Midlands", {
        "seeds/regions.csv": regions + "50,Midlands\n40,Midlands\n",
    }, label="culprit")  # fmt: skip
    site.commit(
        "Kofi Boateng", "Add postcode 60", {"seeds/regions.csv": regions + "50,Midlands\n40,Midlands\n60,Isles\n"}
    )
    site.sql(
        "insert into panel.diaries select 200 + i, [10, 20, 30, 40][1 + i % 4], 7, date '2026-11-11' from range(20) t(i)"
    )


RADIO = Scenario(
    "radio_seed_gives_a_postcode_twice",
    "A commit to a seed maps a postcode to a second region, which doubles rows of a mart; a later commit "
    "adds an innocent line to the seed.",
    _radio,
    (
        Incident(
            ("unique_reach_diary_id",), _CODE_OR_ROWS, _CODE, Fix.OPTIONAL,
            "Which region postcode 40 belongs to is the team's word; taking the added line back is defensible.",
            culprit="culprit", roots=("seed.radio.regions",),
        ),
    ),
    (
        HiddenCheck("new postcodes stay", "select count(*) from analytics.regions where postcode in (50, 60)", 2),
        HiddenCheck("a postcode has one region", "select max(n) from (select count(*) n from analytics.regions "
                    "group by postcode)", 1),
        HiddenCheck("no diary lost", "select count(distinct diary_id) from analytics.reach", 220),
    ),
    oracle=lambda site: site.edited("seeds/regions.csv", ("40,Midlands\n", "")),
)  # fmt: skip

SCENARIOS = (TELECOM, HOTEL, GAMING, RADIO)
