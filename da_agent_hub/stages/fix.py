"""Fix one issue: candidates, the guard, verification by running dbt, then a branch and a pull request, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import yaml

from ..config import ProjectSettings
from ..domain.command import EventKind, InboxEvent
from ..domain.dbt import ProjectGraph
from ..domain.error_record import ErrorRecord, RecordState
from ..domain.findings_text import findings_text
from ..domain.fix_proposal import FixOutcome, FixProposal, Verification
from ..domain.investigation import Candidate, FileChange, Investigation
from ..domain.issue import IssueRef, PullRequest
from ..domain.line_merge import taken_over
from ..domain.markdown import BODY_LIMIT, cut
from ..domain.marker import key_marker
from ..domain.patch_guard import Safe, Unreadable, judge_patch
from ..domain.progress import Step
from ..domain.pull_request_text import commit_message, pull_request_body, pull_request_title
from ..domain.tracker_error import NotThere, Refused
from ..domain.value_proof import DIFFERENT
from ..ports import IssueTracker, RecordStore, Workbench
from .command_comment import CommandComment, StopAsked
from .investigate import same_cause, tell_findings
from .verify import Baseline, verify_patch

MOST_CANDIDATES = 4


@dataclass(frozen=True)
class _Tried:
    """A candidate on the base that it was tried on; ``refusal`` says why it may not be proposed."""

    candidate: Candidate
    base_sha: str
    diff: str = ""
    verification: Verification | None = None
    refusal: str | None = None
    already_there: bool = False

    @property
    def proposable(self) -> bool:
        """Verified, or never run for want of a warehouse."""
        checked = self.verification
        return self.refusal is None and checked is not None and all(step.passed is not False for step in checked.steps)


def fix_issue(
    issue: IssueRef,
    event: InboxEvent,
    *,
    project: ProjectSettings,
    record: ErrorRecord | None,
    investigation: Investigation,
    graph: ProjectGraph | None,
    bench: Workbench,
    tracker: IssueTracker,
    store: RecordStore,
    now: datetime,
) -> FixProposal:
    """Try the candidates of an investigation; the first that is safe and verified becomes the issue's pull request.

    Repeated for the same event, or killed at any point, it finds its branch and pull request again: there is one of
    each an issue.

    Raises:
        TrackerError: if GitHub could not be read or written; everything done until then is found again.
    """
    comment = CommandComment(event, tracker, store)
    watched = cast("Workbench", _Interruptible(bench, comment))
    known = findings_text(investigation)
    try:
        proposal = _propose(issue, event, project, record, investigation, graph, watched, tracker, store,
                            lambda step, subject: comment.at(step, subject, known))  # fmt: skip
    except StopAsked:
        proposal = FixProposal(FixOutcome.NEEDS_PERSON, "a person asked to stop")
    store.save_fix(str(issue), event.event_id, proposal)
    tell_findings(event, investigation, proposal, tracker, store)
    return proposal


class _Interruptible:
    """A workbench that begins nothing long once a person has asked to stop."""

    def __init__(self, bench: Workbench, comment: CommandComment) -> None:
        self._bench = bench
        self._comment = comment

    def __getattr__(self, name: str) -> Any:
        if name in ("dbt", "query", "graph"):
            self._comment.check()
        return getattr(self._bench, name)


def branch_of(issue: IssueRef, record: ErrorRecord) -> str:
    """The one branch of an issue's fix; the same for ever, so that a repeat finds it."""
    name = record.node.split(".")[2] if record.node and record.node.count(".") >= 2 else "project"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "project"
    return f"claude/issue-{issue.number}-{slug}"


def _propose(
    issue: IssueRef, event: InboxEvent, project: ProjectSettings, record: ErrorRecord | None,
    investigation: Investigation, graph: ProjectGraph | None, bench: Workbench, tracker: IssueTracker,
    store: RecordStore, told: Callable[[Step, str], None],
) -> FixProposal:  # fmt: skip
    if record is None:
        return FixProposal(FixOutcome.NEEDS_PERSON, "no dbt failure is on record for this issue")
    branch = branch_of(issue, record)
    there = tracker.pull_request_for_branch(issue.repo, branch)
    if (
        there is not None
        and there.state == "closed"
        and not there.merged
        and event.kind in {EventKind.FILED, EventKind.REOPENED}
    ):
        return FixProposal(
            FixOutcome.NEEDS_PERSON, "a person closed the pull request of this issue; ask again in a comment to have another",
            branch=branch, pull_request=str(there.ref), pull_request_url=there.url,
        )  # fmt: skip
    if not investigation.candidates:
        outcome = FixOutcome.NOTHING_TO_FIX if record.state is RecordState.RECOVERED else FixOutcome.NEEDS_PERSON
        return FixProposal(outcome, investigation.needs_person or "the investigation found no change that would help")
    told(Step.TRYING, investigation.candidates[0].summary)
    base_name, base_sha = _base(project, issue, bench, tracker)
    tried = _try_all(investigation, base_sha, record, project, bench, store, told)
    again_name, again_sha = _base(project, issue, bench, tracker)
    if again_sha != base_sha:  # somebody merged meanwhile: what is proposed must have been run on what is there
        base_name, base_sha = again_name, again_sha
        tried = _try_all(investigation, base_sha, record, project, bench, store, told)
    best = next((one for one in tried if one.proposable and one.verification and one.verification.passed), None)
    best = best or next((one for one in tried if one.proposable), None)
    if best is None:
        return _declined(tried, there, branch)
    if there is None or there.state == "closed":
        for other in same_cause(issue, record, investigation, project, store):
            if shared := _shared(other, best, tracker, store):
                return shared
    told(Step.OPENING, "")
    return _open(issue, record, investigation, best, base_name, branch, there, graph, tracker, bench)


