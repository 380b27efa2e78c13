"""What an investigation may say about a category, and for how long it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from da_agent_hub.domain.category_proof import corrected, proven_category
from da_agent_hub.domain.error_record import Category, ErrorRecord, ProvenCategory
from da_agent_hub.domain.filing_plan import LeaveAlone, known_issues, plan_filing
from da_agent_hub.domain.findings_text import findings_text
from da_agent_hub.domain.investigation import Ending, Finding, Investigation
from da_agent_hub.domain.issue import Issue, IssueRef, RepoRef
from da_agent_hub.domain.issue_text import IssueText, labels_of

from .record_examples import DAY, MONDAY, again, back, record

CULPRIT = "c0ffee1234567890c0ffee1234567890c0ffee12"
BY_COMMIT = Investigation(
    Ending.ANSWERED,
    "a test",
    "A commit made keys twofold.",
    "code",
    findings=(Finding("it did", "confirmed", ()),),
    culprit_sha=CULPRIT,
)
BY_DATA = replace(BY_COMMIT, cause_kind="data", culprit_sha=None)
CODE, DATA = Category.CODE_FIX, Category.DATA_QUALITY


@pytest.mark.parametrize(
    ("given", "investigation", "category"),
    [
        (DATA, BY_COMMIT, CODE),
        (DATA, BY_DATA, DATA),
        (DATA, replace(BY_COMMIT, culprit_sha=None), None),
        (DATA, replace(BY_COMMIT, ending=Ending.INCONCLUSIVE), None),
        (DATA, replace(BY_COMMIT, findings=(Finding("perhaps", "likely", ()),)), None),
        (DATA, replace(BY_COMMIT, cause_kind="flaky"), None),
        (CODE, BY_DATA, None),
        (CODE, BY_COMMIT, None),
        (Category.TRANSIENT, BY_COMMIT, None),
        (Category.INFRASTRUCTURE, BY_COMMIT, None),
    ],
)
def test_only_a_confirmed_cause_speaks_and_only_of_what_a_test_found(
    given: Category, investigation: Investigation, category: Category | None
) -> None:
    proof = proven_category(record(category=given), investigation)
    assert (proof.category if proof else None) == category


def by_commit(before: ErrorRecord) -> tuple[ErrorRecord, ProvenCategory]:
    proof = proven_category(before, BY_COMMIT)
    assert proof is not None
    (now,) = corrected([before], {before.fingerprint: proof})
    return now, proof


def test_a_second_investigation_of_a_corrected_record_proves_the_same_or_takes_it_back() -> None:
    now, proof = by_commit(record())
    assert now.category is CODE
    assert proven_category(now, BY_COMMIT) == proof

    taken_back = proven_category(now, BY_DATA)
    assert taken_back is not None
    assert not taken_back.corrects
    assert corrected([record()], {"f1": taken_back}) == (record(),)


def test_a_correction_holds_while_the_same_failure_goes_on_and_no_longer() -> None:
    before = record()
    _, proof = by_commit(before)
    proven = {"f1": proof, "f2": replace(proof, fingerprint="f2")}

    assert [one.category for one in corrected([again(before, MONDAY + DAY)], proven)] == [CODE]
    assert [one.category for one in corrected([back(before, MONDAY + 5 * DAY)], proven)] == [DATA]
    flaky = again(before, MONDAY + DAY, category=Category.TRANSIENT)
    assert [one.category for one in corrected([flaky], proven)] == [Category.TRANSIENT]


def test_the_findings_say_in_one_sentence_that_the_category_was_corrected_and_why() -> None:
    _, proof = by_commit(record())
    sentence = (
        "The category was corrected from data quality issue to code fix required, because the cause is commit "
        "`c0ffee1234` and not the data."
    )
    assert sentence in findings_text(replace(BY_COMMIT, proven=proof)).split("\n\n")
    assert "corrected" not in findings_text(replace(BY_DATA, proven=proven_category(record(), BY_DATA)))


def test_a_commits_name_from_outside_stays_text() -> None:
    hostile = replace(BY_COMMIT, culprit_sha="`@acme/all` <!-- x -->")
    proof = proven_category(record(), hostile)
    text = findings_text(replace(hostile, proven=proof))
    assert "<!--" not in text
    assert "`` `@acme/all ``" in text


def test_the_corrected_text_says_why_and_the_thread_is_not_told_twice() -> None:
    before, text = record(), IssueText()
    now, _ = by_commit(before)
    ref = IssueRef(RepoRef("acme", "shop"), 1)
    filed = Issue(
        ref, "t", text.body(before, MONDAY), "open", "hub", "u", labels_of(before), (), MONDAY, MONDAY,
    )  # fmt: skip

    (decision,) = plan_filing([now], known_issues([filed], "hub"), MONDAY, text)

    assert not isinstance(decision, LeaveAlone)
    assert (
        "code fix required: corrected from data quality issue, because the cause is commit `c0ffee1234`"
        in decision.body
    )  # type: ignore[union-attr]
    assert "category:code_fix_required" in (decision.labels or ())  # type: ignore[union-attr]
    assert "category:data_quality_issue" not in (decision.labels or ())  # type: ignore[union-attr]
    assert decision.note is None  # type: ignore[union-attr]
