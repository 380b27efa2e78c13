"""git over HTTP by git's own ``git http-backend`` (https://git-scm.com/docs/git-http-backend)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from .bare_repo import git_environment
from .pull_requests import follow_branches
from .requests_log import log_request, user_of_header
from .state import GitHubState, find_repo, may, permission_of

_SERVICES = ("git-upload-pack", "git-receive-pack")


def routes(state: GitHubState) -> list[Route]:
    """The three addresses of git's smart protocol, with and without ``.git``."""
    service = _Service(state)
    paths = [f"/{{owner}}/{{repo}}/{rest}" for rest in ("info/refs", *_SERVICES)]
    return [Route(path, service.serve, methods=["GET"] if path.endswith("refs") else ["POST"]) for path in paths]


class _Service:
    def __init__(self, state: GitHubState) -> None:
        self.state = state

    async def serve(self, request: Request) -> Response:
        owner = request.path_params["owner"]
        name = request.path_params["repo"].removesuffix(".git")
        rest = request.url.path.rsplit("/", 1)[-1]
        asked = request.query_params.get("service", "") if rest == "refs" else rest
        if asked not in _SERVICES:
            return PlainTextResponse("Please upgrade your git client.\n", 403)
        login, refusal = await run_in_threadpool(self._admit, request, owner, name, asked == "git-receive-pack")
        if refusal is None:
            refusal = await self._backend(request, owner, name, rest, login)
            if rest == "git-receive-pack":
                await run_in_threadpool(self._after_push, owner, name)
        await run_in_threadpool(self._log, request, login, refusal.status_code)
        return refusal

    def _admit(self, request: Request, owner: str, name: str, push: bool) -> tuple[str | None, Response | None]:
        """The user's login, and an answer where the request ends here."""
        challenge = PlainTextResponse("Authentication required\n", 401, {"WWW-Authenticate": 'Basic realm="GitHub"'})
        with self.state.snapshot() as db:
            header = request.headers.get("authorization")
            user = user_of_header(db, header, self.state.now()) if header else None
            if header and user is None:
                return None, challenge
            login = user["login"] if user else None
            repo = find_repo(db, owner, name)
            permission = permission_of(db, repo, user) if repo is not None else "none"
            if permission == "none" or (push and user is None):
                return login, challenge if user is None else PlainTextResponse("Repository not found.\n", 404)
            if push and not may(permission, "write"):
                return login, PlainTextResponse(f"Permission to {owner}/{name}.git denied to {login}.\n", 403)
        return login, None

    async def _backend(self, request: Request, owner: str, name: str, rest: str, login: str | None) -> Response:
        path = self.state.git_path(owner, name)
        environment = {
            **git_environment(),
            "GIT_PROJECT_ROOT": str(path.parent),
            "PATH_INFO": f"/{path.name}/{'info/refs' if rest == 'refs' else rest}",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "receive.autogc",
            "GIT_CONFIG_VALUE_0": "false",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.url.query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_ADDR": request.client.host if request.client else "",
        }
        if login:
            environment["REMOTE_USER"] = login
        if length := request.headers.get("content-length"):
            environment["CONTENT_LENGTH"] = length
        backend = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert backend.stdin is not None
        assert backend.stdout is not None
        feeding = asyncio.create_task(_feed(request, backend.stdin))
        headers: dict[str, str] = {}
        while (line := (await backend.stdout.readline()).decode("latin-1").strip()) != "":
            field, _, value = line.partition(":")
            headers[field.strip()] = value.strip()
        status = int(headers.pop("Status", "200").split()[0])
        if request.url.path.endswith("git-receive-pack"):
            content = await backend.stdout.read()  # a push is answered only once its refs are in place
            await feeding
            await backend.wait()
            return Response(content, status, headers)
        return StreamingResponse(_drain(backend, feeding), status, headers)

    def _after_push(self, owner: str, name: str) -> None:
        with self.state.transaction() as db:
            repo = find_repo(db, owner, name)
            follow_branches(db, repo, self.state.git(owner, name), self.state.now())

    def _log(self, request: Request, login: str | None, status: int) -> None:
        with self.state.transaction() as db:
            log_request(db, self.state.now(), request, login, status, b"")


async def _feed(request: Request, stdin: asyncio.StreamWriter) -> None:
    try:
        async for chunk in request.stream():
            stdin.write(chunk)
            await stdin.drain()
        stdin.close()
    except (ConnectionResetError, BrokenPipeError):
        pass  # git has read all it wanted


async def _drain(backend: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> AsyncIterator[bytes]:
    assert backend.stdout is not None
    try:
        while chunk := await backend.stdout.read(65536):
            yield chunk
        await feeding
        await backend.wait()
    finally:
        feeding.cancel()
        if backend.returncode is None:
            backend.kill()
            await backend.wait()
