"""Faults that arrived with the data; nobody committed anything wrong."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_DATA = frozenset({"data"})
_ROWS = frozenset({"data_quality_issue"})
# A model that cannot run may well be labelled as code to be fixed before anybody has looked at the source.
_ROWS_OR_CODE = frozenset({"data_quality_issue", "code_fix_required"})


def _clinic(site: Site) -> None:
    site.commit("Maren Voss", "Visits and practitioners", {
        **site.base("    staging:\n      +materialized: view\n    marts:\n      +materialized: table\n"),
        "models/staging/_ehr.yml": """
            version: 2
            sources:
              - name: ehr
                loaded_at_field: _synced_at
                tables: [{name: visits}, {name: practitioners}]
            models:
              - name: stg_ehr__visits
                columns:
                  - name: visit_id
                    data_tests: [unique, not_null]
                  - name: practitioner_id
                    data_tests: [not_null]
            """,
        "models/staging/stg_ehr__practitioners.sql": """
            with source as (select * from {{ source('ehr', 'practitioners') }})
            select id as practitioner_id, full_name, specialty from source
            """,
        "models/staging/stg_ehr__visits.sql": """
            with source as (

                select * from {{ source('ehr', 'visits') }}

            ),

            renamed as (

                select
                    id as visit_id,
                    patient_ref,
                    practitioner_id,
                    referring_practitioner_id,
                    cast(started_at as timestamp) as started_at
                from source

            )

            select * from renamed
            """,
        "models/marts/fct_visits.sql": """
            select v.visit_id, v.patient_ref, v.started_at, p.full_name as seen_by, r.full_name as referred_by
            from {{ ref('stg_ehr__visits') }} v
            left join {{ ref('stg_ehr__practitioners') }} p on p.practitioner_id = v.practitioner_id
            left join {{ ref('stg_ehr__practitioners') }} r on r.practitioner_id = v.referring_practitioner_id
            """,
        "models/marts/caseload.sql": """
            select seen_by, count(*) as visits from {{ ref('fct_visits') }} group by seen_by
            """,
    })  # fmt: skip
    site.sql(
        "create schema ehr",
        "create table ehr.practitioners as select i as id, 'Dr ' || i as full_name, 'GP' as specialty, "
        "timestamp '2026-11-20' as _synced_at from range(6) t(i)",
        "create table ehr.visits as select i as id, 'p' || (i % 30) as patient_ref, i % 6 as practitioner_id, "
        "case when i % 5 = 0 then (i + 1) % 6 end as referring_practitioner_id, "
        "timestamp '2026-11-01 08:00' + interval (i) hour as started_at, timestamp '2026-11-20' as _synced_at "
        "from range(120) t(i)",
    )
    site.good_build()
    site.commit("Oskar Lind", "Say what a visit is", site.edited(
        "models/staging/_ehr.yml",
        ("  - name: stg_ehr__visits\n", "  - name: stg_ehr__visits\n    description: One consultation\n"),
    ))  # fmt: skip
    site.commit("Maren Voss", "Carry when a visit was synced", site.edited(
        "models/staging/stg_ehr__visits.sql",
        ("as started_at\n", "as started_at,\n        _synced_at\n"),
    ))  # fmt: skip
    site.sql("alter table ehr.visits rename practitioner_id to clinician_id")


CLINIC = Scenario(
    "clinic_source_column_renamed",
    "The source renames practitioner_id to clinician_id; a column with a more similar name has always been there, and "
    "the staging model saw an innocent commit since the last good build.",
    _clinic,
    (
        Incident(
            ("stg_ehr__visits",), _ROWS_OR_CODE, _DATA, Fix.EXPECTED,
            "Read the new column under the old name, so that nothing below changes.",
            roots=("source.clinic.ehr.visits",),
        ),
    ),
    (
        HiddenCheck("all visits", "select count(*) from analytics.fct_visits", 120),
        HiddenCheck(
            "each practitioner saw 20",
            "select min(visits) = 20 and max(visits) = 20 and count(*) = 6 from analytics.caseload", True,
        ),
        HiddenCheck("referrals", "select count(referred_by) from analytics.fct_visits", 24),
        HiddenCheck("the sync time stays", "select count(_synced_at) from analytics.stg_ehr__visits", 120),
    ),
    oracle=lambda site: site.edited(
        "models/staging/stg_ehr__visits.sql",
        ("        practitioner_id,\n", "        clinician_id as practitioner_id,\n"),
    ),
)  # fmt: skip


def _bank(site: Site) -> None:
    site.commit("Irene Costa", "Transfers", {
        **site.base("    staging:\n      +materialized: view\n    marts:\n      +materialized: table\n"),
        "models/staging/sources.yml": """
            sources:
              - name: landing
                description: Files of the core system, appended by the loader
                tables:
                  - name: transfers
            """,
        "models/staging/stg_transfers.sql": """
            with imported as (
                select * from {{ source('landing', 'transfers') }}
            )
            select
                transfer_id,
                debtor,
                creditor,
                amount,
                booked_on,
                _file,
                _loaded_at
            from imported
            """,
        "models/staging/staging.yml": """
            models:
              - name: stg_transfers
                columns:
                  - name: transfer_id
                    data_tests: [unique, not_null]
            """,
        "models/marts/balances.sql": """
            with moves as (
                select creditor as account, amount from {{ ref('stg_transfers') }}
                union all
                select debtor, -amount from {{ ref('stg_transfers') }}
            )
            select account, sum(amount) as balance from moves group by account
            """,
        "models/marts/fct_transfers.sql": """
            select transfer_id, debtor, creditor, amount, booked_on from {{ ref('stg_transfers') }}
            """,
        "models/marts/marts.yml": """
            models:
              - name: fct_transfers
                columns:
                  - name: transfer_id
                    data_tests: [unique]
            """,
    })  # fmt: skip
    site.sql(
        "create schema landing",
        "create table landing.transfers as select 'T' || i as transfer_id, 'A' || (i % 7) as debtor, "
        "'A' || ((i + 1 + i % 5) % 7) as creditor, 100 + i as amount, date '2026-11-01' + (i // 50)::int as booked_on, "
        "'transfers_' || (i // 50) || '.csv' as _file, timestamp '2026-11-02 03:00' + interval (i // 50) day as _loaded_at "
        "from range(200) t(i)",
    )
    site.good_build()
    site.commit("Irene Costa", "Write the columns of transfers one a line in the mart", {
        "models/marts/fct_transfers.sql": """
            select
                transfer_id,
                debtor,
                creditor,
                amount,
                booked_on
            from {{ ref('stg_transfers') }}
            """,
    })  # fmt: skip
    site.commit(
        "Bram de Wit", "Say where files come from", {"docs/landing.md": "Files arrive at three in the night.\n"}
    )
    site.sql(
        "insert into landing.transfers select transfer_id, debtor, creditor, amount, booked_on, _file, "
        "_loaded_at + interval 7 hour from landing.transfers where _file = 'transfers_3.csv'"
    )


BANK = Scenario(
    "bank_file_loaded_twice",
    "One file was loaded a second time some hours later: rows repeat in everything but the load time. dbt skips what "
    "lies below the failing test, the mart with its own test among it.",
    _bank,
    (
        Incident(
            ("unique_stg_transfers_transfer_id",), _ROWS, _DATA, Fix.EXPECTED,
            "A row a transfer_id is safe to keep: the copies agree in everything the business reads.",
            roots=("source.bank.landing.transfers",),
        ),
    ),
    (
        HiddenCheck("every transfer once", "select count(*) from analytics.fct_transfers", 200),
        HiddenCheck("same amount", "select sum(amount) from analytics.fct_transfers", 39900),
        HiddenCheck("raw rows are untouched", "select count(*) from landing.transfers", 250),
        HiddenCheck("staging is unique", "select count(*) - count(distinct transfer_id) from analytics.stg_transfers", 0),
    ),
    oracle=lambda site: site.edited(
        "models/staging/stg_transfers.sql",
        ("from imported\n", "from imported\nqualify row_number() over (partition by transfer_id order by _loaded_at) = 1\n"),
    ),
)  # fmt: skip


def _claims(site: Site) -> None:
    site.commit("Teresa Lima", "Claim payments", {
        **site.base("    +materialized: table\n"),
        "models/src.yml": """
            sources:
              - name: tpa
                tables: [{name: payments}]
            """,
        "models/stg_payments.sql": """
            select payment_no, claim_no, payee, amount, _loaded_at from {{ source('tpa', 'payments') }}
            """,
        "models/paid_by_claim.sql": """
            select claim_no, sum(amount) as paid from {{ ref('stg_payments') }} group by claim_no
            """,
        "models/schema.yml": """
            models:
              - name: stg_payments
                columns: [{name: payment_no, data_tests: [unique, not_null]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema tpa",
        "create table tpa.payments as select i as payment_no, i % 40 as claim_no, 'P' || (i % 9) as payee, "
        "50 + i as amount, timestamp '2026-11-10' as _loaded_at from range(100) t(i)",
    )
    site.good_build()
    site.commit("Noor Haddad", "Order columns as the administrator sends them", site.edited(
        "models/stg_payments.sql", ("payment_no, claim_no, payee", "claim_no, payment_no, payee"),
    ))  # fmt: skip
    site.sql(
        "insert into tpa.payments select payment_no, claim_no, 'Lawyer ' || payment_no, amount * 0.3, "
        "timestamp '2026-11-21' from tpa.payments where payment_no between 10 and 24"
    )


CLAIMS = Scenario(
    "claims_same_key_other_facts",
    "From today the administrator splits payments: a key comes twice with other payees and amounts. To keep one row "
    "a key would lose money.",
    _claims,
    (
        Incident(
            ("unique_stg_payments_payment_no",), _ROWS, _DATA, Fix.FORBIDDEN,
            "The rows differ in payee and amount: somebody must say what the grain is now.",
            roots=("source.claims.tpa.payments",),
        ),
    ),
    protected=("*",),
)  # fmt: skip


def _parcel(site: Site) -> None:
    site.commit("Aiko Tan", "Returns", {
        **site.base(),
        "models/returns.yml": """
            sources:
              - name: wms
                tables: [{name: returns}]
            models:
              - name: stg_returns
                columns:
                  - name: return_id
                    data_tests: [unique]
                  - name: outcome
                    data_tests:
                      - accepted_values:
                          arguments:
                            values: [refunded, replaced, rejected]
              - name: refunds
                columns:
                  - name: return_id
                    data_tests: [unique]
            """,
        "models/stg_returns.sql": """
            select return_id, lower(outcome) as outcome, value from {{ source('wms', 'returns') }}
            """,
        "models/refunds.sql": """
            select return_id, case outcome when 'refunded' then value else 0 end as refunded from {{ ref('stg_returns') }}
            """,
    })  # fmt: skip
    site.sql(
        "create schema wms",
        "create table wms.returns as select i as return_id, ['Refunded', 'Replaced', 'Rejected'][1 + i % 3] as outcome, "
        "20 as value from range(60) t(i)",
    )
    site.good_build()
    site.commit("Aiko Tan", "Test the returns mart too", {"README.md": "# parcel\n"})
    site.sql("insert into wms.returns select 60 + i, 'Store_Credit', 20 from range(8) t(i)")


PARCEL = Scenario(
    "parcel_new_accepted_value",
    "The warehouse system starts to send an outcome that the test does not know, and the mart would count as nothing.",
    _parcel,
    (
        Incident(
            ("accepted_values_stg_returns_outcome__refunded__replaced__rejected",), _ROWS, _DATA, Fix.FORBIDDEN,
            "Whether store credit is a refund is a business decision; adding it to the list hides that.",
            roots=("source.parcel.wms.returns",),
        ),
    ),
    protected=("*",),
)  # fmt: skip


def _water(site: Site) -> None:
    site.commit("Emeka Obi", "Sensor readings", {
        **site.base("    +materialized: table\n"),
        "models/water.yml": """
            sources:
              - name: iot
                tables: [{name: readings}]
            models:
              - name: readings
                columns:
                  - name: station
                    data_tests: [not_null]
              - name: level_by_station
                columns:
                  - name: station
                    data_tests: [unique, not_null]
            """,
        "models/readings.sql": """
            {{ config(materialized='incremental') }}
            select reading_id, station, level_cm, received_at from {{ source('iot', 'readings') }}
            {% if is_incremental() %} where received_at > (select max(received_at) from {{ this }}) {% endif %}
            """,
        "models/level_by_station.sql": """
            select station, avg(level_cm) as level_cm from {{ ref('readings') }} group by station
            """,
    })  # fmt: skip
    site.sql(
        "create schema iot",
        "create table iot.readings as select i as reading_id, 'ST' || (i % 5) as station, 80 + i % 11 as level_cm, "
        "timestamp '2026-11-01' + interval (i) minute as received_at from range(300) t(i)",
    )
    site.good_build()
    site.commit("Emeka Obi", "Level: say the unit", site.edited(
        "models/water.yml", ("  - name: level_by_station\n", "  - name: level_by_station\n    description: In cm\n"),
    ))  # fmt: skip
    site.sql(
        "insert into iot.readings select 300 + i, case when i % 3 > 0 then 'ST' || (i % 5) end, 90, "
        "timestamp '2026-11-02' + interval (i) minute from range(60) t(i)"
    )


WATER = Scenario(
    "water_null_burst",
    "A third of the newest readings arrive without their station, through an incremental model.",
    _water,
    (
        Incident(
            ("not_null_readings_station",), _ROWS, _DATA, Fix.FORBIDDEN,
            "Neither dropping the readings nor inventing a station is right; the sender must send again.",
            roots=("source.water.iot.readings",),
        ),
    ),
    protected=("*",),
)  # fmt: skip


def _campus(site: Site) -> None:
    site.commit("Leila Farsi", "Enrolments", {
        **site.base(),
        "models/campus.yml": """
            sources:
              - name: registry
                tables: [{name: enrolments}, {name: courses}]
            models:
              - name: stg_enrolments
                columns:
                  - name: course_code
                    data_tests:
                      - relationships:
                          arguments: {to: ref('stg_courses'), field: course_code}
            """,
        "models/stg_courses.sql": "select course_code, credits, loaded_at from {{ source('registry', 'courses') }}\n",
        "models/stg_enrolments.sql": """
            select student_no, course_code, term, loaded_at from {{ source('registry', 'enrolments') }}
            """,
        "models/credits_by_student.sql": """
            select e.student_no, sum(c.credits) as credits
            from {{ ref('stg_enrolments') }} e left join {{ ref('stg_courses') }} c using (course_code)
            group by e.student_no
            """,
    })  # fmt: skip
    site.sql(
        "create schema registry",
        "create table registry.courses as select 'C' || i as course_code, 5 as credits, timestamp '2026-11-22 02:00' "
        "as loaded_at from range(12) t(i)",
        "create table registry.enrolments as select i as student_no, 'C' || (i % 12) as course_code, '2026W' as term, "
        "timestamp '2026-11-22 02:00' as loaded_at from range(80) t(i)",
    )
    site.good_build()
    site.commit("Jonas Falk", "Credits: left join stays on purpose", site.edited(
        "models/credits_by_student.sql", ("select e.student_no", "-- unknown courses give no credits yet\nselect e.student_no"),
    ))  # fmt: skip
    site.sql(
        "insert into registry.enrolments select 80 + i, 'C' || (12 + i % 2), '2027S', timestamp '2026-11-23 02:00' "
        "from range(14) t(i)"
    )


CAMPUS = Scenario(
    "campus_late_dimension",
    "New enrolments name courses that have not been loaded yet: the course load of that night is missing.",
    _campus,
    (
        Incident(
            ("relationships_stg_enrolments_course_code__course_code__ref_stg_courses_",),
            _ROWS, _DATA, Fix.FORBIDDEN, "The courses come with their next load; enrolments must not be dropped.",
            roots=("source.campus.registry.courses",),
        ),
    ),
    protected=("*",),
)  # fmt: skip


def _farm(site: Site) -> None:
    site.commit("Wanjiru Kamau", "Harvest", {
        **site.base("    +materialized: table\n"),
        "macros/to_number.sql": """
            {% macro to_number(column) %}cast({{ column }} as decimal(12, 2)){% endmacro %}
            """,
        "models/farm.yml": """
            sources:
              - name: scale
                tables: [{name: loads}]
            models:
              - name: stg_loads
                columns: [{name: load_id, data_tests: [unique, not_null]}]
            """,
        "models/stg_loads.sql": """
            select load_id, field, crop, {{ to_number('kilos') }} as kilos from {{ source('scale', 'loads') }}
            """,
        "models/yield_by_field.sql": """
            select field, crop, sum(kilos) as kilos, count(*) as loads from {{ ref('stg_loads') }} group by field, crop
            """,
    })  # fmt: skip
    site.sql(
        "create schema scale",
        "create table scale.loads as select i as load_id, 'F' || (i % 4) as field, 'maize' as crop, 1000.5 + i as kilos "
        "from range(80) t(i)",
    )
    site.good_build()
    site.commit("Peter Muli", "Sort the yields", site.edited(
        "models/yield_by_field.sql", ("group by field, crop", "group by field, crop order by kilos desc"),
    ))  # fmt: skip
    site.sql(
        "alter table scale.loads alter kilos type varchar",
        "insert into scale.loads select 80 + i, 'F' || (i % 4), 'maize', case i % 2 when 0 then 'N/A' else '900.25' end "
        "from range(6) t(i)",
    )


FARM = Scenario(
    "farm_numbers_arrive_as_text",
    "The scale sends N/A where it could not weigh, so the column turned to text and the cast fails.",
    _farm,
    (
        Incident(
            ("stg_loads",), _ROWS_OR_CODE, _DATA, Fix.OPTIONAL,
            "Reading N/A as null is defensible, if no load is dropped and no other text is swallowed silently.",
            roots=("source.farm.scale.loads",),
        ),
    ),
    (
        HiddenCheck("no load dropped", "select count(*) from analytics.stg_loads", 86),
        HiddenCheck("weights stay", "select sum(kilos) from analytics.stg_loads", 85900.75),
        HiddenCheck("no weight invented", "select count(*) - count(kilos) from analytics.stg_loads", 3),
    ),
    oracle=lambda site: site.edited("models/stg_loads.sql", ("to_number('kilos')", "to_number(\"nullif(kilos, 'N/A')\")")),
)  # fmt: skip

SCENARIOS = (CLINIC, BANK, CLAIMS, PARCEL, WATER, CAMPUS, FARM)
