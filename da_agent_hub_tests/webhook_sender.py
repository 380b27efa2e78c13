"""Sends webhooks as GitHub and dbt Cloud sign them, to a receiver on loopback."""

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette

GITHUB_SECRET = "a-secret-of-github-webhooks"
DBT_CLOUD_SECRET = "a-secret-of-dbt-cloud-webhooks"


@dataclass(frozen=True)
class Sender:
    """``url`` is the receiver's."""

    url: str

    def github(
        self, name: str, payload: Any, *, secret: str = GITHUB_SECRET, delivery: str | None = None, **headers: str
    ) -> requests.Response:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        sent = {
            "Content-Type": "application/json",
            "X-GitHub-Event": name,
            "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
            "X-Hub-Signature-256": f"sha256={signature(body, secret)}",
            **{key.replace("_", "-"): value for key, value in headers.items()},
        }
        return requests.post(f"{self.url}/github", data=body, headers=sent, timeout=30)

    def dbt_cloud(self, payload: Mapping[str, Any], *, secret: str = DBT_CLOUD_SECRET) -> requests.Response:
        body = json.dumps(payload).encode()
        headers = {"Authorization": signature(body, secret), "Content-Type": "application/json"}
        return requests.post(f"{self.url}/dbt-cloud", data=body, headers=headers, timeout=30)


def signature(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


@contextmanager
def serve(app: Starlette) -> Iterator[Sender]:
    """The application on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield Sender(f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(10)


def github_payload(url: str, repo: str, number: int, *, by: str, action: str, **more: Any) -> dict[str, Any]:
    """What GitHub would send about an issue as it is now: its own API's shapes, put together."""
    api = f"{url}/api/v3"

    def get(path: str) -> Any:
        answer = requests.get(f"{api}{path}", headers={"Authorization": f"token token-of-{by}"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    return {
        "action": action,
        "issue": get(f"/repos/{repo}/issues/{number}"),
        "repository": get(f"/repos/{repo}"),
        "sender": get(f"/users/{by}"),
        **more,
    }
