"""Child processes that end when their parent does, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Call first thing in a child: SIGKILL reaches it when the process ``parent`` ends (Linux; elsewhere it polls)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        _poll(parent)
    if os.getppid() != parent:
        os._exit(1)


def _poll(parent: int) -> None:
    gone = threading.Event()

    def watch() -> None:
        while not gone.wait(1):
            if os.getppid() != parent:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def on_terminate(act: Callable[[], None]) -> None:
    """Run ``act`` and leave when this process is asked to end."""

    def leave(_number: int, _frame: object) -> None:
        act()
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
