"""What every ``IssueTracker`` keeps to: the fake in memory, and the real adapter over HTTP.

The adapter speaks to the sandbox, where all that passes is held to GitHub's description too, and to a GitHub that
somebody else wrote, as far as that one goes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.config import GitHubSettings
from da_agent_hub.domain.investigation import FileChange
from da_agent_hub.domain.issue import IssueDraft, IssueRef, RepoRef
from da_agent_hub.domain.tracker_error import ForeignWork, NotPermitted, NotThere, TrackerError
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub_tests.contracts.github_description import (
    DESCRIPTION,
    Exchange,
    Recorder,
    need_description,
    request_faults,
    response_faults,
)
from da_agent_hub_tests.contracts.myworld_host import found_company, serve_myworld
from da_agent_hub_tests.fakes.tracker import FakeTracker, Host
from da_agent_hub_tests.sandbox_host import PEOPLE, World, sandbox_world, serve_github


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """All that passed between the adapter and the sandbox."""
    return []


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory, exchanges: list[Exchange]) -> Iterator[tuple[GitHubState, str]]:
    def recorded(app: ASGIApp) -> ASGIApp:
        return Recorder(app, exchanges)

    with serve_github(tmp_path_factory.mktemp("github"), recorded) as served:
        yield served


@pytest.fixture(scope="module")
def myworld(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_myworld(tmp_path_factory.mktemp("myworld")) as url:
        yield url


# It needs Python 3.11.
_OTHERS = ["myworld"] if sys.version_info >= (3, 11) else []
_NO_GIT_DATA = "it serves no blobs, trees and commits of Git's data"
# What it does not serve as GitHub does, by test; once it does, that test says so by failing.
_NOT_ON_MYWORLD = {
    "test_lists_longer_than_a_page_are_read_to_their_end": "its links to the next page lead to api.github.com",
    "test_labels_are_made_once_and_making_them_again_changes_nothing": "it makes labels with issues only",
    "test_comments_come_oldest_first_and_since_looks_at_changes": "it does not know since for comments",
    "test_an_edited_comment_keeps_its_id": "its comments cannot be edited",
    "test_a_reaction_given_twice_is_one": "it has no reactions",
    "test_labels_assignments_closings_and_reopenings_are_events_with_their_actor": "it has no events of issues",
    "test_an_unchanged_repository_answers_a_known_etag_with_nothing": "it gives no ETag",
    "test_people_without_access_cannot_be_assigned": "it does not tell who can be assigned",
    "test_committing_the_same_change_again_keeps_the_commit": _NO_GIT_DATA,
    "test_commits_that_somebody_added_to_a_fix_branch_are_never_overwritten": _NO_GIT_DATA,
    "test_a_single_commit_that_somebody_force_pushed_to_a_fix_branch_is_never_overwritten": _NO_GIT_DATA,
    "test_an_own_commit_on_an_older_base_is_replaced": _NO_GIT_DATA,
    "test_a_pull_request_is_found_by_its_branch_and_known_as_merged": _NO_GIT_DATA,
    "test_a_second_pull_request_of_an_open_branch_is_refused": _NO_GIT_DATA,
    "test_what_is_said_of_a_pull_request_in_reviews_and_on_lines_is_read_and_acknowledged": _NO_GIT_DATA,
    **{
        f"test_permissions_are_told_and_strangers_have_none[myworld-{login}-{permission}]": "it knows no permissions"
        for login, permission in PEOPLE.items()
    },
}


@pytest.fixture(params=["fake", "sandbox", *_OTHERS])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        host = Host(people=dict(PEOPLE))
        yield World(
            host.repo,
            lambda login: FakeTracker(host, login),
            FakeTracker(host, "alice").merge,
            FakeTracker(host, "alice").assign,
            FakeTracker(host, "alice").force_push,
            FakeTracker(host, "alice").review,
            FakeTracker(host, "alice").comment_on_line,
        )
        return
    if request.param == "myworld":
        whole, bare = request.node.name, request.node.originalname
        if lacks := _NOT_ON_MYWORLD.get(whole) or _NOT_ON_MYWORLD.get(bare):
            request.applymarker(pytest.mark.xfail(reason=lacks, strict=True))
        yield found_company(request.getfixturevalue("myworld")).world()
        return
    state, url = request.getfixturevalue("github")
    exchanges: list[Exchange] = request.getfixturevalue("exchanges")
    name = "shop" + "".join(sign for sign in request.node.name if sign.isalnum())[:60].lower()
    made = sandbox_world(state, url, name)
    before = len(exchanges)
    yield made
    if DESCRIPTION.exists():
        passed = exchanges[before:]
        assert [fault for one in passed for fault in (*request_faults(one), *response_faults(one))] == []


@pytest.mark.node
def test_all_that_these_tests_send_and_receive_can_be_held_to_githubs_description() -> None:
    need_description()


def opened(world: World, *labels: str, title: str = "orders: duplicates", body: str = "Body") -> IssueRef:
    return world.hub.create_issue(world.repo, IssueDraft(title, body, labels)).ref


def test_the_token_says_who_the_hub_is(world: World) -> None:
    assert world.hub.login() == "hub"
    assert world.as_("alice").login() == "alice"


def test_an_issue_is_read_back_as_it_was_opened(world: World) -> None:
    draft = IssueDraft("Title", "Body <!-- hidden --> ünï", ("dbt-error", "priority:high"), ("alice",))

    made = world.hub.create_issue(world.repo, draft)
    read = world.hub.issue(made.ref)

    assert (read.title, read.body, read.state, read.author) == (draft.title, draft.body, "open", "hub")
    assert set(read.labels) == set(draft.labels)
    assert read.assignees == ("alice",)
    assert read.closed_at is None
    assert not read.is_pull_request
    assert read.created_at.utcoffset() == timedelta(0)


def test_a_missing_issue_is_said_to_be_missing(world: World) -> None:
    with pytest.raises(NotThere, match="999"):
        world.hub.issue(IssueRef(world.repo, 999))


def test_the_hubs_issues_are_the_labelled_ones_open_and_closed(world: World) -> None:
    first, _, third = opened(world, "dbt-error"), opened(world, "bug"), opened(world, "dbt-error", "x")
    world.hub.update_issue(first, state="closed")

    assert [one.ref for one in world.hub.hub_issues(world.repo)] == [first, third]


def test_lists_longer_than_a_page_are_read_to_their_end(world: World) -> None:
    ref = opened(world)
    for number in range(103):
        world.hub.add_comment(ref, f"comment {number}")

    assert [one.body for one in world.hub.comments(ref)] == [f"comment {number}" for number in range(103)]


def test_an_update_changes_what_is_given_and_nothing_else(world: World) -> None:
    ref = opened(world, "dbt-error", "mine")

    closed = world.hub.update_issue(ref, state="closed", labels=["dbt-error", "category:x"])

    assert (closed.title, closed.body, closed.state) == ("orders: duplicates", "Body", "closed")
    assert set(closed.labels) == {"dbt-error", "category:x"}
    assert closed.closed_at is not None
    reopened = world.hub.update_issue(ref, state="open", body="New")
    assert (reopened.state, reopened.body, set(reopened.labels)) == ("open", "New", set(closed.labels))


def test_labels_are_made_once_and_making_them_again_changes_nothing(world: World) -> None:
    for _ in range(2):
        world.hub.ensure_labels(world.repo, {"dbt-error": ("b60205", "A failure"), "priority:low": ("0e8a16", "")})

    assert set(world.hub.issue(opened(world, "priority:low", "dbt-error")).labels) == {"dbt-error", "priority:low"}


def test_comments_come_oldest_first_and_since_looks_at_changes(world: World) -> None:
    ref = opened(world)
    first = world.as_("alice").add_comment(ref, "one")
    second = world.hub.add_comment(ref, "two")

    assert [(one.author, one.body) for one in world.hub.comments(ref)] == [("alice", "one"), ("hub", "two")]
    assert not first.author_is_bot
    later = second.updated_at + timedelta(seconds=1)
    assert list(world.hub.comments(ref, since=later)) == []
    assert second.comment_id in {one.comment_id for one in world.hub.comments(ref, since=second.updated_at)}


def test_an_edited_comment_keeps_its_id(world: World) -> None:
    ref = opened(world)
    comment = world.hub.add_comment(ref, "before")

    world.hub.edit_comment(ref, comment.comment_id, "after")

    assert [(one.comment_id, one.body) for one in world.hub.comments(ref)] == [(comment.comment_id, "after")]


def test_a_reaction_given_twice_is_one(world: World) -> None:
    ref = opened(world)
    comment = world.as_("alice").add_comment(ref, "@claude help")

    world.hub.react(ref, comment.comment_id, "eyes")
    world.hub.react(ref, comment.comment_id, "eyes")

    with pytest.raises(NotThere):
        world.hub.react(ref, 999_999, "eyes")


def test_labels_assignments_closings_and_reopenings_are_events_with_their_actor(world: World) -> None:
    ref = opened(world, "dbt-error")
    alice = world.as_("alice")
    alice.update_issue(ref, labels=["dbt-error", "claude:fix"])
    world.assign(ref, "hub")
    alice.update_issue(ref, state="closed")
    alice.update_issue(ref, state="open")

    found = [(one.kind, one.subject, one.actor) for one in world.hub.events(ref)]

    assert found == [
        ("labeled", "dbt-error", "hub"),
        ("labeled", "claude:fix", "alice"),
        ("assigned", "hub", "alice"),
        ("closed", "", "alice"),
        ("reopened", "", "alice"),
    ]
    assert len({one.event_id for one in world.hub.events(ref)}) == len(found)


def test_an_unchanged_repository_answers_a_known_etag_with_nothing(world: World) -> None:
    ref = opened(world)
    changed, etag = world.hub.changed_issues(world.repo, None, None)
    assert [one.ref for one in changed or ()] == [ref]

    assert world.hub.changed_issues(world.repo, None, etag)[0] is None

    world.as_("alice").add_comment(ref, "hello")
    changed, newer = world.hub.changed_issues(world.repo, None, etag)
    assert [one.ref for one in changed or ()] == [ref]
    assert newer != etag


def test_changed_issues_come_oldest_change_first_and_from_since_on(world: World) -> None:
    first, second = opened(world), opened(world)
    time.sleep(1.1)
    moved = world.hub.update_issue(first, body="New")

    changed, _ = world.hub.changed_issues(world.repo, None, None)
    assert [one.ref for one in changed or ()] == [second, first]
    recent, _ = world.hub.changed_issues(world.repo, moved.updated_at, None)
    assert [one.ref for one in recent or ()] == [first]


@pytest.mark.parametrize(("login", "permission"), [*PEOPLE.items(), ("nobody-at-all", "none")])
def test_permissions_are_told_and_strangers_have_none(world: World, login: str, permission: str) -> None:
    assert world.hub.permission(world.repo, login) == permission


def test_people_without_access_cannot_be_assigned(world: World) -> None:
    assert world.hub.can_be_assigned(world.repo, "alice")
    assert not world.hub.can_be_assigned(world.repo, "nobody-at-all")


def changed_branch(world: World, branch: str = "claude/issue-1-fix", content: str = "select 1\n") -> str:
    _, base = world.hub.default_branch(world.repo)
    changes = [FileChange("models/orders.sql", content), FileChange("dbt_project.yml", "name: shop2\n")]
    return world.hub.commit_files(world.repo, base_sha=base, branch=branch, changes=changes, message="Fix orders")


def test_committing_the_same_change_again_keeps_the_commit(world: World) -> None:
    once = changed_branch(world)

    assert changed_branch(world) == once
    assert changed_branch(world, content="select 2\n") != once


@pytest.mark.parametrize("branch", ["main", "fix/orders", "claudette/x", "refs/heads/main"])
def test_the_hub_writes_to_no_branch_but_its_own(world: World, branch: str) -> None:
    before = world.hub.default_branch(world.repo)

    with pytest.raises(TrackerError, match="claude/"):
        changed_branch(world, branch)

    assert world.hub.default_branch(world.repo) == before


def test_commits_that_somebody_added_to_a_fix_branch_are_never_overwritten(world: World) -> None:
    head = changed_branch(world)
    world.as_("alice").commit_files(
        world.repo,
        base_sha=head,
        branch="claude/issue-1-fix",
        changes=[FileChange("models/orders.sql", "select 3\n")],
        message="Better",
    )

    with pytest.raises(TrackerError, match="somebody else"):
        changed_branch(world)


def test_a_single_commit_that_somebody_force_pushed_to_a_fix_branch_is_never_overwritten(world: World) -> None:
    changed_branch(world)
    pushed = world.force_push("claude/issue-1-fix", "models/orders.sql", "select 3\n")

    with pytest.raises(ForeignWork, match=r"somebody else works on the branch claude/issue-1-fix \(1 commit"):
        changed_branch(world)

    made = world.hub.open_pull_request(
        world.repo, title="Fix", body="", head="claude/issue-1-fix", base="main", draft=True, labels=()
    )
    assert made.head_sha == pushed


def test_an_own_commit_on_an_older_base_is_replaced(world: World) -> None:
    changed_branch(world)
    world.force_push("main", "models/other.sql", "select 2\n")

    replaced = changed_branch(world)

    assert changed_branch(world) == replaced


def test_a_pull_request_is_found_by_its_branch_and_known_as_merged(world: World) -> None:
    assert world.hub.pull_request_for_branch(world.repo, "claude/issue-1-fix") is None
    sha = changed_branch(world)
    made = world.hub.open_pull_request(
        world.repo,
        title="Fix",
        body="Why",
        head="claude/issue-1-fix",
        base="main",
        draft=False,
        labels=["dbt-error"],
    )
    assert (made.state, made.merged, made.draft, made.head_sha, made.base_branch, made.merge_sha) == (
        "open",
        False,
        False,
        sha,
        "main",
        None,
    )
    assert world.hub.pull_request_for_branch(world.repo, "claude/issue-1-fix") == made
    assert world.hub.issue(made.ref).is_pull_request
    assert world.hub.hub_issues(world.repo) == []

    world.hub.update_pull_request(made.ref, body="Because")
    world.merge(made.ref)

    merged = world.hub.pull_request(made.ref)
    assert (merged.state, merged.merged, merged.body) == ("closed", True, "Because")
    assert merged.merge_sha is not None
    assert "merged" in [one.kind for one in world.hub.events(made.ref)]
    found = world.hub.pull_request_for_branch(world.repo, "claude/issue-1-fix")
    assert found is not None
    assert found.merged


def test_a_second_pull_request_of_an_open_branch_is_refused(world: World) -> None:
    changed_branch(world)
    new = {"title": "Fix", "body": "", "head": "claude/issue-1-fix", "base": "main", "draft": True, "labels": ()}
    assert world.hub.open_pull_request(world.repo, **new).draft  # type: ignore[arg-type]

    with pytest.raises(TrackerError, match="already exists"):
        world.hub.open_pull_request(world.repo, **new)  # type: ignore[arg-type]


def test_what_is_said_of_a_pull_request_in_reviews_and_on_lines_is_read_and_acknowledged(world: World) -> None:
    changed_branch(world)
    made = world.hub.open_pull_request(
        world.repo, title="Fix", body="", head="claude/issue-1-fix", base="main", draft=False, labels=()
    )
    assert (world.hub.reviews(made.ref), world.hub.review_comments(made.ref)) == ([], [])

    world.review(made.ref, "@claude explain")
    world.comment_on_line(made.ref, "@claude why?")

    (review,) = world.hub.reviews(made.ref)
    assert (review.author, review.body, review.author_is_bot) == ("alice", "@claude explain", False)
    (on_line,) = world.hub.review_comments(made.ref, since=review.created_at - timedelta(seconds=5))
    assert (on_line.author, on_line.body) == ("alice", "@claude why?")
    assert list(world.hub.review_comments(made.ref, since=on_line.updated_at + timedelta(seconds=5))) == []
    for _ in range(2):
        world.hub.react_to_review_comment(made.ref, on_line.comment_id, "eyes")
    with pytest.raises(NotThere):
        world.hub.react_to_review_comment(made.ref, 999_999, "eyes")


def test_a_wrong_token_is_named_with_the_next_step(github: tuple[GitHubState, str]) -> None:
    _, url = github
    host = url.removeprefix("http://")
    tracker = GitHubTracker(GitHubSettings(host=host, base_url=f"{url}/api/v3", token=SecretStr("ghp_wrong")))

    with pytest.raises(NotPermitted, match=r"answered 401 .*Check the token") as refused:
        tracker.login()

    assert "ghp_wrong" not in str(refused.value)


def test_a_repository_of_another_host_is_refused_before_anything_is_sent(github: tuple[GitHubState, str]) -> None:
    state, url = github
    host = url.removeprefix("http://")
    tracker = GitHubTracker(GitHubSettings(host=host, base_url=f"{url}/api/v3", token=SecretStr("token-of-hub")))
    before = len(state.requests())

    with pytest.raises(TrackerError, match=r"not on 127\.0\.0\.1"):
        tracker.create_issue(RepoRef("acme", "shop"), IssueDraft("t", "b"))

    assert len(state.requests()) == before
