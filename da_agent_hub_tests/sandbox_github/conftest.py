"""A running sandbox GitHub over real HTTP, with a small repository and four people."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import uvicorn
from github import Auth, Github
from github.Repository import Repository

from da_agent_hub.sandbox.github import GitHubState, create_app

TOKENS = {"ana": "token-of-ana", "wren": "token-of-wren", "eve": "token-of-eve", "hub[bot]": "token-of-hub"}
FILES = {"README.md": "# Shop\n", "models/orders.sql": "select 1 as id\n", "models/staging/payments.sql": "select 2\n"}


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git as a person would, with no settings of this machine."""
    done = subprocess.run(
        ["git", "-c", "user.name=Ana", "-c", "user.email=ana@shop.example", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout + done.stderr


def furnish(state: GitHubState) -> None:
    """Four people, one repository with one commit."""
    for login, token in TOKENS.items():
        state.create_user(login, token, kind="Bot" if login.endswith("[bot]") else "User")
    bare = state.create_repo("acme", "shop")
    state.grant("acme", "shop", "ana", "admin")
    state.grant("acme", "shop", "wren", "write")
    state.grant("acme", "shop", "hub[bot]", "write")
    work = state.home / "work"
    if not work.exists():
        work.mkdir()
        git(work, "init", "-q", "-b", "main")
        for path, text in FILES.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        git(work, "add", ".")
        git(work, "commit", "-qm", "Lay out the shop")
        git(work, "push", "-q", str(bare), "main")


@dataclass
class Site:
    """The server's address and what stands behind it."""

    root: str
    state: GitHubState

    def github(self, login: str) -> Github:
        """PyGithub as one of the people."""
        return Github(
            base_url=f"{self.root}/api/v3",
            auth=Auth.Token(TOKENS[login]),
            retry=0,
            seconds_between_requests=0,
            seconds_between_writes=0,
        )

    def repo(self, login: str = "hub[bot]") -> Repository:
        """The shop's repository as one of the people sees it."""
        return self.github(login).get_repo("acme/shop")

    def call(self, method: str, path: str, login: str | None = "hub[bot]", **options: object) -> requests.Response:
        """A bare request under ``/repos/acme/shop``, or anywhere with a leading slash of its own (``//user``)."""
        address = f"{self.root}/api/v3" + (path[1:] if path.startswith("//") else f"/repos/acme/shop{path}")
        headers = dict(options.pop("headers", None) or {})  # type: ignore[call-overload]
        if login:
            headers["Authorization"] = f"token {TOKENS[login]}"
        return requests.request(method, address, headers=headers, timeout=30, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished home, to be copied."""
    home = tmp_path_factory.mktemp("furnished") / "github"
    state = GitHubState(home)
    furnish(state)
    state.close()
    return home


@pytest.fixture
def site(tmp_path: Path, furnished: Path) -> Iterator[Site]:
    """A server in this process on a free port of loopback."""
    shutil.copytree(furnished, tmp_path / "github")
    state = GitHubState(tmp_path / "github")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(state, base_url=None), log_level="warning"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", state)
    server.should_exit = True
    serving.join(10)
    state.close()


_SERVE = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import uvicorn
    from da_agent_hub.sandbox.github import GitHubState, create_app
    uvicorn.run(create_app(GitHubState(Path(sys.argv[1]))), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
    """
)


class ServerProcess:
    """The server as a process of its own, to be killed."""

    def __init__(self, home: Path) -> None:
        self.state = GitHubState(home)
        furnish(self.state)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.site = Site(f"http://127.0.0.1:{self.port}", self.state)
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [sys.executable, "-c", _SERVE, str(self.state.home), str(self.port)]
        self.process = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.site.root}/api/v3/rate_limit", timeout=5).ok
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        """SIGKILL the server and every git that it runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server process with the same furnishing."""
    server = ServerProcess(tmp_path / "github")
    yield server
    server.kill()
