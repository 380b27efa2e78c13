"""Artifacts of finished dbt runs, kept compressed on disk: they never change, and reading one twice costs quota."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

_WRITING = ".writing-"
_LOOKED_THROUGH = ".looked-through"
_A_DAY = timedelta(days=1)


class ArtifactCache:
    """Files under one directory, each named after the SHA-256 of what it holds.

    A file that no longer holds that was damaged: it is dropped, so that its source is asked again.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, *key: str) -> bytes | None:
        """The bytes kept under a key, or None where there are none or they are damaged."""
        for path in self._files(key):
            try:
                found = gzip.decompress(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, EOFError, zlib.error):
                found = None
            if found is not None and hashlib.sha256(found).hexdigest() == path.name.split(".")[-2]:
                return found
            path.unlink(missing_ok=True)
        return None

    def keep(self, pieces: Iterable[bytes], *key: str) -> None:
        """Keep what arrives piece by piece, in the memory of one piece.

        Whoever reads at the same time, or after a crash or an error of ``pieces``, sees all of it or none.
        """
        folder, stem = self._place(key)
        handle, name = _new_file(folder)
        written = hashlib.sha256()
        try:
            # Level 4 takes more than twice the time of level 3, for files of about the same size.
            with (
                os.fdopen(handle, "wb") as file,
                gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, mtime=0) as to,
            ):
                for piece in pieces:
                    written.update(piece)
                    to.write(piece)
            Path(name).replace(folder / f"{stem}.{written.hexdigest()}.gz")
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def drop(self, *key: str) -> None:
        """Forget a file that turned out not to hold what was asked for."""
        for path in self._files(key):
            path.unlink(missing_ok=True)

    def retain(self, days: int) -> int:
        """Remove what was kept longer ago than ``days``, looking once a day at most; returns how many files went.

        Safe while others read and write: a reader has its file open, a writer's is younger, and a folder goes only
        where it is empty and old itself.
        """
        looked = self._directory / _LOOKED_THROUGH
        if not self._directory.is_dir() or _age(looked) < _A_DAY:
            return 0
        looked.touch()
        removed = 0
        for folder, _, names in os.walk(self._directory, topdown=False):
            for name in names:
                path = Path(folder, name)
                limit = _A_DAY if name.startswith(_WRITING) else timedelta(days=days)
                if name != _LOOKED_THROUGH and limit <= _age(path) < timedelta.max:
                    path.unlink(missing_ok=True)
                    removed += 1
            if Path(folder) != self._directory and _age(Path(folder)) > _A_DAY:
                _remove_if_empty(Path(folder))
        return removed

    def _files(self, key: tuple[str, ...]) -> Sequence[Path]:
        folder, stem = self._place(key)
        prefix = f"{stem}."
        try:
            return [path for path in folder.iterdir() if path.name.startswith(prefix) and path.suffix == ".gz"]
        except FileNotFoundError:
            return []

    def _place(self, key: tuple[str, ...]) -> tuple[Path, str]:
        safe = ["".join(c if c.isalnum() or c in "-_." else "_" for c in part).lstrip(".") or "_" for part in key]
        return self._directory.joinpath(*safe[:-1]), safe[-1]


def _new_file(folder: Path) -> tuple[int, str]:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return tempfile.mkstemp(dir=folder, prefix=_WRITING)
        except FileNotFoundError:  # it was empty, and was removed in between
            continue


def _age(path: Path) -> timedelta:
    """How long ago a file was written; without end where there is none."""
    try:
        return timedelta(seconds=max(0.0, time.time() - path.stat().st_mtime))
    except FileNotFoundError:
        return timedelta.max


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # not empty, or somebody else was faster
        return
