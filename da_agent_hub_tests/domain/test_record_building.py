from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from da_agent_hub.domain.dbt import DbtRun, NodeResult, Outcome
from da_agent_hub.domain.error_record import Category, ErrorRecord, Priority, RecordState
from da_agent_hub.domain.record_building import Policy, build_records
from da_agent_hub.domain.selection import Match, Selection

from .dbt_story import (
    ACCEPTED_STG,
    NO_COLUMN,
    NULL_ORDERS,
    NULL_STG,
    ORDERS,
    REVENUE,
    SHOP,
    SINGULAR,
    STG_ITEMS,
    STG_ORDERS,
    UNIQUE_ORDERS,
    UNIQUE_STG,
    data_test,
    lineage,
    model,
    result,
    run,
)

OLD, NEW = "a" * 40, "b" * 40


def only(records: tuple[ErrorRecord, ...]) -> ErrorRecord:
    assert len(records) == 1, [record.title for record in records]
    return records[0]


def test_one_cause_over_many_runs_and_row_counts_is_one_record() -> None:
    runs = [run(n, (result(UNIQUE_STG, "fail", failures=n + 1),)) for n in range(4)]
    record = only(build_records(runs, SHOP))
    assert (record.occurrences, record.error_class, record.category) == (4, "duplicate_keys", Category.DATA_QUALITY)
    assert record.latest.failures == 4
    assert record.title == "stg_orders.order_id: duplicate keys"


def test_last_good_and_first_bad_name_the_runs_between_which_it_broke() -> None:
    runs = [
        run(0, {UNIQUE_STG: "pass"}, sha=OLD),
        run(1, {UNIQUE_STG: "pass"}, sha=OLD),
        run(2, {NULL_STG: "pass"}, sha=NEW),
        run(3, {UNIQUE_STG: "fail"}, sha=NEW),
        run(4, {UNIQUE_STG: "fail"}, sha=NEW),
    ]
    record = only(build_records(runs, SHOP))
    assert record.last_good
    assert record.first_bad
    assert (record.last_good.run_id, record.last_good.git_sha) == ("1001", OLD)
    assert (record.first_bad.run_id, record.first_bad.git_sha) == ("1003", NEW)


def test_a_run_that_did_not_run_the_node_is_no_good_run() -> None:
    runs = [run(0, {UNIQUE_STG: "fail"}), run(1, {NULL_STG: "pass"}), run(2, {UNIQUE_STG: "skipped"})]
    record = only(build_records(runs, SHOP))
    assert (record.state, record.good_runs) == (RecordState.OPEN, 0)


def test_a_good_run_on_changed_code_recovers_at_once_and_on_the_same_code_only_the_second() -> None:
    bad = run(0, {UNIQUE_STG: "fail"}, sha=OLD)
    changed = only(build_records([bad, run(1, {UNIQUE_STG: "pass"}, sha=NEW)], SHOP))
    assert changed.state is RecordState.RECOVERED
    assert changed.code_changed_since
    same = [bad, run(1, {UNIQUE_STG: "pass"}, sha=OLD)]
    assert only(build_records(same, SHOP)).state is RecordState.RECOVERING
    twice = only(build_records([*same, run(2, {UNIQUE_STG: "pass"}, sha=OLD)], SHOP))
    assert twice.state is RecordState.RECOVERED
    assert twice.recovered
    assert twice.recovered.run_id == "1002"


def test_a_failure_after_recovery_begins_a_new_episode() -> None:
    runs = [
        run(0, {UNIQUE_STG: "fail"}, sha=OLD),
        run(1, {UNIQUE_STG: "pass"}, sha=NEW),
        run(2, {UNIQUE_STG: "fail"}, sha="c" * 40),
    ]
    record = only(build_records(runs, SHOP))
    assert (record.episode, record.state, record.recovered) == (2, RecordState.OPEN, None)
    assert record.last_good
    assert record.last_good.run_id == "1001"
    assert record.first_bad
    assert record.first_bad.run_id == "1002"


