"""Failures that come and go, that hide behind one another, or that somebody mended meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.investigation import Ending, Investigation, InvestigationCase
from da_agent_hub.playbooks import PlaybookInvestigator

from .broken_project import BrokenProject, told

pytestmark = pytest.mark.slow

BASE = {
    "models/sources.yml": """
        sources:
          - name: port
            schema: port
            tables: [{name: ships}, {name: calls}]
        models:
          - name: calls
            columns:
              - name: call_id
                data_tests: [unique]
    """,
    "models/stg_ships.sql": "select ship_id, name, flag from {{ source('port', 'ships') }}\n",
    "models/stg_calls.sql": "select call_id, ship_id, berth from {{ source('port', 'calls') }}\n",
    "models/calls.sql": """
        select c.call_id, c.berth, s.name
        from {{ ref('stg_calls') }} as c
        left join {{ ref('stg_ships') }} as s on c.ship_id = s.ship_id
    """,
}


@pytest.fixture
def port(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path, directory="transform/dbt")
    project.commit("port", BASE)
    project.sql(
        """
        create schema port;
        create table port.ships as select i as ship_id, 'ship ' || i as name, 'NL' as flag from range(9) t(i);
        create table port.calls as select i as call_id, i % 9 as ship_id, 'b' || i % 4 as berth from range(30) t(i);
        """
    )
    project.build()
    return project


def look(project: BrokenProject, start: str, **record: object) -> Investigation:
    bench = project.bench()
    try:
        graph = bench.graph()
        node = next((one for one in graph.nodes if one.split(".")[2].startswith(start)), None) if graph else None
        return project.investigate(project.record(node, **record), bench)  # type: ignore[arg-type]
    finally:
        bench.close()


def test_a_grain_broken_by_a_commit_is_found_behind_a_source_that_broke_meanwhile(port: BrokenProject) -> None:
    good = port.commits[-1]
    broken = BASE["models/calls.sql"].replace("c.ship_id = s.ship_id", "c.ship_id <= s.ship_id")
    guilty = port.commit("Simplify the join", {"models/calls.sql": broken})
    port.sql("alter table port.ships rename column flag to flag_state")
    found = look(port, "unique_calls", good=good, message="Got 26 results, configured to fail if != 0")
    assert found.culprit_sha == guilty, told(found)
    assert found.candidates[0].changes[0].path == "transform/dbt/models/calls.sql"
    assert "c.ship_id = s.ship_id" in (found.candidates[0].changes[0].content or "")


def test_what_a_later_commit_mended_is_blamed_on_the_first_and_needs_no_fix(port: BrokenProject) -> None:
    good = port.commits[-1]
    guilty = port.commit(
        "Loosen", {"models/calls.sql": BASE["models/calls.sql"].replace("c.ship_id = s", "c.ship_id <= s")}
    )
    record = {"good": good, "latest": port.record(None).latest}
    port.commit("Mend", {"models/calls.sql": BASE["models/calls.sql"]})
    found = look(port, "unique_calls", **record)
    assert found.culprit_sha == guilty, told(found)
    assert not found.candidates


def test_a_test_that_throws_dice_is_called_flaky_and_no_commit_is_blamed(port: BrokenProject) -> None:
    good = port.commits[-1]
    port.commit("Sample", {"tests/berths.sql": "select 1 from {{ ref('calls') }} where random() < 0.02\n"})
    port.commit("Readme", {"README.md": "port\n"})
    found = look(port, "berths", good=good, flaky_evidence="passed 3 and failed 2 times at one commit")
    assert found.cause_kind == "flaky", told(found)
    assert found.culprit_sha is None
    assert not found.candidates


def test_several_columns_renamed_at_once_are_all_read_by_their_new_names(port: BrokenProject) -> None:
    port.sql("alter table port.ships rename column name to ship_name")
    port.sql("alter table port.ships rename column flag to flag_state")
    found = look(port, "stg_ships", kind=FailureKind.MODEL, good=port.commits[-1])
    text = found.candidates[0].changes[0].content or ""
    assert "ship_name as name, flag_state as flag" in text, told(found)


def test_rows_that_an_incremental_model_kept_from_a_bad_commit_do_not_hide_the_commit(port: BrokenProject) -> None:
    model = "{{{{ config(materialized='incremental') }}}}\nselect call_id, ship_id from {{{{ ref('stg_calls') }}}}{}\n"
    yaml = "models:\n  - name: log\n    columns:\n      - name: call_id\n        data_tests: [unique]\n"
    guarded = "\n{% if is_incremental() %} where call_id > (select max(call_id) from {{ this }}) {% endif %}"
    good = port.commit("Log", {"models/log.sql": model.format(guarded), "models/log.yml": yaml})
    port.build()
    guilty = port.commit(
        "Twice",
        {
            "models/log.sql": model.format(guarded)
            .replace("from {{ ref", "from (select * from {{ ref")
            .replace("}}\n{% if", "}} union all select * from {{ ref('stg_calls') }})\n{% if")
        },
    )
    port.sql("insert into port.calls values (99, 1, 'b1')")
    port.build()
    found = look(port, "unique_log", good=good)
    assert found.culprit_sha == guilty, told(found)


def test_an_investigation_without_time_says_so_and_keeps_what_it_saw(port: BrokenProject) -> None:
    bench = port.bench()
    try:
        found = PlaybookInvestigator(0.0).investigate(InvestigationCase(port.record("model.garden.calls")), None, bench)
    finally:
        bench.close()
    assert found.ending is Ending.BUDGET
    assert found.evidence


def test_a_person_who_asks_to_stop_is_heard_before_the_next_step(port: BrokenProject) -> None:
    port.commit("Loosen", {"models/calls.sql": BASE["models/calls.sql"].replace("c.ship_id = s", "c.ship_id <= s")})
    asked: list[str] = []

    def is_stopped(issue: str) -> bool:
        asked.append(issue)
        return len(asked) > 3

    bench = port.bench()
    try:
        graph = bench.graph()
        assert graph is not None
        record = port.record(next(one for one in graph.nodes if one.split(".")[2] == "unique_calls_call_id"))
        found = PlaybookInvestigator(is_stopped=is_stopped).investigate(
            InvestigationCase(record, "acme/garden#1"), None, bench
        )
    finally:
        bench.close()
    assert found.ending is Ending.CANCELLED, told(found)
    assert asked == ["acme/garden#1"] * 4


def test_a_column_that_an_incremental_table_refuses_is_blamed_on_its_commit_and_left_to_a_person(
    port: BrokenProject,
) -> None:
    model = (
        "{{{{ config(materialized='incremental', on_schema_change='fail') }}}}\nselect call_id{} from {{{{ ref('stg_calls') }}}}\n"
        "{{% if is_incremental() %}} where call_id > (select max(call_id) from {{{{ this }}}}) {{% endif %}}\n"
    )
    port.commit("Log", {"models/log.sql": model.format("")})
    port.build()
    guilty = port.commit("Berth", {"models/log.sql": model.format(", berth")})
    port.sql("insert into port.calls values (99, 1, 'b1')")
    found = look(port, "log", kind=FailureKind.MODEL)
    assert (found.culprit_sha, found.cause_kind) == (guilty, "code"), told(found)
    assert "full-refresh" in found.next_step
    assert not found.candidates


def test_a_new_value_that_staging_spells_otherwise_is_followed_to_its_source(port: BrokenProject) -> None:
    yaml = """
        models:
          - name: flags
            columns:
              - name: flag
                data_tests: [{accepted_values: {arguments: {values: [nl]}}}]
    """
    good = port.commit(
        "Flags",
        {
            "models/flags.sql": "select lower(trim(flag)) as flag from {{ ref('stg_ships') }}\n",
            "models/flags.yml": yaml,
        },
    )
    port.sql("insert into port.ships values (20, 'ship 20', ' DK')")
    found = look(port, "accepted_values_flags", good=good)
    assert found.root_node == "source.garden.port.ships", told(found)


def test_rows_whose_partners_come_with_a_load_that_is_behind_are_traced_to_that_load(port: BrokenProject) -> None:
    yaml = """
        models:
          - name: stg_calls
            columns:
              - name: ship_id
                data_tests: [{relationships: {arguments: {to: ref('stg_ships'), field: ship_id}}}]
    """
    good = port.commit("Ships are known", {"models/known.yml": yaml})
    for table, day in (("ships", "2026-11-18"), ("calls", "2026-11-18")):
        port.sql(f"alter table port.{table} add column _synced_at timestamp default timestamp '{day} 02:00:00'")
    port.sql("insert into port.calls values (70, 44, 'b1', timestamp '2026-11-19 02:00:00')")
    found = look(port, "relationships_stg_calls", good=good)
    assert found.root_node == "source.garden.port.ships", told(found)
    port.sql("insert into port.ships values (30, 's', 'NL', timestamp '2026-11-19 02:00:00')")
    found = look(port, "relationships_stg_calls", good=good)
    assert found.root_node == "source.garden.port.calls", told(found)


def test_without_any_good_run_on_record_the_commit_is_found_by_going_back(port: BrokenProject) -> None:
    port.commit("Readme", {"README.md": "port\n"})
    guilty = port.commit(
        "Loosen", {"models/calls.sql": BASE["models/calls.sql"].replace("c.ship_id = s", "c.ship_id <= s")}
    )
    port.commit("Comment", {"models/stg_ships.sql": "-- ships\n" + BASE["models/stg_ships.sql"]})
    found = look(port, "unique_calls")
    assert found.culprit_sha == guilty, told(found)


def test_rows_that_an_incremental_model_kept_are_told_from_wrong_code(port: BrokenProject) -> None:
    yaml = "models:\n  - name: log\n    columns:\n      - name: call_id\n        data_tests: [unique]\n"
    model = "{{ config(materialized='incremental', unique_key='call_id') }}\nselect call_id, ship_id from {{ ref('stg_calls') }}\n"
    good = port.commit("Log", {"models/log.sql": model, "models/log.yml": yaml})
    port.build()
    port.sql("insert into main.log select * from main.log limit 3")
    port.commit(
        "Key",
        {
            "models/log.sql": model.replace(", unique_key='call_id'", "").replace("}}\nselect", "}}\n-- kept\nselect")
            + "{% if is_incremental() %} where false {% endif %}"
        },
    )
    found = look(port, "unique_log", good=good)
    assert "full-refresh" in found.next_step, told(found)
    assert not found.candidates


def test_rows_that_break_a_singular_test_are_followed_to_their_load(port: BrokenProject) -> None:
    port.sql("alter table port.calls add column _synced_at timestamp default timestamp '2026-11-01 00:00:00'")
    port.commit("Rule", {"tests/berth_is_known.sql": "select * from {{ ref('calls') }} where berth = 'b9'\n"})
    port.sql("insert into port.calls values (77, 3, 'b9', timestamp '2026-11-19 00:00:00')")
    found = look(port, "berth_is_known", good=port.commits[-1])
    assert found.root_node == "source.garden.port.calls", told(found)
    assert "2026-11-19" in found.headline
    assert not found.candidates
