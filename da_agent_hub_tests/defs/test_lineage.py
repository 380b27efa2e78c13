import logging
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from da_agent_hub.adapters.record_engine import create_bare_engine
from da_agent_hub.adapters.stored_lineage import LineageNode
from da_agent_hub.defs.lineage import project_lineage

from .hub_world import NOW, World, graph, project


def keys(specs) -> dict[str, list[str]]:
    return {spec.key.to_user_string(): [dep.asset_key.to_user_string() for dep in spec.deps] for spec in specs}


def test_the_models_stand_upstream_of_the_projects_run_results(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hub.store.save_graph("shop", "1", NOW, graph("shop"))
    world.configure()
    assets = world.defs.resolve_asset_graph()
    assert assets.get(dg.AssetKey(["shop", "dbt_run_results"])).parent_keys == {dg.AssetKey(["shop", "orders"])}
    assert assets.get(dg.AssetKey(["shop", "orders"])).parent_keys == {dg.AssetKey(["shop", "stg"])}
    assert assets.get(dg.AssetKey(["shop", "stg"])).parent_keys == {dg.AssetKey(["shop", "raw", "orders"])}
    assert assets.get(dg.AssetKey(["shop", "orders"])).group_name == "shop_sales"
    assert not assets.get(dg.AssetKey(["shop", "orders"])).is_materializable


def test_a_project_past_the_size_is_left_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hub.store.save_graph("shop", "1", NOW, graph("shop"))
    world.configure(schedule=world.settings.schedule.model_copy(update={"lineage_max_nodes": 2}))
    assert not world.defs.resolve_asset_graph().has(dg.AssetKey(["shop", "orders"]))


def test_a_lineage_that_cannot_be_read_costs_only_its_project(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, {"shop": "file", "freight": "file"})
    for name in ("shop", "freight"):
        world.hub.store.save_graph(name, "1", NOW, graph(name))
    with create_bare_engine(world.settings.state.url.get_secret_value()).begin() as connection:
        connection.execute(text("UPDATE dbt_lineage SET payload = x'00' WHERE project = 'shop'"))
    with caplog.at_level(logging.WARNING):
        world.configure()
    assets = world.defs.resolve_asset_graph()
    assert not assets.has(dg.AssetKey(["shop", "orders"]))
    assert assets.has(dg.AssetKey(["freight", "orders"]))
    assert "the dbt models of shop are left out" in caplog.text


def test_keys_join_the_assets_that_a_team_already_has() -> None:
    settings = project("shop", "file").model_copy(update={"lineage_prefix": ["warehouse"]})
    nodes = [
        LineageNode("model.shop.a", "a", "model", asset_key=("chosen", "a")),
        LineageNode("model.shop.b", "b", "model", ("model.shop.a", "model.elsewhere.x", "model.shop.b")),
    ]
    lineage = project_lineage(settings, nodes)
    assert keys(lineage.specs) == {"warehouse/chosen/a": [], "warehouse/b": ["warehouse/chosen/a"]}


def test_two_projects_of_one_prefix_share_what_both_name() -> None:
    node = LineageNode("model.shop.a", "a", "model")
    first = project_lineage(project("shop", "file"), [node])
    second = project_lineage(project("shop", "file"), [node], {spec.key for spec in first.specs})
    assert second.specs == []
    assert second.ends == [dg.AssetKey(["shop", "a"])]


def test_names_that_dagster_refuses_are_told_and_left_out(tmp_path: Path) -> None:
    lineage = project_lineage(
        project("shop", "file"), [LineageNode("model.shop.a", "a", "model", group="no good/name")]
    )
    assert [spec.group_name for spec in lineage.specs] == ["shop_no_good_name"]
