"""Commits written in one stream are a real history that git can work with."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from da_agent_hub.sandbox.history import HistoryError, git, write_history
from da_agent_hub.sandbox.story import tell_story


@pytest.mark.parametrize("seed", range(6))
def test_a_history_is_whole_and_its_culprits_can_be_reverted(tmp_path: Path, seed: int) -> None:
    for project in tell_story(seed, date(2026, 3, 2)).projects:
        bare, checkout = tmp_path / f"{project.domain.name}.git", tmp_path / project.domain.name
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        shas = write_history(bare, project.changes)
        git(bare, "fsck", "--strict")
        assert git(bare, "log", "--reverse", "--format=%H", "main").split() == shas
        git(tmp_path, "clone", "--quiet", str(bare), str(checkout))
        git(checkout, "config", "user.name", "Somebody")
        git(checkout, "config", "user.email", "somebody@acme.example")
        for incident in project.incidents:
            if incident.commit and not incident.heals:
                culprit = next(
                    sha for sha, one in zip(shas, project.changes, strict=True) if one.message == incident.commit
                )
                git(checkout, "revert", "--no-edit", culprit)
        assert (checkout / project.domain.directory / "dbt_project.yml").exists()


def test_authors_and_dates_are_those_of_the_story(tmp_path: Path) -> None:
    project = tell_story(0, date(2026, 3, 2)).projects[0]
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    write_history(tmp_path, project.changes)
    told = [f"{change.author.email} {int(change.at.timestamp())}" for change in project.changes]
    assert git(tmp_path, "log", "--reverse", "--format=%ae %ct", "main").splitlines() == told


def test_what_git_refuses_is_said(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="rev-parse"):
        git(tmp_path, "rev-parse", "HEAD")
