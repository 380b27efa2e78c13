from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from da_agent_hub.adapters.dbt_cloud import DbtCloudRuns
from da_agent_hub.adapters.dbt_cloud_api import (
    DbtCloudApi,
    DbtCloudError,
    DbtCloudRefusedError,
    DbtCloudUnavailableError,
    normalised_host,
)
from da_agent_hub.config import DbtCloudSource
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.run_failures import failures_of
from da_agent_hub_tests.fakes.scripted_server import Answer, ScriptedServer

TOKEN = "dbtc_very-secret"
SINCE = datetime(2026, 11, 1, 6, 30, tzinfo=timezone.utc)
UNTIL = SINCE + timedelta(days=1)
ACCOUNT = "/api/v2/accounts/42"


@pytest.fixture
def cloud() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def runs_of(cloud: ScriptedServer, directory: Path, **settings: Any) -> DbtCloudRuns:
    source = DbtCloudSource(
        type="dbt_cloud", host=f"{cloud.url}/", account_id=42, token=SecretStr(TOKEN), project_id=5, **settings
    )
    return DbtCloudRuns(source, directory, api=DbtCloudApi(source.host, 42, TOKEN, backoff=0.01))


def listed(*runs: dict[str, Any], total: int | None = None) -> Answer:
    total = len(runs) if total is None else total
    return Answer.of({"data": list(runs), "extra": {"pagination": {"count": len(runs), "total_count": total}}})


def cloud_run(
    number: int, *, status: int = 10, steps: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    finished = SINCE + timedelta(minutes=number)
    return {
        "id": number,
        "project_id": 5,
        "job_definition_id": 7,
        "status": status,
        "git_sha": "a" * 40,
        "git_branch": "main",
        "started_at": str(finished - timedelta(minutes=10)),
        "finished_at": str(finished),
        "trigger": {"cause_category": "scheduled"},
        "job": {"name": "nightly"},
        "environment": {"name": "Production"},
        "run_steps": steps or [],
        **more,
    }


def step(index: int, command: str, *, status: int = 10, log: str = "", number: int = 1) -> dict[str, Any]:
    finished = SINCE + timedelta(minutes=number)
    begun = finished - timedelta(minutes=10) + timedelta(minutes=index)
    return {
        "index": index,
        "name": f"Invoke dbt with `{command}`" if command.startswith("dbt") else command,
        "status": status,
        "logs": log,
        "started_at": begun.isoformat(),
        "finished_at": (begun + timedelta(minutes=1)).isoformat(),
    }


def results(index: int, invocation: str, statuses: dict[str, str], *, which: str = "build", number: int = 1) -> Answer:
    written = SINCE + timedelta(minutes=number - 10 + index, seconds=50)
    return Answer.of(
        {
            "metadata": {"invocation_id": invocation, "generated_at": written.isoformat().replace("+00:00", "Z")},
            "args": {"which": which},
            "results": [{"unique_id": one, "status": said, "message": ""} for one, said in statuses.items()],
        }
    )


def serve(cloud: ScriptedServer, run: dict[str, Any], artifacts: dict[str, Answer]) -> None:
    cloud.answers[f"{ACCOUNT}/runs/{run['id']}/"] = [Answer.of({"data": run})]
    for name, answer in artifacts.items():
        cloud.answers[f"{ACCOUNT}/runs/{run['id']}/artifacts/{name}"] = [answer]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("cloud.getdbt.com", "https://cloud.getdbt.com"),
        ("https://ab123.us1.dbt.com//", "https://ab123.us1.dbt.com"),
        ("https://emea.dbt.com/api/v2/", "https://emea.dbt.com"),
        ("emea.dbt.com/api/v3/accounts/1/", "https://emea.dbt.com"),
        ("https://AU.dbt.com", "https://au.dbt.com"),
        ("dbt.acme.example:8443/", "https://dbt.acme.example:8443"),
        ("https://someone:secret@cloud.getdbt.com", "https://cloud.getdbt.com"),
        (" http://127.0.0.1:8000/ ", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_hosts_are_taken_as_people_write_them(written: str, meant: str) -> None:
    assert normalised_host(written) == meant


@pytest.mark.parametrize("written", ["", "https://", "ftp://cloud.getdbt.com", "http://cloud.getdbt.com", "a:b:c"])
def test_a_host_that_is_none_or_would_get_the_token_unencrypted_is_refused(written: str) -> None:
    with pytest.raises(DbtCloudError, match="host"):
        normalised_host(written)


def test_the_listing_asks_for_a_range_of_finish_times_page_by_page_and_leaves_ci_out(
    cloud: ScriptedServer, tmp_path: Path
) -> None:
    ci = cloud_run(3, trigger={"cause_category": "ci"})
    late = cloud_run(3000)
    cloud.answers[f"{ACCOUNT}/runs/"] = [
        listed(cloud_run(1), cloud_run(2, status=20), total=5),
        listed(ci, cloud_run(4, status=30), late, total=5),
    ]
    found = runs_of(cloud, tmp_path).finished_runs("shop", SINCE, UNTIL)
    assert [(one.run_id, one.status) for one in found] == [("1", "success"), ("2", "error"), ("4", "cancelled")]
    first, second = cloud.asked
    begin, end = (datetime.fromisoformat(one) for one in json.loads(first.query["finished_at__range"]))
    assert (SINCE - begin, end - UNTIL) == (timedelta(minutes=30), timedelta(minutes=30))
    assert (first.query["project_id"], first.query["order_by"]) == ("5", "finished_at")
    assert (first.query["offset"], second.query["offset"]) == ("0", "2")
    assert first.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, ["1", "2", "3"]),
        ({"job_ids": [7, 8]}, ["1", "2"]),
        ({"environment_ids": [9]}, ["1", "3"]),
        ({"environment_ids": [9], "job_ids": [8]}, []),
    ],
)
def test_a_listing_is_asked_for_once_whatever_jobs_and_environments_the_settings_name(
    cloud: ScriptedServer, tmp_path: Path, settings: dict[str, Any], wanted: list[str]
) -> None:
    runs = [
        cloud_run(1, environment_id=9),
        cloud_run(2, job_definition_id=8, environment_id=10),
        cloud_run(3, job_definition_id=11, environment_id=9),
        cloud_run(4, project_id=6, environment_id=9),
    ]
    cloud.answers[f"{ACCOUNT}/runs/"] = [listed(*runs)]
    found = runs_of(cloud, tmp_path, **settings).finished_runs("shop", SINCE, UNTIL)
    assert [one.run_id for one in found] == wanted
    assert len(cloud.asked) == 1


