"""What is not told, and for how long: quarantined failures, and comments too soon after the last one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, FilterSettings, ProjectSettings, QuarantineSettings
from da_agent_hub.domain.error_record import ErrorRecord, Priority
from da_agent_hub.domain.filing_plan import LeaveAlone
from da_agent_hub.domain.marker import RecordMarker
from da_agent_hub.domain.quarantine import hints, with_quarantine
from da_agent_hub.domain.selection import subject_of
from da_agent_hub.stages.issue import file_issues
from da_agent_hub.stages.record import record_errors
from da_agent_hub.stages.resolve import resolve_issues
from da_agent_hub_tests.domain.dbt_story import ORDERS, SHOP, START, UNIQUE_STG, run
from da_agent_hub_tests.domain.record_examples import DAY, MONDAY, again, back, record, recovered
from da_agent_hub_tests.fakes.tracker import Died, FakeTracker, Host

HOUR = timedelta(hours=1)
SUNDAY = QuarantineSettings(nodes=["unique_stg_*"], until=date(2026, 11, 22), reason="a vendor's fix is due")


def project(**filters: object) -> ProjectSettings:
    return ProjectSettings(
        name="shop",
        repo="acme/shop",
        source=DbtCoreSource(type="dbt_core", path=Path("t")),
        filters=FilterSettings.model_validate(filters),
    )


@pytest.fixture
def host() -> Host:
    return Host(people={"hub": "admin"})


@pytest.fixture
def store(tmp_path: Path) -> SqlRecordStore:
    return open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")


def file(host: Host, store: SqlRecordStore, as_of: datetime, *records: ErrorRecord, **filters: object) -> Sequence[str]:
    """File and resolve; why the records were left alone when they were."""
    hub, shop = FakeTracker(host, "hub"), project(**filters)
    filing = file_issues(shop, hub, store, records=records, graph=None, as_of=as_of, now=host.now)
    resolve_issues(shop, hub, store, records=records, as_of=as_of, now=host.now, known=filing.known)
    return [one.reason for one in filing.decisions if isinstance(one, LeaveAlone)]


def said(host: Host, number: int = 1) -> list[str]:
    return [comment.body.splitlines()[0] for comment in host.threads[number]]


def quarantined(one: ErrorRecord, *rules: QuarantineSettings) -> ErrorRecord:
    return with_quarantine([one], rules or (SUNDAY,), lambda unique_id: subject_of(unique_id, None))[0]


def test_a_quarantined_failure_gets_no_issue_and_says_why(host: Host, store: SqlRecordStore) -> None:
    reasons = file(host, store, MONDAY + HOUR, quarantined(record()))
    assert reasons == ["in quarantine until 2026-11-22: a vendor's fix is due"]
    assert (host.issues, host.writes) == ({}, 0)


def test_after_the_last_day_of_the_quarantine_the_failure_is_filed_as_usual(host: Host, store: SqlRecordStore) -> None:
    on_sunday = quarantined(again(record(), MONDAY + 6 * DAY))
    assert file(host, store, datetime.fromisoformat("2026-11-22T23:59:00+00:00"), on_sunday)
    assert not host.issues
    # No run has told anything since, and all the same it is over.
    assert not file(host, store, datetime.fromisoformat("2026-11-23T00:00:00+00:00"), on_sunday)
    assert [issue.state for issue in host.issues.values()] == ["open"]


def test_a_failure_after_the_quarantine_is_in_none() -> None:
    assert quarantined(again(record(), MONDAY + 7 * DAY)).quarantine is None


def test_what_recovers_in_quarantine_is_never_filed(host: Host, store: SqlRecordStore) -> None:
    healed = quarantined(recovered(record(), MONDAY + DAY))
    assert file(host, store, MONDAY + 10 * DAY, healed) == [str(healed.quarantine)]
    assert not host.issues


def test_an_issue_that_is_there_is_left_alone_until_the_quarantine_is_over(host: Host, store: SqlRecordStore) -> None:
    file(host, store, MONDAY + HOUR, record())
    before = host.writes
    healed = recovered(again(record(), MONDAY + DAY), MONDAY + 2 * DAY)
    file(host, store, MONDAY + DAY + HOUR, quarantined(again(record(), MONDAY + DAY, priority=Priority.CRITICAL)))
    file(host, store, MONDAY + 2 * DAY + HOUR, quarantined(healed))
    assert host.writes == before
    file(host, store, MONDAY + 8 * DAY, quarantined(healed))
    assert [issue.state for issue in host.issues.values()] == ["closed"]
    assert said(host)[0].startswith("Recovered in")


def test_a_cause_that_reaches_a_node_outside_the_quarantine_is_told(host: Host, store: SqlRecordStore) -> None:
    wide = record(members=("model.shop.orders",))
    assert quarantined(wide).quarantine is None
    both = QuarantineSettings(nodes=["unique_stg_*", "ORDERS"], until=SUNDAY.until, reason="known")
    assert quarantined(wide, both).quarantine is not None


def test_the_longest_quarantine_counts() -> None:
    longer = QuarantineSettings(nodes=["*"], until=date(2026, 12, 1), reason="moving")
    found = quarantined(record(), SUNDAY, longer).quarantine
    assert (found and found.until) == longer.until


def test_a_test_is_quarantined_with_the_model_that_it_tests_and_the_store_keeps_it(store: SqlRecordStore) -> None:
    store.remember_run(run(0, {UNIQUE_STG: "fail", ORDERS: "success"}))
    store.save_graph("shop", "1000", START, SHOP)
    rule = {"nodes": ["stg_orders"], "until": START.date(), "reason": "known"}
    record_errors(project(quarantine=[rule]), store)
    (kept,) = store.records("shop")
    assert str(kept.quarantine) == f"in quarantine until {START.date()}: known"


def test_an_operator_hears_of_quarantines_that_are_over_or_long() -> None:
    long = QuarantineSettings(nodes=["b"], until=date(2027, 3, 1), reason="known")
    told = hints([SUNDAY, long], datetime.fromisoformat("2026-11-23T00:00:00+00:00"))
    assert told[0] == "the quarantine of unique_stg_* until 2026-11-22 is over: remove it"
    assert "98 days more" in told[1]
    assert hints([SUNDAY], MONDAY) == ()


def test_a_second_change_within_the_interval_is_held_back_and_the_text_is_up_to_date(
    host: Host, store: SqlRecordStore
) -> None:
    one = record(priority=Priority.LOW)
    file(host, store, MONDAY + HOUR, one)
    file(host, store, MONDAY + 2 * HOUR, again(one, MONDAY + HOUR, priority=Priority.MEDIUM))
    file(host, store, MONDAY + 3 * HOUR, again(one, MONDAY + 2 * HOUR, priority=Priority.CRITICAL))
    assert len(said(host)) == 1
    (issue,) = host.issues.values()
    assert "priority:critical" in issue.labels
    assert "| Priority | critical" in issue.body


def test_what_was_held_back_is_told_after_the_interval_against_what_was_heard(
    host: Host, store: SqlRecordStore
) -> None:
    one = record(priority=Priority.LOW)
    for hours, priority in (
        (1, "low"),
        (2, "medium"),
        (3, "high"),
        (4, "critical"),
        (25, "critical"),
        (26, "critical"),
    ):
        file(host, store, MONDAY + hours * HOUR, again(one, MONDAY + hours * HOUR, priority=Priority(priority)))
    assert said(host) == [
        "The priority is now **medium**, it was low: an exposure depends on it.",
        "The priority is now **critical**, it was medium: an exposure depends on it.",
    ]


def test_a_change_that_went_back_within_the_interval_is_not_told_at_all(host: Host, store: SqlRecordStore) -> None:
    one = record(priority=Priority.LOW)
    for hours, priority in ((1, "low"), (2, "medium"), (3, "critical"), (4, "medium"), (50, "medium")):
        file(host, store, MONDAY + hours * HOUR, again(one, MONDAY + hours * HOUR, priority=Priority(priority)))
    assert len(said(host)) == 1


def test_without_an_interval_each_change_is_told(host: Host, store: SqlRecordStore) -> None:
    one = record(priority=Priority.LOW)
    for hours, priority in ((1, "low"), (2, "medium"), (3, "critical")):
        changed = again(one, MONDAY + hours * HOUR, priority=Priority(priority))
        file(host, store, MONDAY + hours * HOUR, changed, suppression_hours=0)
    assert len(said(host)) == 2


def test_a_recovery_is_told_at_once_and_a_second_recurrence_only_by_reopening(
    host: Host, store: SqlRecordStore, tmp_path: Path
) -> None:
    one = record()
    file(host, store, MONDAY + HOUR, one)
    healed = recovered(one, MONDAY + 2 * HOUR)
    file(host, store, MONDAY + 2 * HOUR, healed)
    broken = back(healed, MONDAY + 3 * HOUR)
    file(host, store, MONDAY + 3 * HOUR, broken)
    healed = recovered(broken, MONDAY + 4 * HOUR)
    file(host, store, MONDAY + 4 * HOUR, healed)
    # The thread remembers, not the store.
    empty = open_record_store(f"sqlite:///{tmp_path / 'empty.db'}")
    file(host, empty, MONDAY + 5 * HOUR, back(healed, MONDAY + 5 * HOUR))
    assert [line.split(" in ")[0].split(" since")[0] for line in said(host)] == [
        "Recovered",
        "It fails again",
        "Recovered",
    ]
    assert [issue.state for issue in host.issues.values()] == ["open"]


def test_a_death_between_comment_and_text_tells_the_change_once(host: Host, store: SqlRecordStore) -> None:
    one = record(priority=Priority.LOW)
    file(host, store, MONDAY + HOUR, one)
    worse = again(one, MONDAY + 2 * HOUR, priority=Priority.HIGH)
    host.die_at = host.writes + 2
    with pytest.raises(Died):
        file(host, store, MONDAY + 2 * HOUR, worse)
    assert len(said(host)) == 1
    host.die_at = None
    file(host, store, MONDAY + 3 * HOUR, worse)
    assert len(said(host)) == 1
    (issue,) = host.issues.values()
    marker = RecordMarker.read(issue.body)
    assert marker is not None
    assert marker.noted_at == MONDAY + 3 * HOUR


def test_an_issue_from_before_the_interval_was_kept_is_not_written_again(host: Host, store: SqlRecordStore) -> None:
    file(host, store, MONDAY + HOUR, record())
    (issue,) = host.issues.values()
    assert "noted_at" not in issue.body
    before = host.writes
    file(host, store, MONDAY + 2 * HOUR, record())
    assert host.writes == before
