"""Listens for webhooks and appends what they tell to the inbox; who cannot prove to know a secret is not heard."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import msgspec
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..config import WebhookSettings
from ..ports import RecordStore
from .record_engine import RecordStoreError
from .webhook_payloads import GitHubDeliveries, Heard, read_run_webhook

_RETRY_SECONDS = "30"
_BODY_SECONDS = 10.0


@dataclass(frozen=True)
class Receiver:
    """The application's parts: ``store`` opens the inbox, ``log`` hears one line for each delivery."""

    settings: WebhookSettings
    deliveries: GitHubDeliveries
    accounts: Sequence[int]
    store: Callable[[], RecordStore]
    now: Callable[[], datetime]
    log: Callable[[str], None]

    def app(self) -> Starlette:
        """What an ASGI server runs: ``/github``, ``/dbt-cloud``, and ``/healthz`` for whoever watches it."""
        return Starlette(
            routes=[
                Route("/github", self._github, methods=["POST"]),
                Route("/dbt-cloud", self._dbt_cloud, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
            ]
        )

    async def _github(self, request: Request) -> Response:
        name = request.headers.get("x-github-event", "")
        proof = request.headers.get("x-hub-signature-256", "")
        delivery = request.headers.get("x-github-delivery", "")

        async def read(body: bytes) -> Response:
            if not _is_signed(body, proof.removeprefix("sha256="), self.settings.github_secrets):
                return self._refuse(401, "github", "the signature does not fit: check the webhook's secret")
            if not request.headers.get("content-type", "").startswith("application/json"):
                return self._refuse(415, "github", "set the webhook's content type to application/json")
            if name == "ping":
                return self._tell(200, "github ping", "the signature fits")
            return await run_in_threadpool(
                self._append, f"github {name}", lambda: self.deliveries.read(name, delivery, body, self.now())
            )

        return await self._with_body(request, "github", read)

    async def _dbt_cloud(self, request: Request) -> Response:
        proof = request.headers.get("authorization", "")

        async def read(body: bytes) -> Response:
            if not _is_signed(body, proof, self.settings.dbt_cloud_secrets):
                return self._refuse(401, "dbt-cloud", "the signature does not fit: check the webhook's secret key")
            return await run_in_threadpool(
                self._append, "dbt-cloud", lambda: read_run_webhook(body, self.accounts, self.now())
            )

        return await self._with_body(request, "dbt-cloud", read)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _with_body(self, request: Request, source: str, read: Callable[[bytes], Awaitable[Response]]) -> Response:
        most = self.settings.largest_bytes
        too_large = f"more than {most} bytes, which no webhook of theirs has"
        try:
            body = await asyncio.wait_for(_body(request, most), _BODY_SECONDS)
        except asyncio.TimeoutError:
            return self._refuse(408, source, f"its body took longer than {_BODY_SECONDS:.0f} s")
        except ClientDisconnect:
            return self._refuse(400, source, "the connection ended within the body")
        return self._refuse(413, source, too_large) if body is None else await read(body)

    def _append(self, source: str, read: Callable[[], Heard]) -> Response:
        try:
            heard = read()
        except (msgspec.DecodeError, UnicodeError, RecursionError) as broken:
            return self._refuse(400, source, f"not read: {broken}")
        except RecordStoreError as away:
            return self._unstored(source, away)
        if heard.event is None:
            return self._tell(202, source, f"ignored: {heard.said}")
        try:
            store = self.store()
            new = store.add_events([heard.event])
            if heard.finished_with is not None:
                store.finish_event(heard.event.event_id, heard.finished_with)
        except RecordStoreError as away:
            return self._unstored(source, away)
        return self._tell(202, source, heard.said if new else f"{heard.said}: known already")

    def _unstored(self, source: str, away: RecordStoreError) -> Response:
        # The sender is told nothing of the database; its redelivery finds it again.
        self.log(f"503 {source}: {away}")
        said = {"said": "not kept: the record store does not answer; deliver it again"}
        return JSONResponse(said, 503, {"Retry-After": _RETRY_SECONDS})

    def _refuse(self, status: int, source: str, said: str) -> Response:
        return self._tell(status, source, said)

    def _tell(self, status: int, source: str, said: str) -> Response:
        line = " ".join(f"{status} {source}: {said}".split())[:500]
        self.log("".join(sign if sign.isprintable() else "?" for sign in line))
        return JSONResponse({"said": said}, status)


async def _body(request: Request, most: int) -> bytes | None:
    """The request's body, or None where it is longer than ``most`` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


def _is_signed(body: bytes, proof: str, secrets: Sequence[SecretStr]) -> bool:
    """Whether the body's HMAC SHA-256 under one of the secrets is what the sender says; takes the same time for all."""
    given = proof.strip().lower().encode("utf-8", "replace")
    fits = [
        hmac.compare_digest(hmac.new(secret.get_secret_value().encode(), body, sha256).hexdigest().encode(), given)
        for secret in secrets
    ]
    return any(fits)
