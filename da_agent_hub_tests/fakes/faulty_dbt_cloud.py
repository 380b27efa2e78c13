"""A dbt Cloud account in memory, honest by itself, whose single answers can be spoilt in the ways that networks do."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

ACCOUNT = 42
TOKEN = "dbtc_very-secret"
_EVER = '["1970-01-01T00:00:00+00:00","9999-01-01T00:00:00+00:00"]'


@dataclass(frozen=True)
class Fault:
    """How an answer is spoilt; what is not named stays as it was.

    ``cut`` sends only that share of the body it announces, ``gzip_cut`` announces and sends the beginning of a gzip,
    ``chunked`` announces no length, ``silence`` waits before the answer and ``drip`` between its bytes, in seconds;
    ``hang_up`` says nothing at all.
    """

    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: float = 1.0
    gzip_cut: bool = False
    chunked: bool = False
    silence: float = 0.0
    drip: float = 0.0
    hang_up: bool = False


@dataclass(frozen=True)
class Asked:
    path: str
    query: Mapping[str, str]
    status: int


@dataclass(frozen=True)
class Spoilt:
    """The next ``times`` answers to what matches ``pattern`` (path, and ?step=N for artifacts) get a fault."""

    pattern: str
    fault: Fault
    times: int


class FaultyDbtCloud:
    """``runs`` are whole runs as the API gives them, ``artifacts`` bodies by (run, step, name)."""

    def __init__(self) -> None:
        self.runs: dict[int, dict[str, Any]] = {}
        self.artifacts: dict[tuple[int, int, str], bytes] = {}
        self.jobs = [
            {
                "id": 7,
                "project_id": 5,
                "name": "nightly",
                "state": 1,
                "schedule": {"cron": "0 8 * * *"},
                "triggers": {"schedule": True},
                "environment": {"name": "Production"},
            }
        ]
        self.asked: list[Asked] = []
        self.gives_etags = True
        self.ignores_steps = False
        self.cannot_list: list[tuple[datetime, datetime]] = []
        self.before_page: Any = lambda offset: None
        self._spoilt: list[Spoilt] = []
        self._lock = threading.Lock()
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                cloud._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def spoil(self, pattern: str, fault: Fault, times: int = 1_000_000) -> None:
        self._spoilt.append(Spoilt(pattern, fault, times))

    def heal(self) -> None:
        self._spoilt.clear()

    def times_asked(self, pattern: str) -> int:
        return sum(re.search(pattern, one.path) is not None for one in self.asked)

    def _fault(self, target: str) -> Fault | None:
        for at, one in enumerate(self._spoilt):
            if one.times and re.search(one.pattern, target):
                self._spoilt[at] = replace(one, times=one.times - 1)
                return one.fault
        return None

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            fault = self._fault(parts.path + (f"?step={query['step']}" if "step" in query else "")) or Fault()
            status, body = self._honest(handler, parts.path, query)
            etag = hashlib.sha256(body).hexdigest()
            if self.gives_etags and status == 200 and handler.headers.get("If-None-Match") == etag:
                status, body = 304, b""
            status = fault.status or status
            self.asked.append(Asked(parts.path, query, status))
        body = body if fault.body is None else fault.body
        headers = {"Content-Type": "application/json", **({"ETag": etag} if self.gives_etags else {}), **fault.headers}
        if fault.gzip_cut:
            body = gzip.compress(body)
            body = body[: len(body) * 2 // 3]
            headers["Content-Encoding"] = "gzip"
        self._send(handler, status, headers, body, fault)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes, fault: Fault
    ) -> None:
        time.sleep(fault.silence)
        try:
            if fault.hang_up:
                handler.connection.shutdown(socket.SHUT_RDWR)
                handler.close_connection = True
                return
            handler.send_response_only(status)
            for name, value in {"Date": handler.date_time_string(), **headers}.items():
                handler.send_header(name, value)
            length = ("Transfer-Encoding", "chunked") if fault.chunked else ("Content-Length", str(len(body)))
            handler.send_header(*length)
            handler.end_headers()
            sent = body[: int(len(body) * fault.cut)]
            if fault.chunked:
                pieces = [sent[at : at + 50] for at in range(0, len(sent), 50)] + ([b""] if sent == body else [])
                handler.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces))
            elif fault.drip:
                for at in range(len(sent)):
                    handler.wfile.write(sent[at : at + 1])
                    time.sleep(fault.drip)
            else:
                handler.wfile.write(sent)
            handler.close_connection = len(sent) < len(body)
        except OSError:  # whoever asked has gone
            handler.close_connection = True

    def _honest(self, handler: BaseHTTPRequestHandler, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _refused(401)
        if path == f"/api/v2/accounts/{ACCOUNT}/jobs/":
            return _enveloped(self.jobs, {"pagination": {"count": len(self.jobs), "total_count": len(self.jobs)}})
        found = re.fullmatch(rf"/api/v2/accounts/{ACCOUNT}/runs/(?:(\d+)/(?:artifacts/(.+))?)?", path)
        if found is None:
            return _refused(404)
        if found[1] is None:
            return self._listing(query)
        run = self.runs.get(int(found[1]))
        if run is None:
            return _refused(404)
        if found[2] is None:
            return _enveloped(run)
        steps = [step for number, step, name in self.artifacts if (number, name) == (run["id"], found[2])]
        step = max(steps, default=0) if self.ignores_steps or "step" not in query else int(query["step"])
        body = self.artifacts.get((run["id"], step, found[2]))
        return _refused(404) if body is None else (200, body)

    def _listing(self, query: Mapping[str, str]) -> tuple[int, bytes]:
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
        self.before_page(offset)
        if not 0 < limit <= 100 or query.get("order_by") not in ("id", "finished_at"):
            return _refused(400)
        try:
            statuses = json.loads(query.get("status__in", "[]"))
            since, until = (datetime.fromisoformat(one) for one in json.loads(query.get("finished_at__range", _EVER)))
        except ValueError:
            return _refused(400)
        if any(since < end and until > begin for begin, end in self.cannot_list):
            return _refused(403)
        wanted = int(query.get("project_id", 0))
        runs = [
            {name: value for name, value in run.items() if name != "run_steps"}
            for run in self.runs.values()
            # A run without a time stays in the listing, as where a server takes another time for it.
            if (run["finished_at"] is None or since <= datetime.fromisoformat(run["finished_at"]) <= until)
            and wanted in (0, run["project_id"])
            and (not statuses or run["status"] in statuses)
        ]
        runs.sort(key=lambda run: (run["finished_at"] or "", run["id"]))
        page = runs[offset : offset + limit]
        return _enveloped(page, {"pagination": {"count": len(page), "total_count": len(runs)}})

    def __enter__(self) -> FaultyDbtCloud:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    # what there is to read

    def add_run(
        self, number: int, finished: datetime, commands: Sequence[str] = (), *, failed: bool = False, **more: Any
    ) -> dict[str, Any]:
        """A run of ten minutes; each of its commands takes two of them, and the last one fails where ``failed``."""
        begun = finished - timedelta(minutes=10)
        steps = [
            {
                "index": at,
                "name": f"Invoke dbt with `{command}`",
                "status": 20 if failed and at == len(commands) else 10,
                "logs": f"log of step {at}",
                "started_at": (begun + timedelta(minutes=2 * at - 2)).isoformat(),
                "finished_at": (begun + timedelta(minutes=2 * at)).isoformat(),
            }
            for at, command in enumerate(commands, start=1)
        ]
        self.runs[number] = {
            "id": number,
            "project_id": 5,
            "environment_id": 9,
            "job_definition_id": 7,
            "status": 20 if failed else 10,
            "status_message": None,
            "git_sha": f"{number:040x}",
            "git_branch": "main",
            "has_sources_generated": False,
            "created_at": begun.isoformat(),
            "updated_at": finished.isoformat(),
            "started_at": begun.isoformat(),
            "finished_at": finished.isoformat(),
            "trigger": {"cause_category": "scheduled"},
            "job": {"name": "nightly"},
            "environment": {"name": "Production"},
            "run_steps": steps,
            **more,
        }
        return self.runs[number]

    def add_results(
        self,
        number: int,
        step: int,
        statuses: Mapping[str, str],
        *,
        which: str = "build",
        invocation: str | None = None,
        clock: timedelta = timedelta(),
        name: str = "run_results.json",
    ) -> None:
        """Results written ten seconds before the step's end, by a clock that is ``clock`` ahead."""
        raw = self.runs[number]["run_steps"][step - 1]
        written = datetime.fromisoformat(raw["finished_at"]) - timedelta(seconds=10) + clock
        self.artifacts[number, step, name] = json.dumps(
            {
                "metadata": {
                    "invocation_id": invocation or f"invocation-{number}-{step}",
                    "generated_at": written.astimezone(timezone.utc).isoformat().replace("+00:00", "Z"),
                },
                "args": {"which": which},
                "results": [{"unique_id": one, "status": said, "message": said} for one, said in statuses.items()],
            }
        ).encode()


def _enveloped(data: Any, extra: Any = None) -> tuple[int, bytes]:
    body = {"status": {"code": 200, "is_success": True}, "data": data, **({"extra": extra} if extra else {})}
    return 200, json.dumps(body).encode()


def _refused(status: int) -> tuple[int, bytes]:
    return status, json.dumps({"status": {"code": status, "is_success": False, "user_message": TOKEN}}).encode()
