"""Held out: runs after which the code is to be left alone, whoever committed last."""

from __future__ import annotations

import subprocess
import sys

from .expectation import Fix, Incident, Scenario
from .site import Site

_DATA = frozenset({"data"})
_ROWS = frozenset({"data_quality_issue"})


def _wholesale(site: Site) -> None:
    site.commit("Greta Olsen", "Items and what was ordered", {
        **site.base("    +materialized: table\n"),
        "models/erp.yml": """
            version: 2
            sources:
              - name: erp
                tables: [{name: items}, {name: order_lines}]
            models:
              - name: stg_items
                columns:
                  - name: item_no
                    data_tests: [unique, not_null]
            """,
        "models/stg_items.sql": """
            select item_no, trim(label) as label, unit_price, loaded_at from {{ source('erp', 'items') }}
            """,
        "models/revenue.sql": """
            select i.item_no, i.label, sum(l.pieces * i.unit_price) as revenue
            from {{ source('erp', 'order_lines') }} l
            join {{ ref('stg_items') }} i using (item_no)
            group by all
            """,
    })  # fmt: skip
    site.sql(
        "create schema erp",
        "create table erp.items as select 1000 + i as item_no, 'Item ' || i as label, 5 + i % 4 as unit_price, "
        "timestamp '2026-11-01 02:00' as loaded_at from range(80) t(i)",
        "create table erp.order_lines as select i as line_no, 1000 + i % 80 as item_no, 2 as pieces from range(200) t(i)",
    )
    site.good_build()
    site.commit("Greta Olsen", "Trim units of measure off labels", site.edited(
        "models/stg_items.sql", ("trim(label)", "trim(replace(label, ' pcs', ''))"),
    ))  # fmt: skip
    site.commit("Tobias Frey", "Revenue: whole euros are enough", site.edited(
        "models/revenue.sql", ("sum(l.pieces * i.unit_price)", "round(sum(l.pieces * i.unit_price))"),
    ))  # fmt: skip
    site.sql(
        "insert into erp.items select item_no, label, unit_price, timestamp '2026-11-20 02:00' from erp.items "
        "where item_no < 1009",
        "insert into erp.items select 1040 + i, 'Article ' || i, 30 + i, timestamp '2026-11-20 02:00' from range(3) t(i)",
    )


WHOLESALE = Scenario(
    "wholesale_keys_collide_after_a_merger",
    "The articles of a firm that was bought come into the same table: nine keys repeat with the same facts, three stand "
    "for something else. What heals the nine would hide the three.",
    _wholesale,
    (
        Incident(
            ("unique_stg_items_item_no",), _ROWS, _DATA, Fix.FORBIDDEN,
            "Which article 1040 to 1042 mean must be said by whoever merged the lists.",
            roots=("source.wholesale.erp.items",),
        ),
    ),
    protected=("*",),
)  # fmt: skip


def _grocer(site: Site) -> None:
    site.commit("Imani Brooks", "Refund rate a day", {
        **site.base(),
        "models/shop.yml": """
            version: 2
            sources:
              - name: shop
                tables: [{name: sales}, {name: refunds}]
            """,
        "models/staging/stg_sales.sql": "select receipt_no, day, amount from {{ source('shop', 'sales') }}\n",
        "models/staging/stg_refunds.sql": """
            select refund_no, receipt_no, day, amount, lower(reason) as reason from {{ source('shop', 'refunds') }}
            """,
        "models/refund_rate.sql": """
            with sold as (select day, sum(amount) as sold from {{ ref('stg_sales') }} group by day),

            refunded as (select day, sum(amount) as refunded from {{ ref('stg_refunds') }} group by day)

            select day, sold, coalesce(refunded, 0) / sold as rate
            from sold left join refunded using (day)
            """,
        "tests/refunds_stay_below_a_tenth.sql": "select * from {{ ref('refund_rate') }} where rate >= 0.1\n",
    })  # fmt: skip
    site.sql(
        "create schema shop",
        "create table shop.sales as select i as receipt_no, date '2026-11-01' + (i // 50)::int as day, 20 as amount "
        "from range(900) t(i)",
        "create table shop.refunds as select i as refund_no, i * 25 as receipt_no, date '2026-11-01' + (i // 2)::int as day, "
        "20 as amount, 'Damaged' as reason from range(36) t(i)",
    )
    site.good_build()
    site.commit("Imani Brooks", "Reasons without blanks around them", site.edited(
        "models/staging/stg_refunds.sql", ("lower(reason)", "trim(lower(reason))"),
    ))  # fmt: skip
    site.commit("Imani Brooks", "Refund rate: keep what was refunded", site.edited(
        "models/refund_rate.sql", ("select day, sold, coalesce", "select day, sold, refunded, coalesce"),
    ))  # fmt: skip
    site.sql(
        "insert into shop.sales select 900 + i, date '2026-11-19', 20 from range(50) t(i)",
        "insert into shop.refunds select 36 + i, 300 + i, date '2026-11-19', 20, 'Recall: pistachio spread' "
        "from range(22) t(i)",
    )


