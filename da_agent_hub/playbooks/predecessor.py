"""Does a guess give the values of old? What a candidate touches, built beside the predecessor of the commit that broke it."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlglot

from ..domain.dbt import GraphNode, ProjectGraph
from ..domain.investigation import FileChange
from ..domain.line_merge import hunks_of, words
from ..ports import Commit
from .case_file import CaseFile
from .warehouse import columns_of, dialect, load_columns

SAME, DIFFERENT, UNKNOWN = "same", "different", "unknown"
_ABSENT = "(null)"
_BUCKET_DIGITS = 3
_TRIES_TO_CAST = {"duckdb", "snowflake", "bigquery", "databricks", "spark"}


@dataclass(frozen=True)
class Comparison:
    """``same``, ``different`` or ``unknown``, and why; ``added`` tells of columns that the predecessor does not have."""

    verdict: str
    reason: str
    added: bool = False


@dataclass(frozen=True)
class _Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


class Predecessor:
    """The newest commit known to have been right; ``sha`` is None where none is known."""

    def __init__(self, case: CaseFile, sha: str | None) -> None:
        self._case = case
        self._sha = sha

    def compare(self, changes: Sequence[FileChange]) -> Comparison:
        """Build the nodes that the patch touches here and there, on the same data, and compare their common columns."""
        bench = self._case.bench
        if self._sha is None or not bench.can_run_dbt:
            return Comparison(UNKNOWN, "no earlier commit can be built beside it")
        bench.checkout(self._case.head)
        bench.apply(changes)
        graph = bench.graph()
        touched = _touched(self._case, graph, changes) if graph is not None else ()
        if graph is None or not touched:
            return Comparison(UNKNOWN, "it touches no table whose values could be compared")
        bench.checkout(self._sha)
        older = bench.graph()
        before = [older.get(one.unique_id) for one in touched] if older is not None else []
        known = [(new, old) for new, old in zip(touched, before, strict=False) if old is not None and old.relation_name]
        if len(known) < len(touched):
            return Comparison(UNKNOWN, f"{self._sha[:10]} does not have all that it touches")
        after = self._build(self._case.head, [new for new, _ in known], changes)
        was = self._build(self._sha, [old for _, old in known])
        if after is None or was is None:
            return Comparison(
                UNKNOWN, f"{'it' if after is None else self._sha[:10]} could not be built to compare values"
            )
        if any(set(was[one].columns) - set(after[one].columns) for one in was):
            common = {one: tuple(name for name in was[one].columns if name in after[one].columns) for one in was}
            was = self._build(self._sha, [old for _, old in known], (), common)
        else:
            common = {one: was[one].columns for one in was}
        added = any(set(after[one].columns) - set(common[one]) for one in common)
        if added or was is None or any(common[one] != after[one].columns for one in common):
            after = self._build(self._case.head, [new for new, _ in known], changes, common)
        if was is None or after is None or not all(common.values()):
            return Comparison(UNKNOWN, "they have no column in common")
        wrong = [one for one in was if was[one].rows != after[one].rows]
        if wrong:
            names = ", ".join(one.name for one, _ in known if one.unique_id in wrong)
            return Comparison(DIFFERENT, f"{names} would have other values than at {self._sha[:10]} on the same data")
        names = ", ".join(one.name for one, _ in known)
        return Comparison(SAME, f"{names} has the values that {self._sha[:10]} gives on the same data", added)

    def _build(
        self,
        sha: str,
        nodes: Sequence[GraphNode],
        changes: Sequence[FileChange] = (),
        columns: Mapping[str, tuple[str, ...]] | None = None,
    ) -> dict[str, _Table] | None:
        case = self._case
        case.check_time()
        case.bench.checkout(sha)
        if changes:
            case.bench.apply(changes)
        case.bench.reset_warehouse()
        arguments = ("run", "--full-refresh", "--select", *(f"+{one.name}" for one in nodes))
        if not case.bench.dbt(*arguments).ok:
            # Where production holds no seeds, both sides need them.
            case.bench.dbt("seed")
            if not case.bench.dbt(*arguments).ok:
                return None
        built = {}
        for node in nodes:
            held = columns_of(case, node.relation_name or "")
            moments = [one for one in held if re.search("timestamp|date", one.kind, re.I)]
            loaded = set(load_columns(moments))  # the time of a build is never the same twice
            names = tuple(sorted(one.name for one in held if one.name not in loaded))
            wanted = columns[node.unique_id] if columns is not None else names
            rows = _fingerprint(case, node.relation_name or "", wanted) if wanted else ()
            if rows is None:
                return None
            built[node.unique_id] = _Table(wanted, rows)
        return built


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
    paths = {change.path for change in changes}
    macros = {
        name
        for change in changes
        for name in re.findall(r"\{%-?\s*macro\s+(\w+)", change.content or "")
        if change.path.endswith(".sql")
    }
    calls = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(macros)))})\s*\(") if macros else None
    models = [one for one in graph.nodes.values() if one.resource_type == "model"]
    direct = [one for one in models if case.path_of(one) in paths or (calls is not None and calls.search(one.raw_sql))]
    return tuple({one.unique_id: one for node in direct for one in _stored(graph, node)}.values())


def _stored(graph: ProjectGraph, node: GraphNode) -> Iterator[GraphNode]:
    """The node, or the nearest below it that are tables or views."""
    if node.relation_name and node.materialized != "ephemeral":
        yield node
        return
    for one in graph.nodes.values():
        if one.resource_type == "model" and node.unique_id in one.depends_on:
            yield from _stored(graph, one)


def _fingerprint(case: CaseFile, relation: str, names: Sequence[str]) -> tuple[tuple[object, ...], ...] | None:
    """Rows as counts of hashes, whatever their order; numbers are rounded, and alike in each type."""
    adapter = dialect(case.graph.adapter_type)
    cells = []
    for name in names:
        text = f"cast({sqlglot.exp.to_identifier(name, quoted=True).sql(dialect='duckdb')} as varchar)"
        if adapter in _TRIES_TO_CAST:
            text = f"coalesce(cast(round(try_cast({text} as double), 6) as varchar), {text})"
        cells.append(f"coalesce({text}, '{_ABSENT}')")
    row = " || '|' || ".join(cells)
    sql = (
        f"select substr(h, 1, {_BUCKET_DIGITS}) as bucket, count(*) as n, min(h) as low, max(h) as high "
        f"from (select md5({row}) as h from relation_compared) as hashed group by 1 order by 1"
    )
    if adapter is not None and adapter != "duckdb":
        (sql,) = sqlglot.transpile(sql, read="duckdb", write=adapter)
    answer = case.ask(sql.replace("relation_compared", relation), 16**_BUCKET_DIGITS + 1)
    return None if answer.error is not None else tuple(tuple(one) for one in answer.rows)
