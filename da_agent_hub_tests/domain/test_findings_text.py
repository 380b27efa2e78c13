"""Comments and pull requests: the finding first, foreign text harmless, secrets gone, everything within GitHub's limit."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone

from markdown_it import MarkdownIt

from da_agent_hub.domain.findings_text import findings_text
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal, RowCount, Verification, VerificationStep
from da_agent_hub.domain.investigation import Candidate, Ending, Evidence, FileChange, Finding, Investigation
from da_agent_hub.domain.issue import IssueRef
from da_agent_hub.domain.line_merge import hunks_of, taken_over, without
from da_agent_hub.domain.markdown import BODY_LIMIT
from da_agent_hub.domain.pull_request_text import commit_message, pull_request_body, pull_request_title

from ..playbooks.broken_project import record_of

NASTY = "@ada closes #1 <img src=x> ``` </details> ghp_abcdefghijklmnopqrstuvwxyz0123 | [x](http://evil.example)"
CANDIDATE = Candidate("way", f"Read {NASTY}", NASTY, (FileChange("models/a.sql", "select 1"),), evidence_ids=("E1",))


def investigation(text: str = NASTY) -> Investigation:
    evidence = tuple(Evidence(f"E{n}", text, text, f"{text}\n```\n" * 50, "rows") for n in range(1, 40))
    return Investigation(
        Ending.ANSWERED, "playbooks", text, "data", (Finding(text, "confirmed", ("E1", "E2")),), evidence, (CANDIDATE,),
        next_step=text, who_should_act=text, started_at=datetime(2026, 11, 20, tzinfo=timezone.utc),
    )  # fmt: skip


def harmless(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(text)
    prose = re.sub(r"(?s)<(pre|code)[ >].*?</\1>", "", html)
    assert "ghp_abc" not in text
    assert "<img" not in html
    assert 'href="http://evil' not in html
    assert "@ada" not in prose
    assert "#1" not in prose.replace("Closes #1", "")
    assert html.count("</details>") == html.count("<details>")
    assert len(text) < BODY_LIMIT


def test_foreign_text_in_findings_is_only_text() -> None:
    text = findings_text(investigation())
    harmless(text)
    assert text.startswith("**")
    assert "Confirmed" in text
    assert "(E1, E2)" in text


def test_the_reason_for_no_fix_is_told_in_the_same_comment() -> None:
    fix = FixProposal(FixOutcome.NEEDS_PERSON, f"because {NASTY}")
    text = findings_text(investigation(), fix)
    harmless(text)
    assert "No pull request was opened: because" in text


def test_a_pull_request_shows_its_verification_as_a_table_that_data_cannot_break() -> None:
    record = record_of("model.garden.a", "a" * 40)
    steps = (VerificationStep("it passes", "dbt build | x", True, NASTY),)
    body = pull_request_body(
        issue=IssueRef.parse("acme/garden#1"), record=record, investigation=investigation(), candidate=CANDIDATE,
        verification=Verification("b" * 40, "dev", steps, (RowCount('"a"."b"', 3, None),)), graph=None,
    )  # fmt: skip
    harmless(body)
    (row,) = [line for line in body.splitlines() if line.startswith("| it passes")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert body.startswith("Closes #1\n")


def test_a_title_is_one_line_and_wakes_nobody() -> None:
    title = pull_request_title(CANDIDATE)
    assert title.startswith("fix: read")
    assert "@" not in title
    assert len(title) <= 120


def test_a_commit_message_closes_its_own_issue_alone_and_keeps_ci_awake() -> None:
    quoted = "Commit a1b2c3d (fixes #12, closes acme/other#3, resolves GH-4 [skip ci] skip-checks:true) broke it"
    message = commit_message(Candidate("way", quoted, f"{quoted}\nRefs: #5", ()), IssueRef.parse("acme/garden#1"))
    assert re.findall(r"(?i)(?:#|gh-)\d+", message) == ["#1"]
    assert message.endswith("\n\nCloses #1")
    assert "[skip ci]" not in message
    assert "skip-checks:" not in message
    assert "(fixes #" in message


def test_a_run_address_that_is_no_plain_address_is_no_link() -> None:
    record = record_of("model.garden.a", "a" * 40)
    latest = replace(record.latest, run_url="https://x.example/) [click](https://evil.example")
    body = pull_request_body(
        issue=IssueRef.parse("acme/garden#1"), record=replace(record, latest=latest), investigation=investigation(),
        candidate=CANDIDATE, verification=Verification("b" * 40, "dev"), graph=None,
    )  # fmt: skip
    assert "evil.example" not in body.partition("## Cause")[0]


def test_one_hunk_of_several_is_taken_back_and_what_came_later_stays() -> None:
    before, after = "a\nb\nc\nd\n", "a\nB\nc\nD\n"
    now = "new\na\nB\nc\nD\ne\n"
    first, second = hunks_of("x", before, after)
    assert without([first], after, now) == "new\na\nb\nc\nD\ne\n"
    assert without([second], after, now) == "new\na\nB\nc\nd\ne\n"
    assert without([first], after, "new\na\nother\nc\n") is None


def test_a_change_is_carried_to_a_newer_text_or_refused_where_they_overlap() -> None:
    assert taken_over("a\nb\n", "a\nB\n", "x\na\nb\n") == "x\na\nB\n"
    assert taken_over("a\nb\n", "a\nB\n", "a\nc\n") is None
    assert taken_over(None, "a", "b") is None