GROCER = Scenario(
    "grocer_recall_raises_refunds",
    "A product is recalled, so refunds really do pass a tenth of sales on one day. Two innocent commits lie on the way.",
    _grocer,
    (
        Incident(
            ("refunds_stay_below_a_tenth",), frozenset({"data_quality_issue", "false_positive"}),
            frozenset({"data", "unknown"}), Fix.FORBIDDEN,
            "The refunds are true; a person decides what the test should say of such a day.",
            roots=("source.grocer.shop.refunds", "test.grocer.refunds_stay_below_a_tenth"),
        ),
    ),
    protected=("*",),
)  # fmt: skip


_LOCKS: dict[Site, subprocess.Popen[bytes]] = {}
_HOLD = """
import sys, duckdb, threading
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
reader = threading.Thread(target=sys.stdin.read, daemon=True)
reader.start()
reader.join(180)
"""


def _depot(site: Site) -> None:
    site.commit("Lukas Bauer", "Bays by hour", {
        **site.base("    +materialized: table\n"),
        "models/yard.yml": """
            sources:
              - name: yard
                tables: [{name: arrivals}]
            """,
        "models/bays.sql": "select bay, hour, count(*) as trucks from {{ source('yard', 'arrivals') }} group by all\n",
        "models/busiest.sql": "select hour, max(trucks) as trucks from {{ ref('bays') }} group by hour\n",
    })  # fmt: skip
    site.sql(
        "create schema yard",
        "create table yard.arrivals as select i as truck, 'B' || (i % 6) as bay, i % 24 as hour from range(300) t(i)",
    )
    site.good_build()
    site.commit("Lukas Bauer", "Busiest hours first", site.edited(
        "models/busiest.sql", ("group by hour", "group by hour order by trucks desc"),
    ))  # fmt: skip
    site.commit("Pia Lindqvist", "Name the yard", {"README.md": "# depot\nThe yard is the one in the north.\n"})
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(site.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    _LOCKS[site] = holder
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"


def _release(site: Site) -> None:
    holder = _LOCKS.pop(site)
    holder.communicate(timeout=30)


DEPOT = Scenario(
    "depot_warehouse_is_locked",
    "While dbt builds, somebody else's session holds the warehouse's file, and lets it go some minutes later.",
    _depot,
    (
        Incident(
            (), frozenset({"infrastructure_issue", "transient_failure"}), frozenset({"infrastructure", "flaky"}),
            Fix.FORBIDDEN, "Nothing in the project is wrong; run it again, and keep the two jobs apart.",
        ),
    ),
    protected=("*",),
    afterwards=_release,
)  # fmt: skip


def _tollroad(site: Site) -> None:
    site.commit("Nadia Benali", "Passages by lane", {
        **site.base("    +materialized: table\n"),
        "models/lanes.yml": """
            version: 2
            sources:
              - name: gantry
                tables: [{name: passages}]
            models:
              - name: lane_days
                columns: [{name: lane, data_tests: [not_null]}]
            """,
        "models/lane_days.sql": """
            select lane, day, count(*) as passages, sum(toll) as toll
            from {{ source('gantry', 'passages') }}
            group by lane, day
            """,
        "models/toll_by_day.sql": "select day, sum(toll) as toll from {{ ref('lane_days') }} group by day\n",
        "tests/every_lane_reports_every_day.sql": """
            select day, count(distinct lane) as lanes
            from {{ ref('lane_days') }}
            group by day
            having count(distinct lane) < 5
            """,
    })  # fmt: skip
    site.sql(
        "create schema gantry",
        "create table gantry.passages as select i as passage, 1 + i % 5 as lane, "
        "date '2026-11-10' + (i // 100)::int as day, 3 as toll from range(900) t(i)",
    )
    site.good_build()
    site.commit("Nadia Benali", "Lane days: average toll", site.edited(
        "models/lane_days.sql", ("sum(toll) as toll\n", "sum(toll) as toll, avg(toll) as average_toll\n"),
    ))  # fmt: skip
    site.commit("Felix Kruger", "Group by all", site.edited(
        "models/lane_days.sql", ("group by lane, day", "group by all"),
    ))  # fmt: skip
    site.sql(
        "insert into gantry.passages select 900 + i, 1 + i % 3, date '2026-11-19', 3 from range(60) t(i)",
    )


TOLLROAD = Scenario(
    "tollroad_late_lanes_came_since",
    "Two lanes had not reported when dbt ran; their passages came an hour later. Any patch whatever seems to heal it.",
    _tollroad,
    (
        Incident(
            ("every_lane_reports_every_day",), frozenset({"data_quality_issue", "transient_failure"}),
            frozenset({"data", "flaky"}), Fix.FORBIDDEN,
            "The data is complete by now: the next run is green without any change.",
            roots=("source.tollroad.gantry.passages", "test.tollroad.every_lane_reports_every_day"),
        ),
    ),
    protected=("*",),
    afterwards=lambda site: site.sql(
        "insert into gantry.passages select 960 + i, 4 + i % 2, date '2026-11-19', 3 from range(40) t(i)"
    ),
)  # fmt: skip

SCENARIOS = (WHOLESALE, GROCER, DEPOT, TOLLROAD)
