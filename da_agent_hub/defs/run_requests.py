"""Which run of Dagster answers to which request of the hub: a run that died is asked for again under a new key."""

from __future__ import annotations

from datetime import datetime, timedelta

import dagster as dg

from ..ports import RecordStore

RUN_KEY_TAG = "dagster/run_key"
PARTITION_TAG = "dagster/partition"
# A request that Dagster has not made a run of by then died between the two.
SUBMIT_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 900.0

# Dagster's own retries would double the hub's.
NO_RETRIES = {"dagster/max_retries": "0"}

IN_FLIGHT = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def run_key(scope: str, attempt: int, at: datetime) -> str:
    """A key that never repeats, not even with another store under the same Dagster home."""
    return f"{scope}:{attempt}@{int(at.timestamp())}"


def new_run_key(store: RecordStore, scope: str, now: datetime) -> str:
    """Note a request, and how its run will be called."""
    return run_key(scope, store.note_request(scope, now), now)


def requested_run(instance: dg.DagsterInstance, key: str) -> dg.DagsterRun | None:
    """The run that was made of a request."""
    return next(iter(instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: key}), limit=1)), None)


def partitions_in_flight(instance: dg.DagsterInstance, assets: frozenset[dg.AssetKey], job: str) -> frozenset[str]:
    """Partitions that some unfinished run of the job, or of one of the assets, works on."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(IN_FLIGHT)))
    return frozenset(
        run.tags[PARTITION_TAG]
        for run in runs
        if PARTITION_TAG in run.tags and (run.job_name == job or assets & (run.asset_selection or frozenset()))
    )


def pause_after(failures: int) -> timedelta:
    """How long to wait before asking again, after so many failures: 15 s, 1 min, 4 min, 15 min."""
    return timedelta(seconds=min(SUBMIT_SECONDS * 4 ** max(0, failures - 1), LONGEST_PAUSE_SECONDS))
