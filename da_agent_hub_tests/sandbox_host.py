"""The sandbox's GitHub on loopback, with a repository and people, for tests of whatever speaks to GitHub."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.config import GitHubSettings
from da_agent_hub.domain.issue import IssueRef, RepoRef
from da_agent_hub.ports import IssueTracker
from da_agent_hub.sandbox.github.app import create_app
from da_agent_hub.sandbox.github.faults import Faults
from da_agent_hub.sandbox.github.state import GitHubState

PEOPLE = {"hub": "admin", "alice": "write", "rita": "read"}


@dataclass(frozen=True)
class World:
    """A host with a repository: ``as_`` gives the tracker of a person's token, ``hub`` the hub's own.

    ``review`` and ``comment_on_line`` are what a person says of a pull request that changes ``models/orders.sql``;
    ``force_push`` puts one commit of a person's in place of whatever is on a branch: branch, path, text, to its SHA.
    """

    repo: RepoRef
    as_: Callable[[str], IssueTracker]
    merge: Callable[[IssueRef], None]
    assign: Callable[[IssueRef, str], None]
    force_push: Callable[[str, str, str], str]
    review: Callable[[IssueRef, str], object]
    comment_on_line: Callable[[IssueRef, str], object]

    @property
    def hub(self) -> IssueTracker:
        return self.as_("hub")


@contextmanager
def serve_github(
    home: Path,
    around: Callable[[ASGIApp], ASGIApp] | None = None,
    *,
    faults: Faults | None = None,
    per_hour: int | None = None,
) -> Iterator[tuple[GitHubState, str]]:
    """The sandbox's GitHub on a free port: its state and its address; ``around`` sees all that passes."""
    state = GitHubState(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    app: ASGIApp = create_app(state, base_url=url, faults=faults, per_hour=per_hour)
    server = uvicorn.Server(uvicorn.Config(around(app) if around else app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    for login in PEOPLE:
        state.create_user(login, f"token-of-{login}")
    try:
        yield state, url
    finally:
        server.should_exit = True
        thread.join(10)


def settings_of(url: str, login: str) -> GitHubSettings:
    return GitHubSettings(
        host=url.removeprefix("http://"), base_url=f"{url}/api/v3", token=SecretStr(f"token-of-{login}")
    )


def sandbox_world(state: GitHubState, url: str, name: str) -> World:
    """A new repository with a first commit, and its people."""
    host = url.removeprefix("http://")
    path = state.create_repo("acme", name)
    for login, permission in PEOPLE.items():
        state.grant("acme", name, login, permission)
    _first_commit(path)
    repo = RepoRef("acme", name, host)

    def as_(login: str) -> IssueTracker:
        return GitHubTracker(settings_of(url, login))

    def call(verb: str, place: str, body: dict[str, object] | None = None) -> Any:
        answer = requests.request(
            verb,
            f"{url}/api/v3/repos/acme/{name}/{place}",
            json=body,
            headers={"Authorization": "token token-of-alice"},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.json()

    def comment_on_line(ref: IssueRef, said: str) -> object:
        head = call("GET", f"pulls/{ref.number}")["head"]["sha"]
        new = {"body": said, "path": "models/orders.sql", "line": 1, "commit_id": head}
        return call("POST", f"pulls/{ref.number}/comments", new)

    return World(
        repo,
        as_,
        merge=lambda ref: call("PUT", f"pulls/{ref.number}/merge", {}),
        assign=lambda ref, login: call("POST", f"issues/{ref.number}/assignees", {"assignees": [login]}),
        force_push=lambda branch, file, text: force_push(path, branch, file, text),
        review=lambda ref, said: call("POST", f"pulls/{ref.number}/reviews", {"event": "COMMENT", "body": said}),
        comment_on_line=comment_on_line,
    )


def force_push(bare: Path, branch: str, file: str, text: str) -> str:
    """One commit on ``main`` that changes one file and keeps the message of what was on the branch, as amending does."""
    git = ["git", "-C", str(bare), "-c", "user.name=Alice", "-c", "user.email=alice@example.com"]
    index = {**os.environ, "GIT_INDEX_FILE": str(bare / "index-of-alice")}

    def run(*arguments: str, given: str | None = None) -> str:
        done = subprocess.run([*git, *arguments], input=given, capture_output=True, text=True, check=True, env=index)
        return done.stdout.strip()

    run("read-tree", "main")
    blob = run("hash-object", "-w", "--stdin", given=text)
    run("update-index", "--add", "--cacheinfo", f"100644,{blob},{file}")
    message = run("log", "-1", "--format=%B", branch)
    made = run("commit-tree", run("write-tree"), "-p", "main", "-F", "-", given=message)
    run("update-ref", f"refs/heads/{branch}", made)
    return made


def _first_commit(bare: Path) -> None:
    """A commit on the default branch of an empty bare repository."""
    git = ["git", "-C", str(bare), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]

    def run(*arguments: str, text: str | None = None) -> str:
        done = subprocess.run([*git, *arguments], input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    blob = run("hash-object", "-w", "--stdin", text="name: shop\n")
    tree = run("mktree", text=f"100644 blob {blob}\tdbt_project.yml\n")
    run("update-ref", "refs/heads/main", run("commit-tree", tree, "-m", "Start"))