def test_a_timeout_is_transient_and_recovers_after_three_good_runs() -> None:
    timeout = result(ORDERS, "error", "Database Error in model orders (models/orders.sql)\n  Statement timed out")
    runs = [run(0, (timeout,)), *(run(n, {ORDERS: "success"}, sha=NEW) for n in range(1, 4))]
    assert only(build_records(runs[:3], SHOP)).state is RecordState.RECOVERING
    record = only(build_records(runs, SHOP))
    assert (record.category, record.state) == (Category.TRANSIENT, RecordState.RECOVERED)


def test_bad_good_bad_on_the_same_commit_is_flaky_but_one_failure_that_healed_is_not() -> None:
    turns = ["pass", "fail", "pass", "fail"]
    flaky = only(build_records([run(n, {SINGULAR: turn}) for n, turn in enumerate(turns)], SHOP))
    assert flaky.category is Category.TRANSIENT
    assert flaky.flaky_evidence
    assert "1001" in flaky.flaky_evidence
    assert "1003" in flaky.flaky_evidence
    healed = only(build_records([run(n, {SINGULAR: turn}) for n, turn in enumerate(["fail", "pass", "pass"])], SHOP))
    assert healed.category is Category.DATA_QUALITY
    assert healed.flaky_evidence is None
    mended = [run(0, {SINGULAR: "fail"}), run(1, {SINGULAR: "pass"}, sha=NEW), run(2, {SINGULAR: "fail"}, sha="c" * 40)]
    assert only(build_records(mended, SHOP)).flaky_evidence is None


def told(turns: str, code: Mapping[str, str]) -> list[DbtRun]:
    """A run for each letter (b bad, g good) on its own commit; ``code`` has a letter a run for a node's SQL, - for none."""
    return [
        run(
            number,
            (
                *(
                    replace(result(node, "success"), code=None if letters[number] == "-" else letters[number])
                    for node, letters in code.items()
                ),
                replace(result(SINGULAR, "fail" if turn == "b" else "pass"), code="t"),
            ),
            sha=f"{number:040}",
        )
        for number, turn in enumerate(turns)
    ]


@pytest.mark.parametrize(
    ("turns", "code", "flaky"),
    [
        ("gbggbgg", {ORDERS: "aaaaaaa", STG_ORDERS: "sssssss"}, True),  # other things were committed in between
        ("gbgggbggg", {ORDERS: "aaabbbbbb"}, True),  # a change in good times turned nothing
        ("gbggbgg", {ORDERS: "aaaabaa"}, False),  # the second failure came and went with its own code
        ("gbggbgg", {ORDERS: "aaaaaaa", STG_ORDERS: "sszzzzz"}, False),  # a change upstream mended the first
        ("gbggbgg", {ORDERS: "aaaaaaa", STG_ORDERS: "-------"}, False),  # what is not known to be the same is not
        ("gbggggg", {ORDERS: "aaaaaaa"}, False),  # came once and was mended
        ("gbbbgggbbgg", {ORDERS: "aaaaaaaaaaa"}, False),  # a load that was broken twice, for days
        ("gbgggbbbggg", {ORDERS: "aaaaaaaaaaa"}, False),
    ],
)
def test_failures_of_single_runs_on_code_that_stayed_are_flaky_whatever_else_was_committed(
    turns: str, code: Mapping[str, str], flaky: bool
) -> None:
    record = only(build_records(told(turns, code), SHOP))
    assert bool(record.flaky_evidence) is flaky
    assert record.category is (Category.TRANSIENT if flaky else Category.DATA_QUALITY)


def test_without_lineage_only_the_commit_tells_that_nothing_changed() -> None:
    assert only(build_records(told("gbggbgg", {ORDERS: "aaaaaaa"}), None)).flaky_evidence is None


def test_a_load_that_breaks_for_days_is_not_called_flaky_on_any_day() -> None:
    for end in range(2, 12):
        record = only(build_records(told("gbbbgggbbgg"[:end], {ORDERS: "a" * 11}), SHOP))
        assert record.flaky_evidence is None


def test_skipped_nodes_belong_to_the_failure_upstream_and_get_no_record() -> None:
    runs = [run(0, {UNIQUE_STG: "fail", ORDERS: "skipped", REVENUE: "skipped", UNIQUE_ORDERS: "skipped"})]
    record = only(build_records(runs, SHOP))
    assert record.skipped == tuple(sorted((ORDERS, REVENUE, UNIQUE_ORDERS)))
    assert record.downstream == (ORDERS, REVENUE)
    assert record.exposures == ("exposure.shop.board",)


