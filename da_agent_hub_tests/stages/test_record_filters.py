"""Each filter of the settings, from its key to the records that are left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.config import DbtCoreSource, FilterSettings, ProjectSettings
from da_agent_hub.domain.dbt import GraphNode, NodeResult, Owner, ProjectGraph
from da_agent_hub.stages.record import record_errors
from da_agent_hub_tests.domain.dbt_story import START, data_test, exposure, model, run

ORDERS, DATES, SEED = "model.shop.orders", "model.calendar.dates", "seed.shop.countries"
UNIQUE, WARNS = "test.shop.unique_orders_id.a1", "test.shop.not_null_items_id.a1"
GRAPH = ProjectGraph(
    "shop",
    "duckdb",
    {
        node.unique_id: node
        for node in (
            replace(model("orders", tags=("finance",)), owner=Owner("Ann", "ann@example.com")),
            GraphNode(DATES, "dates", "model", "calendar", "models/dates.sql"),
            GraphNode(SEED, "countries", "seed", "shop", "seeds/countries.csv"),
            model("items"),
            data_test("unique", "orders", "id"),
            data_test("not_null", "items", "id", severity="warn"),
            replace(exposure("board", SEED), owner=Owner("Zoe", github="zoe-m")),
        )
    },
    "shop",
)
EVERY = {ORDERS, DATES, SEED, UNIQUE}


def in_order(argument: object) -> str:
    """A test's name must not hang on the order of a set, which differs between processes."""
    return str(sorted(argument)) if isinstance(argument, (set, frozenset)) else str(argument)


def left(folder: Path, filters: Mapping[str, object], **settings: object) -> set[str | None]:
    """The nodes of the records of one night in which five nodes failed or warned, each for a reason of its own."""
    project = ProjectSettings.model_validate(
        {
            "name": "shop",
            "repo": "acme/shop",
            "source": DbtCoreSource(type="dbt_core", path=folder),
            "filters": FilterSettings.model_validate(filters),
            **settings,
        }
    )
    store = open_record_store(f"sqlite:///{folder / 'hub.db'}")
    broken = [
        NodeResult(one, "error", f'Database Error in {one}\n  column "{one[-3:]}" does not exist')
        for one in (ORDERS, DATES, SEED)
    ]
    rows = [NodeResult(UNIQUE, "fail", "Got 5 results", 5), NodeResult(WARNS, "warn", "Got 2 results", 2)]
    store.remember_run(run(0, (*broken, *rows)))
    store.save_graph("shop", "1000", START, GRAPH)
    record_errors(project, store)
    return {one.node for one in store.records("shop")}


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({}, EVERY),
        ({"severity": "warn"}, EVERY | {WARNS}),
        ({"include": ["*orders*"]}, {ORDERS, UNIQUE}),
        ({"exclude": ["dat?s", "COUNTRIES"]}, {ORDERS, UNIQUE}),
        ({"tags": ["fin*"]}, {ORDERS, UNIQUE}),
        ({"exclude_tags": ["finance"]}, {DATES, SEED}),
        ({"owners": ["ann"]}, {ORDERS, UNIQUE}),
        ({"owners": ["zoe-m"]}, {SEED}),
        ({"exclude_owners": ["*@example.com"]}, {DATES, SEED}),
        ({"resource_types": ["test"]}, {UNIQUE}),
        ({"exclude_resource_types": ["model", "test"]}, {SEED}),
        ({"packages": ["calendar"]}, {DATES}),
        ({"exclude_packages": ["shop"]}, {DATES}),
        ({"tags": ["finance"], "exclude_resource_types": ["test"], "severity": "warn"}, {ORDERS}),
    ],
    ids=in_order,
)
def test_a_filter_leaves_the_records_it_asks_for(tmp_path: Path, filters: dict[str, object], kept: set[str]) -> None:
    assert left(tmp_path, filters) == kept


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"environments": ["prod*"]}, EVERY),
        ({"environments": ["staging"]}, set()),
        ({"exclude_environments": ["production"]}, set()),
        ({"exclude_environments": ["staging"]}, EVERY),
    ],
    ids=in_order,
)
def test_an_environment_is_chosen_by_its_name(tmp_path: Path, settings: dict[str, object], kept: set[str]) -> None:
    assert left(tmp_path, {}, **settings) == kept


def test_whom_the_settings_assign_is_filtered_by_too(tmp_path: Path) -> None:
    assert left(tmp_path, {"owners": ["octocat"]}, owners={"tag:finance": "@octocat"}) == {ORDERS, UNIQUE}
