"""A real Postgres server of one's own, on loopback, for as long as a test run lasts."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres_server() -> Iterator[str]:
    """Its URL, without a driver; skips where the binaries are missing."""
    binaries = {name: shutil.which(name) for name in ("initdb", "pg_ctl")}
    if None in binaries.values():
        pytest.skip("Postgres binaries (initdb, pg_ctl) are not on the PATH")
    directory = Path(tempfile.mkdtemp(prefix="hub-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # Postgres refuses root
        if not shutil.which("setpriv"):
            pytest.skip("Postgres refuses root, and setpriv is missing")
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        as_user = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd=directory, stdout=subprocess.DEVNULL, timeout=60)

    cluster = str(directory / "cluster")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off"
    try:
        run(binaries["initdb"], "-D", cluster, "-U", "hub", "-A", "trust", "-E", "UTF8", "--no-sync")
        run(binaries["pg_ctl"], "-D", cluster, "-w", "-l", str(directory / "log"), "-o", options, "start")
        try:
            yield f"postgresql://hub@127.0.0.1:{port}/postgres"
        finally:
            run(binaries["pg_ctl"], "-D", cluster, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