def test_the_same_key_doubled_downstream_is_a_member_of_the_upstream_record() -> None:
    record = only(build_records([run(0, {UNIQUE_ORDERS: "fail", UNIQUE_STG: "fail"})], SHOP))
    assert record.node == UNIQUE_STG
    assert record.members == (UNIQUE_ORDERS,)


def test_a_member_that_still_fails_when_its_cause_is_good_stands_on_its_own() -> None:
    runs = [
        run(0, {UNIQUE_STG: "fail", UNIQUE_ORDERS: "fail"}, sha=OLD),
        run(1, {UNIQUE_STG: "pass", UNIQUE_ORDERS: "fail"}, sha=NEW),
    ]
    by_node = {record.node: record for record in build_records(runs, SHOP)}
    assert by_node[UNIQUE_STG].state is RecordState.RECOVERED
    assert by_node[UNIQUE_ORDERS].state is RecordState.OPEN
    assert by_node[UNIQUE_ORDERS].first_bad
    assert by_node[UNIQUE_ORDERS].first_bad.run_id == "1000"


def test_different_causes_on_one_node_are_two_records() -> None:
    assert len(build_records([run(0, {NULL_STG: "fail", ACCEPTED_STG: "fail", UNIQUE_STG: "fail"})], SHOP)) == 3
    columns = [run(n, (result(STG_ORDERS, "error", NO_COLUMN.format("stg_orders", c)),)) for n, c in enumerate("ab")]
    assert len(build_records(columns, SHOP)) == 2


def test_doubled_rows_explain_a_row_condition_that_broke_in_the_same_run_and_only_then() -> None:
    good = run(0, {UNIQUE_ORDERS: "pass", SINGULAR: "pass"})
    together = [good, run(1, {UNIQUE_ORDERS: "fail", SINGULAR: "fail"})]
    assert only(build_records(together, SHOP)).members == (SINGULAR,)
    apart = [good, run(1, {UNIQUE_ORDERS: "pass", SINGULAR: "fail"}), run(2, {UNIQUE_ORDERS: "fail", SINGULAR: "fail"})]
    assert len(build_records(apart, SHOP)) == 2
    assert len(build_records([run(1, {UNIQUE_ORDERS: "fail", SINGULAR: "fail"})], SHOP)) == 2


def test_two_models_that_read_nothing_but_one_parent_and_double_in_the_same_run_are_one_record() -> None:
    badges, items = data_test("unique", "badges", "badge"), data_test("unique", "stg_items", "item_id")
    shop = lineage(*SHOP.nodes.values(), model("badges", ORDERS), badges, items, data_test("unique", "revenue", "day"))
    days, both = (
        "test.shop.unique_revenue_day.a1",
        {"test.shop.unique_revenue_day.a1": "fail", badges.unique_id: "fail"},
    )
    record = only(build_records([run(1, both)], shop))
    assert {record.node, *record.members} == {days, badges.unique_id}
    apart = [run(1, {days: "pass", badges.unique_id: "fail"}), run(2, both)]
    assert len(build_records(apart, shop)) == 2
    # Those that read several relations may double by any of them.
    assert (
        len(build_records([run(1, {UNIQUE_ORDERS: "fail", badges.unique_id: "pass", items.unique_id: "fail"})], shop))
        == 2
    )


def test_a_test_that_sums_the_very_rows_that_repeat_belongs_to_them_with_no_history_and_another_does_not() -> None:
    def failing(sql: str) -> DbtRun:
        return run(1, (result(UNIQUE_ORDERS, "fail"), replace(result(SINGULAR, "fail"), compiled_sql=sql)))

    sums = (
        "select a.s from (select sum(price) as s from orders) a, (select sum(price) as s from raw) b where a.s <> b.s"
    )
    assert only(build_records([failing(sums)], SHOP)).members == (SINGULAR,)
    for apart in ("select * from orders where price < 0", "select count(distinct day) as n from orders having n > 7"):
        assert len(build_records([failing(apart)], SHOP)) == 2
    known = [run(0, {UNIQUE_ORDERS: "fail", SINGULAR: "pass"}), failing(sums)]
    assert len(build_records(known, SHOP)) == 2


