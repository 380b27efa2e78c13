from __future__ import annotations

from dataclasses import replace

import msgspec

from da_agent_hub.domain.dbt import DbtRun, DbtStep, NodeResult, Owner, ProjectGraph
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.filing_plan import OpenIssue, plan_filing
from da_agent_hub.domain.issue_text import IssueText
from da_agent_hub.domain.record_building import build_records

from .dbt_story import NO_COLUMN, ORDERS, SHOP, UNIQUE_STG, run

BAD_SQL = "select order_id from stg_orders group by 1 having count(*) > 1"


def only(runs: list[DbtRun]) -> ErrorRecord:
    (record,) = build_records(runs, SHOP)
    return record


def found_rows(number: int, sha: str = "a" * 40) -> DbtRun:
    message = "Got 5 results, configured to fail if != 0"
    return run(number, (NodeResult(UNIQUE_STG, "fail", message, 5, compiled_sql=BAD_SQL),), sha=sha)


def test_a_record_names_its_job_run_step_node_file_and_the_query_of_its_rows() -> None:
    record = only([run(0, {UNIQUE_STG: "pass"}), found_rows(1)])
    latest = record.latest
    assert (latest.job_id, record.job_name, latest.run_id) == ("7", "nightly", "1001")
    assert (latest.step, record.step_name) == (4, "Invoke dbt with `dbt build`")
    assert (record.node, latest.path, latest.line) == (UNIQUE_STG, "models/schema.yml", None)
    assert record.failing_rows_query == BAD_SQL
    assert record.last_good is not None
    assert (record.last_good.run_id, record.last_good.git_sha) == ("1000", "a" * 40)


def test_what_found_no_rows_has_no_query_of_rows() -> None:
    broken = NodeResult(ORDERS, "error", NO_COLUMN.format("orders", "total"), compiled_sql="select total")
    record = only([run(0, (broken,))])
    assert (record.failing_rows_query, record.latest.compiled_sql) == (None, "select total")
    could_not_run = NodeResult(UNIQUE_STG, "error", NO_COLUMN.format("stg_orders", "order_id"), compiled_sql=BAD_SQL)
    assert only([run(0, (could_not_run,))]).failing_rows_query is None


def test_the_step_is_that_of_the_newest_failure_also_where_steps_were_moved() -> None:
    moved = replace(
        found_rows(1), steps=(DbtStep(6, "Invoke dbt with `dbt test`", "error", found_rows(1).steps[0].results),)
    )
    record = only([found_rows(0), moved])
    assert (record.latest.step, record.step_name) == (6, "Invoke dbt with `dbt test`")


def test_every_episode_is_kept_from_its_first_failure_to_its_recovery() -> None:
    runs = [
        found_rows(0),
        found_rows(1),
        run(2, {UNIQUE_STG: "pass"}, sha="b" * 40),
        found_rows(5, sha="b" * 40),
        run(6, {UNIQUE_STG: "pass"}, sha="c" * 40),
        found_rows(9, sha="c" * 40),
    ]
    record = only(runs)
    ends = [(one.began.run_id, one.ended.run_id if one.ended else None) for one in record.downtimes]
    assert ends == [("1000", "1002"), ("1005", "1006"), ("1009", None)]
    assert record.seconds_to_recover == 1.5 * 24 * 3600
    assert only(runs[:2]).seconds_to_recover is None
    assert (record.downtimes[-1].began, record.episode) == (record.first_bad, 3)


def test_a_record_of_before_is_still_read() -> None:
    record = only([found_rows(0)])
    stored = msgspec.json.decode(msgspec.json.encode(record))
    for later in ("job_name", "step_name", "downtimes"):
        del stored[later]
    again = msgspec.convert(stored, ErrorRecord)
    assert again == replace(record, job_name="", step_name="", downtimes=())


def test_the_owner_of_an_exposure_downstream_is_told_with_it_and_assigned_only_by_a_login() -> None:
    def filed(owner: Owner) -> OpenIssue:
        board = replace(SHOP.nodes["exposure.shop.board"], owner=owner)
        graph = ProjectGraph("shop", "duckdb", {**SHOP.nodes, board.unique_id: board}, "shop")
        records = build_records([found_rows(0)], graph)
        (decision,) = plan_filing(records, {}, records[0].last_seen, IssueText())
        assert isinstance(decision, OpenIssue)
        return decision

    by_name = filed(Owner("Zoe Miller", "zoe@example.com"))
    assert by_name.record.owner == Owner("Zoe Miller", "zoe@example.com", exposure="board")
    assert "Zoe Miller (`zoe@example.com`), of the exposure `board`" in by_name.draft.body
    assert by_name.draft.assignees == ()
    assert filed(Owner("Zoe Miller", github="zoe-m")).draft.assignees == ("zoe-m",)
