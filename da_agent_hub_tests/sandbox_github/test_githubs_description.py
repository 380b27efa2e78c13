"""Every route of the sandbox's GitHub, once in good and often in bad cases, against GitHub's own description."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from da_agent_hub.sandbox.github.app import ENDPOINTS
from da_agent_hub.sandbox.github.apps import register_app, routes
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub_tests.contracts.github_description import (
    Exchange,
    Recorder,
    component_faults,
    need_description,
    operation_of,
    request_faults,
    response_faults,
)
from da_agent_hub_tests.sandbox_host import sandbox_world, serve_github

pytestmark = [pytest.mark.node, pytest.mark.slow]
REPO = "/repos/acme/shop"
# GitHub still answers these to older clients, PyGithub among them, and describes them no more.
UNDESCRIBED = ("matching-refs", "refs", "refs/{ref:path}")
# What GitHub's description calls the entries of a timeline; "commented" and the like are not told apart by a field.
ENTRIES = {
    "labeled": "labeled-issue-event",
    "unlabeled": "unlabeled-issue-event",
    "assigned": "timeline-assigned-issue-event",
    "unassigned": "timeline-unassigned-issue-event",
    "renamed": "renamed-issue-event",
    "closed": "state-change-issue-event",
    "reopened": "state-change-issue-event",
    "merged": "state-change-issue-event",
    "commented": "timeline-comment-event",
    "cross-referenced": "timeline-cross-referenced-event",
    "committed": "timeline-committed-event",
    "reviewed": "timeline-reviewed-event",
    "head_ref_deleted": "state-change-issue-event",
}


class Visitor:
    """Asks as one of the people, in JSON."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, method: str, path: str, body: Any = None, login: str | None = "hub") -> Any:
        answer = requests.request(
            method,
            f"{self.url}/api/v3{path}",
            json=body,
            headers={"Authorization": f"token token-of-{login}"} if login else {},
            timeout=30,
        )
        return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Exchange]:
    """All that passed in a tour of the whole API."""
    need_description()
    passed: list[Exchange] = []
    with serve_github(tmp_path_factory.mktemp("described"), lambda app: Recorder(app, passed)) as (state, url):
        sandbox_world(state, url, "shop")
        ask = Visitor(url)
        look_around(ask)
        talk(ask)
        propose(ask)
        be_an_app(url, state)
        go_wrong(ask)
        tag = requests.get(f"{url}/api/v3{REPO}/issues", timeout=30).headers["ETag"]
        requests.get(f"{url}/api/v3{REPO}/issues", headers={"If-None-Match": tag}, timeout=30)
        requests.head(f"{url}/api/v3{REPO}/issues", timeout=30)
    return passed


def look_around(ask: Visitor) -> None:
    for path in ("/user", "/users/alice", "/users/acme", "/rate_limit", REPO):
        ask("GET", path)
    for path in ("labels", "collaborators", "assignees", "branches", "branches/main", "commits", "contents"):
        ask("GET", f"{REPO}/{path}")
    for path in (
        "collaborators/alice",
        "collaborators/alice/permission",
        "assignees/alice",
        "contents/dbt_project.yml",
    ):
        ask("GET", f"{REPO}/{path}")
    ask("GET", "/users/alice", login=None)


