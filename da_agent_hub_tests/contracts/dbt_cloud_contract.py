"""What the hub's dbt Cloud adapter and any server that passes for dbt Cloud owe each other."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from pydantic import SecretStr

from da_agent_hub.adapters.dbt_cloud import DbtCloudRuns, listing_of
from da_agent_hub.config import DbtCloudSource
from da_agent_hub.domain.dbt import DbtRun
from da_agent_hub.ports import DbtRunSummary

from .prism import DESCRIPTION

_REQUEST = re.compile(r'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1.1" (?P<status>\d+)')
# Enough to meet green, failed and freshness runs of a large world.
_READ = 12


@dataclass(frozen=True)
class CloudServer:
    """A server with at least one finished run of ``project_id`` that left results, in ``[since, until)``."""

    url: str
    account_id: int
    token: str
    project_id: int
    since: datetime
    until: datetime

    def source(self, project_id: int | None = None) -> DbtCloudSource:
        return DbtCloudSource(
            type="dbt_cloud",
            host=f"{self.url}/",
            account_id=self.account_id,
            token=SecretStr(self.token),
            project_id=project_id or self.project_id,
        )

    def runs(self, directory: Path) -> DbtCloudRuns:
        return DbtCloudRuns(self.source(), directory)


@dataclass
class Requests:
    """Requests that really went out, as the HTTP library logged them: (method, target, status)."""

    sent: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [urlsplit(target).path for _, target, _ in self.sent]


class _Recording(logging.Handler):
    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self.requests = requests

    def emit(self, record: logging.LogRecord) -> None:
        found = _REQUEST.search(record.getMessage())
        if found:
            self.requests.sent.append((found["method"], found["target"], int(found["status"])))


@contextmanager
def recorded() -> Iterator[Requests]:
    """The requests sent inside."""
    logger, requests = logging.getLogger("urllib3.connectionpool"), Requests()
    handler, level = _Recording(requests), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield requests
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class DbtCloudContract:
    """Subclasses bring the fixture ``cloud``."""

    @pytest.fixture
    def listed(self, cloud: CloudServer, tmp_path: Path) -> list[DbtRunSummary]:
        return list(cloud.runs(tmp_path).finished_runs("shop", cloud.since, cloud.until))

    @pytest.fixture
    def read(self, cloud: CloudServer, listed: list[DbtRunSummary], tmp_path: Path) -> list[DbtRun]:
        return [cloud.runs(tmp_path).read_run("shop", one.run_id) for one in listed[:_READ]]

    def test_finished_runs_come_once_oldest_first_and_within_their_range(
        self, cloud: CloudServer, listed: list[DbtRunSummary]
    ) -> None:
        assert listed
        assert [one.finished_at for one in listed] == sorted(one.finished_at for one in listed)
        assert len({one.run_id for one in listed}) == len(listed)
        assert all(cloud.since <= one.finished_at < cloud.until for one in listed)
        assert {one.status for one in listed} <= {"success", "error", "cancelled"}
        assert all(one.job_id and one.job_name and one.url.startswith("http") for one in listed)

    def test_a_range_without_its_end_leaves_out_what_finished_there(
        self, cloud: CloudServer, listed: list[DbtRunSummary], tmp_path: Path
    ) -> None:
        last = listed[-1].finished_at
        before = cloud.runs(tmp_path).finished_runs("shop", cloud.since, last)
        assert [one.run_id for one in before] == [one.run_id for one in listed if one.finished_at < last]

    def test_a_run_says_of_itself_what_the_listing_said(self, listed: list[DbtRunSummary], read: list[DbtRun]) -> None:
        said = [(run.run_id, run.job_id, run.job_name, run.status, run.finished_at, run.url) for run in read]
        assert said == [
            (one.run_id, one.job_id, one.job_name, one.status, one.finished_at, one.url) for one in listed[:_READ]
        ]
        assert all(run.environment for run in read)

    def test_all_of_a_run_is_read_and_each_step_keeps_its_own_results(self, read: list[DbtRun]) -> None:
        assert [run.unread for run in read] == [()] * len(read)
        assert any(step.nodes for run in read for step in run.steps)
        for run in read:
            assert [step.index for step in run.steps] == sorted({step.index for step in run.steps})
            invocations = [step.invocation_id for step in run.steps if step.invocation_id]
            assert len(set(invocations)) == len(invocations)

    def test_a_run_with_results_left_the_lineage_of_its_nodes(
        self, cloud: CloudServer, read: list[DbtRun], tmp_path: Path
    ) -> None:
        run = next(run for run in read if any(True for _ in run.results()))
        graph = cloud.runs(tmp_path).read_graph("shop", run.run_id)
        assert graph is not None
        models = {result.unique_id for _, result in run.results() if result.unique_id.startswith("model.")}
        assert models <= set(graph.nodes)

    def test_a_read_run_is_the_same_when_read_again_and_downloads_nothing(
        self, cloud: CloudServer, read: list[DbtRun], tmp_path: Path
    ) -> None:
        with recorded() as requests:
            again = [cloud.runs(tmp_path).read_run("shop", run.run_id) for run in read]
        assert again == read
        downloads = [status for _, target, status in requests.sent if "/artifacts/" in target]
        assert set(downloads) <= {404}  # what is not there is asked for again

    def test_an_unchanged_poll_of_several_projects_is_one_request_and_downloads_nothing(
        self, cloud: CloudServer, tmp_path: Path
    ) -> None:
        sources = [cloud.source(), cloud.source(cloud.project_id + 1_000), cloud.source(cloud.project_id + 2_000)]
        listing = listing_of(sources[0], sources)
        projects = [DbtCloudRuns(source, tmp_path, listing=listing) for source in sources]

        def poll() -> list[list[str]]:
            now = datetime.now(timezone.utc)
            return [[run.run_id for run in one.finished_runs("any", cloud.since, now)] for one in projects]

        first = poll()
        assert first[0]
        for _ in range(3):
            with recorded() as requests:
                assert poll() == first
            assert [path.rsplit("/", 2)[-2:] for path in requests.paths] == [["runs", ""]]

    def test_jobs_and_which_of_them_run_are_asked_once_for_all_projects_of_an_account(
        self, cloud: CloudServer, tmp_path: Path
    ) -> None:
        sources = [cloud.source(), cloud.source(cloud.project_id + 1_000)]
        listing = listing_of(sources[0], sources)
        projects = [DbtCloudRuns(source, tmp_path, listing=listing) for source in sources]
        projects[0].going_jobs("any")  # which may have to learn how this server wants a list
        listing = listing_of(sources[0], sources, api=listing.api)
        projects = [DbtCloudRuns(source, tmp_path, listing=listing) for source in sources]
        with recorded() as requests:
            jobs, _ = ([*one.jobs("any")] for one in projects)
            going = [one.going_jobs("any") for one in projects]
        assert all(job.job_id and job.name and job.url.startswith("http") for job in jobs)
        assert len({job.job_id for job in jobs}) == len(jobs)
        assert going[0] == going[1]
        assert [path.rsplit("/", 2)[-2] for path in requests.paths] == ["jobs", "runs"]
        for method, target, status in requests.sent:
            parts = urlsplit(target)
            assert {name for name, _ in parse_qsl(parts.query)} <= (_parameters(method.lower(), parts.path) or set())
            assert status == 200

    def test_the_jobs_of_all_runs_are_known_with_their_schedules(
        self, cloud: CloudServer, listed: list[DbtRunSummary], tmp_path: Path
    ) -> None:
        jobs = {job.job_id: job for job in cloud.runs(tmp_path).jobs("shop")}
        assert {(one.job_id, one.job_name) for one in listed} <= {(job.job_id, job.name) for job in jobs.values()}
        assert any(job.cron for job in jobs.values())
        assert all(job.environment for job in jobs.values())

    def test_nothing_is_asked_that_the_description_does_not_know(self, cloud: CloudServer, tmp_path: Path) -> None:
        with recorded() as requests:
            runs = cloud.runs(tmp_path)
            runs.jobs("shop")
            runs.going_jobs("shop")
            for one in list(runs.finished_runs("shop", cloud.since, cloud.until))[:_READ]:
                runs.read_run("shop", one.run_id)
                runs.read_graph("shop", one.run_id)
        assert requests.sent
        for method, target, status in requests.sent:
            parts = urlsplit(target)
            known = _parameters(method.lower(), parts.path)
            assert known is not None, target
            assert {name for name, _ in parse_qsl(parts.query)} <= known, target
            assert status in (200, 404), target


@cache
def _description() -> dict[str, Any]:
    return yaml.safe_load(DESCRIPTION.read_text())


def _parameters(method: str, path: str) -> set[str] | None:
    """The query parameters of an operation, or None where there is none at that path."""
    for template, operations in _description()["paths"].items():
        parts = (r"\d+" if part.startswith("{") else re.escape(part) for part in template.split("/"))
        if method in operations and re.fullmatch("/".join(parts), path):
            named = [_resolved(one) for one in operations[method].get("parameters", [])]
            return {one["name"] for one in named if one["in"] == "query"}
    return None


def _resolved(parameter: dict[str, Any]) -> dict[str, Any]:
    found: Any = parameter
    for key in parameter.get("$ref", "").split("/")[1:]:
        found = _description()[key] if found is parameter else found[key]
    return found
