"""What failing rows have in common that the others have not: the column and value that set them apart best."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from .case_file import CaseFile
from .row_shape import Flagged, literal
from .warehouse import as_text

MOST_VALUES, MOST_MARKS, MOST_GROUPS, MOST_PAIRED = 3, 4, 600, 3
_CHANCE = 0.001


@dataclass(frozen=True)
class Mark:
    """A condition that failing rows meet: ``failing`` of ``all_failing`` of them, and ``passing`` of ``all_passing`` others.

    ``said`` is the condition in words and ``where`` in SQL; ``since`` is the first moment where it is a span of time.
    """

    columns: tuple[str, ...]
    said: str
    where: str
    failing: int
    all_failing: int
    passing: int
    all_passing: int
    since: str | None = None
    by_load: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it holds for each failing row and for no other."""
        return self.failing == self.all_failing and self.passing == 0 and self.all_passing > 0

    @property
    def excluded(self) -> float:
        """Which share of the passing rows it leaves out."""
        return 1 - self.passing / self.all_passing if self.all_passing else 0.0

    @property
    def chance(self) -> float:
        """How likely as many rows, drawn blindly, would all meet it."""
        share = (self.failing + self.passing) / (self.all_failing + self.all_passing)
        return float(share**self.failing)

    @property
    def tells(self) -> bool:
        """Whether it sets the failing rows apart, and not by chance."""
        least = 0.4 if self.by_load or self.since else 0.6
        return self.failing >= 0.9 * self.all_failing and self.excluded >= least and self.chance < _CHANCE

    def counted(self) -> str:
        """The condition with its figures, as half a sentence."""
        failing = (
            "the one failing row has"
            if self.all_failing == 1
            else f"all {self.all_failing:,} failing rows have"
            if self.failing == self.all_failing
            else f"{self.failing:,} of {self.all_failing:,} failing rows have"
        )
        return f"{failing} {self.said}, and {self.passing:,} of {self.all_passing:,} others"


def count_rows(case: CaseFile, rows: Flagged) -> tuple[int, int]:
    """How many rows fail, and how many others there are; zeros where they cannot be read."""
    totals = case.ask(f"select sum(failing_row) as failing, count(*) as n from ({rows.sql}) as flagged", 1)
    if totals.error is not None or not totals.rows or not totals.rows[0][0]:
        return 0, 0
    failing = int(totals.rows[0][0])
    return failing, int(totals.rows[0][1]) - failing


def common_marks(case: CaseFile, rows: Flagged, failing: int, passing: int) -> tuple[Mark, ...]:
    """The best marks first: those that leave out most, of equal ones those of the load; empty where nothing tells."""
    if not failing or not passing:
        return ()
    marks = [*_by_value(case, rows, failing, passing), *_by_span(case, rows, failing, passing)]
    telling = [one for one in marks if one.tells]
    best: dict[str, Mark] = {}
    for one in sorted(telling, key=_order):
        best.setdefault(one.columns[0], one)
    chosen = sorted(best.values(), key=_order)
    if chosen and not chosen[0].is_exact and len(chosen) > 1:
        chosen = sorted([*chosen, *_by_two(case, rows, chosen[:MOST_PAIRED])], key=_order)
    return tuple(chosen[:MOST_MARKS])


def _order(mark: Mark) -> tuple[int, int, int, int, int]:
    return mark.passing, -mark.failing, len(mark.columns), int(not mark.by_load), int(mark.since is not None)


def _candidates(rows: Flagged) -> list[tuple[str, str, bool]]:
    """Columns with the expression by which they are grouped, and whether that is the day of a moment."""
    shape = rows.shape
    found = []
    for column in shape.columns:
        if column.lower() in rows.subjects:
            continue
        by_day = column in shape.moments
        if by_day and column in shape.loads:
            found.append((column, shape.text(column), False))
        found.append((column, shape.day(column) if by_day else shape.text(column), by_day))
    return found


