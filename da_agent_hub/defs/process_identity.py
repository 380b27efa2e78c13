"""Names a process so that another on the same machine can tell whether it still lives."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import lru_cache
from pathlib import Path


def this_process() -> str:
    """``machine:pid:start``; a process number that is used again has another start."""
    return f"{_machine()}:{os.getpid()}:{_start(os.getpid())}"


def is_dead(holder: str) -> bool:
    """Whether the named process is provably gone; of another machine nothing is known, so False."""
    machine, pid, start = _parts(holder)
    return machine == _machine() and pid.isdigit() and bool(start) and _start(int(pid)) != start


def is_of_earlier_boot(holder: str) -> bool:
    """Whether the named process ran on this host before it was booted (or before this container was made)."""
    machine, _, _ = _parts(holder)
    return machine != _machine() and machine.partition("/")[0] == socket.gethostname()


def _parts(holder: str) -> tuple[str, str, str]:
    machine, _, rest = holder.partition(":")
    pid, _, start = rest.partition(":")
    return machine, pid, start


@lru_cache(maxsize=1)
def _machine() -> str:
    # Two machines or containers may share a host name; process numbers mean nothing across boots and namespaces.
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _start(pid: int) -> str:
    """When a process began, in the system's own words; empty where there is none or it only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _start_from_ps(pid)
    except OSError:
        return ""
    # The command, in parentheses, may hold anything; https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]


def _start_from_ps(pid: int) -> str:
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "-".join(answer.stdout.split()).replace(":", ".")
