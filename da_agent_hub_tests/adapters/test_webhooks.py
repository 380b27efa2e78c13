"""The webhook receiver over HTTP, beside a GitHub on loopback: heard once whoever tells, and only from who knows."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from da_agent_hub.cli.webhooks import receiver
from da_agent_hub.config import (
    DbtCloudSource,
    HubSettings,
    ProjectSettings,
    StateSettings,
    WebhookSettings,
)
from da_agent_hub.defs.hub import Hub
from da_agent_hub.defs.issue_work import issue_work
from da_agent_hub.domain.command import EventKind
from da_agent_hub.domain.fix_proposal import FixOutcome, FixProposal
from da_agent_hub.domain.investigation import FileChange
from da_agent_hub.domain.issue import IssueDraft, IssueRef
from da_agent_hub.stages.activity import read_activity
from da_agent_hub_tests.sandbox_host import World, sandbox_world, serve_github, settings_of
from da_agent_hub_tests.webhook_sender import DBT_CLOUD_SECRET, GITHUB_SECRET, Sender, github_payload, serve

ACCOUNT = 4711


@dataclass
class Site:
    """A hub with one repository, one issue of rita's, a receiver and a GitHub."""

    folder: Path
    world: World
    github_url: str
    settings: HubSettings
    hub: Hub
    sender: Sender
    lines: list[str] = field(default_factory=list)

    @property
    def repo(self) -> str:
        return self.world.repo.full_name

    def payload(self, ref: IssueRef, by: str, action: str, **more: Any) -> dict[str, Any]:
        return github_payload(self.github_url, self.repo, ref.number, by=by, action=action, **more)

    def comment(self, ref: IssueRef, by: str, text: str) -> dict[str, Any]:
        """Post a comment; returns the webhook that GitHub would send of it."""
        made = self.world.as_(by).add_comment(ref, text)
        answer = requests.get(
            f"{self.github_url}/api/v3/repos/{self.repo}/issues/comments/{made.comment_id}",
            headers={"Authorization": f"token token-of-{by}"},
            timeout=10,
        )
        return self.payload(ref, by, "created", comment=answer.json())

    def poll(self) -> None:
        repo = self.world.repo
        read_activity(self.hub.tracker(repo), self.hub.store, self.hub.github(repo), repo, self.hub.now())

    def plan(self, ref: IssueRef) -> list[tuple[EventKind, str, str]]:
        """Work as an issue's run begins to; returns what it planned: kind, actor, subject."""
        with issue_work(self.hub, str(ref), "run", logging.getLogger("test")) as work:
            planned = work.plan_waiting(work.issue())
        return [(one.event.kind, one.event.actor, one.event.subject) for one in planned]


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    with serve_github(tmp_path_factory.mktemp("github")) as (state, url):
        yield state, url


