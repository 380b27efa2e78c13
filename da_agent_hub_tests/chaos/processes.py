"""Which processes belong to a hub's home, as Linux's /proc tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A living process; ``command`` is its command line."""

    pid: int
    parent: int
    command: str

    def __str__(self) -> str:
        return f"{self.pid} ({self.command[:160]})"


def processes_of(home: Path) -> list[Process]:
    """Processes whose command line, environment or working directory names the home, and all their descendants.

    Zombies, the caller and its ancestors are left out.
    """
    living = {process.pid: process for process in _living()}
    ours = {pid for pid in living if _names(pid, str(home))}
    grown = True
    while grown:
        children = {pid for pid, process in living.items() if process.parent in ours} - ours
        ours |= children
        grown = bool(children)
    return [living[pid] for pid in sorted(ours - _self_and_ancestors(living))]


def _living() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (OSError, ValueError):
            continue  # it ended while we looked
        if state not in "ZX":
            yield Process(int(folder.name), int(parent), command)


def _names(pid: int, home: str) -> bool:
    folder = Path("/proc") / str(pid)
    try:
        if _inside(str((folder / "cwd").readlink()), home):
            return True
        said = (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
    except OSError:
        return False
    return home.encode() in said


def _inside(path: str, home: str) -> bool:
    return path == home or path.startswith(home + "/")


def _self_and_ancestors(living: dict[int, Process]) -> set[int]:
    pid, found = os.getpid(), set()
    while pid in living:
        found.add(pid)
        pid = living[pid].parent
    return found
