"""A whole sandbox on disk: two repositories, a GitHub, and two weeks of dbt runs; everything comes from one seed."""

from __future__ import annotations

import fcntl
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

import msgspec

from .dbt_jobs import Job, JobRunner, Place, main_at
from .dbt_worker import DbtWorker
from .github.state import GitHubState
from .history import git, write_history
from .loader import LOAD_TIME, Loader
from .run_archive import QUEUED, Run, RunArchive
from .story import NIGHTS, SAMPLE, Incident, ProjectStory, Story, tell_story

TARGET = "prod"
BOT = "da-agent-hub[bot]"
_NIGHT, _MIDDAY = time(2, 0), time(12, 0)
_MADE = ("github", "dbt_cloud", "warehouse", "profiles", "world.json")


class SandboxError(Exception):
    """The folder cannot be used as a sandbox; the message says what to do."""


@dataclass(frozen=True)
class WorldUser:
    """A GitHub user with a token; ``permission`` holds for every repository."""

    login: str
    token: str
    permission: str
    kind: str = "User"
    name: str = ""


@dataclass(frozen=True)
class WorldProject:
    """One dbt project; ``dbt_directory`` is relative to its repository, the other paths are absolute."""

    name: str
    owner: str
    repo: str
    dbt_directory: str
    profiles_dir: str
    target: str
    database: str
    dbt_cloud_project_id: int
    environment_id: int
    environment_name: str
    job_ids: tuple[int, ...]
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class WorldIncident:
    """Ground truth for graders: ``node`` is a node's name, empty where a whole run fails; ``days`` are ISO dates.

    ``categories`` are all that would be right; ``active`` means that it still fails at the end of the history.
    """

    id: str
    project: str
    node: str
    path: str
    kind: str
    categories: tuple[str, ...]
    fixable: bool
    active: bool
    cause: str
    culprit_sha: str | None
    days: tuple[str, ...]
    run_ids: tuple[int, ...]


@dataclass(frozen=True)
class World:
    """Everything that a hub.yaml, a server or a grader needs to know. The hub itself never sees ``incidents``."""

    home: Path
    seed: int
    first_day: str
    made_at: str
    account_id: int
    account_name: str
    dbt_cloud_token: str
    projects: tuple[WorldProject, ...]
    users: tuple[WorldUser, ...]
    incidents: tuple[WorldIncident, ...]

    @property
    def bot(self) -> WorldUser:
        """The hub's own GitHub user."""
        return self.users[0]

    @property
    def story(self) -> Story:
        """What happens in it, told again from the seed."""
        return tell_story(self.seed, date.fromisoformat(self.first_day))

    @property
    def archive_folder(self) -> Path:
        """Where the runs lie."""
        return self.home / "dbt_cloud" / "runs"

    def place(self, project: WorldProject) -> Place:
        """Where a project's jobs work."""
        return Place(
            repository=GitHubState(self.home / "github").git_path(project.owner, project.repo),
            checkout=self.home / "dbt_cloud" / "checkouts" / project.name,
            dbt_directory=project.dbt_directory,
            profiles_dir=Path(project.profiles_dir),
            target=project.target,
            database=Path(project.database),
            clone_url=f"git://github/{project.owner}/{project.repo}.git",
        )

    def loader(self, project: WorldProject) -> Loader:
        """A project's nightly extract."""
        told = self.told(project)
        return Loader(Path(project.database), told.domain, told.upstream, date.fromisoformat(self.first_day), self.seed)

    def told(self, project: WorldProject) -> ProjectStory:
        """A project's part of the story."""
        return next(one for one in self.story.projects if one.domain.name == project.name)


def load_world(home: Path) -> World:
    """The finished sandbox in ``home``; raises ``SandboxError`` where there is none."""
    path = home.resolve() / "world.json"
    try:
        world = msgspec.json.decode(path.read_bytes(), type=World, dec_hook=lambda _type, text: Path(text))
    except FileNotFoundError:
        raise SandboxError(f"{home} holds no finished sandbox: make one there first") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise SandboxError(f"{path} cannot be read ({error}): remove {home} and make the sandbox anew") from error
    return replace(world, home=home.resolve())


def make_world(
    home: Path,
    *,
    seed: int = 0,
    now: datetime | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> World:
    """Make a sandbox in ``home``, or return the one that is there.

    ``world.json`` is written last: a making that was killed leaves none, and the next call starts afresh. ``now`` is
    when the two weeks end (aware; the present by default). Takes about a minute on two cores.
    """
    home = home.resolve()
    with _only_one(home):
        if (home / "world.json").exists():
            world = load_world(home)
            if world.seed != seed:
                raise SandboxError(f"{home} holds the sandbox of seed {world.seed}: give that seed, or another folder")
            return world
        for name in _MADE:
            path = home / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return _Maker(home, seed, (now or datetime.now(timezone.utc)).astimezone(timezone.utc), progress).make()


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / ".making").open("w")
    except OSError as error:
        raise SandboxError(f"{home} cannot be written to ({error.strerror}): give another folder") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class _Due:
    """A run of the history, before it happens."""

    at: datetime
    night: int
    project: int
    job: int