@pytest.fixture
def site(github: tuple[Any, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    state, url = github
    world = sandbox_world(state, url, f"r{abs(hash(request.node.name))}")
    settings = HubSettings(
        projects=[
            ProjectSettings(
                name="shop",
                repo=str(world.repo),
                source=DbtCloudSource(type="dbt_cloud", account_id=ACCOUNT, token=SecretStr("dbtc_0123456789abcdef")),
            )
        ],
        github=[settings_of(url, "hub")],
        state=StateSettings(url=SecretStr(f"sqlite:///{tmp_path / 'hub.db'}")),
        webhooks=WebhookSettings(
            github_secrets=[SecretStr("an-older-secret-still-valid"), SecretStr(GITHUB_SECRET)],
            dbt_cloud_secrets=[SecretStr(DBT_CLOUD_SECRET)],
            largest_bytes=200_000,
        ),
    )
    hub = Hub(settings)
    with serve(receiver(settings, hub).app()) as sender:
        yield Site(tmp_path, world, url, settings, hub, sender)


def opened(site: Site, by: str = "rita", body: str = "It is red.") -> IssueRef:
    return site.world.as_(by).create_issue(site.world.repo, IssueDraft("Orders are wrong", body)).ref


@pytest.mark.parametrize("order", ["webhook first", "polling first", "webhook twice"])
def test_a_comment_told_of_by_webhook_and_polling_is_one_event(site: Site, order: str) -> None:
    site.poll()
    ref = opened(site)
    told = site.comment(ref, "alice", "@claude explain")
    if order == "polling first":
        site.poll()
    answer = site.sender.github("issue_comment", told, delivery="one-and-the-same")
    assert answer.status_code == 202
    if order == "webhook twice":
        again = site.sender.github("issue_comment", told, delivery="one-and-the-same")
        assert "known already" in again.json()["said"]
    comment = str(told["comment"]["id"])
    assert site.plan(ref) == [(EventKind.COMMENT, "alice", comment)]
    site.poll()
    assert site.plan(ref) == [(EventKind.COMMENT, "alice", comment)]
    said = [one.body for one in site.world.hub.comments(ref) if one.author == "hub"]
    assert len(said) == 1


def test_labels_and_assignments_told_of_by_both_are_one_event_each(site: Site) -> None:
    site.poll()
    ref = opened(site, by="alice")
    site.world.as_("alice").update_issue(ref, labels=["claude:investigate"])
    site.world.assign(ref, "hub")
    label = site.payload(ref, "alice", "labeled", label={"name": "claude:investigate"})
    assignment = site.payload(ref, "alice", "assigned", assignee={"login": "hub"})
    assert [site.sender.github("issues", one).status_code for one in (label, assignment)] == [202, 202]
    wanted = [(EventKind.LABELED, "alice", "claude:investigate"), (EventKind.ASSIGNED, "alice", "hub")]
    assert site.plan(ref) == wanted
    site.poll()
    assert site.plan(ref) == wanted


def test_what_a_payload_claims_is_not_believed(site: Site) -> None:
    ref = opened(site)
    told = site.comment(ref, "rita", "thanks")
    told["comment"]["body"] = "@claude create PR"
    told["comment"]["user"]["login"] = told["sender"]["login"] = "alice"
    assert site.sender.github("issue_comment", told).status_code == 202
    assert site.plan(ref) == []


def test_a_hub_that_never_polled_hears_what_the_webhook_tells_and_nothing_older(site: Site) -> None:
    ref = opened(site)
    site.comment(ref, "alice", "@claude stop")
    past = site.hub.now().replace(year=2020).isoformat()
    told = site.comment(ref, "alice", "@claude help")
    old = {**told, "comment": {**told["comment"], "created_at": past}}
    site.poll()
    site.sender.github("issue_comment", old)
    started = site.hub.store.cursor(f"activity:{site.world.repo}")["started"]
    with issue_work(site.hub, str(ref), "run", logging.getLogger("test")) as work:
        planned = work.plan_waiting(work.issue())
    assert all(one.event.happened_at.isoformat() >= started for one in planned)
    assert len(planned) == 2


@pytest.mark.parametrize(
    ("by", "action", "more"),
    [
        ("hub", "closed", {}),
        ("alice", "labeled", {"label": {"name": "bug"}}),
        ("alice", "assigned", {"assignee": {"login": "rita"}}),
        ("alice", "closed", {}),
        ("alice", "pinned", {}),
        ("alice", "opened", {}),
    ],
)
def test_what_asks_nothing_of_the_hub_leaves_no_row(site: Site, by: str, action: str, more: dict[str, Any]) -> None:
    ref = opened(site)
    answer = site.sender.github("issues", site.payload(ref, by, action, **more))
    assert answer.status_code == 202
    assert answer.json()["said"].startswith("ignored")
    assert site.hub.store.pending_issues() == []


def test_a_comment_and_a_merge_of_the_hubs_pull_request_wait_for_its_issue(site: Site) -> None:
    site.poll()
    ref = opened(site)
    tracker = site.world.hub
    _, base = tracker.default_branch(site.world.repo)
    branch = f"claude/issue-{ref.number}-orders"
    change = [FileChange("models/orders.sql", "select 1")]
    tracker.commit_files(site.world.repo, base_sha=base, branch=branch, changes=change, message="Fix")
    pull = tracker.open_pull_request(
        site.world.repo, title="Fix", body="", head=branch, base="main", draft=False, labels=()
    )
    told = site.comment(pull.ref, "alice", "@claude explain")
    assert "no pull request of the hub" in site.sender.github("issue_comment", told).json()["said"]
    proposal = FixProposal(FixOutcome.OPENED, "it fits", pull_request=str(pull.ref))
    site.hub.store.save_fix(str(ref), "some-event", proposal)
    assert site.sender.github("issue_comment", told).status_code == 202
    site.world.merge(pull.ref)
    merged = site.payload(pull.ref, "alice", "closed")
    merged["pull_request"] = {**merged.pop("issue"), "merged": True}
    assert site.sender.github("pull_request", merged).status_code == 202
    assert site.hub.store.pending_issues() == [str(ref)]
    kinds = [kind for kind, _, _ in site.plan(ref)]
    assert kinds == [EventKind.COMMENT, EventKind.MERGED]


def test_who_does_not_know_the_secret_is_refused_and_nothing_is_kept(site: Site) -> None:
    ref = opened(site)
    told = site.comment(ref, "alice", "@claude explain")
    assert site.sender.github("issue_comment", told, secret="guessed").status_code == 401
    for broken in ("", "sha256=", "sha1=abc", "sha256=\u00e4", f"sha256={'0' * 64}"):
        refused = site.sender.github("issue_comment", told, X_Hub_Signature_256=broken.encode("utf-8"))  # type: ignore[arg-type]
        assert refused.status_code == 401
    assert site.sender.dbt_cloud({"accountId": ACCOUNT}, secret=GITHUB_SECRET).status_code == 401
    assert site.hub.store.pending_issues() == []
    assert site.sender.github("issue_comment", told, secret="an-older-secret-still-valid").status_code == 202


def test_another_repository_is_not_heard_though_the_signature_fits(site: Site) -> None:
    ref = opened(site)
    told = site.comment(ref, "alice", "@claude explain")
    told["repository"]["full_name"] = "acme/elsewhere"
    assert "not monitored" in site.sender.github("issue_comment", told).json()["said"]
    elsewhere = site.comment(ref, "alice", "@claude explain")
    elsewhere["repository"]["html_url"] = f"https://github.com/{site.repo}"
    assert "not monitored" in site.sender.github("issue_comment", elsewhere).json()["said"]
    assert site.hub.store.pending_issues() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'{"repository": 7}', b"[" * 100_000])
