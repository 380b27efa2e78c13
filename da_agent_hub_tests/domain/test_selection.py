"""Filters, each with what it keeps, what it leaves out, and how it names itself."""

from __future__ import annotations

import pytest

from da_agent_hub.domain.dbt import GraphNode, NodeResult, Owner, ProjectGraph, TestSpec
from da_agent_hub.domain.selection import Match, Selection, Subject, subject_of

ORDERS, UNIQUE = "model.shop.fct_orders", "test.shop.unique_fct_orders_id.ab12"
VENDORED, LOADED = "model.dbt_utils.dates", "source.shop.raw.orders"
_NODES = (
    GraphNode(
        ORDERS, "fct_orders", "model", "shop", tags=("Finance",), group="money", owner=Owner("Ann", "ann@acme.example")
    ),
    GraphNode(
        UNIQUE, "unique_fct_orders_id", "test", "shop", depends_on=(ORDERS,), test=TestSpec("unique", ORDERS, "id")
    ),
    GraphNode(VENDORED, "dates", "model", "dbt_utils"),
    GraphNode(LOADED, "raw.orders", "source", "shop"),
    GraphNode(
        "exposure.shop.board", "board", "exposure", "shop", depends_on=(ORDERS,), owner=Owner("Zoe", github="zoe-b")
    ),
)
SHOP = ProjectGraph("shop", "duckdb", {node.unique_id: node for node in _NODES}, "shop")


def subject(unique_id: str, **assigned: str) -> Subject:
    return subject_of(unique_id, SHOP, assigned={key.replace("__", ":"): login for key, login in assigned.items()})


def kept(selection: Selection) -> set[str]:
    failing = (ORDERS, UNIQUE, VENDORED, LOADED)
    return {one.split(".")[-1] for one in failing if selection.left_out_by(subject(one)) is None}


@pytest.mark.parametrize(
    ("match", "caught"),
    [
        (Match(names=["FCT_*"]), {"fct_orders", "ab12"}),
        (Match(names=["*_fct_orders_id"]), {"ab12"}),
        (Match(tags=["fin*"]), {"fct_orders", "ab12"}),
        (Match(owners=["MONEY"]), {"fct_orders", "ab12"}),
        (Match(owners=["ann"]), {"fct_orders", "ab12"}),
        (Match(owners=["*@acme.example"]), {"fct_orders", "ab12"}),
        (Match(owners=["zoe-*"]), {"fct_orders", "ab12"}),
        (Match(resource_types=["test"]), {"ab12"}),
        (Match(resource_types=["model", "source"]), {"fct_orders", "dates", "orders"}),
        (Match(packages=["dbt_*"]), {"dates"}),
        (Match(names=["fct_*"], resource_types=["model"]), {"fct_orders"}),
    ],
)
def test_what_is_included_is_all_that_is_kept(match: Match, caught: set[str]) -> None:
    assert kept(Selection(include=match)) == caught


@pytest.mark.parametrize(
    ("match", "left_out"),
    [
        (Match(names=["fct_*"]), {"fct_orders", "ab12"}),
        (Match(tags=["FINANCE"]), {"fct_orders", "ab12"}),
        (Match(owners=["zoe"]), {"fct_orders", "ab12"}),
        (Match(resource_types=["source"]), {"orders"}),
        (Match(packages=["dbt_utils"]), {"dates"}),
        (Match(names=["dates"], resource_types=["test"]), {"dates", "ab12"}),
    ],
)
def test_any_one_exclusion_leaves_out(match: Match, left_out: set[str]) -> None:
    assert kept(Selection(exclude=match)) == {"fct_orders", "ab12", "dates", "orders"} - left_out


def test_whom_the_settings_assign_is_an_owner_too() -> None:
    selection = Selection(include=Match(owners=["octocat"]))
    assert selection.left_out_by(subject(ORDERS, group__money="@OctoCat")) is None
    assert selection.left_out_by(subject(VENDORED, group__money="@OctoCat")) == "owners: octocat"


