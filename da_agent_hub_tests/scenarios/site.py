"""A dbt project in the making: its files, its commits and its DuckDB warehouse under one folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from textwrap import dedent

import duckdb

_IGNORED = "target/\nlogs/\ndbt_packages/\n.user.yml\n*.duckdb\n*.duckdb.wal\n"


@dataclass(frozen=True)
class DbtBuild:
    """How ``dbt build`` ended; ``bad`` holds the names of nodes in error or fail, and is None where none was run."""

    code: int
    log: str
    bad: frozenset[str] | None


class Site:
    """Builds a project the way a team does: commits by several people over some weeks, loads, nightly builds."""

    def __init__(self, root: Path, project: str, *, directory: str = ".", git: bool = True) -> None:
        self.root = root
        self.project = project
        self.home = root / directory
        self.directory = directory
        self.has_git = git
        self.shas: dict[str, str] = {}
        self._random = random.Random(project)
        self._clock = datetime.now(timezone.utc) - timedelta(days=24)
        self.home.mkdir(parents=True)
        if git:
            self.git("init", "-q", "-b", "main")

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that the project's profile names."""
        return self.home / f"{self.project}.duckdb"

    def base(
        self, models: str = "    +materialized: view\n", path: str | None = None, extra: str = ""
    ) -> dict[str, str]:
        """The files that every project has; ``models`` is the indented block under the project's models."""
        return {
            ".gitignore": _IGNORED,
            self.at("dbt_project.yml"): (
                f"name: {self.project}\nversion: '1.0'\nprofile: {self.project}\nflags:\n"
                f"  send_anonymous_usage_stats: false\nmodels:\n  {self.project}:\n{models}{extra}"
            ),
            self.at("profiles.yml"): (
                f"{self.project}:\n  target: prod\n  outputs:\n    prod:\n      type: duckdb\n      schema: analytics\n"
                f'      path: "{path or self.warehouse.name}"\n      threads: 2\n'
            ),
        }

    def at(self, path: str) -> str:
        """A path of the dbt project, relative to the repository."""
        return path if self.directory == "." else f"{self.directory}/{path}"

    def read(self, path: str) -> str:
        """The text of a file by its path relative to the repository."""
        return (self.root / path).read_text()

    def edited(self, path: str, *changes: tuple[str, str]) -> dict[str, str]:
        """A file with pieces of its text replaced, ready to be committed; every piece must be there once."""
        text = self.read(path)
        for old, new in changes:
            if text.count(old) != 1:
                raise AssertionError(f"{old!r} stands {text.count(old)} times in {path}")
            text = text.replace(old, new)
        return {path: text}

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files, or delete those without text; margins that all lines share are taken off."""
        for path, text in files.items():
            place = self.root / path
            if text is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(dedent(text).lstrip("\n"))

    def commit(self, by: str, message: str, files: Mapping[str, str | None], label: str | None = None) -> None:
        """Write the files and, where the project is in git, commit them some hours after the commit before."""
        self.write(files)
        self._clock += timedelta(hours=self._random.uniform(5, 40), seconds=self._random.randrange(3600))
        if not self.has_git:
            return
        stamp = self._clock.isoformat(timespec="seconds")
        mail = f"{by.split()[0].lower()}@{self.project}.example"
        who = {"GIT_AUTHOR_NAME": by, "GIT_AUTHOR_EMAIL": mail, "GIT_COMMITTER_NAME": by, "GIT_COMMITTER_EMAIL": mail}
        self.git("add", "-A")
        self.git(
            "commit", "-q", "-m", message, environment={**who, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        )
        if label:
            self.shas[label] = self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run git in the repository, free of the machine's own settings."""
        alone = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, **(environment or {})}
        done = subprocess.run(["git", *arguments], cwd=self.root, env=alone, capture_output=True, text=True, check=True)
        return done.stdout

    def sql(self, *statements: str) -> None:
        """Load or change raw data, as the ingestion tool would."""
        with duckdb.connect(str(self.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)

    def good_build(self, attempts: int = 1) -> None:
        """The nightly build before the fault; it must be green, at one of ``attempts`` for what fails by chance."""
        for _ in range(attempts):
            build = self.dbt("build")
            if not build.code:
                break
        else:
            raise AssertionError(f"{self.project} must build before its fault:\n{build.log}")

    def dbt(self, *arguments: str) -> DbtBuild:
        """Run dbt in the project as its operator would, leaving ``target/`` and ``logs/`` behind."""
        return run_dbt(self.home, *arguments)


# A fresh dbt spends most of its time on imports: each build is a fork of a process that has done them.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.duckdb"])


def run_dbt(directory: Path, *arguments: str) -> DbtBuild:
    """Run dbt in a project's directory; results count only if this very invocation wrote them."""
    results = directory / "target" / "run_results.json"
    before = results.stat().st_mtime_ns if results.exists() else 0
    with tempfile.NamedTemporaryFile(mode="r", prefix="dbt-", suffix=".log") as log:
        command = ["--no-use-colors", *arguments, "--profiles-dir", "."]
        process = _PROCESSES.Process(target=_dbt, args=(str(directory), log.name, command))
        process.start()
        process.join()
        said = log.read()
    bad = None
    if results.exists() and results.stat().st_mtime_ns != before:
        bad = frozenset(
            entry["unique_id"].split(".")[2]
            for entry in json.loads(results.read_text())["results"]
            if entry["status"] in ("error", "fail", "runtime error")
        )
    return DbtBuild(process.exitcode or 0, said, bad)


def _dbt(directory: str, log: str, command: list[str]) -> None:
    os.chdir(directory)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from dbt.cli.main import cli

    cli(command)
