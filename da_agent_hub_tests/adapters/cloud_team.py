"""One project read from a dbt Cloud account of three runs into a store of its own."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from da_agent_hub.adapters.dbt_cloud import DbtCloudRuns
from da_agent_hub.adapters.dbt_cloud_api import DbtCloudApi
from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCloudSource, ProjectSettings
from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.domain.window import Window
from da_agent_hub.stages.detect import Detection, detect
from da_agent_hub_tests.fakes.faulty_dbt_cloud import ACCOUNT, TOKEN, FaultyDbtCloud

WINDOW = Window.of("2026-11-01")
NOON = WINDOW.start + timedelta(hours=6)
MANIFEST = json.dumps(
    {"metadata": {"project_name": "shop"}, "nodes": {"model.shop.a": {"name": "a"}, "model.shop.b": {"name": "b"}}}
).encode()
GREEN = ["model.shop.a success", "model.shop.b success", "seed.shop.countries success"]
RED = ["model.shop.a error", "model.shop.b success", "seed.shop.countries success"]
WHOLE = {"1": GREEN, "2": RED, "3": GREEN}


def three_runs(cloud: FaultyDbtCloud) -> None:
    """Three runs of two steps each; the second run failed."""
    for number in (1, 2, 3):
        failed = number == 2
        cloud.add_run(number, NOON + timedelta(minutes=number), ["dbt seed", "dbt build"], failed=failed)
        cloud.add_results(number, 1, {"seed.shop.countries": "success"}, which="seed")
        cloud.add_results(number, 2, {"model.shop.a": "error" if failed else "success", "model.shop.b": "success"})
        cloud.artifacts[number, 2, "manifest.json"] = MANIFEST


def source_of(cloud: FaultyDbtCloud) -> DbtCloudSource:
    return DbtCloudSource(type="dbt_cloud", host=cloud.url, account_id=ACCOUNT, token=SecretStr(TOKEN), project_id=5)


def runs_of(cloud: FaultyDbtCloud, directory: Path, **settings: Any) -> DbtCloudRuns:
    quick = {"timeout": (1.0, 0.4), "whole_answer": 0.8, "backoff": 0.01, "attempts": 3, **settings}
    api = DbtCloudApi(cloud.url, ACCOUNT, TOKEN, **quick)
    return DbtCloudRuns(source_of(cloud), directory / "artifacts", api=api)


class Team:
    """One project read from a cloud into a store of its own."""

    def __init__(self, cloud: FaultyDbtCloud, directory: Path) -> None:
        self.cloud, self.directory = cloud, directory
        self.store: SqlRecordStore = open_record_store(f"sqlite:///{directory / 'hub.db'}")
        self.project = ProjectSettings(name="shop", repo="acme/shop", source=source_of(cloud))

    def detect(self, **settings: Any) -> Detection:
        return detect(self.project, runs_of(self.cloud, self.directory, **settings), self.store, WINDOW)

    def kept(self) -> dict[str, list[str]]:
        """Node statuses of each kept run; a node that is there twice is there twice."""
        return {run.run_id: sorted(nodes_of(run)) for run in self.store.runs("shop")}


def nodes_of(run: DbtRun) -> list[str]:
    read = [f"{result.unique_id} {result.status}" for _, result in run.results()]
    return read + [f"{one} success" for step in run.steps for one in step.passed.unique_ids]
