"""Which dbt node a person's words are about, in an issue that the hub did not file."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .dbt import ProjectGraph
from .error_record import ErrorRecord, RecordState

_WORD = re.compile(r"[A-Za-z0-9_.]+")
_FILE = re.compile(r"\.(?:sql|yml|yaml|csv|py|md)$")


def words_of(text: str) -> frozenset[str]:
    """The words of a text that could name a node, in lower case: dotted ones whole and in their parts."""
    found: set[str] = set()
    for word in _WORD.findall(text.lower()):
        bare = _FILE.sub("", word.strip("."))
        found |= {bare, *bare.split(".")}
    return frozenset(found - {""})


def named_record(text: str, records: Iterable[ErrorRecord], graph: ProjectGraph | None) -> ErrorRecord | None:
    """The record of a node that a text names: one that still fails before one that has recovered, the newest first."""
    words = words_of(text)
    named = [(_telling(names & words), one) for one in records if (names := _names(one, graph)) & words]
    if not named:
        return None
    best = max(named, key=lambda one: (one[0], one[1].state is not RecordState.RECOVERED, one[1].last_seen))
    return best[1]


def named_node(text: str, graph: ProjectGraph | None) -> str | None:
    """The unique id of a node that a text names, or None."""
    words = words_of(text)
    nodes = graph.nodes.values() if graph else ()
    named = [
        (_telling(names & words), one.unique_id)
        for one in nodes
        if (names := {one.unique_id.lower(), one.name.lower()}) & words
    ]
    return max(named)[1] if named else None


def _names(record: ErrorRecord, graph: ProjectGraph | None) -> set[str]:
    ids = {one for one in (record.node, *record.members) if one}
    nodes = [node for node in map(graph.get, ids) if node] if graph else []
    ids |= {node.test.attached_node for node in nodes if node.test and node.test.attached_node}
    # Without a lineage a test's title still tells which model it tests.
    titled = {word for word in words_of(record.title.partition(":")[0]) if "_" in word}
    return titled | {one.lower() for one in ids} | {one.split(".")[2].lower() for one in ids if one.count(".") >= 2}


def _telling(names: Iterable[str]) -> int:
    """A unique id says more than a name with an underscore, and a plain word may only be a word."""
    return max((2 if "." in name else 1 if "_" in name else 0) for name in names)
