"""In what else rows differ from the others: their measures by a factor, their clocks by hours, what they leave empty."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from .case_file import CaseFile
from .row_shape import Shape, literal
from .warehouse import median, minutes_between

MOST_NUMBERS, MOST_MOMENTS = 12, 4
# What a factor between the same measure of two senders usually is; the widths are those of a median of other rows.
_FACTORS = (
    (100.0, 0.35, "as between a unit and its hundredth, such as cents"),
    (1000.0, 0.4, "as between a unit and its thousandth, such as grams and kilograms"),
    (10_000.0, 0.35, "as where hundredths were taken twice"),
    (1_000_000.0, 0.4, "as between a unit and its millionth"),
    (60.0, 0.12, "as between minutes and seconds, or hours and minutes"),
    (3600.0, 0.15, "as between hours and seconds"),
    (24.0, 0.12, "as between days and hours"),
    (10.0, 0.15, "as where a decimal place was lost"),
)
_NARROW = ((2.2046, "pounds and kilograms"), (1.609, "miles and kilometres"), (2.54, "inches and centimetres"), (25.4, "inches and millimetres"), (3.2808, "feet and metres"), (1.8, "degrees Fahrenheit and Celsius"))  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One way in which the rows of one side differ; ``said`` is half a sentence, ``weight`` orders by how much it tells."""

    column: str
    said: str
    weight: float
    figures: tuple[str, str]


def unit_of(ratio: float) -> str:
    """What a factor between two medians of one measure may come from; several where several fit, empty where none does."""
    large = ratio if ratio >= 1 else 1 / ratio
    found = [said for factor, width, said in _FACTORS if abs(large / factor - 1) <= width]
    found += [f"as between {said}" for factor, said in _NARROW if abs(large / factor - 1) <= 0.03]
    return ", or ".join(found)


def shift_of(minutes: float) -> str:
    """What a change of so many minutes between two clocks may come from; empty where it is none of whole half hours."""
    halves = round(minutes / 30)
    if not halves or abs(halves) > 28 or abs(minutes - halves * 30) > 6:
        return ""
    hours = f"{abs(halves) / 2:g}"
    return f"as between clocks of time zones {hours} {'hour' if hours == '1' else 'hours'} apart, such as local time and UTC"


def factor(ratio: float) -> str:
    """A factor above 1 as people write it: three digits, or whole from a hundred on."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def differences(case: CaseFile, shape: Shape, where: str, *, now: str) -> tuple[Difference, ...]:
    """What tells rows that meet a condition from the others: those that tell most first.

    ``now`` is the moment of the failing run, ``YYYY-MM-DD hh:mm:ss``.
    """
    numbers = [one for one in shape.numbers if one not in shape.loads][:MOST_NUMBERS]
    moments = list(shape.moments)[:MOST_MOMENTS]
    pairs = list(combinations(moments, 2))
    others = [one for one in shape.columns if one not in shape.loads]
    parts = ["count(*) as row_count"]
    parts += [f"{median(shape.name(one), shape.adapter)} as m{place}" for place, one in enumerate(numbers)]
    parts += [
        f"sum(case when {shape.name(one)} < 0 then 1 else 0 end) as g{place}" for place, one in enumerate(numbers)
    ]
    parts += [
        f"sum(case when {shape.name(one)} is null then 1 else 0 end) as n{place}" for place, one in enumerate(others)
    ]
    parts += [
        f"sum(case when {shape.text(one)} > {literal(now)} then 1 else 0 end) as t{place}"
        for place, one in enumerate(moments)
    ]
    lags = [
        f"{median(minutes_between(shape.name(one), shape.name(other), shape.adapter), shape.adapter)} as l{place}"
        for place, (one, other) in enumerate(pairs)
    ]

    def ask(columns: Sequence[str]) -> dict[int, Sequence[object]]:
        listed = ", ".join(columns)
        found = case.ask(
            f"select side, {listed} from (select held.*, case when {where} then 1 else 0 end as side from {shape.relation} as held) "
            "as sided group by side",
            2,
        )
        return {int(row[0]): row[1:] for row in found.rows} if found.error is None else {}

    found = ask([*parts, *lags])
    if not found:  # texts that only look like moments cannot be subtracted
        found, pairs = ask(parts), []
    if set(found) != {0, 1}:
        return ()
    here, there = (list(found[side]) for side in (1, 0))
    rows, rest = (_number(side.pop(0)) or 0 for side in (here, there))
    result: list[Difference] = []
    for column in numbers:
        one, other = _number(here.pop(0)), _number(there.pop(0))
        result += _factor(column, one, other)
    for column in numbers:
        result += _mostly(column, "below zero", here.pop(0), rows, there.pop(0), rest, 2.5)
    for column in others:
        result += _mostly(column, "null", here.pop(0), rows, there.pop(0), rest, 2.0)
    for column in moments:
        result += _mostly(
            column, f"later than the failing run ({now[:16]})", here.pop(0), rows, there.pop(0), rest, 3.0
        )
    for one_moment, other_moment in pairs:
        one, other = _number(here.pop(0)), _number(there.pop(0))
        if one is not None and other is not None and (hint := shift_of(one - other)):
            said = f"{other_moment} lies {one:+,.0f} minutes from {one_moment} there and {other:+,.0f} elsewhere (medians), {hint}"
            result.append(Difference(one_moment, said, 3.0, (f"{one:,.0f} min", f"{other:,.0f} min")))
    return tuple(sorted(result, key=lambda one: -one.weight))


def _factor(column: str, here: float | None, there: float | None) -> list[Difference]:
    if not here or not there or here * there < 0:
        return []
    ratio = here / there
    hint = unit_of(ratio)
    large = max(ratio, 1 / ratio)
    if large < 3 and not (hint and large >= 1.5):
        return []
    times = f"{factor(ratio)} times" if ratio >= 1 else f"1/{factor(1 / ratio)} of"
    said = f"{column} is about {times} that of the others (median {_short(here)}, else {_short(there)})"
    weight = 3.0 if hint and large >= 8 else 1.5 if hint else 1.0
    return [
        Difference(column, f"{said}{', ' + hint if hint else ''}", weight, (_short(here), _short(there))),
    ]


def _mostly(
    column: str, what: str, here: object, rows: float, there: object, rest: float, weight: float
) -> list[Difference]:
    one, other = (_number(here) or 0) / max(rows, 1), (_number(there) or 0) / max(rest, 1)
    if one < 0.5 or other > 0.2 * one:
        return []
    said = f"{column} is {what} in {one:.0%} of them and in {other:.1%} of the others"
    return [Difference(column, said, weight, (f"{one:.0%} {what}", f"{other:.1%} {what}"))]


def _number(cell: object) -> float | None:
    try:
        return None if cell is None else float(str(cell))
    except ValueError:
        return None


def _short(number: float) -> str:
    return f"{number:,.6g}" if abs(number) < 1e6 else f"{number:,.0f}"
