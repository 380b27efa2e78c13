"""Recovered nodes and merged fixes close their issues, saying how and how long; what fails again reopens them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..config import ProjectSettings
from ..domain.dbt import ProjectGraph
from ..domain.error_record import ErrorRecord, RecordState
from ..domain.filing_plan import Decision, KnownIssue, OpenIssue, ReopenIssue, plan_resolution
from ..domain.issue import Issue, RepoRef
from ..ports import IssueTracker, RecordStore
from .filing import Carried, carry_out, find_standing, merged_fixes
from .issue import filed_event, issue_text, quiet_of
from .life import note_written


def resolve_issues(
    project: ProjectSettings,
    tracker: IssueTracker,
    store: RecordStore,
    *,
    records: Sequence[ErrorRecord],
    as_of: datetime,
    now: datetime,
    known: Mapping[str, KnownIssue] | None = None,
    graph: ProjectGraph | None = None,
    trigger: str = "@claude",
    secrets: Sequence[str] = (),
) -> tuple[Carried, ...]:
    """Close the issues of records that are over, one decision a record; in mode ``observe`` nothing is written.

    Give it the ``graph`` and ``trigger`` that the issues were filed with, since it renders the same body, and what is
    ``known`` after that filing, so that GitHub is not asked for its issues twice.

    Raises:
        TrackerError: if the repository's issues could not be listed, or its labels not be made.
    """
    repo = RepoRef.parse(project.repo)
    if known is None:
        standing = find_standing(repo, tracker, store, records)
        covered = standing.covered(records, as_of)
        known = {one: issue for one, issue in standing.known.items() if one not in covered}
    recovering = [one for one in records if one.state is not RecordState.OPEN]
    merged = merged_fixes(recovering, known, tracker, store)
    text = issue_text(project, graph, trigger, secrets)
    decisions = plan_resolution(records, known, as_of, text, merged, quiet_of(project))
    if project.mode == "observe":
        return tuple(Carried(decision) for decision in decisions)

    def remember(decision: Decision, issue: Issue | None) -> None:
        note_written(decision, issue, project.name, store, now)
        if issue is not None and isinstance(decision, (OpenIssue, ReopenIssue)):
            store.link_issue(decision.record.fingerprint, str(issue.ref))
            store.add_events([filed_event(decision.record, issue.ref, tracker.login(), now)])

    return carry_out(decisions, repo, tracker, remember)
