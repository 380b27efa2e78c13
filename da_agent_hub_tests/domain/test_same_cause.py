"""Two issues have one cause where one commit, or the rows of one source since one run, explain both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from da_agent_hub.domain.error_record import RecordState, Sighting
from da_agent_hub.domain.investigation import Ending, Investigation
from da_agent_hub.domain.issue import IssueRef
from da_agent_hub.domain.same_cause import Investigated, issues_of_one_cause

from .record_examples import MONDAY, record

BY_COMMIT = Investigation(Ending.ANSWERED, "playbooks", "A commit broke it.", "code", culprit_sha="ab12")
BY_ROWS = Investigation(Ending.ANSWERED, "playbooks", "A load is short.", "data", root_node="source.mill.sacks")


def known(
    number: int, investigation: Investigation, run: str = "7", state: RecordState = RecordState.OPEN
) -> Investigated:
    of_it = replace(record(f"f{number}"), first_bad=Sighting(run, "", MONDAY), state=state)
    return Investigated(IssueRef.parse(f"acme/mill#{number}"), of_it, investigation)


@pytest.mark.parametrize("investigation", [BY_COMMIT, BY_ROWS])
def test_issues_of_one_cause_are_found_oldest_first(investigation: Investigation) -> None:
    others = [known(4, investigation), known(2, investigation)]
    assert [str(one) for one in issues_of_one_cause(known(3, investigation), others)] == ["acme/mill#2", "acme/mill#4"]


@pytest.mark.parametrize(
    "other",
    [
        known(2, replace(BY_COMMIT, culprit_sha="cd34")),
        known(2, replace(BY_COMMIT, culprit_sha=None)),
        known(2, replace(BY_COMMIT, ending=Ending.INCONCLUSIVE)),
        known(2, BY_COMMIT, state=RecordState.RECOVERED),
        known(2, BY_ROWS),
        known(3, BY_COMMIT),
    ],
)
def test_another_commit_kind_or_ending_is_another_cause(other: Investigated) -> None:
    assert issues_of_one_cause(known(3, BY_COMMIT), [other]) == ()


def test_rows_of_one_source_that_began_to_fail_in_another_run_are_another_cause() -> None:
    assert issues_of_one_cause(known(3, BY_ROWS), [known(2, BY_ROWS, run="6")]) == ()


def test_a_cause_that_is_not_known_is_shared_by_nobody() -> None:
    unknown = Investigation(Ending.ANSWERED, "playbooks", "Nobody knows.", "unknown")
    assert issues_of_one_cause(known(3, unknown), [known(2, unknown)]) == ()
