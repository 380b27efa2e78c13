"""A job did not run when its schedule said so: what is known of it, and where to look, which is outside the project."""

from __future__ import annotations

from ..domain.error_record import RecordState
from ..domain.investigation import Ending, Investigation
from .case_file import CaseFile

_NO_CODE = "the schedule is kept outside the dbt project, so no change of its code can start a run"


def investigate_missed_run(case: CaseFile) -> Investigation:
    """Tell since when a job is silent, how its last run ended and where to look; why it is silent cannot be seen."""
    record = case.record
    job = record.job_name or "the job"
    link = record.latest.run_url
    missed_id = case.add(
        "What did not happen", link or "the hub's looks at the job's schedule", record.latest.message, "message"
    )
    case.claim(f"No run of {job} ended when its schedule expected one.", "confirmed", missed_id)
    good = record.last_good
    if good is not None:
        at = f"run {good.run_id} at {good.at:%Y-%m-%d %H:%M} UTC" + (
            f", commit {good.git_sha[:10]}" if good.git_sha else ""
        )
        good_id = case.add("The last good run", good.run_url or f"run {good.run_id}", at, "history")
        case.claim(f"The last good run of {job} was {at}.", "confirmed", good_id)
    else:
        case.claim(f"No good run of {job} is known to the hub.", "confirmed", missed_id)
    if record.recovered is not None and record.state is RecordState.RECOVERED:
        return case.conclude(
            f"{job} is silent no more.", "infrastructure", ending=Ending.INCONCLUSIVE,
            next_step="Nothing; why it was silent is told only by what runs it.",
            who="nobody for now", needs_person=_NO_CODE, confidence=0.5,
        )  # fmt: skip
    return case.conclude(
        f"{job} does not run: {_first_sentence(record.latest.message)}",
        "infrastructure",
        ending=Ending.INCONCLUSIVE,
        next_step=_where_to_look(job, has_page=bool(link)),
        who=case.owner_of(None) or f"whoever runs {job}",
        needs_person=_NO_CODE,
        confidence=0.5,
    )


def _where_to_look(job: str, *, has_page: bool) -> str:
    if has_page:
        return (
            f"Open {job} (the address is that of E1): is its schedule still on and still wanted, and does a run of it wait "
            "for a free run slot? Then start it by hand: this issue closes with its next run. Where the schedule is not "
            "wanted any more, switch it off, which closes this issue too."
        )
    return (
        f"Look at what starts dbt (cron, an orchestrator, CI): did it start {job}, and did it leave the run's artifacts "
        "where the hub reads them? A run whose artifacts were never written counts as missing. This issue closes with "
        "the next run that the hub can read."
    )


def _first_sentence(message: str) -> str:
    return message.partition(". ")[0].rstrip(".") + "."
