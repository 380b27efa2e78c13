"""The decisive experiment: build the failing node and what it needs, at some commit or with some patch, on today's data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..domain.dbt import GraphNode, ProjectGraph
from ..domain.investigation import FileChange
from ..ports import DbtResult
from .case_file import CaseFile
from .warehouse import count

PASSES, FAILS, ABSENT, BLOCKED, UNPARSED = "passes", "fails", "absent", "blocked", "does not parse"
_GOOD = {"success", "pass"}
_BAD = {"error", "fail", "runtime error", "partial success"}


@dataclass(frozen=True)
class Trial:
    """One build of the failing node.

    ``verdict`` is ``passes``, ``fails``, ``absent`` (the node is not there), ``blocked`` (something upstream of it
    failed: ``blocker``) or ``does not parse``. ``command`` and ``message`` are dbt's; ``rows`` counts the model's rows
    where it passes.
    """

    verdict: str
    command: str
    message: str
    result: DbtResult
    blocker: str | None = None
    node: str | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Scope:
    """What is built along: seeds and snapshots stay as production holds them unless their files changed.

    ``left_out`` are names of models that fail for causes of their own: their relations stay as production holds them.
    """

    seeds: bool = False
    snapshots: bool = False
    full_refresh: bool = False
    left_out: tuple[str, ...] = ()


class Experiment:
    """Builds of one node. Each starts from production's data."""

    def __init__(self, case: CaseFile, node: GraphNode, scope: Scope | None = None) -> None:
        self.case = case
        self.node = node
        self.scope = scope or Scope()

    def with_scope(self, **changes: bool) -> Experiment:
        """The same experiment with another scope."""
        return Experiment(self.case, self.node, replace(self.scope, **changes))  # type: ignore[arg-type]

    def without_model(self, name: str) -> Experiment:
        """The same experiment with one more model left as production holds it."""
        return Experiment(self.case, self.node, replace(self.scope, left_out=(*self.scope.left_out, name)))

    def at(self, sha: str, changes: Sequence[FileChange] = ()) -> Trial:
        """Check a commit out, apply a patch, build."""
        self.case.check_time()
        bench = self.case.bench
        bench.checkout(sha)
        if changes:
            bench.apply(changes)
        bench.reset_warehouse()
        trial = self._build(self.node)
        if trial.verdict == PASSES:
            trial = replace(trial, rows=self._rows())
        if trial.verdict == ABSENT and self.node.test is not None:
            # Generic tests carry their arguments in their name: the same assertion may have been called otherwise.
            twin = same_test(bench.graph(), self.node)
            if twin is not None and twin.unique_id != self.node.unique_id:
                trial = self._build(twin)
        return trial

    def _rows(self) -> int | None:
        graph = self.case.graph
        model = graph.get(self.node.test.attached_node) if self.node.test is not None else self.node
        return count(self.case, model.relation_name) if model is not None and model.relation_name else None

    def _build(self, node: GraphNode) -> Trial:
        arguments = ["build", "--select", f"+{selector(node)}", "--indirect-selection", "empty"]
        left_out = [
            kind for kind, built in (("seed", self.scope.seeds), ("snapshot", self.scope.snapshots)) if not built
        ]
        for kind in left_out:
            if node.resource_type != kind:
                arguments += ["--exclude-resource-type", kind]
        if self.scope.left_out:
            arguments += ["--exclude", *self.scope.left_out]
        if self.scope.full_refresh:
            arguments.append("--full-refresh")
        result = self.case.bench.dbt(*arguments)
        return self._judge(node, result)

    def _judge(self, node: GraphNode, result: DbtResult) -> Trial:
        command = result.command
        status = result.statuses.get(node.unique_id)
        failed = next((one for one, state in result.statuses.items() if state in _BAD and one != node.unique_id), None)
        if status is None:
            if failed is not None:
                return Trial(BLOCKED, command, result.messages.get(failed, ""), result, failed)
            absent = result.ok or re.search(
                r"does not match any enabled nodes|Nothing to do|No nodes selected", result.log
            )
            return Trial(ABSENT if absent else UNPARSED, command, last_lines(result.log), result)
        message = result.messages.get(node.unique_id, "")
        if status in _GOOD:
            return Trial(PASSES, command, message, result, node=node.unique_id)
        if status in _BAD:
            return Trial(FAILS, command, message, result, node=node.unique_id)
        if status == "warn":
            fails = self.case.record.latest.severity == "warn"
            return Trial(FAILS if fails else PASSES, command, message, result, node=node.unique_id)
        return Trial(BLOCKED, command, result.messages.get(failed or "", message), result, failed, node.unique_id)


def selector(node: GraphNode) -> str:
    """How dbt's ``--select`` names a node."""
    if node.resource_type == "source":
        return f"source:{node.name}"
    if node.resource_type == "unit_test":
        return node.name
    version = re.search(r"\.(v[^.]+)$", node.unique_id)
    return f"{node.name}.{version[1]}" if version and node.resource_type == "model" else node.name


def same_test(graph: ProjectGraph | None, node: GraphNode) -> GraphNode | None:
    """The test of another commit's lineage that asserts the same of the same column."""
    if graph is None or node.test is None or node.test.name == "singular":
        return None
    return next(
        (
            other
            for other in graph.nodes.values()
            if other.test is not None
            and (other.test.name, other.test.attached_node, other.test.column)
            == (node.test.name, node.test.attached_node, node.test.column)
        ),
        None,
    )


def last_lines(log: str, count: int = 25) -> str:
    """The end of a dbt log without its banner."""
    lines = [
        line
        for line in log.splitlines()
        if not re.match(r"Running with dbt|Registered adapter|Unable to do partial", line)
    ]
    return "\n".join(lines[-count:]).strip()
