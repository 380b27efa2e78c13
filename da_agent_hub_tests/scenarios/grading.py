"""What the hub said about a scenario, against what a good analytics engineer would have said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .expectation import Fix, Incident, Scenario
from .patch_trial import Trial

Answer = Mapping[str, Any]
Judge = Callable[[Incident, str], Trial]


@dataclass(frozen=True)
class IncidentGrade:
    """``fixed`` and ``abstained`` are None where the incident does not ask for it; ``said`` quotes the answer."""

    issue: str | None
    category: bool
    cause: bool
    found: bool
    fixed: bool | None
    abstained: bool | None
    false_fix: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True)
class Grade:
    """One scenario's: ``troubles`` are what no incident is to blame for (a crash, a changed folder, left processes)."""

    scenario: str
    issues: int
    issues_expected: int
    incidents: tuple[IncidentGrade, ...]
    seconds: float = 0.0
    troubles: tuple[str, ...] = ()

    @property
    def counted_right(self) -> bool:
        """As many issues as causes."""
        return self.issues == self.issues_expected


@dataclass
class Totals:
    """Sums over all incidents; each pair is (right, asked)."""

    issues: list[int] = field(default_factory=lambda: [0, 0])
    category: list[int] = field(default_factory=lambda: [0, 0])
    cause_kind: list[int] = field(default_factory=lambda: [0, 0])
    cause_found: list[int] = field(default_factory=lambda: [0, 0])
    fixed: list[int] = field(default_factory=lambda: [0, 0])
    abstained: list[int] = field(default_factory=lambda: [0, 0])
    false_fixes: int = 0
    troubles: int = 0

    def __str__(self) -> str:
        pairs = {key: value for key, value in asdict(self).items() if isinstance(value, list)}
        words = [f"{key.replace('_', ' ')} {right}/{asked}" for key, (right, asked) in pairs.items()]
        return ", ".join([*words, f"false fixes {self.false_fixes}", f"troubles {self.troubles}"])


def grade_answer(scenario: Scenario, answer: Answer, shas: Mapping[str, str], judge: Judge) -> Grade:
    """Grade one answer; ``judge`` puts an issue's patch on trial."""
    issues: Sequence[Answer] = answer.get("issues") or ()
    grades = []
    for incident in scenario.incidents:
        issue = _issue_about(incident, scenario, issues, shas)
        grades.append(_grade(incident, issue, shas, judge) if issue else _unseen(incident))
    return Grade(scenario.name, len(issues), len(scenario.incidents), tuple(grades))


def _issue_about(
    incident: Incident, scenario: Scenario, issues: Sequence[Answer], shas: Mapping[str, str]
) -> Answer | None:
    if len(scenario.incidents) == 1:
        ranked = sorted(issues, key=lambda issue: (not _found(incident, issue, shas), not issue.get("pull_request")))
        return ranked[0] if ranked else None
    names = (*incident.failing, *(root.split(".")[-1] for root in incident.roots))
    about = [issue for issue in issues if any(name in issue["title"] for name in names)]
    return next((issue for issue in about if _found(incident, issue, shas)), about[0] if about else None)


def _found(incident: Incident, issue: Answer, shas: Mapping[str, str]) -> bool:
    findings = issue.get("investigation") or {}
    if incident.culprit in shas:
        said = findings.get("culprit_sha") or ""
        return len(said) >= 7 and shas[str(incident.culprit)].startswith(said)
    if incident.roots:
        return findings.get("root_node") in incident.roots
    return findings.get("cause_kind") in incident.causes


def _grade(incident: Incident, issue: Answer, shas: Mapping[str, str], judge: Judge) -> IncidentGrade:
    findings, fix, pull = issue.get("investigation") or {}, issue.get("fix") or {}, issue.get("pull_request")
    faults: tuple[str, ...] = ()
    if pull:
        diff = fix.get("diff") or ""
        faults = judge(incident, diff).faults if diff else ("a pull request without a diff",)
    return IncidentGrade(
        issue=issue["title"],
        category=issue.get("category") in {*incident.categories},
        cause=findings.get("cause_kind") in incident.causes,
        found=_found(incident, issue, shas),
        fixed=bool(pull) and not pull.get("draft") and not faults if incident.fix is Fix.EXPECTED else None,
        abstained=not pull if incident.fix is Fix.FORBIDDEN else None,
        false_fix=faults,
        said=(
            f"{issue.get('category')}, {findings.get('cause_kind')}, root {findings.get('root_node')}, commit "
            f"{str(findings.get('culprit_sha'))[:8]}: {findings.get('headline')} | fix {fix.get('outcome')}"
            f"{' (draft)' if pull and pull.get('draft') else ''}: {fix.get('reason') or fix.get('strategy')}"
        ),
    )


def _unseen(incident: Incident) -> IncidentGrade:
    return IncidentGrade(
        None, False, False, False,
        fixed=False if incident.fix is Fix.EXPECTED else None,
        abstained=False if incident.fix is Fix.FORBIDDEN else None,
        said="no issue",
    )  # fmt: skip


def total(grades: Sequence[Grade]) -> Totals:
    """Add up."""
    totals = Totals()
    for grade in grades:
        _count(totals.issues, grade.counted_right)
        totals.troubles += len(grade.troubles)
        for incident in grade.incidents:
            _count(totals.category, incident.category)
            _count(totals.cause_kind, incident.cause)
            _count(totals.cause_found, incident.found)
            _count(totals.fixed, incident.fixed)
            _count(totals.abstained, incident.abstained)
            totals.false_fixes += bool(incident.false_fix)
    return totals


def _count(pair: list[int], right: bool | None) -> None:
    if right is not None:
        pair[0] += right
        pair[1] += 1
