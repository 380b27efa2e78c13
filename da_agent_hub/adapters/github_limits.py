"""GitHub's rate limits: a short one is waited for, a long one is told, and nothing is sent while one holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay

from ..domain.tracker_error import RateLimited

# As long as a sensor's tick, which dies at a minute, can spare for one request.
PATIENCE_SECONDS = 10

_Answer = TypeVar("_Answer")


class RateLimits:
    """What a host said of the limits of one token.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        self._held: RateLimited | None = None

    def within(self, what: str, ask: Callable[[], _Answer]) -> _Answer:
        """Ask, and ask again after limits that end within the patience: a limited request did nothing.

        Raises:
            RateLimited: a limit lasts longer; what holds already is said without asking.
        """
        asking = Retrying(
            retry=retry_if_exception(_ends_later),
            wait=_until_it_ends,
            stop=stop_before_delay(self._patience),
            reraise=True,
        )
        answer: _Answer = asking(self._ask, what, ask)
        return answer

    def _ask(self, what: str, ask: Callable[[], _Answer]) -> _Answer:
        if self._held is not None and self._held.until > datetime.now(timezone.utc):
            raise self._held.still(what)
        self._held = None
        try:
            return ask()
        except RateLimited as limit:
            self._held = limit
            raise

    def note(self, what: str, status: int, headers: Mapping[str, str]) -> None:
        """Hold back what comes next where an answer was the last of this hour."""
        if headers.get("x-ratelimit-remaining") == "0" and (reset := _reset(headers)):
            self._held = RateLimited(what, status, "with this the hour's requests are used up", reset)


def limited_until(status: int, headers: Mapping[str, str], said: str) -> datetime | None:
    """When a refusal (403 or 429) that is a limit ends; None where it is no limit."""
    now = datetime.now(timezone.utc)
    if (wait := headers.get("retry-after", "")).isdigit():
        return now + timedelta(seconds=int(wait))
    if headers.get("x-ratelimit-remaining") == "0" and (reset := _reset(headers)):
        return reset
    return now + timedelta(minutes=1) if status == 429 or "rate limit" in said.lower() else None


def _ends_later(error: BaseException) -> bool:
    # One that is over and refuses all the same (the clocks differ) would be asked again and again.
    return isinstance(error, RateLimited) and error.until > datetime.now(timezone.utc)


def _until_it_ends(asked: RetryCallState) -> float:
    limit = asked.outcome.exception() if asked.outcome else None
    if not isinstance(limit, RateLimited):
        return 0
    # GitHub counts in whole seconds: one that seems over may not be quite.
    return max((limit.until - datetime.now(timezone.utc)).total_seconds(), 0) + 0.5


def _reset(headers: Mapping[str, str]) -> datetime | None:
    reset = headers.get("x-ratelimit-reset", "")
    # Later than any year that a datetime knows says no time at all.
    return datetime.fromtimestamp(int(reset), timezone.utc) if reset.isdigit() and len(reset) < 12 else None