def test_tests_that_broke_with_the_one_model_that_changed_above_them_are_one_record_and_else_are_not() -> None:
    accepted = data_test("accepted_values", "revenue", "kind")
    tests = (UNIQUE_ORDERS, NULL_ORDERS, accepted.unique_id)
    shop = lineage(*SHOP.nodes.values(), accepted)

    def night(number: int, said: str, **code: str) -> DbtRun:
        models = (replace(result(f"model.shop.{one}", "success"), code=text) for one, text in code.items())
        return run(number, (*models, *(replace(result(one, said), code="t") for one in tests)), sha=f"{number:040}")

    before = night(0, "pass", stg_orders="s", orders="o", revenue="r")
    record = only(build_records([before, night(1, "fail", stg_orders="s", orders="new", revenue="r")], shop))
    assert {record.node, *record.members} == set(tests)
    unchanged = [before, night(1, "fail", stg_orders="s", orders="o", revenue="r")]
    assert len(build_records(unchanged, shop)) == 3
    # With two changes below one another, the last test may have broken by either.
    two = build_records([before, night(1, "fail", stg_orders="s", orders="new", revenue="new")], shop)
    assert sorted(len(one.members) for one in two) == [0, 1]
    late = [before, night(1, "fail", stg_orders="s", orders="new"), run(2, {ACCEPTED_STG: "fail"})]
    assert len(build_records(late, shop)) == 2


def test_two_models_that_miss_the_same_column_of_one_source_are_one_record() -> None:
    failed = tuple(
        result(f"model.shop.{name}", "error", NO_COLUMN.format(name, "customer_id"))
        for name in ("stg_items", "stg_orders")
    )
    record = only(build_records([run(0, failed)], SHOP))
    assert {record.node, *record.members} == {STG_ITEMS, STG_ORDERS}
    assert record.title.endswith("missing column customer_id")


def test_nodes_that_miss_the_same_relation_are_one_record_and_another_relation_is_another() -> None:
    def missing(node: str, relation: str) -> NodeResult:
        message = f'Database Error in model x (models/x.sql)\n  relation "{relation}" does not exist\n  LINE 9: from x'
        return result(node, "error", message)

    customers = "model.shop.stg_customers"
    same = [run(0, (missing(STG_ORDERS, "raw.a"), missing(customers, "raw.a")))]
    assert only(build_records(same, SHOP)).members == (STG_ORDERS,)
    assert only(build_records(same, None)).members == (STG_ORDERS,)
    assert len(build_records([*same, run(1, (missing(STG_ORDERS, "raw.a"),))], SHOP)) == 1
    other = [run(0, (missing(STG_ORDERS, "raw.a"), missing(customers, "raw.b")))]
    assert len(build_records(other, SHOP)) == 2


def test_nodes_that_read_a_database_which_is_gone_are_one_record_of_infrastructure() -> None:
    gone = 'Runtime Error\n  IO Error: Cannot open file "/srv/crm.duckdb": No such file or directory'
    failed = tuple(result(node, "error", gone) for node in (STG_ORDERS, "model.shop.stg_customers"))
    record = only(build_records([run(0, failed)], SHOP))
    assert (record.category, record.error_class) == (Category.INFRASTRUCTURE, "missing_database")
    assert record.members == (STG_ORDERS,)


def test_an_outage_over_many_nodes_is_one_record_until_the_nodes_run_again() -> None:
    lost = 'Database Error in model x (models/x.sql)\n  connection to server at "db" failed: Connection refused'
    runs = [run(0, tuple(result(one, "error", lost) for one in (STG_ORDERS, STG_ITEMS)))]
    record = only(build_records(runs, SHOP))
    assert (record.node, record.members, record.occurrences) == (None, (STG_ITEMS, STG_ORDERS), 1)
    good = [run(n, {STG_ORDERS: "success", STG_ITEMS: "success"}) for n in range(1, 4)]
    healed = only(build_records(runs + good, SHOP))
    assert (healed.good_runs, healed.state) == (3, RecordState.RECOVERED)


