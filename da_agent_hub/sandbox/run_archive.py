"""Runs of the sandbox's dbt Cloud on disk: one folder a run, with what each step logged and left."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec

QUEUED, STARTING, RUNNING, SUCCESS, ERROR, CANCELLED = 1, 2, 3, 10, 20, 30
ARTIFACTS = ("manifest.json", "run_results.json", "sources.json", "catalog.json")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?=Z|\+00:00|\")")
_CLOCK = re.compile(r"^((?:\x1b\[0m)?)(\d\d):(\d\d):(\d\d)(?=  )", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One step of a run, with the commands' names as dbt Cloud writes them; ``index`` counts from 1."""

    index: int
    name: str
    status: int
    started_at: str | None = None
    finished_at: str | None = None


@dataclass(frozen=True)
class Run:
    """One run; times are ISO 8601 in UTC, ``status`` is dbt Cloud's number."""

    id: int
    project_id: int
    job_id: int
    environment_id: int
    status: int
    created_at: str
    cause: str
    cause_category: str
    started_at: str | None = None
    finished_at: str | None = None
    git_sha: str | None = None
    status_message: str | None = None
    steps: tuple[Step, ...] = ()
    steps_override: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in (SUCCESS, ERROR, CANCELLED)


class RunArchive:
    """All runs of an account. A run's file is replaced in one move, so that a reader sees the old or the new one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._turn = threading.Lock()
        self._runs = {run.id: run for run in self._read()}

    def runs(self) -> list[Run]:
        """Every run, by id."""
        with self._turn:
            return [self._runs[number] for number in sorted(self._runs)]

    def get(self, number: int) -> Run | None:
        """One run."""
        with self._turn:
            return self._runs.get(number)

    def add(self, make: Callable[[int], Run]) -> Run:
        """Keep a new run; ``make`` gets the highest id so far."""
        with self._turn:
            run = make(max(self._runs, default=0))
            self._write(run)
            return run

    def save(self, run: Run) -> Run:
        """Keep a run's newest state."""
        with self._turn:
            self._write(run)
            return run

    def keep_step(self, run: Run, index: int, log: str, target: Path | None, shift: Shift | None = None) -> None:
        """Keep a step's log, and the artifacts that lie in ``target`` when it ends, whoever wrote them."""
        folder = self._step(run.id, index)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.txt").write_text(shift.log(log) if shift else log)
        for name in ARTIFACTS if target else ():
            assert target
            source = target / name
            if source.exists():
                text = source.read_text()
                if shift and source.stat().st_mtime >= shift.since.timestamp():
                    # What stays behind for the next step must tell the time of the run that wrote it.
                    text = shift.artifact(text)
                    source.write_text(text)
                with gzip.open(folder / f"{name}.gz", "wt", compresslevel=1) as file:
                    file.write(text)

    def log(self, number: int, index: int) -> str:
        """What a step printed."""
        path = self._step(number, index) / "log.txt"
        return path.read_text() if path.exists() else ""

    def artifacts(self, number: int, index: int) -> list[str]:
        """The names of what a step left."""
        return [name for name in ARTIFACTS if (self._step(number, index) / f"{name}.gz").exists()]

    def artifact(self, number: int, index: int, name: str) -> bytes | None:
        """One artifact of a step."""
        if name not in self.artifacts(number, index):
            return None
        return gzip.decompress((self._step(number, index) / f"{name}.gz").read_bytes())

    def _step(self, number: int, index: int) -> Path:
        return self.folder / str(number) / f"step_{index}"

    def _write(self, run: Run) -> None:
        folder = self.folder / str(run.id)
        folder.mkdir(exist_ok=True)
        written = folder / "run.json.new"
        written.write_bytes(msgspec.json.encode(run))
        written.replace(folder / "run.json")
        self._runs[run.id] = run

    def _read(self) -> Iterator[Run]:
        for path in self.folder.glob("*/run.json"):
            yield msgspec.json.decode(path.read_bytes(), type=Run)


@dataclass(frozen=True)
class Shift:
    """Moves what happened between ``since`` and now to the day that the run belongs to; other times stay."""

    since: datetime
    by: timedelta

    def moment(self, moment: datetime) -> datetime:
        """A real moment in the run's own time."""
        return moment + self.by

    def artifact(self, text: str) -> str:
        """dbt's JSON with the invocation's own times moved."""
        until = datetime.now(timezone.utc)

        def moved(match: re.Match[str]) -> str:
            moment = datetime.fromisoformat(_microseconds(match[0])).replace(tzinfo=timezone.utc)
            if not self.since <= moment <= until:
                return match[0]
            return (moment + self.by).replace(tzinfo=None).isoformat(timespec="microseconds")

        return _STAMP.sub(moved, text)

    def log(self, text: str) -> str:
        """dbt's log with the clock at the beginning of each line moved."""

        def moved(match: re.Match[str]) -> str:
            moment = datetime(2000, 1, 2, int(match[2]), int(match[3]), int(match[4])) + self.by
            return f"{match[1]}{moment:%H:%M:%S}"

        return _CLOCK.sub(moved, text)


def _microseconds(stamp: str) -> str:
    """Python 3.10 reads fractions of three or six digits only."""
    whole, _, fraction = stamp.partition(".")
    return f"{whole}.{fraction[:6]:0<6}"
