"""Runs one command in a process group of its own, and ends the whole group when the command or its starter is gone.

Started as ``python -m da_agent_hub.cli.guard COMMAND ...`` with a pipe as standard input that its starter holds open:
the kernel closes that pipe however the starter dies, SIGKILL included.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

# Whatever is cut short is taken up again at the next start: so nobody has to wait for it.
GRACE_SECONDS = 3.0


def main() -> None:
    """Guard the command that the arguments name."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_listen_to_signals)
    threading.Thread(target=_end_with, args=(child,), daemon=True).start()
    while os.read(0, 4096):
        pass
    _end_group(child)


def _listen_to_signals() -> None:
    # What a parent ignores, a child ignores too.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_with(child: subprocess.Popen[bytes]) -> None:
    code = child.wait()
    print(f"{' '.join(sys.argv[1:4])} ... ended with code {code}", file=sys.stderr, flush=True)  # noqa: T201
    _end_group(child)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)  # the guard itself is in the group: whatever was left, nothing is


if __name__ == "__main__":
    main()
