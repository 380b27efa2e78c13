"""The sandbox's one server: GitHub, and dbt Cloud where the folder holds a finished world, on one port of loopback.

python -m da_agent_hub.sandbox.server --home DIR --port N
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from .dbt_cloud import DbtCloud
from .dbt_cloud_page import run_page
from .github.app import create_app as create_github
from .github.faults import Faults
from .github.state import GitHubState, StateError
from .lifeline import end_group_with_input
from .world import SandboxError, load_world

HOST = "127.0.0.1"
_HEALTHY_WITHIN = 60.0


def create_app(home: Path, identity: str = "", *, faults: bool = False) -> Starlette:
    """Everything that ``home`` holds, as one application; ``identity`` tells this server from any other.

    With ``faults``, tests can order them over HTTP (see ``github.faults``).
    """
    state = GitHubState(home / "github")
    world = load_world(home) if (home / "world.json").exists() else None
    cloud = DbtCloud(world) if world else None

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "status": "ok",
                "identity": identity,
                "pid": os.getpid(),
                "home": str(home.resolve()),
                "dbt_cloud": cloud is not None,
            }
        )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if cloud:
            cloud.queue.start()
        try:
            yield
        finally:
            if cloud:
                cloud.queue.stop()

    routes: list[BaseRoute] = [Route("/healthz", health), *((*cloud.routes(), run_page(cloud)) if cloud else ())]
    return Starlette(
        routes=[*routes, Mount("/", create_github(state, faults=Faults() if faults else None))], lifespan=lifespan
    )


class SandboxServer:
    """The server as a process of its own, which ends with this one; use it as a context manager.

    Entering it waits until the server answers; raises ``SandboxError`` where the port is taken or the folder is unfit.
    With ``faults``, tests can order what goes wrong on its GitHub.
    """

    def __init__(self, home: Path, port: int, *, faults: bool = False) -> None:
        self.home = home.resolve()
        self.port = port
        self.faults = faults
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process, which leads a group of its own."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start and wait until healthy."""
        _check_port(self.port)
        log = self.home / "server.log"
        self.home.mkdir(parents=True, exist_ok=True)
        package = Path(__file__).resolve().parents[2]
        inherited = os.environ.get("PYTHONPATH")
        identity = secrets.token_hex(16)
        options = ["--home", str(self.home), "--port", str(self.port), "--identity", identity]
        options += ["--faults"] if self.faults else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "da_agent_hub.sandbox.server", *options, "--with-parent"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{inherited}" if inherited else str(package)},
            )
        deadline = time.monotonic() + _HEALTHY_WITHIN
        while not _healthy(self.url, identity):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                raise SandboxError(f"the sandbox's server did not start on port {self.port}: {last[0]} (see {log})")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server and all that it started; once it has ended, this does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()

    def __enter__(self) -> SandboxServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _healthy(url: str, identity: str) -> bool:
    """Whether the very server that was started answers: another one may have taken the port first."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:  # noqa: S310  our own loopback server
            told = json.loads(answer.read(10_000))
    except (OSError, ValueError, HTTPException):
        return False
    return isinstance(told, dict) and told.get("identity") == identity


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SandboxError(
                f"port {port} on {HOST} cannot be used ({error.strerror}): give another with --port"
            ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to end; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m da_agent_hub.sandbox.server", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the sandbox's folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--identity", default="", help="a word that /healthz answers with")
    parser.add_argument(
        "--with-parent", action="store_true", help="end, with all that was started, when standard input does"
    )
    parser.add_argument("--faults", action="store_true", help="let tests order faults of GitHub over HTTP")
    options = parser.parse_args(arguments)
    if options.with_parent:
        end_group_with_input()
    try:
        _check_port(options.port)
        app = create_app(options.home, options.identity, faults=options.faults)
    except (SandboxError, StateError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    uvicorn.run(app, host=HOST, port=options.port, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
