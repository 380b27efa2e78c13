"""Whether a patch mends what failed and breaks nothing: the same dbt commands without and with it, on the same data."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..domain.dbt import GraphNode, NodeResult, Outcome, ProjectGraph
from ..domain.error_record import ErrorRecord
from ..domain.fix_proposal import RowCount, Verification, VerificationStep
from ..domain.investigation import FileChange
from ..ports import DbtResult, Workbench

MOST_COUNTED = 12


@dataclass(frozen=True)
class Selection:
    """What is built and tested: dbt selectors, what each command needs beside them, and (id, relation) of what is counted."""

    models: tuple[str, ...]
    tests: tuple[str, ...]
    seeds: bool
    full_refresh: bool
    counted: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Built:
    statuses: Mapping[str, str]
    messages: Mapping[str, str]
    commands: tuple[str, ...]
    rows: Mapping[str, int | None]
    seconds: float
    log: str
    timed_out: bool


@dataclass
class Baseline:
    """The state without the patch, built once for all candidates with the same selection."""

    built: dict[Selection, _Built] = field(default_factory=dict)


def verify_patch(
    bench: Workbench,
    base_sha: str,
    changes: Sequence[FileChange],
    record: ErrorRecord,
    baseline: Baseline,
    known_bad: frozenset[str] = frozenset(),
) -> Verification:
    """Parse, build and test without and with the patch; ``known_bad`` nodes fail for causes of their own.

    Every step must pass: the project parses, what failed passes, and what passed before still does.
    """
    if not bench.can_run_dbt:
        step = VerificationStep("dbt build", "", None, "no verification target is configured for this project")
        return Verification(base_sha, bench.target, (step,))
    bench.checkout(base_sha)
    before_graph = bench.graph()
    bench.apply(changes)
    started = time.monotonic()
    graph = bench.graph()
    parsed = VerificationStep(
        "the project parses", "dbt parse", graph is not None, "", round(time.monotonic() - started, 1)
    )
    if graph is None:
        return Verification(base_sha, bench.target, (parsed,))
    selection = select(bench, graph, changes, record, known_bad)
    if selection not in baseline.built:
        bench.checkout(base_sha)
        baseline.built[selection] = _build(bench, selection) if before_graph is not None else _nothing(bench, selection)
        bench.checkout(base_sha)
        bench.apply(changes)
    before, after = baseline.built[selection], _build(bench, selection)
    steps = (parsed, *_judge(graph, record, before, after, known_bad))
    counts = tuple(
        RowCount(relation, before.rows.get(unique_id), after.rows.get(unique_id))
        for unique_id, relation in selection.counted
    )
    return Verification(base_sha, bench.target, steps, counts)


def select(
    bench: Workbench,
    graph: ProjectGraph,
    changes: Sequence[FileChange],
    record: ErrorRecord,
    known_bad: frozenset[str] = frozenset(),
) -> Selection:
    """The changed nodes with all downstream, and the failing node with all upstream; everything for a macro.

    Models that fail for a cause of their own are left as production holds them, so that they do not stand in the way.
    """
    folder = "" if bench.dbt_directory == "." else f"{bench.dbt_directory}/"
    paths = {change.path[len(folder) :] for change in changes if change.path.startswith(folder)}
    changed = [
        node for node in graph.nodes.values()
        if node.path in paths and node.resource_type in {"model", "seed", "snapshot"} and _is_own(node, graph)
    ]  # fmt: skip
    failing = [node for node in map(graph.get, (record.node, *record.members)) if node is not None]
    tested = [graph.get(node.test.attached_node) if node.test else node for node in failing]
    models = [f"{node.name}+" for node in changed]
    models += [f"+{node.name}" for node in tested if node is not None and node.resource_type == "model"]
    if not failing or any(re.search(r"(^|/)macros/|dbt_project\.ya?ml$", path) for path in paths) or not models:
        models = ["fqn:*"]
    reached = {node.unique_id for node in [*changed, *(one for one in tested if one)]}
    for start in list(reached):
        reached |= {*graph.descendants(start), *graph.ancestors(start)}
    nodes = [node for node in map(graph.get, sorted(reached)) if node is not None]
    if models == ["fqn:*"]:
        nodes = list(graph.nodes.values())
    seeds = [node for node in nodes if node.resource_type == "seed" and node.relation_name]
    counted = [
        *changed,
        *(one for one in tested if one is not None and one.resource_type == "model" and one not in changed),
    ]
    missing = any(bench.query(f"select 1 as there from {node.relation_name}", 1).error for node in seeds)  # noqa: S608
    tests = [selector.rstrip("+") + "+" if selector.endswith("+") else selector.lstrip("+") for selector in models]
    return Selection(
        models=tuple(dict.fromkeys(models)),
        tests=tuple(dict.fromkeys([*tests, *(node.name for node in failing if node.test is not None)])),
        seeds=missing or any(path.endswith(".csv") for path in paths),
        full_refresh=any(node.materialized == "incremental" for node in nodes),
        counted=tuple((node.unique_id, node.relation_name) for node in counted if node.relation_name)[:MOST_COUNTED],
        left_out=tuple(
            node.name
            for node in map(graph.get, sorted(known_bad))
            if node is not None and node.resource_type == "model" and node not in changed and node not in failing
        ),
    )


def _is_own(node: GraphNode, graph: ProjectGraph) -> bool:
    return not graph.package or not node.package or node.package == graph.package


def _build(bench: Workbench, selection: Selection) -> _Built:
    # Models first and tests after them: in `dbt build` a test that fails for another cause would skip what is judged here.
    started = time.monotonic()
    bench.reset_warehouse()
    results: list[DbtResult] = []
    refresh = ["--full-refresh"] if selection.full_refresh else []
    if selection.seeds:
        results.append(bench.dbt("seed"))
    left_out = ["--exclude", *selection.left_out] if selection.left_out else []
    results.append(bench.dbt("run", "--select", *selection.models, *left_out, *refresh))
    results.append(bench.dbt("test", "--select", *selection.tests))
    statuses: dict[str, str] = {}
    messages: dict[str, str] = {}
    for result in results:
        statuses |= result.statuses
        messages |= result.messages
    rows = {unique_id: _count(bench, relation) for unique_id, relation in selection.counted}
    return _Built(
        statuses, messages, tuple(result.command for result in results), rows, time.monotonic() - started,
        "\n".join(result.log[-800:] for result in results if not result.ok and not result.statuses),
        any(result.timed_out for result in results),
    )  # fmt: skip


def _nothing(bench: Workbench, selection: Selection) -> _Built:
    bench.reset_warehouse()
    rows = {unique_id: _count(bench, relation) for unique_id, relation in selection.counted}
    return _Built({}, {}, (), rows, 0.0, "the project does not parse without the patch", False)


def _count(bench: Workbench, relation: str) -> int | None:
    found = bench.query(f"select count(*) as n from {relation}", 1)  # noqa: S608
    return int(found.rows[0][0]) if found.error is None and found.rows else None


def _judge(
    graph: ProjectGraph, record: ErrorRecord, before: _Built, after: _Built, known_bad: frozenset[str]
) -> list[VerificationStep]:
    commands = " && ".join(after.commands)
    seconds = round(after.seconds, 1)
    if after.timed_out or not after.statuses:
        detail = "dbt took too long" if after.timed_out else f"dbt ran nothing: {after.log[-400:]}"
        return [VerificationStep("dbt runs", commands, False, detail, seconds)]
    failing = [one for one in dict.fromkeys((record.node, *record.members)) if one in graph.nodes and one is not None]
    steps = []
    if failing:
        mended = {one: _outcome(after, one) for one in failing}
        fine = all(
            outcome in {Outcome.GOOD, Outcome.WARNED} if record.latest.severity != "warn" else outcome is Outcome.GOOD
            for outcome in mended.values()
        )
        detail = "; ".join(
            f"{_name(graph, one)}: {_word(before, one)} before, {_word(after, one)} after" for one in failing[:8]
        )
        steps.append(VerificationStep("what failed passes", commands, fine, detail, seconds))
    others = [one for one in after.statuses if one not in failing]
    broken = [
        one
        for one in others
        if _outcome(after, one) in {Outcome.BAD, Outcome.SKIPPED} and _outcome(before, one) is Outcome.GOOD
    ]
    kept = [one for one in others if _outcome(before, one) is Outcome.GOOD and one not in broken]
    # A node that is still there but not built is out of the failing node's lineage now, and untouched.
    vanished = [one for one in before.statuses if one not in graph.nodes and _outcome(before, one) is Outcome.GOOD]
    detail = f"{len(kept)} nodes passed before and after" + "".join(
        f"; {_name(graph, one)} passed before and does not now" for one in [*broken, *vanished][:6]
    )
    if before.statuses:
        steps.append(VerificationStep("what passed still passes", "", not broken and not vanished, detail))
    fresh = [
        one
        for one in others
        if _outcome(after, one) is Outcome.BAD and _outcome(before, one) in {Outcome.SKIPPED, Outcome.UNKNOWN}
    ]
    own = [one for one in fresh if one in known_bad]
    blamed = [one for one in fresh if one not in known_bad]
    if fresh or not failing:
        # Where the project did not parse, no node is named as failing: all that runs now is the proof.
        healed = sum(_outcome(after, one) is Outcome.GOOD and one not in kept for one in others)
        detail = "; ".join(
            [f"{healed} nodes run now and pass"] * (not failing)
            + [f"{_name(graph, one)} fails: {after.messages.get(one, '')[:120]}" for one in blamed[:4]]
            + [f"{_name(graph, one)} fails for a cause of its own, on record" for one in own[:6]]
        )
        command = "" if failing else commands
        steps.append(VerificationStep("what could not run before passes", command, not blamed, detail))
    tolerated = [one for one in others if _outcome(after, one) is Outcome.BAD and _outcome(before, one) is Outcome.BAD]
    if tolerated:
        names = ", ".join(_name(graph, one) for one in tolerated[:8])
        steps.append(VerificationStep("failed before for other causes, and still do", "", True, names))
    return steps


def _outcome(built: _Built, unique_id: str) -> Outcome:
    return NodeResult(unique_id, built.statuses[unique_id]).outcome if unique_id in built.statuses else Outcome.UNKNOWN


def _word(built: _Built, unique_id: str) -> str:
    return built.statuses.get(unique_id, "not run")


def _name(graph: ProjectGraph, unique_id: str) -> str:
    node = graph.get(unique_id)
    return node.name if node is not None else unique_id.rsplit(".", 1)[-1]
