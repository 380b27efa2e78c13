"""The cause came with the rows: what they have in common, what is odd about their load, and who brings them."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..domain.dbt import GraphNode
from ..domain.investigation import Ending, Investigation
from .case_file import CaseFile, table
from .common_mark import Mark, common_marks, count_rows, marks_table
from .contrast import differences
from .load_profile import LoadProfile, profile_loads
from .row_shape import Flagged, Shape, flagged, repeated, shape_of

MOST_SOURCES = 6
_TELLING = 2.0


@dataclass(frozen=True)
class UpstreamCause:
    """Why rows of ``node`` are as they are: ``said`` is a clause for a headline, empty where nothing was found.

    ``confidence`` is 0 to 1; ``evidence_ids`` bear it out.
    """

    node: GraphNode
    said: str
    evidence_ids: tuple[str, ...]
    confidence: float

    @property
    def clause(self) -> str:
        """``said`` as the end of a headline."""
        return f": {self.said}" if self.said else ""

    @property
    def repeats(self) -> str:
        """``said`` of rows that came again, as the end of a headline."""
        return f"; {self.said.replace('failing row', 'repeated row')}" if self.said else ""


def who_feeds(case: CaseFile, node: GraphNode) -> str:
    """Who should act on what a relation received: its owner and its loader, as far as the project names them."""
    of_its_own = case.owner_of(node) if node.owner is not None or not node.loader else ""
    loader = f"whoever runs {node.loader}, which loads {node.name}" if node.loader else ""
    if of_its_own and loader:
        return f"{of_its_own}, with {loader}"
    return of_its_own or loader or f"the owner of {node.name}"


def explain_rows(case: CaseFile, node: GraphNode, where: str, subjects: Sequence[str]) -> UpstreamCause:
    """Why rows of a relation that meet a condition are there; ``subjects`` are the columns that the condition is about."""
    shape = shape_of(case, node)
    if shape is None:
        return UpstreamCause(node, "", (), 0.0)
    return _explain(case, shape, flagged(shape, where, subjects), where)


def explain_repeats(case: CaseFile, node: GraphNode, keys: Sequence[str], order: Sequence[str]) -> UpstreamCause:
    """Why keys of a relation came again; ``order`` are columns that tell the first row of a key."""
    shape = shape_of(case, node)
    if shape is None:
        return UpstreamCause(node, "", (), 0.0)
    return _explain(case, shape, repeated(shape, keys, order), None)


def moment_of(case: CaseFile) -> str:
    """When the failing run was, as warehouses write it."""
    return f"{case.record.latest.happened_at:%Y-%m-%d %H:%M:%S}"


def _explain(case: CaseFile, shape: Shape, rows: Flagged, where: str | None) -> UpstreamCause:
    node, cited, said = shape.node, list[str](), list[str]()
    failing, passing = count_rows(case, rows)
    marks = common_marks(case, rows, failing, passing)
    if marks:
        best = marks[0]
        marks_id = case.add(
            f"What the failing rows of {node.name} have in common",
            f"{shape.relation}, counted by each of its columns",
            table(("condition", "failing rows", "other rows"), marks_table(marks)),
            "rows",
        )
        cited.append(marks_id)
        case.claim(f"In {node.name}, {best.counted()}.", "confirmed" if best.is_exact else "likely", marks_id)
        rivals = [one for one in marks[1:] if (one.failing, one.passing) == (best.failing, best.passing)]
        # Two columns of the load tell one story; a label beside the load may tell another.
        other = next((one.said for one in rivals if one.by_load != best.by_load), None)
        said.append(best.counted() + (f" (they alone also have {other})" if other else ""))
        if rivals:
            same = "; ".join(one.said for one in rivals)
            case.claim(
                f"The same rows also share {same}: the data alone cannot tell which of these is the cause.",
                "possible",
                marks_id,
            )
        case.claim(
            f"The same code passes the other {best.all_passing:,} rows of {node.name}: the cause came with those rows.",
            "likely",
            marks_id,
        )
    if where is not None:
        said += _contrast(case, shape, marks[0].where if marks else where, cited)
    profile = profile_loads(case, shape, moment_of(case))
    if profile is not None:
        said += _odd_loads(case, profile, marks, cited)
    if not said and failing == 1 and shape.loads:
        said += _load_of_one(case, rows, cited)
    if not said and failing > 1:
        case.claim(
            f"The {failing:,} failing rows of {node.name} have nothing in common that its other rows have not, and its loads are as usual.",
            "likely",
            case.add(
                f"What the failing rows of {node.name} have in common",
                f"{shape.relation}, counted by each of its columns",
                f"no column sets them apart; looked at: {', '.join(shape.columns)}",
                "rows",
            ),
        )
    if not said:
        return UpstreamCause(node, "", (), 0.0)
    confidence = 0.85 if marks and marks[0].is_exact else 0.75 if marks else 0.6
    return UpstreamCause(node, "; ".join(said[: 2 if marks else 3]), tuple(cited), confidence)


def _load_of_one(case: CaseFile, rows: Flagged, cited: list[str]) -> list[str]:
    """With which load the one failing row came: a single row shares nothing with others, but its load can be looked at."""
    load = rows.shape.loads[0]
    found = case.ask(f"select {rows.shape.text(load)} from ({rows.sql}) as flagged where failing_row = 1", 1)
    if found.error is not None or not found.rows or found.rows[0][0] is None or load.lower() in case.hidden:
        return []
    said = f"the one failing row has {load} = '{str(found.rows[0][0])[:60]}'"
    cited.append(case.add("The load of the failing row", rows.shape.relation, said, "rows"))
    case.claim(f"In {rows.shape.node.name}, {said}.", "confirmed", cited[-1])
    return [said]


def _contrast(case: CaseFile, shape: Shape, where: str, cited: list[str]) -> list[str]:
    found = differences(case, shape, where, now=moment_of(case))[:5]
    if not found:
        return []
    figures = [(one.column, *one.figures) for one in found]
    evidence_id = case.add(
        f"In what else these rows of {shape.node.name} differ",
        f"{shape.relation}, medians and shares on both sides",
        table(("column", "these rows", "other rows"), figures, case.hidden),
        "rows",
    )
    cited.append(evidence_id)
    telling = [one for one in found if one.weight >= _TELLING and one.column.lower() not in case.hidden]
    for one in telling[:2]:
        case.claim(f"In these rows, {one.said}.", "likely", evidence_id)
    return [one.said for one in telling[:1]]


def _odd_loads(case: CaseFile, profile: LoadProfile, marks: Sequence[Mark], cited: list[str]) -> list[str]:
    name = profile.shape.node.name
    of_load = "day of " if profile.by_day else ""
    shown = table((f"{of_load}{profile.column}", "rows"), profile.shown(), case.hidden)
    odd = profile.oddities[:5]
    text = "\n".join([*(f"- {one.said}" for one in odd), *([""] if odd else []), shown])
    evidence_id = case.add(
        f"Loads of {name}, newest first, compared with the ones before",
        f"{profile.shape.relation} by {of_load}{profile.column}",
        text,
        "rows",
    )
    if not odd:
        return []
    cited.append(evidence_id)
    for one in odd[:3]:
        case.claim(f"In {name}, {one.said}.", "likely", evidence_id)
    same = [one for one in odd if any(one.batch in mark.said for mark in marks)]
    return [one.said for one in (same or odd)[: 1 if marks else 2]]


def profile_of(case: CaseFile, feed: GraphNode) -> LoadProfile | None:
    """The loads of a relation, compared; None where nothing tells them apart."""
    shape = shape_of(case, feed)
    return profile_loads(case, shape, moment_of(case)) if shape is not None else None


def show_loads(case: CaseFile, profile: LoadProfile, feed: GraphNode) -> str:
    """Keep how many rows each of the newest loads brought; returns the evidence's id."""
    return case.add(
        f"Loads of {feed.name}, newest first",
        f"{feed.relation_name} by {profile.column}",
        table((profile.column, "rows"), profile.shown(), case.hidden),
        "rows",
    )


