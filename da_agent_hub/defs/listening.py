"""Hears what people say on an issue while this process is at work on it: a stop must not wait for the work to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Logger

HEARING_SECONDS = 2.0


@contextmanager
def listening(hear: Callable[[], None], log: Logger, seconds: float = HEARING_SECONDS) -> Iterator[None]:
    """Call ``hear`` again and again in the background until the work within ends; what it raises is only logged."""
    done = threading.Event()

    def once() -> None:
        try:
            hear()
        except Exception as error:
            log.warning(f"what came in meanwhile is heard afterwards: {type(error).__name__}")

    def listen() -> None:
        while not done.wait(seconds):
            once()

    ears = threading.Thread(target=listen, daemon=True)
    ears.start()
    try:
        yield
    finally:
        done.set()
        ears.join()