def test_what_is_signed_and_no_payload_is_a_bad_request(site: Site, body: bytes) -> None:
    assert site.sender.github("issues", body).status_code == 400


def test_a_body_larger_than_any_webhook_is_refused_unread(site: Site) -> None:
    assert site.sender.github("issues", b" " * 200_001).status_code == 413


def test_a_form_and_a_ping_are_told_what_to_do_and_that_all_is_well(site: Site) -> None:
    form = site.sender.github("issues", b"payload=%7B%7D", Content_Type="application/x-www-form-urlencoded")
    assert form.status_code == 415
    assert "application/json" in form.json()["said"]
    assert site.sender.github("ping", {"zen": "Design for failure."}).status_code == 200
    assert requests.get(f"{site.sender.url}/healthz", timeout=5).status_code == 200
    assert requests.get(f"{site.sender.url}/github", timeout=5).status_code == 405


@pytest.mark.parametrize("kind", ["dbt-issue-sleuth", "pre-deployment-analysis"])
def test_a_dispatch_that_nothing_acts_on_yet_is_kept_with_a_note(site: Site, kind: str) -> None:
    ref = opened(site)
    told = site.payload(ref, "alice", kind, branch="main", client_payload={"project": "shop"})
    del told["issue"]
    answer = site.sender.github("repository_dispatch", told, delivery="d-1")
    assert answer.status_code == 202
    assert kind in answer.json()["said"]
    (outcome,) = site.hub.store.event_outcomes(f"repository:{site.world.repo}").values()
    assert outcome is not None
    assert kind in outcome
    assert site.hub.store.pending_issues() == []


def test_an_ended_run_of_a_monitored_account_waits_for_the_sensor_of_dbt_runs(site: Site) -> None:
    ended = {"accountId": ACCOUNT, "eventType": "job.run.errored", "eventId": "wev_1", "data": {"runId": "77"}}
    assert site.sender.dbt_cloud(ended).status_code == 202
    assert "known already" in site.sender.dbt_cloud(ended).json()["said"]
    assert "no run has ended" in site.sender.dbt_cloud({**ended, "eventType": "job.run.started"}).json()["said"]
    assert "not monitored" in site.sender.dbt_cloud({**ended, "accountId": 1, "eventId": "wev_2"}).json()["said"]
    (waiting,) = site.hub.store.pending_events(f"dbt-cloud:{ACCOUNT}")
    assert waiting.event_id == "dbt-cloud:wev_1"
    assert site.hub.store.pending_issues() == []


def test_a_store_that_is_down_is_a_503_and_the_delivery_counts_when_it_comes_again(site: Site) -> None:
    ref = opened(site)
    told = site.comment(ref, "alice", "@claude explain")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"postgresql+psycopg://hub@127.0.0.1:{taken.getsockname()[1]}/hub?connect_timeout=2"
        state = site.settings.state.model_copy(update={"url": SecretStr(nowhere)})
        settings = site.settings.model_copy(update={"state": state})
        with serve(receiver(settings, Hub(settings)).app()) as sender:
            refused = sender.github("issue_comment", told, delivery="d-9")
    assert refused.status_code == 503
    assert "deliver it again" in refused.json()["said"]
    assert "hub@" not in refused.text
    assert site.sender.github("issue_comment", told, delivery="d-9").status_code == 202
    assert len(site.hub.store.pending_events(str(ref))) == 1
