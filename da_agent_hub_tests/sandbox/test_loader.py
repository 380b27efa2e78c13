"""The nightly extract, on a real DuckDB file."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from da_agent_hub.sandbox.loader import Loader, Upstream
from da_agent_hub.sandbox.vocabulary import SALES, SERVICE, Domain

FIRST_DAY = date(2026, 3, 2)


def rows(database: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def loaded(tmp_path: Path, *upstream: Upstream, days: int = 4, domain: Domain = SALES[0]) -> Path:
    database = tmp_path / "raw.duckdb"
    Loader(database, domain, upstream, FIRST_DAY, 0).load_until(FIRST_DAY + timedelta(days=days - 1))
    return database


def test_a_day_that_is_in_is_not_loaded_again(tmp_path: Path) -> None:
    database = loaded(tmp_path)
    before = rows(database, "select * from raw_shop.orders order by order_id")
    loaded(tmp_path)
    assert rows(database, "select * from raw_shop.orders order by order_id") == before


@pytest.mark.parametrize("domain", [*SALES, *SERVICE], ids=lambda domain: domain.name)
def test_every_business_loads_tables_with_unique_keys_and_links_that_exist(tmp_path: Path, domain: Domain) -> None:
    database = loaded(tmp_path, domain=domain)
    for table in domain.tables.values():
        name = f"{domain.raw_schema}.{table.name}"
        assert rows(database, f"select count(*) - count(distinct {table.key}) from {name}") == [(0,)]
        for column in table.columns:
            if column.kind in ("link", "spread"):
                target = domain.tables[column.target]
                orphans = (
                    f"select count(*) from {name} where {column.raw} not in "
                    f"(select {target.key} from {domain.raw_schema}.{target.name})"
                )
                assert rows(database, orphans) == [(0,)]


def test_a_batch_that_arrives_twice_differs_only_in_when_and_how_it_came(tmp_path: Path) -> None:
    database = loaded(tmp_path, Upstream("twice", "payments", 2))
    twice = rows(
        database,
        "select payment_id, count(*), count(distinct _batch_id), count(distinct (customer_id, method, amount_cents, paid_at)) "
        "from raw_shop.payments group by 1 having count(*) > 1",
    )
    assert len(twice) == 15
    assert {row[1:] for row in twice} == {(2, 2, 1)}


def test_a_renamed_column_keeps_its_values(tmp_path: Path) -> None:
    database = loaded(tmp_path, Upstream("rename", "reviews", 2, column="rating", value="stars"))
    assert rows(database, "select count(*) - count(stars) from raw_shop.reviews") == [(0,)]


def test_nulls_come_and_are_filled_in_later(tmp_path: Path) -> None:
    burst = Upstream("nulls", "payments", 1, 2, column="amount_cents")
    missing = "select count(*) from raw_shop.payments where amount_cents is null"
    assert rows(loaded(tmp_path, burst, days=3), missing) == [(8,)]
    assert rows(loaded(tmp_path, burst, days=4), missing) == [(0,)]


def test_a_stalled_table_gets_no_rows_while_the_others_do(tmp_path: Path) -> None:
    database = loaded(tmp_path, Upstream("stall", "products", 2))
    newest = "select cast(max(_loaded_at) as date) from raw_shop."
    assert rows(database, newest + "products") == [(FIRST_DAY + timedelta(days=1),)]
    assert rows(database, newest + "orders") == [(FIRST_DAY + timedelta(days=3),)]
