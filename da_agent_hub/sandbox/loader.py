"""The nightly extract: raw tables filled day by day, as the source systems have them on that day."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb

from .vocabulary import Column, Domain, Table

LOAD_TIME = time(1, 30)


@dataclass(frozen=True)
class Upstream:
    """Something that the source systems or the extract do to one table; days count from the first load.

    ``kind``: ``twice`` (the batch of ``first`` arrives again), ``rename`` (``column`` is called ``value`` from
    ``first`` on), ``novelty`` (``column`` takes ``value`` in some rows from ``first`` on), ``nulls`` (``column`` is
    empty in some rows of ``first`` to ``last``, filled in after that), ``stall`` (no load from ``first`` on), ``outlier``
    (one row of the first load, key ``value``, has an extreme ``column``).
    """

    kind: str
    table: str
    first: int
    last: int = 10_000
    column: str = ""
    value: str = ""


class Loader:
    """Loads a domain's raw tables into a DuckDB file; a day that is in is not loaded again."""

    def __init__(
        self, database: Path, domain: Domain, upstream: Sequence[Upstream], first_day: date, seed: int
    ) -> None:
        self.database = database
        self.domain = domain
        self.upstream = upstream
        self.first_day = first_day
        self.seed = seed

    def load_until(self, day: date) -> None:
        """Every load up to and with the one of ``day``, in order."""
        with duckdb.connect(str(self.database)) as connection:
            self._create(connection)
            loaded = connection.execute(f"select max(day) from {self._schema}._loads").fetchone()  # noqa: S608
            following = 0 if not loaded or loaded[0] is None else loaded[0] + 1
            for number in range(following, (day - self.first_day).days + 1):
                connection.begin()
                for table in self.domain.tables.values():
                    self._load(connection, table, number)
                connection.execute(f"insert into {self._schema}._loads values ({number})")  # noqa: S608
                connection.commit()

    @property
    def _schema(self) -> str:
        return self.domain.raw_schema

    def _create(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(f"create schema if not exists {self._schema}")
        connection.execute(f"create table if not exists {self._schema}._loads (day integer)")
        for table in self.domain.tables.values():
            columns = ", ".join(f"{column.raw} {column.sql_type}" for column in table.columns)
            connection.execute(
                f"create table if not exists {self._schema}.{table.name} "
                f"({columns}, _batch_id varchar, _loaded_at timestamp)"
            )

    def _load(self, connection: duckdb.DuckDBPyConnection, table: Table, number: int) -> None:
        faults = {fault.kind: fault for fault in self.upstream if fault.table == table.name}
        if "stall" in faults and number >= faults["stall"].first:
            return
        target = f"{self._schema}.{table.name}"
        renamed = faults.get("rename")
        if renamed and number == renamed.first:
            connection.execute(f"alter table {target} rename column {renamed.column} to {renamed.value}")
        day = self.first_day + timedelta(days=number)
        loaded_at = datetime.combine(day, LOAD_TIME) + timedelta(
            seconds=random.Random(f"{target}{number}").randint(0, 200)
        )
        rows = self._rows(table, number, faults)
        batch = f"{day:%Y%m%d}-1"
        _insert(connection, target, rows, batch, loaded_at)
        twice = faults.get("twice")
        if twice and number == twice.first:
            _insert(connection, target, rows, f"{day:%Y%m%d}-2", loaded_at + timedelta(minutes=12))
        nulls = faults.get("nulls")
        if nulls and number == nulls.last + 1:
            column = next(one for one in table.columns if one.raw == nulls.column)
            connection.execute(
                f"update {target} set {column.raw} = {column.low} where {column.raw} is null"  # noqa: S608
            )

    def _rows(self, table: Table, number: int, faults: Mapping[str, Upstream]) -> list[list[Any]]:
        rng = random.Random(f"{self.seed}/{table.name}/{number}")
        last = table.last_id(number)
        first = 1 if number == 0 else table.last_id(number - 1) + 1
        rows = []
        for position, key in enumerate(range(first, last + 1)):
            row = {column.raw: self._value(column, rng, key, position, number) for column in table.columns}
            self._disturb(row, key, position, number, faults)
            rows.append(list(row.values()))
        return rows

    def _value(self, column: Column, rng: random.Random, key: int, position: int, number: int) -> Any:
        if column.kind == "key":
            return key
        if column.kind == "link":
            return rng.randint(1, self.domain.tables[column.target].last_id(number))
        if column.kind == "spread":
            first, last = self._newest(column.target, number)
            return first + position % (last - first + 1)
        if column.kind == "flag":
            spread = next(table for table in self.domain.tables.values() if column in table.columns).first("spread")
            first, last = self._newest(spread.target, number)
            return position <= last - first
        if column.kind == "moment":
            day = self.first_day + timedelta(days=number - 1)
            return datetime.combine(day, time()) + timedelta(seconds=rng.randrange(86_400))
        if column.kind == "money":
            return rng.randint(column.low * 100, column.high * 100)
        if column.kind == "number":
            return rng.randint(column.low, column.high)
        value = rng.choice(column.values)
        return value.title() if column.kind == "choice" and rng.random() < 0.1 else value

    def _newest(self, name: str, number: int) -> tuple[int, int]:
        table = self.domain.tables[name]
        return (1 if number == 0 else table.last_id(number - 1) + 1), table.last_id(number)

    @staticmethod
    def _disturb(row: dict[str, Any], key: int, position: int, number: int, faults: Mapping[str, Upstream]) -> None:
        novelty = faults.get("novelty")
        if novelty and number >= novelty.first and position % 7 == 2:
            row[novelty.column] = novelty.value
        nulls = faults.get("nulls")
        if nulls and nulls.first <= number <= nulls.last and position % 4 == 1:
            row[nulls.column] = None
        outlier = faults.get("outlier")
        if outlier and number == 0 and key == int(outlier.value):
            row[outlier.column] = 10 * row[outlier.column] + 10_000_00


def _insert(
    connection: duckdb.DuckDBPyConnection, target: str, rows: Sequence[Sequence[Any]], batch: str, loaded_at: datetime
) -> None:
    values = ", ".join(f"({', '.join(_literal(value) for value in (*row, batch, loaded_at))})" for row in rows)
    connection.execute(f"insert into {target} values {values}")  # noqa: S608


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"timestamp '{value:%Y-%m-%d %H:%M:%S}'"
    return "'" + str(value).replace("'", "''") + "'"
