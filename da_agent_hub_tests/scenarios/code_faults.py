"""Faults that somebody committed, where dbt stops or a model cannot run."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_FIX = frozenset({"code_fix_required"})


def _energy(site: Site) -> None:
    site.commit("Priya Nair", "Start the transform project", {
        "README.md": "# grid\nLoaders in `ingest/`, dbt in `transform/`.\n",
        "ingest/pull_meters.py": "print('pulls the readings')\n",
        **site.base("    staging:\n      +materialized: view\n    marts:\n      +materialized: table\n"),
        "transform/models/sources.yml": """
            version: 2
            sources:
              - name: scada
                schema: scada
                tables: [{name: readings}, {name: meters}]
            """,
        "transform/models/staging/stg_meter_readings.sql": """
            select reading_id, meter_id, cast(read_at as timestamp) as read_at, kwh
            from {{ source('scada', 'readings') }}
            """,
        "transform/models/staging/stg_meters.sql": """
            select meter_id, upper(feeder) as feeder from {{ source('scada', 'meters') }}
            """,
    })  # fmt: skip
    site.commit("Tomasz Wilk", "Add daily load per feeder", {
        "transform/models/marts/feeder_load_daily.sql": """
            select
                m.feeder,
                cast(r.read_at as date) as day,
                sum(r.kwh) as kwh
            from {{ ref('stg_meter_readings') }} r
            join {{ ref('stg_meters') }} m using (meter_id)
            group by 1, 2
            """,
        "transform/models/marts/marts.yml": """
            version: 2
            models:
              - name: feeder_load_daily
                columns:
                  - name: feeder
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema scada",
        "create table scada.meters as select i as meter_id, 'f' || (i % 3) as feeder from range(12) t(i)",
        "create table scada.readings as select i as reading_id, i % 12 as meter_id, "
        "timestamp '2026-10-01' + interval (i) hour as read_at, 1.5 as kwh from range(240) t(i)",
    )
    site.good_build()
    site.commit("Priya Nair", "Retry the puller twice", {"ingest/pull_meters.py": "print('pulls, twice')\n"})
    site.commit("Tomasz Wilk", "Show the peak reading beside the load", site.edited(
        "transform/models/marts/feeder_load_daily.sql",
        ("    sum(r.kwh) as kwh\n", "    sum(r.kwh) as kwh,\n    max(r.kwh) as peak_kwh\n"),
        ("ref('stg_meter_readings')", "ref('stg_meter_reading')"),
    ), label="culprit")  # fmt: skip
    site.commit("Lena Brandt", "Describe the feeder column", site.edited(
        "transform/models/marts/marts.yml",
        ("      - name: feeder\n", "      - name: feeder\n        description: Feeder code, upper case\n"),
    ))  # fmt: skip


ENERGY = Scenario(
    "energy_ref_typo_in_subdirectory",
    "A mono-repository with dbt in transform/: a commit adds a column and mistypes a ref, so dbt does not parse.",
    _energy,
    (Incident((), _CODE_FIX, _CODE, Fix.EXPECTED, "The right name is one letter away.", culprit="culprit"),),
    (
        HiddenCheck("all load is there", "select sum(kwh) from analytics.feeder_load_daily", 360.0),
        HiddenCheck("the new column stays", "select max(peak_kwh) from analytics.feeder_load_daily", 1.5),
    ),
    oracle=lambda site: site.edited(
        "transform/models/marts/feeder_load_daily.sql", ("ref('stg_meter_reading')", "ref('stg_meter_readings')")
    ),
    directory="transform",
)


