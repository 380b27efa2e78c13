"""A hub over a real SQLite store and a real Dagster instance, with dbt and GitHub from memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
from pydantic import SecretStr

from da_agent_hub.config import DbtCloudSource, GitHubSettings, HubSettings, ProjectSettings, StateSettings
from da_agent_hub.defs.build import build
from da_agent_hub.defs.hub import Hub
from da_agent_hub.domain.dbt import DbtRun, DbtStep, GraphNode, NodeResult, ProjectGraph
from da_agent_hub.domain.investigation import Ending, Evidence, Finding, Investigation, InvestigationCase
from da_agent_hub.domain.issue import RepoRef
from da_agent_hub.domain.tracker_error import Unanswered
from da_agent_hub_tests.fakes.dbt_source import FakeDbtSource
from da_agent_hub_tests.fakes.tracker import FakeTracker, Host

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
BOT = "hub-bot"


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **spans: float) -> None:
        self.now += timedelta(**spans)


@dataclass
class World:
    """``projects`` names each project with its mode."""

    folder: Path
    projects: Mapping[str, str] = field(default_factory=lambda: {"shop": "file"})
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.sources = {name: FakeDbtSource(graph=graph(name)) for name in self.projects}
        self.hosts = {name: Host(RepoRef("acme", name), {BOT: "write", "ann": "write"}) for name in self.projects}
        self.settings = HubSettings(
            projects=[project(name, mode) for name, mode in self.projects.items()],
            github=[GitHubSettings(token=SecretStr("ghp_0123456789abcdefghij"), bot_login=BOT)],
            state=StateSettings(url=SecretStr(f"sqlite:///{self.folder / 'hub.db'}")),
        )
        self.github = _EveryRepo({host.repo: FakeTracker(host, BOT) for host in self.hosts.values()})
        self.investigator = ScriptedInvestigator()
        self.bench = IdleBench()
        self.configure()

    def configure(self, **changes: object) -> None:
        """Start again with other settings; the store and the outside stay."""
        self.settings = self.settings.model_copy(update=changes)
        self.hub = Hub(
            self.settings,
            sources=lambda project: self.sources[project.name],
            trackers=lambda _: self.github,  # type: ignore[arg-type, return-value]
            workbenches=self.bench.opened,
            investigators=lambda _: self.investigator,
            clock=self.clock,
        )
        self.defs = build(self.settings, self.hub)

    def run(self, job: str, instance: dg.DagsterInstance, **options: object) -> dg.ExecuteInProcessResult:
        definition = self.defs.resolve_job_def(job)
        return definition.execute_in_process(instance=instance, raise_on_error=False, **options)  # type: ignore[arg-type]

    def tick(self, sensor: str, instance: dg.DagsterInstance) -> Sequence[dg.RunRequest]:
        """Evaluate a sensor as the daemon does, its dynamic partitions included."""
        repository = self.defs.get_repository_def()
        with (
            dg.build_sensor_context(
                instance=instance,
                instance_ref=instance.get_ref(),
                repository_def=repository,
                sensor_name=sensor,
                resources={"hub": self.hub},
            ) as context,
        ):
            found = repository.get_sensor_def(sensor).evaluate_tick(context)
        for request in found.dynamic_partitions_requests or []:
            instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        return found.run_requests or []

    def carry_out(self, sensor: str, job: str, instance: dg.DagsterInstance) -> Sequence[dg.ExecuteInProcessResult]:
        """Evaluate a sensor and run what it asks for, as the daemon does."""
        return [self.execute(job, request, instance) for request in self.tick(sensor, instance)]

    def execute(self, job: str, request: dg.RunRequest, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        return self.run(
            job,
            instance,
            tags={**request.tags, "dagster/run_key": str(request.run_key)},
            partition_key=request.partition_key,
            **({"asset_selection": request.asset_selection} if request.asset_selection else {}),
        )

    def issues(self, project: str = "shop") -> list[str]:
        """Titles of the project's issues with their states."""
        return [f"{issue.title} [{issue.state}]" for issue in self.hosts[project].issues.values()]


