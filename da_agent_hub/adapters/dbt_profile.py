"""The private profile of a workbench: the operator's target alone, pointed at a private copy of a DuckDB file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2.sandbox
import yaml

from ..config import VerificationSettings


class ProfileError(Exception):
    """The dbt profile for verification cannot be used; the message names the file, the key and the next step."""


@dataclass(frozen=True)
class DatabaseCopy:
    """A DuckDB file of production and where its private copy lives; ``original`` is None where there is none yet."""

    original: Path | None
    private: Path

    def refresh(self) -> None:
        """Put the copy back to what production holds now, its write-ahead log included."""
        self.private.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("", ".wal"):
            copy = self.private.with_name(self.private.name + ending)
            copy.unlink(missing_ok=True)
            if self.original is not None:
                source = self.original.with_name(self.original.name + ending)
                if source.exists():
                    shutil.copyfile(source, copy)


@dataclass(frozen=True)
class PrivateProfile:
    """What was written: the directory for ``--profiles-dir``, the target's name, and the files to copy."""

    directory: Path
    target: str
    adapter_type: str
    databases: tuple[DatabaseCopy, ...]
    runnable: bool


def write_private_profile(
    project_directory: Path,
    private: Path,
    settings: VerificationSettings,
    environment: Mapping[str, str],
    production_directory: Path | None,
) -> PrivateProfile:
    """Write ``profiles.yml`` with one target into ``private``.

    ``production_directory`` is where the operator's own copy of the dbt project lives, if it is on this machine:
    relative DuckDB paths of the profile mean files there.

    Raises:
        ProfileError: where verification is configured and its profile cannot be used.
    """
    configured = bool(settings.profiles_dir or settings.target or settings.copy_database)
    name = _profile_name(project_directory)
    source = (settings.profiles_dir or project_directory) / "profiles.yml"
    output: dict[str, Any]
    if not configured and not source.exists():
        target, output = "parse_only", {"type": "duckdb", "path": ":memory:"}
    elif settings.copy_database and not settings.profiles_dir and not source.exists():
        target, output = settings.target or "verification", {"type": "duckdb", "path": str(settings.copy_database)}
    else:
        target, output = _chosen_output(source, name, settings.target, environment)
    databases: tuple[DatabaseCopy, ...] = ()
    if output.get("type") == "duckdb":
        bases = [base for base in (production_directory, settings.profiles_dir) if base is not None]
        output, databases = _private_duckdb(output, settings.copy_database, bases, private, environment)
    directory = private / "profiles"
    directory.mkdir(exist_ok=True)
    text = yaml.safe_dump({name: {"target": target, "outputs": {target: output}}}, sort_keys=False)
    descriptor = os.open(directory / "profiles.yml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    return PrivateProfile(directory, target, str(output.get("type", "")), databases, configured)


def _profile_name(project_directory: Path) -> str:
    path = project_directory / "dbt_project.yml"
    try:
        project = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProfileError(f"there is no dbt project in {project_directory.name!r}: set dbt_directory") from None
    except yaml.YAMLError:
        return "default"
    return str(project.get("profile") or "default") if isinstance(project, dict) else "default"


def _chosen_output(
    source: Path, name: str, wanted: str | None, environment: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    try:
        profiles = yaml.safe_load(source.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ProfileError(f"{source} does not exist: set verification.profiles_dir") from None
    except yaml.YAMLError as error:
        raise ProfileError(f"{source} is not YAML: {error}") from None
    profile = profiles.get(name) if isinstance(profiles, dict) else None
    if not isinstance(profile, dict):
        raise ProfileError(f"{source} has no profile {name!r}, which dbt_project.yml names")
    target = wanted or _render(str(profile.get("target") or "default"), environment)
    outputs = profile.get("outputs") or {}
    if not isinstance(outputs.get(target), dict):
        known = ", ".join(sorted(outputs)) or "none"
        raise ProfileError(
            f"{source}: profile {name!r} has no target {target!r} (it has {known}): set verification.target"
        )
    return target, dict(outputs[target])


def _private_duckdb(
    output: dict[str, Any], copy_database: Path | None, bases: list[Path], private: Path, environment: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[DatabaseCopy, ...]]:
    copies: list[DatabaseCopy] = []

    def private_path(path: str, override: Path | None, place: str) -> str:
        rendered = _render(path, environment)
        if rendered.startswith(("md:", "motherduck:")) or "://" in rendered:
            return path
        if override is not None:
            original: Path | None = override
        elif rendered == ":memory:":
            original = None
        else:
            original = _existing(Path(rendered).expanduser(), bases)
        # The stem is the catalog's name, by which views inside the file call their relations: it must not change.
        named = original.name if original else "memory.duckdb" if rendered == ":memory:" else Path(rendered).name
        copies.append(DatabaseCopy(original, private / "warehouse" / place / named))
        # Relative to the directory that dbt runs in: the same text in each workbench lets dbt reuse what it parsed before.
        return copies[-1].private.relative_to(private).as_posix()

    output["path"] = private_path(str(output.get("path") or ":memory:"), copy_database, "main")
    attached = []
    for number, entry in enumerate(output.get("attach") or ()):
        if isinstance(entry, dict) and "path" in entry and entry.get("type") in (None, "duckdb"):
            entry = {**entry, "path": private_path(str(entry["path"]), None, f"attached_{number}")}
        attached.append(entry)
    if attached:
        output["attach"] = attached
    for copy in copies:
        if copy.original is not None and not copy.original.exists():
            raise ProfileError(f"the DuckDB file {copy.original} does not exist: set verification.copy_database")
        copy.refresh()
    return output, tuple(copies)


def _existing(path: Path, bases: list[Path]) -> Path | None:
    candidates = [path] if path.is_absolute() else [base / path for base in bases]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _render(text: str, environment: Mapping[str, str]) -> str:
    def env_var(name: str, default: str | None = None) -> str:
        value = environment.get(name, default)
        if value is None:
            raise ProfileError(f"the profile wants the variable {name}: add it to verification.environment and set it")
        return value

    if "{{" not in text:
        return text
    try:
        return jinja2.sandbox.SandboxedEnvironment().from_string(text).render(env_var=env_var)
    except jinja2.TemplateError as error:
        raise ProfileError(f"the profile's {text!r} cannot be rendered: {error}") from None
