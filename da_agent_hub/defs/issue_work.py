"""What waits for one issue, worked off in order; each step may be repeated, alone and at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from logging import Logger
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..config.settings import ProjectSettings
from ..domain.command import EventKind, InboxEvent, Intent
from ..domain.error_record import ErrorRecord
from ..domain.fix_proposal import FixProposal
from ..domain.investigation import Investigation
from ..domain.issue import Issue, IssueRef
from ..domain.markdown import escape
from ..domain.progress import CALLED_OFF, tried_again
from ..domain.progress import stopped as stopped_text
from ..domain.tracker_error import NotThere, RateLimited, TrackerError
from ..ports import IssueTracker, RecordStore
from . import metadata
from .hub import Hub
from .lease import FILING_WAIT_SECONDS, Lease, LeaseTaken, held_lease, project_scope
from .listening import listening

if TYPE_CHECKING:
    from ..stages.collaborate import EventPlan

T = TypeVar("T")

# A process that dies so often over one issue is killed by the issue, not by chance.
MOST_DEATHS = 25
# Outcomes of what a person called off, and of the request that did.
STOPPED, STOP_DONE = "stopped", "stop"


class EventFailed(Exception):  # noqa: N818 -- reads as what happened
    """Dealing with an event raised; it stays in the inbox, and a later run takes it up again."""


@dataclass(frozen=True)
class Planned:
    """An event and what is to be done about it."""

    event: InboxEvent
    plan: EventPlan


@dataclass
class IssueWork:
    """One issue in the hands of this process."""

    hub: Hub
    ref: IssueRef
    project: ProjectSettings
    record: ErrorRecord | None
    tracker: IssueTracker
    lease: Lease
    log: Logger
    run_id: str
    gave_up: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The issue's partition key."""
        return str(self.ref)

    @property
    def store(self) -> RecordStore:
        """The hub's memory."""
        return self.hub.store

    def issue(self) -> Issue:
        """The issue as it is now."""
        return self.tracker.issue(self.ref)

    def life(
        self, issue: Issue, *, begins: bool = False, answered: bool = False, done: bool = False
    ) -> metadata.Metadata:
        """Where the issue is in its life, kept and told; see ``follow_issue``."""
        from ..stages.life import follow_issue

        try:
            found = follow_issue(
                issue,
                project=self.project.name,
                record=self.record,
                tracker=self.tracker,
                store=self.store,
                now=self.hub.now(),
                begins=begins,
                answered=answered,
                done=done,
            )
        except TrackerError as error:
            # Not worth the work that it tells of; the next run of the issue follows it.
            self.log.warning(f"where {self.key} is in its life is not known just now: {self.hub.redact(str(error))}")
            return {}
        return metadata.life(found)

    def plan_waiting(self, issue: Issue) -> Sequence[Planned]:
        """Plan and answer what waits, in order; an event is planned once, whoever repeats this.

        Raises:
            EventFailed: one could not be planned; later ones wait behind it.
        """
        from ..stages.collaborate import answer, plan_event

        self._follow_hints()
        planned: list[Planned] = []
        at_work: list[InboxEvent] = []
        for event in self.store.pending_events(self.key):
            if self.store.attempts(self.key) > MOST_DEATHS:
                self._give_up(event, f"the process that worked on it ended {MOST_DEATHS} times without a word")
                continue

            def plan_and_answer(event: InboxEvent = event, ahead: int = len(at_work)) -> EventPlan:
                plan = self._plan_of(event)
                if plan is None:
                    plan = plan_event(
                        event,
                        tracker=self.tracker,
                        store=self.store,
                        github=self.hub.github(self.ref.repo),
                        project=self.project,
                        issue=issue,
                    )
                    self.store.save_plan(event.event_id, msgspec.to_builtins(plan))
                if event.event_id not in self.hub.answered:
                    answer(event, plan, tracker=self.tracker, store=self.store, issue=issue, ahead=ahead)
                    self.hub.answered.add(event.event_id)
                return plan

            plan = self._attempt(event, plan_and_answer)
            if plan is not None:
                planned.append(Planned(event, plan))
                at_work += [event] if plan.investigate or plan.fix else []
        return planned

    def _follow_hints(self) -> None:
        """Read what webhooks named; what people did there then waits as if polling had found it."""
        from ..stages.activity import look_at

        for hint in self.store.pending_events(self.key):
            if hint.kind is not EventKind.LOOK:
                continue

            def look(hint: InboxEvent = hint) -> str:
                try:
                    new = look_at(self.tracker, self.store, self.hub.github(self.ref.repo), hint)
                except NotThere:
                    return f"{hint.subject} is gone"
                return f"looked: {new} new events"

            outcome = self._attempt(hint, look)
            if outcome is not None:
                self.store.finish_event(hint.event_id, outcome)

    def planned(self) -> Sequence[Planned]:
        """What waits and has its plan."""
        found = [(event, self._plan_of(event)) for event in self.store.pending_events(self.key)]
        return [Planned(event, plan) for event, plan in found if plan is not None]

    def investigate(self, one: Planned) -> Investigation | None:
        """Investigate for an event, once; None where that failed for the last time or a person stopped it.

        Raises:
            EventFailed: it failed and will be tried again.
        """
        found = self.store.investigation_for(self.key, one.event.event_id)
        if found is not None:
            return self._attempt(one.event, lambda: self._tell(one.event, found))
        with self._open_to_a_stop(one):
            return self._attempt(one.event, lambda: self.investigate_for(one.event))

    def is_called_off(self, one: Planned) -> bool:
        """Whether a person asked to stop after this event, also while it was at work."""
        return one.event.event_id in {other.event.event_id for other in stopped(self.planned())}

    @contextmanager
    def _open_to_a_stop(self, one: Planned) -> Iterator[None]:
        """Hear stops while an event is at work; one that came before it stops only what came before."""
        if self.is_called_off(one):
            self.store.request_stop(self.key)
        else:
            self.store.clear_stop(self.key)
        # Its own connection: the adapter's is this thread's.
        with listening(Ears(self, one.event, self.hub.another_tracker(self.ref.repo)).hear, self.log):
            yield

    def investigate_for(self, event: InboxEvent) -> Investigation:
        """Investigate the issue's record; the findings stand in one comment for this event."""
        from ..stages.investigate import investigate_issue

        self.lease.check()
        with self.hub.workbench.use(self.project, self.run_id) as bench:
            investigation = investigate_issue(
                self.ref,
                event,
                project=self.project,
                record=self.subject(event),
                graph=self.store.latest_graph(self.project.name),
                investigator=self.hub.investigator(self.project),
                bench=bench,
                tracker=self.tracker,
                store=self.store,
                now=self.hub.now(),
            )
        self._correct(investigation)
        return investigation

    def subject(self, event: InboxEvent) -> ErrorRecord | None:
        """The record that the issue was filed for, or in an issue of a person's own the one that is named."""
        from ..stages.subject import subject_of

        if self.record is None:
            login = self.tracker.login()
            return subject_of(self.issue(), event, login=login, project=self.project, store=self.store).record
        return self.record

    def _correct(self, investigation: Investigation) -> None:
        """Bring the issue to the category that was proven, where it told another."""
        from ..stages.correct import correct_issue

        if self.record is None:
            return
        was_corrected = self.record.correction is not None
        if investigation.proven is None or not (investigation.proven.corrects or was_corrected):
            return
        store, scope = self.store, project_scope(self.project)
        try:
            with held_lease(store, scope, self.hub.now, wait_seconds=FILING_WAIT_SECONDS):
                self.lease.check()
                correct_issue(
                    self.ref,
                    project=self.project,
                    tracker=self.tracker,
                    store=store,
                    trigger=self.hub.github(self.ref.repo).trigger,
                    secrets=self.hub.secrets,
                )
        except LeaseTaken as busy:
            self.log.info(f"{self.key} gets its corrected category with the next filing: {busy}")
        self.record = store.record_of(self.key)

    def _tell(self, event: InboxEvent, found: Investigation) -> Investigation:
        """A process that died may have paid for an investigation and told nobody."""
        from ..stages.investigate import tell_findings

        tell_findings(event, found, self.store.fix_for(self.key, event.event_id), self.tracker, self.store)
        self._correct(found)
        return found

    def fix(self, one: Planned, investigation: Investigation) -> FixProposal | None:
        """Try to fix for an event; None where that failed for the last time.

        Raises:
            EventFailed: it failed and will be tried again.
        """
        from ..stages.fix import fix_issue

        def attempt() -> FixProposal:
            self.lease.check()
            with self.hub.workbench.use(self.project, self.run_id) as bench:
                return fix_issue(
                    self.ref,
                    one.event,
                    project=self.project,
                    record=self.subject(one.event),
                    investigation=investigation,
                    graph=self.store.latest_graph(self.project.name),
                    bench=bench,
                    tracker=self.tracker,
                    store=self.store,
                    now=self.hub.now(),
                )

        with self._open_to_a_stop(one):
            return self._attempt(one.event, attempt)

    def finish(self, one: Planned, outcome: str) -> None:
        """The event is dealt with; what was called off and what called it off say so in the thread."""
        from ..stages.command_comment import CommandComment, is_asked

        self.lease.check()
        comment = CommandComment(one.event, self.tracker, self.store)
        asked, key = is_asked(one.event), one.event.event_id
        if outcome == STOPPED and asked and (one.plan.investigate or one.plan.fix):
            found = self.store.investigation_for(self.key, key)
            if found is None or (one.plan.fix and self.store.fix_for(self.key, key) is None):
                comment.say(CALLED_OFF)
        if one.plan.command is not None and one.plan.command.intent is Intent.STOP and one.plan.stop:
            comment.say(stopped_text(self._called_off_by(key)))
        self.store.finish_event(key, outcome)
        if one.plan.stop:
            self.store.clear_stop(self.key)

    def _called_off_by(self, stop: str) -> int:
        """How many events a stop ended: those up to it or to the stop before it."""
        count = 0
        for event_id, outcome in self.hub.store.event_outcomes(self.key).items():
            if event_id == stop:
                break
            count = 0 if outcome == STOP_DONE else count + (outcome or "").startswith(STOPPED)
        return count

    def _plan_of(self, event: InboxEvent) -> EventPlan | None:
        from ..stages.collaborate import EventPlan

        kept = self.store.plan_of(event.event_id)
        return None if kept is None else msgspec.convert(kept, EventPlan)

    def _attempt(self, event: InboxEvent, work: Callable[[], T]) -> T | None:
        from ..stages.command_comment import StopAsked

        try:
            return work()
        except StopAsked:
            return None
        except RateLimited as limit:
            # To wait is no failure: however often it is asked too early, the event keeps all of its attempts.
            raise EventFailed(f"{event.kind.value} {event.event_id} waits. {self.hub.redact(str(limit))}") from limit
        except Exception as error:
            said = self.hub.redact(f"{type(error).__name__}: {error}")
            self.log.error(f"{event.event_id} of {self.key} failed: {said}", exc_info=True)
            failures, most = self.store.note_event_failure(event.event_id), self.hub.settings.budgets.attempts_per_event
            if failures < most:
                self._say_that_it_is_tried_again(event, failures, most)
                raise EventFailed(f"{event.kind.value} {event.event_id} failed {failures} times: {said}") from error
            self._give_up(event, said)
            return None

    def _say_that_it_is_tried_again(self, event: InboxEvent, failures: int, most: int) -> None:
        from ..stages.command_comment import CommandComment, is_asked

        kept = self._plan_of(event)
        if is_asked(event) and kept is not None and (kept.investigate or kept.fix):
            CommandComment(event, self.tracker, self.store).say_if_possible(tried_again(failures, most))

    def _give_up(self, event: InboxEvent, said: str) -> None:
        from ..stages.collaborate import post_reply
        from ..stages.command_comment import CommandComment, is_asked

        attempts = self.hub.settings.budgets.attempts_per_event
        trigger = self.hub.github(self.ref.repo).trigger
        text = (
            f"I could not finish this ({event.kind.value}, {attempts} attempts). What went wrong: "
            f"{escape(said, 600)}\n\nNext step: the operator finds the whole error in Dagster, in the runs of "
            f"`{self.key}`; once its cause is gone, `{trigger} retry` here starts again."
        )
        # Where even this cannot be said, the event stays in the inbox: nothing ends in silence.
        if is_asked(event):
            CommandComment(event, self.tracker, self.store).say(text)
        else:
            post_reply(event, text, tracker=self.tracker, key=f"failed:{event.event_id}")
        self.store.finish_event(event.event_id, f"failed: {said[:500]}")
        self.gave_up.append(event.event_id)