def _by_value(case: CaseFile, rows: Flagged, failing: int, passing: int) -> list[Mark]:
    shape, candidates = rows.shape, _candidates(rows)
    if not candidates:
        return []
    parts = " union all ".join(
        f"select {place} as place, {expression} as mark, failing_row from flagged"
        for place, (_, expression, _) in enumerate(candidates)
    )
    found = case.ask(
        f"with flagged as ({rows.sql}), marked as ({parts}) select place, mark, sum(failing_row) as failing, "
        "sum(1 - failing_row) as passing from marked group by place, mark having sum(failing_row) > 0 "
        "order by sum(failing_row) desc, sum(1 - failing_row)",
        MOST_GROUPS,
    )
    if found.error is not None:
        return []
    by_place: dict[int, list[tuple[object, int, int]]] = {}
    for place, mark, bad, good in found.rows:
        by_place.setdefault(int(place), []).append((mark, int(bad), int(good)))
    marks = []
    for place, (column, expression, by_day) in enumerate(candidates):
        by_load = column in shape.loads
        # Where few rows fail, any column sets them apart; and of a measure several values together are always rare.
        most = 1 if column in shape.numbers and not by_load else min(MOST_VALUES, failing // 3 or 1)
        held = by_place.get(place, [])[:most]
        if failing < 2 and not by_load:
            continue
        for length in range(1, len(held) + 1):
            values = held[:length]
            where, said = _named(column, expression, [one[0] for one in values], by_day, column.lower() in case.hidden)
            bad, good = sum(one[1] for one in values), sum(one[2] for one in values)
            marks.append(Mark((column,), said, where, bad, failing, good, passing, by_load=by_load))
    return marks


def _named(column: str, expression: str, values: Sequence[object], by_day: bool, hidden: bool) -> tuple[str, str]:
    given = [value for value in values if value is not None]
    parts = [f"{expression} in ({', '.join(map(literal, given))})"] if given else []
    parts += [f"{expression} is null"] if len(given) < len(values) else []
    shown = ["null" if value is None else "(hidden)" if hidden else f"'{str(value)[:60]}'" for value in values]
    of = f"the day of {column}" if by_day else column
    if len(shown) == 1:
        said = f"{of} null" if values[0] is None else f"{of} = {shown[0]}"
    else:
        said = f"{of} one of {', '.join(shown)}"
    return f"({' or '.join(parts)})", said


def _by_span(case: CaseFile, rows: Flagged, failing: int, passing: int) -> list[Mark]:
    """Moments from which on, or up to which, the failing rows lie."""
    shape = rows.shape
    moments = [one for one in shape.moments if one.lower() not in rows.subjects]
    moments += [one for one in shape.numbers if one in shape.loads and one.lower() not in rows.subjects]
    if not moments or failing < 2:
        return []
    limits = ", ".join(
        f"min({shape.name(one)}) as lo{place}, max({shape.name(one)}) as hi{place}" for place, one in enumerate(moments)
    )
    sums = ", ".join(
        f"min({as_text(f'lo{place}', shape.adapter)}) as low{place}, "
        f"min({as_text(f'hi{place}', shape.adapter)}) as high{place}, "
        f"sum(case when {shape.name(one)} >= lo{place} then failing_row else 0 end) as f{place}, "
        f"sum(case when {shape.name(one)} >= lo{place} then 1 - failing_row else 0 end) as s{place}, "
        f"sum(case when {shape.name(one)} <= hi{place} then 1 - failing_row else 0 end) as b{place}"
        for place, one in enumerate(moments)
    )
    found = case.ask(
        f"with flagged as ({rows.sql}), span as (select {limits} from flagged where failing_row = 1) "
        f"select {sums} from flagged cross join span",
        1,
    )
    if found.error is not None or not found.rows:
        return []
    marks = []
    for place, column in enumerate(moments):
        low, high, held, after, before = found.rows[0][place * 5 : place * 5 + 5]
        if low is None or held is None or low == high:
            continue
        name, by_load = shape.name(column), column in shape.loads
        for side, edge, others in ((">=", low, after), ("<=", high, before)):
            said = f"{column} {'from' if side == '>=' else 'up to'} {'(hidden)' if column.lower() in case.hidden else edge}"
            where = f"{name} {side} (select {'min' if side == '>=' else 'max'}({name}) from ({rows.sql}) as f where failing_row = 1)"
            marks.append(
                Mark((column,), said, where, int(held), failing, int(others or 0), passing, str(edge), by_load)
            )
    return marks


def _by_two(case: CaseFile, rows: Flagged, marks: Sequence[Mark]) -> list[Mark]:
    pairs = list(combinations(marks, 2))
    sums = ", ".join(
        f"sum(case when {one.where} and {other.where} then failing_row else 0 end) as f{place}, "
        f"sum(case when {one.where} and {other.where} then 1 - failing_row else 0 end) as p{place}"
        for place, (one, other) in enumerate(pairs)
    )
    found = case.ask(f"select {sums} from ({rows.sql}) as flagged", 1)
    if found.error is not None or not found.rows:
        return []
    both = []
    for place, (one, other) in enumerate(pairs):
        failing, passing = (int(cell or 0) for cell in found.rows[0][place * 2 : place * 2 + 2])
        # A second condition has to earn its place.
        if passing <= 0.5 * min(one.passing, other.passing):
            both.append(
                replace(
                    one, columns=(*one.columns, *other.columns), said=f"{one.said} and {other.said}",
                    where=f"{one.where} and {other.where}", failing=failing, passing=passing,
                    by_load=one.by_load or other.by_load, since=one.since or other.since,
                )
            )  # fmt: skip
    return [one for one in both if one.tells]


def marks_table(marks: Sequence[Mark]) -> list[tuple[object, ...]]:
    """Rows of the evidence: what, how many of the failing rows, how many of the others."""
    return [
        (one.said, f"{one.failing:,} of {one.all_failing:,}", f"{one.passing:,} of {one.all_passing:,}")
        for one in marks
    ]
