"""Whatever happens to a record and its issue, and in whatever order: filing it a second time writes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.error_record import Category, ErrorRecord, Priority, RecordState
from da_agent_hub.domain.issue import RepoRef
from da_agent_hub.stages.issue import file_issues
from da_agent_hub.stages.resolve import resolve_issues
from da_agent_hub_tests.domain.record_examples import DAY, MONDAY, again, back, record, recovered, sighting
from da_agent_hub_tests.fakes.tracker import FakeTracker, Host

NUMBERS = count()
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["fails", "good run", "recovers", "other category", "worse", "better", "closed by alice", "reopened by alice",
             "label lost", "own label", "priority by alice", "long quiet"]
        ),
        st.integers(min_value=1, max_value=20),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SqlRecordStore:
    return open_record_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'hub.db'}")


def after(before: ErrorRecord, step: str, at) -> ErrorRecord:  # type: ignore[no-untyped-def]
    """The record after a run or a new verdict."""
    open_now = before.state is not RecordState.RECOVERED
    if step == "fails":
        return again(before, at) if open_now else back(before, at)
    if step == "good run" and open_now:
        return replace(before, state=RecordState.RECOVERING, good_runs=before.good_runs + 1)
    if step == "recovers" and open_now:
        return recovered(before, at)
    if step == "other category":
        flip = Category.TRANSIENT if before.category is not Category.TRANSIENT else Category.CODE_FIX
        return replace(before, category=flip)
    if step in ("worse", "better"):
        return replace(before, priority=Priority.CRITICAL if step == "worse" else Priority.LOW)
    return before


def meddle(host: Host, step: str) -> None:
    """What a person does to the newest issue."""
    alice, newest = FakeTracker(host, "alice"), host.issues[len(host.issues)]
    if step == "closed by alice":
        alice.update_issue(newest.ref, state="closed")
    elif step == "reopened by alice":
        alice.update_issue(newest.ref, state="open")
    elif step == "label lost":
        alice.update_issue(newest.ref, labels=[])
    elif step == "own label":
        alice.update_issue(newest.ref, labels=[*newest.labels, "finance"])
    elif step == "priority by alice":
        others = [one for one in newest.labels if not one.startswith("priority:")]
        alice.update_issue(newest.ref, labels=[*others, "priority:low"])


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_filing_a_second_time_writes_nothing(store: SqlRecordStore, steps: list[tuple[str, int]]) -> None:
    repo = RepoRef("acme", f"shop{next(NUMBERS)}")
    host = Host(repo=repo, people={"hub": "admin", "alice": "write"}, now=MONDAY)
    project = ProjectSettings.model_validate(
        {"name": "shop", "repo": str(repo), "source": DbtCoreSource(type="dbt_core", path=Path("t"))}
    )
    hub, at, current = FakeTracker(host, "hub"), MONDAY, record(f"f-{repo.name}", first_bad=sighting(MONDAY))

    def file() -> int:
        before, as_of = host.writes, at + timedelta(hours=4)
        filed = file_issues(project, hub, store, records=[current], graph=None, as_of=as_of, now=as_of)
        resolved = resolve_issues(project, hub, store, records=[current], as_of=as_of, now=as_of, known=filed.known)
        assert not [one.problem for one in (*filed.carried, *resolved) if one.problem]
        return host.writes - before

    file()
    for step, days in steps:
        at += days * DAY + (30 * DAY if step == "long quiet" else timedelta(0))
        host.now = max(host.now, at)
        before, current = current, after(current, step, at)
        meddle(host, step)
        file()
        told = {number: [one.body for one in thread] for number, thread in host.threads.items()}

        assert file() == 0, f"after {step}"

        assert all(len(set(thread)) == len(thread) for thread in told.values()), "a comment was doubled"
        if step == "recovers" and current != before:
            assert host.issues[len(host.issues)].state == "closed"
        if step == "fails":
            assert host.issues[len(host.issues)].state == "open"
