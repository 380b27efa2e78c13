"""The deterministic investigator: it reproduces the failure, tells code from data by building, and follows the lineage."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial

from ..domain.dbt import GraphNode, ProjectGraph
from ..domain.error_record import Category
from ..domain.failure import FailureKind
from ..domain.investigation import Ending, Investigation, InvestigationCase
from ..ports import Workbench
from .broken_parse import investigate_broken_parse, propose_meant_name
from .case_file import CaseFile, StoppedError, TimeIsUpError, table, with_times
from .code_cause import last_good_sha, relevant_paths, search_good
from .code_change import investigate_code, name_mended_commit
from .duplicate_keys import investigate_duplicates, key_of
from .experiment import ABSENT, BLOCKED, FAILS, PASSES, UNPARSED, Experiment, Trial, last_lines
from .freshness import investigate_freshness
from .missed_run import investigate_missed_run
from .missing_parents import investigate_missing_parents
from .personal_data import hidden_here, personal_columns
from .predecessor import Predecessor
from .renamed_column import investigate_missing_column, missing_column
from .stale_rows import investigate_stale_rows
from .traced_rows import investigate_rows
from .unexpected_values import investigate_conversion, investigate_values, unconvertible_value
from .unstable import investigate_flaky, investigate_transient, investigate_unreproduced, is_transient
from .upstream_cause import investigate_loads
from .whole_run import investigate_without_node

FAILING_ROWS = 8
MOST_LEFT_OUT = 4


class PlaybookInvestigator:
    """An ``Investigator`` that needs no model.

    ``seconds`` is its budget of wall time for one record. ``is_stopped`` tells by an issue's key whether a person asked to
    stop; it is asked before each step.
    """

    name = "playbooks"

    def __init__(self, seconds: float = 600.0, is_stopped: Callable[[str], bool] | None = None) -> None:
        self._seconds = seconds
        self._is_stopped = is_stopped

    def investigate(self, case: InvestigationCase, graph: ProjectGraph | None, bench: Workbench) -> Investigation:
        """Find the cause of a record; what cannot be found out is said, never raised."""
        started, clock = datetime.now(timezone.utc), time.monotonic()
        file: CaseFile | None = None
        try:
            head = bench.head()
            project = graph or ProjectGraph(case.record.project, "", {})
            file = CaseFile(case.record, bench, project, head, clock + self._seconds)
            if self._is_stopped is not None and case.issue_key is not None:
                file.is_stopped = partial(self._is_stopped, case.issue_key)
            found = _investigate(file)
        except TimeIsUpError:
            found = _ended(
                file,
                Ending.BUDGET,
                f"The investigation reached its {self._seconds:.0f} seconds before the cause was certain.",
            )
        except StoppedError:
            found = _ended(file, Ending.CANCELLED, "A person asked to stop before the cause was certain.")
        except Exception as error:  # whatever breaks, the thread gets the evidence found so far and the reason
            reason = f"{type(error).__name__}: {error}"[:300]
            found = _ended(file, Ending.FAILED, f"The investigation broke off ({reason}).")
        return with_times(found, started_at=started, seconds=round(time.monotonic() - clock, 2))


def _ended(file: CaseFile | None, ending: Ending, headline: str) -> Investigation:
    if file is None:
        return Investigation(ending, "playbooks", headline, "unknown", needs_person=headline)
    return file.conclude(
        headline, "unknown", ending=ending, next_step="Read the evidence below and go on by hand.",
        who=file.owner_of(file.graph.get(file.record.node)), confidence=0.2,
    )  # fmt: skip


def _investigate(case: CaseFile) -> Investigation:
    record, bench = case.record, case.bench
    if record.latest.kind is FailureKind.MISSED_RUN:
        return investigate_missed_run(case)
    for note in getattr(bench, "notes", ()):
        case.add("A limit of this investigation", "the workbench", note, "limit")
    parsed = bench.graph()
    if parsed is not None:
        case.graph = parsed
    case.hidden = personal_columns(bench)
    _describe(case)
    if parsed is None and record.node is not None and record.latest.kind is not FailureKind.COMPILE:
        parsed = _at_the_failing_commit(case)
    if parsed is None:
        said = bench.dbt("parse")
        if said.ok:
            return _inconclusive(case, "The project parses, but its lineage could not be read.")
        if is_transient(said.log) and not re.search(
            r"compilation|parsing|not found|error in|error reading", said.log, re.I
        ):
            return _inconclusive(case, "dbt could not start here, so nothing was run.")
        return investigate_broken_parse(case, last_lines(said.log))
    if record.latest.kind is FailureKind.SOURCE_FRESHNESS:
        return investigate_freshness(case)
    node = case.graph.get(record.node)
    if node is None:
        return investigate_without_node(case)
    if not bench.can_run_dbt:
        return _without_warehouse(case, node)
    return _by_building(case, node)


def _at_the_failing_commit(case: CaseFile) -> ProjectGraph | None:
    """Where the newest commit does not parse, which is another record's cause, go on at the commit that this one failed at."""
    sha = case.record.latest.git_sha
    if not sha or not case.bench.commits(None, sha):
        return None
    case.bench.checkout(sha)
    parsed = case.bench.graph()
    if parsed is None:
        case.bench.checkout(case.head)
        return None
    case.add(
        "A limit of this investigation",
        "dbt parse",
        f"The newest commit {case.head[:10]} does not parse, so this looks at {sha[:10]}, which the failing run had.",
        "limit",
    )
    case.graph, case.head = parsed, sha
    return parsed


