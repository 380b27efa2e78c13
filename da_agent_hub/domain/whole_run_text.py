"""What an issue says of a failure of a whole run or step, of which no node can be named: what it means, what to do."""

from __future__ import annotations

from .error_record import Category, ErrorRecord
from .failure import FailureKind

# The hub's own words, and not what dbt said.
TOLD_BY_THE_HUB = frozenset(
    {
        FailureKind.CANCELLED,
        FailureKind.TIMED_OUT,
        FailureKind.NOT_STARTED,
        FailureKind.MISSED_RUN,
        FailureKind.UNREADABLE,
        FailureKind.UNKNOWN_STATUS,
    }
)

_MEANINGS = {
    FailureKind.COMPILE: "dbt could not read the project, so nothing of that step ran",
    FailureKind.HOOK: "a hook or an operation failed, which is no node of the project",
    FailureKind.CONNECTION: "dbt could not reach the warehouse, so nothing of that step ran",
    FailureKind.CANCELLED: "the run was cancelled, and what it had not built by then is not built",
    FailureKind.TIMED_OUT: "the run took too long and was ended, and what it had not built by then is not built",
    FailureKind.NOT_STARTED: "the run ended before dbt built anything",
    FailureKind.MISSED_RUN: "a run that was due did not come, so nothing was built",
    FailureKind.UNREADABLE: "what the run left cannot be read, so that what failed in it, if anything did, is not known",
    FailureKind.UNKNOWN_STATUS: "dbt gave a status that the hub does not know, which may be good or bad",
}
_ANY_STEP = "a step of the run failed, and its log names no node"
_OUTAGE = "the cause is outside of the nodes that it fails"

_NEXT_STEPS = {
    FailureKind.CANCELLED: "Find out who or what cancelled it, and start the job again if what it builds is needed before "
    "its next run. The issue closes by itself after three good runs.",
    FailureKind.TIMED_OUT: "Look at what was running when it was ended, and whether that takes longer from run to run: make "
    "it cheaper, or give the job more time. The issue closes by itself after three good runs.",
    FailureKind.NOT_STARTED: "Look at the run's page and at what the message names: free run slots, the scheduler, access to "
    "the git repository, installed packages. Then start the job again; the models are not the cause.",
    FailureKind.MISSED_RUN: "Look at the job where it is scheduled: is its schedule still on and still wanted, and does a "
    "run of it wait for a free slot? Then start it by hand; the issue closes with its next run, and also when its schedule "
    "is switched off.",
    FailureKind.UNREADABLE: "Read the run's log on its page: the hub cannot tell what failed in it. Where a file was cut on "
    "its way, the next run of the job writes it anew.",
    FailureKind.UNKNOWN_STATUS: "Look on the run's page whether this status is a good or a bad one. A newer version of the "
    "hub may know it.",
    FailureKind.OTHER: "Open the run and read its log: what is quoted above holds no error that the hub knows.",
}
_COULD_NOT_BEGIN = (
    "Check what the message names where the job runs (environment variables, installed packages, the profile): the "
    "project's code is probably not the cause."
)


def meaning(record: ErrorRecord) -> str:
    """What it means that this failed, as half a sentence."""
    return _MEANINGS.get(record.latest.kind, _OUTAGE if record.members else _ANY_STEP)


def next_step(record: ErrorRecord) -> str | None:
    """What to do, or None where the record's category says it as well."""
    if record.latest.kind is FailureKind.COMPILE and record.category is Category.INFRASTRUCTURE:
        return _COULD_NOT_BEGIN
    return _NEXT_STEPS.get(record.latest.kind)
