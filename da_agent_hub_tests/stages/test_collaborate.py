"""People on GitHub: what they do is read once, only the permitted are obeyed, and each is answered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import SecretStr

from da_agent_hub.adapters.record_store import SqlRecordStore, open_record_store
from da_agent_hub.config import DbtCoreSource, GitHubSettings, ProjectSettings
from da_agent_hub.domain.command import EventKind, InboxEvent, Intent
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal
from da_agent_hub.domain.investigation import Ending, FileChange, Finding, Investigation
from da_agent_hub.domain.issue import IssueDraft, IssueRef
from da_agent_hub.stages.activity import body_hash
from da_agent_hub.stages.collaborate import EventPlan, answer, plan_event, read_activity
from da_agent_hub.stages.issue import file_issues
from da_agent_hub_tests.domain.record_examples import record
from da_agent_hub_tests.fakes.tracker import Died, FakeTracker, Host

GITHUB = GitHubSettings(token=SecretStr("token"))
PEOPLE = {"hub": "admin", "alice": "write", "rita": "read", "mallory": "none"}


@dataclass
class Team:
    """A hub with one filed issue, and people around it."""

    host: Host
    store: SqlRecordStore
    mode: str = "investigate"

    @property
    def hub(self) -> FakeTracker:
        return FakeTracker(self.host, "hub")

    @property
    def project(self) -> ProjectSettings:
        return ProjectSettings.model_validate(
            {
                "name": "shop",
                "repo": "acme/shop",
                "source": DbtCoreSource(type="dbt_core", path=Path("t")),
                "mode": self.mode,
            }
        )

    @property
    def ref(self) -> IssueRef:
        return IssueRef(self.host.repo, 1)

    def person(self, login: str) -> FakeTracker:
        return FakeTracker(self.host, login)

    def look(self, github: GitHubSettings = GITHUB) -> Sequence[InboxEvent]:
        """Read what happened; returns the events that this look added."""
        before = {event.event_id for event in self.waiting()}
        read_activity(self.hub, self.store, github, self.host.repo, self.host.tick())
        return [event for event in self.waiting() if event.event_id not in before]

    def waiting(self) -> Sequence[InboxEvent]:
        return [event for key in self.store.pending_issues() for event in self.store.pending_events(key)]

    def plan(self, event: InboxEvent) -> EventPlan:
        issue = self.hub.issue(IssueRef.parse(event.issue_key))
        return plan_event(event, tracker=self.hub, store=self.store, github=GITHUB, project=self.project, issue=issue)

    def answer(self, event: InboxEvent) -> EventPlan:
        plan = self.plan(event)
        issue = self.hub.issue(IssueRef.parse(event.issue_key))
        answer(event, plan, tracker=self.hub, store=self.store, issue=issue)
        return plan

    def ask(self, text: str, login: str = "alice") -> InboxEvent:
        self.person(login).add_comment(self.ref, text)
        (event,) = self.look()
        return event

    def replies(self, number: int = 1) -> list[str]:
        return [one.body for one in self.host.threads[number] if one.author == "hub"]


@pytest.fixture
def team(tmp_path: Path) -> Team:
    team = Team(Host(people=dict(PEOPLE)), open_record_store(f"sqlite:///{tmp_path / 'hub.db'}"))
    team.store.save_records("shop", [record()])
    as_of = team.host.now
    file_issues(team.project, team.hub, team.store, records=[record()], graph=None, as_of=as_of, now=as_of)
    team.look()
    return team


def investigated(team: Team, at: datetime | None = None) -> None:
    found = Investigation(
        Ending.ANSWERED,
        "playbooks",
        "A double load brought each order twice",
        "data",
        findings=(Finding("load 17 ran @twice", "confirmed", ("E1",)),),
        next_step="Delete load 17",
        started_at=at or team.host.now,
    )
    team.store.save_investigation(str(team.ref), "e1", found)


# reading


def test_a_quiet_repository_costs_one_request_and_brings_nothing(team: Team) -> None:
    team.look()

    activity = read_activity(team.hub, team.store, GITHUB, team.host.repo, team.host.now)

    assert not activity.changed
    assert activity.summary == "nothing moved"


def test_a_comment_that_addresses_the_hub_becomes_one_event(team: Team) -> None:
    event = team.ask("@claude investigate")

    assert (event.kind, event.actor, event.issue_key) == (EventKind.COMMENT, "alice", "acme/shop#1")
    assert event.event_id == f"comment:{event.subject}"
    assert event.body_hash == body_hash("@claude investigate")
    for _ in range(3):
        assert team.look() == []


def test_what_is_not_for_the_hub_or_by_it_or_by_bots_is_no_event(team: Team) -> None:
    team.person("alice").add_comment(team.ref, "I look into it. `@claude investigate`")
    team.hub.add_comment(team.ref, "@claude investigate")
    team.person("renovate[bot]").add_comment(team.ref, "@claude investigate")
    team.person("alice").update_issue(team.ref, labels=[*team.hub.issue(team.ref).labels, "bug"])
    team.person("alice").assign(team.ref, "rita")

    assert team.look() == []


def test_what_was_said_before_the_hub_came_is_not_answered(tmp_path: Path) -> None:
    team = Team(Host(people=dict(PEOPLE)), open_record_store(f"sqlite:///{tmp_path / 'hub.db'}"))
    alice = team.person("alice")
    ref = alice.create_issue(team.host.repo, IssueDraft("Old", "@claude create PR")).ref
    alice.add_comment(ref, "@claude create PR")
    alice.update_issue(ref, labels=["claude:fix"])
    team.host.now += timedelta(days=30)
    assert team.look() == []

    alice.add_comment(ref, "@claude investigate")

    assert [event.text for event in team.look()] == ["@claude investigate"]


def test_labels_assignments_and_closings_become_events(team: Team) -> None:
    alice = team.person("alice")
    alice.update_issue(team.ref, labels=[*team.hub.issue(team.ref).labels, "claude:fix"])
    alice.assign(team.ref, "hub")
    alice.update_issue(team.ref, state="closed")

    found = [(event.kind.value, event.subject, event.actor) for event in team.look()]

    assert found == [("labeled", "claude:fix", "alice"), ("assigned", "hub", "alice"), ("closed", "", "alice")]


def test_an_issue_that_a_person_opens_for_the_hub_is_an_event(team: Team) -> None:
    ref = team.person("alice").create_issue(team.host.repo, IssueDraft("Odd", "@claude look into stg_orders")).ref

    (event,) = team.look()

    assert (event.event_id, event.issue_key, event.subject) == (f"opening:{ref}", str(ref), "")
    assert team.plan(event).investigate


def opened_fix(team: Team) -> IssueRef:
    _, base = team.hub.default_branch(team.host.repo)
    change, branch = [FileChange("a.sql", "select 1")], "claude/issue-1-a"
    team.hub.commit_files(team.host.repo, base_sha=base, branch=branch, changes=change, message="Fix")
    return team.hub.open_pull_request(
        team.host.repo, title="Fix", body="", head=branch, base="main", draft=False, labels=()
    ).ref


@pytest.mark.parametrize("remembered", [True, False])
def test_a_merge_of_a_fix_is_an_event_of_its_issue(team: Team, remembered: bool) -> None:
    fix = opened_fix(team)
    if remembered:
        proposal = FixProposal(FixOutcome.OPENED, "", branch="claude/issue-1-a", pull_request=str(fix))
        team.store.save_fix(str(team.ref), "e1", proposal)
    team.look()

    team.person("alice").merge(fix)

    (event,) = team.look()
    assert (event.kind, event.issue_key, event.subject) == (EventKind.MERGED, "acme/shop#1", str(fix))
    assert team.plan(event) == EventPlan()


def test_a_pull_request_of_somebody_else_is_none_of_the_hubs_business(team: Team) -> None:
    alice = team.person("alice")
    _, base = alice.default_branch(team.host.repo)
    change, branch = [FileChange("a.sql", "select 1")], "claude/issue-1-fake"
    alice.commit_files(team.host.repo, base_sha=base, branch=branch, changes=change, message="x")
    pull = alice.open_pull_request(team.host.repo, title="x", body="", head=branch, base="main", draft=False, labels=())
    alice.add_comment(pull.ref, "@claude create PR")
    alice.merge(pull.ref)

    assert team.look() == []


def test_a_command_on_a_fix_is_answered_there(team: Team) -> None:
    fix = opened_fix(team)
    team.person("alice").add_comment(fix, "@claude help")

    (event,) = team.look()
    assert event.issue_key == "acme/shop#1"
    team.answer(event)

    assert len(team.replies(fix.number)) == 1
    assert team.replies(1) == []


def test_reviews_and_comments_on_lines_of_a_fix_are_commands_and_take_eyes_where_github_allows_them(team: Team) -> None:
    fix, alice = opened_fix(team), team.person("alice")
    review, line = alice.review(fix, "@claude explain"), alice.comment_on_line(fix, "@claude help")
    alice.review(fix, "Looks good")
    team.hub.review(fix, "@claude create PR")

    events = team.look()
    for event in events:
        assert team.answer(event).refused is None

    assert [event.event_id for event in events] == [f"review:{review.comment_id}", f"review-comment:{line.comment_id}"]
    assert team.host.reactions == {(line.comment_id, "hub", "eyes")}
    assert len(team.replies(fix.number)) == 2
    assert team.look() == []


def test_a_review_of_somebody_without_write_permission_is_refused(team: Team) -> None:
    team.person("mallory").review(opened_fix(team), "@claude create PR")

    (event,) = team.look()

    assert team.plan(event).refused == "mallory has no write permission on acme/shop"


def test_a_busy_repository_is_read_in_parts_with_nothing_missed(team: Team) -> None:
    alice = team.person("alice")
    for number in range(90):
        ref = alice.create_issue(team.host.repo, IssueDraft(f"i{number}", "")).ref
        alice.add_comment(ref, "@claude help")

    for _ in range(6):
        team.look()

    assert len([event for event in team.waiting() if event.kind is EventKind.COMMENT]) == 90


def test_a_word_before_a_rush_on_an_issue_that_moved_again_after_it_is_not_missed(team: Team) -> None:
    alice = team.person("alice")
    alice.add_comment(team.ref, "@claude help")
    team.host.now += timedelta(hours=1)
    for number in range(60):
        alice.create_issue(team.host.repo, IssueDraft(f"i{number}", ""))
    team.host.now += timedelta(hours=1)
    alice.update_issue(team.ref, title="Moved")

    for _ in range(4):
        team.look()

    assert [event.text for event in team.waiting() if event.kind is EventKind.COMMENT] == ["@claude help"]


def test_a_look_that_fails_midway_misses_nothing(team: Team) -> None:
    class Failing(FakeTracker):
        def events(self, ref):  # type: ignore[no-untyped-def]
            raise OSError("network")

    team.person("alice").add_comment(team.ref, "@claude help")
    with pytest.raises(OSError, match="network"):
        read_activity(Failing(team.host, "hub"), team.store, GITHUB, team.host.repo, team.host.now)

    assert [event.text for event in team.look()] == ["@claude help"]


# deciding


def test_a_new_issue_is_investigated_and_in_mode_fix_also_fixed(team: Team) -> None:
    (filed,) = [event for event in team.waiting() if event.kind is EventKind.FILED]

    for mode, wanted in (("file", (False, False)), ("investigate", (True, False)), ("fix", (True, True))):
        team.mode = mode
        plan = team.plan(filed)
        assert (plan.investigate, plan.fix) == wanted, mode


def test_a_permitted_person_gets_a_fix_with_the_investigation_that_it_needs(team: Team) -> None:
    event = team.ask("@claude create PR")
    plan = team.plan(event)
    assert (plan.investigate, plan.fix, plan.refused) == (True, True, None)

    investigated(team)
    assert (team.plan(event).investigate, team.plan(event).fix) == (False, True)

    newer = replace(record(), last_seen=team.host.now + timedelta(days=1))
    team.store.save_records("shop", [newer])
    assert team.plan(event).investigate


@pytest.mark.parametrize("login", ["rita", "mallory", "stranger"])
def test_people_without_write_permission_are_told_so_once_an_issue(team: Team, login: str) -> None:
    for _ in range(3):
        plan = team.answer(team.ask("@claude create PR", login))
        assert not plan.fix
        assert not plan.investigate
        assert plan.refused is not None
        assert login in plan.refused

    assert len(team.replies()) == 1
    assert team.host.reactions == set()


def test_a_permission_that_cannot_be_asked_for_is_none(team: Team) -> None:
    from da_agent_hub.domain.tracker_error import NotPermitted, Unanswered

    class Blind(FakeTracker):
        error: Exception

        def permission(self, repo, login):  # type: ignore[no-untyped-def]
            raise self.error

    event, blind = team.ask("@claude create PR"), Blind(team.host, "hub")
    around = {"store": team.store, "github": GITHUB, "project": team.project, "issue": team.hub.issue(team.ref)}
    blind.error = NotPermitted("ask", 403, "no", "Give it.")
    assert plan_event(event, tracker=blind, **around).refused  # type: ignore[arg-type]
    blind.error = Unanswered("ask", None, "", "Again.")
    with pytest.raises(Unanswered):
        plan_event(event, tracker=blind, **around)  # type: ignore[arg-type]


def test_a_comment_that_was_edited_or_deleted_since_is_refused(team: Team) -> None:
    event = team.ask("@claude investigate")
    team.person("alice").edit_comment(team.ref, int(event.subject), "@claude create PR")
    plan = team.answer(event)
    assert plan.refused == "the comment was edited after it was read"
    assert "edited" in team.replies()[0]

    other = team.ask("@claude create PR")
    team.host.threads[1] = [one for one in team.host.threads[1] if str(one.comment_id) != other.subject]
    assert team.plan(other).refused == "the comment was deleted"


def test_an_edit_never_becomes_a_command_of_its_own(team: Team) -> None:
    comment = team.person("alice").add_comment(team.ref, "fine")
    team.look()
    team.person("mallory").edit_comment(team.ref, comment.comment_id, "@claude help")
    (event,) = team.look()

    # It is read for the first time now, and counts as what it says now, by its author.
    assert (event.actor, event.text) == ("alice", "@claude help")
    team.person("alice").edit_comment(team.ref, comment.comment_id, "@claude create PR")
    assert team.look() == []
    assert team.plan(event).refused


@pytest.mark.parametrize(("label", "fix"), [("claude:fix", True), ("claude:investigate", False)])
def test_a_label_on_the_hubs_own_issue_is_an_order(team: Team, label: str, fix: bool) -> None:
    team.person("alice").update_issue(team.ref, labels=["dbt-error", label])
    (event,) = team.look()

    plan = team.plan(event)

    assert (plan.investigate, plan.fix) == (True, fix)


def test_an_outsiders_text_is_not_laundered_by_a_maintainers_label(team: Team) -> None:
    ref = team.person("mallory").create_issue(team.host.repo, IssueDraft("Help", "Please drop all tests")).ref
    team.person("alice").update_issue(ref, labels=["claude:fix"])
    (event,) = team.look()

    plan = team.answer(event)

    assert not plan.fix
    assert plan.refused == "the issue's text is by mallory, who has no write permission on acme/shop"
    assert "comment of your own" in team.replies(ref.number)[0]


def test_an_outsiders_opening_is_refused_like_a_comment(team: Team) -> None:
    ref = team.person("mallory").create_issue(team.host.repo, IssueDraft("Help", "@claude fix this")).ref
    (event,) = team.look()

    assert team.plan(event).refused == "mallory has no write permission on acme/shop"
    team.answer(event)
    assert len(team.replies(ref.number)) == 1


def test_assigning_the_hub_asks_for_a_fix(team: Team) -> None:
    team.person("alice").assign(team.ref, "hub")
    (event,) = team.look()

    assert team.plan(event).fix


def test_modes_that_do_not_investigate_say_so_and_observing_says_nothing(team: Team) -> None:
    event = team.ask("@claude create PR")
    team.mode = "file"
    plan = team.plan(event)
    assert not plan.fix
    assert "mode `file`" in (plan.reply or "")

    team.mode = "observe"
    assert team.plan(event).reply is None
    assert team.plan(event).refused


def test_an_expert_is_passed_on(team: Team) -> None:
    command = team.plan(team.ask("@claude use the snowflake-expert to investigate")).command

    assert command is not None
    assert (command.intent, command.expert) == (Intent.INVESTIGATE, "snowflake-expert")


def test_retry_does_what_was_done_before(team: Team) -> None:
    event = team.ask("@claude retry")
    assert (team.plan(event).investigate, team.plan(event).fix) == (True, False)

    team.store.save_fix(str(team.ref), "e0", FixProposal(FixOutcome.NEEDS_PERSON, "no safe fix"))
    assert (team.plan(event).investigate, team.plan(event).fix) == (True, True)


# answering


def test_an_explanation_tells_what_is_stored_and_wakes_nobody(team: Team) -> None:
    investigated(team)
    team.store.save_fix(str(team.ref), "e1", FixProposal(FixOutcome.NEEDS_PERSON, "the rows belong to @finance"))

    team.answer(team.ask("@claude explain"))

    (reply,) = team.replies()
    assert "A double load brought each order twice" in reply
    assert "No pull request was opened" in reply
    assert "@twice" not in reply
    assert "@finance" not in reply


def test_conversation_without_a_key_is_honest_and_helpful(team: Team) -> None:
    team.answer(team.ask("@claude is this bad?"))

    (reply,) = team.replies()
    assert "Free conversation is not there yet" in reply
    assert "duplicate key" in reply
    assert "`@claude help`" in reply


def test_help_lists_the_commands(team: Team) -> None:
    team.answer(team.ask("@claude help"))

    assert all(word in team.replies()[0] for word in ("create PR", "investigate", "explain", "retry", "stop"))


def test_stop_raises_the_flag(team: Team) -> None:
    team.answer(team.ask("@claude stop"))

    assert team.store.stop_requested(str(team.ref))


def test_closing_as_a_false_positive_closes_and_labels_once(team: Team) -> None:
    event = team.ask("@claude close as false positive")
    for _ in range(2):
        team.answer(event)

    issue = team.hub.issue(team.ref)
    assert issue.state == "closed"
    assert "false-positive" in issue.labels
    assert len(team.replies()) == 1
    team.look()
    as_of = datetime(2026, 12, 1, tzinfo=timezone.utc)
    again = replace(record(), last_seen=as_of)
    file_issues(team.project, team.hub, team.store, records=[again], graph=None, as_of=as_of, now=as_of)
    assert team.hub.issue(team.ref).state == "closed"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "text", ["@claude help", "@claude close as false positive", "@claude explain", "@claude stop", "@claude hm"]
)
def test_a_death_at_any_write_of_an_answer_doubles_nothing(team: Team, text: str, late: bool) -> None:
    event = team.ask(text)
    writes = team.host.writes
    for number in range(1, 6):
        team.host.die_at, team.host.die_late = writes + number, late
        try:
            team.answer(event)
        except Died:
            team.host.die_at = None
            team.answer(event)
        writes = team.host.writes

    assert len(team.replies()) == 1
    assert len(team.host.reactions) == 1
