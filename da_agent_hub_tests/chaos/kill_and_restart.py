"""``python -m da_agent_hub_tests.chaos.kill_and_restart``: kill a demo at random moments, and see what GitHub shows."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import click

from .github_side import differences, faults, read_github, tally
from .processes import processes_of

_WORLD_SECONDS = 600.0
_FINISH_SECONDS = 900.0
# A guard gives what it guards eight seconds to end by itself.
_GONE_SECONDS = 20.0
# Ten seconds on a calm machine: runs under way are ended first.
_INTERRUPT_SECONDS = 45.0
_LONGEST_LIFE = 75.0


class Demo:
    """``da-agent-hub demo --once`` of one home, in a session of its own, started as often as needed."""

    def __init__(self, home: Path, port: int, world_seed: int) -> None:
        self.home = home.resolve()
        self.log = self.home.parent / f"{self.home.name}.log"
        self._command = [
            sys.executable, "-m", "da_agent_hub.cli", "demo", "--once", "--home", str(self.home),
            "--port", str(port), "--seed", str(world_seed),
        ]  # fmt: skip
        self.home.parent.mkdir(parents=True, exist_ok=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on; all that it says is appended to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=self.home.parent, start_new_session=True,
            )  # fmt: skip

    def has_world(self) -> bool:
        """Whether the sandbox's world is made."""
        return (self.home / "sandbox" / "world.json").exists()

    def kill_all(self) -> None:
        """SIGKILL to everything of the home, until nothing is left."""
        for _ in range(100):
            left = processes_of(self.home)
            if not left:
                return
            for process in left:
                _kill(process.pid, signal.SIGKILL)
            time.sleep(0.05)
        raise AssertionError(f"cannot be killed: {', '.join(map(str, left))}")

    def survivors(self, seconds: float = _GONE_SECONDS) -> list[str]:
        """What is still there of the home after so long; then it is killed."""
        deadline = time.monotonic() + seconds
        while (left := processes_of(self.home)) and time.monotonic() < deadline:
            time.sleep(0.25)
        self.kill_all()
        return [str(process) for process in left]

    def finish(self) -> list[str]:
        """Let it come to its end; what was wrong with that, a sentence each."""
        running = self.start()
        try:
            code = running.wait(_FINISH_SECONDS)
            wrong = [f"the last start ended with exit code {code}: {self.log_end()}"] if code else []
        except subprocess.TimeoutExpired:
            wrong = [f"the last start was not done after {_FINISH_SECONDS:.0f} s: {self.log_end()}"]
            self.kill_all()
            running.wait()
        return wrong + [f"left behind after the end: {one}" for one in self.survivors()]

    def last_line(self) -> str:
        """The newest line of progress."""
        return (self.log.read_text(errors="replace").strip().splitlines() or [""])[-1]

    def log_end(self) -> str:
        """The last that it said."""
        return self.log.read_text(errors="replace")[-600:].strip()


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def make_world(demo: Demo, dice: random.Random, tell: Callable[[str], None]) -> None:
    """Kill the making of the world once, let the next start make it, and kill that as soon as it stands."""
    life = dice.uniform(2, 20)
    running = demo.start()
    _wait(running, lambda: False, life)
    demo.kill_all()
    running.wait()
    tell(f"killed the making of the world after {life:.1f} s")
    running = demo.start()
    ended = _wait(running, demo.has_world, _WORLD_SECONDS)
    demo.kill_all()
    running.wait()
    if ended or not demo.has_world():
        raise AssertionError(f"there is no world after {_WORLD_SECONDS:.0f} s: {demo.log_end()}")


