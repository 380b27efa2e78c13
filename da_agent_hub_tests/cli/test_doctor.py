"""The doctor against a real GitHub on loopback, real git, real dbt and a real store."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from da_agent_hub.cli.main import main
from da_agent_hub.cli.services import free_port
from da_agent_hub.sandbox.github import GitHubState
from da_agent_hub.sandbox.server import SandboxServer

TOKEN, READER_TOKEN = "ghp_thehubstoken", "ghp_thereaderstoken"


@dataclass(frozen=True)
class Place:
    folder: Path
    host: str

    def settings(self) -> dict[str, Any]:
        return {
            "projects": [
                {
                    "name": "shop",
                    "repo": f"{self.host}/acme/shop",
                    "source": {"type": "dbt_core", "path": "target"},
                    "verification": {"profiles_dir": "profiles"},
                }
            ],
            "github": [{"host": self.host, "base_url": f"http://{self.host}/api/v3", "token": TOKEN}],
        }

    def examine(self, settings: dict[str, Any], *options: str) -> Result:
        (self.folder / "hub.yaml").write_text(yaml.safe_dump(settings))
        arguments = ["doctor", "--config", str(self.folder / "hub.yaml"), *options]
        result = CliRunner().invoke(main, arguments)
        assert TOKEN not in result.output
        assert READER_TOKEN not in result.output
        return result


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("sandbox")
    state = GitHubState(home / "github")
    state.create_user("hub", TOKEN)
    state.create_user("reader", READER_TOKEN)
    bare = state.create_repo("acme", "shop")
    state.grant("acme", "shop", "hub", "write")
    work = home / "work"
    work.mkdir()
    (work / "dbt_project.yml").write_text("name: shop\nprofile: shop\nversion: '1'\n")
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-q", "-m", "First"],
        ["push", "-q", str(bare), "main"],
    ):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    with SandboxServer(home, free_port()) as server:
        yield server.url.removeprefix("http://")


@pytest.fixture
def place(served: str, tmp_path: Path) -> Place:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text('{"results": [], "metadata": {}}')
    (tmp_path / "profiles").mkdir()
    outputs = {"ci": {"type": "duckdb", "path": "shop.duckdb"}}
    (tmp_path / "profiles" / "profiles.yml").write_text(yaml.safe_dump({"shop": {"target": "ci", "outputs": outputs}}))
    return Place(tmp_path, served)


def failing(result: Result) -> list[str]:
    return [line for line in result.output.splitlines() if line.startswith("FAIL")]


def test_all_is_well_when_every_connection_works(place: Place) -> None:
    report = place.folder / "report.json"
    result = place.examine(place.settings(), "--json", str(report))
    assert failing(result) == []
    assert result.exit_code == 0
    assert "logged in as hub" in result.output
    assert "hub has write permission" in result.output
    assert "patches are tried on target ci" in result.output
    content = json.loads(report.read_text())
    assert content["ok"] is True
    assert {"git", "dbt", "state", "shop: dbt runs", "shop: verification"} <= {one["name"] for one in content["checks"]}


def test_a_wrong_token_is_told_with_the_next_step_and_hides_no_other_check(place: Place) -> None:
    settings = place.settings()
    settings["github"][0]["token"] = "ghp_wrong"
    result = place.examine(settings)
    assert result.exit_code == 1
    login = next(line for line in failing(result) if "login" in line)
    assert "401" in login
    assert "Next: Check the token" in login
    assert any(line.startswith("OK    state:") for line in result.output.splitlines())


def test_a_login_that_may_only_read_fails_unless_the_project_is_only_observed(place: Place) -> None:
    settings = place.settings()
    settings["github"][0]["token"] = READER_TOKEN
    assert any("give reader write permission" in line for line in failing(place.examine(settings)))
    settings["projects"][0]["mode"] = "observe"
    assert not any("write permission" in line for line in failing(place.examine(settings)))


def test_a_repository_that_is_not_there_is_told(place: Place) -> None:
    settings = place.settings()
    settings["projects"][0]["repo"] = f"{place.host}/acme/nothing"
    lines = failing(place.examine(settings))
    assert any("acme/nothing" in line and "404" in line for line in lines)


def test_missing_artifacts_and_an_unknown_target_are_told_with_what_to_set(place: Place) -> None:
    settings = place.settings()
    settings["projects"][0]["source"]["path"] = "nowhere"
    settings["projects"][0]["verification"]["target"] = "prod"
    lines = failing(place.examine(settings))
    assert any("nowhere is not a folder" in line and "source.path" in line for line in lines)
    assert any("no target 'prod' (it has ci)" in line for line in lines)
    assert len(lines) == 2


def test_a_quarantine_that_is_over_is_a_hint_and_no_failure(place: Place) -> None:
    settings = place.settings()
    rule = {"nodes": ["stg_*"], "until": "2020-01-31", "reason": "known"}
    settings["projects"][0]["filters"] = {"quarantine": [rule]}
    result = place.examine(settings)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "shop: quarantine: 0 of 1 in force; the quarantine of stg_* until 2020-01-31 is over: remove it" in told


def test_a_store_that_cannot_be_opened_is_told(place: Place) -> None:
    settings = place.settings()
    (place.folder / "hub.db").write_text("this is no database, but a text long enough to be looked at\n" * 50)
    settings["state"] = {"url": "sqlite:///hub.db"}
    (line,) = failing(place.examine(settings))
    assert line.startswith("FAIL  state:")
    assert "hub.db" in line
