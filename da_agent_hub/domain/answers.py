"""What the hub replies in a thread, worded from what it has stored; foreign text in it is quoted, never spoken."""

from __future__ import annotations

from collections.abc import Sequence

from .error_record import ErrorRecord, RecordState
from .fix_proposal import FixOutcome, FixProposal
from .investigation import Investigation
from .issue_text import correction_words, failed_since
from .markdown import code, escape
from .redaction import redact

NOT_PERMITTED = "Only people with write permission on this repository can ask the hub for something."
CLOSED_AS_FALSE_POSITIVE = (
    "Closed as a false positive. The label `false-positive` keeps it closed, also when it fails again; "
    "take the label off and reopen it to change that."
)

_FREE_TALK = "Free conversation is not there yet, so here is what is on record:"


def help_text(trigger: str) -> str:
    """Everything that can be asked, one line each."""
    asked = {
        "investigate": "look for the cause (again)",
        "create PR": "try to fix it, verify the fix by running dbt, and open a pull request",
        "explain": "tell what is known so far",
        "retry": "do the last thing again",
        "stop": "end what is under way",
        "close as false positive": "close it and keep it closed",
        "use the snowflake-expert to investigate": "ask one expert (any of the configured ones)",
        "help": "this list",
    }
    lines = [f"- {code(f'{trigger} {words}')}: {meaning}" for words, meaning in asked.items()]
    labels = "The labels `claude:investigate` and `claude:fix`, or assigning the hub, ask for the same without words."
    return "People with write permission can ask:\n\n" + "\n".join(lines) + f"\n\n{labels}"


def explanation(
    record: ErrorRecord | None, investigations: Sequence[Investigation], fixes: Sequence[FixProposal]
) -> str:
    """What is known of an issue, in a few lines."""
    if record is None:
        return "No dbt failure is on record for this issue: the hub can only tell of issues that it filed itself."
    parts = [_record_lines(record)]
    if investigations:
        parts.append(_investigation_lines(investigations[-1]))
    else:
        parts.append("It was not investigated yet.")
    if fixes:
        parts.append(_fix_line(fixes[-1]))
    return "\n\n".join(parts)


def conversation(
    record: ErrorRecord | None, investigations: Sequence[Investigation], fixes: Sequence[FixProposal], trigger: str
) -> str:
    """The answer to words that are no command."""
    known = explanation(record, investigations, fixes)
    return f"{_FREE_TALK}\n\n{known}\n\n{code(f'{trigger} help')} lists what can be asked."


def named_here(node: str | None, filed_as: str | None, wants_fix: bool) -> str:
    """How an issue of a person's own was understood: whose failure it was taken for, and where its fix is asked for."""
    name = code(node or "a step of a run")
    if filed_as is None:
        return f"This is about the failure of {name}, which is named here."
    fix = f" Ask for a fix there: {filed_as} has one branch and one pull request." if wants_fix else ""
    return f"This is about the failure of {name}, which is named here and has its own issue, {filed_as}.{fix}"


def no_failure(node: str) -> str:
    """The answer about a node that never failed in the runs that were read."""
    return (
        f"No failure of {code(node)} is on record: in the dbt runs that the hub has read it did not fail. As soon as it "
        "fails in one, the hub files an issue for it."
    )


def nothing_named(project: str, trigger: str) -> str:
    """What the hub can and cannot do in an issue of which it understands nothing."""
    example = code(f"{trigger} investigate stg_orders")
    return (
        f"I know of failures in the dbt runs of {code(project)}, and neither this issue nor what was asked names a model, "
        f"test, seed, snapshot or source of it. Name one and I look into its failure, for example {example}. What I cannot "
        "do here: work on anything but dbt failures, or write code on request."
    )


def closed_as_false_positive(actor: str, said: str) -> str:
    """That an issue was closed for good, with who asked for it and in which words."""
    return f"{CLOSED_AS_FALSE_POSITIVE}\n\nAsked for by {code(actor)}: {escape(redact(said), 500)}"


def wrong_mode(mode: str) -> str:
    """Why a permitted person's request is not done."""
    return f"This project runs in mode `{mode}`: set it to `investigate` or `fix` in hub.yaml to have this done."


def foreign_issue(author: str) -> str:
    """Why a label or an assignment is not enough on an issue that an outsider wrote."""
    return (
        f"This issue was written by {code(author)}, who has no write permission here, so its text is not taken as an "
        "instruction. Say in a comment of your own what the hub should do."
    )


EDITED = "That comment was edited after the hub had read it, so nothing was done. Please write a new one."


def _record_lines(record: ErrorRecord) -> str:
    state = {
        RecordState.OPEN: "It still fails.",
        RecordState.RECOVERING: f"Good runs since the last failure: {record.good_runs}.",
        RecordState.RECOVERED: "It has recovered.",
    }[record.state]
    category = record.category.value.replace("_", " ")
    rule = f", by rule {code(redact(record.rule))}" if record.rule else ""
    if record.correction:
        rule = f", {correction_words(record.correction)}"
    return (
        f"{escape(redact(record.title), 200)} {failed_since(record)}. {state} It counts as {category}{rule} "
        f"(confidence {record.confidence:.0%}); {_downstream(len(record.downstream))}."
    )


def _investigation_lines(investigation: Investigation) -> str:
    lines = [f"**{escape(redact(investigation.headline), 400) or 'The investigation ended without a headline'}**"]
    lines += [
        f"- {escape(finding.certainty, 20)}: {escape(redact(finding.claim), 400)}"
        for finding in investigation.findings[:5]
    ]
    if investigation.next_step:
        lines.append(f"\nNext: {escape(redact(investigation.next_step), 400)}")
    if investigation.needs_person:
        lines.append(f"\nA person is needed: {escape(redact(investigation.needs_person), 400)}")
    return "\n".join(lines)


def _fix_line(fix: FixProposal) -> str:
    if fix.pull_request_url:
        draft = " as a draft" if fix.outcome is FixOutcome.DRAFT else ""
        return f"A fix was proposed{draft}: {fix.pull_request_url}"
    return f"No pull request was opened: {escape(redact(fix.reason), 400)}"


def _downstream(nodes: int) -> str:
    return "nothing is downstream of it" if not nodes else f"{nodes} node{'s' if nodes > 1 else ''} downstream of it"
