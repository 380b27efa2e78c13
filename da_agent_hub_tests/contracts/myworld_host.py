"""A GitHub that somebody else wrote: PyPI's ``myworld``, with faults to order, as a process on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.config import GitHubSettings
from da_agent_hub.domain.issue import IssueRef, RepoRef
from da_agent_hub.ports import IssueTracker
from da_agent_hub_tests.sandbox_host import PEOPLE, World

_FIRST_COMMIT = {"dbt_project.yml": "name: shop\n"}


@dataclass(frozen=True)
class Company:
    """One GitHub of this host, with the repository ``acme/shop`` and the people of the contract."""

    url: str
    host: str
    tokens: Mapping[str, str]
    server: str

    @property
    def repo(self) -> RepoRef:
        return RepoRef("acme", "shop", self.host)

    def tracker(self, login: str = "hub") -> GitHubTracker:
        base_url = f"{self.url}/gw/api.github.com"
        return GitHubTracker(GitHubSettings(host=self.host, base_url=base_url, token=SecretStr(self.tokens[login])))

    def world(self) -> World:
        def as_(login: str) -> IssueTracker:
            return self.tracker(login)

        return World(
            self.repo,
            as_,
            merge=lambda ref: self.ask("PUT", f"pulls/{ref.number}/merge", {}),
            assign=self._assign,
            force_push=self._force_push,
            review=lambda ref, said: self.ask(
                "POST", f"pulls/{ref.number}/reviews", {"event": "COMMENT", "body": said}
            ),
            comment_on_line=lambda ref, said: self.ask("POST", f"pulls/{ref.number}/comments", {"body": said}),
        )

    def ask(self, verb: str, place: str, body: Mapping[str, Any] | None = None, login: str = "alice") -> Any:
        """A request of a person's about the repository."""
        answer = requests.request(
            verb,
            f"{self.url}/gw/api.github.com/repos/acme/shop/{place}",
            json=body,
            headers={"Authorization": f"token {self.tokens[login]}"},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.json()

    def order(self, *faults: Mapping[str, Any]) -> None:
        """Faults in this host's own words: ``kind``, ``tool`` (an operation's name) and when."""
        requests.put(f"{self.url}/instances/{self.server}/faults", json=faults, timeout=10).raise_for_status()

    def _assign(self, ref: IssueRef, login: str) -> None:
        self.ask("PATCH", f"issues/{ref.number}", {"assignees": [login]})

    def _force_push(self, branch: str, file: str, text: str) -> str:
        raise NotImplementedError("this host has no git, and no API for it")


@contextmanager
def serve_myworld(home: Path) -> Iterator[str]:
    """The address of the host, which founds companies."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = home / "myworld.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "myworld.cli", "serve", "--port", str(port), "--log-level", "warning"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "HOME": str(home)},
        )
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"myworld did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


def found_company(url: str) -> Company:
    """A new GitHub that nobody else uses."""
    seed = {
        "viewer": "hub",
        "users": [{"login": login} for login in PEOPLE],
        "repos": [{"name": "acme/shop", "author": "hub", "files": _FIRST_COMMIT}],
    }
    spec = {
        "name": "company",
        "time": "realtime",
        "servers": {"github": {"seed": seed}},
        "agents": {login: {"identities": {"github": login}} for login in PEOPLE},
    }
    answer = requests.post(f"{url}/envs", json={"spec": spec}, timeout=30)
    answer.raise_for_status()
    made = answer.json()
    tokens = {login: str(given["github_token"]) for login, given in made["credentials"].items()}
    return Company(url, url.removeprefix("http://"), tokens, made["servers"]["github"]["instance"])


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False
