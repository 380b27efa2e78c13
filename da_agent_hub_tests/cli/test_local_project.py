"""A private copy of a dbt project: all of it, with its history, and nothing of the original touched."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from da_agent_hub.adapters.git_checkout import Mirror
from da_agent_hub.cli.console import Trouble
from da_agent_hub.cli.local_project import copy_project, find_project, head, push

PROJECT = "name: shop\nprofile: shop\nversion: '1'\n"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=trunk"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "My Shop"
    write(
        top,
        {
            "dbt/dbt_project.yml": PROJECT,
            "dbt/models/a.sql": "select 1",
            "dbt/models/b.sql": "select 2",
            "README.md": "hello",
            ".gitignore": "target/\ndbt_packages/\n",
            "dbt/dbt_packages/utils/dbt_project.yml": "name: utils\n",
            "dbt/target/run_results.json": "{}",
        },
    )
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "First")
    return top


def test_a_project_in_a_sub_directory_is_copied_with_its_repository_and_history(
    repository: Path, tmp_path: Path
) -> None:
    project = copy_project(find_project(repository / "dbt"), tmp_path / "copy")
    assert (project.dbt_directory, project.name, project.has_history) == ("dbt", "My-Shop", True)
    assert head(project.copy) == git(repository, "rev-parse", "HEAD").strip()
    assert (project.dbt_copy / "dbt_packages/utils/dbt_project.yml").exists()
    assert git(project.copy, "status", "--porcelain") == ""


def test_a_history_that_was_cloned_in_part_is_told(repository: Path, tmp_path: Path) -> None:
    assert copy_project(repository / "dbt", tmp_path / "copy").history == "git"
    git(repository, "commit", "-q", "--allow-empty", "-m", "Second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "cut")
    cut = copy_project(tmp_path / "cut" / "dbt", tmp_path / "copy")
    assert cut.history == "git, cloned in part (`git fetch --unshallow` brings the rest)"


def test_what_is_not_committed_becomes_one_more_commit(repository: Path, tmp_path: Path) -> None:
    write(repository, {"dbt/models/a.sql": "select 10", "dbt/models/new.sql": "select 3", "staged.txt": "x"})
    (repository / "dbt/models/b.sql").unlink()
    git(repository, "add", "staged.txt")
    project = copy_project(repository / "dbt", tmp_path / "copy")
    assert git(project.copy, "log", "--format=%s").splitlines() == ["Working tree, not committed yet", "First"]
    changed = git(project.copy, "show", "--format=", "--name-status", "HEAD").splitlines()
    assert changed == ["M\tdbt/models/a.sql", "D\tdbt/models/b.sql", "A\tdbt/models/new.sql", "A\tstaged.txt"]


def test_copying_changes_not_a_byte_of_the_original(repository: Path, tmp_path: Path) -> None:
    write(repository, {"dbt/models/a.sql": "select 10"})
    before = contents(repository)
    project = copy_project(repository / "dbt", tmp_path / "copy")
    write(project.copy, {"dbt/models/b.sql": "broken"})
    assert contents(repository) == before


def test_a_project_without_git_becomes_a_fresh_repository_without_what_dbt_left(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    write(
        plain,
        {"dbt_project.yml": PROJECT, "models/a.sql": "select 1", "target/x": "", "logs/dbt.log": "", "w.duckdb": ""},
    )
    project = copy_project(find_project(plain), tmp_path / "copy")
    assert (project.dbt_directory, project.has_history) == (".", False)
    assert git(project.copy, "ls-files").split() == ["dbt_project.yml", "models/a.sql"]
    assert not (plain / ".git").exists()


def test_a_repository_without_a_commit_is_taken_as_files(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    write(fresh, {"dbt_project.yml": PROJECT})
    git(fresh, "init", "-q")
    project = copy_project(fresh, tmp_path / "copy")
    assert not project.has_history
    assert git(project.copy, "ls-files").split() == ["dbt_project.yml"]


def test_copying_twice_and_a_detached_head_are_no_trouble(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    copy_project(repository / "dbt", tmp_path / "copy")
    project = copy_project(repository / "dbt", tmp_path / "copy")
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    push(project.copy, bare)
    push(project.copy, bare)
    assert git(bare, "rev-parse", "refs/heads/main").strip() == head(project.copy)


def test_the_project_is_found_from_a_folder_inside_it_and_alone_below(repository: Path) -> None:
    assert find_project(repository / "dbt" / "models") == repository / "dbt"
    assert find_project(repository) == repository / "dbt"
    assert find_project(repository / "dbt" / "dbt_project.yml") == repository / "dbt"


def test_no_such_path_no_project_and_several_projects_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="does not exist"):
        find_project(tmp_path / "nowhere")
    with pytest.raises(Trouble, match=r"holds no dbt project: name the folder that has dbt_project\.yml"):
        find_project(tmp_path)
    write(tmp_path, {"one/dbt_project.yml": PROJECT, "two/dbt_project.yml": PROJECT})
    with pytest.raises(Trouble, match=r"holds 2 dbt projects: name one of .*one.*two"):
        find_project(tmp_path)


def test_no_git_on_the_path_is_told(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Trouble, match="git is not on the PATH"):
        copy_project(repository / "dbt", tmp_path / "copy")


def test_a_shallow_clone_is_copied_and_pushed_like_any_other(repository: Path, tmp_path: Path) -> None:
    write(repository, {"dbt/models/c.sql": "select 3"})
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Second")
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "shallow")
    project = copy_project(find_project(tmp_path / "shallow/dbt"), tmp_path / "copy")
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
    push(project.copy, tmp_path / "bare.git")
    assert git(tmp_path / "bare.git", "rev-parse", "main").strip() == head(project.copy)
    mirror = Mirror(tmp_path / "checkouts", (tmp_path / "bare.git").as_uri(), None)
    assert mirror.fetch(branch="main") == head(project.copy)


def test_no_program_that_the_settings_of_a_repository_name_is_run(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    write(repository, {".git/hooks/post-checkout": program.read_text(), ".git/hooks/pre-commit": program.read_text()})
    for hook in ("post-checkout", "pre-commit"):
        (repository / ".git/hooks" / hook).chmod(0o755)
    (repository / "dbt/models/a.sql").write_text("select 11")
    copy_project(find_project(repository / "dbt"), tmp_path / "copy")
    assert not mark.exists()
