"""One contract for every place that artifacts of dbt Core lie in: a disk, or object storage over real HTTP."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import fsspec
import pytest

from da_agent_hub.adapters.dbt_core import DbtCoreError, DbtCoreRuns
from da_agent_hub.config import DbtCoreSource
from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.record_building import build_records
from da_agent_hub.domain.run_failures import failures_of

NOW = datetime.now(timezone.utc)
RAN = NOW - timedelta(hours=2)
CUT = b'{"metadata": {"invocation_id": "x"}, "resu'
CLOSED = "12:00:09.000000 [debug] [MainThread]: Command `dbt build` failed at 12:00:09 after 3.1 seconds"
NO_PARSE = """\
12:00:01.000000 [error] [MainThread]: Encountered an error:
Compilation Error
  Model 'model.shop.orders' (models/orders.sql) depends on a node named 'stg_order' which was not found
"""


def invocation(number: int) -> str:
    return str(UUID(int=number))


def artifact(number: int, *statuses: str, at: datetime = RAN, which: str = "build", **changed: Any) -> bytes:
    metadata = {"invocation_id": invocation(number), "generated_at": at.isoformat(), "env": {}}
    kind = "source.shop.raw" if which == "freshness" else "model.shop"
    results = [{"unique_id": f"{kind}.m{one}", "status": said, "message": said} for one, said in enumerate(statuses)]
    return json.dumps(
        {"metadata": metadata, "results": results, "args": {"which": which, "target": "prod"}, **changed}
    ).encode()


def log(number: int, text: str) -> bytes:
    return f"============================== 12:00:00.000000 | {invocation(number)} ==============================\n{text}".encode()


@dataclass
class Place:
    """Somewhere that artifacts are written to, and the settings that read it."""

    url: str | Path
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, content: bytes) -> None:
        system, root = fsspec.core.url_to_fs(str(self.url), **self.options)
        system.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)  # noqa: PTH120
        system.pipe_file(f"{root}/{name}", content)

    def source(self, **changed: Any) -> DbtCoreRuns:
        source = DbtCoreSource(type="dbt_core", path=self.url, storage_options=self.options)
        # The files are as young as the test: to the hub they have lain there for a while.
        return DbtCoreRuns(source, **{"now": lambda: NOW + timedelta(hours=3), **changed})


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{port}"}
    server.stop()


@pytest.fixture(params=["disk", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return Place(tmp_path)
    if request.param == "file":
        return Place(tmp_path.as_uri())
    if request.param == "memory":
        return Place(f"memory://{tmp_path.name}-{os.getpid()}/runs")
    bucket = tmp_path.name.replace("_", "-").lower()[-60:].strip("-")
    options = request.getfixturevalue("s3")
    fsspec.filesystem("s3", **options).mkdir(bucket)
    return Place(f"s3://{bucket}/runs", options)


def every_run(source: DbtCoreRuns) -> list[DbtRun]:
    listed = source.finished_runs("shop", NOW - timedelta(days=1), NOW + timedelta(days=1))
    runs = [source.read_run("shop", one.run_id) for one in listed]
    assert [(one.run_id, one.status, one.finished_at) for one in listed] == [
        (one.run_id, one.status, one.finished_at) for one in runs
    ]
    return runs


def test_runs_in_folders_by_date_are_found_with_their_lineage(place: Place) -> None:
    nodes = {"model.shop.m0": {"name": "m0", "resource_type": "model"}}
    for day in (23, 24):
        place.write(f"2026/11/{day}/run-{day}/run_results.json", artifact(day, "error"))
        place.write(f"2026/11/{day}/run-{day}/manifest.json", json.dumps({"nodes": nodes}).encode())
    place.write("2026/11/24/run-24/compiled/shop/run_results.json", artifact(99, "error"))
    source = place.source()
    assert [run.run_id for run in every_run(source)] == [invocation(23), invocation(24)]
    graph = source.read_graph("shop", invocation(24))
    assert graph is not None
    assert list(graph.nodes) == ["model.shop.m0"]
    assert source.read_run("shop", "run-23").run_id == invocation(23)
    assert "2026/11/23/run-23" in source.read_run("shop", "run-23").url


def test_each_command_of_a_job_is_a_run_and_dbts_own_folders_may_be_kept(place: Place) -> None:
    place.write("one/target/run_results.json", artifact(1, "success", "error"))
    place.write("one/target/sources.json", artifact(2, "error", which="freshness", at=RAN - timedelta(minutes=5)))
    place.write("one/logs/dbt.log", log(1, CLOSED))
    assert [(run.steps[0].name, run.status) for run in every_run(place.source())] == [
        ("dbt source freshness", "error"),
        ("dbt build", "error"),
    ]


def test_an_invocation_that_was_copied_to_a_second_folder_counts_once(place: Place) -> None:
    for folder in ("b", "a"):
        place.write(f"{folder}/run_results.json", artifact(1, "error"))
    assert [run.run_id for run in every_run(place.source())] == [invocation(1)]


def test_a_file_that_was_cut_is_a_run_with_one_record_and_read_again_when_it_is_whole(place: Place) -> None:
    place.write("good/run_results.json", artifact(1, "success"))
    place.write("bad/run_results.json", CUT)
    place.write("bad/dbt.log", log(2, CLOSED))
    source = place.source()
    broken = next(run for run in every_run(source) if run.unread)
    assert broken.unread == (f"run_results.json is cut at byte {len(CUT)}",)
    (failure,) = failures_of(broken, None)
    assert failure.kind is FailureKind.UNREADABLE
    assert "run_results.json is cut at byte" in failure.message
    assert [record.error_class for record in build_records(every_run(source), None)] == ["unreadable_run"]
    place.write("bad/run_results.json", artifact(2, "error"))
    repaired = source.read_run("shop", broken.run_id)
    assert (repaired.unread, [one.status for _, one in repaired.results()]) == ((), ["error"])


def test_what_is_being_written_right_now_is_left_for_the_next_look(place: Place) -> None:
    place.write("whole/run_results.json", artifact(1, "error"))
    place.write("cut/run_results.json", CUT)
    place.write("running/dbt.log", log(3, NO_PARSE))
    place.write("aside.uploading/run_results.json", artifact(4, "error"))
    moment = [NOW]
    source = place.source(now=lambda: moment[0])
    assert [run.run_id for run in every_run(source)] == [invocation(1)]
    moment[0] = NOW + timedelta(hours=1)
    assert len(every_run(source)) == 3
    place.write("closed/dbt.log", log(5, f"{NO_PARSE}{CLOSED}\n"))
    moment[0] = NOW
    assert invocation(5) in [run.run_id for run in every_run(place.source(now=lambda: moment[0]))]


def test_results_that_an_earlier_command_left_are_not_taken_for_those_of_one_that_could_not_parse(place: Place) -> None:
    place.write("run_results.json", artifact(1, "success"))
    place.write("dbt.log", log(2, f"{NO_PARSE}{CLOSED}\n"))
    before, failed = every_run(place.source())
    assert (before.run_id, before.status) == (invocation(1), "success")
    assert (failed.run_id, failed.status, failed.environment) == (invocation(2), "error", "prod")
    assert [one.kind for one in failures_of(failed, None)] == [FailureKind.COMPILE]


def test_a_marker_tells_job_commit_and_time_and_that_an_old_file_is_of_another_run(place: Place) -> None:
    marker = {
        "job": "nightly",
        "exit_code": 2,
        "started_at": (RAN + timedelta(hours=1)).isoformat(),
        "finished_at": (RAN + timedelta(minutes=70)).isoformat(),
        "environment": "production",
        "git_sha": "f" * 40,
        "url": "https://scheduler.example.com/runs/7",
    }
    place.write("7/run_results.json", artifact(1, "success"))
    place.write("7/run.json", json.dumps(marker).encode())
    (run,) = every_run(place.source())
    assert (run.job_name, run.environment, run.git_sha, run.url) == ("nightly", "production", "f" * 40, marker["url"])
    assert (run.status, list(run.results())) == ("error", [])
    assert "exit code 2" in failures_of(run, None)[0].message


@pytest.mark.parametrize("odd", [b"", b"no json", b"[]", b'{"exit_code": "two", "url": "javascript:x", "job": {}}'])
def test_a_marker_that_says_nothing_costs_nothing(odd: bytes, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("7/run_results.json", artifact(1, "error"))
    place.write("7/run.json", odd)
    (run,) = every_run(place.source())
    assert (run.job_name, run.url) == ("dbt Core", (tmp_path / "7").as_uri())


def test_where_markers_are_written_a_folder_without_one_is_waited_for_and_then_reported(place: Place) -> None:
    place.write("1/run_results.json", artifact(1, "success"))
    place.write("1/run.json", b'{"exit_code": 0}')
    place.write("2/manifest.json", b'{"nodes": {}}')
    assert [run.run_id for run in every_run(place.source(now=lambda: NOW))] == [invocation(1)]
    killed = next(run for run in every_run(place.source()) if run.run_id != invocation(1))
    assert killed.unread == ("the folder holds no run.json: its upload was cut short",)
    assert [one.kind for one in failures_of(killed, None)] == [FailureKind.UNREADABLE]


def test_a_retry_runs_what_it_runs_and_says_nothing_of_the_rest(place: Place) -> None:
    place.write("1/run_results.json", artifact(1, "error", "error"))
    retried = json.loads(artifact(2, "success", at=RAN + timedelta(minutes=9)))
    place.write("2/run_results.json", json.dumps(retried).encode())
    states = {one.node: one.state.value for one in build_records(every_run(place.source()), None)}
    assert states["model.shop.m1"] == "open"
    assert states["model.shop.m0"] != "open"


def test_an_unchanged_place_is_listed_and_not_read_again_also_by_the_next_process(place: Place, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    place.write("1/run_results.json", artifact(1, "error"))
    place.write("2/run_results.json", artifact(2, "success"))
    window = (NOW - timedelta(days=1), NOW + timedelta(days=1))
    first = place.source(memory=memory).finished_runs("shop", *window)
    kept = next((memory / "dbt_core").iterdir())
    # What is read again would differ from what was written here by hand.
    kept.write_text(kept.read_text().replace(invocation(1), invocation(77)))
    again = place.source(memory=memory)
    assert {one.run_id for one in again.finished_runs("shop", *window)} == {invocation(77), invocation(2)}
    place.write("1/run_results.json", artifact(3, "error", "success"))
    assert {one.run_id for one in again.finished_runs("shop", *window)} == {invocation(3), invocation(2)}
    kept.write_text("damaged")
    assert len(place.source(memory=memory).finished_runs("shop", *window)) == len(first)


def test_a_folder_that_is_gone_is_one_clear_error(place: Place) -> None:
    place.write("1/run_results.json", artifact(1, "error"))
    with pytest.raises(DbtCoreError, match="holds no run 42 any more"):
        place.source().read_run("shop", "42")


def test_a_place_without_artifacts_is_one_clear_error(place: Place) -> None:
    place.write("1/readme.txt", b"nothing")
    with pytest.raises(DbtCoreError, match="holds no dbt artifact"):
        place.source().finished_runs("shop", RAN, NOW)


def test_a_manifest_that_is_cut_is_said_and_not_taken_for_none(place: Place) -> None:
    place.write("1/run_results.json", artifact(1, "error"))
    place.write("1/manifest.json", b'{"nodes": {')
    with pytest.raises(DbtCoreError, match=r"manifest\.json is cut at byte 11"):
        place.source().read_graph("shop", invocation(1))


def test_a_store_that_cannot_be_reached_and_a_cloud_that_is_not_installed_say_what_to_do() -> None:
    nowhere = Place("s3://bucket/runs", {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(DbtCoreError, match="could not be listed"):
        nowhere.source().finished_runs("shop", RAN, NOW)
    if not any(spec in fsspec.available_protocols() for spec in ("abfs",)):
        pytest.fail("fsspec knows no Azure")
    try:
        import adlfs  # noqa: F401
    except ImportError:
        with pytest.raises(DbtCoreError, match=r"da-agent-hub\[azure\]"):
            Place("abfs://bucket/runs").source().finished_runs("shop", RAN, NOW)
