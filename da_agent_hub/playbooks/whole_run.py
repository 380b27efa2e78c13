"""A failure of which no node can be named, or one that is gone: what is known of it and what changed since it was good."""

from __future__ import annotations

from ..domain.error_record import Category
from ..domain.failure import FailureKind
from ..domain.investigation import Ending, Investigation
from ..domain.whole_run_text import TOLD_BY_THE_HUB, meaning, next_step
from .broken_parse import ParseExperiment
from .case_file import CaseFile, plural
from .code_cause import last_good_sha
from .code_change import name_mended_commit
from .experiment import PASSES
from .unstable import investigate_transient, is_transient

MOST_COMMITS = 10


def investigate_without_node(case: CaseFile) -> Investigation:
    """By what failed: the connection, the reading of the project, the run as a whole, or a node that is gone since."""
    record = case.record
    kind = record.latest.kind
    if kind is FailureKind.CONNECTION or (kind not in TOLD_BY_THE_HUB and is_transient(record.latest.message)):
        return investigate_transient(case)
    if kind is FailureKind.COMPILE and record.category is not Category.INFRASTRUCTURE:
        parse = ParseExperiment(case)
        parsed = parse(case.head)
        parsed_id = case.add(
            "Does the newest commit parse?",
            parsed.command,
            "yes" if parsed.verdict == PASSES else parsed.message,
            "experiment",
        )
        case.claim("The newest commit parses.", "confirmed", parsed_id)
        failed_at, (good_sha, _) = record.latest.git_sha, last_good_sha(case)
        if failed_at and good_sha and failed_at != case.head and case.bench.commits(good_sha, failed_at):
            good = parse(good_sha)
            if parse(failed_at).verdict != PASSES and good.verdict == PASSES:
                return name_mended_commit(case, None, good_sha, failed_at, good, parsed_id, parse)
        return case.conclude(
            "The project parses again at the newest commit.", "code",
            next_step="Wait for the next run of the job: it should pass, and the issue then closes.",
            who="nobody for now", needs_person="it parses already, so there is nothing to fix", confidence=0.7,
        )  # fmt: skip
    if record.node is None:
        return _whole_run(case)
    return case.conclude(
        f"{record.node.rsplit('.', 1)[-1]} is not in the project any more.", "unknown", ending=Ending.INCONCLUSIVE,
        next_step="Where it was taken out on purpose, close this issue.", who=case.owner_of(None), confidence=0.3,
    )  # fmt: skip


def _whole_run(case: CaseFile) -> Investigation:
    """Tell what is on record; the cause itself stays open, since there is nothing that could be built again."""
    record = case.record
    message_id = case.add("What the run left", record.latest.run_url, record.latest.message, "message")
    what = meaning(record)
    case.claim(f"{what[:1].upper()}{what[1:]}.", "confirmed", message_id)
    if record.last_good is not None:
        good = record.last_good
        at = f"run {good.run_id} at {good.at:%Y-%m-%d %H:%M} UTC" + (
            f", commit {good.git_sha[:10]}" if good.git_sha else ""
        )
        case.claim(
            f"It was last good in {at}.", "confirmed", case.add("The last good run", good.run_url, at, "history")
        )
    sha, why = last_good_sha(case)
    failed_at = record.latest.git_sha or case.head
    commits = case.bench.commits(sha, failed_at) if sha is not None and sha != failed_at else ()
    if commits:
        listed = "\n".join(
            f"{one.sha[:10]} {one.committed_at:%Y-%m-%d} {one.author}: {one.subject}" for one in commits[:MOST_COMMITS]
        )
        commits_id = case.add("Commits since", f"git log {sha}..{failed_at[:10]}", f"{why}\n{listed}", "commits")
        case.claim(
            f"{plural(len(commits), 'commit')} came between; whether one of them is the cause was not tried.",
            "possible",
            commits_id,
        )
    elif sha is not None and sha == failed_at:
        # An empty list proves nothing: a commit that is not known here has none either.
        same_id = case.add("Code or not?", "run history", f"{why}, and the failed run had the same commit", "history")
        case.claim("No commit came between: the project's code did not change.", "confirmed", same_id)
    return case.conclude(
        f"{record.title}: {what}.",
        "unknown",
        ending=Ending.INCONCLUSIVE,
        next_step=next_step(record) or "Open the run and read its log, then start the job again.",
        who=case.owner_of(None) or f"whoever runs {record.job_name or 'the job'}",
        needs_person="no node failed that could be built again to try a change",
        confidence=0.3,
    )
