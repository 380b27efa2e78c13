"""Each issue's life as it is kept: through filing, investigations, fixes and what people do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, ProjectSettings
from da_agent_hub.domain.error_record import ErrorRecord
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal
from da_agent_hub.domain.investigation import Ending, FileChange, Investigation
from da_agent_hub.domain.issue import IssueRef
from da_agent_hub.domain.life_cycle import Life, State
from da_agent_hub.stages.issue import file_issues
from da_agent_hub.stages.life import follow_issue
from da_agent_hub.stages.resolve import resolve_issues
from da_agent_hub_tests.domain.record_examples import DAY, MONDAY, back, record, recovered
from da_agent_hub_tests.fakes.tracker import FakeTracker, Host

HOUR = timedelta(hours=1)
KEY = "acme/shop#1"
SHOP = ProjectSettings(name="shop", repo="acme/shop", source=DbtCoreSource(type="dbt_core", path=Path("t")))


class Team:
    """A hub and a person at one repository, whose clock is the hub's."""

    def __init__(self, store: SqlRecordStore) -> None:
        self.store = store
        self.host = Host(people={"hub": "admin", "alice": "write"}, now=MONDAY + HOUR)
        self.hub, self.alice = FakeTracker(self.host, "hub"), FakeTracker(self.host, "alice")
        self.ref = IssueRef(self.host.repo, 1)

    def file(self, at: datetime, one: ErrorRecord) -> None:
        self.host.now = at
        options = {"records": [one], "as_of": at, "now": at}
        filing = file_issues(SHOP, self.hub, self.store, graph=None, **options)  # type: ignore[arg-type]
        resolve_issues(SHOP, self.hub, self.store, known=filing.known, **options)  # type: ignore[arg-type]

    def follow(self, one: ErrorRecord | None = None, **told: bool) -> Life:
        self.host.tick()
        issue = self.hub.issue(self.ref)
        return follow_issue(
            issue, project="shop", record=one, tracker=self.hub, store=self.store, now=self.host.tick(), **told
        )

    def investigate(self, minutes: float = 2) -> None:
        at = self.host.tick()
        found = Investigation(Ending.INCONCLUSIVE, "playbooks", "h", "code", started_at=at, seconds=minutes * 60)
        self.store.save_investigation(KEY, f"e{at}", found)
        self.host.now += timedelta(minutes=minutes)

    def propose(self) -> IssueRef:
        _, base = self.hub.default_branch(self.host.repo)
        change, branch = [FileChange("models/a.sql", "select 1")], "claude/issue-1-a"
        self.hub.commit_files(self.host.repo, base_sha=base, branch=branch, changes=change, message="Fix")
        fix = self.hub.open_pull_request(
            self.host.repo, title="Fix", body="", head=branch, base="main", draft=False, labels=()
        )
        kept = FixProposal(FixOutcome.OPENED, "", branch=branch, pull_request=str(fix.ref))
        self.store.save_fix(KEY, "e1", kept)
        return fix.ref


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(open_record_store(f"sqlite:///{tmp_path / 'hub.db'}"))


def test_a_failure_goes_from_new_to_recovered_and_each_part_is_timed(team: Team) -> None:
    team.file(MONDAY + HOUR, record())
    assert team.follow(record()).state is State.NEW
    assert team.follow(record(), begins=True).state is State.INVESTIGATING
    team.investigate()
    assert team.follow(record()).state is State.WAITING
    fix = team.propose()
    assert team.follow(record()).state is State.FIX_PROPOSED
    team.alice.merge(fix)
    assert team.follow(record()).state is State.FIX_MERGED

    good = recovered(record(), MONDAY + 5 * HOUR)
    team.file(MONDAY + 6 * HOUR, good)

    life = team.follow(good)
    assert life.state is State.RECOVERED
    assert life.seconds_to_detect == 3600
    assert life.seconds_to_resolve == 4 * 3600
    assert life.seconds_to_respond is not None
    assert 120 <= life.seconds_to_respond <= 130
    assert team.store.lives("shop", MONDAY) == [life]


