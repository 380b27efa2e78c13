"""The comment that tells a thread what an investigation found and what became of a fix: the finding first."""

from __future__ import annotations

from collections.abc import Sequence

from .fix_proposal import FixOutcome, FixProposal
from .investigation import Ending, Evidence, Investigation
from .issue_text import correction_sentence
from .markdown import code, escape, fenced
from .redaction import redact

_LANGUAGES = {"diff": "diff", "experiment": "text", "rows": "text"}
_EVIDENCE_LIMIT, _ALL_EVIDENCE_LIMIT = 2_500, 40_000


def findings_text(investigation: Investigation, fix: FixProposal | None = None, secrets: Sequence[str] = ()) -> str:
    """Markdown for one comment, the hidden key not included; ``fix`` adds what came of the request for one."""
    parts = [f"**{_said(investigation.headline, secrets)}**"]
    if investigation.same_cause:
        parts.append(
            f"The same cause as #{investigation.same_cause.rpartition('#')[2]}: what mends that one mends this one."
        )
    if investigation.ending is not Ending.ANSWERED:
        parts.append(f"_{_ENDINGS[investigation.ending]}_")
    if fix is not None:
        parts.append(fix_text(fix, secrets))
    elif investigation.candidates:
        parts.append(f"A fix was found and tried: {_said(_closed(investigation.candidates[0].summary), secrets)}")
    elif investigation.needs_person:
        parts.append(f"No safe fix exists: {_said(_closed(investigation.needs_person), secrets)}")
    if investigation.proven is not None and investigation.proven.corrects:
        parts.append(correction_sentence(investigation.proven))
    if investigation.findings:
        lines = [
            f"- {one.certainty.capitalize()}: {_said(one.claim, secrets)} {_cited(one.evidence_ids)}".rstrip()
            for one in investigation.findings
        ]
        parts.append("\n".join(lines))
    acting = []
    if investigation.next_step:
        acting.append(f"**Next step:** {_said(investigation.next_step, secrets)}")
    if investigation.who_should_act:
        acting.append(f"**Who should act:** {_said(investigation.who_should_act, secrets)}")
    parts += acting
    if investigation.evidence:
        parts.append(_evidence(investigation.evidence, secrets))
    cost = f", {investigation.cost_usd:.2f} USD" if investigation.cost_usd else ""
    parts.append(f"<sub>{escape(investigation.investigator)}, {investigation.seconds:.0f} s{cost}</sub>")
    return "\n\n".join(part for part in parts if part)


_ENDINGS = {
    Ending.INCONCLUSIVE: "The cause is not certain; this is what could be seen.",
    Ending.BUDGET: "The time for this investigation ran out; this is what was seen until then.",
    Ending.CANCELLED: "The investigation was stopped; this is what was seen until then.",
    Ending.FAILED: "The investigation broke off; this is what was seen until then.",
}


def fix_text(fix: FixProposal, secrets: Sequence[str] = ()) -> str:
    """What became of a request for a fix, in one paragraph."""
    if fix.outcome in {FixOutcome.OPENED, FixOutcome.DRAFT}:
        number = fix.pull_request.rpartition("#")[2] if fix.pull_request else ""
        link = f"[pull request {number}]({fix.pull_request_url})" if fix.pull_request_url else "a pull request"
        summary = _said(_closed(fix.candidate.summary), secrets) if fix.candidate else ""
        if fix.outcome is FixOutcome.OPENED:
            return f"Fix: {link}, verified by running dbt on it. {summary}".rstrip()
        return f"Fix: {link}, a draft, because it was not verified. {summary}".rstrip()
    if fix.outcome is FixOutcome.NOTHING_TO_FIX:
        return f"Nothing to fix: {_said(_closed(fix.reason), secrets)}"
    return f"No pull request was opened: {_said(_closed(fix.reason), secrets)}"


def _evidence(evidence: Sequence[Evidence], secrets: Sequence[str]) -> str:
    shown: list[str] = []
    length = 0
    for one in evidence:
        text = fenced(redact(one.text, secrets), _LANGUAGES.get(one.kind, "text"), _EVIDENCE_LIMIT)
        block = f"**{one.evidence_id}** {_said(one.title, secrets)}\n{_source(one.source, secrets)}\n\n{text}"
        if length + len(block) > _ALL_EVIDENCE_LIMIT:
            shown.append(f"{len(evidence) - len(shown)} more pieces of evidence are kept in the hub.")
            break
        shown.append(block)
        length += len(block)
    body = "\n\n".join(shown)
    return f"<details><summary>Evidence ({len(evidence)})</summary>\n\n{body}\n\n</details>"


def _source(source: str, secrets: Sequence[str]) -> str:
    text = " ".join(redact(source, secrets).split())
    return f"Source: {code(text, 400)}"


def _said(text: str, secrets: Sequence[str]) -> str:
    return escape(redact(text, secrets), 1_200)


def _cited(evidence_ids: Sequence[str]) -> str:
    return f"({', '.join(evidence_ids)})" if evidence_ids else ""


def _closed(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
