"""GitHub Apps of the sandbox: who proves by a key to be one gets tokens of an installation, which expire.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .call import API
from .errors import ApiError, not_found
from .repo_shapes import node_id
from .requests_log import log_request
from .shapes import Shapes
from .state import GitHubState, token_hash

_PERMISSIONS = {"contents": "write", "issues": "write", "metadata": "read", "pull_requests": "write"}
# GitHub refuses an assertion that is good for longer.
_LONGEST_ASSERTION = 600

Endpoint = Callable[[sqlite3.Connection, sqlite3.Row, Request], tuple[int, Any]]


def register_app(
    state: GitHubState, slug: str, public_key: str, *, account: str = "acme", token_seconds: int = 3600
) -> tuple[int, int]:
    """An App by its RSA public key (PEM), installed on an account: the ids of the App and of the installation.

    It writes as ``slug[bot]``, which wants grants as any user does. Each call for a known slug installs it once more.
    """
    state.create_user(f"{slug}[bot]", None, kind="Bot")
    with state.transaction() as db:
        db.execute(
            "insert into apps (slug, public_key, token_seconds) values (?, ?, ?) on conflict (slug) do nothing",
            (slug, public_key, token_seconds),
        )
        app = db.execute("select * from apps where slug = ?", (slug,)).fetchone()
        made = db.execute(
            "insert into installations (app_id, account, created_at) values (?, ?, ?)",
            (app["id"], account, state.now()),
        )
        return int(app["id"]), int(made.lastrowid or 0)


def routes(state: GitHubState) -> list[Route]:
    """The addresses that only an App itself may ask."""
    service = _Apps(state)
    return [
        Route(f"{API}/app", service.serving(service.app), methods=["GET"]),
        Route(f"{API}/app/installations", service.serving(service.installations), methods=["GET"]),
        Route(
            f"{API}/app/installations/{{installation:int}}/access_tokens",
            service.serving(service.access_token),
            methods=["POST"],
        ),
    ]


class _Apps:
    def __init__(self, state: GitHubState) -> None:
        self.state = state

    def serving(self, endpoint: Endpoint) -> Callable[[Request], Any]:
        """An endpoint for those who sign as an App."""

        async def serve(request: Request) -> Response:
            body = await request.body()
            return await run_in_threadpool(self._answer, endpoint, request, body)

        return serve

    def _answer(self, endpoint: Endpoint, request: Request, body: bytes) -> Response:
        login = None
        with self.state.transaction() as db:
            try:
                app = self._signed_in(db, request.headers.get("authorization", ""))
                login = f"{app['slug']}[bot]"
                status, answer = endpoint(db, app, request)
            except ApiError as refused:
                status, answer = refused.status, refused.body()
            log_request(db, self.state.now(), request, login, status, body)
        content = json.dumps(answer).encode()
        return Response(content, status, media_type="application/json; charset=utf-8")

    def _signed_in(self, db: sqlite3.Connection, header: str) -> sqlite3.Row:
        scheme, _, assertion = header.partition(" ")
        if scheme.lower() != "bearer":
            raise ApiError(401, "A JSON web token could not be decoded")
        try:
            claimed = jwt.decode(assertion, options={"verify_signature": False})
            app = db.execute("select * from apps where id = ?", (int(claimed["iss"]),)).fetchone()
            if app is None:
                raise ApiError(404, "Integration not found")
            proven = jwt.decode(
                assertion, app["public_key"], algorithms=["RS256"], options={"require": ["exp", "iat", "iss"]}
            )
        except (jwt.InvalidTokenError, KeyError, ValueError) as broken:
            raise ApiError(401, "A JSON web token could not be decoded") from broken
        if proven["exp"] - datetime.now().timestamp() > _LONGEST_ASSERTION:
            raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")
        return app  # type: ignore[no-any-return]

    def app(self, db: sqlite3.Connection, app: sqlite3.Row, request: Request) -> tuple[int, Any]:
        """The App itself."""
        bot = db.execute("select * from users where login = ?", (f"{app['slug']}[bot]",)).fetchone()
        return 200, {
            "id": app["id"],
            "node_id": node_id("App", app["id"]),
            "slug": app["slug"],
            "owner": _shapes(db, request).user(bot),
            "name": app["slug"],
            "description": None,
            "external_url": _root(request),
            "html_url": f"{_root(request)}/apps/{app['slug']}",
            "created_at": bot["created_at"],
            "updated_at": bot["created_at"],
            "permissions": _PERMISSIONS,
            "events": [],
        }

    def installations(self, db: sqlite3.Connection, app: sqlite3.Row, request: Request) -> tuple[int, Any]:
        """Where it is installed."""
        rows = db.execute("select * from installations where app_id = ? order by id", (app["id"],)).fetchall()
        return 200, [_installation(db, app, row, request) for row in rows]

    def access_token(self, db: sqlite3.Connection, app: sqlite3.Row, request: Request) -> tuple[int, Any]:
        """A new token of an installation."""
        mine = db.execute(
            "select 1 from installations where id = ? and app_id = ?",
            (request.path_params["installation"], app["id"]),
        ).fetchone()
        if mine is None:
            raise not_found()
        token = f"ghs_{secrets.token_hex(18)}"
        now = datetime.fromisoformat(self.state.now().replace("Z", "+00:00"))
        expires = (now + timedelta(seconds=app["token_seconds"])).strftime("%Y-%m-%dT%H:%M:%SZ")
        db.execute(
            "insert into app_tokens (token_hash, app_id, expires_at) values (?, ?, ?)",
            (token_hash(token), app["id"], expires),
        )
        return 201, {
            "token": token,
            "expires_at": expires,
            "permissions": _PERMISSIONS,
            "repository_selection": "all",
        }


def _installation(db: sqlite3.Connection, app: sqlite3.Row, row: sqlite3.Row, request: Request) -> dict[str, Any]:
    account = db.execute("select * from users where login = ?", (row["account"],)).fetchone()
    known = _shapes(db, request).user(account) if account is not None else {"login": row["account"]}
    return {
        "id": row["id"],
        "app_id": app["id"],
        "app_slug": app["slug"],
        "account": known,
        "target_id": known.get("id", 0),
        "target_type": "Organization",
        "single_file_name": None,
        "repository_selection": "all",
        "access_tokens_url": f"{_root(request)}{API}/app/installations/{row['id']}/access_tokens",
        "repositories_url": f"{_root(request)}{API}/installation/repositories",
        "html_url": f"{_root(request)}/organizations/{row['account']}/settings/installations/{row['id']}",
        "permissions": _PERMISSIONS,
        "events": [],
        "created_at": row["created_at"],
        "updated_at": row["created_at"],
        "suspended_by": None,
        "suspended_at": None,
    }


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _shapes(db: sqlite3.Connection, request: Request) -> Shapes:
    return Shapes(db, _root(request))