def kill_at_random(demo: Demo, kills: int, dice: random.Random, tell: Callable[[str], None]) -> list[str]:
    """Start and kill so many times; returns what survived the death of its parent, a sentence each.

    Every second kill hits the parent alone, so that its children must notice; the others everything at once.
    """
    wrong = []
    for number in range(1, kills + 1):
        running = demo.start()
        life = dice.uniform(1, _LONGEST_LIFE)
        ended = _wait(running, lambda: False, life)
        alone = number % 2 == 0
        if alone:
            _kill(running.pid, signal.SIGKILL)
            wrong += [f"survived the SIGKILL of the demo: {one}" for one in demo.survivors()]
        else:
            demo.kill_all()
        running.wait()
        how = "had ended by itself" if ended else "its parent alone" if alone else "everything"
        tell(f"kill {number}/{kills} after {life:.1f} s: {how}; {demo.last_line()}")
        if ended and running.returncode != 0:
            wrong.append(f"start {number} ended by itself with exit code {running.returncode}: {demo.log_end()}")
    return wrong


def interrupt(demo: Demo, seconds: float = 15.0) -> list[str]:
    """Start, send SIGINT to the demo alone, and see that nothing stays."""
    running = demo.start()
    ended = _wait(running, lambda: False, seconds)
    _kill(running.pid, signal.SIGINT)
    try:
        running.wait(_INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        demo.kill_all()
        running.wait()
        return [f"still there {_INTERRUPT_SECONDS:.0f} s after SIGINT: {demo.log_end()}"]
    wrong = [f"survived SIGINT: {one}" for one in demo.survivors()]
    if not ended and running.returncode != 130:
        wrong.append(f"SIGINT gave exit code {running.returncode} instead of 130")
    return wrong


def _wait(running: subprocess.Popen[bytes], holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds, the time is over or the process ends; returns whether it has ended."""
    deadline = time.monotonic() + seconds
    while running.poll() is None and not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return running.poll() is not None


def run(folder: Path, *, kills: int, seed: int, world_seed: int, port: int, tell: Callable[[str], None]) -> list[str]:
    """The whole check in a folder; returns everything that was wrong, a sentence each.

    One world is made, and lived through twice at the same place: undisturbed, and with the kills.
    """
    demo, dice = Demo(folder / "home", port, world_seed), random.Random(seed)
    try:
        make_world(demo, dice, tell)
        shutil.copytree(demo.home, folder / "before", symlinks=True)
        started = time.monotonic()
        wrong = [f"undisturbed: {sentence}" for sentence in demo.finish()]
        tell(f"undisturbed run: {time.monotonic() - started:.0f} s")
        calm, truths = read_github(demo.home / "sandbox")
        wrong += [f"undisturbed: {sentence}" for sentence in faults(calm, truths)]
        demo.home.rename(folder / "undisturbed")
        (folder / "before").rename(demo.home)
        wrong += kill_at_random(demo, kills, dice, tell)
        wrong += interrupt(demo)
        tell("interrupted once; now it may finish")
        wrong += demo.finish()
        killed, truths = read_github(demo.home / "sandbox")
    finally:
        demo.kill_all()
    tell(json.dumps({"undisturbed": tally(calm), "killed": tally(killed)}, indent=2))
    return [*wrong, *faults(killed, truths), *differences(tally(calm), tally(killed))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check and say what was wrong; the exit code is 1 where anything was."""
    parser = argparse.ArgumentParser(prog="python -m da_agent_hub_tests.chaos.kill_and_restart", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="how often (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills (default: 1)")
    parser.add_argument("--world-seed", type=int, default=1, help="of the sandbox's world (default: 1)")
    parser.add_argument("--port", type=int, default=5310, help="of the sandbox (default: 5310)")
    parser.add_argument("--folder", type=Path, help="keep the homes and the log here; must not exist yet")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        folder = options.folder or Path(scratch) / "chaos"
        folder.mkdir(parents=True)
        wrong = run(
            folder,
            kills=options.kills,
            seed=options.seed,
            world_seed=options.world_seed,
            port=options.port,
            tell=click.echo,
        )
    click.echo("\n".join(f"WRONG: {sentence}" for sentence in wrong) or "nothing doubled, nothing missing")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