def test_a_filter_names_its_key_and_what_it_asks() -> None:
    named = [
        (Selection(include=Match(["a*", "b"])), "include: a*, b"),
        (Selection(exclude=Match(["x", "FCT*"])), "exclude: FCT*"),
        (Selection(include=Match(tags=["gold"])), "tags: gold"),
        (Selection(exclude=Match(resource_types=["model"])), "exclude_resource_types: model"),
    ]
    assert [selection.left_out_by(subject(ORDERS)) for selection, _ in named] == [words for _, words in named]


def test_a_warning_is_left_out_by_the_severity_unless_warnings_are_asked_for() -> None:
    warned = NodeResult(UNIQUE, "warn")
    assert Selection().result_left_out_by(warned, subject(UNIQUE)) == "severity: error"
    assert Selection(warnings=True).result_left_out_by(warned, subject(UNIQUE)) is None


def test_environments_are_globs_and_may_be_excluded() -> None:
    selection = Selection(environments=["prod*"], exclude_environments=["*-eu"])
    assert selection.environment_left_out_by("Production") is None
    assert selection.environment_left_out_by("prod-EU") == "exclude_environments: *-eu"
    assert selection.environment_left_out_by("Staging") == "environments: prod*"


def test_a_node_that_no_lineage_knows_is_told_by_its_unique_id() -> None:
    unknown = subject_of("model.shop.stg_new", None)
    assert (unknown.names, unknown.packages, unknown.resource_types) == (("stg_new",), ("shop",), ("model",))
    assert unknown.owners == ()


BOARD = "exposure.shop.board"


def owned_as_in(*nodes: GraphNode, unique_id: str = UNIQUE, **assigned: str) -> Owner | None:
    """Who owns the failing test where ``nodes`` stand for those of the same id."""
    graph = ProjectGraph("shop", "duckdb", {node.unique_id: node for node in (*_NODES, *nodes)}, "shop")
    return subject_of(unique_id, graph, assigned={key.replace("__", ":"): one for key, one in assigned.items()}).owner


def test_the_owner_is_whom_the_settings_assign_else_of_the_node_else_of_the_nearest_exposure() -> None:
    assert owned_as_in(group__money="@octocat") == Owner("octocat", github="octocat")
    assert owned_as_in() == Owner("Ann", "ann@acme.example")
    nobodys = GraphNode(ORDERS, "fct_orders", "model", "shop")
    assert owned_as_in(nobodys) == Owner("Zoe", github="zoe-b", exposure="board")
    farther = GraphNode("model.shop.monthly", "monthly", "model", "shop", depends_on=(ORDERS,))
    far = GraphNode(
        "exposure.shop.a_report", "a_report", "exposure", depends_on=(farther.unique_id,), owner=Owner("Far")
    )
    assert owned_as_in(nobodys, farther, far) == Owner("Zoe", github="zoe-b", exposure="board")
    unowned = GraphNode(BOARD, "board", "exposure", "shop", depends_on=(ORDERS,))
    assert owned_as_in(nobodys, farther, far, unowned) == Owner("Far", exposure="a_report")
    assert owned_as_in(nobodys, unowned) is None


def test_a_test_over_several_models_is_owned_by_who_uses_what_it_reads_and_the_filter_knows_that_too() -> None:
    both = GraphNode("test.shop.sums", "sums", "test", depends_on=(VENDORED, ORDERS), test=TestSpec("singular"))
    assert owned_as_in(both, unique_id="test.shop.sums") == Owner("Zoe", github="zoe-b", exposure="board")
    graph = ProjectGraph("shop", "duckdb", {**SHOP.nodes, both.unique_id: both}, "shop")
    told = subject_of("test.shop.sums", graph)
    assert Selection(include=Match(owners=["zoe"])).left_out_by(told) is None