def _by_building(case: CaseFile, node: GraphNode) -> Investigation:
    record = case.record
    experiment, reproduced = _reproduce(case, node)
    experiment, reproduced = _past_other_causes(case, node, experiment, reproduced)
    if reproduced.verdict == BLOCKED and reproduced.blocker and reproduced.blocker in case.graph.nodes:
        upstream = case.graph.nodes[reproduced.blocker]
        blocked_id = case.add(
            "What stands before it", reproduced.command, f"{upstream.name}: {reproduced.message}", "experiment"
        )
        case.claim(f"{node.name} cannot run because {upstream.name}, upstream of it, fails.", "confirmed", blocked_id)
        node = upstream
        experiment = Experiment(case, node, experiment.scope)
        reproduced = experiment.at(case.head)
    transient = record.category in {Category.TRANSIENT, Category.INFRASTRUCTURE} or is_transient(record.latest.message)
    if reproduced.verdict == PASSES:
        # A test's count of rows is never a passing fault of the connection.
        if (transient and is_transient(record.latest.message)) or record.latest.kind in {
            FailureKind.CONNECTION,
            FailureKind.CANCELLED,
        }:
            return investigate_transient(case)
        return _mended_code(case, node, experiment) or investigate_unreproduced(case, node, experiment, reproduced)
    if reproduced.verdict in {ABSENT, UNPARSED}:
        return _inconclusive(case, f"{node.name} could not be run at the newest commit: {reproduced.message[:200]}")
    reproduced_id = case.add(
        "Does it fail now?",
        reproduced.command,
        f"{node.name}: {reproduced.verdict} at {case.head[:10]} on a copy of today's data\n{reproduced.message}",
        "message",
    )
    case.claim(f"{node.name} fails at the newest commit on today's data.", "confirmed", reproduced_id)
    _failing_rows(case, node, reproduced)
    if case.stale:
        return _stale_table(case, node, experiment, reproduced) or investigate_stale_rows(case, node, reproduced_id)
    flaky = investigate_flaky(case, node, experiment, reproduced)
    if flaky is not None:
        return flaky
    good_sha, _ = last_good_sha(case)
    older = good_sha if good_sha != case.head else None
    since = case.bench.commits(older, case.head) if older is not None else ()
    propose_meant_name(
        case, reproduced.message, experiment.at, reproduced_id, Predecessor.at(case, older, experiment.scope), since
    )
    by_code = _code_or_data(case, node, experiment, reproduced)
    if by_code is not None:
        return by_code
    return _by_data(case, node, experiment, reproduced) or _inconclusive(
        case, f"{node.name} fails on today's data; no playbook knows this kind of failure."
    )