class Ears:
    """Hears what comes in while one event of an issue is at work: eyes for each command, and a stop at once.

    All of it is planned and answered in its order afterwards.
    """

    def __init__(self, work: IssueWork, at_work: InboxEvent, tracker: IssueTracker) -> None:
        self._work = work
        self._at_work = at_work
        self._tracker = tracker
        self._heard: set[str] = set()

    def hear(self) -> None:
        """Look once into the inbox."""
        from ..stages.activity import look_at
        from ..stages.collaborate import acknowledge, answer, plan_event

        work, tracker = self._work, self._tracker
        github = work.hub.github(work.ref.repo)
        later = False
        for event in work.store.pending_events(work.key):
            later = later or event.event_id == self._at_work.event_id
            new = event.event_id not in self._heard and work.store.plan_of(event.event_id) is None
            if not new or work.lease.lost or event.event_id == self._at_work.event_id:
                continue
            self._heard.add(event.event_id)
            if event.kind is EventKind.LOOK:
                look_at(tracker, work.store, github, event)
            elif later:
                issue = tracker.issue(work.ref)
                plan = plan_event(
                    event, tracker=tracker, store=work.store, github=github, project=work.project, issue=issue
                )
                if plan.stop:
                    work.store.save_plan(event.event_id, msgspec.to_builtins(plan))
                    answer(event, plan, tracker=tracker, store=work.store, issue=issue)
                elif plan.command is not None and plan.refused is None:
                    acknowledge(event, tracker=tracker)


