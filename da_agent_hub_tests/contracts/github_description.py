"""What was asked of a GitHub and what it answered, held against GitHub's own OpenAPI description of its REST API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from jsonschema import Draft4Validator, FormatChecker
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .prism import FOLDER

DESCRIPTION = FOLDER / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"
_BASE = "urn:github"
_API = "/api/v3"
# Parameters of a path that hold slashes: names of branches, tags, labels and files.
_LONG = frozenset({"ref", "path", "branch", "basehead", "name"})
# Every operation may answer these, whether its description says so or not.
_ERRORS = frozenset({"400", "401", "403", "404", "405", "409", "410", "413", "422", "429"})


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; ``path`` is percent-encoded, without the query and ``/api/v3``."""

    method: str
    path: str
    query: str
    sent: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


class Recorder:
    """An ASGI app around another one, which adds every exchange with its REST API to ``exchanges``."""

    def __init__(self, app: ASGIApp, exchanges: list[Exchange]) -> None:
        self._app = app
        self.exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_API):
            await self._app(scope, receive, send)
            return
        sent, answered, started = bytearray(), bytearray(), {"status": 0, "headers": ()}

        async def heard() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            answered.extend(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                headers = {name.decode().lower(): value.decode() for name, value in started["headers"]}  # type: ignore[attr-defined]
                path = scope["raw_path"].decode().split("?")[0].removeprefix(_API)
                query = scope["query_string"].decode()
                status = int(started["status"])  # type: ignore[call-overload]
                done = Exchange(scope["method"], path, query, bytes(sent), status, headers, bytes(answered))
                self.exchanges.append(done)
            await send(message)

        await self._app(scope, heard, said)


def need_description() -> None:
    """Skip where the description is not installed."""
    if not DESCRIPTION.exists():
        pytest.skip(f"GitHub's description is not installed: run `npm install` in {FOLDER.name}/ of the tests")


def request_faults(exchange: Exchange) -> Iterator[str]:
    """Where a request breaks the description, a sentence each."""
    found = _operation(exchange)
    if found is None:
        yield f"{exchange}: GitHub knows no such operation"
        return
    _, operation, parameters = found
    known = {one["name"]: one for one in parameters if one["in"] == "query"}
    asked = dict(parse_qsl(exchange.query, keep_blank_values=True))
    for name, value in asked.items():
        if name not in known:
            yield f"{exchange}: GitHub knows no parameter {name} here"
        else:
            yield from _broken(known[name]["schema"], _typed(value, known[name]["schema"]), f"{exchange}: {name}")
    yield from (
        f"{exchange}: {name} is missing" for name, one in known.items() if one.get("required") and name not in asked
    )
    described = _followed(operation.get("requestBody", {}))
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    if not exchange.sent:
        if described.get("required"):
            yield f"{exchange}: the body is missing"
    elif schema is None:
        yield f"{exchange}: GitHub takes no body here"
    else:
        body = json.loads(exchange.sent)
        yield from _broken(schema, body, f"{exchange}: body")
        if isinstance(body, dict) and (fields := _fields(schema)):
            yield from (f"{exchange}: GitHub knows no field {name} here" for name in body if name not in fields)


def response_faults(exchange: Exchange) -> Iterator[str]:
    """Where an answer breaks the description, a sentence each."""
    found = _operation(exchange)
    if found is None:
        # What is no operation must not be answered as one.
        if exchange.status != 404:
            yield f"{exchange}: GitHub knows no such operation"
        schema: Any = _component("basic-error")
    else:
        responses = found[1]["responses"]
        described = _followed(responses.get(str(exchange.status), {}))
        if str(exchange.status) not in responses and str(exchange.status) not in _ERRORS | {"304"}:
            yield f"{exchange}: GitHub gives no such status here, only {', '.join(responses)}"
        media = described.get("content", {})
        schema = media.get("application/json", {}).get("schema")
        if exchange.status >= 400 and schema is None:
            schema = _component("basic-error")
        if exchange.status < 400 and schema is None and exchange.body:
            yield f"{exchange}: GitHub gives no body here"
    if exchange.status in (204, 304) or not exchange.body:
        if exchange.body or (schema is not None and exchange.status not in (204, 304) and exchange.method != "HEAD"):
            yield f"{exchange}: a body where none belongs, or none where one does"
        return
    if not exchange.headers.get("content-type", "").startswith("application/json"):
        yield f"{exchange}: the content is {exchange.headers.get('content-type')!r}"
        return
    if schema is not None:
        yield from _broken(schema, json.loads(exchange.body), str(exchange))


def component_faults(name: str, value: Any) -> list[str]:
    """Where a value breaks one of the description's named schemas."""
    return list(_broken(_component(name), value, name))


def operation_of(exchange: Exchange) -> str | None:
    """``GET /repos/{owner}/{repo}`` as the description names it, or None."""
    found = _operation(exchange)
    return f"{exchange.method} {found[0]}" if found else None


# the description


@cache
def _description() -> Any:
    described = json.loads(DESCRIPTION.read_text())
    # Lists of pull requests answer null for a label without a description, as all else does that shows labels.
    shown = described["components"]["schemas"]["pull-request-simple"]["properties"]["labels"]["items"]["properties"]
    shown["description"]["nullable"] = True
    # The list of an App's installations wants each account to be a user and an enterprise at once; the named schema,
    # which all else refers to, wants one of the two.
    listed = described["paths"]["/app/installations"]["get"]["responses"]["200"]["content"]["application/json"]
    listed["schema"]["items"] = _component("installation")
    return described


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resource(_BASE, Resource(_description(), DRAFT4))


@cache
def _templates() -> Sequence[tuple[re.Pattern[str], str]]:
    """Paths as patterns, the most literal ones first."""

    def pattern(template: str) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", template)
        places = (re.escape(part) if at % 2 == 0 else _place(part) for at, part in enumerate(parts))
        # The root of a repository's files is asked for without a path, and without its slash.
        return re.compile("".join(places).replace("/contents/.+", "/contents(/.+)?"))

    names = sorted(_description()["paths"], key=lambda path: [part.startswith("{") for part in path.split("/")])
    return [(pattern(name), name) for name in names]


def _place(name: str) -> str:
    if name in _LONG:
        return ".+"
    return r"\d+" if name.endswith(("_number", "_id")) else "[^/]+"


def _operation(exchange: Exchange) -> tuple[str, Any, Sequence[Any]] | None:
    for pattern, template in _templates():
        operations = _description()["paths"][template]
        method = "get" if exchange.method == "HEAD" else exchange.method.lower()
        if method in operations and pattern.fullmatch(unquote(exchange.path)):
            operation = operations[method]
            shared = (*operations.get("parameters", ()), *operation.get("parameters", ()))
            return template, operation, [_followed(one) for one in shared]
    return None


def _component(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}"}


def _followed(part: Any) -> Any:
    while "$ref" in part:
        found = _description()
        for key in part["$ref"].split("/")[1:]:
            found = found[key]
        part = found
    return part


def _fields(schema: Any) -> frozenset[str]:
    """All properties that an object may have; none where anything may."""
    schema = _followed(schema)
    parts = [_fields(one) for name in ("oneOf", "anyOf", "allOf") for one in schema.get(name, ())]
    return frozenset(schema.get("properties", {})).union(*parts)


def _typed(value: str, schema: Any) -> Any:
    """A value of a query as the type that its schema wants."""
    kind = _followed(schema).get("type")
    if kind in ("integer", "boolean", "number"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


# OpenAPI 3.0's schemas are those of JSON Schema's fourth draft, with ``nullable`` beside them; where null is allowed
# GitHub does not list it among an enum's values too.


def _unless_null(check: Any) -> Any:
    def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Any:
        if instance is None and schema.get("nullable"):
            return ()
        return check(validator, wanted, instance, schema) or ()

    return checked


_Nullable = extend(
    Draft4Validator, {name: _unless_null(check) for name, check in Draft4Validator.VALIDATORS.items() if name != "$ref"}
)


def _broken(schema: Any, instance: Any, where: str) -> Iterator[str]:
    for error in _validator(json.dumps(schema)).iter_errors(instance):
        # Of several shapes that were allowed, the one that fits best says most.
        deepest = error
        while deepest.context:
            deepest = min(deepest.context, key=lambda one: (-len(one.absolute_path), len(str(one.message))))
        place = "/".join(str(part) for part in deepest.absolute_path)
        yield f"{where}: {place or 'it'}: {deepest.message[:300]}"


_formats = FormatChecker(())


@_formats.checks("date-time")
def _is_moment(value: Any) -> bool:
    return (
        not isinstance(value, str)
        or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value) is not None
    )


@_formats.checks("uri")
def _is_address(value: Any) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[a-z][a-z0-9+.-]*:[^\s{}]+", value) is not None


@cache
def _validator(schema: str) -> Validator:
    absolute = json.loads(schema.replace('"$ref": "#/', f'"$ref": "{_BASE}#/'))
    return _Nullable(absolute, registry=_registry(), format_checker=_formats)
