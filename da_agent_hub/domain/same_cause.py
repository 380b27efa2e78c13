"""Whether two investigations found one cause, so that nobody reads, or mends, the same thing twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .error_record import ErrorRecord, RecordState
from .investigation import Ending, Investigation
from .issue import IssueRef


@dataclass(frozen=True)
class Investigated:
    """An issue's record with what was found for it last."""

    issue: IssueRef
    record: ErrorRecord
    investigation: Investigation


def issues_of_one_cause(found: Investigated, others: Iterable[Investigated]) -> tuple[IssueRef, ...]:
    """Other issues of the repository that have the same cause and are not over, oldest first.

    One cause is one commit, or the rows of one source that began to fail in the same dbt run.
    """
    same = [one.issue for one in others if _is_another_and_open(one, found) and _is_one_cause(one, found)]
    return tuple(sorted(same, key=lambda one: one.number))


def _is_another_and_open(other: Investigated, found: Investigated) -> bool:
    another = other.issue.repo == found.issue.repo and other.issue.number != found.issue.number
    return another and other.record.state is not RecordState.RECOVERED


def _is_one_cause(other: Investigated, found: Investigated) -> bool:
    a, b = other.investigation, found.investigation
    if a.ending is not Ending.ANSWERED or b.ending is not Ending.ANSWERED or a.cause_kind != b.cause_kind:
        return False
    if a.cause_kind == "code":
        return a.culprit_sha is not None and a.culprit_sha == b.culprit_sha
    began, also_began = other.record.first_bad, found.record.first_bad
    if a.cause_kind != "data" or a.root_node is None or began is None or also_began is None:
        return False
    return a.root_node == b.root_node and began.run_id == also_began.run_id
