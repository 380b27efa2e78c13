"""The compact lineage that a record store keeps, read without what only the rest of the store needs.

Every process of Dagster reads it when it loads the definitions, and importing SQLAlchemy takes a third of the time
that importing Dagster takes: so SQLite is read with the standard library.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

_SQLITE_FILE = "sqlite:///"
_BUSY_SECONDS = 5.0


@dataclass(frozen=True)
class LineageNode:
    """What the Dagster lineage shows of one dbt node: ``depends_on`` holds unique ids; ``description`` is capped."""

    unique_id: str
    name: str
    resource_type: str
    depends_on: tuple[str, ...] = ()
    group: str | None = None
    description: str = ""
    asset_key: tuple[str, ...] = ()


StoredLineage = Mapping[str, Callable[[], Sequence[LineageNode]]]


def read_lineage(url: str, max_nodes: int) -> StoredLineage:
    """Each project's newest lineage of at most so many nodes; decoded when called, and may then raise.

    A SQLite store that is not there yet has none, and is not made.

    Raises:
        sqlite3.Error: the file is there and cannot be read.
        RecordStoreError: the same, of another database.
    """
    if not url.startswith(_SQLITE_FILE) or "?" in url or ":memory:" in url:
        from .record_store import open_record_store

        store = open_record_store(url)
        try:
            return store.lineage(max_nodes)
        finally:
            store.close()
    file = Path(url[len(_SQLITE_FILE) :])
    if not file.exists():
        return {}
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'dbt_lineage'").fetchone() is None:
            return {}
        rows = connection.execute("SELECT project, payload FROM dbt_lineage WHERE nodes <= ?", (max_nodes,)).fetchall()
    return {project: unpacked(payload) for project, payload in rows}


def unpacked(payload: bytes) -> Callable[[], Sequence[LineageNode]]:
    """How to decode a kept lineage."""
    return lambda: msgspec.json.decode(zlib.decompress(payload), type=list[LineageNode])