def test_a_server_that_wants_the_range_as_two_parameters_gets_it_so_and_one_that_refuses_both_is_asked_anew(
    cloud: ScriptedServer, tmp_path: Path
) -> None:
    cloud.answers[f"{ACCOUNT}/runs/"] = [
        Answer.of({}, 422),
        Answer.of({}, 422),
        Answer.of({}, 422),
        listed(cloud_run(1)),
    ]
    runs = runs_of(cloud, tmp_path)
    with pytest.raises(DbtCloudError, match="answered 422"):
        runs.finished_runs("shop", SINCE, UNTIL)
    assert [one.run_id for one in runs.finished_runs("shop", SINCE - timedelta(days=1), UNTIL)] == ["1"]
    assert [one.query["finished_at__range"][0] for one in cloud.asked] == ["[", "2", "[", "2"]


def test_every_step_is_read_so_that_docs_generate_hides_no_failure(cloud: ScriptedServer, tmp_path: Path) -> None:
    steps = [
        step(1, "Clone git repository"),
        step(2, "dbt deps"),
        step(3, "dbt build --select +orders", status=20, log="failed"),
        step(4, "dbt docs generate"),
    ]
    run = cloud_run(1, status=20, steps=steps)
    docs = results(4, "two", {"model.shop.orders": "success"}, which="generate")
    build = results(3, "one", {"model.shop.orders": "error", "model.shop.items": "success"})
    serve(cloud, run, {"run_results.json": docs, "run_results.json?step=4": docs, "run_results.json?step=3": build})
    found = runs_of(cloud, tmp_path).read_run("shop", "1")
    assert [(one.unique_id, one.status) for _, one in found.results()] == [
        ("model.shop.orders", "error"),
        ("model.shop.items", "success"),
    ]
    assert (found.environment, found.job_name, found.git_branch, found.unread) == ("Production", "nightly", "main", ())
    assert {one.query.get("step") for one in cloud.asked if "artifacts" in one.path} == {"3"}


