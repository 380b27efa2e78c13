"""What dbt Cloud's answers look like: https://docs.getdbt.com/dbt-cloud/api-v2"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from .dbt_jobs import Job
from .run_archive import CANCELLED, ERROR, QUEUED, RUNNING, STARTING, SUCCESS, Run, RunArchive, Step
from .world import World, WorldProject

_WORDS = {
    QUEUED: "Queued",
    STARTING: "Starting",
    RUNNING: "Running",
    SUCCESS: "Success",
    ERROR: "Error",
    CANCELLED: "Cancelled",
}
_LOG_LINES = 1_000
_DBT_VERSION = "1.11.0-latest"


class Shapes:
    """The account's things as JSON."""

    def __init__(self, world: World, archive: RunArchive, jobs: Mapping[int, tuple[WorldProject, Job]]) -> None:
        self.world = world
        self.archive = archive
        self._jobs = jobs

    def account(self) -> dict[str, Any]:
        """The account."""
        return {
            "id": self.world.account_id,
            "name": self.world.account_name,
            "state": 1,
            "plan": "enterprise",
            "created_at": self.world.made_at,
            "updated_at": self.world.made_at,
        }

    def project(self, project: WorldProject) -> dict[str, Any]:
        """A project."""
        return {
            "id": project.dbt_cloud_project_id,
            "account_id": self.world.account_id,
            "name": project.name,
            "dbt_project_subdirectory": None if project.dbt_directory == "." else project.dbt_directory,
            "repository": {"full_name": f"{project.owner}/{project.repo}", "remote_backend": "github"},
            "state": 1,
            "type": 0,
        }

    def environment(self, project: WorldProject) -> dict[str, Any]:
        """A deployment environment: each project has one."""
        return {
            "id": project.environment_id,
            "account_id": self.world.account_id,
            "project_id": project.dbt_cloud_project_id,
            "name": project.environment_name,
            "type": "deployment",
            "deployment_type": "production",
            "dbt_version": _DBT_VERSION,
            "use_custom_branch": False,
            "custom_branch": None,
            "state": 1,
        }

    def job(self, job: Job) -> dict[str, Any]:
        """A job."""
        return {
            "id": job.id,
            "account_id": self.world.account_id,
            "project_id": job.project_id,
            "environment_id": job.environment_id,
            "name": job.name,
            "execute_steps": list(job.commands),
            "generate_docs": job.generate_docs,
            "run_generate_sources": job.run_generate_sources,
            "dbt_version": None,
            "job_type": "scheduled",
            "schedule": {"cron": job.cron, "date": {"type": "custom_cron", "cron": job.cron}},
            "settings": {"threads": 1, "target_name": "prod"},
            "triggers": {"github_webhook": False, "schedule": True, "git_provider_webhook": False, "on_merge": False},
            "state": 1,
        }

    def run(self, run: Run, related: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
        """A run; ``related`` names what it comes with."""
        project, job = self._jobs[run.job_id]
        shape: dict[str, Any] = {
            "id": run.id,
            "account_id": self.world.account_id,
            "project_id": run.project_id,
            "environment_id": run.environment_id,
            "job_definition_id": run.job_id,
            "job_id": run.job_id,
            "status": run.status,
            "status_humanized": _WORDS[run.status],
            "status_message": run.status_message,
            "dbt_version": _DBT_VERSION,
            "git_branch": "main",
            "git_sha": run.git_sha,
            "created_at": run.created_at,
            "updated_at": run.finished_at or run.started_at or run.created_at,
            "dequeued_at": run.started_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "duration": _lasted(run.created_at, run.finished_at),
            "queued_duration": _lasted(run.created_at, run.started_at),
            "run_duration": _lasted(run.started_at, run.finished_at),
            "in_progress": not run.finished,
            "is_complete": run.finished,
            "is_success": run.status == SUCCESS,
            "is_error": run.status == ERROR,
            "is_cancelled": run.status == CANCELLED,
            "is_running": run.status == RUNNING,
            "artifacts_saved": run.finished,
            "has_docs_generated": job.generate_docs and run.finished,
            "has_sources_generated": job.run_generate_sources and run.finished,
            "can_retry": run.status == ERROR,
            "href": f"/deploy/{self.world.account_id}/projects/{run.project_id}/runs/{run.id}/",
            "trigger": {
                "id": run.id + 1,
                "job_definition_id": run.job_id,
                "cause": run.cause,
                "cause_category": run.cause_category,
                "git_branch": None,
                "git_sha": None,
                "steps_override": list(run.steps_override) or None,
            },
            "job": None,
            "environment": None,
            "run_steps": [],
        }
        if "job" in related:
            shape["job"] = self.job(job)
        if "environment" in related:
            shape["environment"] = self.environment(project)
        if "run_steps" in related:
            shape["run_steps"] = [self.run_step(run, step, "debug_logs" in related) for step in run.steps]
        return shape

    def run_step(self, run: Run, step: Step, debug_logs: bool) -> dict[str, Any]:
        """A step, its log cut to the last lines unless ``debug_logs``."""
        log = self.archive.log(run.id, step.index)
        return {
            "id": run.id * 100 + step.index,
            "run_id": run.id,
            "account_id": self.world.account_id,
            "index": step.index,
            "name": step.name,
            "status": step.status,
            "status_humanized": _WORDS[step.status],
            "status_color": None,
            "started_at": step.started_at,
            "finished_at": step.finished_at,
            "created_at": step.started_at,
            "updated_at": step.finished_at,
            "duration": _lasted(step.started_at, step.finished_at),
            "logs": log,
            "debug_logs": log if debug_logs else "\n".join(log.splitlines()[-_LOG_LINES:]),
            "log_path": None,
            "debug_log_path": None,
        }


_NEVER = datetime(1, 1, 1, tzinfo=timezone.utc)


def moment(text: str | None) -> datetime:
    """A time as written in a run or a request; what has no time yet comes before all others."""
    if text is None:
        return _NEVER
    found = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace(" ", "+"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _lasted(since: str | None, until: str | None) -> str:
    if not since or not until:
        return "00:00:00"
    return str(timedelta(seconds=int((moment(until) - moment(since)).total_seconds()))).rjust(8, "0")
