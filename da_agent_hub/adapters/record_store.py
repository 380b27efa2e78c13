"""The hub's memory on SQLite or Postgres; every method is one transaction and safe to repeat."""

from __future__ import annotations

from .record_engine import (
    RecordStoreError,
    StoreTooNewError,
    StoreUnreachableError,
    StoreUnreadableError,
    open_engine,
)
from .record_history import RecordHistory
from .record_issues import RecordIssues

__all__ = [
    "RecordStoreError",
    "SqlRecordStore",
    "StoreTooNewError",
    "StoreUnreachableError",
    "StoreUnreadableError",
    "open_record_store",
]


class SqlRecordStore(RecordHistory, RecordIssues):
    """``RecordStore`` over SQLAlchemy Core."""


def open_record_store(url: str) -> SqlRecordStore:
    """Open (and where needed create or migrate) the store behind ``sqlite:///...`` or ``postgresql://...``.

    Raises:
        RecordStoreError: what is wrong with it, and what to do.
    """
    return SqlRecordStore(open_engine(url))