def _reproduce(case: CaseFile, node: GraphNode) -> tuple[Experiment, Trial]:
    """Build at the newest commit; seeds and snapshots are built along only where production does not hold them."""
    missing = {"seed": False, "snapshot": False}
    for unique_id in case.graph.ancestors(node.unique_id):
        one = case.graph.get(unique_id)
        if one is not None and one.resource_type in missing and one.relation_name and not missing[one.resource_type]:
            missing[one.resource_type] = case.ask(f"select 1 as there from {one.relation_name}", 1).error is not None
    experiment = Experiment(case, node).with_scope(seeds=missing["seed"], snapshots=missing["snapshot"])
    trial = experiment.at(case.head)
    if trial.verdict not in {PASSES, ABSENT, UNPARSED} and _has_incremental(case, node):
        anew = experiment.with_scope(full_refresh=True)
        rebuilt = anew.at(case.head)
        if rebuilt.verdict == trial.verdict:
            return anew, rebuilt
        case.stale = rebuilt.verdict == PASSES
    return experiment, trial


def _past_other_causes(
    case: CaseFile, node: GraphNode, experiment: Experiment, blocked: Trial
) -> tuple[Experiment, Trial]:
    """Where something upstream fails, try the node on what production still holds of it: its own cause may be another."""
    trial, narrower = blocked, experiment
    while trial.verdict == BLOCKED and len(narrower.scope.left_out) < MOST_LEFT_OUT:
        blocker = case.graph.get(trial.blocker)
        if blocker is None or blocker.resource_type != "model":
            break
        narrower = narrower.without_model(blocker.name)
        trial = narrower.at(case.head)
    if (
        trial is blocked
        or trial.verdict != FAILS
        or (trial.message != case.record.latest.message and "result" not in trial.message)
    ):
        return experiment, blocked
    names = ", ".join(narrower.scope.left_out)
    case.add(
        "A limit of this investigation",
        trial.command,
        f"{names} fails for a cause of its own; {node.name} was built on what production last had of it.",
        "limit",
    )
    return narrower, trial


def _has_incremental(case: CaseFile, node: GraphNode) -> bool:
    nodes = (case.graph.get(one) for one in (node.unique_id, *case.graph.ancestors(node.unique_id)))
    return any(one is not None and one.materialized == "incremental" for one in nodes)


def _code_or_data(case: CaseFile, node: GraphNode, experiment: Experiment, reproduced: Trial) -> Investigation | None:
    """Build the last good commit on today's data: where that passes, a commit is the cause; None where it is the data."""
    sha, why = last_good_sha(case)
    if sha is None:
        return _without_good_run(case, node, why, experiment, reproduced)
    if sha == case.head:
        same_id = case.add(
            "Code or data?", "run history", f"{why}, which is still the newest: the code did not change", "history"
        )
        case.claim("The code is the same as when it last passed, so the data changed.", "confirmed", same_id)
        return None
    changed = {path for commit in case.bench.commits(sha, case.head) for path in commit.paths}
    if not experiment.scope.seeds and any(path.endswith(".csv") for path in changed):
        with_seeds = experiment.with_scope(seeds=True)
        if with_seeds.at(case.head).verdict == reproduced.verdict:
            experiment = with_seeds
    good = experiment.at(sha)
    good_id = case.add(
        "Code or data? The last good commit on today's data",
        good.command,
        f"{why}\n{node.name}: {good.verdict}\n{good.message}",
        "experiment",
    )
    if good.verdict == PASSES:
        return investigate_code(case, node, sha, good, good_id, experiment, reproduced)
    if good.verdict == ABSENT:
        case.claim(f"{node.name} did not exist at the last good commit.", "confirmed", good_id)
    else:
        case.claim(
            "The last good commit fails on today's data as well, so the data changed and not the code.",
            "confirmed",
            good_id,
        )
    return None


