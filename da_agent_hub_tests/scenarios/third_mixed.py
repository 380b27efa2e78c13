"""Third set: commits that were half right, a likely name that means something else, and two causes in one night."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_FIX = frozenset({"code_fix_required"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _nursery(site: Site) -> None:
    site.commit("Mei Tanaka", "Checkups, and who still needs one", {
        **site.base("    +materialized: table\n"),
        "models/sources.yml": """
            version: 2
            sources:
              - name: register
                tables: [{name: children}]
              - name: health
                tables: [{name: visits}]
            models:
              - name: checkups
                columns: [{name: child_id, data_tests: [unique, not_null]}]
            """,
        "models/checkups.sql": """
            select
                children.child_id,
                children.room,
                visits.visited_on as checked_on
            from {{ source('register', 'children') }} as children
            left join {{ source('health', 'visits') }} as visits
                on visits.child_id = children.child_id
                and visits.kind = 'checkup'
            """,
        "models/checkups_due.sql": """
            select room, count(*) as children from {{ ref('checkups') }} where checked_on is null group by room
            """,
        "tests/every_enrolled_child_is_listed.sql": """
            select children.child_id
            from {{ source('register', 'children') }} as children
            left join {{ ref('checkups') }} as checkups on checkups.child_id = children.child_id
            where children.left_on is null and checkups.child_id is null
            """,
    })  # fmt: skip
    site.sql(
        "create schema register",
        "create schema health",
        "create table register.children as select i as child_id, 'room ' || (i % 3) as room, "
        "case when i >= 36 then date '2026-10-31' end as left_on from range(40) t(i)",
        "create table health.visits as select i as visit_id, i as child_id, 'checkup' as kind, date '2026-09-07' as "
        "visited_on, 15 as weight_kg from range(40) t(i) where i % 4 <> 0",
        "insert into health.visits select 100 + i, i, 'illness', date '2026-10-05', 14 from range(40) t(i) where i % 4 < 2",
    )
    site.good_build()
    site.commit("Mei Tanaka", "Due checkups: fullest room first", site.edited(
        "models/checkups_due.sql", ("group by room", "group by room order by children desc"),
    ))  # fmt: skip
    site.commit("Stefan Ilic", "Checkups: take the weight along, leave out children who left", {
        "models/checkups.sql": """
            select
                children.child_id,
                children.room,
                visits.visited_on as checked_on,
                visits.weight_kg
            from {{ source('register', 'children') }} as children
            left join {{ source('health', 'visits') }} as visits
                on visits.child_id = children.child_id
            where children.left_on is null
                and visits.kind = 'checkup'
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Stefan Ilic", "Weight by room", {
        "models/weight_by_room.sql": """
            select room, avg(weight_kg) as weight_kg from {{ ref('checkups') }} group by room
            """,
    })  # fmt: skip


