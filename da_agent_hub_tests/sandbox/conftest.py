"""A world for all tests here: its first making is killed half-way, the second finishes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from da_agent_hub.sandbox.world import World, make_world


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("sandbox") / "home"
    killed = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from da_agent_hub.sandbox.world import make_world; "
            "make_world(Path(sys.argv[1]))",
            str(home),
        ]
    )
    runs = home / "dbt_cloud" / "runs"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (runs.exists() and len(list(runs.iterdir())) >= 3):
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    assert not (home / "world.json").exists()
    return make_world(home)
