"""What GitHub and dbt Cloud tell by webhook, read into rows of the inbox: hints of where to look, and nothing more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from ..config import GitHubSettings
from ..domain.command import COMMAND_LABELS, EventKind, InboxEvent, dbt_account_key
from ..domain.command_parser import mentions
from ..domain.issue import GITHUB_COM, IssueRef, RepoRef
from ..domain.issue_text import HUB_LABEL

_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,100}")
_EVENT = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_FINISHED = frozenset({"job.run.completed", "job.run.errored"})


class _User(msgspec.Struct):
    login: str = "ghost"
    type: str = "User"


class _Label(msgspec.Struct):
    name: str


class _Repository(msgspec.Struct):
    full_name: str
    html_url: str = ""


class _Issue(msgspec.Struct):
    number: int
    created_at: datetime
    updated_at: datetime
    user: _User | None = None
    body: str | None = None
    labels: list[_Label] | None = None
    pull_request: dict[str, Any] | None = None
    merged: bool | None = None


class _Text(msgspec.Struct):
    """A comment, a review comment or a review; the last has only ``submitted_at``."""

    user: _User | None = None
    body: str | None = None
    created_at: datetime | None = None
    submitted_at: datetime | None = None


class _Delivery(msgspec.Struct):
    repository: _Repository
    action: str = ""
    sender: _User | None = None
    issue: _Issue | None = None
    pull_request: _Issue | None = None
    comment: _Text | None = None
    review: _Text | None = None
    label: _Label | None = None
    assignee: _User | None = None


class _RunWebhook(msgspec.Struct, rename="camel"):
    account_id: int
    event_type: str = ""
    event_id: str = ""


@dataclass(frozen=True)
class Heard:
    """What a delivery comes to: a row for the inbox or none, and a sentence that says why.

    ``finished_with`` is the outcome of a row that nothing waits for.
    """

    said: str
    event: InboxEvent | None = None
    finished_with: str | None = None


@dataclass(frozen=True)
class GitHubDeliveries:
    """Reads GitHub's deliveries for the monitored repositories, each with its host's settings.

    ``logins`` are the hub's own on each host, and ``issue_of_pull_request`` knows whose fix a pull request is.
    https://docs.github.com/en/webhooks/webhook-events-and-payloads
    """

    repos: Mapping[RepoRef, GitHubSettings]
    logins: Mapping[str, frozenset[str]]
    issue_of_pull_request: Callable[[str], str | None]

    def read(self, name: str, delivery: str, body: bytes, now: datetime) -> Heard:
        """One delivery: its event's name, its id and its JSON.

        Raises:
            msgspec.DecodeError: it is no JSON, or not of the shape that GitHub gives this event.
        """
        look = {
            "issues": self._issues,
            "issue_comment": self._issue_comment,
            "pull_request": self._pull_request,
            "pull_request_review": self._review,
            "pull_request_review_comment": self._review,
        }.get(name)
        if look is None and name != "repository_dispatch":
            return Heard("the hub has no use for this event")
        told = msgspec.json.decode(body, type=_Delivery)
        found = self._monitored(told.repository)
        if found is None:
            return Heard("this repository is not monitored")
        repo, github = found
        key = delivery if _DELIVERY.fullmatch(delivery) else sha256(body).hexdigest()
        if look is None:
            return _dispatched(f"delivery:{key}", told, repo, now)
        seen = _Seen(told, repo, github, self.logins.get(repo.host, frozenset()))
        where = look(seen)
        if isinstance(where, str):
            return Heard(where)
        return self._look_at(where, seen, f"delivery:{key}")

    def _monitored(self, told: _Repository) -> tuple[RepoRef, GitHubSettings] | None:
        host = told.html_url.partition("://")[2].partition("/")[0] or GITHUB_COM
        asked = f"{host}/{told.full_name}".lower()
        for repo, github in self.repos.items():
            if f"{repo.host}/{repo.full_name}".lower() == asked:
                return repo, github
        return None

    def _look_at(self, issue: _Issue, seen: _Seen, event_id: str) -> Heard:
        ref = IssueRef(seen.repo, issue.number)
        key: str | None = str(ref)
        if issue is seen.told.pull_request or issue.pull_request is not None:
            key = self.issue_of_pull_request(str(ref))
            if key is None:
                return Heard(f"{ref} is no pull request of the hub's")
        actor = (seen.told.sender or _User()).login
        event = InboxEvent(event_id, str(key), EventKind.LOOK, actor, seen.since(issue), str(ref))
        return Heard(f"{ref} is looked at", event)

    def _issues(self, seen: _Seen) -> _Issue | str:
        told, issue = seen.told, seen.told.issue
        if issue is None:
            return "it holds no issue"
        if told.action in ("opened", "edited"):
            return issue if seen.addressed(issue.user, issue.body) else "it does not address the hub"
        if seen.by_itself_or_a_bot(told.sender):
            return "the hub itself or a bot did it"
        if told.action == "labeled":
            return issue if told.label and told.label.name in COMMAND_LABELS else "this label is no command"
        if told.action == "assigned":
            return issue if seen.is_self(told.assignee) else "somebody else was assigned"
        if told.action in ("closed", "reopened"):
            ours = seen.is_self(issue.user) or any(one.name == HUB_LABEL for one in issue.labels or ())
            return issue if ours else "the hub did not file this issue"
        return "this action asks nothing of the hub"

    def _issue_comment(self, seen: _Seen) -> _Issue | str:
        told = seen.told
        if told.issue is None or told.comment is None or told.action not in ("created", "edited"):
            return "this action asks nothing of the hub"
        addressed = seen.addressed(told.comment.user, told.comment.body)
        return told.issue if addressed else "it does not address the hub"

    def _pull_request(self, seen: _Seen) -> _Issue | str:
        pull = seen.told.pull_request
        merged = pull is not None and seen.told.action == "closed" and pull.merged
        return pull if pull is not None and merged else "this action asks nothing of the hub"

    def _review(self, seen: _Seen) -> _Issue | str:
        told = seen.told
        text = told.comment or told.review
        if told.pull_request is None or text is None or told.action not in ("created", "edited", "submitted"):
            return "this action asks nothing of the hub"
        return told.pull_request if seen.addressed(text.user, text.body) else "it does not address the hub"


@dataclass(frozen=True)
class _Seen:
    told: _Delivery
    repo: RepoRef
    github: GitHubSettings
    logins: frozenset[str]

    def since(self, issue: _Issue) -> datetime:
        """From when on to look: a comment keeps the time of its writing when it is edited."""
        text = self.told.comment or self.told.review
        opening = issue.created_at if self.told.action in ("opened", "edited") else issue.updated_at
        return (text and (text.created_at or text.submitted_at)) or opening

    def addressed(self, author: _User | None, body: str | None) -> bool:
        return not self.by_itself_or_a_bot(author) and mentions(body or "", self.github.trigger)

    def by_itself_or_a_bot(self, user: _User | None) -> bool:
        return user is not None and (self.is_self(user) or user.type == "Bot" or user.login.endswith("[bot]"))

    def is_self(self, user: _User | None) -> bool:
        return user is not None and user.login.lower() in self.logins


def _dispatched(event_id: str, told: _Delivery, repo: RepoRef, now: datetime) -> Heard:
    """Kept for whoever asks what came; no part of the hub acts on it yet."""
    what = told.action[:100] or "of no type"
    kept = f"kept; nothing acts on repository_dispatch {what} yet"
    actor = (told.sender or _User()).login
    event = InboxEvent(event_id, f"repository:{repo}", EventKind.DISPATCH, actor, now, what)
    return Heard(kept, event, finished_with=kept)


def read_run_webhook(body: bytes, accounts: Sequence[int], now: datetime) -> Heard:
    """A run webhook of dbt Cloud: that a run of a monitored account ended.

    https://docs.getdbt.com/docs/deploy/webhooks

    Raises:
        msgspec.DecodeError: it is no JSON, or not of the shape that dbt Cloud gives its webhooks.
    """
    told = msgspec.json.decode(body, type=_RunWebhook, strict=False)
    if told.account_id not in accounts:
        return Heard("this account is not monitored")
    if told.event_type not in _FINISHED:
        return Heard("no run has ended")
    key = told.event_id if _EVENT.fullmatch(told.event_id) else sha256(body).hexdigest()
    event = InboxEvent(f"dbt-cloud:{key}", dbt_account_key(told.account_id), EventKind.DBT_RUN, "dbt Cloud", now)
    return Heard(f"the runs of account {told.account_id} are read", event)