@contextmanager
def issue_work(hub: Hub, key: str, run_id: str, log: Logger, *, wait_seconds: float = 30.0) -> Iterator[IssueWork]:
    """Take an issue's lease and work on it.

    Raises:
        LeaseTaken: somebody else works on it.
        LookupError: no monitored project has this repository.
        ValueError: the key names no issue.
    """
    ref = IssueRef.parse(key)
    record = hub.store.record_of(key)
    project = _project(hub, ref, record)
    if project is None:
        raise LookupError(f"no project in hub.yaml has the repository {ref.repo}: add one, or delete this partition")
    with held_lease(hub.store, key, hub.now, wait_seconds=wait_seconds) as lease:
        yield IssueWork(hub, ref, project, record, hub.tracker(ref.repo), lease, log, run_id)


def stopped(planned: Sequence[Planned]) -> Sequence[Planned]:
    """Events whose work a later stop in the same inbox calls off."""
    last = max((place for place, one in enumerate(planned) if one.plan.stop), default=-1)
    return planned[: max(last, 0)]


def event_by_hand(ref: IssueRef, login: str, now: datetime) -> InboxEvent:
    """Stands for an operator who materializes an issue in Dagster; one an issue, so that its comment is one too."""
    return InboxEvent(f"by-hand:{ref}", str(ref), EventKind.FILED, login, now)


def _project(hub: Hub, ref: IssueRef, record: ErrorRecord | None) -> ProjectSettings | None:
    named = hub.project(record.project) if record is not None else None
    return named or next(iter(hub.projects_of(ref.repo)), None)