def test_looking_again_changes_and_asks_nothing_more(team: Team) -> None:
    team.file(MONDAY + HOUR, record())
    team.investigate()
    first = team.follow(record())
    assert team.follow(record()) == first


def test_a_fix_that_is_turned_down_waits_for_a_person(team: Team) -> None:
    team.file(MONDAY + HOUR, record())
    fix = team.propose()
    team.follow(record())
    team.host.pulls[fix.number] = replace(team.host.pulls[fix.number], state="closed")
    assert team.follow(record()).state is State.WAITING


def test_an_investigation_that_ended_without_a_word_waits_for_a_person(team: Team) -> None:
    team.file(MONDAY + HOUR, record())
    team.follow(record(), begins=True)
    assert team.follow(record(), done=True).state is State.WAITING


def test_a_persons_closing_and_reopening_are_followed(team: Team) -> None:
    team.file(MONDAY + HOUR, record())
    team.alice.update_issue(team.ref, state="closed")
    assert team.follow(record()).state is State.CLOSED
    team.alice.update_issue(team.ref, state="open")
    assert team.follow(record()).state is State.REOPENED


def test_a_recurrence_is_reopened_and_measured_anew(team: Team) -> None:
    healed = recovered(record(), MONDAY + DAY)
    team.file(MONDAY + HOUR, record())
    team.file(MONDAY + DAY + HOUR, healed)
    relapse = back(healed, MONDAY + 3 * DAY)
    team.file(MONDAY + 3 * DAY + 2 * HOUR, relapse)

    life = team.follow(relapse)
    assert (life.state, life.seconds_to_detect, life.seconds_to_resolve) == (State.REOPENED, 7200, None)


@pytest.mark.parametrize("label", ["false-positive", "wontfix"])
def test_a_suppression_keeps_who_when_and_what_was_said_beside_it(team: Team, label: str) -> None:
    team.file(MONDAY + HOUR, record())
    team.alice.add_comment(team.ref, "The vendor sends this twice a year, password=hunter22")
    team.alice.update_issue(team.ref, labels=[*team.host.issues[1].labels, label])
    at = team.host.happened[1][-1].created_at

    life = team.follow(record())

    assert life.state is State.SUPPRESSED
    assert life.suppression is not None
    assert (life.suppression.label, life.suppression.by, life.suppression.at) == (label, "alice", at)
    assert life.suppression.comment == "The vendor sends this twice a year, password=[redacted]"
    assert team.store.life(KEY) == life

    team.alice.update_issue(team.ref, labels=["dbt-error"])
    assert team.follow(record()).state is State.REOPENED


def test_a_label_that_the_hub_set_on_a_persons_word_is_that_persons(team: Team) -> None:
    team.file(MONDAY + HOUR, record())
    team.alice.add_comment(team.ref, "@claude close as false positive")
    team.hub.update_issue(team.ref, state="closed", labels=["dbt-error", "false-positive"])

    life = team.follow(record())

    assert life.suppression is not None
    assert (life.suppression.by, life.suppression.comment) == ("alice", "@claude close as false positive")


def test_a_hub_with_an_empty_store_knows_what_github_shows(team: Team, tmp_path: Path) -> None:
    good = recovered(record(), MONDAY + DAY)
    team.file(MONDAY + HOUR, record())
    team.file(MONDAY + DAY + HOUR, good)
    team.store = open_record_store(f"sqlite:///{tmp_path / 'empty.db'}")

    life = team.follow(good)

    assert (life.state, life.recovered_at) == (State.RECOVERED, MONDAY + DAY)


def test_the_store_keeps_the_lives_of_a_project_apart(team: Team) -> None:
    one, other = Life(KEY, "shop", MONDAY), Life("acme/shop#2", "other", MONDAY + DAY)
    for life in (one, other, replace(one, state=State.CLOSED)):
        team.store.save_life(life)
    assert team.store.lives("shop", MONDAY) == [replace(one, state=State.CLOSED)]
    assert team.store.lives("other", MONDAY + 2 * DAY) == []
    assert team.store.life("acme/shop#3") is None
