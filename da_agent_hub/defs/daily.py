"""Each project's days: what dbt said, which error records that makes, and the issues that stand for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

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

_Result = dg.MaterializeResult[Any] | dg.AssetCheckResult


def project_assets(
    project: ProjectSettings, days: dg.DailyPartitionsDefinition, upstream: Sequence[dg.AssetKey]
) -> dg.AssetsDefinition:
    """The three daily assets of one project; ``upstream`` are its dbt models, where the lineage shows them.

    They are one step, which fails at its end: a step of its own for each would have to choose between materializing
    the days that could not be read and keeping the others from what comes after, and a run that Dagster retries from
    its failure would never read those days again.
    """
    results, records, issues = (
        dg.AssetKey([project.name, name]) for name in (RUN_RESULTS, ERROR_RECORDS, FILED_ISSUES)
    )

    @dg.multi_asset(
        name=f"{project.name}__days",
        specs=[
            dg.AssetSpec(
                results,
                deps=upstream,
                kinds={"dbt"},
                description=f"Every step of every dbt run of {project.name} that finished in the reporting day (06:30 "
                "to 06:30 UTC). A run that cannot be read is told here and hides no other.",
            ),
            dg.AssetSpec(
                records,
                deps=[results],
                kinds={"dbt"},
                description=f"The error records of {project.name} that were failing in the reporting day: one for each "
                "cause, however many nodes and runs it touched, with category, priority and owner.",
            ),
            dg.AssetSpec(
                issues,
                deps=[records],
                kinds={"github"},
                description=f"The GitHub issues of {project.name} as of the end of the reporting day: opened, updated, "
                "reopened and closed, one for each error record. Days are replayed in order, so what failed and healed "
                "is told too. In mode observe nothing is written, and what would have been is shown.",
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(ALL_READ, asset=results, description="No dbt run of these days is unread."),
            dg.AssetCheckSpec(
                ALL_RECORDED,
                asset=records,
                description="Every node, step and run that failed in these days is in an error record, or left out by a "
                "filter that is named.",
            ),
        ],
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.multi_run(MOST_DAYS),
        group_name=project.name,
        can_subset=True,
    )
    def project_days(context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub]) -> Iterator[_Result]:
        from ..stages.record import record_errors

        sign_run(context)
        work = _Days(context)
        if results in context.selected_asset_keys:
            read, bad, unread = read_days(hub, project, work.good, context.log)
            yield from work.done(results, read, bad, lambda: all_read(hub, project, work.good, unread))
        if records in context.selected_asset_keys and work.good:
            with _lease(hub, project):
                found = record_errors(project, hub.store)
            filed = {one.fingerprint: key for one in found if (key := hub.store.issue_of(one.fingerprint))}
            told = {day: _told_of_records(found, day, filed) for day in work.good}
            yield from work.done(records, told, [], lambda: all_recorded(hub, project, work.good, found))
        if issues in context.selected_asset_keys and work.good:
            with _lease(hub, project) as lease:
                brought, bad = file_days(hub, project, work.good, lease, context.log)
            yield from work.done(issues, brought, bad)
        work.end()

    return project_days


class _Days:
    """The days of a step: ``good`` are those that went well in every asset so far."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.good: Sequence[str] = context.partition_keys
        self._context = context
        self._problems: list[str] = []

    def done(
        self,
        key: dg.AssetKey,
        told: Mapping[str, metadata.Metadata],
        bad: Sequence[str],
        check: Callable[[], dg.AssetCheckResult] | None = None,
    ) -> Iterator[_Result]:
        """Materialize the days that went well, ``bad`` being a sentence for each that did not."""
        self._problems += bad
        self.good = [day for day in self.good if day in told]
        checks = [check()._replace(asset_key=key)] if check is not None and told else []
        if self._problems:
            # The output of a step materializes all of its days, and a step that fails needs none.
            for day, found in told.items():
                self._context.log_event(dg.AssetMaterialization(key, partition=day, metadata=found))
            yield from checks
            return
        for day, found in told.items():
            self._context.add_asset_metadata(found, asset_key=key, partition_key=day)
        yield dg.MaterializeResult(asset_key=key, check_results=checks)

    def end(self) -> None:
        """Say what did not go well.

        Raises:
            dagster.Failure: some days did not; it lists them.
        """
        if self._problems:
            raise dg.Failure(
                "; ".join(self._problems), metadata={"days_that_went_well": ", ".join(self.good) or "none"}
            )


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
