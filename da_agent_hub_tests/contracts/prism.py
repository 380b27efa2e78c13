"""Servers made from an OpenAPI description by Prism, which refuse whatever the description does not allow."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
DESCRIPTION = FOLDER / "dbt_cloud.openapi.yaml"
_PRISM = FOLDER / "node_modules" / ".bin" / "prism"


@contextmanager
def prism_server(description: Path = DESCRIPTION, *, before: str | None = None) -> Iterator[str]:
    """The URL of a server that answers with the description's examples, or stands ``before`` another server.

    In both cases a request that breaks the description is answered 4xx; before another server, an answer that breaks
    it is answered 5xx. Skips where Node or Prism is missing.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    if not _PRISM.exists():
        pytest.skip(f"Prism is not installed: run `npm install` in {FOLDER.name}/ of the tests")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mode = ["mock", str(description)] if before is None else ["proxy", str(description), before]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [node, str(_PRISM), *mode, "--errors", "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(port, server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: tempfile._TemporaryFileWrapper[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    log.seek(0)
    raise RuntimeError(f"Prism did not start:\n{log.read()[-2000:]}")