def _podcast(site: Site) -> None:
    site.commit("Ines Prado", "Podcast analytics, first cut", {
        **site.base(),
        "models/raw.yml": """
            version: 2
            sources:
              - name: hosting
                tables:
                  - name: episodes
                  - name: downloads
            """,
        "models/stg_episodes.sql": """
            with source as (
                select * from {{ source('hosting', 'episodes') }}
            )

            select
                guid as episode_id,
                show_slug,
                title,
                duration_s
            from source
            """,
        "models/stg_downloads.sql": """
            select guid as episode_id, day, hits from {{ source('hosting', 'downloads') }}
            """,
        "models/dim_episodes.sql": """
            {{ config(materialized='table') }}

            with episodes as (
                select * from {{ ref('stg_episodes') }}
            ),

            listens as (
                select episode_id, sum(hits) as hits from {{ ref('stg_downloads') }} group by episode_id
            )

            select
                episodes.episode_id,
                episodes.show_slug,
                episodes.title,
                coalesce(listens.hits, 0) as hits
            from episodes
            left join listens on listens.episode_id = episodes.episode_id
            """,
        "models/top_shows.sql": """
            select show_slug, sum(hits) as hits, any_value(title) as example from {{ ref('dim_episodes') }} group by 1
            """,
        "models/models.yml": """
            models:
              - name: stg_episodes
                columns:
                  - name: episode_id
                    data_tests: [unique, not_null]
              - name: dim_episodes
                columns:
                  - name: episode_id
                    data_tests: [unique, not_null]
                  - name: title
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema hosting",
        "create table hosting.episodes as select 'g' || i as guid, 'show-' || (i % 4) as show_slug, "
        "'Episode ' || i as title, 600 + i as duration_s, i % 5 = 0 as is_bonus, 's' || (i % 2) as season "
        "from range(40) t(i)",
        "create table hosting.downloads as select 'g' || (i % 30) as guid, date '2026-09-01' as day, i as hits "
        "from range(90) t(i)",
    )
    site.good_build()
    site.commit("Marek Lis", "Sort the show slugs in the README", {"README.md": "# podcast\n"})
    site.commit("Ines Prado", "Carry bonus flag and season of an episode", site.edited(
        "models/stg_episodes.sql",
        ("    title,\n    duration_s\n", "    season,\n    title\n    duration_s,\n    is_bonus\n"),
    ), label="culprit")  # fmt: skip
    site.commit("Marek Lis", "Say what the staging model is for", site.edited(
        "models/stg_episodes.sql", ("with source as (", "-- one row an episode, as the host sends it\nwith source as ("),
    ))  # fmt: skip
    site.commit("Jo Okafor", "Rank shows by listens", site.edited(
        "models/top_shows.sql", ("group by 1", "group by 1 order by hits desc"),
    ))  # fmt: skip


PODCAST = Scenario(
    "podcast_missing_comma_upstream",
    "A lost comma turns `title duration_s` into an alias: the staging view still builds, the mart below it does not.",
    _podcast,
    (
        Incident(
            ("dim_episodes",), _CODE_FIX, _CODE, Fix.EXPECTED, "A comma is missing.",
            culprit="culprit", roots=("model.podcast.stg_episodes",),
        ),
    ),
    (
        HiddenCheck("titles are titles", "select count(*) from analytics.dim_episodes where title like 'Episode %'", 40),
        HiddenCheck("durations are back", "select sum(duration_s) from analytics.stg_episodes", 24780),
        HiddenCheck("the bonus flag stays", "select count(*) from analytics.stg_episodes where is_bonus", 8),
        HiddenCheck("the season stays", "select count(distinct season) from analytics.stg_episodes", 2),
    ),
    oracle=lambda site: site.edited("models/stg_episodes.sql", ("    title\n", "    title,\n")),
)  # fmt: skip


def _insurance(site: Site) -> None:
    site.commit("Ruth Adeyemi", "Policies and claims", {
        **site.base(path="{{ env_var('COVERAGE_DB', 'insurance.duckdb') }}"),
        "macros/money.sql": """
            {% macro euros(column, digits=2) -%}
                round({{ column }} / 100.0, {{ digits }})
            {%- endmacro %}
            """,
        "models/sources.yml": """
            sources:
              - name: core
                tables: [{name: policies}, {name: claims}]
            """,
        "models/stg_policies.sql": """
            SELECT policy_no, {{ euros('premium_cents') }} AS premium FROM {{ source('core', 'policies') }}
            """,
        "models/stg_claims.sql": """
            SELECT claim_no, policy_no, {{ euros('paid_cents', digits=0) }} AS paid FROM {{ source('core', 'claims') }}
            """,
        "models/loss_ratio.sql": """
            {{ config(materialized='table') }}
            SELECT p.policy_no, p.premium, COALESCE(SUM(c.paid), 0) AS paid
            FROM {{ ref('stg_policies') }} p LEFT JOIN {{ ref('stg_claims') }} c USING (policy_no)
            GROUP BY ALL
            """,
        "models/models.yml": """
            models:
              - name: loss_ratio
                columns: [{name: policy_no, data_tests: [unique]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema core",
        "create table core.policies as select i as policy_no, 10050 + i as premium_cents from range(20) t(i)",
        "create table core.claims as select i as claim_no, i % 9 as policy_no, 12345 as paid_cents from range(18) t(i)",
    )
    site.good_build()
    site.commit("Owen Pryce", "Name the currency in the money macro", {
        "macros/money.sql": """
            {#- Amounts come in minor units; `currency` picks how many of them make one. -#}
            {% macro euros(column, currency='EUR') -%}
                round({{ column }} / {{ 1.0 if currency == 'JPY' else 100.0 }}, 2)
            {%- endmacro %}
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Ruth Adeyemi", "Write claims in one line a column", {
        "models/stg_claims.sql": """
            SELECT
                claim_no,
                policy_no,
                {{ euros('paid_cents', digits=0) }} AS paid
            FROM {{ source('core', 'claims') }}
            """,
    })  # fmt: skip


INSURANCE = Scenario(
    "insurance_macro_lost_its_argument",
    "A commit changes a macro's signature; one caller still passes the old argument, and was reformatted afterwards.",
    _insurance,
    (Incident((), _CODE_FIX, _CODE, Fix.EXPECTED, "Macro and caller must agree again.", culprit="culprit"),),
    (
        HiddenCheck("premiums in euros", "select min(premium) from analytics.loss_ratio", 100.5),
        HiddenCheck(
            "claims are within a cent of euros",
            "select abs(sum(paid) - 18 * 123.45) < 18 from analytics.loss_ratio", True,
        ),
        HiddenCheck("no policy lost", "select count(*) from analytics.loss_ratio", 20),
    ),
    oracle=lambda site: {
        "macros/money.sql": """
            {% macro euros(column, digits=2, currency='EUR') -%}
                round({{ column }} / {{ 1.0 if currency == 'JPY' else 100.0 }}, {{ digits }})
            {%- endmacro %}
            """
    },
)  # fmt: skip


def _school(site: Site) -> None:
    site.commit("Amara Diallo", "Attendance models", {
        **site.base(),
        "models/attendance/_attendance.yml": """
            version: 2

            sources:
              - name: sis
                tables:
                  - name: pupils
                  - name: absences

            models:
              - name: stg_pupils
                columns:
                  - name: pupil_id
                    tests:
                      - unique
                      - not_null
              - name: absence_rate
                columns:
                  - name: form
                    tests:
                      - unique
            """,
        "models/attendance/stg_pupils.sql": "select id as pupil_id, form from {{ source('sis', 'pupils') }}\n",
        "models/attendance/absence_rate.sql": """
            select form, count(a.day) * 1.0 / count(distinct p.pupil_id) as days_missed
            from {{ ref('stg_pupils') }} p
            left join {{ source('sis', 'absences') }} a on a.pupil = p.pupil_id
            group by form
            """,
    })  # fmt: skip
    site.sql(
        "create schema sis",
        "create table sis.pupils as select i as id, 'Year ' || (7 + i % 5) as form from range(50) t(i)",
        "create table sis.absences as select i % 50 as pupil, date '2026-09-07' + i::int as day from range(60) t(i)",
    )
    site.good_build()
    site.commit("Amara Diallo", "Describe the rate", site.edited(
        "models/attendance/_attendance.yml",
        ("  - name: absence_rate\n", "  - name: absence_rate\n    description: Days missed a pupil, by form\n"),
    ))  # fmt: skip
    site.commit("Ben Whitlock", "Check that every form has a rate", site.edited(
        "models/attendance/_attendance.yml",
        (
            "      - name: form\n        tests:\n          - unique\n",
            "      - name: form\n        tests:\n          - unique\n          - not_null\n"
            "     - name: days_missed\n        tests:\n          - not_null\n",
        ),
    ), label="culprit")  # fmt: skip
    site.commit("Cleo Marsh", "Count absences once", site.edited(
        "models/attendance/absence_rate.sql", ("count(a.day)", "count(distinct (a.pupil, a.day))"),
    ))  # fmt: skip


SCHOOL = Scenario(
    "school_schema_yaml_indentation",
    "A commit adds tests to the schema file with one space too few, so that dbt cannot read it.",
    _school,
    (Incident((), _CODE_FIX, _CODE, Fix.EXPECTED, "One line is indented wrongly.", culprit="culprit"),),
    (
        HiddenCheck("all forms", "select count(*) from analytics.absence_rate", 5),
        HiddenCheck("all pupils", "select count(*) from analytics.stg_pupils", 50),
    ),
    oracle=lambda site: site.edited(
        "models/attendance/_attendance.yml", ("     - name: days_missed", "      - name: days_missed")
    ),
    kept_tests=("not_null_absence_rate_form", "not_null_absence_rate_days_missed"),
)


def _museum(site: Site) -> None:
    site.commit("Hana Sato", "Museum giving", {
        **site.base("    +materialized: table\n    staging:\n      +materialized: ephemeral\n"),
        "models/staging/_sources.yml": """
            sources:
              - name: crm
                tables: [{name: donors}, {name: gifts}, {name: tours}]
            """,
        "models/staging/stg_donors.sql": """
            -- companies are donors too
            select donor_id, trim(name) as donor, kind
            from {{ source('crm', 'donors') }}
            where not deleted
            """,
        "models/staging/stg_gifts.sql": "select * from {{ source('crm', 'gifts') }}\n",
        "models/staging/stg_tours.sql": "select * from {{ source('crm', 'tours') }}\n",
        "models/giving_by_donor.sql": """
            select d.donor_id, d.donor, sum(g.amount) as given
            from {{ ref('stg_gifts') }} g join {{ ref('stg_donors') }} d on d.donor_id = g.donor_id
            group by 1, 2
            """,
        "models/_models.yml": """
            models:
              - name: giving_by_donor
                columns: [{name: donor_id, data_tests: [unique, not_null]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema crm",
        "create table crm.donors as select i as donor_id, ' D' || i as name, 'person' as kind, i = 3 as deleted "
        "from range(10) t(i)",
        "create table crm.gifts as select i as gift_id, i % 10 as donor_id, 25 as amount from range(30) t(i)",
        "create table crm.tours as select 1 as tour_id",
    )
    site.good_build()
    site.commit("Pavel Horak", "Remove models that nothing uses", {
        "models/staging/stg_tours.sql": None, "models/staging/stg_donors.sql": None,
    }, label="culprit")  # fmt: skip
    site.commit("Hana Sato", "Round what was given", site.edited(
        "models/giving_by_donor.sql", ("sum(g.amount) as given", "round(sum(g.amount), 2) as given"),
    ))  # fmt: skip
    site.commit("Pavel Horak", "Keep notes on giving", {"docs/giving.md": "Deleted donors do not count.\n"})


MUSEUM = Scenario(
    "museum_deleted_model_still_used",
    "A clean-up deletes two models, of which one is still referenced.",
    _museum,
    (Incident((), _CODE_FIX, _CODE, Fix.EXPECTED, "The deleted model must come back as it was.", culprit="culprit"),),
    (
        HiddenCheck("the deleted donor stays out", "select count(*) from analytics.giving_by_donor", 9),
        HiddenCheck("names are trimmed", "select count(*) from analytics.giving_by_donor where donor like ' %'", 0),
        HiddenCheck("gifts", "select sum(given) from analytics.giving_by_donor", 675.0),
    ),
    oracle=lambda site: {
        "models/staging/stg_donors.sql": site.git("show", f"{site.shas['culprit']}^:models/staging/stg_donors.sql")
    },
)


def _charity(site: Site) -> None:
    site.write({
        **site.base(),
        "models/sources.yml": """
            sources:
              - name: forms
                tables: [{name: pledges}, {name: campaigns}]
            """,
        "models/stg_pledges.sql": """
            select pledge_id, campaign_id, amount from {{ source('forms', 'pledges') }}
            """,
        "models/pledges_by_campaign.sql": """
            {{ config(materialized='table') }}
            select c.name, p.campaign_id, sum(p.amount) as amount
            from {{ ref('stg_pledges') }} as p
            inner join {{ source('forms', 'campaigns') }} as c on c.campaign_id = p.campaign_id
            group by c.name, p.campaign_id
            """,
        "models/schema.yml": """
            models:
              - name: pledges_by_campaign
                columns: [{name: campaign_id, data_tests: [unique, not_null]}]
            """,
    })  # fmt: skip
    site.sql(
        "create schema forms",
        "create table forms.campaigns as select i as campaign_id, 'C' || i as name from range(4) t(i)",
        "create table forms.pledges as select i as pledge_id, i % 4 as campaign_id, 10 as amount from range(40) t(i)",
    )
    site.good_build()
    site.write(site.edited("models/stg_pledges.sql", ("campaign_id, amount", "campagin_id, amount")))


CHARITY = Scenario(
    "charity_typo_without_git",
    "A folder that is no git repository: a column is mistyped in a staging model.",
    _charity,
    (
        Incident(
            ("stg_pledges",), _CODE_FIX, _CODE, Fix.EXPECTED, "The source and the model below name the column.",
            roots=("model.charity.stg_pledges",),
        ),
    ),
    (
        HiddenCheck("campaigns", "select count(*) from analytics.pledges_by_campaign", 4),
        HiddenCheck("pledged", "select sum(amount) from analytics.pledges_by_campaign", 400),
    ),
    oracle=lambda site: site.edited("models/stg_pledges.sql", ("campagin_id", "campaign_id")),
    git=False,
)  # fmt: skip


def _library(site: Site) -> None:
    site.commit("Sofia Greco", "LOANS BY BRANCH", {
        **site.base("    +materialized: table\n"),
        "models/SOURCES.yml": """
            version: 2
            sources:
              - name: ils
                tables: [{name: LOANS}]
            """,
        "models/AGG_LOANS.sql": """
            SELECT
                BRANCH || '-' || STRFTIME(LOANED_ON, '%Y%m') AS BRANCH_MONTH,
                BRANCH,
                STRFTIME(LOANED_ON, '%Y-%m') AS LOAN_MONTH,
                COUNT(*) AS LOANS
            FROM {{ source('ils', 'LOANS') }}
            GROUP BY
                BRANCH || '-' || STRFTIME(LOANED_ON, '%Y%m'),
                BRANCH,
                STRFTIME(LOANED_ON, '%Y-%m')
            """,
        "models/RANKED_BRANCHES.sql": """
            SELECT LOAN_MONTH, BRANCH, LOANS, RANK() OVER (PARTITION BY LOAN_MONTH ORDER BY LOANS DESC) AS PLACE
            FROM {{ ref('AGG_LOANS') }}
            """,
        "models/MODELS.yml": """
            version: 2
            models:
              - name: AGG_LOANS
                columns:
                  - name: BRANCH_MONTH
                    data_tests: [unique, not_null]
            """,
    })  # fmt: skip
    site.sql(
        "create schema ils",
        "create table ils.loans as select i as loan_id, 'B' || (i % 3) as branch, i % 7 as renewals, "
        "date '2026-06-01' + (i // 3)::int as loaned_on from range(270) t(i)",
    )
    site.good_build()
    site.commit("Dirk Maes", "Rename nothing, just say where loans come from", {"README.md": "# library\n"})
    site.commit("Dirk Maes", "Count renewals as well", site.edited(
        "models/AGG_LOANS.sql",
        ("    COUNT(*) AS LOANS\n", "    COUNT(*) AS LOANS,\n    SUM(RENEWALS) AS RENEWALS\n"),
    ))  # fmt: skip
    site.commit("Sofia Greco", "Tidy the grouping", site.edited(
        "models/AGG_LOANS.sql",
        (
            "GROUP BY\n    BRANCH || '-' || STRFTIME(LOANED_ON, '%Y%m'),\n    BRANCH,\n    STRFTIME(LOANED_ON, '%Y-%m')\n",
            "GROUP BY\n    BRANCH || '-' || STRFTIME(LOANED_ON, '%Y%m'),\n    BRANCH\n",
        ),
    ), label="culprit")  # fmt: skip
    site.commit("Dirk Maes", "Note the grain", site.edited(
        "models/AGG_LOANS.sql", ("SELECT\n    BRANCH ||", "-- ONE ROW A BRANCH AND MONTH\nSELECT\n    BRANCH ||"),
    ))  # fmt: skip


LIBRARY = Scenario(
    "library_group_by_column_dropped",
    "A tidy-up drops a column from the group by; commits to the same file lie before and behind it. Upper-case SQL.",
    _library,
    (
        Incident(
            ("AGG_LOANS",), _CODE_FIX, _CODE, Fix.EXPECTED, "The column belongs into the group by.",
            culprit="culprit", roots=("model.library.AGG_LOANS",),
        ),
    ),
    (
        HiddenCheck("one row a branch and month", "select count(*) from analytics.AGG_LOANS", 9),
        HiddenCheck("no loan lost", "select sum(loans) from analytics.AGG_LOANS", 270),
        HiddenCheck("renewals stay", "select sum(renewals) from analytics.AGG_LOANS", 804),
    ),
    oracle=lambda site: site.edited(
        "models/AGG_LOANS.sql", ("    BRANCH\n", "    BRANCH,\n    STRFTIME(LOANED_ON, '%Y-%m')\n")
    ),
)  # fmt: skip

SCENARIOS = (ENERGY, PODCAST, INSURANCE, SCHOOL, MUSEUM, CHARITY, LIBRARY)
