from __future__ import annotations

from datetime import datetime, timezone

import pytest

from da_agent_hub.domain.window import Window


def test_a_day_runs_from_half_past_six_to_half_past_six() -> None:
    window = Window.of("2026-11-22")
    assert window.start == datetime(2026, 11, 22, 6, 30, tzinfo=timezone.utc)
    assert window.end == datetime(2026, 11, 23, 6, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("hour", "minute", "day"), [(2, 0, "2026-11-22"), (6, 29, "2026-11-22"), (6, 30, "2026-11-23")]
)
def test_the_night_belongs_to_the_day_that_it_ends(hour: int, minute: int, day: str) -> None:
    assert Window.containing(datetime(2026, 11, 23, hour, minute, tzinfo=timezone.utc)).day == day


def test_a_day_that_is_no_date_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        Window.of("yesterday")
