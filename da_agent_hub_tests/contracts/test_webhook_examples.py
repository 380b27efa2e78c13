"""Every webhook payload that GitHub's SDK publishes as an example is taken in without a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.adapters.webhook_payloads import GitHubDeliveries
from da_agent_hub.adapters.webhook_receiver import Receiver
from da_agent_hub.config import GitHubSettings, WebhookSettings
from da_agent_hub.domain.command import EventKind
from da_agent_hub.domain.issue import IssueRef, RepoRef
from da_agent_hub_tests.webhook_sender import GITHUB_SECRET, Sender, serve

from .prism import FOLDER

EXAMPLES = FOLDER / "node_modules" / "@octokit" / "webhooks-examples"
HUB = "the-hub"
NOW = datetime(2026, 11, 24, tzinfo=timezone.utc)

pytestmark = pytest.mark.node


def examples() -> list[tuple[str, str, dict[str, Any]]]:
    """File, event and payload of each example."""
    if not EXAMPLES.exists():
        pytest.skip(f"the examples are not installed: run `npm install` in {FOLDER.name}/ of the tests")
    found = []
    for file in sorted(EXAMPLES.glob("*/index.json")):
        for one in json.loads(file.read_text()):
            found += [(file.parent.name, one["name"], payload) for payload in one["examples"]]
    return found


def repo_of(payload: dict[str, Any]) -> RepoRef | None:
    told = payload.get("repository")
    if not isinstance(told, dict) or "full_name" not in told:
        return None
    host = str(told["html_url"]).split("/")[2]
    return RepoRef.parse(f"{host}/{told['full_name']}")


@pytest.fixture
def received(tmp_path: Path) -> Iterator[tuple[Sender, SqlRecordStore, list[str]]]:
    """A receiver that monitors every repository of the examples, all pull requests being fixes of issue 7."""
    repos = {repo for _, _, payload in examples() if (repo := repo_of(payload))}
    store = open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")
    lines: list[str] = []
    deliveries = GitHubDeliveries(
        repos={repo: GitHubSettings(host=repo.host, token=SecretStr("a-token")) for repo in repos},
        logins={repo.host: frozenset({HUB}) for repo in repos},
        issue_of_pull_request=lambda key: str(IssueRef(IssueRef.parse(key).repo, 7)),
    )
    settings = WebhookSettings(github_secrets=[SecretStr(GITHUB_SECRET)])
    with serve(Receiver(settings, deliveries, (), lambda: store, lambda: NOW, lines.append).app()) as sender:
        yield sender, store, lines
    store.close()


def rows(store: SqlRecordStore, key: str) -> int:
    return len(store.event_outcomes(key))


def test_all_of_them_are_answered_and_none_is_an_error(received: tuple[Sender, SqlRecordStore, list[str]]) -> None:
    sender, store, lines = received
    sent = examples()
    assert len(sent) > 500
    wrong = []
    for place, name, payload in sent:
        answer = sender.github(name, payload)
        if answer.status_code != (200 if name == "ping" else 202):
            wrong.append((place, name, answer.status_code, answer.text))
    assert wrong == []
    assert len(lines) == len(sent)
    # The examples speak to no hub: what is left are merges, and dispatches, which are kept.
    kinds = {event.kind for key in store.pending_issues() for event in store.pending_events(key)}
    assert kinds <= {EventKind.LOOK}


def asks(name: str, payload: dict[str, Any]) -> bool:
    """Turn an example into what a person asks of the hub, where its event and action can be that."""
    action = payload.get("action")
    said = payload.get("comment") or payload.get("review")
    if name in ("issue_comment", "pull_request_review_comment", "pull_request_review"):
        if action not in ("created", "edited", "submitted") or not isinstance(said, dict):
            return False
        said["body"], said["user"] = "@claude explain", {"login": "ann", "type": "User"}
        return True
    if name != "issues":
        return False
    payload["sender"] = {"login": "ann", "type": "User"}
    if action in ("opened", "edited"):
        payload["issue"]["body"], payload["issue"]["user"] = "Hi @claude, investigate", {"login": "ann"}
    elif action == "labeled":
        payload["label"] = {"name": "claude:fix"}
    elif action == "assigned":
        payload["assignee"] = {"login": HUB}
    elif action in ("closed", "reopened"):
        payload["issue"]["labels"] = [{"name": "dbt-error"}]
    else:
        return False
    return True


def test_those_that_ask_something_leave_exactly_one_row_each(
    received: tuple[Sender, SqlRecordStore, list[str]],
) -> None:
    sender, store, _ = received
    asked: dict[str, int] = {}
    kinds: set[tuple[str, str]] = set()
    for number, (_, name, payload) in enumerate(examples()):
        if not asks(name, payload):
            continue
        subject = payload.get("issue") or payload["pull_request"]
        on_pull = "issue" not in payload or subject.get("pull_request") is not None
        key = str(IssueRef(repo_of(payload) or RepoRef("", ""), 7 if on_pull else subject["number"]))
        asked[key] = asked.get(key, 0) + 1
        kinds.add((name, payload["action"]))
        for _ in range(2):
            assert sender.github(name, payload, delivery=f"d-{number}").status_code == 202
        assert rows(store, key) == asked[key], (name, payload["action"])
    assert {name for name, _ in kinds} == {
        "issues", "issue_comment", "pull_request_review", "pull_request_review_comment",
    }  # fmt: skip
    assert sum(asked.values()) > 20
