"""`respond` and `monitor` as GitHub Actions call them: each call with an empty record store, over a GitHub on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from da_agent_hub.cli.services import free_port
from da_agent_hub.sandbox.github import GitHubState
from da_agent_hub.sandbox.server import SandboxServer
from da_agent_hub_tests.webhook_sender import github_payload

from .broken_shop import dbt, git, make_shop

LOGINS = {"hub": "write", "alice": "write", "rita": "read"}


@dataclass(frozen=True)
class Workflow:
    """A repository with a red dbt project; each ``call`` starts where the runner of a workflow does, with no state."""

    folder: Path
    state: GitHubState
    url: str

    def call(self, *arguments: str, **environ: str) -> tuple[int, dict[str, Any], str]:
        shutil.rmtree(self.folder / ".hub", ignore_errors=True)
        out = self.folder / "out.json"
        out.unlink(missing_ok=True)
        inherited = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        done = subprocess.run(
            [sys.executable, "-m", "da_agent_hub.cli", *arguments, "--json", str(out)],
            env={**inherited, "DA_AGENT_HUB_CONFIG": str(self.folder / "hub.yaml"), **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert "token-of-hub" not in output
        assert "Traceback" not in output
        return done.returncode, json.loads(out.read_text()) if out.exists() else {}, output

    def event(self, payload: Mapping[str, Any]) -> str:
        file = self.folder / "event.json"
        file.write_text(json.dumps(payload))
        return str(file)

    def comment(self, number: int, by: str, text: str) -> str:
        made = self._post(f"issues/{number}/comments", by, {"body": text})
        return self.event(github_payload(self.url, "acme/shop", number, by=by, action="created", comment=made))

    def label(self, number: int, by: str, label: str) -> str:
        self._post(f"issues/{number}/labels", by, {"labels": [label]})
        told = github_payload(self.url, "acme/shop", number, by=by, action="labeled", label={"name": label})
        return self.event(told)

    def on_github(self) -> list[tuple[str, str, int]]:
        """Issues and pull requests: title, state, number of comments."""
        return [
            (one["title"], one["state"], len(self.state.comments("acme", "shop", one["number"])))
            for one in self.state.issues("acme", "shop")
        ]

    def _post(self, place: str, by: str, body: dict[str, Any]) -> Any:
        answer = requests.post(
            f"{self.url}/api/v3/repos/acme/shop/{place}",
            json=body,
            headers={"Authorization": f"token token-of-{by}"},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    folder = tmp_path_factory.mktemp("workflow")
    project = make_shop(folder / "shop")
    assert dbt(project, "build") == 1
    state = GitHubState(folder / "sandbox" / "github")
    bare = state.create_repo("acme", "shop")
    for login, permission in LOGINS.items():
        state.create_user(login, f"token-of-{login}")
        state.grant("acme", "shop", login, permission)
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
                }
            ],
            "github": [{"host": host, "base_url": f"{server.url}/api/v3", "token": "token-of-hub"}],
        }
        (folder / "hub.yaml").write_text(yaml.safe_dump(settings))
        yield Workflow(folder, state, server.url)


@pytest.mark.slow
@pytest.mark.nightly
def test_with_a_store_that_is_empty_each_time_nothing_is_doubled_and_every_command_is_answered(
    workflow: Workflow,
) -> None:
    code, _, output = workflow.call("monitor", "--until-now")
    assert code == 0, output
    (issue,) = workflow.state.issues("acme", "shop")
    number = issue["number"]
    filed = workflow.on_github()
    code, _, output = workflow.call("monitor", "--until-now")
    assert code == 0, output
    assert workflow.on_github() == filed

    event = workflow.comment(number, "alice", "@claude create PR")
    summary = workflow.folder / "summary.md"
    after: list[tuple[str, str, int]] = []
    for _ in range(2):
        before = after
        code, report, output = workflow.call(
            "respond", GITHUB_EVENT_PATH=event, GITHUB_EVENT_NAME="issue_comment", GITHUB_STEP_SUMMARY=str(summary)
        )
        assert code == 0, output
        assert any("pull request" in str(one) or "#" in str(one) for one in report["outcomes"].values())
        after = workflow.on_github()
        assert len(after) == 2, output
        assert before in ([], after)
    pull = next(one for one in workflow.state.issues("acme", "shop") if one["number"] != number)
    assert pull["state"] == "open"
    assert summary.read_text().count("### `issue_comment` of `") == 2

    told = workflow.comment(pull["number"], "alice", "@claude explain")
    code, report, output = workflow.call("respond", "--event", told, "--name", "issue_comment")
    assert code == 0, output
    assert report["of"] == f"{workflow.url.removeprefix('http://')}/acme/shop#{number}"
    assert len(workflow.state.comments("acme", "shop", pull["number"])) == 2

    event = workflow.label(number, "alice", "claude:investigate")
    told_before = len(workflow.state.comments("acme", "shop", number))
    code, report, output = workflow.call("respond", "--event", event, "--name", "issues")
    assert code == 0, output
    assert len(workflow.state.comments("acme", "shop", number)) == told_before + 1
    code, _, output = workflow.call("monitor", "--until-now")
    assert code == 0, output
    assert len(workflow.state.issues("acme", "shop")) == 2


@pytest.mark.slow
def test_a_command_whose_own_run_github_let_go_is_answered_by_the_next_one_and_once(workflow: Workflow) -> None:
    issue = workflow._post("issues", "alice", {"title": "Orders", "body": "They look odd."})
    number = issue["number"]
    workflow.comment(number, "alice", "@claude explain")
    time.sleep(6)  # what came within seconds of the event counts as its own
    event = workflow.comment(number, "alice", "@claude help")
    for _ in range(2):
        code, report, output = workflow.call("respond", "--event", event, "--name", "issue_comment")
        assert code == 0, output
        answers = [one for one in workflow.state.comments("acme", "shop", number) if "da-agent-hub:" in one["body"]]
        assert len(answers) == 2, output
    assert "answered before" in report["outcomes"].values()


@pytest.mark.slow
def test_who_may_not_command_and_what_asks_nothing_is_told_plainly(workflow: Workflow) -> None:
    issue = workflow._post("issues", "rita", {"title": "A question", "body": "How does it work?"})
    told = workflow.comment(issue["number"], "rita", "@claude create PR")
    code, report, output = workflow.call("respond", "--event", told, "--name", "issue_comment")
    assert code == 0, output
    assert any("rita has no write permission" in str(one) for one in report["outcomes"].values())
    told = workflow.comment(issue["number"], "alice", "thanks all")
    code, report, output = workflow.call("respond", "--event", told, "--name", "issue_comment")
    assert code == 0
    assert "does not address the hub" in output
    assert report["of"] is None


def test_an_event_that_cannot_be_used_ends_with_code_2_and_the_next_step(tmp_path: Path) -> None:
    config = tmp_path / "hub.yaml"
    project = {"name": "shop", "repo": "acme/shop", "source": {"type": "dbt_core", "path": "target"}}
    host = {"token": "ghp_x", "bot_login": "hub", "base_url": "http://127.0.0.1:9"}
    config.write_text(yaml.safe_dump({"projects": [project], "github": [host]}))
    broken = tmp_path / "event.json"
    broken.write_text("{")

    def call(*options: str) -> tuple[int, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        command = [sys.executable, "-m", "da_agent_hub.cli", "respond", "--config", str(config), *options]
        done = subprocess.run(command, env=inherited, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    for options, said in (
        ((), "GITHUB_EVENT_PATH"),
        (("--name", "issues", "--event", str(tmp_path / "nowhere.json")), "nowhere.json cannot be read"),
        (("--name", "issues", "--event", str(broken)), "holds no issues event"),
    ):
        code, told = call(*options)
        assert code == 2, told
        assert said in told
