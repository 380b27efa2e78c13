"""A repository's commits, written into a bare git repository in one stream."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Author:
    """Somebody who commits; ``login`` is the GitHub one."""

    name: str
    login: str
    email: str


@dataclass(frozen=True)
class Change:
    """One commit: ``files`` maps paths to their new text."""

    at: datetime
    author: Author
    message: str
    files: Mapping[str, str]


class HistoryError(Exception):
    """git refused."""


def write_history(repository: Path, changes: Sequence[Change], branch: str = "main") -> list[str]:
    """Commit ``changes`` in order on an unborn branch; returns their SHAs."""
    stream = bytearray()
    for number, change in enumerate(changes, start=1):
        when = f"{change.author.name} <{change.author.email}> {int(change.at.timestamp())} +0000"
        stream += f"commit refs/heads/{branch}\nmark :{number}\nauthor {when}\ncommitter {when}\n".encode()
        stream += _counted(change.message + "\n")
        for path, text in sorted(change.files.items()):
            stream += f"M 100644 inline {path}\n".encode() + _counted(text)
        stream += b"\n"
    marks = repository / "marks"
    git(repository, "fast-import", "--quiet", "--force", f"--export-marks={marks.resolve()}", stdin=bytes(stream))
    shas = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    return [shas[f":{number}"] for number in range(1, len(changes) + 1)]


def _counted(text: str) -> bytes:
    content = text.encode()
    return f"data {len(content)}\n".encode() + content + b"\n"


def git(directory: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """git's standard output; raises with what it said otherwise."""
    done = subprocess.run(["git", "-C", str(directory), *arguments], input=stdin, capture_output=True)
    if done.returncode:
        raise HistoryError(f"git {arguments[0]} in {directory}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace").strip()
