"""Opens the record store's database: one engine, the schema brought up to date, and errors that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from .record_tables import SCHEMA_VERSION

BUSY_SECONDS = 30.0
# Any number of ours will do: everybody who migrates this database takes the same lock.
MIGRATION_LOCK = 7_243_519_001


class RecordStoreError(Exception):
    """The hub's memory cannot be used; the message names it and the next step."""


class StoreUnreachableError(RecordStoreError):
    """It could not be opened: no such server, no write access, or busy for too long."""


class StoreUnreadableError(RecordStoreError):
    """It was opened and is not a whole record store."""


class StoreTooNewError(RecordStoreError):
    """A newer hub has written it."""


def open_engine(url: str) -> Engine:
    """An engine over an up-to-date schema; safe with several processes opening at once.

    Raises:
        RecordStoreError: what is wrong with it, and what to do.
    """
    engine = create_bare_engine(url)
    with named_errors(engine.url), engine.connect() as connection:
        version = _version(connection)
    if version != SCHEMA_VERSION:
        _bring_up_to_date(engine)
    return engine


def create_bare_engine(url: str) -> Engine:
    """An engine, with its connections set up, over whatever is there."""
    parsed = _driver_named(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return _sqlite_engine(parsed)
        return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreUnreachableError(
            f"state.url {_shown(parsed)} cannot be used ({error}): write sqlite:///path/to/hub.db, or "
            "postgresql://user:password@host/database with da-agent-hub[postgres] installed"
        ) from error


def writing(engine: Engine) -> Engine:
    """The same engine, whose transactions take SQLite's write lock when they begin and so never fail half-way."""
    return engine.execution_options(hub_writes=True)


@contextmanager
def named_errors(url: URL) -> Iterator[None]:
    """Turn a broken or unreachable database into an error that names it; every other error passes unchanged."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnreachableError(_unreachable(url, _reason(error))) from error
    except (OperationalError, ProgrammingError) as error:
        # SQLite says "no such table" with the error class that Postgres keeps for what cannot be reached.
        if isinstance(error, OperationalError) and "no such" not in str(error.orig):
            raise StoreUnreachableError(_unreachable(url, _reason(error))) from error
        raise StoreUnreadableError(
            f"the hub's state in {_shown(url)} has another shape than expected ({_reason(error)}): it is half migrated "
            "or was changed by hand. Restore it from a backup, or give state.url an empty database: the hub reads dbt "
            "and GitHub again and files nothing twice"
        ) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # an integrity or data error is about a row, not about the file
            raise
        raise StoreUnreadableError(_broken(url, _reason(error))) from error


def _driver_named(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUnreachableError(
            "state.url is not a database URL: write sqlite:///path/to/hub.db or postgresql://user:password@host/database"
        ) from None
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachableError(_unreachable(url, str(error))) from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def set_up(dbapi_connection: Any, _: Any) -> None:
        # The driver's own transaction control begins late; with it off, "begin" below decides.
        dbapi_connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("hub_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _version(connection: Connection) -> str | None:
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).scalar()
    else:
        # Not to_regclass: it answers from the session's cache, which may still say "no such table" after another
        # process made it.
        found = connection.execute(
            text("SELECT 1 FROM pg_class WHERE relname = 'alembic_version' AND pg_table_is_visible(oid)")
        ).scalar()
    if found is None:
        return None
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if version is None else str(version)


def _bring_up_to_date(engine: Engine) -> None:
    # Imported here: a process that finds the schema up to date, which is nearly every one, does not pay for it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with named_errors(engine.url):
        if engine.dialect.name == "sqlite":
            _use_write_ahead_log(engine)
        with writing(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            version = _version(connection)
            if version is None and inspect(connection).has_table("inbox_events"):
                raise StoreUnreadableError(_broken(engine.url, "it has the hub's tables but no schema version"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StoreTooNewError(
                    f"the hub's state in {_shown(engine.url)} has schema version {version}, which this release does "
                    f"not know: install the newer da-agent-hub that wrote it, or give state.url another database"
                ) from error


def _use_write_ahead_log(engine: Engine) -> None:
    # Outside a transaction, and SQLite answers "locked" at once where another process is switching it too.
    from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

    @retry(
        retry=retry_if_exception_type(OperationalError),
        stop=stop_after_delay(BUSY_SECONDS),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )
    def switch() -> None:
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        except engine.dialect.loaded_dbapi.OperationalError as error:
            raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
        finally:
            raw.close()

    switch()


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]


def _shown(url: URL) -> str:
    return url.database or "memory" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _unreachable(url: URL, reason: str) -> str:
    if url.get_backend_name() == "sqlite":
        next_step = "give this user write access to the file and its directory, or set state.url to another place"
    else:
        next_step = "check that the server runs and that state.url has the right host, user, password and database"
    return f"the hub's state in {_shown(url)} cannot be used ({reason}): {next_step}"


def _broken(url: URL, reason: str) -> str:
    return (
        f"the hub's state in {_shown(url)} is broken ({reason}): restore it from a backup, or move it away and start "
        "again: the hub then reads dbt and GitHub anew and files nothing twice"
    )
