"""dbt's artifact files, decoded leniently: only what is used, and one strange entry never costs the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, TypeVar

import msgspec

from ..domain.built_code import digest
from ..domain.dbt import GraphNode, NodeResult, Outcome, Owner, ProjectGraph, TestSpec


class UnreadableArtifactError(ValueError):
    """The bytes are not the artifact that they were asked to be; the message is one sentence."""


@dataclass(frozen=True)
class Invocation:
    """What one dbt command left: ``command`` is dbt's own word for it (build, test, generate, ...), where it says."""

    invocation_id: str | None
    generated_at: datetime | None
    command: str | None
    results: tuple[NodeResult, ...]
    dropped: int = 0
    target: str | None = None
    environment: Mapping[str, str] | None = None


class _Metadata(msgspec.Struct):
    invocation_id: str | None = None
    generated_at: str | None = None
    project_name: str | None = None
    adapter_type: str | None = None
    env: dict[str, Any] | None = None


class _Artifact(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    results: list[msgspec.Raw] | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Arguments(msgspec.Struct):
    which: str | None = None
    rpc_method: str | None = None
    target: str | None = None


class _Result(msgspec.Struct):
    unique_id: str | None = None
    status: str | None = None
    message: str | None = None
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


class _Depends(msgspec.Struct):
    nodes: list[str] | None = None
    macros: list[str] | None = None


class _TestMetadata(msgspec.Struct):
    name: str | None = None
    namespace: str | None = None
    kwargs: dict[str, Any] | None = None


class _Config(msgspec.Struct):
    enabled: bool | None = None
    materialized: str | None = None
    severity: str | None = None
    group: str | None = None
    tags: Any = None
    meta: dict[str, Any] | None = None


class _Node(msgspec.Struct):
    unique_id: str | None = None
    name: str | None = None
    resource_type: str | None = None
    package_name: str | None = None
    original_file_path: str | None = None
    path: str | None = None
    relation_name: str | None = None
    database: str | None = None
    schema: str | None = None
    depends_on: _Depends | None = None
    tags: Any = None
    group: str | None = None
    description: str | None = None
    columns: dict[str, Any] | None = None
    raw_code: str | None = None
    raw_sql: str | None = None
    config: _Config | None = None
    meta: dict[str, Any] | None = None
    # tests
    column_name: str | None = None
    attached_node: str | None = None
    test_metadata: _TestMetadata | None = None
    tested_node_unique_id: str | None = None
    # sources
    source_name: str | None = None
    # exposures and groups
    owner: Any = None
    url: str | None = None


class _Manifest(msgspec.Struct):
    nodes: dict[str, msgspec.Raw]
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    sources: dict[str, msgspec.Raw] | None = None
    exposures: dict[str, msgspec.Raw] | None = None
    unit_tests: dict[str, msgspec.Raw] | None = None
    groups: dict[str, msgspec.Raw] | None = None
    macros: dict[str, msgspec.Raw] | None = None


# A message may quote a whole statement, or rows of it; what tells the cause stands at its beginning.
_LONGEST_MESSAGE = 20_000

_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_DECODERS: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {
    shape: msgspec.json.Decoder(shape) for shape in (_Metadata, _Arguments, _Result, _Node)
}


def read_run_results(payload: bytes) -> Invocation:
    """Decode a ``run_results.json`` of any schema version.

    Raises:
        UnreadableArtifactError: it is not JSON, or holds no list of results.
    """
    return _read_invocation(payload, "run_results.json", _node_result)


def read_sources(payload: bytes) -> Invocation:
    """Decode a ``sources.json`` (source freshness) of any schema version.

    Raises:
        UnreadableArtifactError: it is not JSON, or holds no list of results.
    """
    return _read_invocation(payload, "sources.json", _freshness_result)


def read_manifest(payload: bytes, project: str) -> ProjectGraph:
    """Decode a ``manifest.json`` of any schema version into a project's lineage.

    Raises:
        UnreadableArtifactError: it is not JSON, or holds no nodes.
    """
    try:
        manifest = msgspec.json.decode(payload, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableArtifactError(f"manifest.json could not be decoded: {_reason(error, payload)}") from error
    metadata = _lenient(manifest.metadata, _Metadata)
    decoded = {
        unique_id: _lenient(raw, _Node)
        for section in (manifest.nodes, manifest.sources, manifest.exposures, manifest.unit_tests)
        for unique_id, raw in (section or {}).items()
    }
    decoded = {unique_id: node for unique_id, node in decoded.items() if not _is_disabled(node)}
    package = metadata.project_name or _commonest_package(decoded)
    decoded |= {
        unique_id: _lenient(raw, _Node)
        for unique_id, raw in (manifest.macros or {}).items()
        if package and unique_id.startswith(f"macro.{package}.")
    }
    groups = {}
    for raw in (manifest.groups or {}).values():
        group = _lenient(raw, _Node)
        if group.name and (owner := _owner(group.owner)):
            groups[group.name] = owner
    by_name = _Names(decoded)
    nodes = {unique_id: _graph_node(unique_id, node, groups, by_name) for unique_id, node in decoded.items()}
    return ProjectGraph(project=project, adapter_type=metadata.adapter_type or "", nodes=nodes, package=package)


def aware(moment: str | None) -> datetime | None:
    """An ISO 8601 time as dbt and dbt Cloud write it, as aware UTC; None where it cannot be read."""
    if not moment:
        return None
    try:
        found = msgspec.convert(moment.strip(), datetime)
    except msgspec.ValidationError:
        return None
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)


def _read_invocation(payload: bytes, name: str, build: Any) -> Invocation:
    try:
        artifact = msgspec.json.decode(payload, type=_Artifact)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableArtifactError(f"{name} could not be decoded: {_reason(error, payload)}") from error
    if artifact.results is None:
        raise UnreadableArtifactError(f"{name} holds no list of results")
    metadata = _lenient(artifact.metadata, _Metadata)
    arguments = _lenient(artifact.args, _Arguments)
    results = [build(_lenient(raw, _Result)) for raw in artifact.results]
    kept = tuple(result for result in results if result is not None)
    return Invocation(
        invocation_id=metadata.invocation_id,
        generated_at=aware(metadata.generated_at),
        command=arguments.which or arguments.rpc_method,
        results=kept,
        dropped=len(results) - len(kept),
        target=arguments.target,
        environment={key: str(value) for key, value in (metadata.env or {}).items()},
    )


def _reason(error: Exception, payload: bytes) -> str:
    start = payload[:200].lstrip().lower()
    if not start:
        return "the file is empty"
    if start.startswith(b"<"):
        return "it is an HTML or XML page, not JSON"
    return str(error)


def _lenient(raw: msgspec.Raw, shape: type[_Shape]) -> _Shape:
    """Decode an entry; where one field has a type of its own, only that field falls back to its default."""
    try:
        decoded: _Shape = _DECODERS[shape].decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    else:
        return decoded
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return shape()
    if not isinstance(fields, dict):
        return shape()
    found = {}
    for field in msgspec.structs.fields(shape):
        if field.encode_name in fields:
            try:
                found[field.name] = msgspec.convert(fields[field.encode_name], field.type)
            except msgspec.ValidationError:
                continue
    return shape(**found)


def _node_result(result: _Result) -> NodeResult | None:
    if not result.unique_id or not result.status:
        return None
    compiled = result.compiled_code or result.compiled_sql
    found = NodeResult(
        unique_id=result.unique_id,
        status=result.status.lower(),
        message=(result.message or "")[:_LONGEST_MESSAGE],
        failures=int(result.failures) if result.failures is not None else None,
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
        message = str(result.error)
    elif result.max_loaded_at:
        hours = (result.max_loaded_at_time_ago_in_s or 0.0) / 3600
        message = (
            f"Loaded last at {result.max_loaded_at}, {hours:.1f} hours before the check; {_limits(result.criteria)}"
        )
    else:
        message = ""
    return NodeResult(
        unique_id=result.unique_id, status=result.status.lower(), message=message, seconds=result.execution_time
    )


def _limits(criteria: Any) -> str:
    said = []
    for key, word in (("warn_after", "warns after"), ("error_after", "fails after")):
        limit = criteria.get(key) if isinstance(criteria, dict) else None
        if isinstance(limit, dict) and limit.get("count"):
            said.append(f"{word} {limit['count']} {limit.get('period')}(s)")
    return ", ".join(said) or "no limit is configured"


class _Names:
    """Looks nodes up by what ``ref`` and ``source`` call them, for manifests that name no attached node."""

    _CALL = re.compile(r"\b(ref|source)\(\s*(.*?)\s*\)")
    _STRING = re.compile(r"""['"]([^'"]+)['"]""")

    def __init__(self, nodes: Mapping[str, _Node]) -> None:
        self._models = {
            node.name: unique_id
            for unique_id, node in nodes.items()
            if unique_id.split(".", 1)[0] in ("model", "seed", "snapshot")
        }
        self._sources = {
            (node.source_name, node.name): unique_id
            for unique_id, node in nodes.items()
            if unique_id.startswith("source.")
        }

    def called(self, expression: Any) -> str | None:
        """The unique id that an expression such as ``{{ ref('orders') }}`` means."""
        if not isinstance(expression, str) or not (call := self._CALL.search(expression)):
            return None
        names = self._STRING.findall(call[2])
        if call[1] == "source" and len(names) == 2:
            return self._sources.get((names[0], names[1]))
        return self._models.get(names[-1]) if names else None


def _is_disabled(node: _Node) -> bool:
    return node.config is not None and node.config.enabled is False


def _commonest_package(nodes: Mapping[str, _Node]) -> str:
    packages = Counter(node.package_name for node in nodes.values() if node.package_name)
    return packages.most_common(1)[0][0] if packages else ""


def _graph_node(unique_id: str, node: _Node, groups: Mapping[str, Owner], by_name: _Names) -> GraphNode:
    config = node.config or _Config()
    depends = node.depends_on or _Depends()
    resource_type = node.resource_type or unique_id.split(".", 1)[0]
    name = node.name or unique_id.rsplit(".", 1)[-1]
    group = node.group or config.group
    meta = {**(config.meta or {}), **(node.meta or {})}
    parents = list(depends.nodes or ())
    test = _test_spec(resource_type, node, config, by_name)
    return GraphNode(
        unique_id=unique_id,
        name=f"{node.source_name}.{name}" if resource_type == "source" and node.source_name else name,
        resource_type=resource_type,
        package=node.package_name or "",
        path=(node.original_file_path or node.path or "").replace("\\", "/"),
        relation_name=node.relation_name,
        database=node.database,
        schema=node.schema,
        depends_on=tuple(dict.fromkeys(parents)),
        depends_on_macros=tuple(depends.macros or ()),
        tags=_words((*_words(node.tags), *_words(config.tags))),
        group=group,
        owner=_owner(node.owner) or groups.get(group or "") or _owner(meta.get("owner")),
        description=node.description or "",
        materialized=config.materialized,
        columns=tuple(node.columns or ()),
        raw_sql=node.raw_code or node.raw_sql or "",
        test=test,
        url=node.url,
        meta=meta,
    )


def _test_spec(resource_type: str, node: _Node, config: _Config, by_name: _Names) -> TestSpec | None:
    parents = (node.depends_on and node.depends_on.nodes) or []
    sole_parent = parents[0] if len(set(parents)) == 1 else None
    if resource_type == "unit_test":
        return TestSpec("unit_test", node.tested_node_unique_id or sole_parent)
    if resource_type != "test":
        return None
    severity = (config.severity or "error").lower()
    described = node.test_metadata
    if described is None or not described.name:
        return TestSpec("singular", node.attached_node or sole_parent, severity=severity)
    arguments = described.kwargs or {}
    column = node.column_name or arguments.get("column_name")
    return TestSpec(
        name=f"{described.namespace}.{described.name}" if described.namespace else described.name,
        attached_node=node.attached_node or by_name.called(arguments.get("model")) or sole_parent,
        column=column if isinstance(column, str) else None,
        arguments={key: value for key, value in arguments.items() if key not in ("model", "column_name")},
        severity=severity,
    )


def _words(found: Any) -> tuple[str, ...]:
    """Tags, which dbt takes as one string or a list, each once."""
    if isinstance(found, str):
        return (found,)
    return tuple(dict.fromkeys(str(one) for one in found)) if isinstance(found, Iterable) else ()


def _owner(found: Any) -> Owner | None:
    if isinstance(found, str) and found.strip():
        login = found.strip()[1:] if found.strip().startswith("@") else None
        return Owner(name=found.strip(), github=login)
    if not isinstance(found, dict):
        return None
    email = found.get("email")
    email = email[0] if isinstance(email, list) and email else email
    login = found.get("github")
    name = found.get("name") or email or login
    if not isinstance(name, str):
        return None
    return Owner(
        name=name,
        email=email if isinstance(email, str) else None,
        github=login.lstrip("@") if isinstance(login, str) else None,
    )
