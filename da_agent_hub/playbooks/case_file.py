"""What an investigation has gathered so far: numbered evidence, claims that cite it, candidate fixes, and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..domain.dbt import GraphNode, ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.investigation import Candidate, Ending, Evidence, Finding, Investigation
from ..ports import QueryResult, Workbench

EVIDENCE_CHARACTERS = 4_000
# How sure a finding about data can be where older code could not be looked at.
UNSEEN_CODE = 0.6


class TimeIsUpError(Exception):
    """The investigation's budget of wall time is spent."""


class StoppedError(Exception):
    """A person asked to stop."""


@dataclass
class CaseFile:
    """One investigation in the making.

    ``graph`` is the lineage of the newest commit where that parses, else the stored one; ``head`` is that commit.
    ``hidden`` are lower-case names of columns that hold personal data. ``stale`` tells that an incremental table keeps rows
    which a build from scratch does not give. ``is_stopped`` tells whether a person asked to stop.
    """

    record: ErrorRecord
    bench: Workbench
    graph: ProjectGraph
    head: str
    deadline: float
    hidden: frozenset[str] = frozenset()
    stale: bool = False
    is_stopped: Callable[[], bool] = lambda: False
    evidence: list[Evidence] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)

    def add(self, title: str, source: str, text: str, kind: str = "fact") -> str:
        """Keep a fact; returns its id."""
        evidence_id = f"E{len(self.evidence) + 1}"
        if len(text) > EVIDENCE_CHARACTERS:
            text = text[:EVIDENCE_CHARACTERS] + "\n... (cut)"
        self.evidence.append(Evidence(evidence_id, title, source, text, kind))
        return evidence_id

    def claim(self, claim: str, certainty: str, *evidence_ids: str) -> None:
        """State what the evidence shows."""
        self.findings.append(Finding(claim, certainty, tuple(evidence_ids)))

    def propose(self, candidate: Candidate) -> None:
        """Keep a candidate fix; the order is the order in which they are tried."""
        if all(candidate.changes != other.changes for other in self.candidates):
            self.candidates.append(candidate)

    def check_time(self) -> None:
        """Raise where the budget is spent or a person asked to stop."""
        if self.is_stopped():
            raise StoppedError
        if time.monotonic() > self.deadline:
            raise TimeIsUpError

    def repository_path(self, path: str) -> str:
        """A path of the dbt project as a path of the repository."""
        return path if self.bench.dbt_directory == "." else f"{self.bench.dbt_directory}/{path}"

    def path_of(self, node: GraphNode) -> str | None:
        """A node's file in the repository, or None for a node of an installed package."""
        if not node.path or (self.graph.package and node.package and node.package != self.graph.package):
            return None
        return self.repository_path(node.path)

    def ask(self, sql: str, limit: int = 50) -> QueryResult:
        """One query of the private warehouse."""
        self.check_time()
        return self.bench.query(sql, limit)

    def owner_of(self, node: GraphNode | None) -> str:
        """Who answers for a node: its owner, else its group, else the record's owner, else an empty text."""
        for owner in (node.owner if node else None, self.record.owner):
            if owner is not None:
                return f"{owner.name} <{owner.email}>" if owner.email and owner.email != owner.name else owner.name
        return node.group if node and node.group else ""

    def conclude(
        self,
        headline: str,
        cause_kind: str,
        *,
        ending: Ending = Ending.ANSWERED,
        next_step: str = "",
        who: str = "",
        needs_person: str | None = None,
        root_node: str | None = None,
        culprit_sha: str | None = None,
        confidence: float = 0.5,
    ) -> Investigation:
        """The investigation as it stands; where there is no candidate, ``needs_person`` says why."""
        if cause_kind == "data" and self.bench.history_begins:
            self.claim(
                f"A change of the code is not ruled out: the history that was cloned begins at {self.bench.history_begins}.",
                "possible",
            )
            confidence = min(confidence, UNSEEN_CODE)
        if not self.candidates and needs_person is None:
            needs_person = "no change to the code was found that would make the failing node pass"
        return Investigation(
            ending=ending,
            investigator="playbooks",
            headline=headline,
            cause_kind=cause_kind,
            findings=tuple(self.findings),
            evidence=tuple(self.evidence),
            candidates=tuple(self.candidates),
            next_step=next_step,
            who_should_act=who,
            needs_person=needs_person if not self.candidates else None,
            root_node=root_node,
            culprit_sha=culprit_sha,
            confidence=confidence,
            base_sha=self.head,
        )


def with_times(investigation: Investigation, **values: object) -> Investigation:
    """The same investigation with its start and duration filled in."""
    return replace(investigation, **values)  # type: ignore[arg-type]


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], hidden: frozenset[str] = frozenset()) -> str:
    """Rows as aligned text; values of hidden columns are blanked."""
    shown = [
        ["(hidden)" if name.lower() in hidden else "null" if cell is None else str(cell)[:60] for name, cell in zip(columns, row, strict=True)]
        for row in rows
    ]  # fmt: skip
    widths = [max([len(name), *(len(row[place]) for row in shown)]) for place, name in enumerate(columns)]
    lines = ["  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    return "\n".join(lines)


def plural(count: int, noun: str, several: str | None = None) -> str:
    """``1 row``, ``2 rows``, ``3 branches``."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"