def test_a_compile_error_without_artifacts_is_one_record_and_recovers_when_the_step_runs_again() -> None:
    log = (
        "\x1b[0m02:00:01  Encountered an error:\nCompilation Error\n"
        "  Model 'model.shop.orders' (models/orders.sql) depends on a node named 'stg_order' which was not found\n"
    )
    broken = run(1, log=log, sha=NEW)
    record = only(build_records([run(0, {ORDERS: "success"}), broken], SHOP))
    assert (record.node, record.error_class, record.latest.path) == (None, "unknown_ref", "models/orders.sql")
    assert record.title == "models/orders.sql: unknown ref stg_order"
    assert record.priority is Priority.CRITICAL
    assert record.last_good
    assert record.last_good.run_id == "1000"
    other_job = run(2, {ORDERS: "success"}, job="8", sha="c" * 40)
    assert only(build_records([broken, other_job], SHOP)).state is RecordState.OPEN
    fixed = run(3, {UNIQUE_STG: "fail"}, sha="c" * 40, step="Invoke dbt with `dbt build --fail-fast`")
    records = build_records([broken, fixed], SHOP)
    assert {one.node: one.state for one in records} == {None: RecordState.RECOVERED, UNIQUE_STG: RecordState.OPEN}


def test_a_test_whose_arguments_changed_counts_for_the_one_it_replaced() -> None:
    renamed = replace(SHOP.nodes[ACCEPTED_STG], unique_id=ACCEPTED_STG[:-2] + "b2")
    nodes = [renamed if one.unique_id == ACCEPTED_STG else one for one in SHOP.nodes.values()]
    runs = [run(0, {ACCEPTED_STG: "fail"}, sha=OLD), run(1, {renamed.unique_id: "pass"}, sha=NEW)]
    before = only(build_records(runs[:1], SHOP))
    after = only(build_records(runs, lineage(*nodes), former={ACCEPTED_STG: SHOP.nodes[ACCEPTED_STG]}))
    assert after.fingerprint == before.fingerprint
    assert after.error_class == "unexpected_values"
    assert after.state is RecordState.RECOVERED


def test_a_test_that_allows_one_more_value_and_still_fails_stays_one_record() -> None:
    renamed = replace(SHOP.nodes[ACCEPTED_STG], unique_id=ACCEPTED_STG[:-2] + "b2")
    after = lineage(*(renamed if one.unique_id == ACCEPTED_STG else one for one in SHOP.nodes.values()))
    runs = [run(0, {ACCEPTED_STG: "fail"}, sha=OLD), run(1, {renamed.unique_id: "fail"}, sha=NEW)]
    record = only(build_records(runs, after, former={ACCEPTED_STG: SHOP.nodes[ACCEPTED_STG]}))
    assert (record.occurrences, record.node, record.state) == (2, renamed.unique_id, RecordState.OPEN)


def test_a_node_that_left_the_project_recovers_with_the_next_run_of_its_job_on_other_code() -> None:
    left = lineage(*(one for one in SHOP.nodes.values() if one.unique_id != SINGULAR))
    runs = [run(0, {SINGULAR: "fail"}, sha=OLD), run(1, {ORDERS: "success"}, sha=NEW)]
    assert only(build_records(runs, left, former={SINGULAR: SHOP.nodes[SINGULAR]})).state is RecordState.RECOVERED


def test_warnings_become_records_only_where_asked_for() -> None:
    runs = [run(0, {UNIQUE_STG: "warn"})]
    assert build_records(runs, SHOP) == ()
    assert only(build_records(runs, SHOP, Policy(Selection(warnings=True)))).priority is Priority.LOW


