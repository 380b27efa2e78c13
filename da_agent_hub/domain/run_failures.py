"""The failures of one dbt run: every bad result, and what the logs say of steps that left none."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from .dbt import DbtRun, DbtStep, GraphNode, NodeResult, Outcome, ProjectGraph
from .failure import Failure, FailureKind
from .message_patterns import matched
from .step_log import LoggedError, last_lines, located, logged_errors

_KINDS = {
    "model": FailureKind.MODEL,
    "seed": FailureKind.SEED,
    "snapshot": FailureKind.SNAPSHOT,
    "test": FailureKind.TEST,
    "unit_test": FailureKind.UNIT_TEST,
    "source": FailureKind.SOURCE_FRESHNESS,
    "operation": FailureKind.HOOK,
}
_CONNECTION_CLASSES = frozenset(
    {"connection_lost", "authentication_failed", "missing_database", "lock_conflict", "rate_limited"}
)


def failures_of(run: DbtRun, graph: ProjectGraph | None, *, warnings: bool = False) -> tuple[Failure, ...]:
    """Every failure of a run, in the order dbt met them; ``warnings`` adds the results that only warned.

    Nodes that dbt skipped are no failures: they stand in ``Failure.skipped`` of the failure nearest upstream. A status
    that is not known is a failure that only warns: nobody can say that it is none.
    """
    found: list[Failure] = []
    for step in run.steps:
        bad = [
            _of_result(run, step, result, graph)
            for result in step.results
            if result.outcome in (Outcome.BAD, Outcome.UNKNOWN) or (warnings and result.outcome is Outcome.WARNED)
        ]
        explained = any(failure.severity == "error" for failure in bad) or (step.broken and not step.log)
        if step.status == "error" and not explained:
            bad += _of_log(run, step, graph)
        elif step.log:
            bad += _without_result(run, step, graph)
        if step.broken:
            said = "\n".join([f"Run {run.run_id}, step {step.index} ({step.name}):", *step.broken])
            bad.append(_failure(run, step.index, FailureKind.UNREADABLE, None, said))
        found += _with_skipped(step, bad, graph)
    if not found and run.status == "error" and run.status_message:
        found.append(_failure(run, 0, FailureKind.OTHER, None, run.status_message))
    elif not found and run.status == "error":
        said = " ".join(run.unread) or "The run ended with an error, and neither a step nor an artifact says why."
        found.append(_failure(run, 0, FailureKind.UNREADABLE, None, said))
    if not found and run.status == "cancelled":
        said = f"The run was cancelled before it had finished. {run.status_message}".rstrip()
        found.append(_failure(run, 0, FailureKind.CANCELLED, None, said))
    return tuple(found)


def _failure(run: DbtRun, step: int, kind: FailureKind, unique_id: str | None, message: str) -> Failure:
    return Failure(
        project=run.project,
        environment=run.environment,
        job_id=run.job_id,
        run_id=run.run_id,
        run_url=run.url,
        step=step,
        kind=kind,
        unique_id=unique_id,
        message=message,
        happened_at=run.finished_at,
        git_sha=run.git_sha,
    )


def _of_result(run: DbtRun, step: DbtStep, result: NodeResult, graph: ProjectGraph | None) -> Failure:
    node = graph.get(result.unique_id) if graph else None
    path, line = located(result.message)
    kind, message = _KINDS.get(result.unique_id.split(".", 1)[0], FailureKind.OTHER), result.message
    if result.outcome is Outcome.UNKNOWN:
        kind = FailureKind.UNKNOWN_STATUS
        message = (
            f"dbt gave the status {result.status!r}, and whether that is good or bad is not known.\n{message}".strip()
        )
    return replace(
        _failure(run, step.index, kind, result.unique_id, message),
        failures=result.failures,
        severity="error" if result.outcome is Outcome.BAD else "warn",
        compiled_sql=result.compiled_sql,
        path=(node.path if node and node.path else None) or path,
        line=line,
    )


def _of_log(run: DbtRun, step: DbtStep, graph: ProjectGraph | None) -> list[Failure]:
    found = [_of_logged_error(run, step, error, graph) for error in logged_errors(step.log)]
    if not found:
        tail = last_lines(step.log)
        kind = FailureKind.OTHER if tail else FailureKind.UNREADABLE
        message = f"Step {step.index} ({step.name}) failed.\n{tail or 'It left neither an artifact nor a log.'}"
        found.append(_failure(run, step.index, kind, None, message))
    return found


def _without_result(run: DbtRun, step: DbtStep, graph: ProjectGraph | None) -> list[Failure]:
    """What only the log tells of a step that left results: dbt writes none of a source whose table is not there."""
    told = {result.unique_id.rsplit(".", 1)[-1] for result in step.results if result.unique_id.startswith("source.")}
    return [
        _of_logged_error(run, step, error, graph)
        for error in logged_errors(step.log)
        if error.resource == "source" and error.name and error.name.rsplit(".", 1)[-1] not in told
    ]


def _of_logged_error(run: DbtRun, step: DbtStep, error: LoggedError, graph: ProjectGraph | None) -> Failure:
    unique_id = None if error.stopped_dbt else _node_called(error, graph)
    if unique_id is not None:
        kind = _KINDS.get(unique_id.split(".", 1)[0], FailureKind.OTHER)
    else:
        known = matched(error.message)
        is_outage = known is not None and known[0] in _CONNECTION_CLASSES
        kind = FailureKind.CONNECTION if is_outage else FailureKind.COMPILE
    failure = _failure(run, step.index, kind, unique_id, error.message)
    return replace(failure, path=error.path, line=error.line)


def _node_called(error: LoggedError, graph: ProjectGraph | None) -> str | None:
    if error.name is None:
        return None
    named = [
        node
        for node in (graph.nodes.values() if graph else ())
        if _is_called(node, error.name) and node.resource_type == error.resource
    ]
    exact = [node for node in named if node.path == error.path] or named
    return exact[0].unique_id if len(exact) == 1 else None


def _is_called(node: GraphNode, name: str) -> bool:
    """Whether dbt's messages call a node so; of a source they give the table alone."""
    return node.name == name or (node.resource_type == "source" and node.name.endswith(f".{name}"))


