"""`monitor` over a real GitHub on loopback and the artifacts of a real dbt build, as cron would call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from da_agent_hub.cli.services import free_port
from da_agent_hub.sandbox.github import GitHubState
from da_agent_hub.sandbox.server import SandboxServer

from .broken_shop import dbt, git, make_shop

TOKEN = "ghp_thehubstoken"


@dataclass(frozen=True)
class Site:
    folder: Path
    state: GitHubState

    def monitor(self, *options: str, dagster_home: Path | None = None) -> tuple[int, dict[str, Any], str]:
        out = self.folder / "out.json"
        out.unlink(missing_ok=True)
        command = [sys.executable, "-m", "da_agent_hub.cli", "monitor", "--config", str(self.folder / "hub.yaml")]
        environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        environ |= {"DAGSTER_HOME": str(dagster_home)} if dagster_home else {}
        done = subprocess.run(
            [*command, *options, "--json", str(out)], env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, json.loads(out.read_text()) if out.exists() else {}, done.stdout + done.stderr

    def on_github(self) -> list[tuple[str, str, int]]:
        return [
            (issue["title"], issue["state"], len(self.state.comments("acme", "shop", issue["number"])))
            for issue in self.state.issues("acme", "shop")
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    project = make_shop(folder / "shop")
    assert dbt(project, "build") == 1
    state = GitHubState(folder / "sandbox" / "github")
    state.create_user("hub", TOKEN)
    bare = state.create_repo("acme", "shop")
    state.grant("acme", "shop", "hub", "write")
    git(folder / "shop", "push", "-q", str(bare), "main")
    with SandboxServer(folder / "sandbox", free_port()) as server:
        host = server.url.removeprefix("http://")
        settings = {
            "projects": [
                {
                    "name": "shop",
                    "repo": f"{host}/acme/shop",
                    "dbt_directory": "dbt",
                    "source": {"type": "dbt_core", "path": str(project / "target")},
                    "verification": {"profiles_dir": str(project), "copy_database": str(project / "shop.duckdb")},
                    "mode": "fix",
                }
            ],
            "github": [{"host": host, "base_url": f"{server.url}/api/v3", "token": TOKEN}],
        }
        (folder / "hub.yaml").write_text(yaml.safe_dump(settings))
        yield Site(folder, state)


@pytest.mark.slow
def test_one_call_files_investigates_and_fixes_and_another_adds_nothing(site: Site) -> None:
    code, report, output = site.monitor("--until-now")
    assert code == 0, output
    assert report["ok"] is True
    (issue,) = report["issues"]
    assert issue["fix"]["verified"] is True
    assert issue["pull_request"]["state"] == "open"
    assert TOKEN not in output + json.dumps(report)
    before = site.on_github()
    assert len(before) == 2
    home = site.folder / "dagster"
    home.mkdir()
    code, report, output = site.monitor("--until-now", dagster_home=home)
    assert code == 0, output
    assert site.on_github() == before


@pytest.mark.slow
def test_what_cannot_be_read_ends_with_code_1_and_its_reason(site: Site) -> None:
    settings = yaml.safe_load((site.folder / "hub.yaml").read_text())
    settings["projects"][0]["source"]["path"] = str(site.folder / "nowhere")
    settings["state"] = {"url": f"sqlite:///{site.folder / 'other.db'}"}
    (site.folder / "hub.yaml").write_text(yaml.safe_dump(settings))
    code, report, output = site.monitor()
    assert code == 1
    assert report["ok"] is False
    assert any("nowhere" in problem for problem in report["problems"])
    assert "Traceback" not in output
