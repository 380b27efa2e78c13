"""Long-running commands beside the hub's own process, each under a guard, with their output in log files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from .console import Trouble
from .guard import GRACE_SECONDS


@dataclass(frozen=True)
class Service:
    """A running command: ``log`` holds all that it wrote."""

    name: str
    log: Path
    guard: subprocess.Popen[bytes]

    @property
    def runs(self) -> bool:
        """Whether it is still there."""
        return self.guard.poll() is None

    def tail(self, lines: int = 3) -> str:
        """The end of its log, for a message."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])

    def await_end(self) -> None:
        """Wait for a guard that was told to end."""
        try:
            self.guard.wait(GRACE_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.guard.kill()
            self.guard.wait()


@dataclass
class Services:
    """Services that end together, at the latest when the process that started them ends, however it ends."""

    log_folder: Path
    started: list[Service] = field(default_factory=list)

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> Service:
        """Start a command under a guard; its log is started afresh."""
        log = self.log_folder / f"{name}.log"
        with log.open("wb") as output:
            guard = subprocess.Popen(
                [sys.executable, "-m", "da_agent_hub.cli.guard", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                cwd=folder,
                start_new_session=True,
            )
        service = Service(name, log, guard)
        self.started.append(service)
        return service

    def check(self) -> None:
        """Raise where a service has ended by itself.

        Raises:
            Trouble: which one, the end of its log, and where the log is.
        """
        for service in self.started:
            if not service.runs:
                raise Trouble(f"{service.name} has stopped; its log {service.log} ends with:\n{service.tail()}")

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds.

        Raises:
            Trouble: if a service ends meanwhile, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise Trouble(f"waited {seconds:.0f} s for {what}; the logs in {self.log_folder} say more")
            time.sleep(0.2)

    def stop(self) -> None:
        """End all of them and whatever they started, at the same time; safe to repeat."""
        for service in reversed(self.started):
            if service.guard.stdin is not None:
                service.guard.stdin.close()
        while self.started:
            self.started.pop().await_end()


def free_port(wanted: int | None = None) -> int:
    """A port of the loopback that nothing listens on: the one wanted, or any.

    Raises:
        Trouble: if the wanted one is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            raise Trouble(
                f"port {wanted} of 127.0.0.1 cannot be used ({os.strerror(error.errno or 0).lower()}): "
                "stop what uses it, or name another with --port"
            ) from None
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
