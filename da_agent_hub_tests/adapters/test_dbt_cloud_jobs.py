from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from da_agent_hub.adapters.dbt_cloud import DbtCloudRuns
from da_agent_hub.adapters.dbt_cloud_api import DbtCloudApi, DbtCloudError
from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.config import DbtCloudSource, ProjectSettings
from da_agent_hub.domain.window import Window
from da_agent_hub.stages.detect import detect
from da_agent_hub.stages.record import record_errors
from da_agent_hub_tests.fakes.scripted_server import Answer, ScriptedServer

TOKEN = "dbtc_very-secret"
ACCOUNT = "/api/v2/accounts/42"
JOBS, RUNS = f"{ACCOUNT}/jobs/", f"{ACCOUNT}/runs/"
NIGHTLY: dict[str, Any] = {
    "id": 7,
    "project_id": 5,
    "environment_id": 3,
    "name": "nightly",
    "state": 1,
    "job_type": "scheduled",
    "schedule": {"cron": "0 2 * * 0,1,2,3,4,5,6", "date": "every_day", "time": "at_exact_hours"},
    "triggers": {"schedule": True, "github_webhook": False},
    "environment": {"name": "Production"},
}


@pytest.fixture
def cloud() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def source_of(cloud: ScriptedServer, **settings: Any) -> DbtCloudSource:
    return DbtCloudSource(
        type="dbt_cloud", host=cloud.url, account_id=42, token=SecretStr(TOKEN), **{"project_id": 5, **settings}
    )


def runs_of(cloud: ScriptedServer, directory: Path, **settings: Any) -> DbtCloudRuns:
    source = source_of(cloud, **settings)
    return DbtCloudRuns(source, directory, api=DbtCloudApi(source.host, 42, TOKEN, backoff=0.01))


def listed(*entries: dict[str, Any], total: int | None = None) -> Answer:
    total = len(entries) if total is None else total
    return Answer.of({"data": list(entries), "extra": {"pagination": {"count": len(entries), "total_count": total}}})


def test_a_job_comes_with_its_schedule_its_environment_and_its_page(cloud: ScriptedServer, tmp_path: Path) -> None:
    cloud.answers[JOBS] = [listed(NIGHTLY)]
    (job,) = runs_of(cloud, tmp_path).jobs("shop")
    assert (job.job_id, job.name, job.environment) == ("7", "nightly", "Production")
    assert (job.cron, job.is_expected, job.schedule) == ("0 2 * * 0,1,2,3,4,5,6", True, "at 02:00 every day, UTC")
    assert job.url == f"{cloud.url}/deploy/42/projects/5/jobs/7"
    assert cloud.asked[0].query["project_id"] == "5"


@pytest.mark.parametrize(
    "changed",
    [
        {"state": 2},
        {"deactivated": True},
        {"triggers": {"schedule": False}},
        {"triggers": None},
        {"schedule": None},
        {"schedule": {"cron": ""}},
        {"schedule": {"cron": 5}},
    ],
)
def test_a_job_that_does_not_run_by_itself_is_not_expected(
    cloud: ScriptedServer, tmp_path: Path, changed: dict[str, Any]
) -> None:
    cloud.answers[JOBS] = [listed({**NIGHTLY, **changed})]
    assert [job.is_expected for job in runs_of(cloud, tmp_path).jobs("shop")] == [False]


def test_jobs_of_other_projects_environments_and_pull_requests_are_left_out(
    cloud: ScriptedServer, tmp_path: Path
) -> None:
    others = [{"id": 8, "project_id": 6}, {"id": 9, "environment_id": 4}, {"id": 10, "job_type": "ci"}, {"id": None}]
    cloud.answers[JOBS] = [listed(NIGHTLY, *({**NIGHTLY, **other} for other in others))]
    assert [job.job_id for job in runs_of(cloud, tmp_path, environment_ids=[3]).jobs("shop")] == ["7"]
    assert runs_of(cloud, tmp_path, job_ids=[11]).jobs("shop") == []


def test_all_pages_are_read_and_a_listing_with_a_hole_is_no_listing(cloud: ScriptedServer, tmp_path: Path) -> None:
    many = [{**NIGHTLY, "id": number} for number in range(1, 6)]
    cloud.answers[JOBS] = [listed(*many[:3], total=5), listed(*many[3:], total=5), listed(*many[:3], total=5)]
    assert [job.job_id for job in runs_of(cloud, tmp_path).jobs("shop")] == ["1", "2", "3", "4", "5"]
    with pytest.raises(DbtCloudError, match="counts 5 and gave 3"):
        runs_of(cloud, tmp_path).jobs("shop")


def test_runs_that_wait_start_or_run_tell_which_jobs_are_going(cloud: ScriptedServer, tmp_path: Path) -> None:
    runs = [{"id": number, "job_definition_id": number * 10, "status": number} for number in (1, 2, 3, 10)]
    cloud.answers[RUNS] = [listed(*runs)]
    source = runs_of(cloud, tmp_path)
    assert source.going_jobs("shop") == {"10", "20", "30"}
    assert source.going_jobs("shop") == {"10", "20", "30"}
    assert len(cloud.asked) == 1
    assert all(number in cloud.asked[0].query["status__in"] for number in "123")


def test_a_night_without_a_run_is_found_over_http_and_a_token_that_may_not_list_jobs_is_said(
    cloud: ScriptedServer, tmp_path: Path
) -> None:
    project = ProjectSettings(name="shop", repo="acme/shop", source=source_of(cloud))
    store = open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")
    forbidden = Answer.of({"status": {"code": 403, "user_message": "Forbidden"}}, 403)
    cloud.answers[RUNS] = [listed()]
    cloud.answers[JOBS] = [forbidden, listed(NIGHTLY)]

    def morning(day: int) -> tuple[str, ...]:
        now = datetime(2026, 11, day, 6, 31, tzinfo=timezone.utc)
        window = Window.of(f"2026-11-{day - 1}")
        return detect(project, runs_of(cloud, tmp_path), store, window, now=now).unread

    (said,) = morning(20)
    assert said.startswith("The schedules of the jobs: ")
    assert "403" in said
    assert [morning(day) for day in (21, 22)] == [(), ()]
    (record,) = record_errors(project, store)
    assert record.latest.message.startswith("Job nightly (at 02:00 every day, UTC) has not finished a run since")
    assert record.latest.run_url == f"{cloud.url}/deploy/42/projects/5/jobs/7"
    store.close()
