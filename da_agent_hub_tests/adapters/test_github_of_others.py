"""The GitHub adapter against a GitHub that somebody else wrote, on its bad days: what was lost is told, not doubled."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from da_agent_hub.domain.issue import IssueDraft
from da_agent_hub.domain.tracker_error import RateLimited, TrackerError, Unanswered
from da_agent_hub_tests.contracts.myworld_host import Company, found_company, serve_myworld

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xfail(sys.version_info < (3, 11), reason="myworld needs Python 3.11", run=False),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_myworld(tmp_path_factory.mktemp("myworld")) as url:
        yield url


@pytest.fixture
def company(host: str) -> Company:
    return found_company(host)


def test_a_comment_whose_answer_was_lost_is_there_once_and_the_error_says_to_look(company: Company) -> None:
    hub = company.tracker()
    ref = hub.create_issue(company.repo, IssueDraft("t", "b")).ref
    for kind in ("timeout_after_commit", "truncated"):
        company.order({"kind": kind, "tool": "*"})
        with pytest.raises(Unanswered, match="looks before it writes again"):
            hub.add_comment(ref, kind)

    assert [one.body for one in hub.comments(ref)] == ["timeout_after_commit", "truncated"]


@pytest.mark.parametrize("kind", ["timeout", "bad_gateway", "unavailable", "transport_error"])
def test_an_issue_that_was_not_opened_is_said_to_be_unknown_and_is_sent_once(company: Company, kind: str) -> None:
    hub = company.tracker()
    company.order({"kind": kind, "tool": "*"})

    with pytest.raises(Unanswered):
        hub.create_issue(company.repo, IssueDraft("t", "b", ("dbt-error",)))

    assert hub.hub_issues(company.repo) == []


@pytest.mark.parametrize("kind", ["bad_gateway", "unavailable", "server_error"])
def test_a_list_is_read_through_two_faults_of_the_server(company: Company, kind: str) -> None:
    hub = company.tracker()
    opened = hub.create_issue(company.repo, IssueDraft("t", "b", ("dbt-error",))).ref
    company.order({"kind": kind, "tool": "*", "times": 2})

    assert [one.ref for one in hub.hub_issues(company.repo)] == [opened]


def test_a_limit_is_told_with_its_end(company: Company) -> None:
    hub = company.tracker()
    company.order({"kind": "rate_limit", "tool": "*"})

    with pytest.raises(RateLimited) as limited:
        hub.create_issue(company.repo, IssueDraft("t", "b"))

    assert limited.value.until > datetime.now(timezone.utc) - timedelta(seconds=5)
    assert company.tracker().changed_issues(company.repo, None, None)[0] == []


def test_a_pull_request_lives_here_as_on_the_sandbox(company: Company) -> None:
    hub = company.tracker()
    branch, main = hub.default_branch(company.repo)
    company.ask("POST", "git/refs", {"ref": "refs/heads/claude/issue-1-fix", "sha": main})
    changed = base64.b64encode(b"select 1\n").decode()
    new = {"message": "Fix", "content": changed, "branch": "claude/issue-1-fix"}
    company.ask("PUT", "contents/models/orders.sql", new)
    wanted = {"title": "Fix", "body": "Why", "head": "claude/issue-1-fix", "base": branch, "draft": False}

    made = hub.open_pull_request(company.repo, **wanted, labels=["dbt-error"])  # type: ignore[arg-type]

    assert (made.state, made.merged, made.base_branch, made.merge_sha) == ("open", False, branch, None)
    assert hub.pull_request_for_branch(company.repo, "claude/issue-1-fix") == made
    assert hub.pull_request_for_branch(company.repo, "claude/other") is None
    with pytest.raises(TrackerError, match="already exists"):
        hub.open_pull_request(company.repo, **wanted, labels=())  # type: ignore[arg-type]
    assert hub.issue(made.ref).is_pull_request
    assert hub.update_pull_request(made.ref, body="Because").body == "Because"
    company.world().merge(made.ref)
    merged = hub.pull_request(made.ref)
    assert (merged.state, merged.merged) == ("closed", True)
    assert merged.merge_sha
