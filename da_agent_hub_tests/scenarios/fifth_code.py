"""Fifth set: everyday slips in code whose repair needs no person: a filter, a join, a macro."""

from __future__ import annotations

from .expectation import Fix, HiddenCheck, Incident, Scenario
from .site import Site

_CODE = frozenset({"code"})
_CODE_FIX = frozenset({"code_fix_required"})
_CODE_OR_ROWS = frozenset({"code_fix_required", "data_quality_issue"})


def _staffing(site: Site) -> None:
    site.commit("Helen Okafor", "People of the HR system", {
        **site.base("    +materialized: table\n    staging: {+materialized: view}\n"),
        "models/staging/hr.yml": """
            version: 2
            sources:
              - name: hr
                tables:
                  - name: people
                    columns:
                      - name: contract
                        description: permanent, fixed or agency; empty for whoever came before 2015, all of them permanent
                  - name: payroll
            """,
        "models/staging/stg_people.sql": """
            select person_no, trim(team) as team, lower(contract) as contract, grade, hired_on, left_on
            from {{ source('hr', 'people') }}
            """,
    })  # fmt: skip
    site.commit("Helen Okafor", "Employees, without the agency's people", {
        "models/employees.sql": """
            select
                person_no,
                team,
                contract,
                grade,
                hired_on
            from {{ ref('stg_people') }}
            where
                case
                    when contract is null then true
                    when contract = 'agency' then false
                    else true
                end
                and left_on is null
            """,
    })  # fmt: skip
    site.commit("Victor Lindqvist", "Heads by team", {
        "models/headcount.sql": """
            select team, count(*) as heads from {{ ref('employees') }} group by team
            """,
    })  # fmt: skip
    site.commit("Helen Okafor", "Employees: test the key and the grade", {
        "models/employees.yml": """
            version: 2
            models:
              - name: employees
                columns:
                  - name: person_no
                    data_tests: [unique, not_null]
                  - name: grade
                    description: By the pay agreement; the agency's people have one only while they are being taken over
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.commit("Victor Lindqvist", "Heads by grade for the works council", {
        "models/grades.sql": """
            select grade, count(*) as heads, min(hired_on) as longest_here_since
            from {{ ref('employees') }}
            group by grade
            """,
    })  # fmt: skip
    site.commit(
        "Jun Park", "Where the definitions are kept", {"README.md": "# staffing\nDefinitions: works agreement 12.\n"}
    )
    site.sql(
        "create schema hr",
        "create table hr.people as select i as person_no, 'team ' || (i % 6) || ' ' as team, "
        "case when i < 30 then null when i % 9 = 0 then 'Agency' when i % 5 = 0 then 'Fixed' else 'Permanent' end as contract, "
        "case when i < 30 or i % 9 <> 0 or i % 27 = 0 then 'E' || (5 + i % 7) end as grade, "
        "date '2012-01-01' + (i * 25)::int as hired_on, case when i % 17 = 3 then date '2026-03-31' end as left_on "
        "from range(180) t(i)",
        "create table hr.payroll as select person_no from hr.people where coalesce(contract, '') <> 'Agency' and left_on is null",
    )
    site.good_build()
    site.commit("Jun Park", "Staging: one column a line", {
        "models/staging/stg_people.sql": """
            select
                person_no,
                trim(team) as team,
                lower(contract) as contract,
                grade,
                hired_on,
                left_on
            from {{ source('hr', 'people') }}
            """,
    })  # fmt: skip
    site.commit("Victor Lindqvist", "Headcount: largest team first", site.edited(
        "models/headcount.sql", ("group by team", "group by team order by heads desc"),
    ))  # fmt: skip
    site.commit("Jun Park", "Clean up employees: no nested case, and years of service for the jubilees", {
        "models/employees.sql": """
            select
                person_no,
                team,
                contract,
                grade,
                hired_on,
                date_diff('year', hired_on, current_date) as years_of_service
            from {{ ref('stg_people') }}
            where coalesce(contract, 'permanent') = 'agency'
                and left_on is null
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Helen Okafor", "Jubilees of ten years and more", {
        "models/jubilees.sql": """
            select person_no, team, years_of_service from {{ ref('employees') }} where years_of_service >= 10
            """,
    })  # fmt: skip
    site.commit("Victor Lindqvist", "Employees: teams in capitals, as on the doors", site.edited(
        "models/employees.sql", ("    team,\n", "    upper(team) as team,\n"),
    ))  # fmt: skip
    site.sql(
        "insert into hr.people select 180 + i, 'team 2', 'Permanent', 'E7', current_date - 3, null from range(4) t(i)",
        "insert into hr.payroll select 180 + i from range(4) t(i)",
    )


