"""A warm dbt process: requests and answers as JSON lines, killed as a group when it hangs, started anew when it died."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ANSWER_BYTES = 32_000_000


class WorkerDiedError(Exception):
    """The dbt process ended, or was ended, before it answered; ``timed_out`` tells which."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class DbtProcess:
    """At most one living worker; the next request after a death starts another."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """The worker's answer.

        Raises:
            WorkerDiedError: where there is none within ``timeout`` seconds, or the process crashed.
        """
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process, timeout)
        except (BrokenPipeError, EOFError):
            said = self._last_words()
            self.end()
            raise WorkerDiedError(f"the dbt process ended without an answer{said}") from None
        except TimeoutError:
            self.end()
            raise WorkerDiedError(f"dbt took longer than {timeout:.0f} s and was ended", timed_out=True) from None
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def end(self) -> None:
        """Kill the process with everything it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            self._process.wait()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            with (self._directory / "worker.err").open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "da_agent_hub.adapters.dbt_worker"],
                    cwd=self._directory,
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
        assert self._process is not None
        return self._process

    def _line(self, process: subprocess.Popen[bytes], timeout: float) -> bytes:
        assert process.stdout is not None
        deadline = time.monotonic() + timeout
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not received.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk or len(received) > ANSWER_BYTES:
                    raise EOFError
                received += chunk
        return bytes(received)

    def _last_words(self) -> str:
        try:
            words = (self._directory / "worker.err").read_text(errors="replace").strip()[-500:]
        except OSError:
            words = ""
        return f": {words}" if words else ""
