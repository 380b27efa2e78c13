"""The two ways in which the hub's assets are partitioned: reporting days, and issues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from urllib.parse import quote

import dagster as dg

from ..domain.window import DAY_STARTS

ISSUES = dg.DynamicPartitionsDefinition(name="issues")

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
# Longer ranges are asked for in pieces: a run of a year is one exception away from a year of nothing.
MOST_DAYS = 31


def reporting_days(start_date: str) -> dg.DailyPartitionsDefinition:
    """Days of 06:30 to 06:30 UTC; the open day exists, for dbt runs that finish now."""
    return dg.DailyPartitionsDefinition(
        start_date=start_date, hour_offset=DAY_STARTS.hour, minute_offset=DAY_STARTS.minute, end_offset=1
    )


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags that make one run of a range of days.

    Raises:
        ValueError: the range is empty: Dagster would run it and record materializations of no partition.
    """
    if date.fromisoformat(first) > date.fromisoformat(last):
        raise ValueError(f"the days {first} to {last} are out of order")
    return {RANGE_START: first, RANGE_END: last}


def days_between(first: str, last: str) -> Sequence[str]:
    """All days from the first to the last, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]


def last_days(day: str, count: int) -> Sequence[str]:
    """So many days up to and with this one, oldest first."""
    return days_between((date.fromisoformat(day) - timedelta(days=count - 1)).isoformat(), day)


def partition_page(key: dg.AssetKey, partition: str) -> str:
    """The path of a partition's page in Dagster's web interface."""
    return f"/assets/{'/'.join(quote(part, safe='') for part in key.path)}?view=partitions&partition={quote(partition, safe='')}"
