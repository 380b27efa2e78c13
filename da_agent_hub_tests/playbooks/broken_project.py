"""A small dbt project with a git history and a DuckDB warehouse, broken by the test that made it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from textwrap import dedent

import duckdb

from da_agent_hub.adapters.workbench import GitWorkbench
from da_agent_hub.config import ProjectSettings, StateSettings
from da_agent_hub.domain.error_record import Category, ErrorRecord, Priority, RecordState, Sighting
from da_agent_hub.domain.failure import Failure, FailureKind
from da_agent_hub.domain.investigation import Investigation, InvestigationCase
from da_agent_hub.playbooks import PlaybookInvestigator

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=timezone.utc)


@dataclass
class BrokenProject:
    place: Path
    day: datetime = NOW - timedelta(days=10)
    commits: list[str] = field(default_factory=list)
    directory: str = "."

    def __post_init__(self) -> None:
        self.root = self.place / "garden"
        self.dbt = self.root if self.directory == "." else self.root / self.directory
        self.dbt.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        (self.root / ".gitignore").write_text("*.duckdb\n*.wal\ntarget/\nlogs/\n")
        self.write(
            {
                "dbt_project.yml": "name: garden\nprofile: garden\nversion: 1.0.0\nconfig-version: 2\n"
                "models: {garden: {+materialized: table}}\nflags: {send_anonymous_usage_stats: false}\n",
                "profiles.yml": "garden:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: garden.duckdb, threads: 2}\n",
            }
        )

    def git(self, *arguments: str) -> str:
        when = self.day.isoformat()
        environment = {
            **os.environ,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        who = ("-c", "user.name=Ada Gardener", "-c", "user.email=ada@example.com")
        return subprocess.run(
            ["git", *who, *arguments], cwd=self.root, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def write(self, files: Mapping[str, str | None]) -> None:
        for name, text in files.items():
            path = self.dbt / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(dedent(text).lstrip("\n"))

    def commit(self, subject: str, files: Mapping[str, str | None]) -> str:
        self.write(files)
        self.day += timedelta(hours=6)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        self.commits.append(self.git("rev-parse", "HEAD").strip())
        return self.commits[-1]

    def sql(self, text: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.dbt / "garden.duckdb")) as connection:
            result = connection.execute(dedent(text))
            return result.fetchall() if result.description else []

    def build(self) -> None:
        """What production does each night; it may fail."""
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from dbt.cli.main import cli; cli()",
                "build",
                "--profiles-dir",
                ".",
                "-q",
            ],
            cwd=self.dbt,
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
            check=False,
            capture_output=True,
        )

    def settings(self, **more: object) -> ProjectSettings:
        return ProjectSettings.model_validate(
            {
                "name": "garden",
                "repo": "acme/garden",
                "source": {"type": "dbt_core", "path": "target"},
                "clone_url": str(self.root),
                "dbt_directory": self.directory,
                "verification": {"target": "dev"},
                **more,
            }
        )

    def bench(self, **more: object) -> GitWorkbench:
        return GitWorkbench(self.settings(**more), StateSettings(checkouts_dir=self.place / "checkouts"), None)

    def record(
        self,
        node: str | None,
        *,
        kind: FailureKind = FailureKind.TEST,
        good: str | None = None,
        message: str = "",
        **more: object,
    ) -> ErrorRecord:
        """A record as it is filed: last good at commit ``good``, failing at the newest one."""
        return record_of(node, self.commits[-1], kind=kind, good=good, message=message, **more)

    def investigate(self, record: ErrorRecord, bench: GitWorkbench) -> Investigation:
        return PlaybookInvestigator().investigate(InvestigationCase(record), None, bench)


def record_of(
    node: str | None,
    newest: str,
    *,
    kind: FailureKind = FailureKind.TEST,
    good: str | None = None,
    message: str = "",
    **more: object,
) -> ErrorRecord:
    failure = Failure(
        "garden", "prod", "1", "17", "https://dbt.example/runs/17", 1, kind, node, message, NOW, git_sha=newest
    )
    values: dict[str, object] = {
        "fingerprint": "f" * 16,
        "project": "garden",
        "environment": "prod",
        "node": node,
        "title": f"{node or 'the project'} fails",
        "error_class": "",
        "category": Category.CODE_FIX,
        "priority": Priority.MEDIUM,
        "latest": failure,
        "first_seen": NOW,
        "last_seen": NOW,
        "occurrences": 2,
        "state": RecordState.OPEN,
        "first_bad": Sighting("17", "https://dbt.example/runs/17", NOW, newest),
        "last_good": Sighting("16", "https://dbt.example/runs/16", NOW - timedelta(days=1), good) if good else None,
    }
    return ErrorRecord(**{**values, **more})  # type: ignore[arg-type]


def told(investigation: Investigation) -> str:
    """Everything an investigation says, for a failing assertion's message."""
    lines = [f"{investigation.ending} {investigation.cause_kind}: {investigation.headline} [{investigation.seconds} s]"]
    lines += [f"  {one.certainty}: {one.claim} {one.evidence_ids}" for one in investigation.findings]
    lines += [f"  {one.evidence_id} {one.title} ({one.source}): {one.text}" for one in investigation.evidence]
    lines += [
        f"  CANDIDATE {one.strategy}: {one.summary} ({one.risk}) {one.rationale}" for one in investigation.candidates
    ]
    return "\n".join(
        [
            *lines,
            f"  next: {investigation.next_step} who: {investigation.who_should_act} person: {investigation.needs_person}",
        ]
    )
