"""The hub survives being killed; `python -m da_agent_hub_tests.chaos.kill_and_restart` does it ten times."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .github_side import Repository, Truth, differences, faults, tally
from .kill_and_restart import run
from .processes import processes_of


def issue(number: int, fingerprint: str, **more: Any) -> dict[str, Any]:
    marker = json.dumps({"fingerprint": fingerprint, "previous": more.pop("previous", None)})
    return {
        "number": number,
        "title": f"stg_{fingerprint} fails",
        "body": f"text <!-- da-agent-hub:record={marker} -->",
        "state": "open",
        "labels": ["dbt-error", "category:code_fix_required"],
        **more,
    }


def repository(*issues: dict[str, Any], **more: Any) -> Repository:
    parts: dict[str, Any] = {"pulls": (), "threads": {one["number"]: [] for one in issues}, "branches": (), **more}
    return Repository("acme/ledger", "ledger", issues, **parts)


TRUTHS = [Truth("one", "ledger", "stg_a")]


def test_a_clean_state_has_no_fault() -> None:
    assert faults([repository(issue(1, "a"))], TRUTHS) == []


def test_two_issues_of_one_fingerprint_are_a_fault_unless_the_second_names_the_closed_first() -> None:
    assert faults([repository(issue(1, "a"), issue(2, "a"))], TRUTHS) == ["acme/ledger: issues #1 and #2 are both of a"]
    again = issue(2, "a", previous=1)
    assert faults([repository(issue(1, "a", state="closed"), again)], TRUTHS) == []
    assert faults([repository(issue(1, "a"), again)], TRUTHS) != []


def test_an_issue_without_a_marker_is_a_fault() -> None:
    assert any("carries no marker" in one for one in faults([repository(issue(1, "a", body="stg_a"))], TRUTHS))


def test_a_comment_posted_twice_is_a_fault() -> None:
    comment = {"body": "<!-- da-agent-hub:key=findings:1 -->\nA cause."}
    found = faults([repository(issue(1, "a"), threads={1: [comment, comment]})], TRUTHS)
    assert "acme/ledger: #1 has 2 comments of the key findings:1" in found


def test_two_branches_or_pull_requests_of_one_issue_are_a_fault() -> None:
    pull = {"state": "open", "merged_at": None, "draft": 0, "number": 5}
    pulls = ({**pull, "head_ref": "claude/issue-1-x"}, {**pull, "head_ref": "claude/issue-1-y"})
    branches = ("refs/heads/main", "refs/heads/claude/issue-1-x", "refs/heads/claude/issue-1-y")
    found = faults([repository(issue(1, "a"), pulls=pulls, branches=branches)], TRUTHS)
    assert found == ["acme/ledger: issue #1 has 2 pull requests", "acme/ledger: issue #1 has 2 branches"]


def test_an_incident_without_an_issue_is_a_fault() -> None:
    found = faults([repository(issue(1, "a"))], [*TRUTHS, Truth("two", "ledger", "stg_b")])
    assert "acme/ledger: no issue names stg_b, where incident two was" in found


def test_tallies_that_disagree_say_where() -> None:
    one, two = tally([repository(issue(1, "a"))]), tally([repository(issue(1, "a"), issue(2, "b"))])
    assert differences(one, two)[0] == ("ledger: category:code_fix_required: 2 instead of the 1 of an undisturbed run")


def test_processes_of_a_home_are_found_with_their_children(tmp_path: Path) -> None:
    sleeps = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'], cwd='/')"
    parent = subprocess.Popen([sys.executable, "-c", sleeps, str(tmp_path)], start_new_session=True)
    try:
        deadline = time.monotonic() + 10
        while len(found := processes_of(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert parent.pid in [process.pid for process in found]
        assert parent.pid in [process.parent for process in found]
    finally:
        for process in processes_of(tmp_path):
            subprocess.run(["kill", "-9", str(process.pid)], check=True)
        parent.wait()
    assert processes_of(tmp_path) == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_demo_that_is_killed_twice_ends_like_one_that_was_not(tmp_path: Path) -> None:
    assert run(tmp_path, kills=2, seed=3, world_seed=1, port=5330, tell=print) == []
