"""A permitted person's comment, label or assignment is answered: planned by looking, then said once in the thread."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import GitHubSettings, ProjectSettings
from ..domain.answers import (
    EDITED,
    NOT_PERMITTED,
    closed_as_false_positive,
    conversation,
    explanation,
    foreign_issue,
    help_text,
    named_here,
    no_failure,
    nothing_named,
    wrong_mode,
)
from ..domain.command import Command, EventKind, InboxEvent, Intent
from ..domain.command_parser import parse_command
from ..domain.event_id import Said
from ..domain.filing_plan import Note
from ..domain.issue import Comment, Issue
from ..domain.issue_text import LABELS
from ..domain.progress import STOPPING, accepted
from ..domain.tracker_error import NotPermitted, NotThere
from ..ports import IssueTracker, RecordStore
from .activity import Activity, body_hash, read_activity
from .command_comment import comment_key, is_asked, thread_of
from .filing import post_once
from .subject import Subject, subject_of

__all__ = ["Activity", "EventPlan", "acknowledge", "answer", "plan_event", "post_reply", "read_activity"]

FALSE_POSITIVE_LABEL = "false-positive"
_WRITERS = frozenset({"admin", "write"})
_WORKING_MODES = frozenset({"investigate", "fix"})
_ABOUT_A_FAILURE = frozenset({Intent.CREATE_PR, Intent.INVESTIGATE, Intent.RETRY, Intent.EXPLAIN, Intent.CONVERSE})
_LABEL_INTENTS = {
    "claude:fix": Intent.CREATE_PR,
    "claude:investigate": Intent.INVESTIGATE,
    "claude:collaborate": Intent.CONVERSE,
}


@dataclass(frozen=True)
class EventPlan:
    """What an event leads to; ``refused`` says why nothing does, ``reply`` is for the thread.

    ``preface`` stands before what is found out. ``reply_key`` keeps a reply to one an issue (it is one an event otherwise), and ``close_as_false_positive`` asks for
    the label and the closing that ``answer`` does.
    """

    investigate: bool = False
    fix: bool = False
    reply: str | None = None
    stop: bool = False
    command: Command | None = None
    refused: str | None = None
    reply_key: str | None = None
    close_as_false_positive: bool = False
    preface: str | None = None


def plan_event(
    event: InboxEvent,
    *,
    tracker: IssueTracker,
    store: RecordStore,
    github: GitHubSettings,
    project: ProjectSettings,
    issue: Issue,
) -> EventPlan:
    """What to do about an event, after looking up who may ask for it; writes nothing.

    Raises:
        TrackerError: where GitHub could not be asked just now: the event must stay pending.
    """
    if event.kind is EventKind.FILED:
        works = project.mode in _WORKING_MODES and issue.state == "open"
        return EventPlan(investigate=works, fix=works and project.mode == "fix")
    if event.kind is EventKind.CLOSED:
        return EventPlan(stop=True)
    command = _command(event, github, tracker)
    if command is None:
        return EventPlan()
    if project.mode == "observe":
        return EventPlan(command=command, refused="the project runs in mode observe, in which nothing is posted")
    refusal = _refusal(event, command, tracker, issue)
    subject = subject_of(issue, event, login=tracker.login(), project=project, store=store)
    return refusal or _plan(command, event, store, github, project, subject)


def acknowledge(event: InboxEvent, *, tracker: IssueTracker) -> None:
    """Show that a comment was read (eyes).

    Reviews and other events have nothing to react to over GitHub's REST API, and a deleted comment needs none.
    """
    said_in = event.detail.get("said_in")
    if event.kind is EventKind.COMMENT and event.subject and said_in != Said.REVIEW.value:
        react = tracker.react_to_review_comment if said_in == Said.REVIEW_COMMENT.value else tracker.react
        try:
            react(thread_of(event), int(event.subject), "eyes")
        except NotThere:
            return


def post_reply(event: InboxEvent, text: str, *, tracker: IssueTracker, key: str | None = None) -> Comment:
    """Say something in the event's thread; once an event, or once a ``key``."""
    return post_once(tracker, thread_of(event), Note(key or f"reply:{event.event_id}", text))


def answer(
    event: InboxEvent, plan: EventPlan, *, tracker: IssueTracker, store: RecordStore, issue: Issue, ahead: int = 0
) -> None:
    """Do all of a plan that is neither investigation nor fix: eyes, stop flag, closing, reply; safe to repeat.

    What takes its time gets its comment here, before the ``ahead`` commands that are worked off first.
    """
    if plan.command is not None and plan.refused is None:
        acknowledge(event, tracker=tracker)
    if plan.stop:
        store.request_stop(event.issue_key)
    if is_asked(event) and (plan.investigate or plan.fix):
        taken_up = accepted(investigates=plan.investigate, fixes=plan.fix, ahead=ahead)
        post_once(tracker, thread_of(event), Note(comment_key(event), taken_up))
    if plan.reply is not None:
        post_reply(event, plan.reply, tracker=tracker, key=plan.reply_key)
    if plan.close_as_false_positive:
        repo = issue.ref.repo
        tracker.ensure_labels(repo, {FALSE_POSITIVE_LABEL: LABELS[FALSE_POSITIVE_LABEL]})
        labels = tuple(dict.fromkeys([*issue.labels, FALSE_POSITIVE_LABEL]))
        tracker.update_issue(issue.ref, state="closed", labels=labels)


