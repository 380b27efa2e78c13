"""A patch on its way to a pull request: proposal, verification, outcome."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .investigation import Candidate


@dataclass(frozen=True)
class VerificationStep:
    """One thing that was run on the patch: ``passed`` None means that it was not run, and ``detail`` says why."""

    name: str
    command: str
    passed: bool | None
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class RowCount:
    """Rows of a relation built without and with the patch; None where it could not be built."""

    relation: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Verification:
    """What was run on a patch at ``base_sha``, and how it went."""

    base_sha: str
    target: str
    steps: tuple[VerificationStep, ...] = ()
    row_counts: tuple[RowCount, ...] = ()

    @property
    def passed(self) -> bool:
        """True only where at least one step ran and every step that matters ran and passed."""
        return bool(self.steps) and all(step.passed is True for step in self.steps)


class FixOutcome(str, Enum):
    """What became of a request for a fix."""

    OPENED = "opened"
    DRAFT = "draft"
    NEEDS_PERSON = "needs_person"
    REFUSED = "refused"
    NOTHING_TO_FIX = "nothing_to_fix"


@dataclass(frozen=True)
class FixProposal:
    """The result of trying to fix one issue; ``reason`` is what the thread is told where no pull request was opened."""

    outcome: FixOutcome
    reason: str
    candidate: Candidate | None = None
    verification: Verification | None = None
    diff: str = ""
    branch: str | None = None
    pull_request: str | None = None
    pull_request_url: str | None = None