def test_filters_choose_by_name_tag_and_environment() -> None:
    runs = [run(0, {UNIQUE_STG: "fail", NULL_ORDERS: "fail"}), run(1, {ACCEPTED_STG: "fail"}, environment="Staging")]

    def nodes(**selection: object) -> set[str | None]:
        return {one.node for one in build_records(runs, SHOP, Policy(Selection(**selection)))}  # type: ignore[arg-type]

    assert nodes(include=Match(["stg_*"])) == {UNIQUE_STG, ACCEPTED_STG}
    assert nodes(exclude=Match(["stg_*"])) == {NULL_ORDERS}
    assert nodes(include=Match(tags=["finance"])) == {NULL_ORDERS}
    assert nodes(exclude=Match(tags=["finance"])) == {UNIQUE_STG, ACCEPTED_STG}
    assert nodes(environments=["production"]) == {UNIQUE_STG, NULL_ORDERS}


def test_a_failed_run_of_which_nothing_can_be_read_is_a_record_of_its_own() -> None:
    record = only(build_records([run(0, status="error")], SHOP))
    assert record.error_class == "unreadable_run"


_MESSAGES = (
    NO_COLUMN.format("x", "customer_id"),
    'Database Error in model x (models/x.sql)\n  relation "raw.a" does not exist',
    "Database Error in model x (models/x.sql)\n  server closed the connection unexpectedly",
    "Database Error in model x (models/x.sql)\n  deadlock detected",
)
_TESTED = st.dictionaries(
    st.sampled_from([UNIQUE_STG, UNIQUE_ORDERS, NULL_STG, SINGULAR]),
    st.sampled_from(["pass", "fail", "skipped", "warn"]),
)
_BUILT = st.dictionaries(st.sampled_from([STG_ORDERS, STG_ITEMS, ORDERS]), st.sampled_from(["", *_MESSAGES]))
_RUNS = st.lists(st.tuples(_TESTED, _BUILT, st.sampled_from([OLD, NEW])), max_size=10)
_Story = list[tuple[dict[str, str], dict[str, str], str]]


def told_runs(story: _Story) -> list[DbtRun]:
    return [
        run(
            number,
            (
                *(result(node, said) for node, said in tested.items()),
                *(result(node, "error" if said else "success", said) for node, said in built.items()),
            ),
            sha=sha,
        )
        for number, (tested, built, sha) in enumerate(story)
    ]


@settings(max_examples=100, deadline=None)
@given(_RUNS, st.randoms(use_true_random=False))
def test_records_do_not_depend_on_the_order_or_number_of_readings(story: _Story, shuffled: random.Random) -> None:
    runs = told_runs(story)
    again = [*runs, *runs[: len(runs) // 2]]
    shuffled.shuffle(again)
    assert build_records(again, SHOP) == build_records(runs, SHOP)


@settings(max_examples=300, deadline=None)
@given(_RUNS.filter(bool))
def test_every_node_that_fails_now_is_told_by_an_open_record(story: _Story) -> None:
    runs = told_runs(story)
    still_open = [one for one in build_records(runs, SHOP) if one.state is RecordState.OPEN]
    told = {node for record in still_open for node in (record.node, *record.members)}
    assert {one.unique_id for _, one in runs[-1].results() if one.outcome is Outcome.BAD} <= told


@settings(max_examples=100, deadline=None)
@given(_RUNS)
def test_a_record_once_told_keeps_its_fingerprint_whatever_comes_later(story: _Story) -> None:
    runs = told_runs(story)
    told: set[str] = set()
    for end in range(len(runs) + 1):
        now = {one.fingerprint for one in build_records(runs[:end], SHOP)}
        assert told <= now
        told = now


def test_a_condensed_run_makes_the_same_records_and_counts_the_same_nodes() -> None:
    runs = [
        run(0, {UNIQUE_STG: "pass", ORDERS: "success"}, sha=OLD),
        run(1, {UNIQUE_STG: "fail", ORDERS: "skipped", NULL_STG: "warn"}, sha=OLD),
        run(2, {UNIQUE_STG: "pass", ORDERS: "error"}, sha=NEW),
        run(3, {UNIQUE_STG: "pass", ORDERS: "success"}, sha=NEW),
    ]
    condensed = [one.condensed() for one in runs]
    assert build_records(condensed, SHOP) == build_records(runs, SHOP) != ()
    assert [one.steps[0].nodes for one in condensed] == [2, 3, 2, 2]
    assert all(result.outcome is not Outcome.GOOD for one in condensed for _, result in one.results())
    assert condensed == [one.condensed() for one in condensed]
