"""Third set: commits after which everything still builds and some rows say something else."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _callcentre(site: Site) -> None:
    site.commit("Thandi Mokoena", "Answer rate, service level and occupancy", {
        **site.base("    +materialized: table\n    staging: {+materialized: ephemeral}\n"),
        "macros/ratios.sql": """
            {% macro share(part, whole) -%}
                round({{ part }} / nullif({{ whole }}, 0), 4)
            {%- endmacro %}
            """,
        "models/staging/telephony.yml": """
            version: 2
            sources:
              - name: telephony
                tables: [{name: calls}, {name: shifts}]
            """,
        "models/staging/stg_calls.sql": """
            select call_id, agent, team, queue, answered, waited_s, handled_s
            from {{ source('telephony', 'calls') }}
            """,
        "models/service/answer_rate.sql": """
            select team, {{ share('count(*) filter (where answered)', 'count(*)') }} as answer_rate
            from {{ ref('stg_calls') }}
            group by team
            """,
        "models/service/service_level.sql": """
            select queue, {{ share('count(*) filter (where waited_s <= 20)', 'count(*)') }} as service_level
            from {{ ref('stg_calls') }}
            group by queue
            """,
        "models/workforce/occupancy.sql": """
            select
                shifts.agent,
                {{ share('sum(calls.handled_s)', 'max(shifts.logged_in_s)') }} as occupancy
            from {{ source('telephony', 'shifts') }} as shifts
            inner join {{ ref('stg_calls') }} as calls on calls.agent = shifts.agent
            group by shifts.agent
            """,
        "tests/nobody_is_busier_than_logged_in.sql": """
            select agent, occupancy from {{ ref('occupancy') }} where occupancy > 1
            """,
    })  # fmt: skip
    site.sql(
        "create schema telephony",
        "create table telephony.shifts as select i as agent, 28800 as logged_in_s from range(6) t(i)",
        "create table telephony.calls as select i as call_id, i % 6 as agent, 'T' || (i % 2) as team, "
        "'Q' || (i % 3) as queue, i % 10 <> 0 as answered, i % 50 as waited_s, "
        "case when i % 10 <> 0 then 240 end as handled_s from range(300) t(i)",
    )
    site.good_build()
    site.commit("Thandi Mokoena", "Occupancy: busiest first", site.edited(
        "models/workforce/occupancy.sql", ("group by shifts.agent", "group by shifts.agent\norder by occupancy desc"),
    ))  # fmt: skip
    site.commit("Emil Sorensen", "share(): the whole comes first, as in the BI tool (#212)", {
        **site.edited("macros/ratios.sql", ("share(part, whole)", "share(whole, part)")),
        **site.edited(
            "models/service/answer_rate.sql",
            ("share('count(*) filter (where answered)', 'count(*)')", "share('count(*)', 'count(*) filter (where answered)')"),
        ),
        **site.edited(
            "models/service/service_level.sql",
            (
                "share('count(*) filter (where waited_s <= 20)', 'count(*)')",
                "share('count(*)', 'count(*) filter (where waited_s <= 20)')",
            ),
        ),
    }, label="culprit")  # fmt: skip
    site.commit("Emil Sorensen", "Staging: queue in capitals", site.edited(
        "models/staging/stg_calls.sql", ("team, queue,", "team, upper(queue) as queue,"),
    ))  # fmt: skip


CALLCENTRE = Scenario(
    "callcentre_macro_arguments_swapped",
    "A macro's two arguments change places and two of three callers follow; the third divides the wrong way round.",
    _callcentre,
    (
        Incident(
            ("nobody_is_busier_than_logged_in",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The third caller must hand over its arguments in the new order.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("occupancy", "select round(avg(occupancy), 3) from analytics.occupancy", 0.375),
        HiddenCheck("agents", "select count(*) from analytics.occupancy", 6),
        HiddenCheck("answer rate", "select answer_rate from analytics.answer_rate where team = 'T0'", 0.8),
        HiddenCheck("service level", "select max(service_level) from analytics.service_level", 0.42),
    ),
    protected=("tests/*",),
    oracle=lambda site: site.edited(
        "models/workforce/occupancy.sql",
        (
            "share('sum(calls.handled_s)', 'max(shifts.logged_in_s)')",
            "share('max(shifts.logged_in_s)', 'sum(calls.handled_s)')",
        ),
    ),
)  # fmt: skip


def _foundry(site: Site) -> None:
    site.commit("Goran Petrovic", "Both plants' casts", {
        **site.base("    +materialized: view\n    yields: {+materialized: table}\n"),
        "models/plants/_plants.yml": """
            version: 2
            sources:
              - name: north
                tables: [{name: casts}]
              - name: south
                tables: [{name: heats}]
            """,
        "models/plants/stg_north__casts.sql": """
            select
                'N' || cast_id as cast_id,
                alloy,
                tapped_kg,
                poured_kg
            from {{ source('north', 'casts') }}
            """,
        "models/plants/stg_south__heats.sql": """
            select
                'S' || heat_no as cast_id,
                alloy,
                tap_weight as tapped_kg,
                pour_weight as poured_kg
            from {{ source('south', 'heats') }}
            """,
        "models/casts.sql": """
            select * from {{ ref('stg_north__casts') }}
            union all
            select * from {{ ref('stg_south__heats') }}
            """,
        "models/yields.sql": """
            select alloy, sum(tapped_kg) as tapped_kg, sum(poured_kg) as poured_kg
            from {{ ref('casts') }}
            group by alloy
            """,
        "tests/nothing_is_poured_that_was_not_tapped.sql": """
            select * from {{ ref('casts') }} where poured_kg > tapped_kg
            """,
    })  # fmt: skip
    site.sql(
        "create schema north",
        "create schema south",
        "create table north.casts as select i as cast_id, ['GG20', 'GG25'][1 + i % 2] as alloy, 1000 as tapped_kg, "
        "900 as poured_kg from range(100) t(i)",
        "create table south.heats as select i as heat_no, ['GG25', 'GJS40'][1 + i % 2] as alloy, 800 as tap_weight, "
        "700 as pour_weight from range(80) t(i)",
    )
    site.good_build()
    site.commit("Goran Petrovic", "Say which plant is which", {
        "README.md": "# foundry\nNorth has two furnaces, south has one.\n",
    })  # fmt: skip
    site.commit("Yasmin Farouk", "South: the sheet's order of columns, alloys without blanks and in capitals", {
        "models/plants/stg_south__heats.sql": """
            select
                'S' || heat_no as cast_id,
                upper(trim(alloy)) as alloy,
                pour_weight as poured_kg,
                tap_weight as tapped_kg
            from {{ source('south', 'heats') }}
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Goran Petrovic", "Yields: loss in per cent", site.edited(
        "models/yields.sql",
        ("sum(poured_kg) as poured_kg\n", "sum(poured_kg) as poured_kg,\n"
         "    round(100 - 100 * sum(poured_kg) / sum(tapped_kg), 1) as loss\n"),
    ))  # fmt: skip
    site.sql("insert into south.heats select 80 + i, 'gg25 ', 800, 700 from range(10) t(i)")


