"""What dbt said: runs, steps, node results and the project graph, free of any vendor's payload shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any


class Outcome(str, Enum):
    """What a node's status means to the hub."""

    GOOD = "good"
    BAD = "bad"
    WARNED = "warned"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


_OUTCOMES = {
    "success": Outcome.GOOD,
    "pass": Outcome.GOOD,
    "error": Outcome.BAD,
    "fail": Outcome.BAD,
    "runtime error": Outcome.BAD,
    "partial success": Outcome.BAD,
    "warn": Outcome.WARNED,
    "skipped": Outcome.SKIPPED,
    "no-op": Outcome.SKIPPED,
    "reused": Outcome.SKIPPED,
}


@dataclass(frozen=True)
class NodeResult:
    """One node's result in one step of a dbt run.

    ``status`` is dbt's own word in lower case; ``failures`` counts the rows a test returned; ``seconds`` is
    execution time. ``code`` is a short digest of the compiled SQL, None where dbt tells none (a seed, an old dbt).
    """

    unique_id: str
    status: str
    message: str = ""
    failures: int | None = None
    compiled_sql: str | None = None
    relation_name: str | None = None
    seconds: float | None = None
    code: str | None = None

    @property
    def outcome(self) -> Outcome:
        """The status as the hub understands it; a status that dbt adds later is ``UNKNOWN``, never an error."""
        return _OUTCOMES.get(self.status.lower(), Outcome.UNKNOWN)


@dataclass(frozen=True)
class Passed:
    """Nodes that simply went well in a step: unique ids, and beside each the digest of the code it ran."""

    unique_ids: tuple[str, ...] = ()
    codes: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class DbtStep:
    """One command of a dbt run: ``index`` is 1-based, ``status`` is success, error, cancelled or unknown.

    ``log`` is kept (its last 20,000 characters) only where the step failed or was cancelled; ``results`` is empty where dbt wrote no
    artifact of this invocation. A good result stands in ``results`` as it was read, or in ``passed`` once condensed.
    ``broken`` says, one sentence each, which artifacts of the step are there and are not what they should be.
    """

    index: int
    name: str
    status: str
    results: tuple[NodeResult, ...] = ()
    log: str = ""
    invocation_id: str | None = None
    passed: Passed = Passed()
    broken: tuple[str, ...] = ()

    @property
    def nodes(self) -> int:
        """How many nodes have a result."""
        return len(self.results) + len(self.passed.unique_ids)

    def condensed(self) -> DbtStep:
        """The same step with good results in ``passed``: of what went well, only that it did is ever asked."""
        good = [result for result in self.results if result.outcome is Outcome.GOOD]
        if not good:
            return self
        return replace(
            self,
            results=tuple(result for result in self.results if result.outcome is not Outcome.GOOD),
            passed=Passed(
                (*self.passed.unique_ids, *(result.unique_id for result in good)),
                (*self.passed.codes, *(result.code for result in good)),
            ),
        )


@dataclass(frozen=True)
class DbtRun:
    """One finished dbt run of a monitored project; times are aware UTC.

    ``status`` is success, error or cancelled. ``unread`` says, one sentence each, what of the run could not be read.
    ``status_message`` is what the scheduler said of the run as a whole, such as why it never began.
    """

    project: str
    environment: str
    job_id: str
    job_name: str
    run_id: str
    url: str
    status: str
    finished_at: datetime
    started_at: datetime | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    steps: tuple[DbtStep, ...] = ()
    unread: tuple[str, ...] = ()
    status_message: str = ""

    def condensed(self) -> DbtRun:
        """The same run with each step condensed."""
        return replace(self, steps=tuple(step.condensed() for step in self.steps))

    def results(self) -> Iterator[tuple[DbtStep, NodeResult]]:
        """Every node result with its step, in the order dbt ran them; of a condensed run those that were not good."""
        for step in self.steps:
            for result in step.results:
                yield step, result


@dataclass(frozen=True)
class Owner:
    """Who answers for a node: from a dbt group, ``meta.owner`` or an exposure; ``github`` is a login where known.

    ``exposure`` is the name of the exposure downstream that told the owner, None where it is the node's own.
    """

    name: str
    email: str | None = None
    github: str | None = None
    exposure: str | None = None


@dataclass(frozen=True)
class TestSpec:
    """What a data test asserts: ``name`` is the generic test's name, or ``singular``."""

    __test__ = False  # pytest would collect it by its name

    name: str
    attached_node: str | None = None
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: str = "error"


@dataclass(frozen=True)
class GraphNode:
    """One node of a dbt manifest: model, seed, snapshot, test, unit_test, source, exposure or operation.

    ``path`` is relative to the dbt project; ``depends_on`` holds unique ids; ``columns`` are the documented ones;
    ``loader`` is what a source says it is loaded by.
    """

    unique_id: str
    name: str
    resource_type: str
    package: str = ""
    path: str = ""
    relation_name: str | None = None
    database: str | None = None
    schema: str | None = None
    depends_on: tuple[str, ...] = ()
    depends_on_macros: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    group: str | None = None
    owner: Owner | None = None
    description: str = ""
    materialized: str | None = None
    columns: tuple[str, ...] = ()
    raw_sql: str = ""
    test: TestSpec | None = None
    url: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    loader: str = ""


@dataclass(frozen=True)
class ProjectGraph:
    """The lineage of one dbt project, by unique id."""

    project: str
    adapter_type: str
    nodes: Mapping[str, GraphNode]
    package: str = ""

    def get(self, unique_id: str | None) -> GraphNode | None:
        """The node, or None where the manifest does not hold it."""
        return self.nodes.get(unique_id) if unique_id else None

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Direct children of each node."""
        children: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.depends_on:
                children.setdefault(parent, []).append(node.unique_id)
        return {parent: tuple(sorted(found)) for parent, found in children.items()}

    def ancestors(self, unique_id: str) -> tuple[str, ...]:
        """Everything upstream of a node, nearest first."""
        return self._reach(unique_id, lambda one: self.nodes[one].depends_on if one in self.nodes else ())

    def descendants(self, unique_id: str) -> tuple[str, ...]:
        """Everything downstream of a node, nearest first."""
        return self._reach(unique_id, lambda one: self.children.get(one, ()))

    def _reach(self, start: str, neighbours: Any) -> tuple[str, ...]:
        seen: dict[str, None] = {}
        frontier = [start]
        while frontier:
            following = []
            for one in frontier:
                for neighbour in neighbours(one):
                    if neighbour not in seen and neighbour != start:
                        seen[neighbour] = None
                        following.append(neighbour)
            frontier = following
        return tuple(seen)
