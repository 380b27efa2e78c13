"""One hub over two GitHub hosts that number alike: each is read, written and heard under its own token."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import requests
from pydantic import SecretStr

from da_agent_hub.cli.webhooks import receiver
from da_agent_hub.config import (
    DbtCoreSource,
    GitHubSettings,
    HubSettings,
    ProjectSettings,
    StateSettings,
    WebhookSettings,
)
from da_agent_hub.defs.build import build
from da_agent_hub.defs.hub import Hub
from da_agent_hub.defs.issue_work import issue_work
from da_agent_hub.domain.issue import Comment, IssueDraft, IssueRef
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub_tests.sandbox_host import World, sandbox_world, serve_github
from da_agent_hub_tests.webhook_sender import GITHUB_SECRET, github_payload, serve

from .hub_world import dagster_instance


@dataclass(frozen=True)
class Host:
    """A GitHub, whose hub has a token and a trigger word of its own there."""

    state: GitHubState
    url: str
    world: World
    trigger: str

    @property
    def name(self) -> str:
        return self.world.repo.host

    def settings(self) -> GitHubSettings:
        token = SecretStr(f"token-only-of-{self.name}")
        return GitHubSettings(host=self.name, base_url=f"{self.url}/api/v3", token=token, trigger=self.trigger)

    def issue(self) -> IssueRef:
        return self.world.as_("alice").create_issue(self.world.repo, IssueDraft("Orders", "They are wrong.")).ref

    def say(self, ref: IssueRef, text: str) -> Comment:
        return self.world.as_("alice").add_comment(ref, text)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    with ExitStack() as stack:
        found = []
        for number, trigger in enumerate(("@claude", "@hub")):
            state, url = stack.enter_context(serve_github(tmp_path / f"github-{number}"))
            found.append(Host(state, url, sandbox_world(state, url, "shop"), trigger))
        for host in found:
            host.state.create_user("hub", f"token-only-of-{host.name}")
        yield found


@pytest.fixture
def hub(hosts: list[Host], tmp_path: Path) -> Hub:
    return Hub(
        HubSettings(
            projects=[
                ProjectSettings(
                    name=f"shop_{number}",
                    repo=str(host.world.repo),
                    source=DbtCoreSource(type="dbt_core", path=tmp_path),
                )
                for number, host in enumerate(hosts)
            ],
            github=[host.settings() for host in hosts],
            state=StateSettings(url=SecretStr(f"sqlite:///{tmp_path / 'hub.db'}")),
            webhooks=WebhookSettings(github_secrets=[SecretStr(GITHUB_SECRET)]),
        )
    )


def poll(hub: Hub, *hosts: int) -> None:
    """One tick of the sensor of each host, or of these, which are numbered from 1."""
    repository = build(hub.settings, hub).get_repository_def()
    with dagster_instance() as instance:
        for number in hosts or (1, 2):
            with dg.build_sensor_context(
                instance=instance, repository_def=repository, resources={"hub": hub}
            ) as context:
                repository.get_sensor_def(f"issue_activity_{number}").evaluate_tick(context)


def plan(hub: Hub, ref: IssueRef) -> None:
    with issue_work(hub, str(ref), "run", logging.getLogger("test")) as work:
        work.plan_waiting(work.issue())


def answers(host: Host, ref: IssueRef) -> int:
    return sum(one.author == "hub" for one in host.world.as_("alice").comments(ref))


def test_comments_of_the_same_number_on_two_hosts_are_two_commands_each_answered_on_its_own(
    hosts: list[Host], hub: Hub
) -> None:
    poll(hub)
    refs = [host.issue() for host in hosts]
    said = [host.say(ref, f"{host.trigger} help") for host, ref in zip(hosts, refs, strict=True)]
    assert said[0].comment_id == said[1].comment_id
    poll(hub)
    assert sorted(hub.store.pending_issues()) == sorted(map(str, refs))
    for ref in refs:
        plan(hub, ref)
    assert [answers(host, ref) for host, ref in zip(hosts, refs, strict=True)] == [1, 1]
    for host in hosts:
        assert {one.login for one in host.state.requests(writes_only=True)} <= {"hub", "alice"}
        assert all(one.status != 401 for one in host.state.requests())


def test_each_host_has_its_own_word_and_one_that_is_away_hides_nothing_of_the_other(
    hosts: list[Host], hub: Hub
) -> None:
    poll(hub)
    first, second = hosts
    ref = first.issue()
    first.say(ref, "@hub help")
    other = second.issue()
    second.say(other, "@hub help")
    first.state.create_user("hub", "another-token-by-now")
    with pytest.raises(Exception, match="none of the repositories could be read"):
        poll(hub, 1)
    poll(hub, 2)
    assert list(hub.store.pending_issues()) == [str(other)]


def test_a_webhook_of_one_host_is_looked_up_there(hosts: list[Host], hub: Hub) -> None:
    second = hosts[1]
    ref = second.issue()
    hosts[0].issue()
    said = second.say(ref, "@hub help")
    comment = requests.get(
        f"{second.url}/api/v3/repos/acme/shop/issues/comments/{said.comment_id}",
        headers={"Authorization": "token token-of-alice"},
        timeout=10,
    ).json()
    told = github_payload(second.url, "acme/shop", ref.number, by="alice", action="created", comment=comment)
    with serve(receiver(hub.settings, hub).app()) as sender:
        assert sender.github("issue_comment", told).status_code == 202
    assert list(hub.store.pending_issues()) == [str(ref)]
    plan(hub, ref)
    assert answers(second, ref) == 1
