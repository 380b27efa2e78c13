"""An in-memory GitHub host that passes the contract of the real adapter, and that can die at any write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from hashlib import sha1

from da_agent_hub.domain.investigation import FileChange
from da_agent_hub.domain.issue import Comment, Issue, IssueDraft, IssueRef, PullRequest, RepoRef, TimelineEvent
from da_agent_hub.domain.tracker_error import ForeignWork, NotThere, Refused, TrackerError

Tree = Mapping[str, str]


class Died(BaseException):
    """The process is gone: nothing may catch this."""


@dataclass
class Host:
    """What the host remembers; ``people`` maps logins to permissions.

    ``die_at`` is the number of the write (from 1) at which the process dies: before it has an effect, or, with
    ``die_late``, after GitHub has it and before the answer arrives.
    """

    repo: RepoRef = field(default_factory=lambda: RepoRef("acme", "shop"))
    people: dict[str, str] = field(default_factory=dict)
    now: datetime = datetime(2026, 11, 22, 8, 0, tzinfo=timezone.utc)
    die_at: int | None = None
    die_late: bool = False
    writes: int = 0
    last_id: int = 0
    issues: dict[int, Issue] = field(default_factory=dict)
    threads: dict[int, list[Comment]] = field(default_factory=dict)
    happened: dict[int, list[TimelineEvent]] = field(default_factory=dict)
    reactions: set[tuple[int, str, str]] = field(default_factory=set)
    labels: dict[str, tuple[str, str]] = field(default_factory=dict)
    commits: dict[str, tuple[Tree, tuple[str, ...]]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    through_api: set[str] = field(default_factory=set)
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    reviews: dict[int, list[Comment]] = field(default_factory=dict)
    on_lines: dict[int, list[Comment]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.branches.setdefault("main", self.commit({"dbt_project.yml": "name: shop\n"}, ()))

    def commit(self, tree: Tree, parents: tuple[str, ...]) -> str:
        sha = sha1(repr((sorted(tree.items()), parents, self.next_id())).encode()).hexdigest()
        self.commits[sha] = (tree, parents)
        return sha

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class FakeTracker:
    """The host as one person's token sees it."""

    def __init__(self, host: Host, login: str) -> None:
        self.host = host
        self._login = login

    def login(self) -> str:
        return self._login

    def issue(self, ref: IssueRef) -> Issue:
        self._check(ref.repo)
        if ref.number not in self.host.issues:
            raise NotThere(f"read issue {ref}", 404, "Not Found", "Check that it exists.")
        return self.host.issues[ref.number]

    def hub_issues(self, repo: RepoRef) -> Sequence[Issue]:
        self._check(repo)
        return [one for one in self.host.issues.values() if "dbt-error" in one.labels and not one.is_pull_request]

    def create_issue(self, repo: RepoRef, draft: IssueDraft) -> Issue:
        with _Write(self.host):
            return self._open(draft.title, draft.body, draft.labels, draft.assignees)

    def update_issue(
        self,
        ref: IssueRef,
        *,
        title: str | None = None,
        body: str | None = None,
        state: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> Issue:
        before = self.issue(ref)
        with _Write(self.host):
            after = replace(before, updated_at=self.host.tick())
            if title is not None:
                after = replace(after, title=title)
            if body is not None:
                after = replace(after, body=body)
            if labels is not None:
                for name in labels:
                    if name not in before.labels:
                        self._event(ref, "labeled", name)
                after = replace(after, labels=tuple(labels))
            if state == "closed" != before.state:
                self._event(ref, "closed")
                after = replace(after, state="closed", closed_at=self.host.now, closed_by=self._login)
            if state == "open" != before.state:
                self._event(ref, "reopened")
                after = replace(after, state="open", closed_at=None, closed_by=None)
            self.host.issues[ref.number] = after
            return after

    def ensure_labels(self, repo: RepoRef, labels: Mapping[str, tuple[str, str]]) -> None:
        self._check(repo)
        for name, look in labels.items():
            if name not in self.host.labels:
                with _Write(self.host):
                    self.host.labels[name] = look

    def comments(self, ref: IssueRef, since: datetime | None = None) -> Sequence[Comment]:
        self.issue(ref)
        return [one for one in self.host.threads[ref.number] if since is None or one.updated_at >= since]

    def add_comment(self, ref: IssueRef, body: str) -> Comment:
        self.issue(ref)
        with _Write(self.host):
            now, number = self.host.tick(), self.host.next_id()
            bot = self._login.endswith("[bot]")
            url = f"https://{ref.repo}/issues/{ref.number}#issuecomment-{number}"
            comment = Comment(number, self._login, bot, body, url, now, now)
            self.host.threads[ref.number].append(comment)
            self._touch(ref)
            return comment

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        thread = self.host.threads[ref.number]
        at = [one.comment_id for one in thread].index(comment_id)
        with _Write(self.host):
            thread[at] = replace(thread[at], body=body, updated_at=self.host.tick())
            self._touch(ref)
            return thread[at]

    def react(self, ref: IssueRef, comment_id: int, reaction: str) -> None:
        if comment_id not in {one.comment_id for one in self.host.threads[ref.number]}:
            raise NotThere("react", 404, "Not Found", "Check that it exists.")
        with _Write(self.host):
            self.host.reactions.add((comment_id, self._login, reaction))

    def reviews(self, ref: IssueRef) -> Sequence[Comment]:
        self.pull_request(ref)
        return list(self.host.reviews.get(ref.number, ()))

    def review_comments(self, ref: IssueRef, since: datetime | None = None) -> Sequence[Comment]:
        self.pull_request(ref)
        return [one for one in self.host.on_lines.get(ref.number, ()) if since is None or one.updated_at >= since]

    def react_to_review_comment(self, ref: IssueRef, comment_id: int, reaction: str) -> None:
        if comment_id not in {one.comment_id for one in self.host.on_lines.get(ref.number, ())}:
            raise NotThere("react", 404, "Not Found", "Check that it exists.")
        with _Write(self.host):
            self.host.reactions.add((comment_id, self._login, reaction))

    def events(self, ref: IssueRef) -> Sequence[TimelineEvent]:
        return list(self.host.happened[ref.number])

    def changed_issues(
        self, repo: RepoRef, since: datetime | None, etag: str | None
    ) -> tuple[Sequence[Issue] | None, str | None]:
        self._check(repo)
        found = [one for one in self.host.issues.values() if since is None or one.updated_at >= since]
        new = f'"{sha1(repr(found).encode()).hexdigest()}"'
        return (None, etag) if new == etag else (sorted(found, key=lambda one: one.updated_at), new)

    def permission(self, repo: RepoRef, login: str) -> str:
        self._check(repo)
        return self.host.people.get(login, "none")

    def can_be_assigned(self, repo: RepoRef, login: str) -> bool:
        return self.permission(repo, login) in ("admin", "write", "read")

    def default_branch(self, repo: RepoRef) -> tuple[str, str]:
        self._check(repo)
        return "main", self.host.branches["main"]

    def commit_files(
        self, repo: RepoRef, *, base_sha: str, branch: str, changes: Sequence[FileChange], message: str
    ) -> str:
        if not branch.startswith("claude/") or branch == "main":
            raise Refused(f"commit to {branch}", "this is no branch of the hub", "It only writes under claude/.")
        tree = dict(self.host.commits[base_sha][0])
        for change in changes:
            tree.pop(change.path, None)
            if change.content is not None:
                tree[change.path] = change.content
        head = self.host.branches.get(branch)
        if head and self.host.commits[head] == (tree, (base_sha,)):
            return head
        if head and not set(self.host.commits[head][1]) <= self._history("main"):
            raise ForeignWork(f"commit to {branch}", branch, "2 commits")
        if head and head not in self.host.through_api:
            raise ForeignWork(f"commit to {branch}", branch, "1 commit")
        with _Write(self.host):
            self.host.branches[branch] = self.host.commit(tree, (base_sha,))
            self.host.through_api.add(self.host.branches[branch])
        return self.host.branches[branch]

    def pull_request_for_branch(self, repo: RepoRef, branch: str) -> PullRequest | None:
        found = [one for one in self.host.pulls.values() if one.head_branch == branch]
        return found[-1] if found else None

    def pull_request(self, ref: IssueRef) -> PullRequest:
        if ref.number not in self.host.pulls:
            raise NotThere(f"read pull request {ref}", 404, "Not Found", "Check that it exists.")
        return self.host.pulls[ref.number]

    def open_pull_request(
        self, repo: RepoRef, *, title: str, body: str, head: str, base: str, draft: bool, labels: Sequence[str]
    ) -> PullRequest:
        there = self.pull_request_for_branch(repo, head)
        if there and there.state == "open":
            raise TrackerError(f"open a pull request of {head}", 422, "already exists", "See its words.")
        with _Write(self.host):
            issue = self._open(title, body, labels, (), is_pull_request=True)
            sha = self.host.branches[head]
            new = PullRequest(issue.ref, title, body, "open", False, draft, issue.url, head, sha, base)
            self.host.pulls[issue.ref.number] = new
            return new

    def update_pull_request(self, ref: IssueRef, *, title: str | None = None, body: str | None = None) -> PullRequest:
        self.update_issue(ref, title=title, body=body)
        before = self.host.pulls[ref.number]
        self.host.pulls[ref.number] = replace(before, title=title or before.title, body=body or before.body)
        return self.host.pulls[ref.number]

    # what only people do
    def review(self, ref: IssueRef, body: str) -> Comment:
        return self._on_pull_request(self.host.reviews, ref, body)

    def comment_on_line(self, ref: IssueRef, body: str) -> Comment:
        return self._on_pull_request(self.host.on_lines, ref, body)

    def _on_pull_request(self, kept: dict[int, list[Comment]], ref: IssueRef, body: str) -> Comment:
        self.pull_request(ref)
        now, number = self.host.tick(), self.host.next_id()
        said = Comment(number, self._login, False, body, f"https://{ref.repo}/pull/{ref.number}#{number}", now, now)
        kept.setdefault(ref.number, []).append(said)
        self._touch(ref)
        return said

    def assign(self, ref: IssueRef, login: str) -> None:
        issue = self.issue(ref)
        self.host.issues[ref.number] = replace(issue, assignees=(*issue.assignees, login))
        self._event(ref, "assigned", login)
        self._touch(ref)

    def force_push(self, branch: str, path: str, text: str) -> str:
        """Replace what is on a branch by one commit of one's own on the default branch."""
        base = self.host.branches["main"]
        self.host.branches[branch] = self.host.commit({**self.host.commits[base][0], path: text}, (base,))
        return self.host.branches[branch]

    def merge(self, ref: IssueRef) -> None:
        before = self.host.pulls[ref.number]
        merged = self.host.commit(self.host.commits[before.head_sha][0], (self.host.branches["main"], before.head_sha))
        self.host.branches["main"] = merged
        self.host.pulls[ref.number] = replace(before, state="closed", merged=True, merge_sha=merged)
        self._event(ref, "merged")
        self.host.issues[ref.number] = replace(self.host.issues[ref.number], state="closed", closed_at=self.host.now)
        self._touch(ref)

    def _open(
        self, title: str, body: str, labels: Sequence[str], assignees: Sequence[str], *, is_pull_request: bool = False
    ) -> Issue:
        number, now = len(self.host.issues) + 1, self.host.tick()
        ref = IssueRef(self.host.repo, number)
        url = f"https://{ref.repo}/issues/{number}"
        issue = Issue(
            ref,
            title,
            body,
            "open",
            self._login,
            url,
            tuple(labels),
            tuple(assignees),
            now,
            now,
            is_pull_request=is_pull_request,
        )
        self.host.issues[number], self.host.threads[number], self.host.happened[number] = issue, [], []
        for name in labels:
            self._event(ref, "labeled", name)
        return issue

    def _event(self, ref: IssueRef, kind: str, subject: str = "") -> None:
        event = TimelineEvent(str(self.host.next_id()), kind, self._login, subject, self.host.tick())
        self.host.happened[ref.number].append(event)

    def _touch(self, ref: IssueRef) -> None:
        self.host.issues[ref.number] = replace(self.host.issues[ref.number], updated_at=self.host.now)

    def _history(self, branch: str) -> set[str]:
        found, waiting = set(), [self.host.branches[branch]]
        while waiting:
            sha = waiting.pop()
            if sha not in found:
                found.add(sha)
                waiting += self.host.commits[sha][1]
        return found

    def _check(self, repo: RepoRef) -> None:
        if repo != self.host.repo:
            raise NotThere(f"reach {repo}", 404, "Not Found", "Check that it exists.")


class _Write:
    """One write: the process may die just before it, or when it is done."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __enter__(self) -> None:
        self._host.writes += 1
        if self._dies and not self._host.die_late:
            raise Died

    def __exit__(self, *failed: object) -> None:
        if self._dies and self._host.die_late and failed[0] is None:
            raise Died

    @property
    def _dies(self) -> bool:
        return self._host.writes == self._host.die_at
