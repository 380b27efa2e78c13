"""How issues, findings and pull requests are shown at the end of a command, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from .watch import IssueSeen


def issue_table(seen: Sequence[IssueSeen]) -> Table:
    """One line an issue; text from outside is shown as it is, never as markup."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Issue", no_wrap=True)
    for heading, ratio in (("Title", 4), ("Category", 2), ("State", 1), ("Finding", 5), ("Pull request", 2)):
        table.add_column(heading, ratio=ratio)
    for one in seen:
        table.add_row(
            Text(f"{one.project} #{one.issue.ref.number}", style=f"link {one.issue.url}"),
            Text(one.issue.title),
            Text(one.category.replace("_", " ")),
            one.issue.state,
            Text(one.investigation.headline if one.investigation else "-"),
            Text(_pull_request(one)),
        )
    return table


def _pull_request(one: IssueSeen) -> str:
    pull = one.pull_request
    if pull is None:
        return ""
    state = "merged" if pull.merged else "draft" if pull.draft and pull.state == "open" else pull.state
    return f"#{pull.ref.number} {state}, {'verified' if one.verified else 'not verified'}"


def issue_rows(seen: Sequence[IssueSeen]) -> list[dict[str, Any]]:
    """The same for ``--json``, with the findings whole."""
    return [_row(one) for one in seen]


def _row(one: IssueSeen) -> dict[str, Any]:
    found, fix, pull = one.investigation, one.fix, one.pull_request
    return {
        "project": one.project,
        "key": str(one.issue.ref),
        "url": one.issue.url,
        "title": one.issue.title,
        "state": one.issue.state,
        "category": one.category,
        "labels": list(one.issue.labels),
        "investigation": found
        and {
            "ending": found.ending.value,
            "headline": found.headline,
            "cause_kind": found.cause_kind,
            "root_node": found.root_node,
            "culprit_sha": found.culprit_sha,
            "confidence": found.confidence,
            "needs_person": found.needs_person,
            "next_step": found.next_step,
            "who_should_act": found.who_should_act,
            "findings": [{"claim": finding.claim, "certainty": finding.certainty} for finding in found.findings],
            "seconds": round(found.seconds, 1),
        },
        "fix": fix
        and {
            "outcome": fix.outcome.value,
            "reason": fix.reason,
            "strategy": fix.candidate.strategy if fix.candidate else None,
            "diff": fix.diff,
            "branch": fix.branch,
            "verified": one.verified,
            "verification": [
                {"name": step.name, "command": step.command, "passed": step.passed, "detail": step.detail}
                for step in (fix.verification.steps if fix.verification else ())
            ],
        },
        "pull_request": pull
        and {
            "url": pull.url,
            "state": pull.state,
            "merged": pull.merged,
            "draft": pull.draft,
            "branch": pull.head_branch,
        },
    }