def _base(project: ProjectSettings, issue: IssueRef, bench: Workbench, tracker: IssueTracker) -> tuple[str, str]:
    name, sha = tracker.default_branch(issue.repo)
    if project.branch and project.branch != name:
        return project.branch, str(getattr(bench, "newest", sha))
    return name, sha


def _try_all(
    investigation: Investigation, base_sha: str, record: ErrorRecord, project: ProjectSettings, bench: Workbench,
    store: RecordStore, told: Callable[[Step, str], None],
) -> list[_Tried]:  # fmt: skip
    baseline = Baseline()
    others = store.records(project.name)
    known_bad = frozenset(
        node
        for other in others
        if other.fingerprint != record.fingerprint and other.state is not RecordState.RECOVERED
        for node in (other.node, *other.members)
        if node is not None
    )
    tried: list[_Tried] = []
    for candidate in investigation.candidates[:MOST_CANDIDATES]:
        tried.append(_try(candidate, investigation.base_sha, base_sha, record, bench, baseline, known_bad, told))
        if tried[-1].proposable and tried[-1].verification and tried[-1].verification.passed:
            break
    return tried


def _try(
    candidate: Candidate, meant_for: str | None, base_sha: str, record: ErrorRecord, bench: Workbench,
    baseline: Baseline, known_bad: frozenset[str], told: Callable[[Step, str], None],
) -> _Tried:  # fmt: skip
    if candidate.values is not None and candidate.values.verdict == DIFFERENT:
        return _Tried(candidate, base_sha, refusal=f"{candidate.summary}: {candidate.values.reason}")
    bench.checkout(base_sha)
    changes = _on_base(candidate.changes, meant_for, base_sha, bench)
    if changes is None:
        return _Tried(candidate, base_sha, refusal=f"{candidate.summary}: the same lines were changed meanwhile")
    candidate = replace(candidate, changes=changes)
    before = {change.path: bench.read_at(base_sha, change.path) for change in changes}
    bench.apply(changes)
    diff = bench.diff()
    if not diff.strip():
        return _Tried(candidate, base_sha, refusal="the change is on the branch already", already_there=True)
    after = {change.path: bench.read(change.path) for change in changes}
    readable = {path: _readable(path, text, bench, base_sha) for path, text in before.items()}
    verdict = judge_patch(diff, readable, after, bench.dbt_directory, _test_paths(bench))
    if isinstance(verdict, Unreadable):
        return _Tried(
            candidate, base_sha, diff, refusal=f"{candidate.summary}: it could not be judged, {verdict.reason}"
        )
    if not isinstance(verdict, Safe):
        return _Tried(
            candidate, base_sha, diff, refusal=f"{candidate.summary}: it is not safe, {'; '.join(verdict.reasons[:3])}"
        )
    told(Step.VERIFYING, candidate.summary)
    verification = verify_patch(bench, base_sha, changes, record, baseline, known_bad)
    failed = [step for step in verification.steps if step.passed is False]
    refusal = None
    if failed:
        refusal = f"{candidate.summary}: on trial, {failed[0].name!r} did not hold ({failed[0].detail[:200]})"
    return _Tried(candidate, base_sha, diff, verification, refusal)


def _on_base(
    changes: Sequence[FileChange], meant_for: str | None, base_sha: str, bench: Workbench
) -> tuple[FileChange, ...] | None:
    """The changes on the base: where a file moved on since the investigation, only its changed lines are carried over."""
    if meant_for is None or meant_for == base_sha:
        return tuple(changes)
    carried = []
    for change in changes:
        then, now = bench.read_at(meant_for, change.path), bench.read_at(base_sha, change.path)
        text = change.content if now in (then, change.content) else taken_over(then, change.content, now)
        if now not in (then, change.content) and text is None:
            return None
        carried.append(FileChange(change.path, text))
    return tuple(carried)


def _readable(path: str, text: str | None, bench: Workbench, base_sha: str) -> str | None:
    """A file before the patch; where it is broken YAML, its newest version that was not."""
    if not path.endswith((".yml", ".yaml")) or text is None or _is_yaml(text):
        return text
    for commit in bench.commits(None, base_sha, [path])[:50]:
        older = bench.read_at(f"{commit.sha}^", path)
        if older is not None and _is_yaml(older):
            return older
    return text


def _is_yaml(text: str) -> bool:
    try:
        yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return True


