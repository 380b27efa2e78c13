"""The workflow files under deploy/github-actions: least permissions, pinned actions, commands that exist, no leak."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from da_agent_hub.cli.main import main

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "github-actions").glob("*.yml"))
WANTED = {"contents": "write", "issues": "write", "pull-requests": "write"}


def test_there_is_one_for_every_day_and_one_for_every_event() -> None:
    assert [file.stem for file in FILES] == ["da-agent-hub-monitor", "da-agent-hub-respond"]


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    read = yaml.safe_load(request.param.read_text())
    read["on"] = read.pop(True)  # YAML takes the word for a truth value
    return read  # type: ignore[no-any-return]


def jobs(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return list(workflow["jobs"].values())


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow) for step in job["steps"]]


def test_a_job_may_write_branches_issues_and_pull_requests_and_nothing_else(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
    assert [job["permissions"] for job in jobs(workflow)] == [WANTED]
    assert all(job["timeout-minutes"] <= 60 for job in jobs(workflow))


def test_actions_are_pinned_to_a_whole_version_and_leave_no_credentials(workflow: dict[str, Any]) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", one) for one in used)
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_command_exists_with_its_options(workflow: dict[str, Any]) -> None:
    lines = [shlex.split(step["run"]) for step in steps(workflow) if step.get("run", "").startswith("da-agent-hub")]
    assert len(lines) == 1
    for _, name, *options in lines:
        command = main.get_command(click.Context(main), name)  # type: ignore[attr-defined]
        assert command is not None, name
        command.make_parser(click.Context(command)).parse_args(list(options))


def test_what_a_stranger_writes_reaches_no_shell_and_no_secret_is_printed(workflow: dict[str, Any]) -> None:
    for step in steps(workflow):
        assert "${{" not in step.get("run", "")
        assert "echo" not in step.get("run", "")
    for job in jobs(workflow):
        assert "secrets" not in job.get("if", "")
    given = {name: value for step in steps(workflow) for name, value in step.get("env", {}).items()}
    assert {name for name, value in given.items() if "secrets." in value} == {"GITHUB_API_TOKEN", "DBT_CLOUD_API_TOKEN"}


def test_runs_do_not_cancel_each_other_and_those_of_one_issue_take_turns(workflow: dict[str, Any]) -> None:
    assert workflow["concurrency"]["cancel-in-progress"] is False
    if "schedule" in workflow["on"]:
        assert workflow["on"]["schedule"] == [{"cron": "30 6 * * *"}]
    else:
        group = workflow["concurrency"]["group"]
        assert "github.event.issue.number" in group
        assert "github.event.pull_request.number" in group


def test_no_workflow_runs_code_of_a_pull_request(workflow: dict[str, Any]) -> None:
    assert "pull_request_target" not in workflow["on"]
    assert "pull_request" not in workflow["on"]
    if "schedule" not in workflow["on"]:
        (checkout,) = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout")]
        assert checkout["with"]["ref"] == "${{ github.event.repository.default_branch }}"
