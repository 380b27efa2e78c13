"""A manifest.json of any dbt as a project's lineage: read once, kept small, each node built when it is asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from ..domain.dbt import GraphNode, Owner, ProjectGraph, TestSpec
from .artifact_json import UnreadableArtifactError, check_kind, lenient, read_object

# Cheap to make in thousands: nothing here can be part of a cycle, so the collector need not look at it.
# Fields stand in the order in which dbt writes them, which is where the decoder looks first.
_Strings = tuple[str, ...] | None


class _Column(msgspec.Struct, gc=False):
    """Only its name counts, which is its key."""


class _Depends(msgspec.Struct, gc=False):
    macros: _Strings = None
    nodes: _Strings = None


class _TestMetadata(msgspec.Struct, gc=False):
    name: str | None = None
    kwargs: dict[str, Any] | None = None
    namespace: str | None = None


class _Config(msgspec.Struct, gc=False):
    enabled: bool | None = None
    tags: tuple[Any, ...] | str | None = None
    meta: dict[str, Any] | None = None
    group: str | None = None
    materialized: str | None = None
    severity: str | None = None


class _Node(msgspec.Struct, gc=False):
    """Of the nodes of a project most are tests: each field more is looked at once for each key of theirs."""

    test_metadata: _TestMetadata | None = None
    database: str | None = None
    schema: str | None = None
    name: str | None = None
    resource_type: str | None = None
    package_name: str | None = None
    original_file_path: str | None = None
    config: _Config | None = None
    tags: tuple[Any, ...] | str | None = None
    description: str | None = None
    columns: dict[str, _Column] | None = None
    meta: dict[str, Any] | None = None
    group: str | None = None
    relation_name: str | None = None
    raw_code: str | None = None
    raw_sql: str | None = None
    depends_on: _Depends | None = None
    column_name: str | None = None
    attached_node: str | None = None


class _Other(_Node, gc=False):
    """A source, an exposure, a unit test or a group."""

    source_name: str | None = None
    loader: str | None = None
    owner: Any = None
    url: str | None = None
    tested_node_unique_id: str | None = None


class _Macro(msgspec.Struct, gc=False):
    name: str | None = None
    package_name: str | None = None
    path: str | None = None
    original_file_path: str | None = None
    depends_on: _Depends | None = None
    description: str | None = None
    meta: dict[str, Any] | None = None


_Nodes = dict[str, _Node]
_Others = dict[str, _Other]
_Raws = dict[str, msgspec.Raw]


class _Manifest(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    nodes: _Nodes | None = None
    sources: _Others | None = None
    # A project has a few of the many hundred macros that dbt and its packages bring.
    macros: _Raws | None = None
    exposures: _Others | None = None
    groups: _Others | None = None
    unit_tests: _Others | None = None


class _LooseManifest(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    nodes: msgspec.Raw = msgspec.Raw(b"null")
    sources: msgspec.Raw = msgspec.Raw(b"null")
    macros: msgspec.Raw = msgspec.Raw(b"null")
    exposures: msgspec.Raw = msgspec.Raw(b"null")
    groups: msgspec.Raw = msgspec.Raw(b"null")
    unit_tests: msgspec.Raw = msgspec.Raw(b"null")


class _Metadata(msgspec.Struct):
    project_name: str | None = None
    adapter_type: str | None = None


def read_manifest(payload: bytes, project: str) -> ProjectGraph:
    """Decode a ``manifest.json`` of any schema version into a project's lineage.

    Raises:
        UnreadableArtifactError: it is not one, or holds no nodes; the sentence says what it is instead.
    """
    manifest = _decoded(payload)
    if manifest.nodes is None:
        raise UnreadableArtifactError("manifest.json holds no nodes")
    metadata = lenient(manifest.metadata, _Metadata)
    sections: tuple[Mapping[str, _Node] | None, ...] = (
        manifest.nodes,
        manifest.sources,
        manifest.exposures,
        manifest.unit_tests,
    )
    entries: dict[str, _Node | _Macro] = {
        unique_id: node
        for section in sections
        for unique_id, node in (section or {}).items()
        if node.config is None or node.config.enabled is not False
    }
    package = metadata.project_name or _commonest_package(entries)
    own = f"macro.{package}."
    entries |= {
        unique_id: lenient(raw, _Macro)
        for unique_id, raw in (manifest.macros or {}).items()
        if package and unique_id.startswith(own)
    }
    groups = {
        group.name: owner
        for group in (manifest.groups or {}).values()
        if group.name and (owner := _owner(group.owner)) is not None
    }
    nodes = _GraphNodes(entries, groups)
    return ProjectGraph(project=project, adapter_type=metadata.adapter_type or "", nodes=nodes, package=package)


def _decoded(payload: bytes) -> _Manifest:
    try:
        manifest, _ = read_object(payload, _Manifest, "manifest.json")
    except msgspec.ValidationError:
        # One field somewhere has a type of its own: read entry by entry, at a few times the cost.
        loose, _ = read_object(payload, _LooseManifest, "manifest.json")
        check_kind(loose.metadata, "manifest.json")
        return _Manifest(
            metadata=loose.metadata,
            nodes=_each(loose.nodes, _Node),
            sources=_each(loose.sources, _Other),
            macros=_raws(loose.macros),
            exposures=_each(loose.exposures, _Other),
            groups=_each(loose.groups, _Other),
            unit_tests=_each(loose.unit_tests, _Other),
        )
    check_kind(manifest.metadata, "manifest.json")
    return manifest


def _raws(section: msgspec.Raw) -> _Raws | None:
    try:
        return msgspec.json.decode(section, type=_Raws)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _each(section: msgspec.Raw, shape: type[Any]) -> dict[str, Any] | None:
    entries = _raws(section)
    return None if entries is None else {unique_id: lenient(raw, shape) for unique_id, raw in entries.items()}


class _GraphNodes(Mapping[str, GraphNode]):
    """The nodes of a manifest, each put into the hub's words when it is first asked for."""

    def __init__(self, entries: Mapping[str, _Node | _Macro], groups: Mapping[str, Owner]) -> None:
        self._entries = entries
        self._groups = groups
        self._built: dict[str, GraphNode] = {}

    def __getitem__(self, unique_id: str) -> GraphNode:
        known = self._built.get(unique_id)
        if known is None:
            entry = self._entries[unique_id]
            known = self._node(unique_id, entry) if isinstance(entry, _Node) else _macro(unique_id, entry)
            self._built[unique_id] = known
        return known

    def __contains__(self, unique_id: object) -> bool:
        return unique_id in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _node(self, unique_id: str, node: _Node) -> GraphNode:
        config = node.config or _NO_CONFIG
        other = node if isinstance(node, _Other) else _NO_OTHER
        depends = node.depends_on or _NOTHING
        resource_type = node.resource_type or unique_id.split(".", 1)[0]
        name = node.name or unique_id.rsplit(".", 1)[-1]
        group = node.group or config.group
        meta = {**(config.meta or {}), **(node.meta or {})}
        return GraphNode(
            unique_id=unique_id,
            name=f"{other.source_name}.{name}" if resource_type == "source" and other.source_name else name,
            resource_type=resource_type,
            package=node.package_name or "",
            path=(node.original_file_path or "").replace("\\", "/"),
            relation_name=node.relation_name,
            database=node.database,
            schema=node.schema,
            depends_on=tuple(dict.fromkeys(depends.nodes or ())),
            depends_on_macros=depends.macros or (),
            tags=_words((*_words(node.tags), *_words(config.tags))),
            group=group,
            owner=_owner(other.owner) or self._groups.get(group or "") or _owner(meta.get("owner")),
            description=node.description or "",
            materialized=config.materialized,
            columns=tuple(node.columns or ()),
            raw_sql=node.raw_code or node.raw_sql or "",
            test=self._test(resource_type, node, config),
            url=other.url,
            meta=meta,
            loader=other.loader or "",
        )

    def _test(self, resource_type: str, node: _Node, config: _Config) -> TestSpec | None:
        if resource_type not in ("test", "unit_test"):
            return None
        parents = set((node.depends_on and node.depends_on.nodes) or ())
        sole_parent = next(iter(parents)) if len(parents) == 1 else None
        if resource_type == "unit_test":
            tested = node.tested_node_unique_id if isinstance(node, _Other) else None
            return TestSpec("unit_test", tested or sole_parent)
        severity = (config.severity or "error").lower()
        described = node.test_metadata
        if described is None or not described.name:
            return TestSpec("singular", node.attached_node or sole_parent, severity=severity)
        arguments = described.kwargs or {}
        column = node.column_name or arguments.get("column_name")
        return TestSpec(
            name=f"{described.namespace}.{described.name}" if described.namespace else described.name,
            attached_node=node.attached_node or self._names.called(arguments.get("model")) or sole_parent,
            column=column if isinstance(column, str) else None,
            arguments={key: value for key, value in arguments.items() if key not in ("model", "column_name")},
            severity=severity,
        )

    @cached_property
    def _names(self) -> _Names:
        return _Names(self._entries)


