"""The warm dbt process of the sandbox."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from da_agent_hub.sandbox.dbt_worker import DbtWorker


@pytest.mark.slow
def test_ctrl_c_is_left_to_the_process_that_started_the_worker(tmp_path: Path) -> None:
    worker = DbtWorker()
    try:
        assert worker.invoke("--version", directory=tmp_path, environment={}).exit_code == 0
        child = worker._process
        assert child is not None
        os.kill(child.pid, signal.SIGINT)
        assert worker.invoke("--version", directory=tmp_path, environment={}).exit_code == 0
        assert worker._process is child
        assert child.poll() is None
    finally:
        worker.close()
