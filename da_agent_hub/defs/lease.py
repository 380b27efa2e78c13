"""Holds a lease of the record store for as long as some work takes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ..config.settings import ProjectSettings
from ..ports import RecordStore
from .process_identity import is_dead, this_process

LEASE_SECONDS = 90.0
RENEW_SECONDS = 20.0
FILING_WAIT_SECONDS = 120.0

logger = logging.getLogger(__name__)


class LeaseTaken(Exception):  # noqa: N818 -- an except clause reads as what happened
    """Somebody else works on this scope."""


class LeaseLost(Exception):  # noqa: N818
    """This process slept so long that somebody else took its scope over."""


class Lease:
    """A held scope."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.lost = False

    def check(self) -> None:
        """Raise where it is no longer held: call before each write to the outside.

        Raises:
            LeaseLost: it was taken over.
        """
        if self.lost:
            raise LeaseLost(f"{self.scope} was taken over by another process; nothing more is written from here")


def project_scope(project: ProjectSettings) -> str:
    """The lease under which a project's records and issues are written."""
    return f"project:{project.name}"


@contextmanager
def held_lease(
    store: RecordStore, scope: str, clock: Callable[[], datetime], *, wait_seconds: float = 30.0
) -> Iterator[Lease]:
    """Take a scope, renew it in the background, give it back; a dead process's lease is taken over at once.

    Raises:
        LeaseTaken: somebody else still held it after ``wait_seconds``.
    """
    holder = this_process()
    deadline = time.monotonic() + wait_seconds
    while not store.acquire_lease(scope, holder, clock(), LEASE_SECONDS):
        free_dead_lease(store, scope)
        if time.monotonic() > deadline:
            held_by, until = store.leases().get(scope, ("another process", clock()))
            raise LeaseTaken(
                f"{scope} is being worked on by {held_by} (until {until:%H:%M:%S} UTC, if it does not renew): "
                "nothing is lost, what waits is taken up afterwards"
            )
        time.sleep(0.5)
    lease, done = Lease(scope), threading.Event()
    renewal = threading.Thread(target=_renew, args=(store, lease, holder, clock, done), daemon=True)
    renewal.start()
    try:
        yield lease
    finally:
        done.set()
        renewal.join()
        store.release_lease(scope, holder)


def free_dead_lease(store: RecordStore, scope: str) -> bool:
    """Give back what a dead process of this machine held; returns whether there was something to give back."""
    holder, _ = store.leases().get(scope, ("", None))
    if not holder or not is_dead(holder):
        return False
    store.release_lease(scope, holder)
    return True


def _renew(store: RecordStore, lease: Lease, holder: str, clock: Callable[[], datetime], done: threading.Event) -> None:
    while not done.wait(RENEW_SECONDS):
        try:
            lease.lost = not store.acquire_lease(lease.scope, holder, clock(), LEASE_SECONDS)
        except Exception:
            logger.warning("the lease of %s could not be renewed; trying again", lease.scope, exc_info=True)
        if lease.lost:
            return