def talk(ask: Visitor) -> None:
    ask("POST", f"{REPO}/labels", {"name": "dbt-error", "color": "b60205", "description": "A failure"})
    ask("PATCH", f"{REPO}/labels/dbt-error", {"new_name": "dbt-failure"})
    ask("GET", f"{REPO}/labels/dbt-failure")
    ask("POST", f"{REPO}/labels", {"name": "gone"})
    ask("DELETE", f"{REPO}/labels/gone")
    ask("POST", f"{REPO}/issues", {"title": "orders", "body": "Why", "labels": ["dbt-failure"], "assignees": ["alice"]})
    ask("POST", f"{REPO}/issues", {"title": "two", "body": "See #1"}, "rita")
    ask("PATCH", f"{REPO}/issues/1", {"title": "orders fail", "body": "Because"})
    ask("POST", f"{REPO}/issues/1/labels", {"labels": ["a", "b"]})
    ask("PUT", f"{REPO}/issues/1/labels", {"labels": ["a"]})
    ask("GET", f"{REPO}/issues/1/labels")
    ask("DELETE", f"{REPO}/issues/1/labels/a")
    ask("POST", f"{REPO}/issues/1/labels", {"labels": ["a"]})
    ask("DELETE", f"{REPO}/issues/1/labels")
    ask("DELETE", f"{REPO}/issues/1/assignees", {"assignees": ["alice"]})
    ask("POST", f"{REPO}/issues/1/assignees", {"assignees": ["hub"]})
    said = ask("POST", f"{REPO}/issues/1/comments", {"body": "@claude help"}, "alice")["id"]
    ask("PATCH", f"{REPO}/issues/comments/{said}", {"body": "@claude help me"}, "alice")
    ask("GET", f"{REPO}/issues/comments/{said}")
    for subject in (f"issues/comments/{said}", "issues/1"):
        for _ in range(2):
            given = ask("POST", f"{REPO}/{subject}/reactions", {"content": "eyes"})["id"]
        ask("GET", f"{REPO}/{subject}/reactions")
        ask("DELETE", f"{REPO}/{subject}/reactions/{given}")
    gone = ask("POST", f"{REPO}/issues/1/comments", {"body": "oops"})["id"]
    ask("DELETE", f"{REPO}/issues/comments/{gone}")
    ask("PATCH", f"{REPO}/issues/1", {"state": "closed", "state_reason": "not_planned"})
    ask("GET", f"{REPO}/issues/1")
    ask("PATCH", f"{REPO}/issues/1", {"state": "open"})
    for path in (
        "issues?state=all&sort=updated&direction=desc&since=2020-01-01T00:00:00Z&labels=a",
        "issues?page=2&per_page=1",
    ):
        ask("GET", f"{REPO}/{path}")
    for path in (
        "issues/comments?sort=updated",
        "issues/1/comments",
        "issues/events",
        "issues/1/events",
        "issues/1/timeline",
    ):
        ask("GET", f"{REPO}/{path}")
    ask("GET", f"{REPO}/issues/events/{ask('GET', f'{REPO}/issues/1/events')[0]['id']}")
    ask("GET", "/search/issues?q=repo:acme/shop orders")