def investigate_loads(case: CaseFile, node: GraphNode) -> Investigation | None:
    """No single row is to blame: is a load upstream odd in number, measures or labels? None where all are as usual."""
    tried: list[str] = []
    found: list[tuple[float, GraphNode, str, str]] = []
    sources = [
        one
        for one in map(case.graph.get, case.graph.ancestors(node.unique_id))
        if one is not None and one.resource_type in {"source", "seed"}
    ]
    for source in sources[:MOST_SOURCES]:
        shape = shape_of(case, source)
        profile = profile_loads(case, shape, moment_of(case)) if shape is not None else None
        tried.append(source.name)
        if profile is None or not profile.oddities:
            continue
        cited: list[str] = []
        odd = "; ".join(_odd_loads(case, profile, (), cited))
        found.append((profile.oddities[0].weight, source, odd, cited[0]))
    if not found:
        if tried:
            case.claim(
                f"The newest loads of {', '.join(tried)} are like the ones before, or nothing tells their rows' loads apart.",
                "likely",
                *[one.evidence_id for one in case.evidence if one.kind == "message"],
            )
        return None
    found.sort(key=lambda one: -one[0])
    _, source, what_came, _ = found[0]
    if len(found) > 1:
        others = "; ".join(f"{one.name}: {what}" for _, one, what, _ in found[1:3])
        case.claim(f"Other loads upstream are odd as well: {others}.", "possible", *(one[3] for one in found[1:3]))
    return case.conclude(
        f"{node.name} fails on what {source.name} received: {what_came}.",
        "data",
        ending=Ending.ANSWERED,
        next_step=f"Ask {who_feeds(case, source)} about this load of {source.name}, and have it delivered again.",
        who=who_feeds(case, source),
        needs_person="the rows can only be mended where they are loaded; no change of the code makes up for them",
        root_node=source.unique_id,
        confidence=0.6 if len(found) == 1 else 0.5,
    )
