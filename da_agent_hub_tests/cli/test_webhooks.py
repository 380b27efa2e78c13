"""`webhooks` as an operator starts it, and what the hub's inbox sensor makes of what it receives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.cli.services import free_port, listens
from da_agent_hub.domain.issue import IssueDraft
from da_agent_hub_tests.sandbox_host import sandbox_world, serve_github
from da_agent_hub_tests.webhook_sender import GITHUB_SECRET, Sender, github_payload


def command(config: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "da_agent_hub.cli", "webhooks", "--config", str(config), *options]


def settings(repo: str, host: str, url: str) -> dict[str, object]:
    return {
        "projects": [{"name": "shop", "repo": repo, "source": {"type": "dbt_core", "path": "target"}}],
        "github": [{"host": host, "base_url": f"{url}/api/v3", "token": "token-of-hub"}],
        "webhooks": {"github_secrets": ["${WEBHOOK_SECRET}"]},
    }


@pytest.mark.slow
def test_it_listens_until_it_is_stopped_and_appends_to_the_inbox(tmp_path: Path) -> None:
    with serve_github(tmp_path / "github") as (state, url):
        world = sandbox_world(state, url, "shop")
        ref = world.as_("alice").create_issue(world.repo, IssueDraft("Orders", "@claude help")).ref
        told = github_payload(url, "acme/shop", ref.number, by="alice", action="opened")
        config = tmp_path / "hub.yaml"
        config.write_text(yaml.safe_dump(settings(str(world.repo), world.repo.host, url)))
        port = free_port()
        process = subprocess.Popen(
            command(config, "--port", str(port)),
            env={**os.environ, "WEBHOOK_SECRET": GITHUB_SECRET},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            await_health(port, process)
            assert Sender(f"http://127.0.0.1:{port}").github("issues", told).status_code == 202
            second = subprocess.run(
                command(config, "--port", str(port)),
                env={**os.environ, "WEBHOOK_SECRET": GITHUB_SECRET},
                capture_output=True,
                text=True,
                check=False,
            )
            assert second.returncode == 1
            assert "name another with --port" in second.stderr
        finally:
            process.terminate()
            output = process.communicate(timeout=20)[0]
    assert process.returncode in (0, -15)
    assert f"{ref} is looked at" in output
    assert GITHUB_SECRET not in output
    assert "Traceback" not in output
    store = open_record_store(f"sqlite:///{tmp_path / '.hub' / 'hub.db'}")
    assert list(store.pending_issues()) == [str(ref)]
    store.close()


def await_health(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not listens(port):
        assert process.poll() is None, "the receiver ended by itself"
        assert time.monotonic() < deadline, "the receiver did not start"
        time.sleep(0.1)
    assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200


def test_without_a_secret_nothing_is_received_and_the_message_says_what_to_add(tmp_path: Path) -> None:
    config = tmp_path / "hub.yaml"
    config.write_text(yaml.safe_dump({**settings("acme/shop", "github.com", "https://x"), "webhooks": {}}))
    done = subprocess.run(command(config), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "webhooks.github_secrets" in done.stderr


def test_a_secret_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "hub.yaml"
    config.write_text(
        yaml.safe_dump({**settings("acme/shop", "github.com", "https://x"), "webhooks": {"github_secrets": ["tiger"]}})
    )
    done = subprocess.run(command(config), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "openssl rand -hex 32" in done.stderr
    assert "tiger" not in done.stderr
