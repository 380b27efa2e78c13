"""The folder that a demo lives in: what it was made with, and one demo at a time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .console import Trouble, writable_folder, write_whole
from .guard import GRACE_SECONDS
from .services import free_port, listens

FIRST_PORT = 4820


@dataclass(frozen=True)
class DemoHome:
    """``port`` is in the links of every issue of the sandbox, so that it stays; Dagster has the two after it."""

    folder: Path
    seed: int
    port: int

    @property
    def ui_port(self) -> int:
        """Where Dagster's UI listens."""
        return self.port + 1

    @property
    def code_port(self) -> int:
        """Where Dagster's code server listens."""
        return self.port + 2

    @property
    def config(self) -> Path:
        """The hub.yaml of this home."""
        return self.folder / "hub.yaml"

    @property
    def dagster(self) -> Path:
        """The DAGSTER_HOME of this home."""
        return self.folder / "dagster"

    @property
    def sandbox(self) -> Path:
        """What the sandbox keeps."""
        return self.folder / "sandbox"

    @property
    def logs(self) -> Path:
        """What the services write."""
        return self.folder / "logs"


def open_home(
    folder: Path, seed: int | None, port: int | None, *, ports: int = 3, movable: bool = False
) -> tuple[DemoHome, ExitStack]:
    """Make or find a home, and hold it and its ports until what is returned is closed, or this process ends.

    ``ports`` is how many from the first on must be free; of several, the one after the last is held as well. What is
    in a ``movable`` home is made anew each time, so that it goes to the port that is asked for, or to a free one.

    Raises:
        Trouble: if it cannot be written, is in use, is broken, or was made with another seed or port.
    """
    folder = writable_folder(folder.absolute())
    with ExitStack() as held:
        held.enter_context(_hold(folder))
        home = _home(folder, seed, port, ports, held, movable)
        writable_folder(home.logs)
        return home, held.pop_all()


def _home(folder: Path, seed: int | None, port: int | None, ports: int, held: ExitStack, movable: bool) -> DemoHome:
    known = folder / "demo.json"
    if movable and known.exists():
        before = _remembered(known, folder)
        if port != before.port and (port is not None or listens(before.port)):
            known.unlink()
    if not known.exists():
        home = DemoHome(
            folder, seed if seed is not None else 1, _claim(port, ports, held) if port else _free_ports(ports, held)
        )
        write_whole(known, json.dumps({"seed": home.seed, "port": home.port}) + "\n")
        return home
    home = _remembered(known, folder)
    if seed is not None and seed != home.seed:
        raise Trouble(f"{folder} was made with --seed {home.seed}: leave --seed out, or name another --home")
    if port is not None and port != home.port:
        raise Trouble(
            f"{folder} was made on port {home.port}, and the links of its issues say so: leave --port out, "
            "or name another --home"
        )
    _need_ports(home, ports, held)
    return home


def _remembered(known: Path, folder: Path) -> DemoHome:
    try:
        content = json.loads(known.read_text(encoding="utf-8"))
        return DemoHome(folder, int(content["seed"]), int(content["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise Trouble(f"{known} is broken: remove {folder} and start again, or name another --home") from None


def _need_ports(home: DemoHome, ports: int, held: ExitStack) -> None:
    # A demo that was killed a moment ago still ends what it started.
    deadline = time.monotonic() + GRACE_SECONDS + 1
    while taken := [port for port in range(home.port, home.port + ports) if listens(port)]:
        if time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        raise Trouble(
            f"port {taken[0]} of 127.0.0.1, which {home.folder} was made with, is in use: stop what uses it, "
            "or name another --home"
        )
    if ports > 1:
        held.enter_context(_claiming(home.port + ports))


def _hold(folder: Path) -> IO[str]:
    lock = (folder / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise Trouble(f"a demo runs in {folder} already (process {holder}): stop it, or name another --home") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _claim(port: int, ports: int, held: ExitStack) -> int:
    """Take ports for this process before anything listens there: making a world takes a minute, in which others look."""
    for number in range(ports):
        free_port(port + number)
    if ports > 1:
        held.enter_context(_claiming(port + ports))
    return port


def _claiming(port: int) -> socket.socket:
    claim = socket.socket()
    try:
        claim.bind(("127.0.0.1", port))
        claim.listen()
    except OSError:
        claim.close()
        raise Trouble(
            f"port {port} of 127.0.0.1 is in use, by which a demo holds the ports before it: stop what uses it, or "
            "name another --home with another --port"
        ) from None
    return claim


def _free_ports(ports: int, held: ExitStack) -> int:
    if ports == 1:
        return free_port()
    for port in range(FIRST_PORT, FIRST_PORT + 100, 10):
        with suppress(Trouble):
            return _claim(port, ports, held)
    raise Trouble(f"the ports {FIRST_PORT} to {FIRST_PORT + 99} of 127.0.0.1 are in use: name another with --port")
