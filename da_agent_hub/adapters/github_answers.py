"""GitHub's JSON read into the hub's own types; a missing field raises, so that the adapter can name the operation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from ..domain.issue import Comment, Issue, IssueRef, PullRequest, RepoRef, TimelineEvent
from ..domain.tracker_error import Unanswered

_Read = TypeVar("_Read")

LOOK_FIRST = "It may have happened all the same: the next run looks before it writes again."

# Whose account was deleted is answered as null.
_GHOST = "ghost"


def understood(what: str, read: Callable[..., _Read], answer: Any, *repo: RepoRef) -> _Read:
    """An answer read by one of the functions below.

    Raises:
        Unanswered: it has another shape; ``what`` names the operation.
    """
    try:
        return read(answer, *repo)
    except (KeyError, TypeError, ValueError, AttributeError) as unknown:
        said = f"the answer lacks {unknown}" if isinstance(unknown, KeyError) else "the answer has an unknown shape"
        raise Unanswered(what, None, said, LOOK_FIRST) from unknown


def issue(answer: dict[str, Any], repo: RepoRef) -> Issue:
    """An entry of ``/issues`` or the answer to one: pull requests carry ``pull_request``."""
    return Issue(
        ref=IssueRef(repo, int(answer["number"])),
        title=str(answer["title"]),
        body=answer.get("body") or "",
        state=str(answer["state"]),
        author=_login(answer["user"]),
        url=str(answer["html_url"]),
        labels=tuple(one if isinstance(one, str) else str(one["name"]) for one in answer["labels"]),
        assignees=tuple(_login(one) for one in answer.get("assignees") or ()),
        created_at=_moment(answer["created_at"]),
        updated_at=_moment(answer["updated_at"]),
        closed_at=_moment(answer["closed_at"]) if answer.get("closed_at") else None,
        closed_by=_login(answer["closed_by"]) if answer.get("closed_by") else None,
        is_pull_request=answer.get("pull_request") is not None,
    )


def comment(answer: dict[str, Any]) -> Comment:
    """A comment of an issue or of a pull request's conversation."""
    user = answer["user"] or {}
    return Comment(
        comment_id=int(answer["id"]),
        author=_login(user),
        author_is_bot=user.get("type") == "Bot" or _login(user).endswith("[bot]"),
        body=answer.get("body") or "",
        url=str(answer["html_url"]),
        created_at=_moment(answer["created_at"]),
        updated_at=_moment(answer["updated_at"]),
    )


def review(answer: dict[str, Any]) -> Comment:
    """A submitted review: it has one time."""
    return comment({**answer, "created_at": answer["submitted_at"], "updated_at": answer["submitted_at"]})


def timeline_event(answer: dict[str, Any]) -> TimelineEvent:
    """An entry of ``/issues/{n}/events``."""
    subject = (answer.get("label") or {}).get("name") or (answer.get("assignee") or {}).get("login") or ""
    return TimelineEvent(
        event_id=str(answer["id"]),
        kind=str(answer["event"]),
        actor=_login(answer["actor"]),
        subject=str(subject),
        created_at=_moment(answer["created_at"]),
    )


def pull_request(answer: dict[str, Any], repo: RepoRef) -> PullRequest:
    """A pull request; lists tell a merge by ``merged_at`` alone."""
    merged = bool(answer.get("merged") or answer.get("merged_at"))
    return PullRequest(
        ref=IssueRef(repo, int(answer["number"])),
        title=str(answer["title"]),
        body=answer.get("body") or "",
        state=str(answer["state"]),
        merged=merged,
        draft=bool(answer.get("draft")),
        url=str(answer["html_url"]),
        head_branch=str(answer["head"]["ref"]),
        head_sha=str(answer["head"]["sha"]),
        base_branch=str(answer["base"]["ref"]),
        # Before the merge this names GitHub's trial merge, which is nothing anyone should build on.
        merge_sha=answer.get("merge_commit_sha") if merged else None,
    )


def sha(answer: dict[str, Any]) -> str:
    """The name of a Git object that was made."""
    return str(answer["sha"])


def head_sha(answer: dict[str, Any]) -> str:
    """The commit that a ref points to."""
    return str(answer["object"]["sha"])


def tree_entries(answer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """A directory's entries: name to (mode, SHA)."""
    return {str(one["path"]): (str(one["mode"]), str(one.get("sha") or "")) for one in answer["tree"]}


def git_commit(answer: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """A commit's tree and parents."""
    return str(answer["tree"]["sha"]), tuple(str(one["sha"]) for one in answer["parents"])


def _login(user: dict[str, Any] | None) -> str:
    return str((user or {}).get("login") or _GHOST)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
