"""Title and body of a fix's pull request: problem, cause, change, what was run on it, impact, risk, way back."""

from __future__ import annotations

from collections.abc import Sequence

from .dbt import ProjectGraph
from .error_record import ErrorRecord
from .fix_proposal import RowCount, Verification, VerificationStep
from .investigation import Candidate, Evidence, Investigation
from .issue import IssueRef
from .issue_text import failed_since
from .markdown import BODY_LIMIT, code, cut, escape, fenced, plain
from .redaction import redact
from .value_proof import DIFFERENT, EXPLAINED, NOT_COMPARED, SAME, RelationCheck, ValueProof

TITLE_LIMIT = 120


def pull_request_title(candidate: Candidate, secrets: Sequence[str] = ()) -> str:
    """``fix: ...``, plain text on one line."""
    text = plain(redact(candidate.summary, secrets).replace("@", ""))
    return f"fix: {text[:1].lower()}{text[1:]}"[:TITLE_LIMIT]


def commit_message(candidate: Candidate, issue: IssueRef, secrets: Sequence[str] = ()) -> str:
    """Title, reason and the issue that the commit closes."""
    reason = plain(redact(candidate.rationale, secrets).replace("@", ""))
    return f"{pull_request_title(candidate, secrets)}\n\n{reason}\n\nCloses #{issue.number}"


def pull_request_body(
    *,
    issue: IssueRef,
    record: ErrorRecord,
    investigation: Investigation,
    candidate: Candidate,
    verification: Verification,
    graph: ProjectGraph | None,
    notes: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> str:
    """The whole body within GitHub's limit; ``notes`` are what a reviewer must know beside it, one sentence each."""

    def said(text: str, limit: int = 1_200) -> str:
        return escape(redact(text, secrets), limit)

    evidence = [one for one in investigation.evidence if one.evidence_id in candidate.evidence_ids]
    claims = [f"- {one.certainty.capitalize()}: {said(one.claim)}" for one in investigation.findings]
    parts = [
        f"Closes #{issue.number}",
        f"## Problem\n\n{said(record.title)}. It {failed_since(record)}.",
        "\n".join([f"## Cause\n\n{said(investigation.headline)}\n", *claims]),
        f"## Change\n\n{said(candidate.summary)}. {said(candidate.rationale)}",
        _verification(verification, secrets),
        _values(candidate.values, secrets),
        _impact(record, graph),
        "\n".join(
            [
                f"## Risk and way back\n\nRisk: {said(candidate.risk)}. To go back, revert this pull request; nothing else is touched.",
                *(f"\n- {said(note)}" for note in notes),
            ]
        ),
        _details(evidence, secrets),
    ]
    return cut("\n\n".join(part for part in parts if part), BODY_LIMIT - 500)


def _verification(verification: Verification, secrets: Sequence[str]) -> str:
    if not verification.steps:
        return "## Verification\n\n**Not verified:** nothing was run on this change."
    lines = [
        f"dbt ran on this change in a private checkout of {code(verification.base_sha[:10])}, target {code(verification.target)}."
        if verification.passed
        else "**Not verified:** not everything below was run and passed.",
        "",
        "| Step | Result | Detail |",
        "|---|---|---|",
    ]
    lines += [_row(step, secrets) for step in verification.steps]
    text = "## Verification\n\n" + "\n".join(lines)
    if verification.row_counts:
        rows = [_count(one, secrets) for one in verification.row_counts]
        text += "\n\n| Relation | Rows before | Rows after |\n|---|---:|---:|\n" + "\n".join(rows)
    return text


_VERDICTS = {
    SAME: "The values are those of the code before the failure",
    EXPLAINED: "The values differ from those of the code before the failure only where they are meant to",
    DIFFERENT: "**The values differ from those of the code before the failure**",
    NOT_COMPARED: "**Values not compared** with those of the code before the failure",
}


def _values(proof: ValueProof | None, secrets: Sequence[str]) -> str:
    proof = proof or ValueProof(NOT_COMPARED, "whoever found this change did not compare them")
    text = f"{_VERDICTS[proof.verdict]}: {escape(redact(proof.reason, secrets), 600)}."
    if proof.relations:
        rows = [_compared(one, secrets) for one in proof.relations]
        text += "\n\n| Relation | Rows of old | Rows now | Values |\n|---|---:|---:|---|\n" + "\n".join(rows)
    return text


def _compared(one: RelationCheck, secrets: Sequence[str]) -> str:
    relation, detail = code(redact(one.relation, secrets)), escape(redact(one.detail, secrets), 400)
    return f"| {relation} | {one.rows_before:,} | {one.rows_after:,} | {detail} |"


def _row(step: VerificationStep, secrets: Sequence[str]) -> str:
    result = {True: "passed", False: "**failed**", None: "not run"}[step.passed]
    detail = escape(redact(step.detail, secrets), 500)
    command = f" {code(redact(step.command, secrets), 200)}" if step.command else ""
    return f"| {escape(step.name, 120)}{command} | {result} | {detail} |"


def _count(one: RowCount, secrets: Sequence[str]) -> str:
    def number(rows: int | None) -> str:
        return "none" if rows is None else f"{rows:,}"

    return f"| {code(redact(one.relation, secrets))} | {number(one.before)} | {number(one.after)} |"


def _impact(record: ErrorRecord, graph: ProjectGraph | None) -> str:
    def names(unique_ids: Sequence[str]) -> str:
        found = [graph.get(one) if graph else None for one in unique_ids[:20]]
        shown = ", ".join(
            code(node.name if node else one.rsplit(".", 1)[-1], 80)
            for node, one in zip(found, unique_ids, strict=False)
        )
        return shown + (f" and {len(unique_ids) - 20} more" if len(unique_ids) > 20 else "")

    downstream = names(record.downstream) or "nothing"
    exposures = names(record.exposures) or "none"
    return f"## Impact\n\nDownstream: {downstream}. Exposures: {exposures}."


def _details(evidence: Sequence[Evidence], secrets: Sequence[str]) -> str:
    if not evidence:
        return ""
    blocks = [
        f"**{one.evidence_id}** {escape(redact(one.title, secrets))}\n\n"
        + fenced(redact(one.text, secrets), "diff" if one.kind == "diff" else "text", 2_500)
        for one in evidence
    ]
    return f"<details><summary>Evidence ({len(evidence)})</summary>\n\n" + "\n\n".join(blocks) + "\n\n</details>"
