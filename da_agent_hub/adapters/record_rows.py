"""How the record store asks its database: one transaction a call, and payloads as JSON."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite

from .record_engine import named_errors, writing

T = TypeVar("T")


class RecordRows:
    """Rows of the store, for the classes that tell what they mean."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = writing(engine)
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with named_errors(self._engine.url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with named_errors(self._engine.url), self._writing.begin() as connection:
            yield connection

    def _rows(self, query: Any) -> list[Any]:
        with self._read() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def _all(self, query: Any) -> list[Any]:
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def _one(self, query: Any) -> Any:
        with self._read() as connection:
            return connection.execute(query).scalar()

    def _put(self, connection: Connection, table: Table, row: Mapping[str, Any], *, key: list[str]) -> None:
        connection.execute(self._insert(table).values(row).on_conflict_do_update(index_elements=key, set_=dict(row)))


def as_json(value: Any) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def pack(value: Any) -> bytes:
    """A value as compressed JSON."""
    return zlib.compress(msgspec.json.encode(value), level=3)


def unpack(payload: bytes, shape: type[T]) -> T:
    """What was packed, in its shape."""
    return msgspec.json.decode(zlib.decompress(payload), type=shape)
