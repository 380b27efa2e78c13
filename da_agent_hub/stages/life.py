"""Keeps where each issue is in its life, from what was written, found out, proposed and done by people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ..domain.error_record import ErrorRecord
from ..domain.filing_plan import CloseIssue, Decision, OpenIssue, ReopenIssue, UpdateIssue
from ..domain.issue import Comment, Issue, IssueRef, TimelineEvent
from ..domain.life_cycle import Happening, Life, State, Suppression, state_on_github
from ..domain.markdown import cut
from ..domain.marker import RecordMarker, is_marked
from ..domain.redaction import redact
from ..domain.tracker_error import NotThere
from ..ports import IssueTracker, RecordStore

# A reason is said beside the label, a little before or after it.
_BESIDE = timedelta(minutes=10)
_REASON_LIMIT = 500


def note_written(decision: Decision, issue: Issue | None, project: str, store: RecordStore, now: datetime) -> None:
    """Keep what a filing wrote; a repeat of it changes nothing."""
    if issue is None:
        return
    key, record = str(issue.ref), decision.record
    life = store.life(key)
    back_at = record.first_bad.at if record.first_bad else record.last_seen
    if life is None:
        opened_at = now if isinstance(decision, OpenIssue) else min(issue.created_at, now)
        life = Life(key, project, opened_at, failed_at=back_at)
    after = life
    if isinstance(decision, ReopenIssue):
        after = life.reopened(back_at, now)
    elif isinstance(decision, CloseIssue) or (isinstance(decision, UpdateIssue) and decision.ends):
        after = life.recovered(record.recovered.at if record.recovered else None, now)
    store.save_life(after)


def follow_issue(
    issue: Issue,
    *,
    project: str,
    record: ErrorRecord | None,
    tracker: IssueTracker,
    store: RecordStore,
    now: datetime,
    begins: bool = False,
    answered: bool = False,
    done: bool = False,
) -> Life:
    """Bring an issue's life up to what the store and GitHub tell of it, and keep it.

    ``begins`` says that an investigation is about to begin, ``answered`` that the thread was answered, and ``done`` that
    whatever was begun has ended.

    Raises:
        TrackerError: where GitHub could not be asked for a fix or for the reason of a suppression.
    """
    key = str(issue.ref)
    first_bad = record.first_bad if record else None
    found = store.life(key) or Life(
        key, project, min(issue.created_at, now), failed_at=first_bad.at if first_bad else None
    )
    life = found
    for one in store.investigations(key):
        if one.started_at is not None:
            ended = one.started_at + timedelta(seconds=one.seconds)
            life = life.then(Happening.INVESTIGATION_BEGAN, one.started_at).then(Happening.INVESTIGATION_ENDED, ended)
    life = _with_fix(life, tracker, store, now)
    if begins:
        life = life.then(Happening.INVESTIGATION_BEGAN, now)
    if done and life.state is State.INVESTIGATING:
        life = life.then(Happening.INVESTIGATION_ENDED, now)
    if answered:
        life = life.answered(now)
    marker = RecordMarker.read(issue.body)
    ended_unheard = marker and state_on_github(issue, marker, fix_merged=False) is State.RECOVERED
    if ended_unheard and life.state is not State.RECOVERED:
        life = life.recovered(record.recovered.at if record and record.recovered else None, now)
    life = life.settled(issue, now)
    if life.suppression is not None and life.suppression.at is None:
        life = replace(life, suppression=_reason(issue.ref, life.suppression.label, tracker))
    if life != store.life(key):
        store.save_life(life)
    return life


def _with_fix(life: Life, tracker: IssueTracker, store: RecordStore, now: datetime) -> Life:
    newest = next((one.pull_request for one in reversed(store.fixes(life.issue_key)) if one.pull_request), None)
    if newest is None:
        return life
    if newest != life.pull_request:
        life = replace(life.then(Happening.FIX_OPENED, now), pull_request=newest)
    if life.state not in (State.FIX_PROPOSED, State.CLOSED):
        return life
    try:
        pull_request = tracker.pull_request(IssueRef.parse(newest))
    except NotThere:
        return life
    if pull_request.merged:
        return life.then(Happening.FIX_MERGED, now)
    return life.then(Happening.FIX_TURNED_DOWN, now) if pull_request.state == "closed" else life


def _reason(ref: IssueRef, label: str, tracker: IssueTracker) -> Suppression:
    """Who set a label, when, and what they said beside it; what the hub set was asked for by a person's comment."""
    set_by = [one for one in tracker.events(ref) if one.kind == "labeled" and one.subject == label]
    if not set_by:
        return Suppression(label)
    last = set_by[-1]
    said = _said_beside(last, tracker.comments(ref), tracker.login())
    by = last.actor if said is None or last.actor.lower() != tracker.login().lower() else said.author
    words = cut(" ".join(redact(said.body).split()), _REASON_LIMIT) if said else ""
    return Suppression(label, by, last.created_at, words)


def _said_beside(event: TimelineEvent, thread: Sequence[Comment], login: str) -> Comment | None:
    by_hub = event.actor.lower() == login.lower()
    near = [
        one
        for one in thread
        if abs(one.created_at - event.created_at) <= _BESIDE
        and not is_marked(one.body)
        and (by_hub or one.author.lower() == event.actor.lower())
    ]
    return min(near, key=lambda one: abs(one.created_at - event.created_at), default=None)
