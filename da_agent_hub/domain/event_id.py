"""The ids of what happens on GitHub, by which it counts once, however it was heard of."""

from __future__ import annotations

from enum import Enum

from .issue import GITHUB_COM, IssueRef, RepoRef


class Said(str, Enum):
    """Where words stand or what else happened; GitHub numbers each kind for itself, for a whole host."""

    COMMENT = "comment"
    REVIEW = "review"
    REVIEW_COMMENT = "review-comment"
    EVENT = "event"


def event_id(kind: Said, number: int | str, repo: RepoRef) -> str:
    """The id of a comment, review, review comment or timeline event by GitHub's own number; the same for ever."""
    return f"{kind.value}:{number}" if repo.host == GITHUB_COM else f"{kind.value}:{repo.host}:{number}"


def opening_id(issue: IssueRef) -> str:
    """The id of an issue's own text."""
    return f"opening:{issue}"
