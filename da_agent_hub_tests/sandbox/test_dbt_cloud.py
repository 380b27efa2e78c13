"""dbt Cloud's Admin API over real HTTP, over a made world."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pytest
import requests

from da_agent_hub.sandbox.dbt_worker import DbtWorker
from da_agent_hub.sandbox.history import git
from da_agent_hub.sandbox.server import SandboxServer
from da_agent_hub.sandbox.vocabulary import Branch
from da_agent_hub.sandbox.world import World, WorldIncident, WorldProject

pytestmark = pytest.mark.slow


@dataclass
class Api:
    world: World
    server: SandboxServer

    def ask(self, path: str, method: str = "GET", token: str | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Token {token or self.world.dbt_cloud_token}"}
        url = f"{self.server.url}/api/v2/accounts/{self.world.account_id}{path}"
        return requests.request(method, url, headers=headers, timeout=30, **options)

    def read(self, path: str, **params: Any) -> Any:
        answer = self.ask(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def trigger(self, job: int, **body: Any) -> dict[str, Any]:
        answer = self.ask(f"/jobs/{job}/run/", "POST", json={"cause": "asked by a test", **body})
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()["data"]
        return run

    def finished(self, run: int, within: float = 180) -> dict[str, Any]:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.read(f"/runs/{run}/", include_related="run_steps")
            if found["is_complete"]:
                return found
            time.sleep(0.1)
        raise AssertionError(f"run {run} did not finish")


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[Api]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with SandboxServer(world.home, port) as server:
        yield Api(world, server)


def test_no_token_or_a_wrong_one_is_401_with_the_reason(api: Api) -> None:
    bare = requests.get(f"{api.server.url}/api/v2/accounts/{api.world.account_id}/runs/", timeout=5)
    wrong = api.ask("/runs/", token="nope")
    for answer in (bare, wrong):
        assert answer.status_code == 401
        assert answer.json()["status"]["code"] == 401
        assert answer.json()["status"]["user_message"]


def test_bearer_is_a_token_too(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.world.dbt_cloud_token}"}
    assert requests.get(f"{api.server.url}/api/v2/accounts/", headers=headers, timeout=5).status_code == 200


@pytest.mark.parametrize("path", ["/runs", "/runs/1/", "/jobs/1/", "/nothing/", "/runs/1/artifacts/manifest.json"])
def test_what_is_not_there_is_404_in_the_same_envelope(api: Api, path: str) -> None:
    answer = api.ask(path)
    assert answer.status_code == 404
    assert answer.json()["status"] | {"user_message": ""} == {
        "code": 404, "is_success": False, "user_message": "", "developer_message": "",
    }  # fmt: skip


def test_another_account_is_404(api: Api) -> None:
    headers = {"Authorization": f"Token {api.world.dbt_cloud_token}"}
    assert requests.get(f"{api.server.url}/api/v2/accounts/1/runs/", headers=headers, timeout=5).status_code == 404


def test_pages_of_runs_add_up_to_all_of_them_in_order(api: Api) -> None:
    first = api.ask("/runs/", params={"order_by": "-finished_at", "limit": 10}).json()
    total = first["extra"]["pagination"]["total_count"]
    found = [
        run["finished_at"]
        for offset in range(0, total, 10)
        for run in api.read("/runs/", order_by="-finished_at", limit=10, offset=offset)
    ]
    assert len(found) == total >= 37
    assert found == sorted(found, reverse=True)


def test_runs_are_filtered_by_project_job_environment_status_and_time(api: Api) -> None:
    project = api.world.projects[1]
    mine = api.read("/runs/", project_id=project.dbt_cloud_project_id)
    assert {run["project_id"] for run in mine} == {project.dbt_cloud_project_id}
    assert mine == api.read("/runs/", environment_id=project.environment_id)
    nightly = api.read("/runs/", job_definition_id=project.job_ids[0])
    assert {run["job_definition_id"] for run in nightly} == {project.job_ids[0]}
    for params in ({"status": 20}, {"status__in": "[20]"}, {"status__in": "20"}):
        assert {run["status"] for run in api.read("/runs/", **params)} == {20}
    both = api.read("/runs/", status__in="[10,20,30]", project_id=project.dbt_cloud_project_id)
    assert len(both) == len(mine)
    since, until = nightly[3]["finished_at"], nightly[5]["finished_at"]
    window = api.read("/runs/", job_definition_id=project.job_ids[0], finished_at__range=json.dumps([since, until]))
    assert [run["id"] for run in window] == [run["id"] for run in nightly[3:6]]


@pytest.mark.parametrize(
    "params",
    [{"limit": 101}, {"limit": 0}, {"order_by": "name"}, {"finished_at__range": "yesterday"}, {"status": "bad"}],
)
def test_a_wrong_parameter_is_400(api: Api, params: dict[str, Any]) -> None:
    assert api.ask("/runs/", params=params).status_code == 400


@pytest.mark.parametrize("related", ['["run_steps","job"]', "run_steps,job"])
def test_steps_come_with_logs_when_asked_for_as_json_or_with_commas(api: Api, related: str) -> None:
    project = api.world.projects[0]
    run = api.read("/runs/", job_definition_id=project.job_ids[0])[0]
    assert run["run_steps"] == []
    assert run["trigger"]["cause_category"] == "scheduled"
    assert len(run["git_sha"]) == 40
    assert str(run["id"]) in run["href"]
    found = api.read(f"/runs/{run['id']}/", include_related=related)
    assert [step["index"] for step in found["run_steps"]] == [1, 2, 3, 4, 5]
    assert found["run_steps"][3]["name"] == "Invoke dbt with `dbt build`"
    assert "Finished running" in found["run_steps"][3]["logs"]
    assert found["job"]["name"] == "Nightly build"


def test_without_a_step_artifacts_are_those_of_the_last_one(api: Api) -> None:
    run = api.read("/runs/", job_definition_id=api.world.projects[0].job_ids[0])[0]["id"]

    def which(**params: Any) -> str:
        return str(api.ask(f"/runs/{run}/artifacts/run_results.json", params=params).json()["args"]["which"])

    assert which() == "generate"
    assert which(step=4) == "build"
    assert "catalog.json" in api.read(f"/runs/{run}/artifacts/")
    assert "sources.json" in api.read(f"/runs/{run}/artifacts/", step=3)
    assert api.read(f"/runs/{run}/artifacts/", step=1) is None


def test_the_address_of_a_run_is_a_page_that_says_what_each_step_printed(api: Api) -> None:
    (failed, *_) = api.read("/runs/", status=20, limit=1)
    steps = api.read(f"/runs/{failed['id']}/", include_related="run_steps")["run_steps"]
    page = requests.get(f"{api.server.url}{failed['href']}", timeout=10)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(escape(step["name"]) in page.text for step in steps)
    assert f"/commit/{failed['git_sha']}" in page.text
    for known, absent in ((f"runs/{failed['id']}", "runs/1"), (f"projects/{failed['project_id']}", "projects/1")):
        elsewhere = failed["href"].replace(known, absent)
        assert requests.get(f"{api.server.url}{elsewhere}", timeout=10).status_code == 404


def test_projects_environments_and_jobs_belong_together(api: Api) -> None:
    projects = {one["id"]: one for one in api.read("/projects/")}
    for project in api.world.projects:
        found = projects[project.dbt_cloud_project_id]
        assert found["name"] == project.name
        assert (found["dbt_project_subdirectory"] or ".") == project.dbt_directory
        jobs = api.read("/jobs/", project_id=project.dbt_cloud_project_id)
        assert [job["id"] for job in jobs] == list(project.job_ids)
        assert jobs[0] == api.read(f"/jobs/{project.job_ids[0]}/")
        environments = api.read("/environments/", project_id=project.dbt_cloud_project_id)
        assert [one["name"] for one in environments] == [project.environment_name]
        assert api.read(f"/environments/{project.environment_id}/") == environments[0]


def test_a_run_needs_a_cause(api: Api) -> None:
    answer = api.ask(f"/jobs/{api.world.projects[0].job_ids[0]}/run/", "POST", json={})
    assert answer.status_code == 400
    assert answer.json()["data"] == {"cause": ["This field is required."]}


def test_a_triggered_run_is_queued_at_once_and_runs_on_main_as_it_is(api: Api) -> None:
    project = api.world.projects[1]
    begun = time.monotonic()
    run = api.trigger(project.job_ids[0])
    assert time.monotonic() - begun < 5
    assert run["status"] == 1
    done = api.finished(run["id"])
    assert done["git_sha"] == git(api.world.place(project).repository, "rev-parse", "main")
    assert done["trigger"]["cause"] == "asked by a test"
    failed = {node for node, status in statuses(api, done["id"]).items() if status in ("error", "fail")}
    assert failed == {one.node for one in api.world.incidents if one.project == project.name and one.active}


def test_other_steps_can_be_asked_for(api: Api) -> None:
    project = api.world.projects[1]
    run = api.finished(api.trigger(project.job_ids[0], steps_override=["dbt parse"])["id"])
    assert [step["name"] for step in run["run_steps"][2:]] == ["Invoke dbt with `dbt parse`"]
    assert run["status"] == 10


def test_a_run_that_waits_can_be_cancelled_and_never_starts(api: Api) -> None:
    job = api.world.projects[1].job_ids[0]
    first, second = api.trigger(job)["id"], api.trigger(job)["id"]
    assert api.ask(f"/runs/{second}/cancel/", "POST").json()["data"]["status"] == 30
    api.finished(first)
    assert api.read(f"/runs/{second}/")["status"] == 30
    assert api.ask(f"/runs/{second}/cancel/", "POST").status_code == 400


def test_a_run_that_was_killed_with_the_server_is_done_after_the_next_start(api: Api) -> None:
    project = api.world.projects[0]
    run = api.trigger(project.job_ids[0])["id"]
    deadline = time.monotonic() + 60
    while api.read(f"/runs/{run}/")["status"] != 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = api.server.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    api.server.stop()
    api.server.start()
    done = api.finished(run)
    assert done["status"] in (10, 20)
    assert [step["index"] for step in done["run_steps"]] == [1, 2, 3, 4, 5]
    assert len(api.read("/runs/", pk=run)) == 1


def statuses(api: Api, run: int) -> dict[str, str]:
    """Node names to statuses, of every step that ran nodes; docs say success of what they did not run."""
    found: dict[str, str] = {}
    for step in api.read(f"/runs/{run}/", include_related="run_steps")["run_steps"]:
        if "dbt build" in step["name"]:
            answer = api.ask(f"/runs/{run}/artifacts/run_results.json", params={"step": step["index"]})
            found |= {one["unique_id"].split(".")[2]: one["status"] for one in answer.json()["results"]}
    return found


def test_the_repository_holds_a_safe_fix_for_each_incident_that_promises_one(api: Api, tmp_path: Path) -> None:
    for project in api.world.projects:
        promised = [one for one in api.world.incidents if one.project == project.name and one.fixable and one.active]
        assert promised
        checkout = tmp_path / project.name
        repository = api.world.place(project).repository
        git(tmp_path, "clone", "--quiet", str(repository), str(checkout))
        git(checkout, "config", "user.name", "Somebody")
        git(checkout, "config", "user.email", "somebody@acme.example")
        for incident in promised:
            repair(api, project, incident, checkout)
        git(checkout, "push", "--quiet", "origin", "main")
        found = statuses(api, api.finished(api.trigger(project.job_ids[0])["id"])["id"])
        assert {one.node: found[one.node] for one in promised if found[one.node] not in ("pass", "success")} == {}


def repair(api: Api, project: WorldProject, incident: WorldIncident, checkout: Path) -> None:
    """What a careful colleague would do."""
    if incident.culprit_sha:
        git(checkout, "revert", "--no-edit", incident.culprit_sha)
        return
    path = checkout / project.dbt_directory / incident.path
    told = api.world.told(project)
    table = path.stem.removeprefix("stg_")
    branch: Branch = next(one for one in told.domain.branches if one.table.name == table)
    text = path.read_text()
    if incident.kind == "duplicate_load":
        latest = f"\nqualify row_number() over (partition by {branch.table.key} order by loaded_at desc) = 1\n"
        path.write_text(text.rstrip("\n") + latest)
    else:
        rename = next(one for one in told.upstream if one.kind == "rename")
        alone = rename.column == branch.measure
        path.write_text(text.replace(rename.column, f"{rename.value} as {rename.column}" if alone else rename.value, 1))
    git(checkout, "commit", "--quiet", "--all", "--message", f"Repair {incident.path}")


def test_a_warm_worker_lets_go_of_the_database_and_ends_on_request(api: Api, tmp_path: Path) -> None:
    import duckdb

    project = api.world.projects[0]
    copy = tmp_path / "profiles"
    shutil.copytree(project.profiles_dir, copy)
    database = tmp_path / f"{project.name}.duckdb"
    shutil.copy(project.database, database)
    profile = copy / "profiles.yml"
    profile.write_text(profile.read_text().replace(project.database, str(database)))
    checkout = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", str(api.world.place(project).repository), str(checkout))
    worker = DbtWorker()
    try:
        done = worker.invoke("build", "--profiles-dir", str(copy), directory=checkout, environment={})
        assert done.exit_code in (0, 1), done.log
        duckdb.connect(str(database)).close()
    finally:
        worker.close()
