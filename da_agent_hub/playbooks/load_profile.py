"""How the newest loads of a relation compare with the ones before: rows, measures, nulls, labels, rows that came again."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import median as middle

from .case_file import CaseFile, plural
from .contrast import factor, shift_of, unit_of
from .row_shape import Shape
from .warehouse import median, minutes_between

MOST_BATCHES, LEAST_BATCHES, MOST_MEASURES, MOST_LABELS = 60, 3, 10, 8
MOST_ROWS_COMPARED_WHOLE = 5_000_000
_SHOWN = 10


@dataclass(frozen=True)
class Oddity:
    """What sets loads apart from the earlier ones: ``said`` is a clause, ``batch`` the load from which on it is seen.

    ``weight`` orders by how much it tells; ``columns`` are those concerned, none where it is about how many rows came.
    """

    said: str
    batch: str
    weight: float
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadProfile:
    """The loads of a relation by ``column``, oldest first, with how many rows each brought."""

    shape: Shape
    column: str
    by_day: bool
    batches: tuple[tuple[str, int], ...]
    oddities: tuple[Oddity, ...]

    @property
    def newest(self) -> str:
        """The newest load."""
        return self.batches[-1][0]

    def shown(self) -> list[tuple[object, ...]]:
        """The newest loads and their rows, newest first."""
        return list(reversed(self.batches[-_SHOWN:]))


def profile_loads(case: CaseFile, shape: Shape, now: str) -> LoadProfile | None:
    """Compare the loads of a relation; None where no column tells them, or there are not enough to compare.

    ``now`` is the moment of the failing run, ``YYYY-MM-DD hh:mm:ss``.
    """
    chosen = _batch_column(case, shape)
    if chosen is None:
        return None
    column, by_day = chosen
    batch = shape.day(column) if by_day else shape.text(column)
    hidden = case.hidden
    numbers = [one for one in shape.numbers if one not in shape.loads and one.lower() not in hidden][:MOST_MEASURES]
    others = [one for one in shape.columns if one not in shape.loads and one != column]
    clocks = [one for one in shape.moments if one != column][:3] if not by_day or column in shape.loads else []
    parts = [f"{median(shape.name(one), shape.adapter)} as m{place}" for place, one in enumerate(numbers)]
    parts += [
        f"sum(case when {shape.name(one)} is null then 1 else 0 end) as n{place}" for place, one in enumerate(others)
    ]
    lags = [
        f"{median(minutes_between(shape.name(one), shape.name(column), shape.adapter), shape.adapter)} as l{place}"
        for place, one in enumerate(clocks)
    ]

    def ask(columns: Sequence[str]) -> Sequence[Sequence[object]]:
        found = case.ask(
            f"select batch, {', '.join(['count(*) as row_count', *columns])} from (select held.*, {batch} as batch from {shape.relation} as held) "
            f"as batched where batch is not null group by batch order by min({shape.name(column)}) desc",
            MOST_BATCHES,
        )
        return () if found.error is not None else tuple(reversed(found.rows))

    rows = ask([*parts, *lags])
    if not rows and lags:
        rows, clocks = ask(parts), []
    if len(rows) < LEAST_BATCHES:
        return None
    batches = tuple((str(row[0]), int(str(row[1]))) for row in rows)
    oddities = [*_counts(batches), *_gaps(batches, column in shape.loads or by_day, now)]
    sizes = [size for _, size in batches]
    for place, name in enumerate(numbers, 2):
        oddities += _measures(name, batches, [row[place] for row in rows])
    for place, name in enumerate(others, 2 + len(numbers)):
        oddities += _nulls(
            name, batches, [int(str(row[place] or 0)) / size for row, size in zip(rows, sizes, strict=True)]
        )
    for place, name in enumerate(clocks, 2 + len(numbers) + len(others)):
        oddities += _clocks(name, column, batches, [row[place] for row in rows])
    oddities += _labels(case, shape, batch, column, batches)
    if sum(sizes) <= MOST_ROWS_COMPARED_WHOLE:
        oddities += _again(case, shape, batch, column, batches)
    return LoadProfile(shape, column, by_day, batches, tuple(sorted(oddities, key=lambda one: -one.weight)))


def _batch_column(case: CaseFile, shape: Shape) -> tuple[str, bool] | None:
    """The column that tells loads apart, and whether only its day does: what a loader adds first, else a date."""
    candidates = [*shape.loads, *(one for one in shape.moments if one not in shape.loads)]
    if not candidates:
        return None
    counts = ", ".join(
        f"count(distinct {shape.name(one)}) as c{place}, count(distinct {shape.day(one)}) as d{place}"
        for place, one in enumerate(candidates)
    )
    found = case.ask(f"select count(*) as n, {counts} from {shape.relation}", 1)
    if found.error is not None or not found.rows:
        return None
    total, *figures = (int(cell or 0) for cell in found.rows[0])
    for place, column in enumerate(candidates):
        values, days = figures[place * 2 : place * 2 + 2]
        is_moment = column in shape.moments
        if column in shape.loads and LEAST_BATCHES <= values <= total / 2 and (values <= MOST_BATCHES or not is_moment):
            return column, False
        if is_moment and LEAST_BATCHES <= days <= total / 2:
            return column, True
    return None


def _odd_from(values: Sequence[float | None], is_odd: Callable[[float, Sequence[float]], bool]) -> int | None:
    """The place from which on each value is odd, judged by those before it; None where the newest is like the others."""
    for start in range(LEAST_BATCHES - 1, len(values)):
        before = [one for one in values[:start] if one is not None]
        after = [one for one in values[start:] if one is not None]
        if len(before) >= LEAST_BATCHES - 1 and after and all(is_odd(one, before) for one in after):
            return start
    return None


def _since(batches: Sequence[tuple[str, int]], start: int) -> str:
    if start == len(batches) - 1:
        return f"in the newest load ({batches[start][0]})"
    return f"since the load of {batches[start][0]}, in all {len(batches) - start} loads"


def _counts(batches: Sequence[tuple[str, int]]) -> list[Oddity]:
    """Loads that are smaller or larger than any before: a person's working week is no oddity."""
    found = []
    sizes = [size for _, size in batches]
    for place in range(LEAST_BATCHES - 1, len(sizes)):
        before = sizes[max(0, place - 28) : place]
        low, high, usual, size = min(before), max(before), middle(before), sizes[place]
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        if size < 0.7 * low and usual - size >= 3:
            said = f"the load of {batches[place][0]} brought {plural(size, 'row')} where the {len(before)} before brought {span}"
            found.append(Oddity(f"{said}: it is not complete", batches[place][0], 2.0 + (1 - size / low), ()))
        elif size > 1.6 * high:
            hint = ", as where it came twice" if 1.8 <= size / usual <= 2.2 else ""
            said = f"the load of {batches[place][0]} brought {plural(size, 'row')} where the {len(before)} before brought {span}{hint}"
            found.append(Oddity(said, batches[place][0], 1.5 + (0.5 if hint else 0.0), ()))
    # An old dip has been lived with; only what is new explains a failure that is new.
    recent = {batch for batch, _ in batches[-7:]}
    return [one for one in found if one.batch in recent][-2:]


