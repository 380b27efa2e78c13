"""From an issue to its pull request, over real dbt, real git and the fake GitHub host that can die at any write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.adapters.workbench import GitWorkbench
from da_agent_hub.domain.command import EventKind, InboxEvent
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal
from da_agent_hub.domain.investigation import Candidate, Ending, FileChange, Investigation
from da_agent_hub.domain.issue import Issue, IssueDraft, RepoRef
from da_agent_hub.domain.value_proof import DIFFERENT, ValueProof
from da_agent_hub.playbooks import PlaybookInvestigator
from da_agent_hub.ports import DbtResult
from da_agent_hub.stages.fix import fix_issue
from da_agent_hub.stages.investigate import investigate_issue, tell_findings

from ..fakes.tracker import Died, FakeTracker, Host
from ..playbooks.broken_project import NOW, BrokenProject

pytestmark = pytest.mark.slow

MODELS = {
    "models/sources.yml": """
        sources:
          - name: mill
            schema: mill
            tables: [{name: sacks}]
        models:
          - name: stg_sacks
            columns:
              - name: sack_id
                data_tests: [unique, not_null]
          - name: by_grain
            columns:
              - name: kilos
                data_tests: [not_null]
    """,
    "models/stg_sacks.sql": """
        select
            id as sack_id,
            grain,
            kilos -- dry weight
        from {{ source('mill', 'sacks') }}
    """,
    "models/by_grain.sql": "select grain, sum(kilos) as kilos from {{ ref('stg_sacks') }} group by grain\n",
}


class Scene:
    """A mill whose source renamed a column: the issue that was filed for it, and everything that works on it."""

    def __init__(self, place: Path) -> None:
        self.mill = BrokenProject(place)
        self.mill.commit("mill", MODELS)
        self.mill.sql(
            "create schema mill; create table mill.sacks as select i as id, 'rye' as grain, i * 1.5 as kilos from range(20) t(i)"
        )
        self.mill.build()
        self.mill.sql("alter table mill.sacks rename column kilos to weight_kilos")
        self.repo = RepoRef("acme", "garden")
        self.new_host()
        self.store: SqlRecordStore = open_record_store(f"sqlite:///{place / 'hub.db'}")
        self.record: ErrorRecord = self.mill.record(
            "model.garden.stg_sacks", kind=FailureKind.MODEL, good=self.mill.commits[0]
        )
        self.event = InboxEvent(
            "comment:1", str(self.issue.ref), EventKind.COMMENT, "ada", NOW, text="@claude create PR"
        )
        self.bench: GitWorkbench = self.mill.bench()

    def new_host(self) -> None:
        self.host = Host(repo=self.repo)
        self.show_branch()
        self.tracker = FakeTracker(self.host, "hub[bot]")
        self.issue: Issue = self.tracker.create_issue(self.repo, IssueDraft("stg_sacks fails", "body", ("dbt-error",)))

    def show_branch(self) -> None:
        """GitHub's default branch is what the repository has."""
        names = self.mill.git("ls-tree", "-r", "--name-only", "HEAD").split()
        sha = self.mill.commits[-1]
        self.host.commits[sha] = ({name: self.mill.git("show", f"HEAD:{name}") for name in names}, ())
        self.host.branches["main"] = sha

    def investigate(self) -> Investigation:
        return investigate_issue(
            self.issue.ref, self.event, project=self.mill.settings(), record=self.record, graph=None,
            investigator=PlaybookInvestigator(), bench=self.bench, tracker=self.tracker, store=self.store, now=NOW,
        )  # fmt: skip

    def fix(self, investigation: Investigation) -> FixProposal:
        return fix_issue(
            self.issue.ref, self.event, project=self.mill.settings(), record=self.record, investigation=investigation,
            graph=None, bench=self.bench, tracker=self.tracker, store=self.store, now=NOW,
        )  # fmt: skip

    def thread(self) -> list[str]:
        return [comment.body for comment in self.tracker.comments(self.issue.ref)]

    def candidate(self, path: str, text: str) -> Investigation:
        found = Candidate("by hand", f"Change {path}", "because", (FileChange(path, text),))
        return Investigation(
            Ending.ANSWERED, "a test", "a cause", "code", candidates=(found,), base_sha=self.mill.commits[-1]
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.bench.close()


def test_a_renamed_column_ends_in_one_verified_pull_request_and_one_comment(scene: Scene) -> None:
    investigation = scene.investigate()
    assert len(scene.thread()) == 1
    fix = scene.fix(investigation)
    assert fix.outcome is FixOutcome.OPENED, fix
    (pull,) = scene.host.pulls.values()
    assert pull.head_branch == "claude/issue-1-stg-sacks"
    assert not pull.draft
    assert pull.title.startswith("fix: read weight_kilos as kilos in stg_sacks")
    for part in ("Closes #1", "## Problem", "## Cause", "## Change", "## Verification", "## Impact", "## Risk"):
        assert part in pull.body
    tree, _ = scene.host.commits[pull.head_sha]
    assert "weight_kilos as kilos -- dry weight" in tree["models/stg_sacks.sql"]
    (comment,) = scene.thread()
    assert "pull request" in comment
    assert fix.verification is not None
    assert fix.verification.row_counts[0].after == 20
    assert scene.store.fixes(str(scene.issue.ref)) == [fix]
    assert scene.store.issue_of_pull_request(str(pull.ref)) == str(scene.issue.ref)

    scene.fix(investigation)  # the same event again
    assert len(scene.host.pulls) == 1
    assert len(scene.thread()) == 1

    scene.tracker.merge(pull.ref)
    merged = scene.mill.commit("Merge", {"models/stg_sacks.sql": tree["models/stg_sacks.sql"]})
    scene.show_branch()
    assert scene.host.branches["main"] == merged
    scene.event = replace(scene.event, event_id="comment:2")
    assert scene.fix(investigation).outcome is FixOutcome.NOTHING_TO_FIX
    assert len(scene.host.pulls) == 1


def test_killed_at_any_write_and_started_again_it_leaves_one_branch_one_pull_request_one_comment(scene: Scene) -> None:
    investigation = scene.investigate()
    # the comment is told three steps; then come the commit, the pull request, the answer: before or after GitHub has it
    for number, late in ((2, True), (4, True), (5, True), (6, False), (6, True)):
        scene.new_host()
        tell_findings(scene.event, investigation, None, scene.tracker, scene.store)
        scene.host.die_at, scene.host.die_late = scene.host.writes + number, late
        with pytest.raises(Died):
            scene.fix(investigation)
        scene.host.die_at = None
        assert scene.fix(investigation).outcome is FixOutcome.OPENED
        assert len(scene.host.pulls) == 1
        assert len(scene.thread()) == 1
        assert sorted(scene.host.branches) == ["claude/issue-1-stg-sacks", "main"]


def test_a_patch_that_breaks_what_passed_is_not_opened(scene: Scene) -> None:
    wrong = MODELS["models/stg_sacks.sql"].replace(
        "            kilos -- dry weight", "            null::double as kilos"
    )
    fix = scene.fix(scene.candidate("models/stg_sacks.sql", wrong))
    assert fix.outcome is FixOutcome.NEEDS_PERSON, fix
    assert "not_null_by_grain_kilos" in fix.reason
    assert not scene.host.pulls


def test_a_patch_that_weakens_a_test_is_refused_before_anything_runs(scene: Scene) -> None:
    weaker = scene.mill.git("show", "HEAD:models/sources.yml").replace(
        "data_tests: [unique, not_null]", "data_tests: [unique]"
    )
    fix = scene.fix(scene.candidate("models/sources.yml", weaker))
    assert fix.outcome is FixOutcome.REFUSED
    assert fix.verification is None
    assert "not_null" in fix.reason
    assert not scene.host.pulls


def test_a_fix_is_carried_over_to_a_branch_that_moved_on_meanwhile(scene: Scene) -> None:
    investigation = scene.investigate()
    text = scene.mill.git("show", "HEAD:models/stg_sacks.sql")
    scene.mill.commit("Say what it is", {"models/stg_sacks.sql": "-- one row a sack\n" + text})
    scene.show_branch()
    fix = scene.fix(investigation)
    assert fix.outcome is FixOutcome.OPENED, fix
    (pull,) = scene.host.pulls.values()
    changed = scene.host.commits[pull.head_sha][0]["models/stg_sacks.sql"]
    assert changed.startswith("-- one row a sack\n")
    assert "weight_kilos as kilos" in changed


def test_without_a_warehouse_the_pull_request_is_a_draft_and_says_so(scene: Scene) -> None:
    investigation = scene.investigate()
    scene.bench.close()
    scene.bench = scene.mill.bench(verification={})
    fix = scene.fix(investigation)
    assert fix.outcome is FixOutcome.DRAFT
    (pull,) = scene.host.pulls.values()
    assert pull.draft
    assert "Not verified" in pull.body


def test_a_commit_that_a_person_force_pushed_stays_and_the_issue_says_so(scene: Scene) -> None:
    investigation = scene.investigate()
    fix = scene.fix(investigation)
    assert fix.branch is not None
    pushed = FakeTracker(scene.host, "ada").force_push(fix.branch, "models/stg_sacks.sql", "select 1 as sack_id\n")
    scene.event = replace(scene.event, event_id="comment:2")

    again = scene.fix(investigation)

    assert again.outcome is FixOutcome.NEEDS_PERSON
    assert again.pull_request == fix.pull_request
    assert scene.host.branches[fix.branch] == pushed
    told = scene.thread()[-1]
    assert "somebody else works on the branch" in told
    assert "Merge that branch or delete it, and then ask again." in told


def test_a_change_whose_values_differ_is_not_proposed_and_the_thread_hears_what_differs(scene: Scene) -> None:
    found = scene.candidate("models/stg_sacks.sql", "select 1 as sack_id, 2 as kilos")
    wrong = replace(found.candidates[0], values=ValueProof(DIFFERENT, "stg_sacks would have 1 row in place of 20"))
    fix = scene.fix(replace(found, candidates=(wrong,)))
    assert fix.outcome is FixOutcome.NEEDS_PERSON, fix
    assert "1 row in place of 20" in fix.reason
    assert not scene.host.pulls


def test_two_issues_of_one_cause_share_one_pull_request(scene: Scene) -> None:
    below = scene.mill.record("model.garden.by_grain", kind=FailureKind.MODEL, good=scene.mill.commits[0])
    below = replace(below, fingerprint="other", first_bad=scene.record.first_bad)
    scene.store.save_records("garden", [scene.record, below])
    scene.store.link_issue(scene.record.fingerprint, str(scene.issue.ref))
    opened = scene.fix(scene.investigate())
    assert opened.outcome is FixOutcome.OPENED
    first = scene.issue
    scene.issue = scene.tracker.create_issue(scene.repo, IssueDraft("by_grain fails", "body", ("dbt-error",)))
    scene.store.link_issue("other", str(scene.issue.ref))
    scene.record = below
    scene.bench.checkout(scene.mill.commits[-1])
    scene.bench.reset_warehouse()
    scene.event = InboxEvent("comment:2", str(scene.issue.ref), EventKind.COMMENT, "ada", NOW, text="@claude create PR")

    found = scene.investigate()
    shared = scene.fix(found)
    assert found.same_cause == str(first.ref)
    assert (shared.outcome, shared.pull_request) == (FixOutcome.OPENED, opened.pull_request), shared.reason
    assert shared.verification is not None
    assert shared.verification.passed
    assert len(scene.host.pulls) == 1
    (comment,) = scene.thread()
    assert "The same cause as #1: what mends that one mends this one." in comment
    # What is said on the pull request is heard for the issue that it was opened for.
    assert scene.store.issue_of_pull_request(str(opened.pull_request)) == str(first.ref)


def test_a_stop_while_dbt_runs_ends_the_fix_at_its_next_step_and_is_said(scene: Scene) -> None:
    real, runs = scene.bench, []

    class AskedToStop:
        """The workbench; while dbt runs in it for the first time, a person asks to stop."""

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def dbt(self, *arguments: str, timeout: float = 300.0) -> DbtResult:
            runs.append(arguments)
            scene.store.request_stop(str(scene.issue.ref))
            return real.dbt(*arguments, timeout=timeout)

    scene.bench = AskedToStop()  # type: ignore[assignment]
    fix = scene.fix(scene.candidate("models/stg_sacks.sql", "select 1 as sack_id, 'rye' as grain, 2 as kilos\n"))
    scene.bench = real

    assert (fix.outcome, fix.reason) == (FixOutcome.NEEDS_PERSON, "a person asked to stop")
    assert len(runs) == 1
    assert not scene.host.pulls
    (comment,) = scene.thread()
    assert "No pull request was opened: a person asked to stop." in comment
