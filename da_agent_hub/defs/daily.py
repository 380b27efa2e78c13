"""Each project's days: what dbt said, which error records that makes, and the issues that stand for them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import dagster as dg

from ..config.settings import ProjectSettings
from ..domain.error_record import ErrorRecord, Priority
from ..domain.window import Window
from . import metadata
from .checks import ALL_READ, ALL_RECORDED, all_read, all_recorded
from .filing import file_days
from .hub import Hub
from .lease import FILING_WAIT_SECONDS, Lease, held_lease, project_scope
from .names import ERROR_RECORDS, FILED_ISSUES, RUN_RESULTS
from .partitions import MOST_DAYS, last_days
from .reading import read_days
from .reconcile import sign_run


# Where an asset has checks, Dagster takes the annotation for a type unless it is the bare class.
def project_assets(
    project: ProjectSettings, days: dg.DailyPartitionsDefinition, upstream: Sequence[dg.AssetKey]
) -> Sequence[dg.AssetsDefinition]:
    """The three daily assets of one project; ``upstream`` are its dbt models, where the lineage shows them."""
    results, records, issues = (
        dg.AssetKey([project.name, name]) for name in (RUN_RESULTS, ERROR_RECORDS, FILED_ISSUES)
    )
    backfill = dg.BackfillPolicy.multi_run(MOST_DAYS)

    @dg.asset(
        key=results,
        deps=upstream,
        partitions_def=days,
        backfill_policy=backfill,
        group_name=project.name,
        kinds={"dbt"},
        check_specs=[dg.AssetCheckSpec(ALL_READ, asset=results, description="No dbt run of these days is unread.")],
        description=f"Every step of every dbt run of {project.name} that finished in the reporting day (06:30 to 06:30 "
        "UTC). A run that cannot be read is told here and hides no other.",
    )
    def dbt_run_results(context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        sign_run(context)
        read, bad, unread = read_days(hub, project, context.partition_keys, context.log)
        return _materialized(context, results, read, bad, [all_read(hub, project, context.partition_keys, unread)])

    @dg.asset(
        key=records,
        deps=[results],
        partitions_def=days,
        backfill_policy=backfill,
        group_name=project.name,
        kinds={"dbt"},
        check_specs=[
            dg.AssetCheckSpec(
                ALL_RECORDED,
                asset=records,
                description="Every node, step and run that failed in these days is in an error record, or left out by a "
                "filter that is named.",
            )
        ],
        description=f"The error records of {project.name} that were failing in the reporting day: one for each cause, "
        "however many nodes and runs it touched, with category, priority and owner.",
    )
    def dbt_error_records(context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from ..stages.record import record_errors

        sign_run(context)
        with _lease(hub, project):
            found = record_errors(project, hub.store)
        filed = {record.fingerprint: key for record in found if (key := hub.store.issue_of(record.fingerprint))}
        told = {day: _told_of_records(found, day, filed) for day in context.partition_keys}
        return _materialized(context, records, told, [], [all_recorded(hub, project, context.partition_keys, found)])

    @dg.asset(
        key=issues,
        deps=[records],
        partitions_def=days,
        backfill_policy=backfill,
        group_name=project.name,
        kinds={"github"},
        description=f"The GitHub issues of {project.name} as of the end of the reporting day: opened, updated, reopened "
        "and closed, one for each error record. Days are replayed in order, so what failed and healed is told too. "
        "In mode observe nothing is written, and what would have been is shown.",
    )
    def filed_issues(context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]) -> dg.MaterializeResult[None]:
        sign_run(context)
        with _lease(hub, project) as lease:
            filed, bad = file_days(hub, project, context.partition_keys, lease, context.log)
        return _materialized(context, issues, filed, bad)

    return [dbt_run_results, dbt_error_records, filed_issues]


def _told_of_records(records: Sequence[ErrorRecord], day: str, issues: Mapping[str, str]) -> metadata.Metadata:
    windows = [Window.of(one) for one in last_days(day, metadata.PLOT_DAYS)]
    by_day = {one.day: sum(record.failed_within(one.start, one.end) for record in records) for one in windows}
    failing = [one for one in records if one.failed_within(windows[-1].start, windows[-1].end)]
    return {
        "window": dg.MetadataValue.text(metadata.window_text(windows[-1])),
        "error_records": dg.MetadataValue.int(len(failing)),
        "critical_and_high": dg.MetadataValue.int(
            sum(one.priority in (Priority.CRITICAL, Priority.HIGH) for one in failing)
        ),
        "quarantined": dg.MetadataValue.int(sum(one.quarantine is not None for one in failing)),
        "last_days": metadata.plot(by_day, "error records"),
        "counts": metadata.record_counts(failing),
        "records": metadata.record_table(
            failing, {one.fingerprint: key for one in failing if (key := issues.get(one.fingerprint))}
        ),
    }


def _lease(hub: Hub, project: ProjectSettings) -> AbstractContextManager[Lease]:
    return held_lease(hub.store, project_scope(project), hub.now, wait_seconds=FILING_WAIT_SECONDS)


def _materialized(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    told: Mapping[str, metadata.Metadata],
    bad: Sequence[str],
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult[None]:
    """Materialize the days that went well.

    Raises:
        dagster.Failure: some did not; it lists them.
    """
    if bad:
        # A failed step materializes nothing by itself.
        for day, found in told.items():
            context.log_event(dg.AssetMaterialization(key, partition=day, metadata=found))
        raise dg.Failure("; ".join(bad), metadata={"days_that_went_well": ", ".join(told) or "none"})
    for day, found in told.items():
        context.add_asset_metadata(found, asset_key=key, partition_key=day)
    return dg.MaterializeResult(check_results=list(checks))
