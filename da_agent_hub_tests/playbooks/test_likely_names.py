"""A name that is alike is a slip only where no word of it means another thing."""

from __future__ import annotations

import pytest

from da_agent_hub.playbooks.likely_names import changes_the_measure, may_be_a_slip, only_slip, plausible


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("amuont_usd", "amount_usd"),
        ("amount_uds", "amount_usd"),
        ("custmer_id", "customer_id"),
        ("customerid", "customer_id"),
        ("costs", "cost"),
        ("amount_cent", "amount_cents"),
        ("nte_amount", "net_amount"),
        ("wait_mins", "wait_minutes"),
        ("order_qty", "order_quantity"),
        ("trip_kilometers", "trip_km"),
        ("share_pct", "share_percent"),
    ],
)
def test_a_misspelt_word_is_a_slip(written: str, meant: str) -> None:
    assert may_be_a_slip(written, meant)
    assert not changes_the_measure(written, meant)


@pytest.mark.parametrize(
    ("written", "other"),
    [
        ("distance", "distance_km"),
        ("distance_km", "distance_miles"),
        ("amount", "amount_cents"),
        ("amount_usd", "amount_eur"),
        ("amount_net", "amount_gross"),
        ("opened_utc", "opened_local"),
        ("created_at", "updated_at"),
        ("first_name", "last_name"),
        ("address_1", "address_2"),
        ("min_weight", "max_weight"),
        ("start_date", "end_date"),
        ("wait_min", "wait_minutes"),
        ("wait_mins", "wait_secs"),
        ("price_dollars", "price_euros"),
    ],
)
def test_another_unit_currency_moment_or_number_is_no_slip(written: str, other: str) -> None:
    assert not may_be_a_slip(written, other)
    assert changes_the_measure(written, other)


def test_where_two_units_could_be_meant_both_are_named_and_none_is_chosen() -> None:
    names = plausible("distance", ["distance_km", "distance_miles", "colour"])
    assert names == ["distance_km", "distance_miles"]
    assert only_slip("distance", names) is None


def test_the_currency_that_is_written_decides_between_two() -> None:
    assert only_slip("amuont_usd", ["amount_eur", "amount_usd"]) == "amount_usd"
