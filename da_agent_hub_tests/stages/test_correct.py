"""A category that an investigation proved wrong: put right in the issue once, and kept right by the filings after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.command import EventKind, InboxEvent
from da_agent_hub.domain.investigation import Investigation
from da_agent_hub.domain.issue import Issue, IssueRef
from da_agent_hub.domain.marker import RecordMarker
from da_agent_hub.stages.correct import correct_issue
from da_agent_hub.stages.investigate import investigate_issue
from da_agent_hub.stages.issue import file_issues
from da_agent_hub.stages.record import record_errors, records_as_of
from da_agent_hub.stages.resolve import resolve_issues
from da_agent_hub_tests.domain.dbt_story import SHOP, START, UNIQUE_STG, run
from da_agent_hub_tests.domain.test_category_proof import BY_COMMIT, BY_DATA
from da_agent_hub_tests.fakes.tracker import Died, FakeTracker, Host

PROJECT = ProjectSettings(name="shop", repo="acme/shop", source=DbtCoreSource(type="dbt_core", path=Path("target")))
DATA, CODE = "category:data_quality_issue", "category:code_fix_required"


@dataclass
class Told:
    """An investigator that finds what it was told to find."""

    found: Investigation
    name: str = "told"
    asked: list[object] = field(default_factory=list)

    def investigate(self, case: object, graph: object, bench: object) -> Investigation:
        self.asked.append(case)
        return self.found


class Shop:
    """A shop whose unique test fails each night, and the issue that was filed for it."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(people={"hub": "admin", "alice": "write"})
        self.hub = FakeTracker(self.host, "hub")
        self.store: SqlRecordStore = open_record_store(f"sqlite:///{folder / 'hub.db'}")
        self.store.save_graph("shop", "1001", START, SHOP)
        self.ref = IssueRef(self.host.repo, 1)

    def night(self, number: int, status: str = "fail", sha: str = "a" * 40) -> None:
        self.store.remember_run(run(number, {UNIQUE_STG: status}, sha=sha))

    def file(self, number: int) -> None:
        """Record everything that was seen, and file as of the evening of a night."""
        record_errors(PROJECT, self.store)
        as_of = self.evening(number)
        records = records_as_of(PROJECT, self.store, as_of)
        options = {"records": records, "graph": SHOP, "as_of": as_of, "now": as_of}
        file_issues(PROJECT, self.hub, self.store, **options)  # type: ignore[arg-type]
        resolve_issues(PROJECT, self.hub, self.store, **options)  # type: ignore[arg-type]

    def evening(self, number: int) -> datetime:
        return START + timedelta(days=number, hours=16)

    def investigate(self, found: Investigation = BY_COMMIT, event: str = "filed:1") -> None:
        investigate_issue(
            self.ref,
            InboxEvent(event, str(self.ref), EventKind.FILED, "hub", self.host.now),
            project=PROJECT,
            record=self.store.record_of(str(self.ref)),
            graph=SHOP,
            investigator=Told(found),  # type: ignore[arg-type]
            bench=None,  # type: ignore[arg-type]
            tracker=self.hub,
            store=self.store,
            now=self.host.now,
        )

    def correct(self) -> Issue | None:
        return correct_issue(self.ref, project=PROJECT, tracker=self.hub, store=self.store)

    @property
    def issue(self) -> Issue:
        return self.host.issues[1]

    @property
    def category(self) -> Sequence[str]:
        return [label for label in self.issue.labels if label.startswith("category:")]

    @property
    def marker(self) -> RecordMarker:
        marker = RecordMarker.read(self.issue.body)
        assert marker is not None
        return marker

    def thread(self) -> list[str]:
        return [one.body for one in self.host.threads[1]]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.night(0, "pass")
    shop.night(1)
    shop.file(1)
    assert shop.category == [DATA]
    return shop


def test_a_proven_commit_swaps_the_label_and_the_text_and_is_told_in_the_findings_alone(shop: Shop) -> None:
    told_of = shop.marker.as_of
    shop.investigate()
    shop.correct()

    assert shop.category == [CODE]
    assert (shop.marker.category, shop.marker.as_of) == ("code_fix_required", told_of)
    assert "corrected from data quality issue, because the cause is commit `c0ffee1234`" in shop.issue.body
    assert "fix or revert it" in shop.issue.body
    (comment,) = shop.thread()
    assert "The category was corrected from data quality issue to code fix required" in comment
    record = shop.store.record_of("acme/shop#1")
    assert record is not None
    assert record.category.value == "code_fix_required"


