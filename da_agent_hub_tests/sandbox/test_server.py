"""The server as a process: it starts, says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from da_agent_hub.sandbox.github.faults import ADDRESS, Fault
from da_agent_hub.sandbox.server import SandboxServer
from da_agent_hub.sandbox.world import SandboxError


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def ends(pid: int, within: float = 10) -> bool:
    deadline = time.monotonic() + within
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


@pytest.mark.slow
def test_a_folder_without_a_world_serves_github_alone(tmp_path: Path, free_port: int) -> None:
    with SandboxServer(tmp_path, free_port) as server:
        assert requests.get(f"{server.url}/healthz", timeout=5).json()["dbt_cloud"] is False
        assert requests.get(f"{server.url}/api/v3/user", timeout=5).status_code == 401


@pytest.mark.slow
def test_stopping_ends_the_process_and_the_port_is_free_again(tmp_path: Path, free_port: int) -> None:
    server = SandboxServer(tmp_path, free_port)
    for _ in range(2):
        server.start()
        pid = server.pid
        assert pid
        server.stop()
        assert not alive(pid)
        server.stop()


def test_a_port_in_use_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"port {port} .* give another") as caught:
            SandboxServer(tmp_path, port).start()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_another_healthy_server_that_took_the_port_meanwhile_is_not_taken_for_this_one(tmp_path: Path) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status": "ok", "identity": ""}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    other = HTTPServer(("127.0.0.1", 0), Healthy, bind_and_activate=False)
    other.server_bind()  # bound and not yet listening: the port still looks free
    server = SandboxServer(tmp_path, other.server_port)

    def take_the_port() -> None:
        while server.pid is None:
            time.sleep(0.001)
        other.server_activate()
        other.serve_forever(0.05)

    taking = threading.Thread(target=take_the_port, daemon=True)
    taking.start()
    try:
        with pytest.raises(SandboxError, match=f"did not start on port {other.server_port}.* give another"):
            server.start()
    finally:
        server.stop()
        other.shutdown()
        taking.join()
        other.server_close()


@pytest.mark.slow
def test_a_server_whose_parent_is_killed_ends_too(tmp_path: Path, free_port: int) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from da_agent_hub.sandbox.server import SandboxServer\n"
            "server = SandboxServer(Path(sys.argv[1]), int(sys.argv[2])); server.start()\n"
            "print(server.pid, flush=True); time.sleep(60)",
            str(tmp_path),
            str(free_port),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert ends(pid)


@pytest.mark.slow
def test_faults_of_a_server_in_another_process_are_ordered_over_http(tmp_path: Path, free_port: int) -> None:
    with SandboxServer(tmp_path, free_port, faults=True) as server:
        ordered = [dataclasses.asdict(Fault("bad_gateway", path="/user"))]
        assert requests.put(f"{server.url}{ADDRESS}", json=ordered, timeout=5).status_code == 200
        assert [requests.get(f"{server.url}/api/v3/user", timeout=5).status_code for _ in range(2)] == [502, 401]
        assert requests.get(f"{server.url}{ADDRESS}", timeout=5).json()["struck"] == [["bad_gateway", "GET /user"]]
        for wrong in ([{"kind": "flood"}], [{"kind": "cut_body", "when": 1}], {}, [{}]):
            assert requests.put(f"{server.url}{ADDRESS}", json=wrong, timeout=5).status_code == 422
