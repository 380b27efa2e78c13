"""Finds work again that a killed process held: its leases, and its runs that Dagster still believes in."""

from dataclasses import dataclass
from datetime import datetime, timezone

import dagster as dg
from dagster._core.launcher import DefaultRunLauncher

from ..ports import RecordStore
from .hub import Hub
from .names import DAILY_JOB, ISSUE_JOB
from .process_identity import is_dead, is_of_earlier_boot, this_process

PROCESS_TAG = "da_agent_hub/process"
# From its launch to its first step, which writes the tag, a run process may take this long.
LAUNCH_SECONDS = 20.0
SUBMIT_SECONDS = 60.0
BOOTED_AT = datetime.now(timezone.utc)

UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@dataclass(frozen=True)
class Reconciled:
    """Leases that were given back, and Dagster runs that were reported failed."""

    freed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def sign_run(context: dg.AssetExecutionContext) -> None:
    """Write onto the run which process executes it, so that its death can be told; call first in each step."""
    if context.run.tags.get(PROCESS_TAG) != this_process():
        context.instance.add_run_tags(context.run_id, {PROCESS_TAG: this_process()})


def reconcile(
    instance: dg.DagsterInstance, store: RecordStore, now: datetime, *, booted_at: datetime = BOOTED_AT
) -> Reconciled:
    """Free the leases of dead processes of this machine, and report their runs failed."""
    freed = []
    for scope, (holder, _) in store.leases().items():
        if is_dead(holder):
            store.release_lease(scope, holder)
            freed.append(scope)
    failed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED))):
        reason = _why_dead(record, instance, now, booted_at)
        if reason is not None:
            instance.report_run_failed(record.dagster_run, reason)
            failed.append(record.dagster_run.run_id)
    return Reconciled(tuple(freed), tuple(failed))


def _why_dead(record: dg.RunRecord, instance: dg.DagsterInstance, now: datetime, booted_at: datetime) -> str | None:
    run = record.dagster_run
    process = run.tags.get(PROCESS_TAG)
    if process is not None:
        gone = is_dead(process) or (is_of_earlier_boot(process) and _runs_here(instance))
        return f"its process {process} is gone" if gone else None
    if run.job_name not in {DAILY_JOB, ISSUE_JOB} or not _runs_here(instance):
        return None
    # It never came to its first step. Whatever launched it before this code location started died with it.
    unchanged = record.update_timestamp.astimezone(timezone.utc)
    patience = SUBMIT_SECONDS if run.status is dg.DagsterRunStatus.NOT_STARTED else LAUNCH_SECONDS
    if unchanged < booted_at and (now - unchanged).total_seconds() > patience:
        return "what launched it ended before it began"
    return None


def _runs_here(instance: dg.DagsterInstance) -> bool:
    # With launchers for clusters a run's process is elsewhere, and they watch it themselves.
    return isinstance(instance.run_launcher, DefaultRunLauncher)


def reconciler_sensor() -> dg.SensorDefinition:
    """The sensor ``reconciler``; the sensors that ask for runs do the same first, so that they never wait for it."""

    @dg.sensor(
        name="reconciler",
        target=dg.AssetSelection.assets("github_issues"),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="After a crash: frees what dead processes held and reports their runs failed, so that the work is "
        "asked for again.",
    )
    def reconciler(context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub]) -> dg.SkipReason:
        found = reconcile(context.instance, hub.store, hub.now())
        if found.freed or found.failed:
            return dg.SkipReason(
                f"freed {', '.join(found.freed) or 'nothing'}; failed {', '.join(found.failed) or 'nothing'}"
            )
        return dg.SkipReason("nothing was left behind")

    return reconciler