def _command(event: InboxEvent, github: GitHubSettings, tracker: IssueTracker) -> Command | None:
    if event.kind is EventKind.COMMENT:
        return parse_command(event.text, github.trigger)
    if event.kind is EventKind.LABELED and event.subject in _LABEL_INTENTS:
        return Command(_LABEL_INTENTS[event.subject])
    addressed = {tracker.login().lower(), (github.bot_login or "").lower()}
    if event.kind is EventKind.ASSIGNED and event.subject.lower() in addressed:
        return Command(Intent.CREATE_PR)
    return None


def _refusal(event: InboxEvent, command: Command, tracker: IssueTracker, issue: Issue) -> EventPlan | None:
    own = tracker.login().lower()
    if event.actor.lower() == own or event.actor.endswith("[bot]"):
        return EventPlan(command=command, refused="it came from the hub itself or from a bot")
    if not _may_write(event.actor, tracker, issue):
        reason = f"{event.actor} has no write permission on {issue.ref.repo}"
        return EventPlan(command=command, refused=reason, reply=NOT_PERMITTED, reply_key="refused:permission")
    if event.kind is EventKind.COMMENT:
        now = _current_text(event, tracker, issue)
        if now is None:
            return EventPlan(command=command, refused="the comment was deleted")
        if body_hash(now) != event.body_hash:
            return EventPlan(command=command, refused="the comment was edited after it was read", reply=EDITED)
    elif issue.author.lower() != own and not _may_write(issue.author, tracker, issue):
        reason = f"the issue's text is by {issue.author}, who has no write permission on {issue.ref.repo}"
        return EventPlan(command=command, refused=reason, reply=foreign_issue(issue.author))
    return None


def _may_write(login: str, tracker: IssueTracker, issue: Issue) -> bool:
    try:
        return tracker.permission(issue.ref.repo, login) in _WRITERS
    except NotPermitted:
        # A token that may not ask cannot vouch for anybody.
        return False


def _current_text(event: InboxEvent, tracker: IssueTracker, issue: Issue) -> str | None:
    if not event.subject:
        return issue.body
    thread, said_in = thread_of(event), event.detail.get("said_in")
    if said_in == Said.REVIEW.value:
        comments = tracker.reviews(thread)
    elif said_in == Said.REVIEW_COMMENT.value:
        comments = tracker.review_comments(thread, event.happened_at)
    else:
        comments = tracker.comments(thread, event.happened_at)
    return next((one.body for one in comments if str(one.comment_id) == event.subject), None)


def _plan(
    command: Command,
    event: InboxEvent,
    store: RecordStore,
    github: GitHubSettings,
    project: ProjectSettings,
    subject: Subject,
) -> EventPlan:
    key, intent, record = event.issue_key, command.intent, subject.record
    preface = None
    if not subject.is_filed and intent in _ABOUT_A_FAILURE:
        if record is None:
            unknown = no_failure(subject.node) if subject.node else nothing_named(project.name, github.trigger)
            return EventPlan(reply=unknown, command=command)
        filed_as = str(subject.filed_as) if subject.filed_as else None
        preface = named_here(subject.node, filed_as, intent is Intent.CREATE_PR)
        if intent is Intent.CREATE_PR and filed_as and project.mode in _WORKING_MODES:
            # One branch and one pull request a cause, whoever asks.
            return EventPlan(investigate=True, command=command, preface=preface)
        key = filed_as or key
    investigations, fixes = store.investigations(key), store.fixes(key)
    if intent in (Intent.CREATE_PR, Intent.INVESTIGATE, Intent.RETRY):
        if project.mode not in _WORKING_MODES:
            return EventPlan(command=command, refused=f"the mode is {project.mode}", reply=wrong_mode(project.mode))
        if intent is Intent.CREATE_PR:
            old = _outdated(event.issue_key, store)
            return EventPlan(investigate=old, fix=True, command=command, preface=preface)
        fix = intent is Intent.RETRY and bool(store.fixes(event.issue_key))
        return EventPlan(investigate=True, fix=fix, command=command, preface=preface)
    if intent is Intent.STOP:
        return EventPlan(stop=True, reply=STOPPING, command=command)
    if intent is Intent.FALSE_POSITIVE:
        why = closed_as_false_positive(event.actor, command.text)
        return EventPlan(reply=why, command=command, close_as_false_positive=True, stop=True)
    if intent is Intent.HELP:
        return EventPlan(reply=help_text(github.trigger), command=command)
    if intent is Intent.EXPLAIN:
        known = explanation(record, investigations, fixes)
    else:
        known = conversation(record, investigations, fixes, github.trigger)
    return EventPlan(reply=f"{preface}\n\n{known}" if preface else known, command=command)


def _outdated(issue_key: str, store: RecordStore) -> bool:
    """Whether a fix needs a new investigation first: none came to its end, or the record failed again since."""
    investigations = [one for one in store.investigations(issue_key) if one.came_to_its_end]
    record = store.record_of(issue_key)
    if not investigations:
        return True
    started = investigations[-1].started_at
    return record is not None and started is not None and record.last_seen > started
