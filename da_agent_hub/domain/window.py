"""The reporting day: 06:30 to 06:30 UTC, named after the day on which it begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

DAY_STARTS = time(6, 30, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Window:
    """One reporting day as ``[start, end)`` in aware UTC; ``day`` is written ``2026-11-22``."""

    day: str
    start: datetime
    end: datetime

    @classmethod
    def of(cls, day: str) -> Window:
        """The window of a day.

        Raises:
            ValueError: the text is not a date written YYYY-MM-DD.
        """
        start = datetime.combine(date.fromisoformat(day), DAY_STARTS)
        return cls(start.date().isoformat(), start, start + timedelta(days=1))

    @classmethod
    def containing(cls, moment: datetime) -> Window:
        """The window that an aware moment falls into."""
        shifted = moment.astimezone(timezone.utc) - timedelta(hours=DAY_STARTS.hour, minutes=DAY_STARTS.minute)
        return cls.of(shifted.date().isoformat())