FOUNDRY = Scenario(
    "foundry_union_of_columns_in_another_order",
    "One of two models below a union of select * gets its columns in another order, and both weights are numbers. The "
    "same commit cleans alloys, which the rows of today need.",
    _foundry,
    (
        Incident(
            ("nothing_is_poured_that_was_not_tapped",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The union must put each weight under its name again.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("casts", "select count(*) from analytics.casts", 190),
        HiddenCheck("tapped", "select sum(tapped_kg) from analytics.yields", 172000),
        HiddenCheck("poured", "select sum(poured_kg) from analytics.yields", 153000),
        HiddenCheck("alloys", "select count(*) from analytics.yields", 3),
        HiddenCheck("loss of south's own", "select loss from analytics.yields where alloy = 'GJS40'", 12.5),
    ),
    protected=("tests/*",),
    oracle=lambda site: site.edited("models/casts.sql", ("union all\n", "union all by name\n")),
)  # fmt: skip


def _dairy(site: Site) -> None:
    site.commit("Aoife Brennan", "feat(milk): test days of every lactation", {
        **site.base("    +materialized: table\n"),
        "tests/generic/at_most.sql": """
            {% test at_most(model, column_name, value) %}
            select {{ column_name }} from {{ model }} where {{ column_name }} > {{ value }}
            {% endtest %}
            """,
        "models/herd.yml": """
            version: 2
            sources:
              - name: herd
                tables: [{name: milkings}]
            models:
              - name: test_days
                columns:
                  - name: milking_id
                    data_tests: [unique]
                  - name: days_since
                    data_tests:
                      - at_most: {name: no_test_day_is_skipped, value: 35}
            """,
        "models/test_days.sql": """
            select
                milking_id,
                cow,
                lactation,
                milked_on,
                litres,
                milked_on - lag(milked_on) over (partition by cow, lactation order by milked_on) as days_since,
                row_number() over (partition by cow, lactation order by milked_on) as test_no
            from {{ source('herd', 'milkings') }}
            """,
        "models/first_tests.sql": """
            select cow, lactation, litres as first_litres from {{ ref('test_days') }} where test_no = 1
            """,
    })  # fmt: skip
    site.sql(
        "create schema herd",
        "create table herd.milkings as select i as milking_id, i % 10 as cow, 1 as lactation, "
        "date '2026-01-05' + (30 * (i // 10))::int as milked_on, 25 as litres from range(80) t(i)",
    )
    site.good_build()
    site.commit("Aoife Brennan", "docs(milk): what a first test tells", {
        "README.md": "# dairy\nThe first test day of a lactation foretells its yield.\n",
    })  # fmt: skip
    site.commit("Piet de Boer", "refactor(milk): one named window instead of two alike", {
        "models/test_days.sql": """
            select
                milking_id,
                cow,
                lactation,
                milked_on,
                litres,
                milked_on - lag(milked_on) over by_cow as days_since,
                row_number() over by_cow as test_no
            from {{ source('herd', 'milkings') }}
            window by_cow as (partition by cow order by milked_on)
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Piet de Boer", "feat(milk): litres by month", {
        "models/litres_by_month.sql": """
            select date_trunc('month', milked_on) as month, sum(litres) as litres
            from {{ ref('test_days') }}
            group by 1
            """,
    })  # fmt: skip
    site.sql(
        "insert into herd.milkings select 80 + i, i % 5, 2, date '2026-10-10' + (30 * (i // 5))::int, 30 "
        "from range(10) t(i)"
    )


DAIRY = Scenario(
    "dairy_window_lost_half_of_its_partition",
    "Two windows become a named one that forgets the lactation. That shows days later, when cows calve and the weeks "
    "without milk look like skipped tests.",
    _dairy,
    (
        Incident(
            ("no_test_day_is_skipped",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "A window is one of a cow's lactations, as it was before the refactoring.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("first tests", "select count(*) from analytics.first_tests", 15),
        HiddenCheck("litres at the first test", "select sum(first_litres) from analytics.first_tests", 400),
        HiddenCheck("test days", "select count(*) from analytics.test_days", 90),
        HiddenCheck("every gap is a month", "select avg(days_since) from analytics.test_days", 30),
        HiddenCheck("gaps", "select count(days_since) from analytics.test_days", 75),
    ),
    protected=("tests/*", "models/herd.yml"),
    oracle=lambda site: site.edited("models/test_days.sql", ("partition by cow order", "partition by cow, lactation order")),
)  # fmt: skip

SCENARIOS = (CALLCENTRE, FOUNDRY, DAIRY)
