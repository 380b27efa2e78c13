"""Each command over real HTTP, from what a person does on the sandbox's GitHub to what stands there afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

from da_agent_hub.config import DbtCoreSource, HubSettings, ProjectSettings, StateSettings
from da_agent_hub.defs.hub import Hub
from da_agent_hub.defs.issue_work import issue_work
from da_agent_hub.defs.issues import _fix_and_finish
from da_agent_hub.domain.command import InboxEvent
from da_agent_hub.domain.dbt import GraphNode, ProjectGraph
from da_agent_hub.domain.investigation import FileChange
from da_agent_hub.domain.issue import Comment, IssueDraft, IssueRef
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub.stages.activity import read_activity
from da_agent_hub.stages.collaborate import plan_event
from da_agent_hub.stages.issue import file_issues
from da_agent_hub_tests.contracts.github_description import (
    DESCRIPTION,
    Exchange,
    Recorder,
    request_faults,
    response_faults,
)
from da_agent_hub_tests.domain.record_examples import record
from da_agent_hub_tests.sandbox_host import World, sandbox_world, serve_github, settings_of

from .hub_world import IdleBench, ScriptedInvestigator

LOG = logging.getLogger(__name__)


@dataclass
class Site:
    """The sandbox's GitHub with one filed issue, #1, and the hub that watches it."""

    world: World
    hub: Hub
    state: GitHubState
    url: str
    investigator: ScriptedInvestigator

    @property
    def ref(self) -> IssueRef:
        return IssueRef(self.world.repo, 1)

    def look(self) -> list[InboxEvent]:
        """Poll once; returns all that waits."""
        github = self.hub.github(self.world.repo)
        read_activity(
            self.hub.tracker(self.world.repo), self.hub.store, github, self.world.repo, datetime.now(timezone.utc)
        )
        store = self.hub.store
        return [event for key in store.pending_issues() for event in store.pending_events(key)]

    def drain(self) -> None:
        """Work off what waits for each issue, as the job of an issue does."""
        for key in self.hub.store.pending_issues():
            with issue_work(self.hub, key, "run", LOG) as work:
                for one in work.plan_waiting(work.issue()):
                    if one.plan.investigate and not work.is_called_off(one):
                        work.investigate(one)
                _fix_and_finish(work)

    def ask(self, text: str, login: str = "alice", ref: IssueRef | None = None) -> str:
        """Comment, let the hub work, and return the one comment that answers."""
        ref = ref or self.ref
        before = len(self.said(ref))
        self.world.as_(login).add_comment(ref, text)
        self.look()
        self.drain()
        (answer,) = self.said(ref)[before:]
        return answer.body

    def said(self, ref: IssueRef | None = None) -> list[Comment]:
        """The hub's words in a thread."""
        return [one for one in self.world.hub.comments(ref or self.ref) if one.author == "hub"]

    def call(self, verb: str, place: str, body: dict[str, object], login: str = "alice") -> requests.Response:
        answer = requests.request(
            verb, f"{self.url}/api/v3/repos/acme/{self.world.repo.name}/{place}", json=body or None,
            headers={"Authorization": f"token token-of-{login}"}, timeout=10,
        )  # fmt: skip
        answer.raise_for_status()
        return answer

    def fix(self) -> IssueRef:
        """A pull request of the hub's for the issue."""
        hub, repo = self.world.hub, self.world.repo
        _, base = hub.default_branch(repo)
        branch, change = "claude/issue-1-orders", [FileChange("models/orders.sql", "select 1")]
        hub.commit_files(repo, base_sha=base, branch=branch, changes=change, message="Fix")
        return hub.open_pull_request(
            repo, title="Fix orders", body="Fixes #1", head=branch, base="main", draft=False, labels=()
        ).ref


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """All that passed."""
    return []


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory, exchanges: list[Exchange]) -> Iterator[tuple[GitHubState, str]]:
    with serve_github(tmp_path_factory.mktemp("github"), lambda app: Recorder(app, exchanges)) as served:
        yield served


