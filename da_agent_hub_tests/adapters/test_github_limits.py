"""What the GitHub adapter does when the sandbox's GitHub limits it: waits a little, or says until when and stays away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.domain.issue import IssueDraft, RepoRef
from da_agent_hub.domain.tracker_error import RateLimited
from da_agent_hub.sandbox.github.faults import Fault, Faults
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub_tests.sandbox_host import sandbox_world, serve_github, settings_of


@dataclass(frozen=True)
class Limited:
    state: GitHubState
    url: str
    faults: Faults
    repo: RepoRef

    def tracker(self) -> GitHubTracker:
        return GitHubTracker(settings_of(self.url, "hub"))

    @property
    def asked(self) -> list[tuple[str, int]]:
        """The requests that the hub made: method and status."""
        return [(one.method, one.status) for one in self.state.requests() if one.login == "hub"]


@pytest.fixture
def github(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Limited]:
    faults = Faults()
    with serve_github(tmp_path, faults=faults, per_hour=getattr(request, "param", None)) as (state, url):
        yield Limited(state, url, faults, sandbox_world(state, url, "shop").repo)


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_of_a_second_is_waited_for_and_the_write_happens_once(github: Limited, status: int) -> None:
    github.faults.order(Fault("secondary_limit", method="POST", seconds=1, status=status))
    begun = time.monotonic()

    made = github.tracker().create_issue(github.repo, IssueDraft("t", "b"))

    assert time.monotonic() - begun > 1
    assert [one["number"] for one in github.state.issues("acme", "shop")] == [made.ref.number]
    assert github.asked == [("POST", status), ("POST", 201)]


@pytest.mark.parametrize("kind", ["secondary_limit", "rate_limit"])
def test_a_limit_of_an_hour_is_told_at_once_and_nothing_more_is_sent_while_it_holds(github: Limited, kind: str) -> None:
    github.faults.order(Fault(kind, seconds=3600, times=1))
    tracker, begun = github.tracker(), time.monotonic()

    with pytest.raises(RateLimited, match=r"open an issue in .*Nothing is lost: ask again after") as first:
        tracker.create_issue(github.repo, IssueDraft("t", "b"))
    with pytest.raises(RateLimited, match="ask what changed") as second:
        tracker.changed_issues(github.repo, None, None)

    assert time.monotonic() - begun < 8
    assert first.value.until == second.value.until
    assert abs(first.value.until - datetime.now(timezone.utc) - timedelta(hours=1)) < timedelta(minutes=1)
    assert len(github.asked) == 1


@pytest.mark.slow
def test_limits_that_come_one_after_the_other_end_the_patience(github: Limited) -> None:
    github.faults.order(Fault("secondary_limit", seconds=2, times=None))
    begun = time.monotonic()

    with pytest.raises(RateLimited):
        github.tracker().changed_issues(github.repo, None, None)

    assert time.monotonic() - begun < 12
    assert 2 <= len(github.asked) <= 5


@pytest.mark.parametrize("github", [2], indirect=True)
def test_the_last_request_of_the_hour_is_answered_and_the_next_one_is_not_even_sent(github: Limited) -> None:
    tracker = github.tracker()
    assert tracker.login() == "hub"
    ref = tracker.create_issue(github.repo, IssueDraft("t", "b")).ref

    with pytest.raises(RateLimited, match=f"comment on {ref}.*used up") as limited:
        tracker.add_comment(ref, "hello")

    assert github.asked == [("GET", 200), ("POST", 201)]
    assert timedelta(0) < limited.value.until - datetime.now(timezone.utc) <= timedelta(hours=1)


@pytest.mark.slow
def test_a_limit_that_is_over_holds_nothing_back(github: Limited) -> None:
    github.faults.order(Fault("rate_limit", seconds=11))
    tracker = github.tracker()
    with pytest.raises(RateLimited) as limited:
        tracker.login()

    time.sleep(max((limited.value.until - datetime.now(timezone.utc)).total_seconds() - 5, 0))

    assert tracker.login() == "hub"
    assert datetime.now(timezone.utc) >= limited.value.until
