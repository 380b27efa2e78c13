"""What was listed of a place with dbt runs, kept on disk so that an unchanged folder is not read again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

_FORMAT = 1


class SeenRun(msgspec.Struct, frozen=True):
    """One run in a listing."""

    run_id: str
    job_id: str
    job_name: str
    status: str
    finished_at: datetime
    url: str
    environment: str


class SeenFolder(msgspec.Struct, frozen=True):
    """The runs of a folder as of its ``stamp``, which is empty where the folder has to be looked at again."""

    stamp: str
    runs: list[SeenRun]


class _Kept(msgspec.Struct):
    place: str
    format: int = 0
    folders: dict[str, SeenFolder] = {}


class SeenRuns:
    """Folders by name; without a directory they are forgotten with the process.

    The file is a cache: one that is missing, damaged or of another version costs one reading of everything.
    """

    def __init__(self, directory: Path | None, place: str) -> None:
        name = hashlib.sha256(place.encode()).hexdigest()[:16]
        self._file = directory / "dbt_core" / f"{name}.json" if directory else None
        self._kept = self._read(place)
        self._is_changed = False

    def stamp(self, name: str) -> str | None:
        """What the folder's files were when it was read; None where it was not."""
        folder = self._kept.folders.get(name)
        return folder.stamp if folder else None

    def runs(self) -> Iterator[tuple[str, SeenRun]]:
        """Every run with the name of its folder, in the order of the folders' names."""
        for name, folder in sorted(self._kept.folders.items()):
            for run in folder.runs:
                yield name, run

    def newest_environment(self) -> str | None:
        """Where the newest run ran, for one that does not tell."""
        newest = max((run for _, run in self.runs()), key=lambda run: run.finished_at, default=None)
        return newest.environment if newest else None

    def keep(self, name: str, folder: SeenFolder) -> None:
        """Replace what is known of a folder."""
        self._kept.folders[name] = folder
        self._is_changed = True

    def forget_all_but(self, names: Collection[str]) -> None:
        """Drop folders that are gone."""
        gone = self._kept.folders.keys() - set(names)
        for name in gone:
            del self._kept.folders[name]
        self._is_changed = self._is_changed or bool(gone)

    def save(self) -> None:
        """Write what changed; whoever reads at the same time sees the old file or the new one."""
        if self._file is None or not self._is_changed:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(self._kept))
            Path(name).replace(self._file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._is_changed = False

    def _read(self, place: str) -> _Kept:
        if self._file is not None:
            try:
                kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                pass
            else:
                if kept.format == _FORMAT and kept.place == place:
                    return kept
        return _Kept(place, _FORMAT, {})
