"""Error records to write issues about; every field can be chosen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from da_agent_hub.domain.dbt import Owner
from da_agent_hub.domain.error_record import Category, ErrorRecord, Priority, RecordState, Sighting
from da_agent_hub.domain.failure import Failure, FailureKind

MONDAY = datetime(2026, 11, 16, 2, 10, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def sighting(at: datetime, sha: str = "abcdef1234567") -> Sighting:
    number = at.strftime("%m%d")
    return Sighting(number, f"https://cloud.getdbt.com/runs/{number}", at, sha)


def failure(at: datetime = MONDAY, **chosen: Any) -> Failure:
    seen = sighting(at)
    return replace(
        Failure(
            project="shop",
            environment="prod",
            job_id="1",
            run_id=seen.run_id,
            run_url=seen.run_url,
            step=2,
            kind=FailureKind.TEST,
            unique_id="test.shop.unique_stg_orders_order_id.ab12",
            message="Got 12 results, configured to fail if != 0",
            happened_at=at,
            git_sha="abcdef1234567",
            failures=12,
            compiled_sql="select order_id from stg_orders group by 1 having count(*) > 1",
            path="models/stg_orders.yml",
            line=3,
        ),
        **chosen,
    )


def record(fingerprint: str = "f1", at: datetime = MONDAY, **chosen: Any) -> ErrorRecord:
    return replace(
        ErrorRecord(
            fingerprint=fingerprint,
            project="shop",
            environment="prod",
            node="test.shop.unique_stg_orders_order_id.ab12",
            title="stg_orders.order_id: duplicate key",
            error_class="duplicate_key",
            category=Category.DATA_QUALITY,
            priority=Priority.HIGH,
            latest=failure(at),
            first_seen=at,
            last_seen=at,
            occurrences=1,
            state=RecordState.OPEN,
            last_good=sighting(at - DAY, "0123456789abc"),
            first_bad=sighting(at),
            skipped=("model.shop.orders",),
            downstream=("model.shop.orders", "model.shop.revenue"),
            exposures=("exposure.shop.board",),
            owner=Owner("Finance", "finance@example.com"),
            confidence=0.9,
            rule="a unique test found rows",
            priority_reason="an exposure depends on it",
        ),
        **chosen,
    )


def again(before: ErrorRecord, at: datetime, **chosen: Any) -> ErrorRecord:
    """The record after one more failure in the same episode."""
    more = {"last_seen": at, "latest": failure(at), "occurrences": before.occurrences + 1, "state": RecordState.OPEN}
    return replace(before, **{**more, **chosen})


def recovered(before: ErrorRecord, at: datetime, **chosen: Any) -> ErrorRecord:
    return replace(before, **{"state": RecordState.RECOVERED, "recovered": sighting(at), "good_runs": 2, **chosen})


def back(before: ErrorRecord, at: datetime, **chosen: Any) -> ErrorRecord:
    """The record after it recovered and failed again: a new episode."""
    fresh = {"episode": before.episode + 1, "first_bad": sighting(at), "recovered": None, "good_runs": 0}
    return again(before, at, **{**fresh, **chosen})
