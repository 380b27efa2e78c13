"""Does a candidate give the values of old? What it touches, built beside the code without the commit that broke it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..domain.dbt import GraphNode, ProjectGraph
from ..domain.investigation import FileChange
from ..domain.line_merge import hunks_of, words
from ..domain.value_proof import DIFFERENT, EXPLAINED, NOT_COMPARED, SAME, RelationCheck, ValueProof
from ..ports import Commit
from .case_file import CaseFile, plural
from .experiment import Scope, Trial
from .imprint import Imprint, take_imprint
from .masked_sql import MaskedSql
from .wanted_changes import call_of, macros_changed, renewed_names, with_callers

MOST_COMPARED = 8
_GOOD = {"success", "pass"}


@dataclass(frozen=True)
class Reference:
    """Code that is known to have been right: a commit, with changes to it, told in ``label``."""

    sha: str
    label: str
    changes: tuple[FileChange, ...] = ()


class Predecessor:
    """The code before the failure.

    ``references`` are tried in order until one builds: best is the newest commit without all that the culprit changed,
    next the culprit's parent. Each is built once for the same relations.
    """

    def __init__(self, case: CaseFile, references: Sequence[Reference], scope: Scope | None = None) -> None:
        self._case = case
        self._references = list(references)
        self._scope = scope or Scope()
        self._built: dict[tuple[str, ...], tuple[Reference, dict[str, Imprint], ProjectGraph]] = {}

    @classmethod
    def at(cls, case: CaseFile, sha: str | None, scope: Scope | None = None) -> Predecessor:
        """The code of a commit, as it was."""
        return cls(case, [Reference(sha, sha[:10])] if sha is not None else [], scope)

    def compare(
        self, changes: Sequence[FileChange], trial: Trial | None = None, *, takes_back: bool = False
    ) -> ValueProof:
        """Compare the relations that the patch touches, and the failing node's parents, on the same data.

        ``trial`` is a build of the patch that the private warehouse still holds. ``takes_back`` tells that the patch
        only puts lines of old back: then what other lines of the commit, which stay, were meant to change may differ.
        """
        case, bench = self._case, self._case.bench
        same = next((one for one in self._references if self._is_same_code(one, changes)), None)
        if same is not None:
            return ValueProof(SAME, f"with it the code is that of {same.label}, word for word", anchored=same.label)
        if not self._references or not bench.can_run_dbt:
            return ValueProof(NOT_COMPARED, "no earlier code can be built beside it")
        bench.checkout(case.head)
        bench.apply(changes)
        graph = bench.graph()
        touched = _touched(case, graph, changes) if graph is not None else ()
        if graph is None or not touched:
            return ValueProof(NOT_COMPARED, "it touches no table whose values could be compared")
        nodes = tuple({one.unique_id: one for one in (*touched, *_tested(case, graph))}.values())[:MOST_COMPARED]
        after = self._imprints(graph, nodes, trial, changes)
        if after is None:
            return ValueProof(NOT_COMPARED, "it could not be built to compare values")
        found = self._reference(nodes, after)
        if found is None:
            return ValueProof(NOT_COMPARED, f"{self._references[-1].label} could not be built to compare values")
        reference, before, older = found
        known = [one for one in nodes if one.unique_id in before]
        if not any(one in touched for one in known):
            return ValueProof(NOT_COMPARED, f"{reference.label} does not have what it touches")
        if any(after[one.unique_id].anchor != before[one.unique_id].anchor for one in known):
            anchors = {one: before[one].anchor for one in before}
            again = self._build_candidate(graph, nodes, changes, anchors)
            if again is None:
                return ValueProof(NOT_COMPARED, f"its columns are too far from those of {reference.label}")
            after = again
        fresh = len(known) < len(nodes) and any(one.unique_id not in before for one in touched)
        proof = self._judge(reference, known, before, after, graph, changes, takes_back=takes_back)
        if proof.verdict == DIFFERENT:
            # What differs from one build of the same code to the next says nothing of the change.
            restless = self._restless(reference, older, known, before)
            if restless:
                proof = self._judge(reference, known, before, after, graph, changes, restless, takes_back=takes_back)
        return replace(proof, added=proof.added or fresh)

    def _judge(
        self, reference: Reference, nodes: Sequence[GraphNode], before: Mapping[str, Imprint],
        after: Mapping[str, Imprint], graph: ProjectGraph, changes: Sequence[FileChange],
        restless: frozenset[tuple[str, str]] = frozenset(), *, takes_back: bool,
    ) -> ValueProof:  # fmt: skip
        excused = self._excused(reference, graph, changes) if takes_back else frozenset()
        checks, wrong, explained, added = [], [], [], False
        for node in nodes:
            was, now = before[node.unique_id], after[node.unique_id]
            differing = {
                name: rows for name, rows in now.differs_in(was).items() if (node.unique_id, name) not in restless
            }
            if any(one == node.unique_id and name for one, name in restless):
                differing.pop("", None)  # a row with a restless column is never the same
            # A column that the newest text does not give either was taken out by its author, not by the patch.
            given = self._given(node)
            lost = [one for one in was.columns if one not in now.columns and (not given or one.lower() in given)]
            new = [one for one in now.columns if one not in was.columns]
            unexplained = [one for one in (*differing, *lost) if one.lower() not in excused]
            faults = []
            if was.rows != now.rows:
                faults.append(f"{plural(now.rows, 'row')} in place of {was.rows:,}")
            if now.repeated_keys > was.repeated_keys:
                faults.append(f"{', '.join(now.anchor)} is not unique")
            faults += [f"no column {one}" for one in lost if one in unexplained]
            faults += [
                f"other values of {one or 'some column in a row'} in {'at least ' if now.rows > 1 else ''}{plural(rows, 'row')}"
                for one, rows in sorted(differing.items(), key=lambda item: -item[1])
                if one in unexplained
            ][:6]
            if faults:
                wrong.append(f"{node.name} would have {', '.join(faults)}")
            other = [one for one in differing if one not in unexplained]
            explained += other
            added = added or bool(new)
            left_out = sorted({*was.left_out, *(name for one, name in restless if one == node.unique_id)} - {""})
            parts = [f"{plural(len(set(was.columns) & set(now.columns)), 'column')} compared"]
            parts += [f"by {', '.join(now.anchor)}"] * bool(now.is_key)
            parts += [f"other values of {', '.join(other[:6])}, as what stays of the commit wants"] * bool(other)
            parts += [f"new: {', '.join(new[:6])}"] * bool(new)
            parts += [f"not compared, as each build gives another: {', '.join(left_out[:6])}"] * bool(left_out)
            checks.append(
                RelationCheck(node.relation_name or node.name, was.rows, now.rows, "; ".join([*faults, *parts]))
            )
        names = ", ".join(one.name for one in nodes)
        where = f"{reference.label} on the same data"
        if wrong:
            reason = f"{'; '.join(wrong)}, and so other values than at {where}"
            return ValueProof(DIFFERENT, reason, tuple(checks), added, reference.label)
        if explained:
            reason = f"{names} differs from {where} only in {', '.join(sorted(set(explained))[:6])}, which what stays of the commit changes"
            return ValueProof(EXPLAINED, reason, tuple(checks), added, reference.label)
        return ValueProof(SAME, f"{names} has the values that {where} gives", tuple(checks), added, reference.label)

    def _given(self, node: GraphNode) -> tuple[str, ...]:
        """Columns that the newest text of a node gives, as far as they stand in it."""
        path = self._case.path_of(node)
        text = self._case.bench.read_at(self._case.head, path) if path else None
        return MaskedSql(text, self._case.graph.adapter_type).outputs() if text is not None else ()

    def _is_same_code(self, reference: Reference, changes: Sequence[FileChange]) -> bool:
        if reference.sha != self._case.head:
            return False
        wanted = {one.path: one.content for one in reference.changes}
        return bool(changes) and wanted == {one.path: one.content for one in changes}

    def _reference(
        self, nodes: Sequence[GraphNode], after: Mapping[str, Imprint]
    ) -> tuple[Reference, dict[str, Imprint], ProjectGraph] | None:
        key = tuple(sorted(one.unique_id for one in nodes))
        while key not in self._built and self._references:
            reference = self._references[0]
            self._put(reference.sha, reference.changes)
            older = self._case.bench.graph()
            held = [older.get(one.unique_id) for one in nodes] if older is not None else []
            there = [one for one in held if one is not None and one.relation_name]
            if older is not None and not there:
                return reference, {}, older
            built = self._run(there)
            found = {one.unique_id: self._with_anchor(older, one, after) for one in there} if built and older else {}
            if older is not None and found and None not in found.values():
                self._built[key] = reference, {one: it for one, it in found.items() if it is not None}, older
            elif len(self._references) == 1:
                return None
            else:
                self._references.pop(0)
        return self._built.get(key)

    def _with_anchor(self, graph: ProjectGraph, node: GraphNode, after: Mapping[str, Imprint]) -> Imprint | None:
        wanted = after[node.unique_id]
        found = take_imprint(self._case, graph, node, wanted.anchor)
        if found is not None and (wanted.anchor or set(found.columns) == set(wanted.columns)):
            return found
        # By what both have: where nothing names a row, its other values have to.
        own = take_imprint(self._case, graph, node, None)
        if own is None:
            return None
        common = tuple(one for one in own.columns if one in wanted.columns)
        return take_imprint(self._case, graph, node, common) if common else None

    def _restless(
        self, reference: Reference, older: ProjectGraph, nodes: Sequence[GraphNode], before: Mapping[str, Imprint]
    ) -> frozenset[tuple[str, str]]:
        """(node, column) that two builds of the same code give differently; the empty name for whole rows."""
        self._put(reference.sha, reference.changes)
        held = [one for one in (older.get(node.unique_id) for node in nodes) if one is not None]
        if not self._run(held):
            return frozenset()
        found: set[tuple[str, str]] = set()
        for node in held:
            again = take_imprint(self._case, older, node, before[node.unique_id].anchor)
            if again is not None:
                found |= {(node.unique_id, name) for name in again.differs_in(before[node.unique_id])}
        return frozenset(found)

    def _imprints(
        self, graph: ProjectGraph, nodes: Sequence[GraphNode], trial: Trial | None, changes: Sequence[FileChange]
    ) -> dict[str, Imprint] | None:
        if trial is not None and not _keeps_rows(graph, nodes):
            statuses = trial.result.statuses
            if all(statuses.get(one.unique_id) in _GOOD for one in nodes):
                found = {one.unique_id: take_imprint(self._case, graph, one, None) for one in nodes}
                return None if None in found.values() else {one: it for one, it in found.items() if it is not None}
        return self._build_candidate(graph, nodes, changes, {})

    def _build_candidate(
        self, graph: ProjectGraph, nodes: Sequence[GraphNode], changes: Sequence[FileChange],
        anchors: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Imprint] | None:  # fmt: skip
        self._put(self._case.head, changes)
        if not self._run(nodes):
            return None
        found = {one.unique_id: take_imprint(self._case, graph, one, anchors.get(one.unique_id)) for one in nodes}
        return None if None in found.values() else {one: it for one, it in found.items() if it is not None}

    def _put(self, sha: str, changes: Sequence[FileChange]) -> None:
        self._case.check_time()
        self._case.bench.checkout(sha)
        if changes:
            self._case.bench.apply(changes)

    def _run(self, nodes: Sequence[GraphNode]) -> bool:
        bench = self._case.bench
        bench.reset_warehouse()
        arguments = ["run", "--full-refresh", "--select", *(f"+{one.name}" for one in nodes)]
        if self._scope.left_out:
            arguments += ["--exclude", *self._scope.left_out]
        if self._scope.seeds:
            bench.dbt("seed")
        if bench.dbt(*arguments).ok:
            return True
        if self._scope.seeds:
            return False
        bench.dbt("seed")  # where production holds no seeds, both sides need them
        return bench.dbt(*arguments).ok

    def _excused(self, reference: Reference, graph: ProjectGraph, changes: Sequence[FileChange]) -> frozenset[str]:
        """Columns that lines which stay were meant to change: what reads otherwise, but for what the patch itself changes."""
        case = self._case
        paths = {one.path for one in (*reference.changes, *changes)}
        if reference.sha != case.head:
            paths |= {path for commit in case.bench.commits(reference.sha, case.head) for path in commit.paths}
        paths = {one for one in paths if one.endswith(".sql")}
        back = {one.path: one.content for one in reference.changes}
        now = {path: case.bench.read_at(case.head, path) for path in paths}
        then = {path: back[path] if path in back else case.bench.read_at(reference.sha, path) for path in paths}
        patched = now | {one.path: one.content for one in changes if one.path in paths}
        adapter = graph.adapter_type
        changed = {one.unique_id for one in graph.nodes.values() if case.path_of(one) in paths}
        calls = call_of(with_callers(macros_changed(then, patched), [text or "" for text in patched.values()]))
        models = [one for one in graph.nodes.values() if one.resource_type == "model"]
        changed |= {one.unique_id for one in models if calls is not None and calls.search(one.raw_sql)}
        reached = {*changed, *(below for one in changed for below in graph.descendants(one))}
        texts = [one.raw_sql for one in map(graph.get, sorted(reached)) if one is not None and one in models]
        return renewed_names(then, patched, texts, adapter) - renewed_names(now, patched, (), adapter)


def renamed_in(case: CaseFile, commits: Sequence[Commit], wrong: str) -> tuple[str, ...]:
    """Names that the commits wrote in place of ``wrong``, or replaced by it, word for word."""
    found: dict[str, None] = {}
    for commit in commits:
        for path in commit.paths:
            before, after = case.bench.read_at(f"{commit.sha}^", path), case.bench.read_at(commit.sha, path)
            if before is None or after is None or not path.endswith(".sql"):
                continue
            for hunk in hunks_of(path, before, after, words):
                was, now = ("".join(part).strip() for part in (hunk.before, hunk.after))
                if wrong in {was, now} and re.fullmatch(r"\w+", was) and re.fullmatch(r"\w+", now):
                    found[now if was == wrong else was] = None
    return tuple(found)


def _touched(case: CaseFile, graph: ProjectGraph, changes: Sequence[FileChange]) -> tuple[GraphNode, ...]:
    """Tables and views that the patch changes, itself or through a macro, however many macros lie between."""
    paths = {change.path for change in changes}
    now = {path: case.bench.read_at(case.head, path) for path in paths if path.endswith(".sql")}
    macros = macros_changed(now, {one.path: one.content for one in changes if one.path in now})
    root = case.bench.root / case.bench.dbt_directory / "macros"
    texts = [
        one.read_text(errors="replace") for one in sorted(root.rglob("*.sql")) if one.is_file() and not one.is_symlink()
    ]
    calls = call_of(with_callers(macros, texts)) if macros else None
    models = [one for one in graph.nodes.values() if one.resource_type == "model"]
    direct = [one for one in models if case.path_of(one) in paths or (calls is not None and calls.search(one.raw_sql))]
    direct += [
        one for one in graph.nodes.values()
        if one.resource_type in {"seed", "snapshot"} and case.path_of(one) in paths
    ]  # fmt: skip
    return tuple({one.unique_id: one for node in direct for one in _stored(graph, node)}.values())


def _stored(graph: ProjectGraph, node: GraphNode) -> Iterator[GraphNode]:
    """The node, or the nearest below it that are tables or views."""
    if node.resource_type == "model" and node.relation_name and node.materialized != "ephemeral":
        yield node
        return
    for one in graph.nodes.values():
        if one.resource_type == "model" and node.unique_id in one.depends_on:
            yield from _stored(graph, one)


def _tested(case: CaseFile, graph: ProjectGraph) -> Iterator[GraphNode]:
    """The failing model, or the models that the failing test reads."""
    node = graph.get(case.record.node)
    if node is None:
        return
    read = [graph.get(one) for one in node.depends_on] if node.test is not None else [node]
    for one in read:
        if one is not None and one.resource_type == "model":
            yield from _stored(graph, one)


def _keeps_rows(graph: ProjectGraph, nodes: Sequence[GraphNode]) -> bool:
    line = (graph.get(one) for node in nodes for one in (node.unique_id, *graph.ancestors(node.unique_id)))
    return any(one is not None and one.materialized == "incremental" for one in line)
