"""dbt Cloud's jobs, carried out: clone, profile, and each command in a warm dbt, on the repository as it stands."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb

from .dbt_worker import DbtWorker
from .history import HistoryError, git
from .run_archive import CANCELLED, ERROR, RUNNING, SUCCESS, Run, RunArchive, Shift, Step

SOURCE_FRESHNESS = "dbt source freshness"
DOCS_GENERATE = "dbt docs generate"


@dataclass(frozen=True)
class Job:
    """One job. The two switches are dbt Cloud's own: they add a first and a last step that never fail the run."""

    id: int
    name: str
    project_id: int
    environment_id: int
    commands: tuple[str, ...]
    cron: str
    run_generate_sources: bool = False
    generate_docs: bool = False

    def steps(self, override: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Every dbt command, in order."""
        first = (SOURCE_FRESHNESS,) if self.run_generate_sources and not override else ()
        last = (DOCS_GENERATE,) if self.generate_docs and not override else ()
        return (*first, *(override or self.commands), *last)


@dataclass(frozen=True)
class Place:
    """Where a project's jobs work: bare repository, checkout, dbt project in it, profiles and the database file."""

    repository: Path
    checkout: Path
    dbt_directory: str
    profiles_dir: Path
    target: str
    database: Path
    clone_url: str

    @property
    def project(self) -> Path:
        """The dbt project in the checkout."""
        return self.checkout / self.dbt_directory


class JobRunner:
    """Runs the jobs of one project, one run at a time."""

    def __init__(self, archive: RunArchive, place: Place, worker: DbtWorker) -> None:
        self.archive = archive
        self.place = place
        self.worker = worker

    def run(self, run: Run, job: Job, *, sha: str, at: datetime | None = None, locked: bool = False) -> Run:
        """Carry out one run on commit ``sha``; the archive follows it.

        Raises ``WorkerDiedError`` where the worker was ended meanwhile: the run then stands as running.

        ``at`` makes it a run of that moment. ``locked``: another process holds the database during the commands.
        """
        begun = datetime.now(timezone.utc)
        shift = Shift(begun, at - begun if at else timedelta())
        tell = (lambda step: self.archive.save(step)) if at is None else (lambda step: step)
        run = tell(replace(run, status=RUNNING, started_at=_iso(shift.moment(begun)), git_sha=sha))
        extra = [_clone, _profile]
        names = ["Clone git repository", "Create profile from connection DuckDB"]
        commands = job.steps(run.steps_override)
        names += [f"Invoke dbt with `{command}`" for command in commands]
        steps: list[Step] = []
        failed = False
        for index, name in enumerate(names, start=1):
            since = datetime.now(timezone.utc)
            command = commands[index - 3] if index > 2 else None
            switch = command in (SOURCE_FRESHNESS, DOCS_GENERATE) and command not in (
                run.steps_override or job.commands
            )
            target = self.place.project / "target" if command else None
            if failed and not switch:
                steps.append(Step(index, name, CANCELLED))
                continue
            run = tell(replace(run, steps=(*steps, Step(index, name, RUNNING, _iso(shift.moment(since))))))
            try:
                if command is None:
                    log, good = extra[index - 1](self.place, sha), True
                else:
                    with self._other_process() if locked and not switch else _nobody():
                        log, good = self._dbt(command, run, at)
            except (OSError, HistoryError, subprocess.SubprocessError) as error:
                log, good = f"{error}\n", False
            self.archive.keep_step(run, index, log, target, Shift(since, shift.by) if at else None)
            ended = datetime.now(timezone.utc)
            steps.append(
                Step(index, name, SUCCESS if good else ERROR, _iso(shift.moment(since)), _iso(shift.moment(ended)))
            )
            failed = failed or (not good and not switch)
        return self.archive.save(
            replace(
                run,
                steps=tuple(steps),
                status=ERROR if failed else SUCCESS,
                finished_at=_iso(shift.moment(datetime.now(timezone.utc))),
                status_message="dbt command failed" if failed else None,
            )
        )

    def _dbt(self, command: str, run: Run, at: datetime | None) -> tuple[str, bool]:
        arguments = [*shlex.split(command)[1:], "--target", self.place.target]
        arguments += ["--profiles-dir", str(self.place.profiles_dir)]
        environment = {"DBT_CLOUD_RUN_ID": str(run.id), "DBT_CLOUD_JOB_ID": str(run.job_id)}
        freshness = at is not None and command == SOURCE_FRESHNESS
        with self._clock(at) if freshness and at else _nobody():
            done = self.worker.invoke(*arguments, directory=self.place.project, environment=environment)
        return done.log, done.exit_code == 0

    @contextmanager
    def _clock(self, at: datetime) -> Iterator[None]:
        """The database believes that it is ``at``: how old a source is must be judged as of the run's own day."""
        with duckdb.connect(str(self.place.database)) as connection:
            connection.execute(f"create or replace macro main.now() as timestamptz '{at:%Y-%m-%d %H:%M:%S}+00'")
        try:
            yield
        finally:
            with duckdb.connect(str(self.place.database)) as connection:
                connection.execute("drop macro if exists main.now")

    @contextmanager
    def _other_process(self) -> Iterator[None]:
        """Somebody else has the database file open for writing."""
        holder = subprocess.Popen(
            [sys.executable, "-c", "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()",
             str(self.place.database)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert holder.stdout
            holder.stdout.readline()
            yield
        finally:
            holder.communicate()


@contextmanager
def _nobody() -> Iterator[None]:
    yield


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _clone(place: Place, sha: str) -> str:
    """Bring the checkout to ``sha``; dbt's target folder stays, as it holds the partial parse."""
    if not (place.checkout / ".git").exists():
        shutil.rmtree(place.checkout, ignore_errors=True)
        place.checkout.parent.mkdir(parents=True, exist_ok=True)
        git(place.checkout.parent, "clone", "--quiet", "--no-checkout", str(place.repository), str(place.checkout))
    git(place.checkout, "fetch", "--quiet", "--prune", "origin", "+refs/heads/*:refs/remotes/origin/*")
    git(place.checkout, "checkout", "--quiet", "--force", "--detach", sha)
    git(place.checkout, "clean", "--quiet", "-d", "--force")
    return f"Cloning into '{place.checkout.name}'...\nfrom {place.clone_url}\nHEAD is now at {sha[:9]}\n"


def _profile(place: Place, _sha: str) -> str:
    """The profile exists since the connection was made; say which target is used."""
    if not (place.profiles_dir / "profiles.yml").exists():
        raise OSError(f"{place.profiles_dir}/profiles.yml is missing: make the sandbox anew in another folder")
    return f"Using profiles.yml with target {place.target}\n"


def main_at(repository: Path, moment: datetime) -> str:
    """The head of main as of a moment."""
    return git(repository, "rev-list", "-1", f"--before={int(moment.timestamp())}", "refs/heads/main")
