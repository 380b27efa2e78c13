"""Which dbt node a person's words are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from da_agent_hub.domain.dbt import GraphNode, ProjectGraph, TestSpec
from da_agent_hub.domain.error_record import RecordState
from da_agent_hub.domain.named_nodes import named_node, named_record
from da_agent_hub_tests.domain.record_examples import MONDAY, record

UNIQUE = "test.shop.unique_stg_orders_order_id.ab12"
NODES = [
    GraphNode("model.shop.stg_orders", "stg_orders", "model", "shop"),
    GraphNode("model.shop.orders", "orders", "model", "shop"),
    GraphNode(UNIQUE, "unique_stg_orders_order_id", "test", "shop", test=TestSpec("unique", "model.shop.stg_orders", "order_id")),
]  # fmt: skip
GRAPH = ProjectGraph("shop", "duckdb", {node.unique_id: node for node in NODES}, "shop")


@pytest.mark.parametrize(
    "text",
    ["stg_orders is odd", "see models/stg_orders.sql", "`STG_ORDERS`?", "model.shop.stg_orders.", "(unique_stg_orders_order_id)"],
)  # fmt: skip
def test_a_node_is_known_by_its_name_its_id_its_file_or_its_test(text: str) -> None:
    assert named_record(text, [record()], GRAPH) == record()


@pytest.mark.parametrize("text", ["", "the numbers are odd", "stg_orders_v2 is odd", "my_stg_orders", "stg orders"])
def test_other_words_name_nothing(text: str) -> None:
    assert named_record(text, [record()], GRAPH) is None


def test_what_still_fails_comes_before_what_has_recovered_and_the_newest_first() -> None:
    over = replace(record("over", MONDAY + timedelta(days=9)), state=RecordState.RECOVERED)
    older, newer = record("older"), record("newer", MONDAY + timedelta(days=1))

    assert named_record("stg_orders", [over, older, newer], GRAPH) == newer
    assert named_record("stg_orders", [over], GRAPH) == over


def test_a_telling_name_comes_before_a_word_that_may_only_be_a_word() -> None:
    plain = replace(record("plain", MONDAY + timedelta(days=3)), node="model.shop.orders", title="orders: an error")

    assert named_record("the orders of stg_orders", [plain, record()], GRAPH) == record()
    assert named_node("the orders of stg_orders", GRAPH) == "model.shop.stg_orders"
    assert named_node("orders", GRAPH) == "model.shop.orders"
    assert named_node("orders", None) is None
