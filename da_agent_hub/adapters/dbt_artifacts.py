"""What a dbt command left of its nodes: run_results.json and sources.json, decoded leniently.

Only what is used is decoded, and one strange entry never costs the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from ..domain.built_code import digest
from ..domain.dbt import NodeResult, Outcome
from .artifact_json import UnreadableArtifactError, check_kind, lenient, read_object
from .dbt_manifest import read_manifest

__all__ = ["Invocation", "UnreadableArtifactError", "aware", "read_manifest", "read_run_results", "read_sources"]


@dataclass(frozen=True)
class Invocation:
    """What one dbt command left: ``command`` is dbt's own word for it (build, test, generate, ...), where it says.

    ``unread`` says, one sentence each, what of the file could not be read; ``dropped`` counts the results among it.
    """

    invocation_id: str | None
    generated_at: datetime | None
    command: str | None
    results: tuple[NodeResult, ...]
    dropped: int = 0
    target: str | None = None
    environment: Mapping[str, str] | None = None
    unread: tuple[str, ...] = ()


class _Artifact(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    results: msgspec.Raw = msgspec.Raw(b"null")
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Metadata(msgspec.Struct):
    invocation_id: str | None = None
    generated_at: str | None = None
    env: dict[str, Any] | None = None


class _Arguments(msgspec.Struct):
    which: str | None = None
    rpc_method: str | None = None
    target: str | None = None


class _Result(msgspec.Struct, gc=False):
    unique_id: str | None = None
    status: str | None = None
    # dbt 0.19 wrote the number of failing rows here.
    message: str | int | float | None = None
    failures: int | float | None = None
    compiled_code: str | None = None
    compiled_sql: str | None = None
    relation_name: str | None = None
    execution_time: float | None = None
    # sources.json
    error: Any = None
    max_loaded_at: str | None = None
    max_loaded_at_time_ago_in_s: float | None = None
    criteria: Any = None


# A message may quote a whole statement, or rows of it; what tells the cause stands at its beginning.
_LONGEST_MESSAGE = 20_000


def read_run_results(payload: bytes) -> Invocation:
    """Decode a ``run_results.json`` of any schema version.

    Raises:
        UnreadableArtifactError: it is not one, or holds no list of results; the sentence says what it is instead.
    """
    return _read_invocation(payload, "run_results.json", _node_result)


def read_sources(payload: bytes) -> Invocation:
    """Decode a ``sources.json`` (source freshness) of any schema version.

    Raises:
        UnreadableArtifactError: it is not one, or holds no list of results; the sentence says what it is instead.
    """
    return _read_invocation(payload, "sources.json", _freshness_result)


def aware(moment: str | None) -> datetime | None:
    """An ISO 8601 time as dbt and dbt Cloud write it, as aware UTC; None where it cannot be read."""
    if not moment:
        return None
    try:
        found = msgspec.convert(moment.strip(), datetime)
        return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)
    except (msgspec.ValidationError, OverflowError):
        return None


def _read_invocation(payload: bytes, name: str, build: Callable[[_Result], NodeResult | None]) -> Invocation:
    artifact, surplus = read_object(payload, _Artifact, name)
    check_kind(artifact.metadata, name)
    metadata = lenient(artifact.metadata, _Metadata)
    arguments = lenient(artifact.args, _Arguments)
    results = [build(result) for result in _results(artifact.results, name)]
    kept = tuple(result for result in results if result is not None)
    dropped = len(results) - len(kept)
    unread = [surplus] if surplus else []
    if dropped:
        unread.append(f"{dropped} {'result' if dropped == 1 else 'results'} of {name} name no node or status")
    return Invocation(
        invocation_id=metadata.invocation_id,
        generated_at=aware(metadata.generated_at),
        command=arguments.which or arguments.rpc_method,
        results=kept,
        dropped=dropped,
        target=arguments.target,
        environment={key: str(value) for key, value in (metadata.env or {}).items()},
        unread=tuple(unread),
    )


def _results(raw: msgspec.Raw, name: str) -> Iterator[_Result]:
    """The entries of a list, or of an object that names each node."""
    try:
        entries: Any = msgspec.json.decode(raw, type=list[msgspec.Raw] | dict[str, msgspec.Raw] | None)
    except (msgspec.ValidationError, RecursionError):
        entries = None
    if entries is None:
        raise UnreadableArtifactError(f"{name} holds no list of results")
    for unique_id, entry in entries.items() if isinstance(entries, dict) else ((None, one) for one in entries):
        result = lenient(entry, _Result)
        if unique_id is not None and not result.unique_id:
            result.unique_id = unique_id
        yield result


def _node_result(result: _Result) -> NodeResult | None:
    if not result.unique_id or not result.status:
        return None
    compiled = result.compiled_code or result.compiled_sql
    counted = result.message if isinstance(result.message, (int, float)) else None
    found = NodeResult(
        unique_id=result.unique_id,
        status=result.status.lower(),
        message=_text(result.message),
        failures=_whole(result.failures if result.failures is not None else counted),
        relation_name=result.relation_name,
        seconds=result.execution_time,
        code=digest(compiled) if compiled else None,
    )
    if found.outcome in (Outcome.GOOD, Outcome.SKIPPED):
        return found
    # Compiled SQL is the bulk of an artifact; only that of what went wrong is ever looked at.
    return replace(found, compiled_sql=compiled)


def _freshness_result(result: _Result) -> NodeResult | None:
    if not result.unique_id or not result.status:
        return None
    if result.error:
        message = _text(result.error)
    elif result.max_loaded_at:
        hours = (result.max_loaded_at_time_ago_in_s or 0.0) / 3600
        message = (
            f"Loaded last at {result.max_loaded_at}, {hours:.1f} hours before the check; {_limits(result.criteria)}"
        )
    else:
        message = _text(result.message)
    return NodeResult(
        unique_id=result.unique_id, status=result.status.lower(), message=message, seconds=result.execution_time
    )


def _text(said: Any) -> str:
    return "" if said is None else str(said)[:_LONGEST_MESSAGE]


def _whole(number: int | float | None) -> int | None:
    return None if number is None else int(number)


def _limits(criteria: Any) -> str:
    said = []
    for key, word in (("warn_after", "warns after"), ("error_after", "fails after")):
        limit = criteria.get(key) if isinstance(criteria, dict) else None
        if isinstance(limit, dict) and limit.get("count"):
            said.append(f"{word} {limit['count']} {limit.get('period')}(s)")
    return ", ".join(said) or "no limit is configured"
