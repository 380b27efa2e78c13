"""Failures, good runs and people in any order: what GitHub shows after each keeps to the rules of an issue's life."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from da_agent_hub.domain.error_record import Category, ErrorRecord, RecordState
from da_agent_hub.domain.filing_plan import KnownIssue, known_issues, plan_filing, plan_resolution
from da_agent_hub.domain.issue import Issue
from da_agent_hub.domain.issue_text import IssueText
from da_agent_hub.domain.life_cycle import REOPEN_WITHIN, SUPPRESSING, State, state_on_github
from da_agent_hub.stages.filing import carry_out, known_after
from da_agent_hub_tests.domain.record_examples import DAY, MONDAY, again, back, record, recovered
from da_agent_hub_tests.fakes.tracker import FakeTracker, Host

HOUR = timedelta(hours=1)
TEXT = IssueText()
EVENTS = ("fails", "is good", "is closed", "is reopened", "is silenced", "is heard again", "nothing for 20 days")


class Story:
    """One cause, one repository, one event a day; people act on the newest issue, two hours after the filing."""

    def __init__(self, category: Category) -> None:
        self.host = Host(people={"hub": "admin", "alice": "write"})
        self.hub, self.alice = FakeTracker(self.host, "hub"), FakeTracker(self.host, "alice")
        self.at = MONDAY
        self.needed = 3 if category is Category.TRANSIENT else 2
        self.record: ErrorRecord = record(category=category)
        self.ended_at: datetime | None = None
        self.kept_open = False

    @property
    def newest(self) -> Issue:
        return self.host.issues[max(self.host.issues)]

    @property
    def known(self) -> dict[str, KnownIssue]:
        return known_issues(self.host.issues.values(), "hub")

    def happen(self, event: str) -> None:
        self.at += DAY
        if event == "fails":
            over = self.record.state is RecordState.RECOVERED
            self.record = replace((back if over else again)(self.record, self.at), good_runs=0)
            self.kept_open = False
        elif event == "is good" and self.record.state is not RecordState.RECOVERED:
            runs = self.record.good_runs + 1
            good = replace(self.record, state=RecordState.RECOVERING, good_runs=runs)
            self.record = recovered(good, self.at, good_runs=runs) if runs >= self.needed else good
        elif event == "nothing for 20 days":
            self.at += 20 * DAY

    def people(self, event: str) -> None:
        self.host.now = self.at + 3 * HOUR
        labels = [one for one in self.newest.labels if one not in SUPPRESSING]
        if event == "is closed" and self.newest.state == "open":
            self.alice.update_issue(self.newest.ref, state="closed")
            self.ended_at, self.kept_open = self.host.now, False
        elif event == "is reopened" and self.newest.state == "closed":
            self.alice.update_issue(self.newest.ref, state="open")
            self.kept_open = True
        elif event == "is silenced":
            self.alice.update_issue(self.newest.ref, labels=[*labels, "wontfix"])
        elif event == "is heard again":
            self.alice.update_issue(self.newest.ref, labels=labels)

    def file(self) -> None:
        as_of = self.host.now = self.at + HOUR
        known = self.known
        filed = carry_out(plan_filing([self.record], known, as_of, TEXT), self.host.repo, self.hub)
        after = known_after(known, filed)
        carry_out(plan_resolution([self.record], after, as_of, TEXT), self.host.repo, self.hub)


def check(story: Story, before: dict[int, Issue], ended_at: datetime | None) -> None:
    newest = story.newest
    (known,) = story.known.values()
    state = state_on_github(newest, known.marker, fix_merged=False)
    assert state in set(State)
    if before and SUPPRESSING.intersection(before[max(before)].labels):
        assert story.host.issues == before
        return
    assert sum(one.state == "open" for one in story.host.issues.values()) <= 1
    if before and ended_at is not None and before[max(before)].state == "closed" and newest.state == "open":
        began = story.record.first_bad.at if story.record.first_bad else story.record.last_seen
        is_new = len(story.host.issues) > len(before)
        assert is_new == (began - ended_at > REOPEN_WITHIN)
        assert not is_new or known.marker.previous == max(before)
    elif before:
        assert len(story.host.issues) == len(before)
    if story.record.state is RecordState.RECOVERED:
        assert newest.state == "closed" or story.kept_open
    elif ended_at is None or story.record.last_seen > ended_at:
        assert newest.state == "open"
    elif before and not story.kept_open:
        assert newest.state == before[newest.ref.number].state


@given(
    st.sampled_from([Category.DATA_QUALITY, Category.TRANSIENT]),
    st.lists(st.sampled_from(EVENTS), max_size=25),
)
@example(Category.TRANSIENT, ["is good", "is good", "fails", "is good", "is good", "is good", "fails"])
@example(Category.DATA_QUALITY, ["is good", "is good", "nothing for 20 days", "fails", "is good"])
@example(Category.DATA_QUALITY, ["is closed", "fails", "is closed", "nothing for 20 days", "fails"])
@example(Category.DATA_QUALITY, ["is good", "is good", "is reopened", "is good", "fails", "is silenced", "fails"])
@example(Category.DATA_QUALITY, ["is silenced", "is good", "is good", "is heard again", "is good", "fails"])
@settings(max_examples=150, deadline=None)
def test_the_rules_hold_whatever_happens_in_whatever_order(category: Category, order: list[str]) -> None:
    story = Story(category)
    story.file()
    check(story, {}, None)
    for event in order:
        story.happen(event)
        before = dict(story.host.issues)
        silent = bool(SUPPRESSING.intersection(story.newest.labels))
        was_open = story.newest.state == "open"
        story.file()
        check(story, before, story.ended_at)
        if was_open and story.newest.state == "closed" and not silent:
            story.ended_at = story.at + HOUR
        writes = story.host.writes
        story.file()
        assert story.host.writes == writes, "a repeat wrote again"
        story.people(event)


@given(st.integers(min_value=1, max_value=5))
@settings(deadline=None)
def test_what_is_transient_closes_with_the_third_good_run_and_not_before(good: int) -> None:
    story = Story(Category.TRANSIENT)
    story.file()
    for _ in range(good):
        story.happen("is good")
        story.file()
    assert (story.newest.state == "closed") == (good >= 3)
