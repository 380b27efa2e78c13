"""All of the hub's Dagster definitions, from settings."""

from __future__ import annotations

import warnings

import dagster as dg

from ..config.settings import HubSettings
from .activity import activity_sensors
from .daily import project_assets
from .dbt_runs import accounts, finished_runs_sensor
from .hub import Hub
from .inbox import inbox_sensor
from .issues import issue_assets
from .lineage import Lineage, load_lineage
from .names import DAILY_JOB, ISSUE_JOB
from .partitions import reporting_days
from .reconcile import reconciler_sensor
from .schedules import every_morning_schedule


def build(settings: HubSettings, hub: Hub | None = None) -> dg.Definitions:
    """The definitions; ``hub`` brings the outside world, and is the real one where it is not given."""
    with warnings.catch_warnings():
        # Backfill policies are called beta; whoever loads the hub can do nothing about it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _definitions(settings, hub or Hub(settings))


def _definitions(settings: HubSettings, hub: Hub) -> dg.Definitions:
    days = reporting_days(settings.schedule.start_date)
    schedule = settings.schedule
    lineage = load_lineage(hub, settings)
    daily = [project_assets(project, days, lineage.get(project.name, Lineage()).ends) for project in settings.projects]
    issues = issue_assets([project.name for project in settings.projects])
    jobs = [
        dg.define_asset_job(
            ISSUE_JOB,
            selection=dg.AssetSelection.assets(*issues),
            description="Works off what waits for one issue: plan and answer, investigate, fix.",
        )
    ]
    schedules: list[dg.ScheduleDefinition] = []
    sensors = [inbox_sensor(schedule.inbox_poll_seconds), reconciler_sensor()]
    if settings.projects:
        jobs.append(
            dg.define_asset_job(
                DAILY_JOB,
                selection=dg.AssetSelection.assets(*daily),
                description="Reads the dbt runs of some days, records their errors and files the issues.",
            )
        )
        schedules.append(every_morning_schedule(days))
        hinted = settings.webhooks is not None and bool(settings.webhooks.dbt_cloud_secrets)
        hint_seconds = schedule.inbox_poll_seconds if hinted else None
        sensors += [
            finished_runs_sensor(name, projects, schedule.run_poll_seconds, hint_seconds)
            for name, projects in accounts(settings.projects).items()
        ]
        sensors += activity_sensors(settings.projects, schedule.issue_poll_seconds)
    return dg.Definitions(
        assets=[*(spec for one in lineage.values() for spec in one.specs), *daily, *issues],
        jobs=jobs,
        schedules=schedules,
        sensors=sensors,
        resources={"hub": hub},
        # Threads do the waiting; a process for each step would take longer than the steps. Scale by runs.
        executor=dg.in_process_executor,
    )
