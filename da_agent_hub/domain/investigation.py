"""One budgeted search for a cause: evidence, findings, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from .error_record import ErrorRecord, ProvenCategory
from .value_proof import ValueProof


@dataclass(frozen=True)
class Evidence:
    """A quoted fact with its source; ``evidence_id`` (``E1``, ``E2``, ...) is what findings cite.

    ``source`` says how anyone can see the same thing again (a git command, a query, a dbt run's URL); ``text`` is
    plain text, capped by whoever gathers it.
    """

    evidence_id: str
    title: str
    source: str
    text: str
    kind: str = "fact"


@dataclass(frozen=True)
class Finding:
    """A claim, how sure it is (``confirmed``, ``likely``, ``possible`` or ``ruled out``), and what bears it out."""

    claim: str
    certainty: str
    evidence_ids: tuple[str, ...]


class Ending(str, Enum):
    """How an investigation ended."""

    ANSWERED = "answered"
    INCONCLUSIVE = "inconclusive"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class FileChange:
    """A file's new text in a proposed patch; ``content`` None deletes it. ``path`` is relative to the repository."""

    path: str
    content: str | None


@dataclass(frozen=True)
class Candidate:
    """A possible fix, not yet guarded or verified.

    ``strategy`` names the way it was found (for example ``revert culprit hunk``); ``risk`` is low, medium or high.
    ``values`` tells how its values compare with those of the code before the failure, None where nobody looked.
    """

    strategy: str
    summary: str
    rationale: str
    changes: tuple[FileChange, ...]
    risk: str = "low"
    evidence_ids: tuple[str, ...] = ()
    values: ValueProof | None = None


@dataclass(frozen=True)
class Investigation:
    """What was found for one issue.

    ``cause_kind`` is ``code``, ``data``, ``infrastructure``, ``flaky`` or ``unknown``; ``root_node`` is the unique id
    where the cause sits (often upstream of the failing node); ``culprit_sha`` the commit that caused it, if one did.
    ``headline`` is one sentence. ``needs_person`` says why no safe automatic fix exists, and None says one was found.
    ``cost_usd`` is 0 for the playbooks. ``base_sha`` is the commit that the candidates' texts are meant for.
    ``proven`` is what it proved about the record's category, where it did. ``same_cause`` is the key of an older issue that
    has the same cause.
    """

    ending: Ending
    investigator: str
    headline: str
    cause_kind: str
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    next_step: str = ""
    who_should_act: str = ""
    needs_person: str | None = None
    root_node: str | None = None
    culprit_sha: str | None = None
    experts: tuple[str, ...] = ()
    confidence: float = 0.0
    cost_usd: float = 0.0
    started_at: datetime | None = None
    seconds: float = 0.0
    base_sha: str | None = None
    proven: ProvenCategory | None = None
    same_cause: str | None = None

    @property
    def came_to_its_end(self) -> bool:
        """Whether nobody stopped it and nothing broke it off: only then does a fix build on it."""
        return self.ending not in (Ending.CANCELLED, Ending.FAILED)


@dataclass(frozen=True)
class InvestigationCase:
    """What an investigator starts from."""

    record: ErrorRecord
    issue_key: str | None = None
    request: str | None = None
