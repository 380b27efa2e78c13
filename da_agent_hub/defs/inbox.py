"""The sensor that turns waiting events into runs, one at a time for each issue."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from ..domain.issue import IssueRef
from ..ports import RecordStore
from .hub import Hub
from .names import CLAUDE_INVESTIGATIONS, FIX_PULL_REQUESTS, GITHUB_ISSUES, ISSUE_JOB
from .partitions import ISSUES
from .process_identity import is_dead
from .reconcile import reconcile
from .run_requests import NO_RETRIES, new_run_key, partitions_in_flight, pause_after

# A tick dies at 60 s, and Dagster takes a third of a second for each run that it asks for.
MOST_RUNS_A_TICK = 25

ISSUE_ASSETS = frozenset({GITHUB_ISSUES, CLAUDE_INVESTIGATIONS, FIX_PULL_REQUESTS})


@dataclass(frozen=True)
class Waiting:
    """An issue with events that wait: when a run was last asked for, if one was, and how often its events raised."""

    issue_key: str
    last_request: datetime | None
    failures: int


def issues_to_work_on(
    waiting: Sequence[Waiting],
    *,
    in_flight: Set[str],
    leases: Mapping[str, tuple[str, datetime]],
    now: datetime,
    most: int = MOST_RUNS_A_TICK,
) -> Sequence[str]:
    """Those that nobody works on and whose last request is not too fresh, in the order in which they wait."""
    chosen = []
    for issue in waiting:
        holder, until = leases.get(issue.issue_key, ("", now))
        leased = until > now and not is_dead(holder)
        fresh = issue.last_request is not None and now < issue.last_request + pause_after(issue.failures)
        if issue.issue_key not in in_flight and not leased and not fresh:
            chosen.append(issue.issue_key)
    return chosen[:most]


def inbox_sensor(seconds: int) -> dg.SensorDefinition:
    """The sensor ``inbox``."""

    @dg.sensor(
        name="inbox",
        job_name=ISSUE_JOB,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run for each issue with waiting events: new issues, comments, labels, assignments.",
    )
    def inbox(context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub]) -> dg.SensorResult | dg.SkipReason:
        store, instance, now = hub.store, context.instance, hub.now()
        reconcile(instance, store, now)
        waiting = [_waiting(store, key) for key in store.pending_issues() if _is_issue(context, key)]
        chosen = issues_to_work_on(
            waiting,
            in_flight=partitions_in_flight(instance, ISSUE_ASSETS, ISSUE_JOB) if waiting else frozenset(),
            leases=store.leases(),
            now=now,
        )
        if not chosen:
            return dg.SkipReason(
                f"{len(waiting)} issues wait, each with a run of its own" if waiting else "nothing waits"
            )
        unknown = [key for key in chosen if not instance.has_dynamic_partition(str(ISSUES.name), key)]
        requests = [
            dg.RunRequest(run_key=new_run_key(store, key, now), partition_key=key, tags=NO_RETRIES) for key in chosen
        ]
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[ISSUES.build_add_request(unknown)] if unknown else None,
        )

    return inbox


def _waiting(store: RecordStore, issue_key: str) -> Waiting:
    last = store.last_request(issue_key)
    return Waiting(issue_key, last[1] if last else None, store.event_failures(issue_key) if last else 0)


def _is_issue(context: dg.SensorEvaluationContext, key: str) -> bool:
    try:
        IssueRef.parse(key)
    except ValueError as error:
        context.log.error(f"an event waits for something that is no issue and is left alone: {error}")
        return False
    return True
