"""The failures of one dbt run: every bad result, and what the logs say of steps that left none."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import replace

from .dbt import DbtRun, DbtStep, GraphNode, NodeResult, Outcome, ProjectGraph
from .failure import Failure, FailureKind
from .step_log import LoggedError, last_lines, located, logged_errors, unfinished_nodes
from .taxonomy import Taxonomy, builtin

_KINDS = {
    "model": FailureKind.MODEL,
    "seed": FailureKind.SEED,
    "snapshot": FailureKind.SNAPSHOT,
    "test": FailureKind.TEST,
    "unit_test": FailureKind.UNIT_TEST,
    "source": FailureKind.SOURCE_FRESHNESS,
    "operation": FailureKind.HOOK,
    "macro": FailureKind.HOOK,
}
# What a command was about, where its log tells a cause that is known and no node.
_COMMANDS = {
    "seed": FailureKind.SEED,
    "snapshot": FailureKind.SNAPSHOT,
    "test": FailureKind.TEST,
    "source": FailureKind.SOURCE_FRESHNESS,
    "freshness": FailureKind.SOURCE_FRESHNESS,
    "run-operation": FailureKind.HOOK,
    "run": FailureKind.MODEL,
}
_COMMAND = re.compile(r"\bdbt (?:-\S+ )*(?!with\b)([a-z][a-z-]*)")

# What schedulers say of a run that they ended for its length.
_TOOK_TOO_LONG = re.compile(
    r"\b(?:run|job|execution)\b[^.\n]{0,60}\b(?:tim(?:e|ed|ing)[ -]?out\b|exceed\w*\b[^.\n]{0,40}\b(?:time|duration)\b)"
    r"|\bexceed\w*\b[^.\n]{0,40}\b(?:run|execution)[ -]?time\b",
    re.IGNORECASE,
)
_MOST_RUNNING = 8


def failures_of(
    run: DbtRun, graph: ProjectGraph | None, *, warnings: bool = False, taxonomy: Taxonomy | None = None
) -> tuple[Failure, ...]:
    """Every failure of a run, in the order dbt met them; ``warnings`` adds the results that only warned.

    Where a message alone tells what failed, ``taxonomy`` says so: the package's own where none is given.

    Nodes that dbt skipped are no failures: they stand in ``Failure.skipped`` of the failure nearest upstream. A status
    that is not known is a failure that only warns: nobody can say that it is none.
    """
    known = taxonomy or builtin()
    timed_out = run.status != "success" and _took_too_long(run.status_message, known)
    found: list[Failure] = []
    for step in run.steps:
        bad = [
            _of_result(run, step, result, graph)
            for result in step.results
            if result.outcome in (Outcome.BAD, Outcome.UNKNOWN) or (warnings and result.outcome is Outcome.WARNED)
        ]
        explained = any(failure.severity == "error" for failure in bad) or (step.broken and not step.log)
        if step.status == "error" and not explained:
            bad += _of_log(run, step, graph, known, broken_off=timed_out)
        elif step.log:
            bad += _without_result(run, step, graph, known)
        if step.broken:
            said = "\n".join([f"Run {run.run_id}, step {step.index} ({step.name}):", *step.broken])
            bad.append(_failure(run, step.index, FailureKind.UNREADABLE, None, said))
        found += bad
    explained = any(failure.severity == "error" for failure in found)
    if timed_out or not (explained or run.status == "success"):
        found += _of_the_end(run, known, timed_out=timed_out)
    return tuple(_with_skipped(run, found, graph))


def _took_too_long(said: str, taxonomy: Taxonomy) -> bool:
    shown = taxonomy.class_of(said) if said else None
    return _TOOK_TOO_LONG.search(said) is not None or (shown is not None and shown.kind is FailureKind.TIMED_OUT)


def _of_the_end(run: DbtRun, taxonomy: Taxonomy, *, timed_out: bool) -> list[Failure]:
    """How a run ended of which no node and no step tells why."""
    kind = FailureKind.UNREADABLE
    said = " ".join(run.unread) or "The run ended with an error, and neither a step nor an artifact says why."
    if timed_out:
        kind, said = FailureKind.TIMED_OUT, f"The run took too long and was ended. {_where_it_ended(run)}"
    elif run.status == "cancelled":
        ended = (
            "The run was cancelled before it had finished." if run.steps else "The run was cancelled before it began."
        )
        kind, said = FailureKind.CANCELLED, f"{ended} {_where_it_ended(run)}"
    elif run.status_message and not run.steps:
        kind, said = FailureKind.NOT_STARTED, f"The run ended before its first step. {run.status_message}"
    elif run.status_message:
        shown = taxonomy.class_of(run.status_message)
        kind, said = (shown.kind if shown else None) or FailureKind.OTHER, run.status_message
    return [_failure(run, 0, kind, None, said.strip())] if run.status in ("error", "cancelled") else []


def _where_it_ended(run: DbtRun) -> str:
    """What the scheduler said, the step in which a run was ended, and what was running in it."""
    said = [run.status_message]
    ended = next((step for step in run.steps if step.status == "cancelled"), None)
    ended = ended or next((step for step in reversed(run.steps) if step.status == "error"), None)
    if ended is not None:
        said.append(f"It was in step {ended.index} ({ended.name}).")
        running = unfinished_nodes(ended.log)
        if running:
            more = f" and {len(running) - _MOST_RUNNING} more" if len(running) > _MOST_RUNNING else ""
            said.append(f"Running then: {', '.join(running[:_MOST_RUNNING])}{more}.")
    return " ".join(one for one in said if one)


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


def _of_log(
    run: DbtRun, step: DbtStep, graph: ProjectGraph | None, taxonomy: Taxonomy, *, broken_off: bool
) -> list[Failure]:
    found = [_of_logged_error(run, step, error, graph, taxonomy) for error in logged_errors(step.log)]
    if not found and not broken_off:
        tail = last_lines(step.log)
        kind = _kind_of_step(step, tail, taxonomy) if tail else FailureKind.UNREADABLE
        message = f"Step {step.index} ({step.name}) failed.\n{tail or 'It left neither an artifact nor a log.'}"
        found.append(_failure(run, step.index, kind, None, message))
    return found


def _kind_of_step(step: DbtStep, said: str, taxonomy: Taxonomy) -> FailureKind:
    """What failed in a step whose log tells no error in dbt's own form."""
    command = _COMMAND.search(step.name)
    about = _COMMANDS.get(command[1]) if command else None
    shown = taxonomy.class_of(said)
    if shown is None:
        return FailureKind.HOOK if about is FailureKind.HOOK else FailureKind.OTHER
    return shown.kind or about or FailureKind.COMPILE


