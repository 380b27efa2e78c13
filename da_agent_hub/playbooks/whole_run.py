"""A run or a step failed and no node can be named: what is known of it and what changed since it was last good."""

from __future__ import annotations

from ..domain.investigation import Ending, Investigation
from ..domain.whole_run_text import meaning, next_step
from .case_file import CaseFile, plural
from .code_cause import last_good_sha

MOST_COMMITS = 10


def investigate_whole_run(case: CaseFile) -> Investigation:
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
    elif sha is not None:
        case.claim("No commit came between: the project's code did not change.", "confirmed", message_id)
    return case.conclude(
        f"{record.title}: {what}.",
        "unknown",
        ending=Ending.INCONCLUSIVE,
        next_step=next_step(record) or "Open the run and read its log, then start the job again.",
        who=case.owner_of(None) or f"whoever runs {record.job_name or 'the job'}",
        needs_person="no node failed that could be built again to try a change",
        confidence=0.3,
    )
