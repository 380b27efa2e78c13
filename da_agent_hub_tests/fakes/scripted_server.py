"""A loopback HTTP server that answers as told and remembers what it was asked: for faults that no honest peer shows."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Answer:
    """``truncated`` promises more bytes than it sends."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False

    @classmethod
    def of(cls, payload: Any, status: int = 200, **headers: str) -> Answer:
        return cls(json.dumps(payload).encode(), status, {name.replace("_", "-"): one for name, one in headers.items()})


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class ScriptedServer:
    """``answers`` maps a path, or path?step=N, to what is said each time; the last answer repeats. Else 404."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.asked: list[Asked] = []
        self._turn: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = server._answer(self.path, dict(self.headers))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (100 if answer.truncated else 0)))
                self.end_headers()
                self.wfile.write(answer.body)
                if answer.truncated:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def _answer(self, target: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            self.asked.append(Asked(parts.path, query, headers))
            key = f"{parts.path}?step={query['step']}" if "step" in query else parts.path
            scripted = self.answers.get(key)
            if not scripted:
                return Answer.of({"status": {"code": 404}, "data": None}, 404)
            turn = self._turn[key]
            self._turn[key] += 1
            return scripted[min(turn, len(scripted) - 1)]

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
