"""Which moments a project's issues are brought up to, one after the other, when some days are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..domain.window import Window
from .partitions import days_between


@dataclass(frozen=True)
class Moment:
    """A day and the moment in it as of which records are filed: its end, or now where it is still open."""

    day: str
    as_of: datetime


def moments_to_file(
    days: Sequence[str], filed_until: datetime | None, now: datetime, history: datetime | None = None
) -> Sequence[Moment]:
    """From where filing stands to the newest day that was asked for, oldest first, with no day left out between.

    Days at or before ``filed_until`` were filed, and can only change the present: asking for one leads up to now.
    Days that ended by ``history`` are read for what they tell and filed never.
    """
    today = Window.containing(now).day
    wanted = [day for day in sorted(days) if day <= today and (history is None or Window.of(day).end > history)]
    if not wanted:
        return ()
    first, last = wanted[0], wanted[-1]
    if filed_until is not None:
        behind = first < Window.containing(filed_until).day or _end(first, now) <= filed_until
        first = Window.containing(filed_until).day
        last = today if behind else last
    found = [Moment(day, _end(day, now)) for day in days_between(first, last)]
    return [moment for moment in found if filed_until is None or moment.as_of > filed_until] or found[-1:]


def _end(day: str, now: datetime) -> datetime:
    return min(Window.of(day).end, now)