def test_a_generate_artifact_is_ignored_whatever_the_step_is_called(cloud: ScriptedServer, tmp_path: Path) -> None:
    run = cloud_run(1, steps=[step(1, "dbt --quiet run")])
    serve(cloud, run, {"run_results.json?step=1": results(1, "x", {"model.shop.a": "success"}, which="generate")})
    assert list(runs_of(cloud, tmp_path).read_run("shop", "1").results()) == []


def test_results_left_over_from_an_earlier_step_or_run_are_not_believed(cloud: ScriptedServer, tmp_path: Path) -> None:
    log = (
        "02:00:01  Encountered an error:\nCompilation Error\n"
        "  Model 'model.shop.orders' (models/orders.sql) depends on a node named 'nope' which was not found"
    )
    steps = [step(1, "dbt seed"), step(2, "dbt build", status=20, log=log), step(3, "dbt test", status=20, log=log)]
    seeds = results(1, "one", {"seed.shop.countries": "success"})
    yesterday = results(1 - 24 * 60, "zero", {"model.shop.orders": "success"})
    run = cloud_run(1, status=20, steps=steps)
    serve(
        cloud,
        run,
        {"run_results.json?step=1": seeds, "run_results.json?step=2": seeds, "run_results.json?step=3": yesterday},
    )
    found = runs_of(cloud, tmp_path).read_run("shop", "1")
    assert [one.unique_id for _, one in found.results()] == ["seed.shop.countries"]
    failure = failures_of(found, None)[0]
    assert (failure.kind, failure.step, failure.path) == (FailureKind.COMPILE, 2, "models/orders.sql")


def test_a_failed_step_whose_log_has_not_arrived_yet_is_said_so_that_the_run_is_read_again(
    cloud: ScriptedServer, tmp_path: Path
) -> None:
    run = cloud_run(1, status=20, steps=[step(1, "dbt build", status=20)])
    serve(cloud, run, {})
    found = runs_of(cloud, tmp_path).read_run("shop", "1")
    assert found.unread == (
        "Step 1 (Invoke dbt with `dbt build`) failed and has left neither an artifact nor a log yet.",
    )


