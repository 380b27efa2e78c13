"""Many new failures at once: one digest issue, told once, through repeats, deaths, limits and an empty store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, FilterSettings, ProjectSettings
from da_agent_hub.domain.digest_text import DigestText
from da_agent_hub.domain.error_record import ErrorRecord, Priority, RecordState
from da_agent_hub.domain.issue import Issue, IssueDraft
from da_agent_hub.domain.issue_text import IssueText
from da_agent_hub.domain.marker import DigestMarker
from da_agent_hub.domain.tracker_error import RateLimited, TrackerError
from da_agent_hub.stages.filing import Carried
from da_agent_hub.stages.issue import Filing, file_issues
from da_agent_hub.stages.resolve import resolve_issues
from da_agent_hub.stages.restore import restore
from da_agent_hub_tests.domain.record_examples import DAY, MONDAY, again, back, record, recovered
from da_agent_hub_tests.fakes.tracker import Died, FakeTracker, Host

EVENING = MONDAY + timedelta(hours=5)
MANY = tuple(
    record(f"f{place}", title=f"model {place} fails", priority=Priority.CRITICAL if place == 3 else Priority.HIGH)
    for place in range(6)
)
SHOP = ProjectSettings(
    name="shop",
    repo="acme/shop",
    source=DbtCoreSource(type="dbt_core", path=Path("t")),
    filters=FilterSettings(storm_size=4),
)


@pytest.fixture
def host() -> Host:
    return Host(people={"hub": "admin", "alice": "write", "mallory": "none"}, now=EVENING)


@pytest.fixture
def store(tmp_path: Path) -> SqlRecordStore:
    return open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")


def file(
    host: Host,
    store: SqlRecordStore,
    as_of: datetime,
    records: Sequence[ErrorRecord],
    tracker: FakeTracker | None = None,
) -> tuple[Filing, Sequence[Carried]]:
    hub = tracker or FakeTracker(host, "hub")
    filing = file_issues(SHOP, hub, store, records=records, graph=None, as_of=as_of, now=host.now)
    resolved = resolve_issues(SHOP, hub, store, records=records, as_of=as_of, now=host.now, known=filing.known)
    return filing, resolved


def healed(count: int, at: datetime = MONDAY + DAY) -> tuple[ErrorRecord, ...]:
    """The storm after the first ``count`` of its members recovered."""
    return tuple(recovered(one, at) if place < count else again(one, at) for place, one in enumerate(MANY))


def only_issue(host: Host) -> Issue:
    (issue,) = host.issues.values()
    return issue


def said(host: Host, number: int = 1) -> list[str]:
    return [comment.body.splitlines()[0] for comment in host.threads[number]]


def test_no_more_than_the_limit_get_an_issue_each(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY[:4])

    assert len(host.issues) == 4


def test_more_than_the_limit_become_one_issue_that_all_are_linked_to(host: Host, store: SqlRecordStore) -> None:
    filing, _ = file(host, store, EVENING, MANY)

    issue = only_issue(host)
    assert [one.ref for one in filing.opened] == [issue.ref]
    assert issue.title == "6 dbt failures of shop came up together"
    assert set(issue.labels) == {"dbt-error", "category:data_quality_issue", "priority:critical"}
    assert all(f"| model {place} fails | fails |" in issue.body for place in range(6))
    assert {store.issue_of(one.fingerprint) for one in MANY} == {"acme/shop#1"}


def test_the_most_pressing_stands_for_all_and_starts_the_work_once(host: Host, store: SqlRecordStore) -> None:
    store.save_records("shop", MANY)
    for hours in (0, 1):
        file(host, store, EVENING + timedelta(hours=hours), MANY)

    (event,) = store.pending_events("acme/shop#1")
    assert event.event_id == "filed:acme/shop#1:1"
    first = store.record_of("acme/shop#1")
    assert first is not None
    assert first.fingerprint == "f3"


def test_filing_again_writes_nothing_and_one_more_failure_is_an_issue_of_its_own(
    host: Host, store: SqlRecordStore
) -> None:
    file(host, store, EVENING, MANY)
    before = host.writes
    file(host, store, EVENING + DAY, MANY)
    assert host.writes == before

    file(host, store, EVENING + DAY, (*MANY, record("late", title="late fails")))

    assert [one.title for one in host.issues.values()] == ["6 dbt failures of shop came up together", "late fails"]


def test_an_empty_store_finds_the_digest_and_links_its_members(
    host: Host, store: SqlRecordStore, tmp_path: Path
) -> None:
    file(host, store, EVENING, MANY)
    empty = open_record_store(f"sqlite:///{tmp_path / 'empty.db'}")

    file(host, empty, EVENING + DAY, MANY)

    assert len(host.issues) == 1
    assert {empty.issue_of(one.fingerprint) for one in MANY} == {"acme/shop#1"}
    assert len(empty.pending_events("acme/shop#1")) == 1


def test_a_store_that_vanished_knows_all_members_from_the_digest_alone(
    host: Host, store: SqlRecordStore, tmp_path: Path
) -> None:
    file(host, store, EVENING, MANY)
    forged = DigestMarker("shop", ("f0",), over=False, as_of=EVENING)
    FakeTracker(host, "mallory").create_issue(host.repo, IssueDraft("Mine", str(forged), ("dbt-error",)))
    empty = open_record_store(f"sqlite:///{tmp_path / 'empty.db'}")
    empty.save_records("shop", MANY)

    restore(SHOP, host.issues.values(), "hub", empty)

    assert {empty.issue_of(one.fingerprint) for one in MANY} == {"acme/shop#1"}
    first = empty.record_of("acme/shop#1")
    assert first is not None
    assert first.fingerprint == "f3"


def test_a_digest_without_its_label_is_found_by_its_links(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    FakeTracker(host, "alice").update_issue(only_issue(host).ref, labels=["mine"])

    file(host, store, EVENING + DAY, MANY)

    assert len(host.issues) == 1


def test_an_outsiders_digest_silences_nothing(host: Host, store: SqlRecordStore) -> None:
    forged = DigestMarker("shop", tuple(one.fingerprint for one in MANY), over=False, as_of=EVENING)
    FakeTracker(host, "mallory").create_issue(host.repo, IssueDraft("Nothing to see", str(forged), ("dbt-error",)))

    file(host, store, EVENING, MANY)

    assert len(host.issues) == 2


def test_the_digest_tells_who_recovered_without_a_comment(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    file(host, store, EVENING + DAY, healed(2))

    assert "4 fail, 0 are recovering, 2 have recovered" in only_issue(host).body
    assert "| model 0 fails | recovered |" in only_issue(host).body
    assert said(host) == []


def test_a_storm_of_which_nothing_is_left_closes_and_says_so_once(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    for days in (1, 2):
        file(host, store, EVENING + days * DAY, healed(6))

    assert only_issue(host).state == "closed"
    assert said(host) == ["Recovered: none of the 6 failures is left."]


def test_what_is_left_of_a_storm_gets_an_issue_each_that_names_it(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    for days in (1, 2):
        file(host, store, EVENING + days * DAY, healed(4))

    assert [(one.title, one.state) for one in host.issues.values()] == [
        ("6 dbt failures of shop came up together", "closed"),
        ("model 4 fails", "open"),
        ("model 5 fails", "open"),
    ]
    assert "handled before in #1." in host.issues[2].body
    assert said(host) == ["The storm is over: of 6 failures 2 still fail, each in an issue of its own now."]
    assert store.issue_of("f4") == "acme/shop#2"
    assert store.issue_of("f0") == "acme/shop#1"


def test_a_storm_waits_for_those_that_are_recovering(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    half = [
        one if place < 5 else again(MANY[5], MONDAY + DAY, state=RecordState.RECOVERING, good_runs=1)
        for place, one in enumerate(healed(5))
    ]
    file(host, store, EVENING + DAY, half)

    assert only_issue(host).state == "open"


def test_a_member_that_fails_again_after_the_storm_is_an_issue_that_names_it(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    file(host, store, EVENING + DAY, healed(6))
    relapse = (back(healed(6)[0], MONDAY + 3 * DAY), *healed(6)[1:])
    for days in (3, 4):
        file(host, store, EVENING + days * DAY, relapse)

    assert [one.state for one in host.issues.values()] == ["closed", "open"]
    assert "handled before in #1." in host.issues[2].body


def test_a_storm_that_was_over_before_it_was_filed_is_opened_and_closed_at_once(
    host: Host, store: SqlRecordStore
) -> None:
    file(host, store, EVENING + DAY, healed(6))

    assert only_issue(host).state == "closed"
    assert store.pending_events("acme/shop#1") == []


def test_a_person_who_closes_a_digest_is_heard_until_a_member_fails_again(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    FakeTracker(host, "alice").update_issue(only_issue(host).ref, state="closed")
    file(host, store, EVENING + DAY, MANY)
    assert len(host.issues) == 1

    host.now = EVENING + 2 * DAY
    file(host, store, EVENING + 2 * DAY, (again(MANY[0], MONDAY + 2 * DAY), *MANY[1:]))

    assert [one.title for one in host.issues.values() if one.state == "open"] == ["model 0 fails"]


@pytest.mark.parametrize("label", ["false-positive", "wontfix"])
def test_a_suppressing_label_on_a_digest_silences_all_of_it(host: Host, store: SqlRecordStore, label: str) -> None:
    file(host, store, EVENING, MANY)
    FakeTracker(host, "alice").update_issue(only_issue(host).ref, labels=[*only_issue(host).labels, label])
    before = only_issue(host)
    for days in (1, 2):
        file(host, store, EVENING + days * DAY, [again(one, MONDAY + days * DAY) for one in MANY])

    assert only_issue(host) == before


def test_an_older_snapshot_leaves_a_digest_as_it_is(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING + DAY, healed(2))
    before = only_issue(host)
    file(host, store, EVENING, MANY)

    assert only_issue(host) == before


class Limited(FakeTracker):
    """Answers the nth new issue with a rate limit, or with another error."""

    def __init__(self, host: Host, at: int, error: TrackerError) -> None:
        super().__init__(host, "hub")
        self._left, self._error = at, error

    def create_issue(self, repo, draft):  # type: ignore[no-untyped-def]
        self._left -= 1
        if self._left == 0:
            raise self._error
        return super().create_issue(repo, draft)


def test_a_rate_limit_in_the_middle_of_a_storms_end_doubles_and_loses_nothing(
    host: Host, store: SqlRecordStore
) -> None:
    file(host, store, EVENING, MANY)
    limit = RateLimited("open an issue", 403, "limit", EVENING)
    file(host, store, EVENING + DAY, healed(4), Limited(host, 2, limit))
    assert [one.state for one in host.issues.values()] == ["open", "open"]

    file(host, store, EVENING + DAY, healed(4))

    assert [one.title for one in host.issues.values()][1:] == ["model 4 fails", "model 5 fails"]
    assert len(said(host)) == 1


def test_a_member_whose_issue_was_refused_at_the_storms_end_gets_it_later(host: Host, store: SqlRecordStore) -> None:
    file(host, store, EVENING, MANY)
    file(host, store, EVENING + DAY, healed(4), Limited(host, 1, TrackerError("open", 422, "odd", "See its words.")))
    file(host, store, EVENING + DAY, healed(4))

    assert sorted(one.title for one in host.issues.values())[1:] == ["model 4 fails", "model 5 fails"]


def test_a_rate_limit_before_the_digest_loses_nothing(host: Host, store: SqlRecordStore) -> None:
    limit = RateLimited("open an issue", 403, "limit", EVENING)
    filing, _ = file(host, store, EVENING, MANY, Limited(host, 1, limit))
    assert len(filing.problems) == 1

    file(host, store, EVENING, MANY)

    assert len(host.issues) == 1


def test_more_members_than_fit_are_counted_and_kept(host: Host, store: SqlRecordStore) -> None:
    crowd = [record(f"{place:016x}", title=f"model {place} " + "<@x>|*" * 40) for place in range(2_300)]
    for days in (0, 1):
        file(host, store, EVENING + days * DAY, crowd)

    assert len(host.issues) == 3
    assert all(len(one.body) <= 65_536 and "more, which Dagster shows" in one.body for one in host.issues.values())
    assert len({store.issue_of(one.fingerprint) for one in crowd}) == 3


def test_hostile_names_stay_in_their_cells_and_secrets_stay_in(host: Host, store: SqlRecordStore) -> None:
    hostile = [
        record(f"f{place}", title="--> | x | @everyone #1 ghp_" + "a" * 36, error_class="`|<!--") for place in range(6)
    ]
    file(host, store, EVENING, hostile)

    body = only_issue(host).body
    assert "@everyone" not in body
    assert "#1 " not in body
    assert "ghp_a" not in body
    assert DigestMarker.read(body) is not None


def test_the_title_does_not_change_with_what_recovers() -> None:
    text = DigestText(IssueText())
    assert text.title(MANY) == text.title(healed(3))


STEPS = [(EVENING, MANY), (EVENING + DAY, healed(2)), (EVENING + 2 * DAY, healed(4)), (EVENING + 3 * DAY, healed(6))]


def live_through(host: Host, tmp_path: Path, name: str, *, forgetful: bool) -> None:
    step, life = 0, 0
    while step < len(STEPS):
        store = open_record_store(f"sqlite:///{tmp_path / name}-{life if forgetful else 0}.db")
        as_of, records = STEPS[step]
        try:
            file(host, store, as_of, records)
            step += 1
        except Died:
            host.die_at, life = None, life + 1
        finally:
            store.close()


@pytest.mark.slow
def test_a_death_at_any_write_of_a_storm_doubles_nothing_and_loses_nothing(tmp_path: Path) -> None:
    def seen(host: Host) -> list[tuple[str, str, list[str]]]:
        return sorted((one.title, one.state, said(host, number)) for number, one in host.issues.items())

    calm = Host(people={"hub": "admin"})
    live_through(calm, tmp_path, "calm", forgetful=False)
    assert [one.state for one in calm.issues.values()] == ["closed"] * 3

    for die_at in range(1, calm.writes + 1):
        for late in (False, True):
            for forgetful in (False, True):
                host = Host(people={"hub": "admin"}, die_at=die_at, die_late=late)
                live_through(host, tmp_path, f"{die_at}-{late}-{forgetful}", forgetful=forgetful)
                assert seen(host) == seen(calm), (die_at, late, forgetful)