def propose(ask: Visitor) -> None:
    main = ask("GET", f"{REPO}/git/ref/heads/main")["object"]["sha"]
    blob = ask("POST", f"{REPO}/git/blobs", {"content": base64.b64encode(b"select 1\n").decode(), "encoding": "base64"})
    ask("GET", f"{REPO}/git/blobs/{blob['sha']}")
    entries = [{"path": "models/orders.sql", "mode": "100644", "type": "blob", "sha": blob["sha"]}]
    base = ask("GET", f"{REPO}/git/commits/{main}")["tree"]["sha"]
    tree = ask("POST", f"{REPO}/git/trees", {"base_tree": base, "tree": entries})
    ask("GET", f"{REPO}/git/trees/{tree['sha']}?recursive=1")
    new = {"message": "Fix", "tree": tree["sha"], "parents": [main]}
    fix = ask("POST", f"{REPO}/git/commits", new)["sha"]
    ask("POST", f"{REPO}/git/refs", {"ref": "refs/heads/claude/issue-1-fix", "sha": main})
    ask("PATCH", f"{REPO}/git/refs/heads/claude/issue-1-fix", {"sha": fix, "force": True})
    ask("POST", f"{REPO}/git/refs", {"ref": "refs/heads/gone", "sha": main})
    ask("DELETE", f"{REPO}/git/refs/heads/gone")
    ask("GET", f"{REPO}/git/matching-refs/heads/claude")
    ask("GET", f"{REPO}/commits/{fix}")
    ask("GET", f"{REPO}/compare/main...claude/issue-1-fix")
    wanted = {"title": "Fix", "body": "Closes #1", "head": "claude/issue-1-fix", "base": "main", "draft": False}
    number = ask("POST", f"{REPO}/pulls", wanted)["number"]
    ask("POST", f"{REPO}/pulls", wanted)
    ask("PATCH", f"{REPO}/pulls/{number}", {"title": "Fix it"})
    for path in ("", "/files", "/commits", "/merge", "/reviews"):
        ask("GET", f"{REPO}/pulls/{number}{path}")
    ask("POST", f"{REPO}/issues/{number}/comments", {"body": "Good"}, "alice")
    ask("GET", f"{REPO}/pulls?state=all&head=acme:claude/issue-1-fix&sort=created&direction=desc")
    ask("POST", f"{REPO}/pulls/{number}/reviews", {"event": "APPROVE", "body": "Fine"}, "alice")
    ask("GET", f"{REPO}/pulls/{number}/reviews")
    said = {"body": "Why?", "path": "models/orders.sql", "line": 1, "commit_id": fix}
    on_line = ask("POST", f"{REPO}/pulls/{number}/comments", said, "alice")["id"]
    ask("POST", f"{REPO}/pulls/{number}/comments", {**said, "path": "absent"}, "alice")
    assert "commit_id" in str(ask("POST", f"{REPO}/pulls/{number}/comments", {**said, "commit_id": None}, "alice"))
    ask("GET", f"{REPO}/pulls/{number}/comments")
    for _ in range(2):
        ask("POST", f"{REPO}/pulls/comments/{on_line}/reactions", {"content": "eyes"})
    ask("GET", f"{REPO}/issues/{number}/timeline")
    ask("PUT", f"{REPO}/pulls/{number}/merge", {}, "alice")
    ask("DELETE", f"{REPO}/git/refs/heads/claude/issue-1-fix")
    for path in (f"pulls/{number}", f"pulls/{number}/merge", f"issues/{number}", "issues/1", "readme"):
        ask("GET", f"{REPO}/{path}")
    for one in (1, number):
        ask("GET", f"{REPO}/issues/{one}/timeline")
        ask("GET", f"{REPO}/issues/{one}/events")
    entries[0] = {"path": "README.md", "mode": "100644", "type": "blob", "content": "# Shop\n"}
    head = ask("GET", f"{REPO}/git/ref/heads/main")["object"]["sha"]
    told = ask("POST", f"{REPO}/git/trees", {"base_tree": head, "tree": entries})["sha"]
    new = {"message": "Say", "tree": told, "parents": [head]}
    ask("PATCH", f"{REPO}/git/refs/heads/main", {"sha": ask("POST", f"{REPO}/git/commits", new)["sha"]})
    ask("GET", f"{REPO}/readme")


def be_an_app(url: str, state: GitHubState) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    app, installation = register_app(state, "hub-app", public)
    now = int(time.time())
    assertion = jwt.encode({"iat": now - 10, "exp": now + 300, "iss": str(app)}, private, algorithm="RS256")
    for method, path in (
        ("GET", "app"),
        ("GET", "app/installations"),
        ("POST", f"app/installations/{installation}/access_tokens"),
        ("POST", "app/installations/999/access_tokens"),
    ):
        for header in (f"Bearer {assertion}", "Bearer nothing"):
            requests.request(method, f"{url}/api/v3/{path}", headers={"Authorization": header}, timeout=30)


def go_wrong(ask: Visitor) -> None:
    for path in ("/nothing", "/users/nobody", "/repos/acme/absent", f"{REPO}/issues/999", f"{REPO}/branches/absent"):
        ask("GET", path)
    for path in ("contents/absent", "commits/absent", "git/ref/heads/absent", "pulls/1", "labels/absent", "issues/1x"):
        ask("GET", f"{REPO}/{path}")
    ask("GET", "/user", login="mallory")
    ask("GET", "/user", login=None)
    ask("POST", f"{REPO}/issues", {}, None)
    for login in ("rita", "hub"):
        ask("POST", f"{REPO}/issues", {"title": ""}, login)
        ask("POST", f"{REPO}/issues", {"title": "t", "body": "b" * 65_537}, login)
        ask("POST", f"{REPO}/issues", {"title": 7}, login)
        ask("POST", f"{REPO}/labels", {"name": "a"}, login)
        ask("POST", f"{REPO}/issues/1/assignees", {"assignees": ["nobody"]}, login)
        ask("PATCH", f"{REPO}/issues/1", {"state": "gone"}, login)
        ask("POST", f"{REPO}/issues/1/reactions", {"content": "shrug"}, login)
        ask("POST", f"{REPO}/git/refs", {"ref": "refs/heads/main", "sha": "0" * 40}, login)
        ask("POST", f"{REPO}/git/trees", {"tree": [{"path": "../x", "mode": "100644", "content": ""}]}, login)
        ask("POST", f"{REPO}/pulls", {"title": "t", "head": "absent", "base": "main"}, login)
        ask("GET", f"{REPO}/collaborators/alice/permission", login=login)
        ask("PUT", f"{REPO}/pulls/1/merge", {}, login)
    ask("GET", f"{REPO}/issues?since=yesterday")
    ask("GET", "/search/issues?q=")
    ask("POST", f"{REPO}/nothing", {})


