"""The record store's tables: a payload as JSON, beside the columns that are asked for."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = "r0004"


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite keeps it without its zone, so that text sorts as time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they would mean another moment on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        moment = value.astimezone(timezone.utc)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware UTC again."""
        if value is None:
            return None
        moment: datetime = value.replace(tzinfo=timezone.utc) if dialect.name == "sqlite" else value
        return moment.astimezone(timezone.utc)


metadata = MetaData()

dbt_runs = Table(
    "dbt_runs",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("run_id", String(200), primary_key=True),
    Column("finished_at", UtcTime, nullable=False),
    Column("status", String(20), nullable=False),
    Column("unread", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("dbt_runs_by_finish", "project", "finished_at"),
)

dbt_graphs = Table(
    "dbt_graphs",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("run_id", String(200), nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

dbt_lineage = Table(
    "dbt_lineage",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("as_of", UtcTime, nullable=False),
    Column("nodes", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

dbt_jobs_seen = Table(
    "dbt_jobs_seen",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
)

error_records = Table(
    "error_records",
    metadata,
    Column("fingerprint", String(200), primary_key=True),
    Column("project", String(200), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("payload", Text, nullable=False),
)

proven_categories = Table(
    "proven_categories",
    metadata,
    Column("fingerprint", String(200), primary_key=True),
    Column("project", String(200), nullable=False, index=True),
    Column("payload", Text, nullable=False),
)

record_issues = Table(
    "record_issues",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("fingerprint", String(200), nullable=False),
    Column("issue_key", String(400), nullable=False),
    Index("record_issues_once", "fingerprint", "issue_key", unique=True),
    Index("record_issues_by_issue", "issue_key"),
)

issue_lives = Table(
    "issue_lives",
    metadata,
    Column("issue_key", String(400), primary_key=True),
    Column("project", String(200), nullable=False, index=True),
    Column("state", String(30), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("payload", Text, nullable=False),
)

filed_marks = Table(
    "filed_marks",
    metadata,
    Column("project", String(200), primary_key=True),
    Column("until", UtcTime, nullable=False),
)

inbox_events = Table(
    "inbox_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String(400), nullable=False, unique=True),
    Column("issue_key", String(400), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("happened_at", UtcTime, nullable=False),
    Column("payload", Text, nullable=False),
    Column("plan", Text),
    Column("failures", Integer, nullable=False, default=0),
    Column("finished", Boolean, nullable=False, default=False),
    Column("outcome", Text),
    Index("inbox_events_waiting", "finished", "issue_key", "happened_at"),
)

stop_flags = Table("stop_flags", metadata, Column("issue_key", String(400), primary_key=True))

leases = Table(
    "leases",
    metadata,
    Column("scope", String(400), primary_key=True),
    Column("holder", String(400), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

run_requests = Table(
    "run_requests",
    metadata,
    Column("scope", String(400), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("cleared_attempts", Integer, nullable=False, default=0),
    Column("requested_at", UtcTime, nullable=False),
)

investigations = Table(
    "investigations",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("issue_key", String(400), nullable=False),
    Column("key", String(400), nullable=False),
    Column("investigator", String(100), nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("started_at", UtcTime),
    Column("payload", LargeBinary, nullable=False),
    Index("investigations_once", "issue_key", "key", unique=True),
)

fixes = Table(
    "fixes",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("issue_key", String(400), nullable=False),
    Column("key", String(400), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("pull_request", String(400), index=True),
    Column("payload", LargeBinary, nullable=False),
    Index("fixes_once", "issue_key", "key", unique=True),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(400), primary_key=True),
    Column("value", Text, nullable=False),
)
