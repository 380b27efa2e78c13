"""The life of an issue: the data, the page that shows it, and any order of what may happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from da_agent_hub.domain.issue import Issue, IssueRef
from da_agent_hub.domain.life_cycle import (
    ALIVE,
    MOVES,
    Happening,
    Life,
    Move,
    State,
    Suppression,
    Write,
    diagram,
    median,
    move,
)

NOON = datetime(2026, 11, 16, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
LIFE = Life("acme/shop#1", "shop", NOON, failed_at=NOON - 3 * MINUTE)
ISSUE = Issue(IssueRef.parse("acme/shop#1"), "t", "b", "open", "hub", "u", (), (), NOON, NOON)
PAGE = Path(__file__).parents[2] / "docs" / "life_cycle.md"

happenings = st.lists(st.sampled_from(Happening), max_size=30)


def lived(*happened: Happening, start: Life = LIFE) -> Life:
    life = start
    for minutes, one in enumerate(happened, 1):
        life = life.then(one, NOON + minutes * MINUTE)
    return life


def test_the_page_shows_the_moves_that_are_made() -> None:
    assert f"```mermaid\n{diagram()}\n```" in PAGE.read_text()


def test_every_state_is_reached_and_left() -> None:
    assert {one.to for one in MOVES.values()} | {State.NEW} == set(State)
    assert {state for (state, _), one in MOVES.items() if one.to is not state} == set(State)


@given(happenings)
def test_any_order_of_happenings_ends_in_a_state_that_has_a_name(order: list[Happening]) -> None:
    assert lived(*order).state in set(State)


@given(happenings)
def test_nothing_but_taking_the_label_off_ends_a_suppression(order: list[Happening]) -> None:
    silent = lived(Happening.SILENCED)
    after = silent
    for minutes, one in enumerate(order, 2):
        if one is not Happening.RELEASED:
            after = after.then(one, NOON + minutes * MINUTE)
            assert move(State.SUPPRESSED, one).write is Write.NOTHING
    assert after.state is State.SUPPRESSED


@given(happenings, happenings)
def test_what_is_heard_again_late_changes_nothing(order: list[Happening], late: list[Happening]) -> None:
    life = lived(*order)
    for one in late:
        assert life.then(one, (life.since or NOON) - MINUTE) == life


@given(st.sampled_from(State), st.sampled_from(Happening))
def test_only_an_issue_that_has_ended_is_reopened_and_only_one_that_has_not_is_closed(
    state: State, happening: Happening
) -> None:
    write = move(state, happening).write
    if write is Write.REOPEN:
        assert state in (State.CLOSED, State.RECOVERED, State.FIX_MERGED)
        assert move(state, happening).to is State.REOPENED
    if write is Write.CLOSE:
        assert state not in (State.RECOVERED, State.SUPPRESSED)
        assert happening is Happening.OVER
    if write is Write.UPDATE:
        assert state in ALIVE
    if write is Write.OPEN_ANEW:
        assert happening is Happening.FAILED_LATE


def test_what_is_not_said_changes_and_writes_nothing() -> None:
    assert move(State.RECOVERED, Happening.OVER) == Move(State.RECOVERED, Write.NOTHING)


def test_a_fix_goes_from_new_to_recovered() -> None:
    life = lived(
        Happening.INVESTIGATION_BEGAN,
        Happening.INVESTIGATION_ENDED,
        Happening.FIX_OPENED,
        Happening.FIX_MERGED,
        Happening.CLOSED,
    )
    assert life.state is State.FIX_MERGED
    assert life.recovered(NOON + 50 * MINUTE, NOON + 60 * MINUTE).state is State.RECOVERED


def test_times_are_measured_from_the_failed_run_the_issue_and_the_good_run() -> None:
    life = lived(Happening.INVESTIGATION_BEGAN, Happening.INVESTIGATION_ENDED)
    life = life.recovered(NOON + 50 * MINUTE, NOON + 60 * MINUTE)
    assert (life.seconds_to_detect, life.seconds_to_respond, life.seconds_to_resolve) == (180, 120, 3000)


def test_a_first_answer_counts_as_the_response_and_later_findings_do_not_move_it() -> None:
    life = LIFE.answered(NOON + MINUTE).then(Happening.INVESTIGATION_ENDED, NOON + 9 * MINUTE)
    assert life.seconds_to_respond == 60


def test_a_recurrence_is_measured_anew() -> None:
    life = lived(Happening.INVESTIGATION_ENDED).recovered(NOON + 5 * MINUTE, NOON + 6 * MINUTE)
    again = life.reopened(NOON + 20 * MINUTE, NOON + 21 * MINUTE)
    assert (again.state, again.seconds_to_detect) == (State.REOPENED, 60)
    assert (again.seconds_to_respond, again.seconds_to_resolve) == (None, None)


@pytest.mark.parametrize(
    ("issue", "state"),
    [
        (ISSUE, State.NEW),
        (replace(ISSUE, state="closed"), State.CLOSED),
        (replace(ISSUE, labels=("wontfix",)), State.SUPPRESSED),
        (replace(ISSUE, labels=("false-positive",), state="closed"), State.SUPPRESSED),
    ],
)
def test_a_life_follows_what_the_issue_shows(issue: Issue, state: State) -> None:
    assert LIFE.settled(issue, NOON + MINUTE).state is state


def test_a_suppression_keeps_its_reason_until_the_label_is_off() -> None:
    why = Suppression("wontfix", "alice", NOON, "we drop this model next week")
    silent = replace(LIFE.settled(replace(ISSUE, labels=("wontfix",)), NOON + MINUTE), suppression=why)
    assert silent.settled(replace(ISSUE, labels=("wontfix",)), NOON + 2 * MINUTE).suppression == why

    spoken = silent.settled(ISSUE, NOON + 3 * MINUTE)
    assert (spoken.state, spoken.suppression) == (State.REOPENED, None)


def test_a_merge_that_leaves_the_issue_open_stays_a_merge() -> None:
    merged = lived(Happening.FIX_OPENED, Happening.FIX_MERGED)
    assert merged.settled(ISSUE, NOON + 9 * MINUTE).state is State.FIX_MERGED


def test_the_median_is_of_what_is_known() -> None:
    assert median([None, 3, 1, None, 2]) == 2
    assert median([4, 1]) == 2.5
    assert median([None]) is None
