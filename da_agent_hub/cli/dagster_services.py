"""Dagster on this machine: a home, and its code server, daemon and webserver as services."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import da_agent_hub

from ..config import CONFIG_VARIABLE
from .console import writable_folder, write_whole
from .services import Services, listens

DEFINITIONS = "da_agent_hub.definitions"
LOCATION = "da_agent_hub"
START_SECONDS = 90.0

_WITHOUT_A_FILE = """\
telemetry: {enabled: false}
nux: {enabled: false}
sensors: {use_threads: true, num_workers: 4, num_submit_workers: 4}
run_queue: {max_concurrent_runs: 4, dequeue_use_threads: true, dequeue_num_workers: 4}
run_monitoring: {enabled: true, max_runtime_seconds: 3600}
run_retries: {enabled: true, max_retries: 1}
"""


def prepare_home(folder: Path) -> Path:
    """A DAGSTER_HOME with the instance settings that the hub ships."""
    writable_folder(folder)
    shipped = Path(da_agent_hub.__file__).parents[1] / "dagster.yaml"
    text = shipped.read_text(encoding="utf-8") if shipped.is_file() else _WITHOUT_A_FILE
    write_whole(folder / "dagster.yaml", text)
    return folder


def dagster_environment(home: Path, config: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a Dagster process of this home must see."""
    return {
        **environ,
        "DAGSTER_HOME": str(home),
        CONFIG_VARIABLE: str(config),
        "PYTHONUNBUFFERED": "1",
        "DAGSTER_EVENT_BATCH_SIZE": environ.get("DAGSTER_EVENT_BATCH_SIZE", "50"),
        # dbt and Dagster are found where this Python is, whether or not its environment was activated.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]),
    }


def start_dagster(
    services: Services, environ: Mapping[str, str], folder: Path, *, code_port: int, ui_port: int | None
) -> str | None:
    """Start the code server, the daemon and, with a port for it, the webserver; returns the web address.

    Raises:
        Trouble: if one of them does not come up.
    """
    code = ["-m", DEFINITIONS, "-h", "127.0.0.1", "-p", str(code_port), "--location-name", LOCATION]
    services.start("dagster-code", [sys.executable, "-m", "dagster", "code-server", "start", *code], environ, folder)
    services.wait_until("Dagster's code server", lambda: listens(code_port), START_SECONDS)
    # One server for both: and under one name for ever, by which Dagster remembers its sensors.
    workspace = folder / "workspace.yaml"
    server = f"{{host: 127.0.0.1, port: {code_port}, location_name: {LOCATION}}}"
    write_whole(workspace, f"load_from:\n  - grpc_server: {server}\n")
    daemon = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)]
    services.start("dagster-daemon", daemon, environ, folder)
    if ui_port is None:
        return None
    web = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(ui_port), "-w", str(workspace)]
    services.start("dagster-webserver", web, environ, folder)
    services.wait_until("Dagster's webserver", lambda: listens(ui_port), START_SECONDS)
    return f"http://127.0.0.1:{ui_port}"
