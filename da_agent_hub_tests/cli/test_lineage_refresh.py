"""dbt models that were read after Dagster's start are shown by the same Dagster, over real processes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from dagster_graphql import DagsterGraphQLClient

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.cli.dagster_services import dagster_environment, prepare_home, start_dagster
from da_agent_hub.cli.lineage_refresh import LineageRefresh
from da_agent_hub.cli.services import Services, free_port
from da_agent_hub.config import load_settings
from da_agent_hub.domain.dbt import GraphNode, ProjectGraph

ASSETS = "{ assetNodes { assetKey { path } } }"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_models_read_after_the_start_are_shown_after_one_reload(tmp_path: Path) -> None:
    config = tmp_path / "hub.yaml"
    artifacts = tmp_path / "target"
    artifacts.mkdir()
    project = {"name": "shop", "repo": "acme/shop", "source": {"type": "dbt_core", "path": str(artifacts)}}
    github = {"token": "ghp_nobodys"}
    content = {"projects": [project], "github": [github], "state": {"url": f"sqlite:///{tmp_path / 'hub.db'}"}}
    config.write_text(yaml.safe_dump(content))
    settings = load_settings(config, {})
    ui_port = free_port()
    lineage = LineageRefresh(settings, ui_port)
    environ = dagster_environment(prepare_home(tmp_path / "dagster"), config)
    with Services(tmp_path) as services:
        start_dagster(services, environ, tmp_path, code_port=free_port(), ui_port=ui_port)
        assert not lineage.refresh()
        assert "shop/orders" not in shown(ui_port)
        store = open_record_store(settings.state.url.get_secret_value())
        node = GraphNode("model.shop.orders", "orders", "model")
        graph = ProjectGraph("shop", "duckdb", {node.unique_id: node})
        store.save_graph("shop", "1", datetime(2026, 11, 24, tzinfo=timezone.utc), graph)
        store.close()
        assert lineage.refresh()
        assert "shop/orders" in shown(ui_port)
        assert not lineage.refresh()


def shown(ui_port: int) -> list[str]:
    client = DagsterGraphQLClient("127.0.0.1", port_number=ui_port)
    return ["/".join(node["assetKey"]["path"]) for node in client._execute(ASSETS)["assetNodes"]]
