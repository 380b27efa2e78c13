"""Fourth set: refactors that were to change no result, and changed one."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _bikeshare(site: Site) -> None:
    site.commit("Lotte Janssen", "Rentals and revenue by station", {
        **site.base("    +materialized: table\n    staging:\n      +materialized: view\n"),
        "models/staging/_sources.yml": """
            version: 2

            sources:
              - name: docks
                description: Every change of a rental is one more row, the newest counts.
                tables:
                  - name: rental_versions
              - name: till
                tables:
                  - name: receipts
            """,
        "models/staging/stg_rental_versions.sql": """
            select
                rental_id,
                bike as bike_id,
                station,
                status,
                fee,
                changed_at
            from {{ source('docks', 'rental_versions') }}
            """,
        "models/marts/rentals.sql": """
            select
                versions.rental_id,
                versions.bike_id,
                versions.station,
                versions.status,
                versions.fee,
                versions.changed_at
            from {{ ref('stg_rental_versions') }} as versions
            inner join (
                select rental_id, max(changed_at) as changed_at
                from {{ ref('stg_rental_versions') }}
                group by rental_id
            ) as newest
                on versions.rental_id = newest.rental_id
                and versions.changed_at = newest.changed_at
            """,
        "models/marts/revenue_by_station.sql": """
            select
                station,
                count(*) as rentals,
                sum(fee) as revenue
            from {{ ref('rentals') }}
            group by station
            """,
        "models/marts/_marts.yml": """
            version: 2

            models:
              - name: rentals
                columns:
                  - name: rental_id
                    data_tests:
                      - unique
                      - not_null
            """,
    })  # fmt: skip
    site.commit("Mehmet Aydin", "Check our fees against the till", {
        "tests/fees_agree_with_the_till.sql": """
            select ours.fee, till.amount
            from (select sum(fee) as fee from {{ ref('rentals') }}) as ours
            cross join (select sum(amount) as amount from {{ source('till', 'receipts') }}) as till
            where ours.fee is distinct from till.amount
            """,
    })  # fmt: skip
    versions = (
        "select i as rental_id, 100 + i % 9 as bike, 'S' || (i % 5) as station, '{status}' as status, {fee} as fee, "
        "timestamp '2026-11-10 06:00:00' + to_minutes(i * 11 + {later}) as changed_at from range(60) t(i) where {which}"
    )
    site.sql(
        "create schema docks",
        "create schema till",
        f"create table docks.rental_versions as {versions.format(status='open', fee='0.00', later=0, which='true')}",
        f"insert into docks.rental_versions {versions.format(status='ended', fee='4.50', later=40, which='i < 54')}",
        f"insert into docks.rental_versions {versions.format(status='refunded', fee='1.50', later=90, which='i % 9 = 0 and i < 54')}",
        "create table till.receipts as select i as receipt, case when i % 9 = 0 then 1.50 else 4.50 end as amount "
        "from range(54) t(i)",
    )
    site.good_build()
    site.commit("Lotte Janssen", "Stations without stray blanks", site.edited(
        "models/staging/stg_rental_versions.sql", ("    station,", "    trim(station) as station,"),
    ))  # fmt: skip
    site.commit("Mehmet Aydin", "Describe rentals", site.edited(
        "models/marts/_marts.yml", ("- name: rentals\n", "- name: rentals\n    description: One row a rental, as it stands now.\n"),
    ))  # fmt: skip
    site.commit(
        "Sofia Lindberg",
        "Refactor rentals: window function instead of the self join\n\nReads the staging view once. No change of results.",
        {
            "models/marts/rentals.sql": """
                with versions as (
                    select * from {{ ref('stg_rental_versions') }}
                )

                select
                    rental_id,
                    bike_id,
                    station,
                    status,
                    fee,
                    changed_at
                from versions
                qualify row_number() over (partition by rental_id order by changed_at) = 1
                """,
        },
        label="culprit",
    )
    site.commit("Lotte Janssen", "Revenue by station: average fee", site.edited(
        "models/marts/revenue_by_station.sql", ("sum(fee) as revenue", "sum(fee) as revenue,\n    avg(fee) as average_fee"),
    ))  # fmt: skip


BIKESHARE = Scenario(
    "bikeshare_refactor_keeps_the_first_version",
    "A refactor takes the newest row of each rental by a window function and forgets to sort it downwards.",
    _bikeshare,
    (
        Incident(
            ("fees_agree_with_the_till",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The refactor said that no result changes; the newest version must be kept again.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("rentals", "select count(*) from analytics.rentals", 60),
        HiddenCheck("still open", "select count(*) from analytics.rentals where status = 'open'", 6),
        HiddenCheck("refunded", "select count(*) from analytics.rentals where status = 'refunded'", 6),
        HiddenCheck("revenue", "select sum(revenue) from analytics.revenue_by_station", 225),
    ),
    protected=("tests/*", "models/marts/_marts.yml"),
    oracle=lambda site: site.edited("models/marts/rentals.sql", ("order by changed_at)", "order by changed_at desc)")),
)  # fmt: skip


def _lawfirm(site: Site) -> None:
    site.commit("Beatriz Moreno", "Billable hours", {
        **site.base("    +materialized: table\n    staging: {+materialized: view}\n"),
        "models/staging/practice.yml": """
            version: 2
            sources:
              - name: practice
                tables: [{name: clients}, {name: matters}, {name: time_entries}]
            """,
        "models/staging/stg_clients.sql": """
            SELECT id AS client_id, name AS client_name FROM {{ source('practice', 'clients') }}
            """,
        "models/staging/stg_matters.sql": """
            SELECT id AS matter_id, client AS client_id, title FROM {{ source('practice', 'matters') }}
            """,
        "models/staging/stg_time_entries.sql": """
            SELECT id AS entry_id, matter AS matter_id, lawyer, worked_on, hours, rate
            FROM {{ source('practice', 'time_entries') }}
            """,
        "models/billing/billable_hours.sql": """
            SELECT
                t.entry_id
                , t.worked_on
                , t.lawyer
                , m.title AS matter
                , c.client_name
                , t.hours
                , t.hours * t.rate AS amount
            FROM {{ ref('stg_time_entries') }} t
            LEFT JOIN {{ ref('stg_matters') }} m ON t.matter_id = m.matter_id
            LEFT JOIN {{ ref('stg_clients') }} c ON m.client_id = c.client_id
            """,
        "models/billing/revenue_by_client.sql": """
            SELECT client_name, SUM(hours) AS hours, SUM(amount) AS amount
            FROM {{ ref('billable_hours') }}
            GROUP BY client_name
            """,
        "models/billing/billing.yml": """
            version: 2
            models:
              - name: billable_hours
                columns:
                  - name: entry_id
                    data_tests: [unique, not_null]
                  - name: client_name
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema practice",
        "create table practice.clients as select i as id, 'Client ' || i as name from range(1, 13) t(i)",
        "create table practice.matters as select i as id, 1 + (i * 5) % 12 as client, 'Matter ' || i as title "
        "from range(1, 41) t(i)",
        "create table practice.time_entries as select i as id, 1 + i % 40 as matter, 'L' || (i % 7) as lawyer, "
        "date '2026-11-02' + (i // 20)::int as worked_on, 1 + i % 4 as hours, 200 as rate from range(360) t(i)",
    )
    site.good_build()
    site.commit("Beatriz Moreno", "Names of clients without blanks around them", site.edited(
        "models/staging/stg_clients.sql", ("name AS client_name", "TRIM(name) AS client_name"),
    ))  # fmt: skip
    site.commit("Jun Takahashi", "Refactor billable_hours: import CTEs, full names instead of single letters", {
        "models/billing/billable_hours.sql": """
            WITH time_entries AS (
                SELECT * FROM {{ ref('stg_time_entries') }}
            ),

            matters AS (
                SELECT * FROM {{ ref('stg_matters') }}
            ),

            clients AS (
                SELECT * FROM {{ ref('stg_clients') }}
            )

            SELECT
                time_entries.entry_id
                , time_entries.worked_on
                , time_entries.lawyer
                , matters.title AS matter
                , clients.client_name
                , time_entries.hours
                , time_entries.hours * time_entries.rate AS amount
            FROM time_entries
            LEFT JOIN matters ON time_entries.matter_id = matters.matter_id
            LEFT JOIN clients ON matters.matter_id = clients.client_id
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Jun Takahashi", "Revenue by client: best first", site.edited(
        "models/billing/revenue_by_client.sql", ("GROUP BY client_name", "GROUP BY client_name\nORDER BY amount DESC"),
    ))  # fmt: skip
    site.commit("Beatriz Moreno", "Lawyers in capitals", site.edited(
        "models/staging/stg_time_entries.sql", ("lawyer,", "UPPER(lawyer) AS lawyer,"),
    ))  # fmt: skip
    site.sql(
        "insert into practice.time_entries select 360 + i, 1 + i, 'L1', date '2026-11-20', 2, 200 from range(20) t(i)"
    )


LAWFIRM = Scenario(
    "lawfirm_wrong_key_typed_in_a_refactor",
    "A refactor writes three joins anew and joins the clients by the number of the matter.",
    _lawfirm,
    (
        Incident(
            ("not_null_billable_hours_client_name",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "Clients join by their own key, as before the refactor.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("entries", "select count(*) from analytics.billable_hours", 380),
        HiddenCheck("clients", "select count(*) from analytics.revenue_by_client", 12),
        HiddenCheck("amount", "select sum(amount) from analytics.revenue_by_client", 188000),
        HiddenCheck(
            "whose matter 7 is", "select max(client_name) from analytics.billable_hours where matter = 'Matter 7'", "Client 12",
        ),
    ),
    protected=("models/billing/billing.yml",),
    oracle=lambda site: site.edited(
        "models/billing/billable_hours.sql", ("ON matters.matter_id = clients", "ON matters.client_id = clients")
    ),
)  # fmt: skip

SCENARIOS = (BIKESHARE, LAWFIRM)