def test_every_answer_has_the_shape_and_the_status_that_github_describes(recorded: list[Exchange]) -> None:
    faults = [fault for one in recorded for fault in response_faults(one)]
    assert not faults, "\n".join(sorted(set(faults)))


def test_each_entry_of_a_timeline_has_the_shape_of_its_kind(recorded: list[Exchange]) -> None:
    timelines = [json.loads(one.body) for one in recorded if one.path.endswith("/timeline")]
    entries = [entry for timeline in timelines for entry in timeline]
    faults = {fault for entry in entries for fault in component_faults(ENTRIES[entry["event"]], entry)}
    assert not faults, "\n".join(sorted(faults))
    assert {entry["event"] for entry in entries} == ENTRIES.keys()


def test_no_route_is_left_out_and_each_is_one_of_githubs(recorded: list[Exchange], tmp_path: Path) -> None:
    tmp_state = GitHubState(tmp_path)
    of_apps = [(sorted(one.methods or ())[0], one.path.removeprefix("/api/v3")) for one in routes(tmp_state)]
    served = [*((method, path) for method, path, _ in ENDPOINTS), *of_apps]
    done = [(one.method, one.path) for one in recorded if one.status < 400]
    missing = []
    undescribed = [("GET", f"/repos/{{owner}}/{{repo}}/git/{name}") for name in UNDESCRIBED]
    for method, path in served:
        if (method, path) in undescribed:
            continue
        pattern = re.sub(r"\{\w+:path\}", ".+", re.sub(r"\{\w+:int\}", r"\\d+", path))
        pattern = re.sub(r"\{\w+\}", "[^/]+", pattern)
        if not any(method == asked and re.fullmatch(pattern, place) for asked, place in done):
            missing.append(f"{method} {path}")
    assert missing == []
    assert [str(one) for one in recorded if one.status < 400 and operation_of(one) is None] == []


def test_the_check_itself_finds_what_is_wrong(recorded: list[Exchange]) -> None:
    (whole, *_) = [
        one for one in recorded if one.path == f"{REPO}/issues/1" and one.status == 200 and one.method == "GET"
    ]
    issue = json.loads(whole.body)

    def answered(**changes: Any) -> list[str]:
        told = {name: value for name, value in {**issue, **changes}.items() if value != "absent"}
        return list(response_faults(Exchange(**{**vars(whole), "body": json.dumps(told).encode()})))

    assert answered() == []
    assert answered(state_reason=None) == []
    assert "'id' is a required property" in answered(id="absent")[0]
    assert "labels" in answered(labels=[7])[0]
    assert "state_reason" in answered(state_reason="bored")[0]
    assert answered(title=None) != []
    asked = Exchange("POST", f"{REPO}/issues", "", b'{"title": "t"}', 201, {}, b"")
    assert list(request_faults(asked)) == []
    for wrong in (
        {"sent": b'{"body": "b"}'},
        {"sent": b'{"title": "t", "colour": "red"}'},
        {"sent": b""},
        {"query": "page=1"},
        {"path": "/repos/acme/shop/problems"},
        {"method": "PUT"},
    ):
        assert list(request_faults(Exchange(**{**vars(asked), **wrong}))) != []  # type: ignore[arg-type]
