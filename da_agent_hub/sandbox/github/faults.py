"""Faults to order: what GitHub does on a bad day, for tests that ask what then becomes of the hub's work."""

from __future__ import annotations

import asyncio
import fnmatch
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .errors import ApiError
from .limits import primary_limit, secondary_limit

ADDRESS = "/_faults"
LIMITS = ("rate_limit", "secondary_limit")
KINDS = (*LIMITS, "bad_gateway", "lost_before", "lost_after", "cut_body")
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass
class Fault:
    """Which requests go wrong, and how.

    ``method`` and ``path`` are shell patterns; the path is the one below ``/api/v3``. ``times`` ends it after so many,
    None never does. ``chance`` lets it strike only now and then, from 0 to 1. ``seconds`` is the wait that a limit asks
    for, or how long a lost request hangs. ``status`` is the one of a secondary limit: 403 or 429.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    times: int | None = 1
    chance: float = 1.0
    seconds: float = 60
    status: int = 403

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault: use one of {', '.join(KINDS)}")


class Faults:
    """The faults that are ordered, in order; the first that fits a request strikes. ``struck`` lists kind and path."""

    def __init__(self, ordered: Sequence[Fault] = (), *, seed: int = 0) -> None:
        self._ordered = list(ordered)
        self._random = random.Random(seed)
        self._turn = threading.Lock()
        self.struck: list[tuple[str, str]] = []

    def order(self, *faults: Fault) -> None:
        """These from now on, in place of all that were ordered before."""
        with self._turn:
            self._ordered = list(faults)

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, which is used up by it."""
        with self._turn:
            for fault in self._ordered:
                fits = fnmatch.fnmatchcase(method, fault.method) and fnmatch.fnmatchcase(path, fault.path)
                if fits and fault.times != 0 and self._random.random() < fault.chance:
                    fault.times = None if fault.times is None else fault.times - 1
                    self.struck.append((fault.kind, f"{method} {path}"))
                    return fault
        return None

    def routes(self) -> list[Route]:
        """``GET`` and ``PUT`` of the list of faults, for tests of a server in another process; loopback alone may."""
        return [Route(ADDRESS, self._control, methods=["GET", "PUT"])]

    async def _control(self, request: Request) -> Response:
        if request.client is None or request.client.host not in _LOOPBACK:
            return Response(status_code=404)
        if request.method == "PUT":
            known = {field.name for field in fields(Fault)}
            wanted = await request.json()
            if not isinstance(wanted, list) or not all(isinstance(one, dict) and one.keys() <= known for one in wanted):
                return JSONResponse({"message": f"a list of objects with {', '.join(sorted(known))}"}, 422)
            try:
                self.order(*(Fault(**one) for one in wanted))
            except (TypeError, ValueError) as error:
                return JSONResponse({"message": str(error)}, 422)
        with self._turn:
            return JSONResponse({"ordered": [asdict(one) for one in self._ordered], "struck": self.struck})


async def strike(fault: Fault, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    """What a request is answered that meets ``fault``; ``answer`` does what it asks."""
    if fault.kind == "bad_gateway":
        return Response("<html><body>502 Bad Gateway</body></html>", 502, media_type="text/html")
    if fault.kind == "lost_before":
        return _CutShort(b"", hang=fault.seconds, request=request)
    done = await answer()
    if fault.kind == "lost_after":
        return _CutShort(b"", hang=fault.seconds, request=request)
    return _CutShort(bytes(done.body), done.status_code, done.headers)


def refusal(fault: Fault, who: str) -> tuple[ApiError, Mapping[str, str]]:
    """The error and the headers of a limit, which is one of ``LIMITS``."""
    if fault.kind == "secondary_limit":
        return secondary_limit(fault.status), {"Retry-After": str(int(fault.seconds))}
    reset = str(int(time.time() + fault.seconds))
    return primary_limit(who), {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}


class _CutShort(Response):
    """Promises a whole answer, sends half of it and drops the connection."""

    def __init__(
        self,
        whole: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        hang: float = 0,
        request: Request | None = None,
    ) -> None:
        super().__init__(b"", status)
        self._half = whole[: len(whole) // 2]
        self._told = [(name, value) for name, value in (headers or {}).items() if name.lower() != "content-length"]
        self._promised = max(len(whole), 1)
        self._hang = hang
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        until = time.monotonic() + self._hang
        while self._request is not None and time.monotonic() < until:
            if await self._request.is_disconnected():
                return
            await asyncio.sleep(0.02)
        told: list[Any] = [(name.encode(), value.encode()) for name, value in self._told]
        promised = (b"content-length", str(self._promised).encode())
        await send({"type": "http.response.start", "status": self.status_code, "headers": [*told, promised]})
        await send({"type": "http.response.body", "body": self._half, "more_body": True})
