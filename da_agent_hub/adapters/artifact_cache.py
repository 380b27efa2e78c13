"""Artifacts of finished dbt runs, kept compressed on disk: they never change, and reading one twice costs quota."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from pathlib import Path


class ArtifactCache:
    """Files under one directory; a file that was damaged is dropped, so that its source is asked again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, *key: str) -> bytes | None:
        """The bytes kept under a key, or None where there are none or they are damaged."""
        path = self._path(key)
        try:
            return gzip.decompress(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, EOFError, zlib.error):
            path.unlink(missing_ok=True)
            return None

    def put(self, payload: bytes, *key: str) -> None:
        """Keep bytes; whoever reads at the same time, or after a crash, sees all of them or none."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(gzip.compress(payload, compresslevel=4, mtime=0))
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def drop(self, *key: str) -> None:
        """Forget a file that turned out not to hold what was asked for."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: tuple[str, ...]) -> Path:
        safe = ["".join(c if c.isalnum() or c in "-_." else "_" for c in part).lstrip(".") or "_" for part in key]
        return self._directory.joinpath(*safe[:-1], f"{safe[-1]}.gz")
