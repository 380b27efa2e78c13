"""A private copy of somebody's dbt project, with its history; the original is only read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .console import Trouble, writable_folder

BRANCH = "main"
# Never part of a repository made from bare files: what dbt, Python and editors leave behind, and whole warehouses.
_LEFT_BEHIND = shutil.ignore_patterns(
    ".git", "target", "logs", "dbt_packages", "dbt_modules", ".venv", "venv", "node_modules", "__pycache__",
    ".user.yml", ".env", "*.duckdb", "*.duckdb.wal", "*.pyc",
)  # fmt: skip
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Working tree",
    "GIT_AUTHOR_EMAIL": "working-tree@localhost",
    "GIT_COMMITTER_NAME": "Working tree",
    "GIT_COMMITTER_EMAIL": "working-tree@localhost",
}


_GIT_SETTINGS = (
    ("safe.directory", "*"),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
)


@dataclass(frozen=True)
class LocalProject:
    """``original`` is the folder of dbt_project.yml, ``copy`` the private repository, ``dbt_directory`` in it.

    ``is_cut`` tells that the history was cloned in part, as by ``git clone --depth``.
    """

    original: Path
    copy: Path
    dbt_directory: str
    name: str
    has_history: bool
    is_cut: bool = False

    @property
    def history(self) -> str:
        """What there is of history, in words."""
        if not self.has_history:
            return "none"
        return "git, cloned in part (`git fetch --unshallow` brings the rest)" if self.is_cut else "git"

    @property
    def dbt_copy(self) -> Path:
        """The folder of dbt_project.yml in the copy."""
        return self.copy / self.dbt_directory


def find_project(path: Path) -> Path:
    """The folder of dbt_project.yml at, or above, or alone below a path.

    Raises:
        Trouble: if there is no such path, no dbt project there, or several below it.
    """
    if not path.exists():
        raise Trouble(f"{path} does not exist: name the folder of a dbt project")
    folder = (path if path.is_dir() else path.parent).resolve()
    for candidate in _upwards(folder):
        if (candidate / "dbt_project.yml").is_file():
            return candidate
    below = sorted(_below(folder, 3))
    if len(below) == 1:
        return below[0]
    if below:
        names = ", ".join(str(one) for one in below[:5])
        raise Trouble(f"{path} holds {len(below)} dbt projects: name one of {names}")
    raise Trouble(f"{path} holds no dbt project: name the folder that has dbt_project.yml")


def _upwards(folder: Path) -> Iterable[Path]:
    """The folder and, inside a git repository, those above it."""
    top = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)
    return [one for one in (folder, *folder.parents) if one == top or top in one.parents]


def _below(folder: Path, depth: int) -> Iterable[Path]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in ("target", "dbt_packages", "node_modules", "venv"):
            continue
        if (entry / "dbt_project.yml").is_file():
            yield entry
        elif depth > 1:
            yield from _below(entry, depth - 1)


def copy_project(project: Path, into: Path) -> LocalProject:
    """Copy the repository of a dbt project: its history and, as one more commit, what is not committed.

    Raises:
        Trouble: if git is missing, or a file cannot be read or written.
    """
    if shutil.which("git") is None:
        raise Trouble("git is not on the PATH: install it, https://git-scm.com/downloads")
    shutil.rmtree(into, ignore_errors=True)
    writable_folder(into)
    top = _top_folder(project)
    try:
        if top is not None and _has_commit(top):
            _clone(top, into)
            has_history = True
        else:
            top = top or project
            _git(into, "init", "-q", "-b", BRANCH)
            shutil.copytree(top, into, symlinks=True, ignore=_LEFT_BEHIND, dirs_exist_ok=True)
            has_history = False
        relative = project.relative_to(top)
        _copy_packages(project, into / relative)
        _commit_all(into)
    except (OSError, shutil.Error) as error:
        raise Trouble(f"{project} cannot be copied to {into}: {error}") from None
    is_cut = _git(into, "rev-parse", "--is-shallow-repository").strip() == "true"
    return LocalProject(project, into, str(relative), _repository_name(top), has_history, is_cut)


def _top_folder(project: Path) -> Path | None:
    found = _run(project, "rev-parse", "--show-toplevel")
    return Path(found.stdout.strip()) if found.returncode == 0 and found.stdout.strip() else None


def _has_commit(top: Path) -> bool:
    return _run(top, "rev-parse", "-q", "--verify", "HEAD").returncode == 0


def _clone(top: Path, into: Path) -> None:
    _git(into.parent, "clone", "-q", "--no-hardlinks", "--no-checkout", "--no-tags", str(top), str(into))
    head = _git(top, "rev-parse", "HEAD").strip()
    _git(into, "checkout", "-q", "-B", BRANCH, head)
    _git(into, "remote", "remove", "origin")
    committed = set(_listed(into, "--cached"))
    present = set(_listed(top, "--cached", "--others", "--exclude-standard"))
    for path in committed - present:
        (into / path).unlink(missing_ok=True)
    for path in present:
        source, target = top / path, into / path
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        elif not source.exists():
            target.unlink(missing_ok=True)  # deleted in the working tree, not yet in the index


def _listed(folder: Path, *which: str) -> list[str]:
    return [name for name in _git(folder, "ls-files", "-z", *which).split("\0") if name]


def _copy_packages(project: Path, copy: Path) -> None:
    """Installed dbt packages come along, uncommitted: they may not be there to be installed again."""
    for name in ("dbt_packages", "dbt_modules"):
        if (project / name).is_dir() and not (copy / name).exists():
            shutil.copytree(project / name, copy / name, symlinks=True)


def _commit_all(copy: Path) -> None:
    exclude = copy / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("target/\nlogs/\ndbt_packages/\ndbt_modules/\n.user.yml\n*.duckdb\n*.duckdb.wal\n")
    _git(copy, "add", "-A")
    if _run(copy, "diff", "--cached", "--quiet").returncode or not _has_commit(copy):
        _git(copy, "commit", "-q", "--allow-empty", "-m", "Working tree, not committed yet")


def _repository_name(top: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", top.name).strip("-")[:80] or "project"


def push(copy: Path, bare: Path) -> None:
    """Put the copy's branch into a bare repository, replacing what was there."""
    # A clone that was made with --depth is a project like any other.
    _git(bare, "config", "receive.shallowUpdate", "true")
    _git(copy, "push", "-q", "--force", str(bare), f"HEAD:refs/heads/{BRANCH}")


def head(copy: Path) -> str:
    """The commit that is checked out."""
    return _git(copy, "rev-parse", "HEAD").strip()


def _git(folder: Path, *arguments: str) -> str:
    done = _run(folder, *arguments)
    if done.returncode:
        raise Trouble(f"git {arguments[0]} failed in {folder}: {' '.join(done.stderr.split())[:500]}")
    return done.stdout


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ = {
        **kept,
        **_IDENTITY,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        # The original may belong to somebody else, nothing that its settings name may run, and not even its index may
        # be refreshed.
        "GIT_CONFIG_COUNT": str(len(_GIT_SETTINGS)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, (name, _) in enumerate(_GIT_SETTINGS)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(_GIT_SETTINGS)},
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environ, capture_output=True, text=True, errors="surrogateescape"
    )
