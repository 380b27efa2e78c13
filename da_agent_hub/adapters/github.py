"""GitHub's REST API as an ``IssueTracker``, over PyGithub's requester: reads are retried, writes never blindly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import requests
from github import Github, GithubException
from requests.utils import parse_header_links
from urllib3.util import Retry

from ..config import GitHubSettings
from ..domain.investigation import FileChange
from ..domain.issue import GITHUB_COM, Comment, Issue, IssueDraft, IssueRef, PullRequest, RepoRef, TimelineEvent
from ..domain.issue_text import HUB_LABEL
from ..domain.redaction import REDACTED, SHORTEST_SECRET, redact
from ..domain.tracker_error import NotPermitted, NotThere, RateLimited, Refused, TrackerError, Unanswered
from .github_answers import LOOK_FIRST, comment, head_sha, issue, pull_request, review, timeline_event, understood
from .github_auth import AppIdentity, auth_of, refusal
from .github_commits import FixBranch
from .github_limits import RateLimits, limited_until

BRANCH_PREFIX = "claude/"

_TIMEOUT_SECONDS = 20
_PAGE = 100
_EVENTS = frozenset({"labeled", "assigned", "closed", "reopened", "merged"})

# A connection that was never made is retried for every method; a lost answer or a 5xx for reads alone, since the write
# may have happened. Limits are github_limits' business.
_RETRY = Retry(
    total=4,
    backoff_factor=0.3,
    status_forcelist=(500, 502, 503, 504),
    allowed_methods=frozenset({"GET", "HEAD"}),
    respect_retry_after_header=False,
    raise_on_status=False,
)


class GitHubTracker:
    """One GitHub host; every method raises a ``TrackerError`` that names the operation, the status and the next step.

    https://docs.github.com/en/rest, API version 2022-11-28.
    """

    def __init__(self, settings: GitHubSettings, secrets: Sequence[str] = ()) -> None:
        """Speak to the host of ``settings``; ``secrets`` are configured values that leave in no text."""
        self._settings = settings
        own = [settings.token.get_secret_value()] if settings.token else []
        self._secrets = [one for one in (*own, *secrets) if len(one) >= SHORTEST_SECRET]
        self._requester = Github(
            auth=auth_of(settings),
            base_url=settings.base_url,
            timeout=_TIMEOUT_SECONDS,
            retry=_RETRY,
            per_page=_PAGE,
            user_agent="da-agent-hub",
            seconds_between_requests=0,
            # github.com asks for a second between writes; Enterprise servers have no such limit unless switched on.
            seconds_between_writes=1 if settings.host == GITHUB_COM else 0,
        ).requester
        self._limits = RateLimits()
        self._login: str | None = None

    def login(self) -> str:
        """The hub's own login, which a GitHub App asks for by its key; where none is told, ``bot_login`` says it."""
        if self._login is None and self._settings.app is not None:
            self._login = AppIdentity.of(self._settings, self._settings.app).login()
        if self._login is None:
            try:
                self._login = str(self._read("ask who the token is", "/user", key="login"))
            except NotPermitted as refused:
                if refused.status == 401 or not self._settings.bot_login:
                    raise
                self._login = self._settings.bot_login
        return self._login

    # issues
    def issue(self, ref: IssueRef) -> Issue:
        """One issue (or pull request)."""
        what = f"read issue {ref}"
        return understood(what, issue, self._read(what, f"{self._repo(ref.repo)}/issues/{ref.number}"), ref.repo)

    def hub_issues(self, repo: RepoRef) -> Sequence[Issue]:
        """Every issue of the repository, open or closed, that carries the label ``dbt-error``; oldest first."""
        what = f"list the hub's issues of {repo}"
        query = {"state": "all", "labels": HUB_LABEL, "sort": "created", "direction": "asc"}
        found = [understood(what, issue, one, repo) for one in self._pages(what, f"{self._repo(repo)}/issues", query)]
        return [one for one in _once_each(found) if not one.is_pull_request]

    def create_issue(self, repo: RepoRef, draft: IssueDraft) -> Issue:
        """Open an issue; the caller has looked for its marker first."""
        what = f"open an issue in {repo}"
        new = {
            "title": self._said(draft.title),
            "body": self._said(draft.body),
            "labels": list(draft.labels),
            "assignees": list(draft.assignees),
        }
        return understood(what, issue, self._write(what, "POST", f"{self._repo(repo)}/issues", new), repo)

    def update_issue(
        self,
        ref: IssueRef,
        *,
        title: str | None = None,
        body: str | None = None,
        state: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> Issue:
        """Change what is given, all in one request; ``labels`` replaces the whole set."""
        what = f"change issue {ref}"
        change: dict[str, Any] = {"title": self._said(title), "body": self._said(body), "state": state}
        change = {name: value for name, value in change.items() if value is not None}
        if labels is not None:
            change["labels"] = list(labels)
        answer = self._write(what, "PATCH", f"{self._repo(ref.repo)}/issues/{ref.number}", change)
        return understood(what, issue, answer, ref.repo)

    def ensure_labels(self, repo: RepoRef, labels: Mapping[str, tuple[str, str]]) -> None:
        """Create the labels that the repository lacks: name to (hex colour, description of up to 100 characters)."""
        what = f"read the labels of {repo}"
        there = {str(one["name"]).lower() for one in self._pages(what, f"{self._repo(repo)}/labels", {})}
        for name, (colour, description) in labels.items():
            if name.lower() in there:
                continue
            new = {"name": name, "color": colour.lstrip("#"), "description": description[:100]}
            try:
                self._write(f"create label {name} in {repo}", "POST", f"{self._repo(repo)}/labels", new)
            except TrackerError as refused:
                if refused.status != 422 or "already_exists" not in str(refused):
                    raise

    # the thread
    def comments(self, ref: IssueRef, since: datetime | None = None) -> Sequence[Comment]:
        """The thread, oldest first; ``since`` looks at the time of the last change."""
        what = f"read the comments of {ref}"
        query = {"since": _stamp(since)} if since else {}
        found = self._pages(what, f"{self._repo(ref.repo)}/issues/{ref.number}/comments", query)
        return [understood(what, comment, one) for one in found]

    def add_comment(self, ref: IssueRef, body: str) -> Comment:
        """Post; the caller has looked for its marker first."""
        what = f"comment on {ref}"
        path = f"{self._repo(ref.repo)}/issues/{ref.number}/comments"
        answer = self._write(what, "POST", path, {"body": self._said(body)})
        return understood(what, comment, answer)

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace a comment's body."""
        what = f"edit comment {comment_id} of {ref}"
        answer = self._write(
            what, "PATCH", f"{self._repo(ref.repo)}/issues/comments/{comment_id}", {"body": self._said(body)}
        )
        return understood(what, comment, answer)

    def react(self, ref: IssueRef, comment_id: int, reaction: str) -> None:
        """Add a reaction (``eyes``) to a comment; GitHub answers a second one with the first."""
        path = f"{self._repo(ref.repo)}/issues/comments/{comment_id}/reactions"
        self._write(f"react to comment {comment_id} of {ref}", "POST", path, {"content": reaction})

    def reviews(self, ref: IssueRef) -> Sequence[Comment]:
        """What was said with the submitted reviews of a pull request, oldest first."""
        what = f"read the reviews of {ref}"
        found = self._pages(what, f"{self._repo(ref.repo)}/pulls/{ref.number}/reviews", {})
        # One that is still being written has no time.
        return [understood(what, review, one) for one in found if one.get("submitted_at")]

    def review_comments(self, ref: IssueRef, since: datetime | None = None) -> Sequence[Comment]:
        """What was said on lines of a pull request, oldest first."""
        what = f"read the comments on lines of {ref}"
        query = {"since": _stamp(since)} if since else {}
        found = self._pages(what, f"{self._repo(ref.repo)}/pulls/{ref.number}/comments", query)
        return [understood(what, comment, one) for one in found]

    def react_to_review_comment(self, ref: IssueRef, comment_id: int, reaction: str) -> None:
        """Add a reaction to a comment on a line; GitHub answers a second one with the first."""
        path = f"{self._repo(ref.repo)}/pulls/comments/{comment_id}/reactions"
        self._write(f"react to comment {comment_id} on a line of {ref}", "POST", path, {"content": reaction})

    def events(self, ref: IssueRef) -> Sequence[TimelineEvent]:
        """Labels, assignments, closings, reopenings and merges, oldest first."""
        what = f"read the events of {ref}"
        found = self._pages(what, f"{self._repo(ref.repo)}/issues/{ref.number}/events", {})
        return [understood(what, timeline_event, one) for one in found if one.get("event") in _EVENTS]

    def changed_issues(
        self, repo: RepoRef, since: datetime | None, etag: str | None
    ) -> tuple[Sequence[Issue] | None, str | None]:
        """Issues and pull requests updated since, oldest first, with the new ETag; None where nothing changed (304).

        Asked for newest first, so that any change shows on the first page, which the ETag belongs to.
        """
        what = f"ask what changed in {repo}"
        query = {"state": "all", "sort": "updated", "direction": "desc"} | ({"since": _stamp(since)} if since else {})
        path = f"{self._repo(repo)}/issues"
        status, headers, first = self._ask(what, "GET", path, query, headers={"If-None-Match": etag} if etag else None)
        if status == 304:
            return None, etag
        found = [*_listed(what, first), *self._following(what, headers)]
        changed = _once_each([understood(what, issue, one, repo) for one in found])
        return sorted(changed, key=lambda one: (one.updated_at, one.ref.number)), headers.get("etag")

    # people
    def permission(self, repo: RepoRef, login: str) -> str:
        """``admin``, ``write``, ``read`` or ``none``; ``none`` for a user that does not exist."""
        path = f"{self._repo(repo)}/collaborators/{quote(login, safe='')}/permission"
        try:
            return str(self._read(f"ask what {login} may do in {repo}", path, key="permission"))
        except NotThere:
            return "none"

    def can_be_assigned(self, repo: RepoRef, login: str) -> bool:
        """Whether GitHub would accept this assignee."""
        path = f"{self._repo(repo)}/assignees/{quote(login, safe='')}"
        try:
            self._ask(f"ask whether {login} can be assigned in {repo}", "GET", path)
        except NotThere:
            return False
        return True

    # code
    def default_branch(self, repo: RepoRef) -> tuple[str, str]:
        """The default branch's name and its head's SHA."""
        name = str(self._read(f"ask for the default branch of {repo}", self._repo(repo), key="default_branch"))
        sha = self._head(repo, name)
        if sha is None:
            raise NotThere(f"read branch {name} of {repo}", 404, "", "Push a first commit to the default branch.")
        return name, sha

    def commit_files(
        self, repo: RepoRef, *, base_sha: str, branch: str, changes: Sequence[FileChange], message: str
    ) -> str:
        """One commit on ``base_sha`` through the Git Data API, with ``branch`` made or moved to it; returns the SHA.

        A branch that already holds this very change on this base stays as it is, and files keep their mode. Refuses the
        default branch, any branch outside ``claude/``, a branch on which somebody else's commit is, and to change a
        symbolic link.
        """
        what = f"commit to {branch} of {repo}"
        if not branch.startswith(BRANCH_PREFIX) or branch == self.default_branch(repo)[0]:
            raise Refused(
                what, "this is no branch of the hub", f"It only ever writes to its own, under {BRANCH_PREFIX}."
            )
        there = FixBranch(what, self._repo(repo), branch, self._head(repo, branch), self._read, self._write)
        return there.commit(base_sha, changes, message)

    def pull_request_for_branch(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """The newest pull request with this head branch, in any state."""
        what = f"look for a pull request of {branch} in {repo}"
        query = {"state": "all", "head": f"{repo.owner}:{branch}", "sort": "created", "direction": "desc"}
        for one in self._pages(what, f"{self._repo(repo)}/pulls", query):
            found = understood(what, pull_request, one, repo)
            if found.head_branch == branch:
                return found
        return None

    def pull_request(self, ref: IssueRef) -> PullRequest:
        """One pull request."""
        what = f"read pull request {ref}"
        answer = self._read(what, f"{self._repo(ref.repo)}/pulls/{ref.number}")
        return understood(what, pull_request, answer, ref.repo)

    def open_pull_request(
        self, repo: RepoRef, *, title: str, body: str, head: str, base: str, draft: bool, labels: Sequence[str]
    ) -> PullRequest:
        """Open a pull request; the caller has looked for one of this head first."""
        what = f"open a pull request of {head} in {repo}"
        new = {"title": self._said(title), "body": self._said(body), "head": head, "base": base, "draft": draft}
        opened = understood(what, pull_request, self._write(what, "POST", f"{self._repo(repo)}/pulls", new), repo)
        if labels:
            path = f"{self._repo(repo)}/issues/{opened.ref.number}/labels"
            self._write(f"label pull request {opened.ref}", "POST", path, {"labels": list(labels)})
        return opened

    def update_pull_request(self, ref: IssueRef, *, title: str | None = None, body: str | None = None) -> PullRequest:
        """Change a pull request's text."""
        what = f"change pull request {ref}"
        texts = {"title": self._said(title), "body": self._said(body)}
        change = {name: value for name, value in texts.items() if value is not None}
        answer = self._write(what, "PATCH", f"{self._repo(ref.repo)}/pulls/{ref.number}", change)
        return understood(what, pull_request, answer, ref.repo)

    # git data
    def _head(self, repo: RepoRef, branch: str) -> str | None:
        what = f"read branch {branch} of {repo}"
        try:
            ref = self._read(what, f"{self._repo(repo)}/git/ref/heads/{quote(branch)}")
        except NotThere:
            return None
        return understood(what, head_sha, ref)

    # requests
    def _said(self, text: str | None) -> str | None:
        """The last look at what leaves: whoever worded it may not have known what is secret."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED) if text is not None else None
        return text

    def _repo(self, repo: RepoRef) -> str:
        if repo.host != self._settings.host:
            raise TrackerError(
                f"reach {repo}", None, "", f"It is not on {self._settings.host}: check the project's repo in hub.yaml."
            )
        return f"/repos/{quote(repo.owner, safe='')}/{quote(repo.name, safe='')}"

    def _read(self, what: str, path: str, key: str | None = None) -> Any:
        _, _, answer = self._ask(what, "GET", path)
        if not isinstance(answer, dict) or (key is not None and answer.get(key) is None):
            raise Unanswered(what, None, "the answer was cut short or is no JSON object", _READ_AGAIN)
        return answer if key is None else answer[key]

    def _write(self, what: str, verb: str, path: str, body: dict[str, Any]) -> Any:
        _, _, answer = self._ask(what, verb, path, body=body)
        if answer is None:
            raise Unanswered(what, None, "the answer was empty", LOOK_FIRST)
        return answer

    def _pages(self, what: str, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        _, headers, first = self._ask(what, "GET", path, query)
        yield from _listed(what, first)
        yield from self._following(what, headers)

    def _following(self, what: str, headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        while following := _next_page(headers):
            if following in seen:
                raise Unanswered(what, None, "its pages name each other as the next one", _READ_AGAIN)
            seen.add(following)
            _, headers, page = self._ask(what, "GET", following)
            yield from _listed(what, page)

    def _ask(
        self,
        what: str,
        verb: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> tuple[int, Mapping[str, str], Any]:
        return self._limits.within(what, lambda: self._ask_once(what, verb, path, query, headers, body))

    def _ask_once(
        self,
        what: str,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: dict[str, Any] | None,
    ) -> tuple[int, Mapping[str, str], Any]:
        parameters = {"per_page": str(_PAGE), **query} if query is not None else None
        next_step = _READ_AGAIN if verb == "GET" else LOOK_FIRST
        try:
            status, answered, text = self._requester.requestJson(verb, path, parameters, dict(headers or {}), body)
            answer = json.loads(text) if text else None
        except GithubException as unsigned:
            # Only minting an App's token raises these here; every other answer is read below.
            raise refusal(f"{what} (mint a token first)", unsigned) from None
        except (requests.RequestException, OSError) as lost:
            raise Unanswered(what, None, type(lost).__name__, next_step) from lost
        except ValueError as broken:
            raise Unanswered(what, None, "the answer was cut short or is no JSON", next_step) from broken
        except RuntimeError as elsewhere:
            # PyGithub's way to refuse a redirection to another host than base_url's.
            said = f"it leads to another host: {elsewhere}"
            raise TrackerError(what, None, said, f"Check base_url of {self._settings.host} in hub.yaml.") from elsewhere
        if status >= 400:
            raise self._refusal(what, verb, status, answered, answer)
        self._limits.note(what, status, answered)
        return status, answered, answer

    def _refusal(self, what: str, verb: str, status: int, headers: Mapping[str, str], answer: Any) -> TrackerError:
        said = redact(_message(answer), self._secrets)[:500]
        if status in (403, 429) and (until := limited_until(status, headers, said)):
            return RateLimited(what, status, said, until)
        if status == 401:
            return NotPermitted(what, status, said, f"Check the token of {self._settings.host}: it may have expired.")
        if status == 403:
            return NotPermitted(what, status, said, "Give the token this permission on the repository, then run again.")
        if status in (404, 410):
            return NotThere(what, status, said, "Check that it exists and that the token may see it.")
        if status >= 500:
            return Unanswered(what, status, said, _READ_AGAIN if verb == "GET" else LOOK_FIRST)
        return TrackerError(what, status, said, "GitHub understood the request and refused it: see its words.")


_READ_AGAIN = "Nothing was changed: the next run asks again."


def _listed(what: str, answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
        raise Unanswered(what, None, "the answer was cut short or is no list", _READ_AGAIN)
    return answer


def _once_each(found: Sequence[Issue]) -> list[Issue]:
    # A list that moves while its pages are read can show one issue twice.
    return list({one.ref: one for one in found}.values())


def _next_page(headers: Mapping[str, str]) -> str | None:
    links = parse_header_links(headers.get("link", ""))
    return next((link["url"] for link in links if link.get("rel") == "next"), None)


def _message(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    errors = answer.get("errors")
    details = "; ".join(_detail(one) for one in errors) if isinstance(errors, list) else ""
    return ": ".join(part for part in (str(answer.get("message") or ""), details) if part)


def _detail(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[name]) for name in ("resource", "field", "code", "message") if error.get(name))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