def _test_paths(bench: Workbench) -> tuple[str, ...]:
    path = "dbt_project.yml" if bench.dbt_directory == "." else f"{bench.dbt_directory}/dbt_project.yml"
    try:
        settings = yaml.safe_load(bench.read(path) or "")
    except yaml.YAMLError:
        return ("tests",)
    named = settings.get("test-paths") if isinstance(settings, dict) else None
    return ("tests", *(str(one) for one in named)) if isinstance(named, list) else ("tests",)


def _declined(tried: Sequence[_Tried], there: PullRequest | None, branch: str) -> FixProposal:
    if tried and all(one.already_there for one in tried):
        reason = "the change is on the branch already; the next run of the job should pass"
        return FixProposal(FixOutcome.NOTHING_TO_FIX, reason, branch=branch, pull_request=str(there.ref) if there else None,
                           pull_request_url=there.url if there else None)  # fmt: skip
    reasons = " ".join(f"{one.refusal}." for one in tried if one.refusal and not one.already_there)
    unsafe = any(one.verification is None and one.diff for one in tried)
    outcome = FixOutcome.REFUSED if unsafe and not any(one.verification for one in tried) else FixOutcome.NEEDS_PERSON
    last = next((one for one in tried if one.verification is not None), None)
    return FixProposal(
        outcome, f"no candidate held: {reasons}" if reasons else "no candidate was tried",
        candidate=last.candidate if last else None, verification=last.verification if last else None,
        diff=last.diff if last else "", branch=branch,
    )  # fmt: skip


def _shared(other: IssueRef, best: _Tried, tracker: IssueTracker, store: RecordStore) -> FixProposal | None:
    """The open pull request of another issue of the same cause that makes this very change: a second would double it."""
    for fix in reversed(store.fixes(str(other))):
        if fix.pull_request and fix.diff == best.diff:
            try:
                pull = tracker.pull_request(IssueRef.parse(fix.pull_request))
            except NotThere:
                continue
            if pull.state == "open":
                return FixProposal(
                    FixOutcome.DRAFT if pull.draft else FixOutcome.OPENED,
                    f"#{pull.ref.number} makes this change for #{other.number}, and it was tried for this issue too",
                    best.candidate, best.verification, best.diff, pull.head_branch, str(pull.ref), pull.url,
                )  # fmt: skip
    return None


def _open(
    issue: IssueRef, record: ErrorRecord, investigation: Investigation, best: _Tried, base_name: str, branch: str,
    there: PullRequest | None, graph: ProjectGraph | None, tracker: IssueTracker, bench: Workbench,
) -> FixProposal:  # fmt: skip
    verification = best.verification
    assert verification is not None
    shown = graph or bench.graph()
    title = pull_request_title(best.candidate)
    marker = key_marker(f"fix:{issue}")
    text = pull_request_body(
        issue=issue, record=record, investigation=investigation, candidate=best.candidate, verification=verification,
        graph=shown, notes=_notes(best, bench, shown),
    )  # fmt: skip
    body = f"{cut(text, BODY_LIMIT - len(marker) - 2)}\n\n{marker}"
    message = commit_message(best.candidate, issue)
    try:
        tracker.commit_files(
            issue.repo, base_sha=best.base_sha, branch=branch, changes=best.candidate.changes, message=message
        )
    except Refused as refused:
        return FixProposal(
            FixOutcome.NEEDS_PERSON, f"{refused.why}. {refused.next_step}", best.candidate, verification, best.diff, branch,
            str(there.ref) if there else None, there.url if there else None,
        )  # fmt: skip
    draft = not verification.passed
    if there is not None and there.state == "open":
        pull = (
            there
            if (there.title, there.body) == (title, body)
            else tracker.update_pull_request(there.ref, title=title, body=body)
        )
    else:
        pull = tracker.open_pull_request(
            issue.repo, title=title, body=body, head=branch, base=base_name, draft=draft, labels=()
        )
    outcome = FixOutcome.DRAFT if draft else FixOutcome.OPENED
    reason = "verified by running dbt on it" if not draft else "a draft: nothing could be run on it here"
    return FixProposal(outcome, reason, best.candidate, verification, best.diff, branch, str(pull.ref), pull.url)


def _notes(best: _Tried, bench: Workbench, graph: ProjectGraph | None) -> tuple[str, ...]:
    notes = [str(note) for note in getattr(bench, "notes", ())]
    folder = "" if bench.dbt_directory == "." else f"{bench.dbt_directory}/"
    paths = {change.path[len(folder) :] for change in best.candidate.changes}
    if graph is not None:
        changed = [node.unique_id for node in graph.nodes.values() if node.path in paths and node.test is None]
        reached = {*changed, *(one for start in changed for one in graph.descendants(start))}
        incremental = sorted(
            node.name for node in map(graph.get, reached) if node and node.materialized == "incremental"
        )
        if incremental:
            notes.append(
                f"After the merge, run dbt build --full-refresh --select {' '.join(incremental)}: what these tables hold already was built without this change."
            )
    return tuple(notes)