def test_correcting_again_and_filing_again_write_nothing(shop: Shop) -> None:
    shop.investigate()
    shop.correct()
    writes = shop.host.writes

    assert shop.correct() is None
    for number in (1, 2):
        shop.file(number)

    assert shop.host.writes == writes


def test_the_filings_after_it_do_not_flip_it_back_while_the_failure_goes_on(shop: Shop) -> None:
    shop.investigate()
    shop.correct()
    for number in (2, 3):
        shop.night(number)
        shop.file(number)
        assert shop.category == [CODE]
        assert shop.marker.occurrences == number
    assert len(shop.thread()) == 1


def test_a_filing_that_comes_first_brings_the_correction_too(shop: Shop) -> None:
    shop.investigate()
    shop.night(2)
    shop.file(2)

    assert shop.category == [CODE]
    assert shop.correct() is None
    assert len(shop.thread()) == 1


def test_what_was_proven_after_its_recovery_is_told_of_the_closed_issue_too(shop: Shop) -> None:
    shop.night(2, "pass", sha="b" * 40)
    shop.file(2)
    shop.investigate()
    shop.correct()

    assert (shop.issue.state, shop.category) == ("closed", [CODE])
    assert (shop.marker.state, shop.marker.category) == ("recovered", "code_fix_required")
    writes = shop.host.writes
    assert shop.correct() is None
    for number in (2, 3):
        shop.file(number)
    assert shop.host.writes == writes


def test_an_issue_that_a_person_wants_silent_stays_as_it_is(shop: Shop) -> None:
    FakeTracker(shop.host, "alice").update_issue(shop.ref, labels=[*shop.issue.labels, "wontfix"])
    shop.investigate()
    assert shop.correct() is None


def test_the_next_failure_after_a_recovery_starts_from_what_its_test_says(shop: Shop) -> None:
    shop.investigate()
    shop.correct()
    shop.night(2, "pass", sha="b" * 40)
    shop.file(2)
    assert (shop.issue.state, shop.category) == ("closed", [CODE])

    shop.night(4, sha="b" * 40)
    shop.file(4)

    assert (shop.issue.state, shop.category) == ("open", [DATA])


def test_a_later_investigation_that_finds_the_data_takes_the_correction_back(shop: Shop) -> None:
    shop.investigate()
    shop.correct()
    shop.investigate(BY_DATA, "comment:7")
    shop.correct()

    assert shop.category == [DATA]
    assert shop.marker.category == "data_quality_issue"
    assert any(
        one.startswith("The category is now **data quality issue**, it was code fix required") for one in shop.thread()
    )
    shop.investigate(replace(BY_COMMIT, culprit_sha=None), "comment:8")
    shop.correct()
    assert shop.category == [DATA]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_label_that_a_person_chose_is_not_fought(shop: Shop, when: str) -> None:
    shop.investigate()
    if when == "after":
        shop.correct()
    chosen = "category:infrastructure_issue" if when == "before" else DATA
    others = [label for label in shop.issue.labels if not label.startswith("category:")]
    FakeTracker(shop.host, "alice").update_issue(shop.ref, labels=[*others, chosen])

    shop.correct()
    shop.night(2)
    shop.file(2)

    assert shop.category == [chosen]
    assert shop.marker.category == "code_fix_required"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_killed_at_any_write_it_is_the_same_in_the_end(shop: Shop, number: int, late: bool) -> None:
    def investigate_and_correct() -> None:
        shop.investigate()
        shop.correct()

    shop.host.die_at, shop.host.die_late = shop.host.writes + number, late
    with pytest.raises(Died):
        investigate_and_correct()
    shop.host.die_at = None
    investigate_and_correct()

    assert shop.category == [CODE]
    assert shop.marker.category == "code_fix_required"
    assert len(shop.thread()) == 1


def test_days_that_are_replayed_later_stay_in_their_order(shop: Shop) -> None:
    shop.night(2)
    shop.night(3, "pass", sha="b" * 40)
    record_errors(PROJECT, shop.store)
    shop.investigate()
    shop.correct()
    assert (shop.issue.state, shop.marker.state, shop.marker.occurrences) == ("open", "open", 1)
    for number in (2, 3):
        shop.file(number)

    assert (shop.issue.state, shop.category) == ("closed", [CODE])
    assert [one.split(" ")[0] for one in shop.thread()] == ["**A", "Recovered"]


def test_an_issue_that_somebody_else_wrote_or_that_has_no_record_is_left_alone(shop: Shop) -> None:
    stranger = replace(shop.issue, author="alice", body="no marker")
    shop.host.issues[1] = stranger
    shop.investigate()
    assert shop.correct() is None
    assert shop.issue.body == "no marker"