NURSERY = Scenario(
    "nursery_children_vanish_with_a_wanted_filter",
    "A commit adds a column and a filter that are both wanted, and turns a condition of the left join into a filter.",
    _nursery,
    (
        Incident(
            ("every_enrolled_child_is_listed",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The kind of visit belongs to the join; the filter on children is meant.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("enrolled children", "select count(*) from analytics.checkups", 36),
        HiddenCheck("checkups due", "select sum(children) from analytics.checkups_due", 9),
        HiddenCheck("nobody who left", "select count(*) from analytics.checkups where child_id >= 36", 0),
        HiddenCheck("weight", "select max(weight_kg) + min(weight_kg) from analytics.weight_by_room", 30),
    ),
    protected=("tests/*", "models/sources.yml", "models/weight_by_room.sql", "models/checkups_due.sql"),
    oracle=lambda site: site.edited(
        "models/checkups.sql",
        ("= children.child_id\n", "= children.child_id\n    and visits.kind = 'checkup'\n"),
        ("is null\n    and visits.kind = 'checkup'\n", "is null\n"),
    ),
)  # fmt: skip


def _observatory(site: Site) -> None:
    site.commit("Ximena Rojas", "Hours and depth of the survey", {
        **site.base("    +materialized: table\n    staging: {+materialized: view}\n"),
        "models/staging/camera.yml": """
            version: 2
            sources:
              - name: camera
                tables: [{name: shots}]
            """,
        "models/staging/stg_shots.sql": """
            select
                shot_no as exposure_id,
                night,
                target,
                open_s as exposure,
                requested_ms as exposure_ms
            from {{ source('camera', 'shots') }}
            """,
        "models/depth.sql": """
            with shots as (select * from {{ ref('stg_shots') }})

            select target, sum(exposure) as seconds, count(*) as shots from shots group by target
            """,
        "models/nights.sql": """
            with shots as (select * from {{ ref('stg_shots') }}),

            opened as (
                select night, sum(shots.exposure) as open, count(*) as shots from shots group by night
            )

            select night, shots, open / 3600 as hours_open from opened
            """,
        "models/efficiency.sql": "select night, hours_open / 10 as share_of_dark from {{ ref('nights') }}\n",
        "models/nights.yml": """
            version: 2
            models:
              - name: nights
                columns:
                  - name: night
                    data_tests: [unique, not_null]
                  - name: hours_open
                    description: Hours in which light fell on the chip
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema camera",
        "create table camera.shots as select i as shot_no, date '2026-11-10' + (i % 6)::int as night, "
        "'field ' || (i % 4) as target, 300 as open_s, 360000 as requested_ms from range(120) t(i)",
    )
    site.good_build()
    site.commit("Ximena Rojas", "Efficiency: a dark night has ten hours in November", {
        "README.md": "# observatory\nA night of November is dark for ten hours.\n",
    })  # fmt: skip
    site.commit("Kofi Mensah", "Staging: say what is measured and what was asked for", {
        **site.edited("models/staging/stg_shots.sql", ("open_s as exposure,", "open_s as integration_s,")),
        **site.edited("models/depth.sql", ("sum(exposure)", "sum(integration_s)")),
    }, label="culprit")  # fmt: skip
    site.commit("Ximena Rojas", "Fields in capitals, as in the catalogue of the survey", site.edited(
        "models/staging/stg_shots.sql", ("    target,", "    upper(target) as target,"),
    ))  # fmt: skip
    site.sql(
        "insert into camera.shots select 120 + i, date '2026-11-20', 'field 1', 300, 360000 from range(24) t(i)",
    )


OBSERVATORY = Scenario(
    "observatory_renamed_column_has_a_namesake",
    "A staging column is renamed and one mart forgotten. The two names that look most like it are an id and the time "
    "that was asked for, in another unit.",
    _observatory,
    (
        Incident(
            ("nights",), _CODE_FIX, _CODE, Fix.EXPECTED, "The mart must read the column under its new name.",
            culprit="culprit",
        ),
    ),
    (
        HiddenCheck("hours", "select sum(hours_open) from analytics.nights", 12),
        HiddenCheck("share of the last night", "select max(share_of_dark) from analytics.efficiency", 0.2),
        HiddenCheck("depth", "select sum(seconds) from analytics.depth", 43200),
        HiddenCheck("fields", "select count(*) from analytics.depth where target like 'FIELD%'", 4),
    ),
    protected=("models/nights.yml", "models/efficiency.sql"),
    oracle=lambda site: site.edited("models/nights.sql", ("shots.exposure)", "shots.integration_s)")),
)  # fmt: skip


def _treasury(site: Site) -> None:
    base = site.base("    +materialized: table\n")
    base["dbt_project.yml"] += "vars:\n  fee_bp: 25\n  spread_bp: 4\n  pilot_desk: none\n  report_currency: EUR\n"
    site.commit("Anouk Janssen", "Fees and positions by desk", {
        **base,
        "macros/basis_points.sql": """
            {% macro basis_points(name) -%}
                ({{ var(name ~ '_bp', 0) }} / 10000)
            {%- endmacro %}
            """,
        "models/desks/fees.sql": """
            select
                desk,
                sum(notional) * {{ basis_points('fee') }} as fee,
                sum(notional) * {{ basis_points('spread') }} as spread,
                sum(notional) * {{ basis_points('stamp') }} as stamp_duty
            from {{ source('deals', 'trades') }}
            group by desk
            """,
        "models/market/positions.sql": """
            select trades.trade_id, trades.desk, trades.currency, trades.day, trades.notional * rates.rate as value_eur
            from {{ source('deals', 'trades') }} as trades
            left join {{ source('market', 'rates') }} as rates
                on rates.currency = trades.currency and rates.day = trades.day
            """,
        "models/sources.yml": """
            version: 2
            sources:
              - name: deals
                tables: [{name: trades}]
              - name: market
                tables: [{name: rates}]
            """,
        "models/market/positions.yml": """
            version: 2
            models:
              - name: positions
                columns:
                  - name: trade_id
                    data_tests: [unique]
                  - name: value_eur
                    data_tests: [not_null]
            """,
        "tests/every_desk_pays_fees.sql": "select desk, fee from {{ ref('fees') }} where fee <= 0\n",
    })  # fmt: skip
    site.sql(
        "create schema deals",
        "create schema market",
        "create table deals.trades as select i as trade_id, 'desk ' || (i % 4) as desk, "
        "['EUR', 'USD', 'CHF'][1 + i % 3] as currency, date '2026-11-09' + (i // 10)::int as day, 1000 as notional "
        "from range(100) t(i)",
        "create table market.rates as select ['EUR', 'USD', 'CHF'][1 + i % 3] as currency, "
        "date '2026-11-09' + (i // 3)::int as day, [1.0, 0.9, 1.05][1 + i % 3] as rate from range(30) t(i)",
    )
    site.good_build()
    site.commit("Anouk Janssen", "Positions: one column a line", {
        "models/market/positions.sql": """
            select
                trades.trade_id,
                trades.desk,
                trades.currency,
                trades.day,
                trades.notional * rates.rate as value_eur
            from {{ source('deals', 'trades') }} as trades
            left join {{ source('market', 'rates') }} as rates
                on rates.currency = trades.currency and rates.day = trades.day
            """,
    })  # fmt: skip
    site.commit("Rafael Cruz", "Drop vars that are found nowhere in the code", site.edited(
        "dbt_project.yml", ("  fee_bp: 25\n", ""), ("  pilot_desk: none\n", ""),
    ), label="culprit")  # fmt: skip
    site.commit("Rafael Cruz", "Say how a basis point is read", site.edited(
        "macros/basis_points.sql", ("{% macro", "{# a hundredth of a per cent; 0 where nothing is agreed #}\n{% macro"),
    ))  # fmt: skip
    site.sql(
        "insert into deals.trades select 100 + i, 'desk ' || (i % 4), ['EUR', 'USD', 'CHF'][1 + i % 3], "
        "date '2026-11-20', 1000 from range(9) t(i)",
        "insert into market.rates values ('EUR', date '2026-11-20', 1.0), ('USD', date '2026-11-20', 0.91)",
    )


TREASURY = Scenario(
    "treasury_lost_variable_and_late_rate",
    "A variable that a macro puts its name together for is dropped as unused, so that a default of nought counts; in "
    "the same night one currency's rate is late.",
    _treasury,
    (
        Incident(
            ("every_desk_pays_fees",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED, "The variable is used and must come back.",
            culprit="culprit",
        ),
        Incident(
            ("not_null_positions_value_eur",), frozenset({"data_quality_issue"}), frozenset({"data"}), Fix.FORBIDDEN,
            "The rate comes with its next delivery; another day's rate is a wrong one.",
            roots=("source.treasury.market.rates",),
        ),
    ),
    (
        HiddenCheck("fees", "select sum(fee) from analytics.fees", 272.5),
        HiddenCheck("spread", "select sum(spread) from analytics.fees", 43.6),
        HiddenCheck("no stamp duty is agreed", "select sum(stamp_duty) from analytics.fees", 0),
        HiddenCheck("positions", "select count(*) from analytics.positions", 109),
        HiddenCheck(
            "no value without its rate",
            "select count(*) from analytics.positions p where value_eur is not null and not exists "
            "(select 1 from market.rates r where r.currency = p.currency and r.day = p.day)", 0,
        ),
    ),
    protected=("tests/*", "models/market/*", "models/sources.yml"),
    oracle=lambda site: site.edited("dbt_project.yml", ("vars:\n", "vars:\n  fee_bp: 25\n")),
)  # fmt: skip

SCENARIOS = (NURSERY, OBSERVATORY, TREASURY)
