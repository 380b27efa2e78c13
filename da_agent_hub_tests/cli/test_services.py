"""Services end with whoever started them, whatever they started themselves."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from da_agent_hub.cli.console import Trouble
from da_agent_hub.cli.guard import GRACE_SECONDS
from da_agent_hub.cli.services import Services, free_port, listens

# A command that starts a child of its own which ignores SIGTERM, and tells both ids.
STUBBORN = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""

STARTER = """
import sys, time
from pathlib import Path
from da_agent_hub.cli.services import Services
services = Services(Path(sys.argv[1]))
services.start("stubborn", [sys.executable, "-c", sys.argv[2]], {}, Path(sys.argv[1]))
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def ids_in(log: Path) -> list[int]:
    wait_for(lambda: log.exists() and log.read_text().count("\n"))
    return [int(word) for word in log.read_text().split()[:2]]


def test_stopping_leaves_no_process_behind_not_even_one_that_ignores_signals(tmp_path: Path) -> None:
    with Services(tmp_path) as services:
        services.start("stubborn", [sys.executable, "-c", STUBBORN], {}, tmp_path)
        ids = ids_in(tmp_path / "stubborn.log")
        assert all(alive(pid) for pid in ids)
    wait_for(lambda: not any(alive(pid) for pid in ids))


def test_services_are_stopped_within_one_grace_period_however_many_they_are(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, 1, flush=True); time.sleep(600)"
    with Services(tmp_path) as services:
        for name in ("one", "two", "three"):
            services.start(name, [sys.executable, "-c", deaf], {}, tmp_path)
        for name in ("one", "two", "three"):
            ids_in(tmp_path / f"{name}.log")
        started = time.monotonic()
    assert GRACE_SECONDS <= time.monotonic() - started < 2 * GRACE_SECONDS


def test_a_killed_starter_takes_its_services_and_their_children_along(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), STUBBORN])
    ids = ids_in(tmp_path / "stubborn.log")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_for(lambda: not any(alive(pid) for pid in ids))


def test_a_service_that_ends_by_itself_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Services(tmp_path) as services:
        services.start("short", [sys.executable, "-c", "print('no such workspace'); raise SystemExit(3)"], {}, tmp_path)
        with pytest.raises(Trouble, match=r"(?s)short has stopped.*no such workspace.*code 3"):
            services.wait_until("nothing", lambda: False, 20)


def test_what_was_waited_for_is_said_when_the_time_is_over(tmp_path: Path) -> None:
    with (
        Services(tmp_path) as services,
        pytest.raises(Trouble, match=rf"waited 0 s for the moon; the logs in {tmp_path}"),
    ):
        services.wait_until("the moon", lambda: False, 0.3)


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert listens(port)
        with pytest.raises(Trouble, match=rf"port {port} of 127\.0\.0\.1 cannot be used.*--port"):
            free_port(port)
    assert not listens(port)
    assert free_port(port) == port