def _without_good_run(
    case: CaseFile, node: GraphNode, why: str, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """No run is known in which it passed: go back through the commits that touch it, building each on today's data."""
    touching = case.bench.commits(None, case.head, relevant_paths(case, node))
    found = search_good(touching, experiment.at)
    if (
        found is None
        and not experiment.scope.seeds
        and any(path.endswith(".csv") for one in touching for path in one.paths)
    ):
        with_seeds = experiment.with_scope(seeds=True)
        if with_seeds.at(case.head).verdict == reproduced.verdict:
            found, experiment = search_good(touching, with_seeds.at), with_seeds
    if found is None:
        case.add(
            "Last good commit",
            "dbt build at older commits",
            f"{why}; no older commit that touches it passes on today's data",
            "history",
        )
        return None
    sha, good = found
    good_id = case.add(
        "Code or data? An older commit on today's data",
        good.command,
        f"{why}\n{node.name}: {good.verdict} at {sha[:10]}",
        "experiment",
    )
    return investigate_code(case, node, sha, good, good_id, experiment, reproduced)


def _stale_table(case: CaseFile, node: GraphNode, experiment: Experiment, reproduced: Trial) -> Investigation | None:
    """A model that only runs when it is built anew: which commit gave it a form that its table has not."""
    if node.resource_type != "model":
        return None
    found = _code_or_data(case, node, experiment, reproduced)
    if found is None or found.culprit_sha is None:
        return None
    command = f"dbt build --full-refresh --select {node.name}"
    return replace(
        found,
        candidates=(),
        next_step=f"Run {command}, once nothing in it is history that the sources no longer hold.",
        needs_person=f"the code is fine for a table that is built anew; whether {node.name} may be is a person's decision",
    )


def _mended_code(case: CaseFile, node: GraphNode, experiment: Experiment) -> Investigation | None:
    """It passes now: where the commit of the failing run still fails on today's data, a commit broke it and another mended it."""
    failed_at = case.record.latest.git_sha
    good_sha, why = last_good_sha(case)
    unstable = case.record.flaky_evidence is not None or case.record.category is Category.TRANSIENT
    if (
        unstable
        or not failed_at
        or failed_at == case.head
        or not good_sha
        or not case.bench.commits(good_sha, failed_at)
    ):
        return None
    failing = experiment.at(failed_at)
    good = experiment.at(good_sha) if failing.verdict not in {PASSES, ABSENT} else failing
    if failing.verdict in {PASSES, ABSENT} or good.verdict != PASSES:
        return None
    shown = f"{failed_at[:10]}, which failed: {failing.verdict}\n{good_sha[:10]}, {why}: {good.verdict}\n{case.head[:10]}, the newest: passes"
    trials_id = case.add("Three commits on today's data", failing.command, shown, "experiment")
    return name_mended_commit(case, node, good_sha, failed_at, good, trials_id, experiment.at)


def _by_data(case: CaseFile, node: GraphNode, experiment: Experiment, reproduced: Trial) -> Investigation | None:
    missing = missing_column(reproduced.message)
    if missing is not None:
        found = investigate_missing_column(case, node, missing, experiment, reproduced)
        if found is not None:
            return found
    value = unconvertible_value(reproduced.message)
    model = case.graph.get(node.test.attached_node) if node.test is not None else node
    if value is not None and model is not None:
        found = investigate_conversion(case, model, value, reproduced)
        if found is not None:
            return found
    if node.test is not None:
        keys = key_of(node)
        if keys is not None:
            found = investigate_duplicates(case, node, keys, experiment, reproduced)
            return found or investigate_loads(case, node)
        if node.test.name.rsplit(".", 1)[-1] in {"relationships", "relationships_where"}:
            found = investigate_missing_parents(case, node, experiment, reproduced)
        else:
            found = investigate_values(case, node, experiment, reproduced)
        return found or investigate_rows(case, node, experiment, reproduced)
    return investigate_loads(case, node)


def _describe(case: CaseFile) -> None:
    record = case.record
    latest = record.latest
    where = f"dbt run {latest.run_id}, step {latest.step}"
    case.add("What dbt said", latest.run_url or where, f"{record.title}\n{latest.message}".strip(), "message")
    node = case.graph.get(record.node)
    if node is None:
        return
    lines = [f"{node.resource_type} {node.unique_id}", f"file {node.path}"]
    if node.test is not None and node.test.attached_node:
        lines.append(f"tests {node.test.attached_node}" + (f", column {node.test.column}" if node.test.column else ""))
    upstream = [case.graph.nodes[one].name for one in case.graph.ancestors(node.unique_id) if one in case.graph.nodes]
    lines.append(f"upstream: {', '.join(upstream[:20]) or 'nothing'}")
    if record.skipped:
        lines.append(f"skipped because of it: {', '.join(one.rsplit('.', 1)[-1] for one in record.skipped[:20])}")
    if record.exposures:
        lines.append(f"exposures: {', '.join(one.rsplit('.', 1)[-1] for one in record.exposures)}")
    case.add("The node and its lineage", "manifest.json", "\n".join(lines), "lineage")
    history = [f"first seen failing {record.first_seen:%Y-%m-%d %H:%M} UTC, {record.occurrences} times so far"]
    for label, seen in (("last good run", record.last_good), ("first bad run", record.first_bad)):
        if seen is not None:
            history.append(
                f"{label}: {seen.run_id} at {seen.at:%Y-%m-%d %H:%M} UTC"
                + (f", commit {seen.git_sha[:10]}" if seen.git_sha else "")
            )
    case.add(
        "Run history", record.last_good.run_url if record.last_good else latest.run_url, "\n".join(history), "history"
    )


def _failing_rows(case: CaseFile, node: GraphNode, trial: Trial) -> None:
    sql = trial.result.compiled.get(trial.node or node.unique_id)
    if node.test is None or not sql or "pii" in node.tags:
        return
    rows = case.ask(f"select * from ({sql.strip().rstrip(';')}) as failing", FAILING_ROWS)
    if rows.error is None and rows.rows:
        case.add(
            f"Rows that {node.name} returns",
            sql.strip(),
            table(rows.columns, rows.rows, hidden_here(case, node, rows.columns)),
            "rows",
        )


def _without_warehouse(case: CaseFile, node: GraphNode) -> Investigation:
    if is_transient(case.record.latest.message):
        return investigate_transient(case)
    sha, why = last_good_sha(case)
    if sha is not None and sha != case.head:
        commits = case.bench.commits(sha, case.head)
        listed = "\n".join(
            f"{one.sha[:10]} {one.committed_at:%Y-%m-%d} {one.author}: {one.subject}" for one in commits[:20]
        )
        case.add(
            "Commits since the last good run", f"git log {sha[:10]}..{case.head[:10]}", f"{why}\n{listed}", "commits"
        )
    return _inconclusive(
        case, f"{node.name} fails; without a warehouse to build in, code and data could not be told apart.",
        step="Set verification.profiles_dir and verification.target for this project, so that the hub can build in a private place.",
    )  # fmt: skip


def _inconclusive(
    case: CaseFile, headline: str, step: str = "Read the evidence below and go on by hand."
) -> Investigation:
    node = case.graph.get(case.record.node)
    who = case.owner_of(node) or (f"the owner of {node.name}" if node is not None else "")
    return case.conclude(headline, "unknown", ending=Ending.INCONCLUSIVE, next_step=step, who=who, confidence=0.3)