_NO_CONFIG = _Config()
_NO_OTHER = _Other()
_NOTHING = _Depends()


def _macro(unique_id: str, macro: _Macro) -> GraphNode:
    return GraphNode(
        unique_id=unique_id,
        name=macro.name or unique_id.rsplit(".", 1)[-1],
        resource_type="macro",
        package=macro.package_name or "",
        path=(macro.original_file_path or macro.path or "").replace("\\", "/"),
        depends_on_macros=(macro.depends_on or _NOTHING).macros or (),
        description=macro.description or "",
        meta=macro.meta or {},
        owner=_owner((macro.meta or {}).get("owner")),
    )


class _Names:
    """Looks nodes up by what ``ref`` and ``source`` call them, for manifests that name no attached node."""

    _CALL = re.compile(r"\b(ref|source)\(\s*(.*?)\s*\)")
    _STRING = re.compile(r"""['"]([^'"]+)['"]""")

    def __init__(self, nodes: Mapping[str, _Node | _Macro]) -> None:
        self._models = {
            node.name: unique_id
            for unique_id, node in nodes.items()
            if unique_id.split(".", 1)[0] in ("model", "seed", "snapshot")
        }
        self._sources = {
            (node.source_name, node.name): unique_id
            for unique_id, node in nodes.items()
            if isinstance(node, _Other) and unique_id.startswith("source.")
        }

    def called(self, expression: Any) -> str | None:
        """The unique id that an expression such as ``{{ ref('orders') }}`` means."""
        if not isinstance(expression, str) or not (call := self._CALL.search(expression)):
            return None
        names = self._STRING.findall(call[2])
        if call[1] == "source" and len(names) == 2:
            return self._sources.get((names[0], names[1]))
        return self._models.get(names[-1]) if names else None


def _commonest_package(nodes: Mapping[str, _Node | _Macro]) -> str:
    packages = Counter(node.package_name for node in nodes.values() if node.package_name)
    return packages.most_common(1)[0][0] if packages else ""


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
