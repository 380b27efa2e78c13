"""Filing, answering and resolving over real HTTP: the life of one issue on the sandbox's GitHub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.command import EventKind
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal
from da_agent_hub.domain.investigation import FileChange
from da_agent_hub.domain.issue import IssueRef
from da_agent_hub.domain.issue_text import IssueText
from da_agent_hub.ports import RecordStore
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub.stages.collaborate import answer, plan_event, read_activity
from da_agent_hub.stages.issue import file_issues
from da_agent_hub.stages.resolve import resolve_issues
from da_agent_hub_tests.domain.failure_stories import GRAPH
from da_agent_hub_tests.domain.record_examples import record, recovered
from da_agent_hub_tests.domain.test_whole_run_text import NODELESS, missed, record_of
from da_agent_hub_tests.sandbox_host import World, sandbox_world, serve_github, settings_of
from da_agent_hub_tests.stages.test_filing import HOSTILE


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[GitHubState, str, World]]:
    with serve_github(tmp_path / "github") as (state, url):
        yield state, url, sandbox_world(state, url, "shop")


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return open_record_store(f"sqlite:///{tmp_path / 'hub.db'}")


def project_of(world: World) -> ProjectSettings:
    source = DbtCoreSource(type="dbt_core", path=Path("target"))
    return ProjectSettings.model_validate({"name": "shop", "repo": str(world.repo), "source": source})


def test_an_issue_lives_from_failure_to_merged_fix(served: tuple[GitHubState, str, World], store: RecordStore) -> None:
    state, url, world = served
    github, project, hub = settings_of(url, "hub"), project_of(world), GitHubTracker(settings_of(url, "hub"))
    failed_at = datetime.now(timezone.utc) - timedelta(hours=3)
    broken = record("f1", failed_at)
    ref = IssueRef(world.repo, 1)

    def file(*records, hours: float):  # type: ignore[no-untyped-def]
        as_of = failed_at + timedelta(hours=hours)
        filing = file_issues(project, hub, store, records=records, graph=None, as_of=as_of, now=as_of)
        return filing, resolve_issues(project, hub, store, records=records, as_of=as_of, now=as_of)

    def look():  # type: ignore[no-untyped-def]
        before = {event.event_id for event in store.pending_events(str(ref))}
        read_activity(hub, store, github, world.repo, datetime.now(timezone.utc))
        return [event for event in store.pending_events(str(ref)) if event.event_id not in before]

    # Filed once, however often it is filed.
    assert look() == []
    file(broken, hours=1)
    store.save_records("shop", [broken])
    writes = len(state.requests(writes_only=True))
    file(broken, hours=1.5)
    assert len(state.requests(writes_only=True)) == writes
    assert look() == []

    # A permitted person is answered once.
    world.as_("alice").add_comment(ref, "@claude explain")
    world.as_("rita").add_comment(ref, "@claude create PR")
    said = look()
    for event in [*said, *said]:
        issue = hub.issue(ref)
        plan = plan_event(event, tracker=hub, store=store, github=github, project=project, issue=issue)
        answer(event, plan, tracker=hub, store=store, issue=issue)
        assert (plan.refused is None) == (event.actor == "alice")
    assert [one.author for one in hub.comments(ref)] == ["alice", "rita", "hub", "hub"]

    # A merged fix closes it, and the first good run is told on it.
    _, base = hub.default_branch(world.repo)
    branch, change = "claude/issue-1-orders", [FileChange("models/orders.sql", "select 1")]
    hub.commit_files(world.repo, base_sha=base, branch=branch, changes=change, message="Fix")
    fix = hub.open_pull_request(
        world.repo, title="Fix orders", body="Fixes #1", head=branch, base="main", draft=False, labels=["dbt-error"]
    )
    proposal = FixProposal(FixOutcome.OPENED, "", branch=branch, pull_request=str(fix.ref))
    store.save_fix(str(ref), "e1", proposal)
    world.merge(fix.ref)
    assert hub.issue(ref).state == "closed"
    assert EventKind.MERGED in [event.kind for event in look()]
    good_at = datetime.now(timezone.utc)
    for hours in (3.5, 4):
        file(recovered(broken, good_at, code_changed_since=True), hours=hours)
    replies = [one.body for one in hub.comments(ref) if one.author == "hub"]
    assert len(replies) == 3
    assert f"The fix in #{fix.ref.number} was merged before it." in replies[-1]

    # And a new failure after that opens it again.
    later = datetime.now(timezone.utc) + timedelta(days=1)
    file(replace(broken, last_seen=later, occurrences=2, episode=2), hours=30)
    assert hub.issue(ref).state == "open"
    assert len(hub.hub_issues(world.repo)) == 1


def test_github_takes_the_most_hostile_issue_and_gives_it_back_unchanged(
    served: tuple[GitHubState, str, World], store: RecordStore
) -> None:
    state, url, world = served
    hub, now = GitHubTracker(settings_of(url, "hub")), datetime.now(timezone.utc)
    hostile = record("f1", now, title=HOSTILE, rule=HOSTILE, environment=HOSTILE, skipped=(HOSTILE,) * 50)

    for _ in range(2):
        file_issues(project_of(world), hub, store, records=[hostile], graph=None, as_of=now, now=now)

    assert len(hub.hub_issues(world.repo)) == 1
    patches = [one for one in state.requests(writes_only=True) if one.method == "PATCH"]
    assert patches == []


def test_each_kind_of_failure_without_a_node_gets_an_issue_of_its_own_that_is_written_once(
    served: tuple[GitHubState, str, World], store: RecordStore
) -> None:
    state, url, world = served
    hub = GitHubTracker(settings_of(url, "hub"))
    records = [*(record_of(told) for told, _, _ in NODELESS.values()), missed()]
    as_of = max(one.last_seen for one in records)

    for _ in range(2):
        file_issues(project_of(world), hub, store, records=records, graph=GRAPH, as_of=as_of, now=as_of)

    found = {issue.title: issue.body for issue in hub.hub_issues(world.repo)}
    assert sorted(found) == sorted(one.title for one in records)
    assert found == {one.title: IssueText(GRAPH).body(one, as_of) for one in records}
    assert not [one for one in state.requests(writes_only=True) if one.method == "PATCH"]