@dataclass
class ScriptedInvestigator:
    """Finds the same each time, after ``failures`` that raise."""

    name: str = "scripted"
    failures: int = 0
    cases: list[InvestigationCase] = field(default_factory=list)

    def investigate(self, case: InvestigationCase, graph: object, bench: object) -> Investigation:
        self.cases.append(case)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("out of memory at token ghp_0123456789abcdefghij")
        return Investigation(
            Ending.ANSWERED,
            self.name,
            "The column <b>amount</b> was renamed upstream.",
            "code",
            evidence=(Evidence("E1", "the diff", "git show c0ffee", "-amount | amount_eur"),),
            findings=(Finding("renamed", "confirmed", ("E1",)),),
            needs_person="nobody wrote a change",
            cost_usd=0.25,
        )


@dataclass
class IdleBench:
    """A workbench that nothing is tried on; it counts how often it was opened, put back and closed."""

    opened_times: int = 0
    put_back: int = 0
    closed: int = 0

    @contextmanager
    def opened(self, _: ProjectSettings) -> Iterator[IdleBench]:
        self.opened_times += 1
        try:
            yield self
        finally:
            self.closed += 1

    def head(self) -> str:
        return "c0ffee"

    def checkout(self, sha: str) -> None:
        assert sha == "c0ffee"

    def reset_warehouse(self) -> None:
        self.put_back += 1


class _EveryRepo:
    """One host, several repositories; while it is ``away``, it answers nothing."""

    def __init__(self, trackers: Mapping[RepoRef, FakeTracker]) -> None:
        self._trackers = trackers
        self.away = False

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        def call(*args, **options):  # type: ignore[no-untyped-def]
            if self.away:
                raise Unanswered(name, None, "connection refused", "Try again.")
            repo = getattr(args[0], "repo", args[0]) if args else next(iter(self._trackers))
            return getattr(self._trackers[repo], name)(*args, **options)

        return call


def project(name: str, mode: str) -> ProjectSettings:
    return ProjectSettings(
        name=name,
        repo=f"acme/{name}",
        mode=mode,  # type: ignore[arg-type]
        source=DbtCloudSource(type="dbt_cloud", account_id=7, token=SecretStr("dbtc_0123456789abcdef")),
    )


def graph(name: str) -> ProjectGraph:
    nodes = [
        GraphNode(f"source.{name}.raw.orders", "orders", "source", name),
        GraphNode(f"model.{name}.stg", "stg", "model", name, depends_on=(f"source.{name}.raw.orders",)),
        GraphNode(f"model.{name}.orders", "orders", "model", name, depends_on=(f"model.{name}.stg",), group="sales"),
    ]
    return ProjectGraph(name, "duckdb", {node.unique_id: node for node in nodes}, name)


def dbt_run(run_id: str, finished_at: str, *, failing: str | None = None, project: str = "shop") -> DbtRun:
    """A run of all models; ``failing`` is the message with which ``orders`` failed."""
    status = "error" if failing else "success"
    results = (
        NodeResult(f"model.{project}.stg", "success"),
        NodeResult(f"model.{project}.orders", status, failing or ""),
    )
    return DbtRun(
        project=project,
        environment="production",
        job_id="1",
        job_name="nightly",
        run_id=run_id,
        url=f"https://cloud.getdbt.com/runs/{run_id}",
        status=status,
        finished_at=datetime.fromisoformat(f"{finished_at}:00+00:00"),
        git_sha="c0ffee",
        steps=(DbtStep(1, "dbt build", status, results),),
    )


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """A real one, in a folder of its own: dynamic partitions of a tick need it to be found again by reference."""
    with dg.instance_for_test() as instance:
        yield instance