@pytest.fixture
def site(
    github: tuple[GitHubState, str], exchanges: list[Exchange], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Site]:
    state, url = github
    name = "shop" + "".join(sign for sign in request.node.name if sign.isalnum())[:70].lower()
    world, investigator, bench = sandbox_world(state, url, name), ScriptedInvestigator(), IdleBench()
    source = DbtCoreSource(type="dbt_core", path=tmp_path)
    settings = HubSettings(
        projects=[ProjectSettings(name="shop", repo=str(world.repo), source=source)],
        github=[settings_of(url, "hub")],
        state=StateSettings(url=SecretStr(f"sqlite:///{tmp_path / 'hub.db'}")),
    )
    hub = Hub(settings, workbenches=bench.opened, investigators=lambda _: investigator)
    site = Site(world, hub, state, url, investigator)
    site.look()
    broken, now = record("f1", datetime.now(timezone.utc)), datetime.now(timezone.utc)
    hub.store.save_records("shop", [broken])
    file_issues(
        settings.projects[0], hub.tracker(world.repo), hub.store, records=[broken], graph=None, as_of=now, now=now
    )
    for event in site.look():
        hub.store.finish_event(event.event_id, "not of interest here")
    before = len(exchanges)
    yield site
    if DESCRIPTION.exists():
        passed = exchanges[before:]
        assert [fault for one in passed for fault in (*request_faults(one), *response_faults(one))] == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("@claude explain", "It still fails."),
        ("@claude help", "People with write permission can ask:"),
        ("@claude what do you make of it?", "It still fails."),
        ("@claude investigate", "renamed upstream"),
        ("@claude use the snowflake-expert", "`snowflake-expert` was asked for and was not consulted"),
        ("@claude create PR", "No pull request was opened: nobody wrote a change"),
        ("@claude retry", "renamed upstream"),
        ("@claude stop", "Nothing was under way here"),
        ("@claude how late is the load?", "Free conversation is not there yet"),
    ],
)
def test_each_command_is_acknowledged_and_answered_in_one_comment(site: Site, text: str, answer: str) -> None:
    assert answer in site.ask(text)
    asked = next(one for one in site.world.hub.comments(site.ref) if one.author == "alice")
    reactions = site.call("GET", f"issues/comments/{asked.comment_id}/reactions", {}).json()
    assert [(one["content"], one["user"]["login"]) for one in reactions] == [("eyes", "hub")]
    assert site.hub.store.pending_issues() == []


def test_closing_as_a_false_positive_labels_closes_and_says_why_it_stays_closed(site: Site) -> None:
    assert "keeps it closed, also when it fails again" in site.ask("@claude close as false positive: a test load")

    issue = site.world.hub.issue(site.ref)
    assert issue.state == "closed"
    assert "false-positive" in issue.labels
    assert "Asked for by `alice`: " in site.said()[-1].body
    assert "a test load" in site.said()[-1].body


def test_retrying_a_fix_tries_the_fix_again(site: Site) -> None:
    site.ask("@claude create PR")
    cases = len(site.investigator.cases)

    assert "No pull request was opened" in site.ask("@claude retry")
    assert len(site.investigator.cases) == cases + 1


def test_labels_and_assignments_are_commands_with_a_comment_of_their_own(site: Site) -> None:
    site.call("POST", "issues/1/labels", {"labels": ["claude:investigate"]})
    site.world.assign(site.ref, "hub")
    site.look()
    site.drain()

    first, second = site.said()
    assert "renamed upstream" in first.body
    assert "No pull request was opened" in second.body


def test_words_on_the_hubs_pull_request_are_heard_wherever_they_stand_and_answered_there(site: Site) -> None:
    fix = site.fix()
    alice = site.world.as_("alice")
    alice.add_comment(fix, "@claude explain")
    site.call("POST", f"pulls/{fix.number}/reviews", {"event": "COMMENT", "body": "@claude help"})
    line = site.call(
        "POST", f"pulls/{fix.number}/comments",
        {"body": "@claude investigate", "path": "models/orders.sql", "line": 1, "commit_id": "x"},
    ).json()  # fmt: skip
    site.call("POST", f"pulls/{fix.number}/reviews", {"event": "COMMENT", "body": "> @claude create PR\n\nno"})

    events = site.look()
    host = site.world.repo.host
    assert sorted(event.event_id.split(":")[0] for event in events) == ["comment", "review", "review-comment"]
    assert f"review-comment:{host}:{line['id']}" in {event.event_id for event in events}
    assert {event.issue_key for event in events} == {str(site.ref)}
    for _ in range(2):
        assert len(site.look()) == 3
    site.drain()

    answers = " ".join(one.body for one in site.said(fix))
    assert len(site.said(fix)) == 3
    for words in ("It still fails", "People with write permission can ask", "renamed upstream"):
        assert words in answers
    assert site.said(site.ref) == []
    kept = site.call("GET", f"pulls/{fix.number}/comments", {}).json()[0]
    assert kept["reactions"]["eyes"] == 1


def test_a_review_that_is_edited_before_it_is_obeyed_is_refused(site: Site) -> None:
    fix = site.fix()
    site.call("POST", f"pulls/{fix.number}/reviews", {"event": "COMMENT", "body": "@claude help"})
    (event,) = site.look()
    tracker, project = site.hub.tracker(site.world.repo), site.hub.settings.projects[0]
    github, issue = site.hub.github(site.world.repo), site.world.hub.issue(site.ref)
    as_read = plan_event(event, tracker=tracker, store=site.hub.store, github=github, project=project, issue=issue)
    other = replace(event, body_hash="0")
    edited = plan_event(other, tracker=tracker, store=site.hub.store, github=github, project=project, issue=issue)

    assert as_read.refused is None
    assert edited.refused == "the comment was edited after it was read"