STAFFING = Scenario(
    "staffing_filter_inverted_in_a_cleanup",
    "A clean-up turns a nested case into its opposite, and adds a column that later commits use.",
    _staffing,
    (
        Incident(
            ("not_null_employees_grade",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "The comparison is the wrong way round; the file said before which way is meant.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck(
            "employees are those on the payroll",
            "select (select count(*) from analytics.employees e anti join hr.payroll p using (person_no)) "
            "+ (select count(*) from hr.payroll p anti join analytics.employees e using (person_no))", 0,
        ),
        HiddenCheck("heads", "select sum(heads) - (select count(*) from hr.payroll) from analytics.headcount", 0),
        HiddenCheck("those from before 2015", "select count(*) from analytics.employees where contract is null", 28),
        HiddenCheck("teams", "select count(*) from analytics.headcount where team like 'TEAM%'", 6),
        HiddenCheck("jubilees", "select count(*) > 20 from analytics.jubilees", True),
    ),
    protected=("models/employees.yml", "models/staging/*", "models/jubilees.sql", "models/grades.sql"),
    oracle=lambda site: site.edited("models/employees.sql", ("'permanent') = 'agency'", "'permanent') <> 'agency'")),
)  # fmt: skip


def _arcade(site: Site) -> None:
    site.commit("Yuki Arai", "Scores of the ladder", {
        **site.base("    +materialized: table\n"),
        "models/_sources.yml": """
            version: 2
            sources:
              - name: game
                tables:
                  - name: matches
                  - name: players
                  - name: ranks
                    description: One row a player and season; a new season writes everybody anew
            """,
        "models/scores.sql": """
            with matches as (
                select * from {{ source('game', 'matches') }}
            )

            select
                matches.match_id,
                matches.season,
                matches.player_id,
                matches.points,
                matches.played_at
            from matches
            """,
        "models/_scores.yml": """
            version: 2
            models:
              - name: scores
                columns:
                  - name: match_id
                    data_tests: [unique, not_null]
                  - name: season
                    description: The season that the match counted for
                    data_tests: [not_null]
            """,
    })  # fmt: skip
    site.commit("Yuki Arai", "Points by season", {
        "models/season_points.sql": """
            select season, sum(points) as points, count(*) as matches from {{ ref('scores') }} group by season
            """,
    })  # fmt: skip
    site.commit("Carlos Mejia", "Ladder: points beside the league that was held in the season", {
        "models/ladder.sql": """
            select r.season, r.league, count(distinct r.player_id) as players, sum(m.points) as points
            from {{ source('game', 'ranks') }} r
            left join {{ source('game', 'matches') }} m on m.player_id = r.player_id and m.season = r.season
            group by r.season, r.league
            """,
    })  # fmt: skip
    site.commit("Farah Nasser", "Linter settings", {".sqlfluff": "[sqlfluff]\ndialect = duckdb\n"})
    site.commit("Farah Nasser", "Scores: handle of the player", site.edited(
        "models/scores.sql",
        ("'matches') }}\n)\n", "'matches') }}\n),\n\nplayers as (\n    select * from {{ source('game', 'players') }}\n)\n"),
        ("matches.player_id,\n", "matches.player_id,\n    players.handle,\n"),
        ("from matches\n", "from matches\nleft join players on players.player_id = matches.player_id\n"),
    ))  # fmt: skip
    site.commit("Carlos Mejia", "Scores: show the league that a player was in", site.edited(
        "models/scores.sql",
        ("'players') }}\n)\n", "'players') }}\n),\n\nranks as (\n    select * from {{ source('game', 'ranks') }}\n)\n"),
        ("players.handle,\n", "players.handle,\n    ranks.league,\n"),
        ("= matches.player_id\n", "= matches.player_id\nleft join ranks on ranks.player_id = matches.player_id\n"),
    ), label="culprit")  # fmt: skip
    site.commit("Yuki Arai", "Points by league", {
        "models/league_points.sql": """
            select league, sum(points) as points from {{ ref('scores') }} group by league
            """,
    })  # fmt: skip
    site.sql(
        "create schema game",
        "create table game.players as select i as player_id, 'player' || i as handle from range(40) t(i)",
        "create table game.ranks as select i as player_id, 14 as season, ['bronze', 'silver', 'gold'][1 + i % 3] as league "
        "from range(40) t(i)",
        "create table game.matches as select i as match_id, 14 as season, (i * 7) % 40 as player_id, 10 + (i * 13) % 90 as points, "
        "current_date - 20 + interval 1 hour * i as played_at from range(400) t(i)",
    )
    site.good_build()
    site.commit("Farah Nasser", "Scores: whole hours are enough", site.edited(
        "models/scores.sql", ("    matches.played_at\n", "    date_trunc('hour', matches.played_at) as played_at\n"),
    ))  # fmt: skip
    site.commit("Yuki Arai", "League points: best league first", site.edited(
        "models/league_points.sql", ("group by league", "group by league order by points desc"),
    ))  # fmt: skip
    site.sql(
        "insert into game.ranks select i, 15, ['bronze', 'silver', 'gold'][1 + (i + i // 5) % 3] from range(40) t(i)",
        "insert into game.matches select 400 + i, 15, (i * 11) % 40, 10 + (i * 17) % 90, current_date - 1 + interval 20 minutes * i "
        "from range(60) t(i)",
    )


ARCADE = Scenario(
    "arcade_ranks_joined_without_their_season",
    "A join asks for the player alone. It was right while there was one season; the second makes it many to many.",
    _arcade,
    (
        Incident(
            ("unique_scores_match_id",), _CODE_OR_ROWS, _CODE, Fix.EXPECTED,
            "Ranks are by player and season, as another model joins them.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("scores", "select count(*) from analytics.scores", 460),
        HiddenCheck("points", "select sum(points) - (select sum(points) from game.matches) from analytics.season_points", 0),
        HiddenCheck(
            "scores with another league than the ladder's",
            "select count(*) from analytics.scores s join game.ranks r on r.player_id = s.player_id and r.season = s.season "
            "where s.league is distinct from r.league", 0,
        ),
        HiddenCheck("leagues of the first season", "select count(distinct league) from analytics.scores where season = 14", 3),
        HiddenCheck("points by league", "select sum(points) - (select sum(points) from game.matches) from analytics.league_points", 0),
    ),
    protected=("models/_scores.yml", "models/_sources.yml", "models/ladder.sql", "models/league_points.sql"),
    oracle=lambda site: site.edited(
        "models/scores.sql",
        ("left join ranks on ranks.player_id = matches.player_id", "left join ranks on ranks.player_id = matches.player_id and ranks.season = matches.season"),
    ),
)  # fmt: skip


def _nightbus(site: Site) -> None:
    site.commit("Marta Oliveira", "Timetable of the night lines", {
        **site.base("    +materialized: table\n"),
        "models/timetable/feed.yml": """
            version: 2
            sources:
              - name: feed
                description: The operator's timetable. A service day goes on after midnight, so that 25:10:00 is ten past one.
                tables: [{name: stop_times}, {name: stops}]
            """,
        "macros/times.sql": """
            {% macro minutes(column) -%}
            (cast(split_part({{ column }}, ':', 1) as integer) * 60 + cast(split_part({{ column }}, ':', 2) as integer))
            {%- endmacro %}
            """,
        "models/timetable/runs.sql": """
            SELECT trip,
                   min({{ minutes('departure') }}) AS starts,
                   max({{ minutes('arrival') }}) AS ends
              FROM {{ source('feed', 'stop_times') }}
             GROUP BY trip
            """,
    })  # fmt: skip
    site.commit("Marta Oliveira", "How long a bus waits at a stop", {
        "models/timetable/dwell.sql": """
            SELECT stop,
                   avg({{ minutes('departure') }} - {{ minutes('arrival') }}) AS waits,
                   count(*) AS calls
              FROM {{ source('feed', 'stop_times') }}
             GROUP BY stop
            """,
    })  # fmt: skip
    site.commit("Bilal Rahman", "Hours on the road, for the rosters", {
        "models/duty_hours.sql": """
            SELECT sum(ends - starts) / 60 AS hours, max(ends) AS last_arrival
              FROM {{ ref('runs') }}
            """,
    })  # fmt: skip
    site.commit("Bilal Rahman", "Runs have a length", {
        "models/timetable/runs.yml": """
            version: 2
            models:
              - name: runs
                columns:
                  - name: trip
                    data_tests: [unique, not_null]
            """,
        "tests/runs_end_after_they_start.sql": "SELECT trip FROM {{ ref('runs') }} WHERE ends <= starts\n",
    })  # fmt: skip
    site.commit("Eva Nyman", "Stops with their zone", {
        "models/stops.sql": "SELECT stop, zone FROM {{ source('feed', 'stops') }}\n",
    })  # fmt: skip
    site.sql(
        "create schema feed",
        "create table feed.stops as select 'S' || i as stop, 1 + i // 4 as zone from range(12) t(i)",
        "create table feed.stop_times as with calls as (select t, s, 1350 + t * 25 + s * 4 as m from range(10) a(t), range(12) b(s)) "
        "select 'N' || t as trip, s as seq, 'S' || s as stop, "
        "printf('%02d:%02d:00', m // 60, m % 60) as arrival, "
        "printf('%02d:%02d:00', (m + 1 + s % 2) // 60, (m + 1 + s % 2) % 60) as departure from calls",
    )
    site.good_build()
    site.commit("Eva Nyman", "Stops: order as on the map", site.edited(
        "models/stops.sql", ("'stops') }}\n", "'stops') }} ORDER BY zone, stop\n"),
    ))  # fmt: skip
    site.commit("Bilal Rahman", "Times: leave the parsing to the database, and a macro to print them", {
        "macros/times.sql": """
            {% macro minutes(column) -%}
            date_diff('minute', TIME '00:00:00', cast({{ column }} as time))
            {%- endmacro %}

            {% macro as_clock(column) -%}
            printf('%02d:%02d', cast({{ column }} as integer) // 60, cast({{ column }} as integer) % 60)
            {%- endmacro %}
            """,
    }, label="culprit")  # fmt: skip
    site.commit("Marta Oliveira", "A departure board of first and last", {
        "models/board.sql": """
            SELECT trip, {{ as_clock('starts') }} AS first_departure, {{ as_clock('ends') }} AS last_arrival
              FROM {{ ref('runs') }}
            """,
    })  # fmt: skip
    site.commit("Eva Nyman", "Dwell: only whole calls count", site.edited(
        "models/timetable/dwell.sql", (" GROUP BY stop", " WHERE arrival IS NOT NULL AND departure IS NOT NULL\n GROUP BY stop"),
    ))  # fmt: skip


NIGHTBUS = Scenario(
    "nightbus_macro_cannot_count_past_midnight",
    "A macro casts to a time of day what goes on to 26:00, which breaks the two models that use it.",
    _nightbus,
    (
        Incident(
            ("dwell", "runs"), _CODE_FIX, _CODE, Fix.EXPECTED,
            "The parsing of before knew the hours after midnight; the macro beside it must stay.", culprit="culprit",
        ),
    ),
    (
        HiddenCheck("last arrival", "select last_arrival from analytics.duty_hours", 1350 + 9 * 25 + 11 * 4),
        HiddenCheck("runs", "select count(*) from analytics.runs", 10),
        HiddenCheck("first departure of all", "select min(starts) from analytics.runs", 1351),
        HiddenCheck("hours", "select round(hours * 60) from analytics.duty_hours", 430),
        HiddenCheck("waiting", "select sum(waits) from analytics.dwell", 18),
        HiddenCheck("calls", "select sum(calls) from analytics.dwell", 120),
        HiddenCheck("the board", "select max(last_arrival) from analytics.board", "26:59"),
    ),
    protected=("tests/*", "models/timetable/*.yml", "models/board.sql"),
    oracle=lambda site: site.edited(
        "macros/times.sql",
        (
            "date_diff('minute', TIME '00:00:00', cast({{ column }} as time))",
            "(cast(split_part({{ column }}, ':', 1) as integer) * 60 + cast(split_part({{ column }}, ':', 2) as integer))",
        ),
    ),
)  # fmt: skip

SCENARIOS = (STAFFING, ARCADE, NIGHTBUS)