def _without_result(run: DbtRun, step: DbtStep, graph: ProjectGraph | None, taxonomy: Taxonomy) -> list[Failure]:
    """What only the log tells of a step that left results: dbt writes none of a source whose table is not there."""
    told = {result.unique_id.rsplit(".", 1)[-1] for result in step.results if result.unique_id.startswith("source.")}
    return [
        _of_logged_error(run, step, error, graph, taxonomy)
        for error in logged_errors(step.log)
        if error.resource == "source" and error.name and error.name.rsplit(".", 1)[-1] not in told
    ]


def _of_logged_error(
    run: DbtRun, step: DbtStep, error: LoggedError, graph: ProjectGraph | None, taxonomy: Taxonomy
) -> Failure:
    unique_id = None if error.stopped_dbt else _node_called(error, graph)
    if unique_id is not None:
        kind = _KINDS.get(unique_id.split(".", 1)[0], FailureKind.OTHER)
    else:
        shown = taxonomy.class_of(error.message)
        kind = FailureKind.HOOK if error.in_hook else (shown.kind if shown else None) or FailureKind.COMPILE
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


def _with_skipped(run: DbtRun, found: Sequence[Failure], graph: ProjectGraph | None) -> list[Failure]:
    """Give every skipped node to the failures nearest upstream of it, of its own step first and then of earlier ones."""
    skipped: dict[int, set[str]] = {}
    for step in run.steps:
        left = {one.unique_id for one in step.results if one.status == "skipped" and not _is_inlined(one, graph)}
        causes = [at for at, one in enumerate(found) if one.severity == "error" and 0 < one.step <= step.index]
        own = [at for at in causes if found[at].step == step.index]
        for group in (own, [at for at in causes if at not in own]):
            blocked = {at: _blocked_by(found[at], waiting=left, graph=graph) for at in group} if left and graph else {}
            for at, nodes in blocked.items():
                skipped.setdefault(at, set()).update(nodes)
                left -= nodes
        # Without a way there through the lineage, a hook, or a sole failure, can be told to be the reason.
        hooks = [at for at in own if found[at].kind is FailureKind.HOOK]
        for at in hooks or (own if len(own) == 1 else []) or (causes if len(causes) == 1 else []):
            skipped.setdefault(at, set()).update(left)
    return [replace(one, skipped=tuple(sorted(skipped.get(at, ())))) for at, one in enumerate(found)]


def _is_inlined(result: NodeResult, graph: ProjectGraph | None) -> bool:
    """dbt Fusion says of an ephemeral model that it was skipped, in a good run too."""
    node = graph.get(result.unique_id) if graph else None
    return node is not None and node.materialized == "ephemeral"


def _blocked_by(failure: Failure, *, waiting: Set[str], graph: ProjectGraph) -> set[str]:
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
    return reached


def _tested(node: GraphNode) -> tuple[str, ...]:
    attached = node.test.attached_node if node.test else None
    return (attached,) if attached else node.depends_on
