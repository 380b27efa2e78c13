"""A failure of a whole run or step: an investigation tells what is known, and blames neither code nor connection unasked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from da_agent_hub.domain.error_record import Category
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.investigation import Ending

from .broken_project import BrokenProject, told


@pytest.mark.parametrize(
    ("kind", "category", "message", "step"),
    [
        (FailureKind.HOOK, Category.CODE_FIX, "Database Error in on-run-end: no such function", "read its log"),
        (FailureKind.NOT_STARTED, Category.INFRASTRUCTURE, "Could not clone the repository", "git repository"),
        (FailureKind.TIMED_OUT, Category.INFRASTRUCTURE, "The run timed out after 4 hours", "more time"),
        (FailureKind.CANCELLED, Category.INFRASTRUCTURE, "The run was cancelled", "who or what cancelled it"),
        (FailureKind.UNREADABLE, Category.INFRASTRUCTURE, "run_results.json is cut at byte 12", "Read the run's log"),
        (FailureKind.COMPILE, Category.INFRASTRUCTURE, "Env var required but not provided: 'DBT_REGION'", "profile"),
    ],
)
def test_what_is_known_is_told_and_no_cause_is_made_up(
    tmp_path: Path, kind: FailureKind, category: Category, message: str, step: str
) -> None:
    garden = BrokenProject(tmp_path)
    first = garden.commit("first", {"models/plants.sql": "select 1 as plant"})
    garden.commit("Water the plants", {"models/plants.sql": "select 2 as plant"})
    record = replace(garden.record("model.garden.plants", kind=kind, good=first), node=None, category=category)
    record = replace(record, latest=replace(record.latest, unique_id=None, message=message))
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert (found.ending, found.cause_kind, found.candidates) == (Ending.INCONCLUSIVE, "unknown", ()), told(found)
    assert step in found.next_step
    assert message in [one.text for one in found.evidence]
    assert any("Water the plants" in one.text for one in found.evidence)
    assert "1 commit came between; whether one of them is the cause was not tried." in [
        one.claim for one in found.findings
    ]
