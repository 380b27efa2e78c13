"""GitHub issues, comments and pull requests as the hub sees them; "issue" is only ever a GitHub issue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

GITHUB_COM = "github.com"


@dataclass(frozen=True)
class RepoRef:
    """A repository on a GitHub host: ``host`` is ``github.com`` or an Enterprise host name (with port, if any)."""

    owner: str
    name: str
    host: str = GITHUB_COM

    @property
    def full_name(self) -> str:
        """``owner/name``, as GitHub's paths have it."""
        return f"{self.owner}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> RepoRef:
        """Read ``owner/name`` or ``host/owner/name``.

        Raises:
            ValueError: if the text has another shape.
        """
        parts = text.strip().split("/")
        if len(parts) == 2 and all(parts):
            return cls(parts[0], parts[1])
        if len(parts) == 3 and all(parts):
            return cls(parts[1], parts[2], parts[0])
        raise ValueError(f"{text!r} is not a repository: write owner/name")

    def __str__(self) -> str:
        return self.full_name if self.host == GITHUB_COM else f"{self.host}/{self.full_name}"


@dataclass(frozen=True)
class IssueRef:
    """An issue (or pull request) of a repository; its text is the Dagster partition key ``owner/repo#123``."""

    repo: RepoRef
    number: int

    @classmethod
    def parse(cls, key: str) -> IssueRef:
        """Read a partition key.

        Raises:
            ValueError: if the key has another shape.
        """
        repo, mark, number = key.rpartition("#")
        if not mark or not number.isdigit():
            raise ValueError(f"{key!r} is not an issue: write owner/repo#123")
        return cls(RepoRef.parse(repo), int(number))

    def __str__(self) -> str:
        return f"{self.repo}#{self.number}"


@dataclass(frozen=True)
class Issue:
    """An issue as GitHub answered it; ``state`` is open or closed, ``closed_by`` a login where GitHub says it."""

    ref: IssueRef
    title: str
    body: str
    state: str
    author: str
    url: str
    labels: tuple[str, ...]
    assignees: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None
    is_pull_request: bool = False


@dataclass(frozen=True)
class Comment:
    """A comment of an issue's thread."""

    comment_id: int
    author: str
    author_is_bot: bool
    body: str
    url: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class TimelineEvent:
    """``labeled``, ``assigned``, ``closed``, ``reopened`` or ``merged``; ``subject`` is the label or assignee."""

    event_id: str
    kind: str
    actor: str
    subject: str
    created_at: datetime


@dataclass(frozen=True)
class PullRequest:
    """A pull request; ``state`` is open or closed, and ``merged`` tells the two closed ones apart."""

    ref: IssueRef
    title: str
    body: str
    state: str
    merged: bool
    draft: bool
    url: str
    head_branch: str
    head_sha: str
    base_branch: str
    merge_sha: str | None = None


@dataclass(frozen=True)
class IssueDraft:
    """What to open an issue with."""

    title: str
    body: str
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