def test_freshness_is_read_from_sources_json(cloud: ScriptedServer, tmp_path: Path) -> None:
    run = cloud_run(1, status=20, steps=[step(1, "dbt source freshness", status=20)])
    serve(
        cloud, run, {"sources.json?step=1": results(1, "one", {"source.shop.raw.orders": "error"}, which="freshness")}
    )
    found = runs_of(cloud, tmp_path).read_run("shop", "1")
    assert [one.kind for one in failures_of(found, None)] == [FailureKind.SOURCE_FRESHNESS]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b'{"metadata": {}, "resu'), "run_results.json is cut at byte 22"),
        (Answer(b"<!DOCTYPE html><html>Sign in</html>"), "an HTML or XML page"),
        (Answer(b"null"), "is null, where dbt writes an object"),
        (Answer(b'{"data": null}'), "no list of results"),
        (Answer(b""), "run_results.json is empty"),
        (Answer(b'{"metadata": {}}', truncated=True), "could not be reached"),
        (Answer.of({}, 403), "answered 403"),
    ],
)
def test_what_cannot_be_read_of_a_step_is_said_and_costs_the_other_steps_nothing(
    cloud: ScriptedServer, tmp_path: Path, answer: Answer, said: str
) -> None:
    run = cloud_run(1, status=20, steps=[step(1, "dbt build"), step(2, "dbt test", status=20)])
    good = results(2, "two", {"test.shop.t.a": "fail"}, which="test")
    serve(cloud, run, {"run_results.json?step=1": answer, "run_results.json?step=2": good})
    found = runs_of(cloud, tmp_path).read_run("shop", "1")
    assert len(found.unread) == 1
    assert said in found.unread[0]
    assert found.unread[0].startswith("Step 1")
    assert [one.unique_id for _, one in found.results()] == ["test.shop.t.a"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_by_itself_is_tried_again_as_long_as_was_asked(
    cloud: ScriptedServer, tmp_path: Path, status: int
) -> None:
    cloud.answers[f"{ACCOUNT}/runs/"] = [Answer.of({}, status, Retry_After="0"), listed(cloud_run(1))]
    assert len(runs_of(cloud, tmp_path).finished_runs("shop", SINCE, UNTIL)) == 1


def test_retry_after_is_waited_for(cloud: ScriptedServer, tmp_path: Path) -> None:
    cloud.answers[f"{ACCOUNT}/runs/"] = [Answer.of({}, 429, Retry_After="1"), listed()]
    begun = datetime.now(timezone.utc)
    runs_of(cloud, tmp_path).finished_runs("shop", SINCE, UNTIL)
    assert datetime.now(timezone.utc) - begun >= timedelta(seconds=1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_asked_once_and_its_error_says_the_next_step_but_never_the_token(
    cloud: ScriptedServer, tmp_path: Path, status: int
) -> None:
    cloud.answers[f"{ACCOUNT}/runs/"] = [Answer.of({"status": {"user_message": TOKEN}}, status)]
    with pytest.raises(DbtCloudError) as refused:
        runs_of(cloud, tmp_path).finished_runs("shop", SINCE, UNTIL)
    assert len(cloud.asked) == 1
    assert str(status) in str(refused.value)
    assert "Listing finished dbt runs of shop" in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert isinstance(refused.value, DbtCloudRefusedError) == (status != 404)


def test_an_outage_ends_after_a_few_tries_with_one_clear_error(cloud: ScriptedServer, tmp_path: Path) -> None:
    cloud.answers[f"{ACCOUNT}/runs/"] = [Answer.of({}, 503)]
    with pytest.raises(DbtCloudUnavailableError, match="answered 503"):
        runs_of(cloud, tmp_path).finished_runs("shop", SINCE, UNTIL)
    assert len(cloud.asked) == 4


def test_a_login_page_instead_of_the_api_is_told_as_a_wrong_host(cloud: ScriptedServer, tmp_path: Path) -> None:
    cloud.answers[f"{ACCOUNT}/runs/"] = [Answer(b"<html>Sign in</html>")]
    with pytest.raises(DbtCloudError, match="not JSON"):
        runs_of(cloud, tmp_path).finished_runs("shop", SINCE, UNTIL)


def test_an_artifact_is_asked_for_once_and_a_damaged_cache_file_is_read_again(
    cloud: ScriptedServer, tmp_path: Path
) -> None:
    run = cloud_run(1, steps=[step(1, "dbt build")])
    serve(cloud, run, {"run_results.json?step=1": results(1, "one", {"model.shop.a": "success"})})

    def asked() -> int:
        return sum("artifacts" in one.path for one in cloud.asked)

    first = runs_of(cloud, tmp_path).read_run("shop", "1")
    assert runs_of(cloud, tmp_path).read_run("shop", "1") == first
    assert asked() == 1
    kept = next(path for path in tmp_path.rglob("*.gz"))
    whole = kept.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not gzip", gzip.compress(b'{"results": [')):
        kept.write_bytes(damaged)
        assert runs_of(cloud, tmp_path).read_run("shop", "1") == first
    assert asked() == 5


def test_the_manifest_of_the_last_step_that_left_one_is_the_lineage(cloud: ScriptedServer, tmp_path: Path) -> None:
    run = cloud_run(1, steps=[step(1, "dbt build"), step(2, "dbt test")])
    manifest = {
        "metadata": {"project_name": "shop"},
        "nodes": {"model.shop.a": {"name": "a", "resource_type": "model"}},
    }
    serve(cloud, run, {"manifest.json?step=1": Answer.of(manifest), "manifest.json?step=2": Answer(b'{"nodes": {')})
    graph = runs_of(cloud, tmp_path).read_graph("shop", "1")
    assert graph
    assert list(graph.nodes) == ["model.shop.a"]
    serve(cloud, cloud_run(2, steps=[]), {})
    assert runs_of(cloud, tmp_path).read_graph("shop", "2") is None
