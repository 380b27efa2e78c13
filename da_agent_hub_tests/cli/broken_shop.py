"""A small dbt project on DuckDB whose newest commit broke a test, as its owner has it on disk."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

GOOD = "select * from (values (1, 10), (2, 20)) as orders (order_id, amount)\n"
BROKEN = GOOD + "union all select 1, 10\n"

FILES = {
    ".gitignore": "target/\nlogs/\n*.duckdb\n.user.yml\n",
    "dbt/dbt_project.yml": "name: shop\nprofile: shop\nversion: '1.0'\nflags: {send_anonymous_usage_stats: false}\n",
    "dbt/profiles.yml": "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: shop.duckdb}\n",
    "dbt/models/orders.sql": GOOD,
    "dbt/models/models.yml": "models:\n- name: orders\n  columns:\n  - name: order_id\n    data_tests: [unique]\n",
}


def make_shop(folder: Path) -> Path:
    """Write the project in a git repository with two commits; returns the folder of dbt_project.yml."""
    write(folder, FILES)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "Add orders")
    write(folder, {"dbt/models/orders.sql": BROKEN})
    commit(folder, "Refactor the orders")
    return folder / "dbt"


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def commit(folder: Path, subject: str) -> None:
    """Commit everything."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", subject)


def git(folder: Path, *arguments: str) -> str:
    """Run git as Ann."""
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def dbt(project: Path, *arguments: str) -> int:
    """Run dbt in the project, as its owner would."""
    command = [sys.executable, "-m", "dbt.cli.main", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, check=False).returncode


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file, git's own among them, and its content."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
