"""The daily job and its schedule."""

from datetime import date, timedelta

import dagster as dg

from .names import DAILY_JOB
from .partitions import range_tags


def every_morning_schedule(days: dg.DailyPartitionsDefinition) -> dg.ScheduleDefinition:
    """06:30 UTC: the day that has just closed, and the one before for dbt runs that were still going.

    One run over both: two would race.
    """

    @dg.schedule(
        name="every_morning",
        job_name=DAILY_JOB,
        cron_schedule="30 6 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The reporting day that closed at 06:30 UTC, together with the one before it, in one run.",
    )
    def every_morning(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        open_day = date.fromisoformat(days.get_partition_keys(current_time=context.scheduled_execution_time)[-1])
        before, closed = ((open_day - timedelta(days=back)).isoformat() for back in (2, 1))
        return dg.RunRequest(run_key=f"daily-{closed}", tags=range_tags(before, closed))

    return every_morning