def _with_skipped(step: DbtStep, bad: list[Failure], graph: ProjectGraph | None) -> list[Failure]:
    """Give every skipped node to the failures nearest upstream of it."""
    skipped = {result.unique_id for result in step.results if result.outcome is Outcome.SKIPPED}
    failed = [failure.unique_id for failure in bad if failure.unique_id]
    if not skipped or not failed:
        return bad
    if graph is not None:
        return [replace(one, skipped=_blocked_by(one, waiting=skipped, graph=graph)) for one in bad]
    # Without lineage, only a sole failure can be told to be the reason.
    return [replace(one, skipped=tuple(sorted(skipped))) for one in bad] if len(failed) == 1 else bad


def _blocked_by(failure: Failure, *, waiting: Set[str], graph: ProjectGraph) -> tuple[str, ...]:
    """The skipped nodes that a failure reaches through skipped nodes only."""
    node = graph.get(failure.unique_id)
    # A failed test blocks what is built on the nodes it tests; a failed unit test the node itself.
    frontier = list(_tested(node)) if node and node.test else [failure.unique_id or ""]
    reached = set(frontier) & waiting
    while frontier:
        for child in graph.children.get(frontier.pop(), ()):
            if child in waiting and child not in reached:
                reached.add(child)
                frontier.append(child)
    return tuple(sorted(reached))


def _tested(node: GraphNode) -> tuple[str, ...]:
    attached = node.test.attached_node if node.test else None
    return (attached,) if attached else node.depends_on
