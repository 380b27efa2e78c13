"""dbt in one long-lived process: a warm invocation takes under a second where a fresh process takes five.

One JSON object a line comes in (``arguments``, ``directory``, ``environment``) and one goes out (``exit_code``,
``log``). The database file is closed, and written to disk in full, after each invocation.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .lifeline import die_with_parent


@dataclass(frozen=True)
class Invocation:
    """How one dbt command ended: dbt's exit code (0 good, 1 a node failed, 2 it could not run) and what it printed."""

    exit_code: int
    log: str


class WorkerDiedError(Exception):
    """The worker process ended in the middle of a command."""


class DbtWorker:
    """The parent's side; started with its first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def invoke(self, *arguments: str, directory: Path, environment: Mapping[str, str]) -> Invocation:
        """Run one dbt command; commands queue up."""
        with self._turn:
            process = self._started()
            assert process.stdin
            assert process.stdout
            request = {"arguments": arguments, "directory": str(directory), "environment": dict(environment)}
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except (OSError, ValueError):  # the pipe broke, or close() took it away
                answer = ""
            if not answer:
                self._process = None
                raise WorkerDiedError(f"the dbt worker ended during dbt {' '.join(arguments[:2])}: run it again")
            return Invocation(**json.loads(answer))

    def close(self) -> None:
        """End the process, in the middle of a command too; a later command starts another."""
        process, self._process = self._process, None
        if process:
            if self._turn.acquire(blocking=False):
                self._turn.release()
                if process.stdin:
                    process.stdin.close()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "da_agent_hub.sandbox.dbt_worker", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=_environment(),
            )
        return self._process


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
    }
    package = Path(__file__).resolve().parents[2]
    return {
        **kept,
        "PYTHONPATH": str(package),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",  # a worker that is killed leaves semaphores, and Python would say so
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_LOG_LEVEL_FILE": "none",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
        "TZ": "UTC",
    }


def serve(requests: IO[str], answers: IO[str]) -> None:
    """The child's side: answer until the parent closes the pipe."""
    from dbt.cli.main import dbtRunner

    json.dump = _dump  # type: ignore[assignment]  # dbt writes its artifacts with it, piece by piece: a third of a small project's time
    for line in requests:
        request = json.loads(line)
        answers.write(json.dumps(_invoke(dbtRunner, request)) + "\n")
        answers.flush()


def _dump(content: Any, file: IO[str], **options: Any) -> None:
    file.write(json.dumps(content, **options))


def _invoke(runner: Any, request: dict[str, Any]) -> dict[str, Any]:
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            result = runner().invoke(list(request["arguments"]))
        exit_code = 0 if result.success else (2 if result.exception else 1)
        if result.exception and str(result.exception) not in printed.getvalue():
            printed.write(f"{result.exception}\n")
    except BaseException:  # one broken command must not end the worker
        printed.write(traceback.format_exc())
        exit_code = 2
    _let_go_of_database()
    return {"exit_code": exit_code, "log": printed.getvalue()}


def _let_go_of_database() -> None:
    """dbt-duckdb keeps its connection for the life of the process, and with it the lock on the file."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()
    reset_adapters()


def main(arguments: Sequence[str]) -> None:
    """Entry point of the child; dbt's own printing must not mix with the answers."""
    # Ctrl-C reaches the whole foreground group; it is the parent's to say that this is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(arguments[0]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main(sys.argv[1:])