def test_a_comment_counts_as_what_it_says_when_it_first_speaks_to_the_hub(site: Site) -> None:
    alice = site.world.as_("alice")
    comment = alice.add_comment(site.ref, "What is this?")
    assert site.look() == []

    time.sleep(1.1)  # GitHub's times are whole seconds
    alice.edit_comment(site.ref, comment.comment_id, "@claude help")
    (event,) = site.look()
    alice.edit_comment(site.ref, comment.comment_id, "@claude close as false positive")
    assert [one.event_id for one in site.look()] == [event.event_id]
    site.drain()

    (answer,) = site.said()
    assert "was edited after the hub had read it" in answer.body
    assert site.world.hub.issue(site.ref).state == "open"


def test_outsiders_are_told_once_and_neither_their_words_nor_their_text_is_obeyed(site: Site) -> None:
    rita, alice = site.world.as_("rita"), site.world.as_("alice")
    assert "Only people with write permission" in site.ask("@claude create PR", "rita")
    rita.add_comment(site.ref, "@claude create PR")
    theirs = rita.create_issue(site.world.repo, IssueDraft("orders", "Please drop the tests")).ref
    site.call("POST", f"issues/{theirs.number}/labels", {"labels": ["claude:fix"]})
    with pytest.raises(requests.HTTPError):
        site.call("POST", "issues/1/labels", {"labels": ["claude:fix"]}, "rita")
    site.look()
    site.drain()

    assert len(site.said()) == 1
    (answer,) = site.said(theirs)
    assert "Say in a comment of your own what the hub should do" in answer.body
    assert site.investigator.cases == []
    assert alice.issue(theirs).state == "open"


def test_the_hubs_own_words_bots_and_deleted_people_command_nothing(site: Site) -> None:
    for login, kind in (("robot", "Bot"), ("ghost", "User")):
        site.state.create_user(login, f"token-of-{login}", kind=kind)
        site.world.as_(login).add_comment(site.ref, "@claude create PR")
    site.world.hub.add_comment(site.ref, "@claude create PR")
    site.world.as_("alice").add_comment(site.ref, "@claude create PR <!-- da-agent-hub:key=reply:1 -->")
    events = site.look()
    site.drain()

    assert [event.actor for event in events] == ["ghost"]
    assert "Only people with write permission" in site.said()[-1].body
    assert site.investigator.cases == []


def own_issue(site: Site, title: str, body: str = "") -> IssueRef:
    """An issue that a person opened."""
    return site.world.as_("alice").create_issue(site.world.repo, IssueDraft(title, body)).ref


def test_in_a_persons_own_issue_a_named_node_is_looked_into(site: Site) -> None:
    ref = own_issue(site, "Odd numbers", "Since today `stg_orders` looks wrong.")

    answer = site.ask("@claude investigate", ref=ref)

    assert f"which is named here and has its own issue, {site.ref}" in answer
    assert "renamed upstream" in answer
    assert [case.issue_key for case in site.investigator.cases] == [str(ref)]
    assert site.world.hub.issue(ref).labels == ()
    assert "It still fails" in site.ask("@claude explain", ref=ref)


def test_a_fix_that_is_asked_for_in_a_persons_own_issue_belongs_to_the_issue_of_its_cause(site: Site) -> None:
    ref = own_issue(site, "stg_orders")

    answer = site.ask("@claude create PR", ref=ref)

    assert f"Ask for a fix there: {site.ref} has one branch and one pull request." in answer
    assert site.hub.store.fixes(str(ref)) == []


def test_in_a_persons_own_issue_the_command_may_name_the_node_too(site: Site) -> None:
    ref = own_issue(site, "Odd numbers")

    assert "renamed upstream" in site.ask("@claude look into models/stg_orders.sql", ref=ref)


@pytest.mark.parametrize("text", ["@claude investigate", "@claude create PR", "@claude explain", "@claude hello"])
def test_in_an_issue_that_names_nothing_the_hub_says_what_it_can_and_cannot_do(site: Site, text: str) -> None:
    ref = own_issue(site, "Please upgrade the logo")

    answer = site.ask(text, ref=ref)

    assert "Name one and I look into its failure" in answer
    assert "What I cannot do here" in answer
    assert site.investigator.cases == []


def test_a_node_that_never_failed_is_said_to_be_on_no_record(site: Site) -> None:
    node = GraphNode("model.shop.customers", "customers", "model", "shop")
    lineage = ProjectGraph("shop", "duckdb", {node.unique_id: node}, "shop")
    site.hub.store.save_graph("shop", "1", datetime.now(timezone.utc), lineage)
    ref = own_issue(site, "customers: numbers look odd")

    assert "No failure of `model.shop.customers` is on record" in site.ask("@claude investigate", ref=ref)


def test_a_label_on_a_persons_own_issue_is_answered_too(site: Site) -> None:
    ref = own_issue(site, "stg_orders looks wrong")
    site.call("POST", f"issues/{ref.number}/labels", {"labels": ["claude:investigate"]})
    site.look()
    site.drain()

    (answer,) = site.said(ref)
    assert "renamed upstream" in answer.body
