"""A pull request says how its values compare with those of old, or that nobody compared them."""

from __future__ import annotations

import re

import pytest

from da_agent_hub.domain.fix_proposal import Verification, VerificationStep
from da_agent_hub.domain.investigation import Candidate, Ending, FileChange, Investigation
from da_agent_hub.domain.issue import IssueRef
from da_agent_hub.domain.pull_request_text import pull_request_body
from da_agent_hub.domain.value_proof import EXPLAINED, NOT_COMPARED, SAME, RelationCheck, ValueProof

from ..playbooks.broken_project import record_of


def body(values: ValueProof | None) -> str:
    candidate = Candidate("way", "Read a", "because", (FileChange("models/a.sql", "select 1"),), values=values)
    return pull_request_body(
        issue=IssueRef.parse("acme/garden#1"), record=record_of("model.garden.a", "a" * 40),
        investigation=Investigation(Ending.ANSWERED, "a test", "it broke", "code", candidates=(candidate,)),
        candidate=candidate, graph=None,
        verification=Verification("b" * 40, "dev", (VerificationStep("it passes", "dbt build", True),)),
    )  # fmt: skip


def test_each_compared_relation_is_a_row_of_a_table_that_names_cannot_break() -> None:
    check = RelationCheck('"main"."a|b"', 3, 3, "4 columns compared | by id")
    shown = body(ValueProof(SAME, "a has the values of old", (check,)))
    (row,) = [line for line in shown.splitlines() if "columns compared" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "The values are those of the code before the failure" in shown


def test_a_difference_that_is_meant_is_said() -> None:
    assert "only where they are meant to: fare" in body(ValueProof(EXPLAINED, "fare"))


@pytest.mark.parametrize("values", [None, ValueProof(NOT_COMPARED, "no earlier commit is known to run")])
def test_values_that_nobody_compared_are_said_not_to_be(values: ValueProof | None) -> None:
    assert "**Values not compared**" in body(values)
