"""Folders of dbt artifacts, on disk or in object storage: listed at little cost, and each file read whole or from its end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

RUN_RESULTS, SOURCES, MANIFEST, LOG = "run_results.json", "sources.json", "manifest.json", "dbt.log"
# What whoever archives a run may write last, and so say that the rest is there.
MARKER = "run.json"
KEPT = frozenset({RUN_RESULTS, SOURCES, MANIFEST, LOG, MARKER})
# A run's folder may hold dbt's own target/ and logs/ as they are.
_INNER = frozenset({"target", "logs"})
_WITHOUT_RUNS = frozenset({"compiled", "run", "dbt_packages", "dbt_modules", "graph", "node_modules"})
_UNFINISHED = (".uploading", ".tmp", ".partial", ".part")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}
_WRITTEN = ("mtime", "LastModified", "last_modified", "updated", "created")
_VERSION = ("ETag", "etag", "generation", "ino")


class RunFoldersError(Exception):
    """The place cannot be read; the message names it and the next step."""


@dataclass(frozen=True)
class StoredFile:
    """One file: ``stamp`` changes whenever the content does."""

    path: str
    stamp: str
    written_at: datetime


@dataclass(frozen=True)
class RunFolder:
    """The files that one run (or several commands one after the other) left, by name; ``name`` is empty at the root."""

    name: str
    files: Mapping[str, StoredFile] = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """Changes whenever one of the files does."""
        return "|".join(f"{name}:{self.files[name].stamp}" for name in sorted(self.files))

    @property
    def written_at(self) -> datetime:
        """When the newest file was written."""
        return max(file.written_at for file in self.files.values())


class RunFolders:
    """A ``target/`` directory, or a tree of folders of runs: a path, or a URL such as ``s3://bucket/runs``.

    ``options`` go to the file system, for example ``endpoint_url``; credentials come from the cloud's own environment.
    """

    def __init__(self, place: Path | str, options: Mapping[str, Any] | None = None) -> None:
        self.place = str(place)
        self._local = isinstance(place, Path)
        self._options = dict(options or {})
        self._opened: tuple[Any, str] | None = None

    def found(self) -> Sequence[RunFolder]:
        """Every folder that holds an artifact, a log or a marker, by name.

        Raises:
            RunFoldersError: the place is not there, cannot be reached, or holds nothing of a dbt run.
        """
        folders: dict[str, dict[str, StoredFile]] = {}
        for relative, file in self._files():
            path = PurePosixPath(relative)
            parts = path.parts[:-1]
            if path.name not in KEPT or _is_left_out(parts):
                continue
            inner = parts and parts[-1] in _INNER
            folders.setdefault("/".join(parts[:-1] if inner else parts), {})[path.name] = file
        # dbt keeps its log beside target/, not in it; where it could not parse the project, the log is all that there is.
        beside = Path(self.place).parent / "logs" / LOG
        if self._local and (not folders or "" in folders) and beside.is_file():
            folders.setdefault("", {}).setdefault(LOG, _stored(str(beside), beside.stat()))
        if not folders:
            raise RunFoldersError(
                f"{self.place} holds no dbt artifact, nor a folder that does. Run dbt there first, "
                "or set `source.path` to a target/ directory or to a folder with one folder a run."
            )
        return [RunFolder(name, folders[name]) for name in sorted(folders)]

    def read(self, file: StoredFile) -> bytes:
        """All of a file.

        Raises:
            RunFoldersError: it cannot be read.
        """
        return self._read(file, None)

    def read_end(self, file: StoredFile, length: int) -> bytes:
        """The last bytes of a file; raises as ``read``."""
        return self._read(file, length)

    def url(self, folder: RunFolder) -> str:
        """Where a person finds a folder."""
        if self._local:
            return Path(self.place, folder.name).resolve().as_uri()
        return f"{self.place.rstrip('/')}/{folder.name}".rstrip("/")

    def _read(self, file: StoredFile, length: int | None) -> bytes:
        try:
            if self._local:
                with Path(file.path).open("rb") as opened:
                    if length is not None:
                        opened.seek(max(0, opened.seek(0, os.SEEK_END) - length))
                    return opened.read()
            system, _ = self._file_system()
            found: bytes = system.cat_file(file.path) if length is None else system.tail(file.path, length)
        except Exception as error:  # every cloud's client raises errors of its own
            raise RunFoldersError(f"{file.path} could not be read: {_said(error)}") from error
        return found

    def _files(self) -> Iterator[tuple[str, StoredFile]]:
        if self._local:
            if not Path(self.place).is_dir():
                raise RunFoldersError(f"{self.place} is no directory. Set `source.path` to dbt's target/ directory.")
            yield from _walk(Path(self.place), "")
            return
        system, root = self._file_system()
        try:
            # A listing that was kept from the poll before would show nothing new.
            system.invalidate_cache()
            listed = system.find(root, detail=True)
        except Exception as error:  # every cloud's client raises errors of its own
            raise RunFoldersError(f"{self.place} could not be listed: {_said(error)}") from error
        for path, info in listed.items():
            yield path[len(root) :].lstrip("/"), _described(path, info)

    def _file_system(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec

            scheme = urlsplit(self.place).scheme
            try:
                system, root = fsspec.core.url_to_fs(self.place, **self._options)
            except ImportError as error:
                extra = _EXTRAS.get(scheme)
                step = f'Install it: pip install "da-agent-hub[{extra}]".' if extra else _said(error)
                raise RunFoldersError(f"{self.place} needs a package that is not installed. {step}") from error
            except Exception as error:  # what is wrong with an option or a URL is the file system's to say
                raise RunFoldersError(f"{self.place} could not be opened: {_said(error)}") from error
            self._opened = system, root.rstrip("/")
        return self._opened


def _is_left_out(parts: Sequence[str]) -> bool:
    return any(one in _WITHOUT_RUNS or one.startswith(".") or one.endswith(_UNFINISHED) for one in parts)


def _walk(directory: Path, relative: str) -> Iterator[tuple[str, StoredFile]]:
    try:
        entries = sorted(os.scandir(directory), key=lambda one: one.name)
    except OSError:
        return  # removed, or made unreadable, since its parent was listed
    for entry in entries:
        name = f"{relative}/{entry.name}" if relative else entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                if not _is_left_out([entry.name]):
                    yield from _walk(Path(entry.path), name)
            elif entry.name in KEPT and entry.is_file():
                yield name, _stored(entry.path, entry.stat())
        except OSError:
            continue


def _stored(path: str, found: os.stat_result) -> StoredFile:
    return StoredFile(
        path,
        f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}",
        datetime.fromtimestamp(found.st_mtime, timezone.utc),
    )


def _described(path: str, info: Mapping[str, Any]) -> StoredFile:
    moment = next((info[key] for key in _WRITTEN if info.get(key)), None)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if isinstance(moment, (int, float)):
        moment = datetime.fromtimestamp(moment, timezone.utc)
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(0, timezone.utc)
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    version = next((info[key] for key in _VERSION if info.get(key)), "")
    return StoredFile(path, f"{info.get('size')}-{version}-{moment.timestamp()}", moment)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