def _gaps(batches: Sequence[tuple[str, int]], of_days: bool, now: str) -> list[Oddity]:
    if not of_days or len(batches) < LEAST_BATCHES + 1:
        return []
    days = [_day(batch) for batch, _ in batches]
    ran = _day(now)
    if any(one is None for one in days) or ran is None:
        return []
    known = sorted({one for one in days if one is not None})
    steps = [(later - earlier).days for earlier, later in pairwise(known)]
    found = []
    for place in range(len(steps) - 1, max(1, len(steps) - 7), -1):
        before = steps[:place]
        if steps[place] > max(before) and steps[place] >= 2:
            first, last = known[place] + timedelta(days=1), known[place + 1] - timedelta(days=1)
            span = f"{first}" if first == last else f"{first} to {last}"
            found.append(
                Oddity(f"nothing is there of {span}, where a load came every {_every(before)} before", str(first), 2.4)
            )
    quiet = (ran - known[-1]).days
    if steps and quiet > max(*steps, 1) + (0 if max(steps) > 1 else 1):
        found.append(
            Oddity(
                f"the newest load is of {known[-1]}, {quiet} days before the failing run, where one came every {_every(steps)} before",
                str(known[-1]),
                2.2,
            )
        )
    return found[:2]


def _every(steps: Sequence[int]) -> str:
    return (
        "day"
        if max(steps) == 1
        else f"{min(steps)} to {max(steps)} days"
        if min(steps) < max(steps)
        else f"{steps[0]} days"
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if re.match(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _measures(name: str, batches: Sequence[tuple[str, int]], cells: Sequence[object]) -> list[Oddity]:
    values = [None if cell is None else float(str(cell)) for cell in cells]
    sized = [value if size >= 3 else None for value, (_, size) in zip(values, batches, strict=True)]

    def is_odd(here: float, before: Sequence[float]) -> bool:
        centre = middle(before)
        spread = 1.4826 * middle([abs(one - centre) for one in before])
        if here * centre <= 0:
            return abs(here - centre) > max(6 * spread, abs(centre)) and centre != 0
        ratio = max(here / centre, centre / here)
        return abs(here - centre) > 6 * spread and ratio >= 3 and not min(before) <= here <= max(before)

    start = _odd_from(sized, is_odd)
    if start is None:
        return []
    usual = middle([one for one in sized[:start] if one is not None])
    odd = middle([one for one in sized[start:] if one is not None])
    hint = unit_of(odd / usual) if usual and odd * usual > 0 else ""
    times = (
        ""
        if not usual or odd * usual <= 0
        else f", {factor(odd / usual)} times"
        if odd > usual
        else f", 1/{factor(usual / odd)} of it"
    )
    said = f"the median of {name} is {odd:,.6g} {_since(batches, start)} and was {usual:,.6g} before{times}{', ' + hint if hint else ''}"
    return [Oddity(said, batches[start][0], 3.0 if hint else 2.0, (name,))]


def _nulls(name: str, batches: Sequence[tuple[str, int]], shares: Sequence[float]) -> list[Oddity]:
    start = _odd_from(list(shares), lambda here, before: here >= 0.2 and here > 4 * max([*before, 0.01]))
    if start is None:
        return []
    usual = middle(shares[:start])
    return [
        Oddity(
            f"{name} is null in {middle(shares[start:]):.0%} of the rows {_since(batches, start)} and was in {usual:.0%} before",
            batches[start][0], 2.3, (name,),
        )
    ]  # fmt: skip


def _clocks(name: str, column: str, batches: Sequence[tuple[str, int]], cells: Sequence[object]) -> list[Oddity]:
    values = [None if cell is None else float(str(cell)) for cell in cells]

    def is_odd(here: float, before: Sequence[float]) -> bool:
        centre = middle(before)
        spread = 1.4826 * middle([abs(one - centre) for one in before])
        return abs(here - centre) > max(6 * spread, 25) and bool(shift_of(here - centre))

    start = _odd_from(values, is_odd)
    if start is None:
        return []
    usual = middle([one for one in values[:start] if one is not None])
    odd = middle([one for one in values[start:] if one is not None])
    said = f"{column} lies {odd:+,.0f} minutes from {name} {_since(batches, start)} and {usual:+,.0f} before (medians), {shift_of(odd - usual)}"
    return [Oddity(said, batches[start][0], 2.6, (name,))]


def _labels(case: CaseFile, shape: Shape, batch: str, column: str, batches: Sequence[tuple[str, int]]) -> list[Oddity]:
    """Labels that are new in the newest loads, or that each load had and the newest has not."""
    labels = [
        one for one in shape.labels if one not in shape.loads and one != column and one.lower() not in case.hidden
    ]
    labels = labels[:MOST_LABELS]
    if not labels or len(batches) < LEAST_BATCHES + 1:
        return []
    place_of = {name: place for place, (name, _) in enumerate(batches)}
    parts = " union all ".join(
        f"select {place} as place, {shape.text(one)} as label, batch from batched" for place, one in enumerate(labels)
    )
    few = " union all ".join(
        f"select {place} as place, count(distinct {shape.name(one)}) as n, count(*) as of_all from batched"
        for place, one in enumerate(labels)
    )
    found = case.ask(
        f"with batched as (select held.*, {batch} as batch from {shape.relation} as held), labelled as ({parts}), sizes as ({few}) "
        "select labelled.place, label, min(batch) as first_batch, max(batch) as last_batch, count(distinct batch) as batches, "
        "count(*) as row_count from labelled join sizes on labelled.place = sizes.place where sizes.n <= 40 and sizes.n * 4 <= sizes.of_all "
        "and label is not null group by labelled.place, label order by count(*) desc",
        300,
    )
    if found.error is not None:
        return []
    oddities = []
    for place, label, first, last, held_in, rows in found.rows:
        if first not in place_of or last not in place_of:
            continue
        name, start, end = labels[int(place)], place_of[first], place_of[last]
        # Text sorts otherwise than numbers; a label's span of loads is only believed where its loads fill it.
        if start >= max(LEAST_BATCHES, len(batches) - 7) and int(held_in) >= 0.6 * (len(batches) - start):
            said = (
                f"{name} = '{str(label)[:60]}' is new {_since(batches, start)}: {plural(int(rows), 'row')}, none before"
            )
            oddities.append(Oddity(said, str(first), 2.1, (name,)))
        elif (
            end < len(batches) - 1
            and end >= len(batches) - 8
            and int(held_in) == end - start + 1
            and int(held_in) >= LEAST_BATCHES
            and start <= 1
        ):
            said = f"{name} = '{str(label)[:60]}' is missing {_since(batches, end + 1)}, and was in each of the {held_in} before"
            oddities.append(Oddity(said, batches[end + 1][0], 2.5, (name,)))
    return oddities[:4]


def _again(case: CaseFile, shape: Shape, batch: str, column: str, batches: Sequence[tuple[str, int]]) -> list[Oddity]:
    """Loads whose rows were there before, or that hold rows more than once, the loader's own columns aside."""
    content = [one for one in shape.columns if one not in shape.loads and one != column]
    numbered = [
        one
        for one in content
        if not re.fullmatch(r"(?i)(row|line|record|seq)_?(id|no|number|key)|id|_id|pk|uuid|guid", one)
    ]
    content = numbered if len(numbered) >= 3 else content
    if len(content) < 2:
        return []
    listed = ", ".join(shape.name(one) for one in content)
    found = case.ask(
        "select lo, hi, count(*) as contents, sum(n - 1) as copies from (select count(*) as n, min(batch) as lo, max(batch) as hi from "
        f"(select held.*, {batch} as batch from {shape.relation} as held) as batched group by {listed} having count(*) > 1) as again "
        "group by lo, hi order by sum(n - 1) desc",
        40,
    )
    if found.error is not None or not found.rows:
        return []
    copies: dict[str, int] = {}
    origin: dict[str, str] = {}
    for low, high, _, number in found.rows:
        copies[str(high)] = copies.get(str(high), 0) + int(number)
        origin.setdefault(str(high), str(low))
    shares = {name: copies.get(name, 0) / size for name, size in batches}
    usual = middle(list(shares.values()))
    oddities = []
    for name, size in batches:
        if shares[name] < 0.1 or shares[name] < 4 * max(usual, 0.01) or copies[name] < 2:
            continue
        low = origin[name]
        where = "within it" if low == name else f"in the load of {low}"
        of_all = f"all {size:,}" if copies[name] >= size else f"{copies[name]:,} of the {size:,}"
        said = (
            f"{of_all} rows of the load of {name} are there twice, {where} as well"
            if low != name
            else (f"{of_all} rows of the load of {name} repeat another row of it")
        )
        oddities.append(Oddity(said, name, 2.8, ()))
    return oddities[-2:]
