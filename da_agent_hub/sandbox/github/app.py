"""The sandbox's GitHub as one Starlette app: REST API, git over HTTP and web pages."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from . import api_git, api_issues, api_pulls, api_repos, api_review_comments, apps, git_http, pages
from .bare_repo import GitError
from .call import API, Call, Endpoint, Reply
from .errors import ApiError, not_found
from .faults import LIMITS, Fault, Faults, refusal, strike
from .limits import Limits
from .pull_requests import settle_after_a_crash
from .requests_log import log_request, user_of_header
from .state import GitHubState

# Method, path below the API's root, and what answers; an App's own addresses are beside them (``apps.routes``).
ENDPOINTS = (
    *api_repos.ROUTES,
    *api_issues.ROUTES,
    *api_pulls.ROUTES,
    *api_review_comments.ROUTES,
    *api_git.ROUTES,
)
LARGEST_BODY = 20_000_000
_READS = ("GET", "HEAD")


def create_app(
    state: GitHubState, *, base_url: str | None = None, faults: Faults | None = None, per_hour: int | None = None
) -> Starlette:
    """The app over ``state``; ``base_url`` (``http://127.0.0.1:8080``) heads all addresses in answers.

    Where it is None, they follow the Host that the client asked. Tests give ``faults``, which can then be ordered over
    HTTP as well, and a limit of requests ``per_hour`` and user, which is enforced only where it is given.
    """
    settle_after_a_crash(state)
    api = _Api(state, base_url, faults or Faults(), Limits(per_hour))
    endpoints: dict[str, dict[str, Endpoint]] = {}
    for method, path, endpoint in ENDPOINTS:
        endpoints.setdefault(path, {})[method] = endpoint
    routes: list[BaseRoute] = [api.route(path, by_method) for path, by_method in endpoints.items()]
    routes.extend(apps.routes(state))
    routes.extend(faults.routes() if faults else ())
    routes.append(Route("/api/{rest:path}", api.unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]))
    routes.extend(git_http.routes(state))
    routes.extend(pages.routes(state, base_url))
    return Starlette(routes=routes, exception_handlers=dict.fromkeys((404, 405), _answer_of_no_route))


async def _answer_of_no_route(request: Request, error: Exception) -> Response:
    """For an address that is served in no way, or not by this method: JSON for programs, a page for people."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    refusal = not_found() if status == 404 else ApiError(status, "Method Not Allowed")
    if request.url.path.startswith("/api/"):
        return JSONResponse(refusal.body(), status)
    return pages.error_page(refusal)


class _Api:
    """Turns HTTP into calls of endpoints: users, transactions, errors, headers and the request log."""

    def __init__(self, state: GitHubState, base_url: str | None, faults: Faults, limits: Limits) -> None:
        self.state = state
        self.base_url = base_url.rstrip("/") if base_url else None
        self.faults = faults
        self.limits = limits

    def route(self, path: str, by_method: Mapping[str, Endpoint]) -> Route:
        """One path of the API with its methods."""

        async def serve(request: Request) -> Response:
            return await self._serve(request, by_method)

        return Route(f"{API}{path}", serve, methods=list(by_method))

    async def unknown(self, request: Request) -> Response:
        """A path that is no part of the API."""

        def refuse(call: Call) -> Reply:
            raise not_found()

        return await self._serve(request, dict.fromkeys((request.method, "GET"), refuse))

    async def _serve(self, request: Request, by_method: Mapping[str, Endpoint]) -> Response:
        body = await request.body()
        endpoint = by_method["GET" if request.method == "HEAD" else request.method]
        fault = self.faults.next(request.method, request.url.path.removeprefix(API))

        async def answer() -> Response:
            return await run_in_threadpool(self._answer, request, body, endpoint, fault)

        if fault and fault.kind not in LIMITS:
            return await strike(fault, request, answer)
        return await answer()

    def _answer(self, request: Request, body: bytes, endpoint: Endpoint, fault: Fault | None) -> Response:
        login: str | None = None
        limited: Mapping[str, str] = {}
        try:
            with self.state.snapshot() as db:
                viewer = self._viewer(db, request)
            login = viewer["login"] if viewer else None
            if fault and fault.kind in LIMITS:
                refused, limited = refusal(fault, _asker(request, login))
                raise refused
            if request.url.path != f"{API}/rate_limit":
                self.limits.check(_asker(request, login))
            payload = _parse(body)
            if request.method in _READS:
                with self.state.snapshot() as db:
                    reply = endpoint(self._call(request, db, viewer, payload))
                self._log_alone(request, login, reply.status, body)
            else:
                with self.state.transaction() as db:
                    reply = endpoint(self._call(request, db, viewer, payload))
                    self._log(db, request, login, reply.status, body)
        except (ApiError, GitError, OverflowError) as problem:
            error = _as_answer(problem)
            reply = Reply(error.body(), error.status)
            self._log_alone(request, login, error.status, body)
        return self._respond(request, login, reply, limited)

    def _call(self, request: Request, db: sqlite3.Connection, viewer: Any, payload: Any) -> Call:
        return Call(
            self.state,
            db,
            root=self.base_url or f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
            path=request.url.path,
            viewer=viewer,
            place=request.path_params,
            query=dict(request.query_params),
            payload=payload,
            rate=self.limits.told(_asker(request, viewer["login"] if viewer else None)),
        )

    def _viewer(self, db: sqlite3.Connection, request: Request) -> Any:
        header = request.headers.get("authorization")
        if not header:
            return None
        user = user_of_header(db, header, self.state.now())
        if user is None:
            raise ApiError(401, "Bad credentials")
        return user

    # the log

    def _log(self, db: sqlite3.Connection, request: Request, login: str | None, status: int, body: bytes) -> None:
        log_request(db, self.state.now(), request, login, status, body)

    def _log_alone(self, request: Request, login: str | None, status: int, body: bytes) -> None:
        with self.state.transaction() as db:
            self._log(db, request, login, status, body)

    # the answer

    def _respond(self, request: Request, login: str | None, reply: Reply, limited: Mapping[str, str]) -> Response:
        content = b"" if reply.body is None else json.dumps(reply.body, ensure_ascii=False).encode()
        headers = {"X-GitHub-Request-Id": uuid.uuid4().hex.upper(), "X-GitHub-Media-Type": "github.v3; format=json"}
        headers.update(reply.headers)
        free = request.url.path == f"{API}/rate_limit"
        status = reply.status
        if request.method in _READS and status == 200:
            digest = hashlib.sha256(content + reply.headers.get("Link", "").encode()).hexdigest()
            headers.update({"ETag": f'W/"{digest}"', "Cache-Control": "private, max-age=60, s-maxage=60"})
            if isinstance(reply.body, dict) and isinstance(reply.body.get("updated_at"), str):
                moved = datetime.fromisoformat(reply.body["updated_at"].replace("Z", "+00:00"))
                headers["Last-Modified"] = format_datetime(moved, usegmt=True)
            if _names(request.headers.get("if-none-match", ""), digest):
                status, content = 304, b""
                free = free or login is not None
        headers.update(self.limits.count(_asker(request, login), free=free))
        headers.update(limited)
        if content:
            headers["Content-Type"] = "application/json; charset=utf-8"
        return Response(content, status, headers)


def _asker(request: Request, login: str | None) -> str:
    """Whose requests are counted together: a user's, or those of an address without one."""
    return login or (request.client.host if request.client else "")


def _names(header: str, digest: str) -> bool:
    """Whether an If-None-Match holds this entity: weak and strong tags are compared alike (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return f'"{digest}"' in tags or tags == ["*"]


def _as_answer(problem: Exception) -> ApiError:
    """What git refuses is invalid; a number beyond 64 bits names nothing."""
    if isinstance(problem, ApiError):
        return problem
    return not_found() if isinstance(problem, OverflowError) else ApiError(422, str(problem))


def _parse(body: bytes) -> Any:
    if len(body) > LARGEST_BODY:
        raise ApiError(413, "Payload too large")
    if not body:
        return None
    try:
        payload = json.loads(body)
        json.dumps(payload, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return payload
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "Problems parsing JSON") from error