class _Maker:
    def __init__(self, home: Path, seed: int, now: datetime, progress: Callable[[str], None]) -> None:
        self.home, self.seed, self.now, self.progress = home, seed, now, progress
        self.rng = random.Random(f"world {seed}")
        self._over = threading.Event()
        last_day = now.date() if now.time() >= time(2, 30) else now.date() - timedelta(days=1)
        self.story = tell_story(seed, last_day - timedelta(days=NIGHTS - 1))

    def make(self) -> World:
        """Everything, in the order in which one thing needs the other."""
        world = World(
            home=self.home,
            seed=self.seed,
            first_day=self.story.first_day.isoformat(),
            made_at=self.now.isoformat(),
            account_id=self.rng.randint(20_000, 90_000),
            account_name=self.story.projects[0].domain.owner.capitalize(),
            dbt_cloud_token=f"dbtc_{self._secret(40)}",
            projects=self._projects(),
            users=self._users(),
            incidents=(),
        )
        self.progress("writing two repositories and their history")
        subjects = self._github(world)
        self._profiles(world)
        archive = RunArchive(world.archive_folder)
        due = self._calendar(world, archive)
        done = 0

        def tick(line: str) -> None:
            nonlocal done
            done += 1
            self.progress(f"[{done}/{len(due)}] {line}")

        with ThreadPoolExecutor(len(world.projects)) as pool:
            histories = [
                pool.submit(self._run_history, world, archive, number, due, tick)
                for number in range(len(world.projects))
            ]
            try:
                for history in as_completed(histories):
                    history.result()
            finally:
                self._over.set()  # an interrupt, or one project's failure, ends the other soon
        told = tuple(self._incidents(world, archive, due, subjects))
        world = replace(world, incidents=told)
        written = self.home / "world.json.new"
        written.write_bytes(msgspec.json.format(msgspec.json.encode(world, enc_hook=str), indent=1))
        written.replace(self.home / "world.json")
        return world

    def _secret(self, length: int) -> str:
        return "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=length))

    def _users(self) -> tuple[WorldUser, ...]:
        people = self.story.authors
        named = [
            (BOT, "write", "Bot", "DA Agent Hub"),
            (people[0].login, "write", "User", people[0].name),
            (people[1].login, "write", "User", people[1].name),
            ("curious-reader", "read", "User", "Curious Reader"),
        ]
        return tuple(
            WorldUser(login, f"ghp_{self._secret(36)}", permission, kind, name)
            for login, permission, kind, name in named
        )

    def _projects(self) -> tuple[WorldProject, ...]:
        first_id = self.rng.randint(100_000, 400_000)
        projects = []
        for number, told in enumerate(self.story.projects):
            domain = told.domain
            project_id, environment_id = first_id + 37 * number, first_id + 211 + 13 * number
            job_id = first_id + 500 + 71 * number
            nightly = Job(
                job_id,
                "Nightly build",
                project_id,
                environment_id,
                ("dbt build",),
                f"{10 * number} 2 * * *",
                run_generate_sources=number == 0,
                generate_docs=number == 0,
            )
            jobs = [nightly]
            if domain.shape == "service":
                selected = domain.roles["job"].staging
                jobs.append(
                    Job(
                        job_id + 9,
                        "Midday refresh",
                        project_id,
                        environment_id,
                        (f"dbt build --select {selected}+",),
                        "0 12 * * 1-5",
                    )
                )
            projects.append(
                WorldProject(
                    name=domain.name,
                    owner=domain.owner,
                    repo=domain.name,
                    dbt_directory=domain.directory,
                    profiles_dir=str(self.home / "profiles" / domain.name),
                    target=TARGET,
                    database=str(self.home / "warehouse" / f"{domain.name}.duckdb"),
                    dbt_cloud_project_id=project_id,
                    environment_id=environment_id,
                    environment_name="Production",
                    job_ids=tuple(job.id for job in jobs),
                    jobs=tuple(jobs),
                )
            )
        return tuple(projects)

    def _github(self, world: World) -> dict[tuple[str, str], str]:
        """Users, repositories and commits; returns the SHA of each commit by project and subject."""
        state = GitHubState(self.home / "github")
        for user in world.users:
            state.create_user(user.login, user.token, kind=user.kind, name=user.name)
        for author in self.story.authors[2:]:
            state.create_user(author.login, None, name=author.name)
        subjects: dict[tuple[str, str], str] = {}
        for project, told in zip(world.projects, self.story.projects, strict=True):
            repository = state.create_repo(project.owner, project.repo)
            for user in world.users:
                state.grant(project.owner, project.repo, user.login, user.permission)
            shas = write_history(repository, told.changes)
            subjects |= {(project.name, change.message): sha for change, sha in zip(told.changes, shas, strict=True)}
        return subjects

    def _profiles(self, world: World) -> None:
        for project in world.projects:
            Path(project.database).parent.mkdir(parents=True, exist_ok=True)
            folder = Path(project.profiles_dir)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "profiles.yml").write_text(
                f"{project.name}:\n  target: {project.target}\n  outputs:\n    {project.target}:\n      type: duckdb\n"
                f"      path: {project.database}\n      schema: analytics\n      threads: 1\n"
            )

    def _calendar(self, world: World, archive: RunArchive) -> dict[int, _Due]:
        """Every run of the two weeks by its id; ids grow with time, with gaps as in an account that others share."""
        planned = []
        for night in range(NIGHTS):
            day = self.story.first_day + timedelta(days=night)
            for number, project in enumerate(world.projects):
                start = datetime.combine(day, _NIGHT, timezone.utc) + timedelta(
                    minutes=10 * number, seconds=self.rng.randint(5, 90)
                )
                planned.append(_Due(start, night, number, 0))
                midday = datetime.combine(day, _MIDDAY, timezone.utc) + timedelta(seconds=self.rng.randint(5, 90))
                if len(project.jobs) > 1 and day.weekday() < 5 and midday < self.now - timedelta(minutes=5):
                    planned.append(_Due(midday, night, number, 1))
        due, number = {}, self.rng.randint(70_000_000, 90_000_000)
        for one in sorted(planned, key=lambda due: due.at):
            told = self.story.projects[one.project]
            wanted = one.night in told.odd_nights and one.job == 0
            number = next_run_id(number + self.rng.randint(3, 60), told.odd_key, wanted)
            due[number] = one
        return due

    def _run_history(
        self, world: World, archive: RunArchive, number: int, due: dict[int, _Due], tick: Callable[[str], None]
    ) -> None:
        project, told = world.projects[number], self.story.projects[number]
        place, loader, worker = world.place(project), world.loader(project), DbtWorker()
        runner = JobRunner(archive, place, worker)
        try:
            for run_id, one in due.items():
                if self._over.is_set():
                    return
                if one.project != number:
                    continue
                loader.load_until(one.at.date())
                job = project.jobs[one.job]
                run = Run(
                    run_id, project.dbt_cloud_project_id, job.id, job.environment_id, QUEUED,
                    (one.at - timedelta(seconds=4)).isoformat(), "scheduled", "scheduled",
                )  # fmt: skip
                locked = one.night in told.locked and one.job == 0
                done = runner.run(run, job, sha=main_at(place.repository, one.at), at=one.at, locked=locked)
                tick(
                    f"{project.name}: {job.name} of {one.at:%Y-%m-%d} {'succeeded' if done.status == 10 else 'failed'}"
                )
        finally:
            worker.close()

    def _incidents(
        self, world: World, archive: RunArchive, due: dict[int, _Due], subjects: dict[tuple[str, str], str]
    ) -> Iterator[WorldIncident]:
        for number, told in enumerate(self.story.projects):
            for incident in told.incidents:
                runs = tuple(
                    run_id for run_id, one in due.items()
                    if one.project == number and one.night in incident.nights and one.job == 0
                )  # fmt: skip
                yield _as_found(incident, self.story.first_day, runs, subjects.get((told.domain.name, incident.commit)))


def _as_found(incident: Incident, first_day: date, runs: tuple[int, ...], sha: str | None) -> WorldIncident:
    return WorldIncident(
        id=f"{incident.project}-{incident.kind}",
        project=incident.project,
        node=incident.node,
        path=incident.path,
        kind=incident.kind,
        categories=incident.categories,
        fixable=incident.fixable,
        active=not incident.heals,
        cause=incident.cause,
        culprit_sha=sha,
        days=tuple((first_day + timedelta(days=night)).isoformat() for night in incident.nights),
        run_ids=runs,
    )


def next_run_id(lowest: int, odd_key: int | None, hit: bool) -> int:
    """The first id from ``lowest`` on with which the sampled test reads its odd row (``hit``), or does not."""
    number = lowest
    while odd_key is not None and ((odd_key + number) % SAMPLE == 0) != hit:
        number += 1
    return number


def last_load_day(now: datetime) -> date:
    """The day whose load is in by ``now``."""
    return now.date() if now.time() >= LOAD_TIME else now.date() - timedelta(days=1)


def head_of_main(repository: Path) -> str:
    """The commit that a job started now would build."""
    return git(repository, "rev-parse", "refs/heads/main")
