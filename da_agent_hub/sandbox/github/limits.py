"""How many requests of an hour each user has used; an unchanged answer to a known user is free."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from .errors import ApiError

PER_HOUR = 5000
# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
_PRIMARY = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
_SECONDARY = (
    "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api"
    "#about-secondary-rate-limits"
)


class Limits:
    """Counts by user and hour; only a ``per_hour`` that was asked for is enforced: nobody waits an hour in a demo."""

    def __init__(self, per_hour: int | None = None) -> None:
        self._enforced = per_hour is not None
        self._per_hour = PER_HOUR if per_hour is None else per_hour
        self._used: Counter[tuple[str, int]] = Counter()
        self._counting = threading.Lock()

    def check(self, who: str) -> None:
        """Refuse whoever has used up the hour.

        Raises:
            ApiError: 403, as GitHub words it.
        """
        if self._enforced and self._count(who, 0)[0] >= self._per_hour:
            raise primary_limit(who)

    def count(self, who: str, *, free: bool) -> dict[str, str]:
        """Count one answered request, and tell what is left in GitHub's headers."""
        return {f"X-RateLimit-{name.title()}": str(value) for name, value in self._told(who, 0 if free else 1).items()}

    def told(self, who: str) -> dict[str, Any]:
        """What is left, as ``/rate_limit`` answers; asking is free."""
        return self._told(who, 0)

    def _told(self, who: str, more: int) -> dict[str, Any]:
        used, hour = self._count(who, more)
        # A limit that is not enforced never looks used up.
        remaining = max(self._per_hour - used, 0 if self._enforced else 1)
        reset = (hour + 1) * 3600
        return {"limit": self._per_hour, "remaining": remaining, "used": used, "reset": reset, "resource": "core"}

    def _count(self, who: str, more: int) -> tuple[int, int]:
        hour = int(time.time()) // 3600
        with self._counting:
            for old in [key for key in self._used if key[1] < hour]:
                del self._used[old]
            self._used[who, hour] += more
            return self._used[who, hour], hour


def primary_limit(who: str) -> ApiError:
    """The hour is used up."""
    return ApiError(403, f"API rate limit exceeded for {who}.", documentation=_PRIMARY)


def secondary_limit(status: int) -> ApiError:
    """Too much at once: 403 or 429."""
    return ApiError(
        status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        documentation=_SECONDARY,
    )
