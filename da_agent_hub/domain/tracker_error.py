"""Why a GitHub host did not do what was asked: the one error tree that every ``IssueTracker`` raises.

TrackerError
├── NotPermitted   401, 403: the token may not
├── NotThere       404, 410: no such thing, or none that the token may see
├── RateLimited    429 and 403 with a limit used up: not before ``until``
├── Refused        the hub itself will not: nothing was sent that changes anything
│   └── ForeignWork    somebody else's commit is on a branch that the hub would replace
└── Unanswered     no answer, half an answer, or 5xx: a write may have happened all the same
"""

# ruff: noqa: N818 -- an except clause reads as what happened: except NotThere

from __future__ import annotations

from datetime import datetime


class TrackerError(Exception):
    """An operation failed; ``status`` is HTTP's, or None where no answer came; ``next_step`` is for the operator."""

    def __init__(self, operation: str, status: int | None, said: str, next_step: str) -> None:
        self.operation = operation
        self.status = status
        self.next_step = next_step
        answer = f"answered {status}" if status else "gave no usable answer"
        super().__init__(f"{operation}: GitHub {answer}{f' ({said})' if said else ''}. {next_step}")


class NotPermitted(TrackerError):
    """The token may not do this."""


class NotThere(TrackerError):
    """There is no such thing, or none that the token may see."""


class RateLimited(TrackerError):
    """GitHub wants a pause until ``until`` (aware UTC)."""

    def __init__(self, operation: str, status: int, said: str, until: datetime) -> None:
        self.said = said
        self.until = until
        super().__init__(operation, status, said, f"Nothing is lost: ask again after {until:%Y-%m-%d %H:%M:%S} UTC.")

    def still(self, operation: str) -> RateLimited:
        """The same limit, as it holds back another operation."""
        return RateLimited(operation, self.status or 429, self.said, self.until)


class Refused(TrackerError):
    """The hub will not do this, whatever GitHub would say; ``why`` is a sentence without its full stop."""

    def __init__(self, operation: str, why: str, next_step: str) -> None:
        super().__init__(operation, None, "", next_step)
        self.why = why
        self.args = (f"{operation}: the hub will not, because {why}. {next_step}",)


class ForeignWork(Refused):
    """On a branch of the hub is work that it did not make; ``there`` counts it (``2 commits``)."""

    def __init__(self, operation: str, branch: str, there: str) -> None:
        super().__init__(
            operation,
            f"somebody else works on the branch {branch} ({there} on it)",
            "Merge that branch or delete it, and then ask again.",
        )


class Unanswered(TrackerError):
    """The answer never came, or only a part of it: whether a write happened must be looked up before it is repeated."""
