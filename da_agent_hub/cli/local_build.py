"""What dbt says of a copied project: the artifacts that its owner has, or those of a build on private copies."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from ..adapters.dbt_core import DbtCoreError, DbtCoreRuns
from ..adapters.dbt_profile import PrivateProfile, ProfileError, write_private_profile
from ..config import DbtCoreSource, VerificationSettings
from ..domain.dbt import DbtRun, Outcome
from .console import Trouble, writable_folder, write_whole
from .local_project import LocalProject, head

OLDEST_DAYS = 365
_FILES = ("run_results.json", "manifest.json", "sources.json")
_CANNOT_READ = re.compile(r"Error encountered in \S*?((?:dbt_project|profiles)\.yml)")
_VARIABLES = re.compile(r"""env_var\(\s*['"](\w+)['"]""")


@dataclass(frozen=True)
class LocalRun:
    """A dbt run and the folder of its artifacts; ``built_here`` where ``try`` ran dbt itself."""

    run: DbtRun
    folder: Path
    built_here: bool

    @property
    def failed(self) -> bool:
        """Whether anything in it went wrong."""
        return _failed(self.run)


def read_project_file(project: LocalProject) -> dict[str, Any]:
    """dbt_project.yml.

    Raises:
        Trouble: if dbt could not read it either.
    """
    path = project.original / "dbt_project.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise Trouble(f"{path} is not valid YAML{line}: mend it first, dbt cannot read it either") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise Trouble(f"{path} cannot be read: mend it first, dbt cannot read it either") from None
    if not isinstance(content, dict) or not isinstance(content.get("name"), str):
        raise Trouble(f"{path} has no `name`: mend it first, dbt cannot read it either")
    return content


def private_profile(
    project: LocalProject, private: Path, profiles_dir: Path | None, target: str | None
) -> PrivateProfile:
    """A profile of its own, over private copies of the DuckDB files that the project's profile names.

    Raises:
        Trouble: if there is no profile, it cannot be used, or its adapter is not installed.
    """
    source = profiles_dir or _profiles_dir(project)
    shutil.rmtree(private, ignore_errors=True)
    writable_folder(private)
    settings = VerificationSettings(profiles_dir=source, target=target)
    try:
        profile = write_private_profile(project.dbt_copy, private, settings, os.environ, project.original)
    except ProfileError as error:
        # Of the two next steps of that sentence, the keys of a hub.yaml are none here.
        said = re.sub(r": set verification\.\w+$", "", str(error)).replace(
            "add it to verification.environment and ", ""
        )
        raise Trouble(f"{said} (or name another folder with --profiles-dir, another target with --target)") from None
    if not profile.adapter_type or importlib.util.find_spec(f"dbt.adapters.{profile.adapter_type}") is None:
        wanted = profile.adapter_type or "unknown"
        raise Trouble(f"the profile's adapter {wanted!r} is not installed: install dbt-{wanted} beside da-agent-hub")
    _make_absolute(profile.directory / "profiles.yml", private)
    return profile


def _make_absolute(path: Path, folder: Path) -> None:
    """Name the private files wherever dbt is started: here, and in the checkouts that copy them once more."""
    profiles = yaml.safe_load(path.read_text(encoding="utf-8"))
    for profile in profiles.values():
        for output in profile["outputs"].values():
            for place in (output, *(output.get("attach") or ())):
                named = place.get("path") if isinstance(place, dict) else None
                if isinstance(named, str) and (folder / named).parent.is_dir() and not named.startswith(":"):
                    place["path"] = str(folder / named)
    write_whole(path, yaml.safe_dump(profiles, sort_keys=False))


def _profiles_dir(project: LocalProject) -> Path:
    places = [project.original, Path(os.environ.get("DBT_PROFILES_DIR") or "."), Path.home() / ".dbt"]
    for place in places:
        if (place / "profiles.yml").is_file():
            return place.absolute()
    looked = ", ".join(str(place.absolute()) for place in places)
    raise Trouble(f"no profiles.yml in {looked}: name its folder with --profiles-dir")


def variables_used(project: LocalProject, profile: PrivateProfile) -> list[str]:
    """The environment variables that the profile and the project's own files ask for."""
    files = [profile.directory / "profiles.yml", *project.dbt_copy.glob("*.yml")]
    for folder in ("models", "macros", "snapshots", "seeds", "tests", "analyses"):
        files += [path for path in (project.dbt_copy / folder).rglob("*") if path.suffix in (".sql", ".yml", ".yaml")]
    found: set[str] = set()
    for path in files:
        found.update(_VARIABLES.findall(path.read_text(encoding="utf-8", errors="replace")))
    return sorted(found)


def failed_run_of(project: LocalProject, content: dict[str, Any], runs_folder: Path) -> LocalRun | None:
    """The owner's newest run, copied with its artifacts, if it is there, not too old, and failed."""
    target = project.original / str(content.get("target-path") or "target")
    if not (target / "run_results.json").is_file():
        return None
    found = _newest(project, target)
    # Half-written artifacts are no failure of the project: a build tells more than they do.
    if found is None or not _tells_of_a_failure(found):
        return None
    if found.finished_at < datetime.now(timezone.utc) - timedelta(days=OLDEST_DAYS):
        return None
    logs = project.original / str(content.get("log-path") or "logs")
    return _keep(project, found, target, logs, runs_folder, built_here=False)


def build(
    project: LocalProject,
    profile: PrivateProfile,
    private: Path,
    runs_folder: Path,
    *,
    target: str | None,
    tell: Callable[[str], None],
) -> LocalRun:
    """Run ``dbt build`` on the copy.

    Raises:
        Trouble: if dbt could not begin, or would write to a warehouse that nobody named.
    """
    if profile.adapter_type != "duckdb" and target is None:
        raise Trouble(
            f"dbt build would write to the {profile.adapter_type} warehouse of target {profile.target!r}: run dbt "
            "yourself first, so that target/ holds its failures, or name a target that may be written with --target"
        )
    work = private / "build"
    shutil.rmtree(work, ignore_errors=True)
    writable_folder(work)
    environ = {
        **os.environ,
        "DBT_ENV_CUSTOM_ENV_GIT_SHA": head(project.copy),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    places = [
        "--project-dir",
        str(project.dbt_copy),
        "--profiles-dir",
        str(profile.directory),
        "--target",
        profile.target,
    ]
    if _wants_packages(project):
        tell("installing dbt packages")
        done = _dbt(["deps", *places], project, environ, work)
        if done.returncode:
            raise Trouble(f"dbt deps failed: run it in {project.original} first. It said: {_end(done.stdout)}")
    tell("running dbt build on a private copy")
    done = _dbt(["build", *places, "--target-path", str(work / "target")], project, environ, work)
    if unread := _CANNOT_READ.search(done.stdout):
        raise Trouble(f"dbt cannot read {unread[1]}, mend it first: {_end(done.stdout)}")
    found = _newest(project, work / "target" if (work / "target").is_dir() else work)
    if found is None or (done.returncode and not _failed(found)):
        raise Trouble(f"dbt build could not begin: {_end(done.stdout)}")
    return _keep(project, found, work / "target", work / "logs", runs_folder, built_here=True)


def _dbt(
    arguments: list[str], project: LocalProject, environ: dict[str, str], work: Path
) -> subprocess.CompletedProcess[str]:
    flags = ["--no-use-colors", "--log-path", str(work / "logs")]
    return subprocess.run(
        # Python's own remark on running it as a module would stand before what dbt says.
        [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", "dbt.cli.main", *flags, *arguments],
        cwd=project.dbt_copy,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _wants_packages(project: LocalProject) -> bool:
    wanted = any((project.dbt_copy / name).exists() for name in ("packages.yml", "dependencies.yml"))
    return wanted and not (project.dbt_copy / "dbt_packages").is_dir()


def _newest(project: LocalProject, folder: Path) -> DbtRun | None:
    runs = DbtCoreRuns(DbtCoreSource(type="dbt_core", path=folder))
    try:
        listed = runs.finished_runs(project.name, datetime.min.replace(tzinfo=timezone.utc), datetime.now(timezone.utc))
        return runs.read_run(project.name, listed[-1].run_id) if listed else None
    except DbtCoreError:
        return None


def _failed(run: DbtRun) -> bool:
    return run.status == "error" or any(result.outcome is Outcome.BAD for _, result in run.results())


def _tells_of_a_failure(run: DbtRun) -> bool:
    return any(step.status == "error" for step in run.steps) or any(
        result.outcome is Outcome.BAD for _, result in run.results()
    )


def _keep(
    project: LocalProject, run: DbtRun, target: Path, logs: Path, runs_folder: Path, *, built_here: bool
) -> LocalRun:
    folder = runs_folder / f"{run.finished_at:%Y%m%dT%H%M%S}-{run.run_id[:8]}"
    writable_folder(folder)
    for source in (*(target / name for name in _FILES), logs / "dbt.log"):
        if source.is_file():
            shutil.copy2(source, folder / source.name)
    kept = DbtCoreRuns(DbtCoreSource(type="dbt_core", path=runs_folder)).read_run(project.name, folder.name)
    return LocalRun(kept, folder, built_here)


def _end(output: str) -> str:
    return " ".join(output.split())[-400:]
