"""Issues, pull requests and merges as PyGithub drives them."""

from __future__ import annotations

import pytest
from github import GithubException, InputGitTreeElement, UnknownObjectException
from github.PullRequest import PullRequest

from .conftest import Site, git


def propose(
    site: Site, branch: str = "claude/issue-1-fix", *, body: str = "", text: str = "select 3\n", base: str | None = None
) -> PullRequest:
    """One commit through the Git Data API on a branch, and its pull request."""
    repo = site.repo()
    parent = base or repo.get_branch("main").commit.sha
    tree = repo.create_git_tree(
        [InputGitTreeElement("models/orders.sql", "100644", "blob", text)], base_tree=repo.get_git_tree(parent)
    )
    commit = repo.create_git_commit("Fix the orders", tree, [repo.get_git_commit(parent)])
    repo.create_git_ref(f"refs/heads/{branch}", commit.sha)
    return repo.create_pull(title="Fix the orders", body=body, head=branch, base="main")


def test_an_issue_lives_from_opening_to_the_merge_that_closes_it(site: Site) -> None:
    hub, ana = site.repo(), site.repo("ana")
    hub.create_label("dbt-error", "d73a4a", "filed by the hub")
    issue = hub.create_issue("orders fail", body="<!-- key -->\nrows", labels=["dbt-error"], assignees=["ana", "eve"])
    assert [user.login for user in issue.assignees] == ["ana"]  # eve has no access
    comment = ana.get_issue(issue.number).create_comment("@claude please fix")
    hub.get_issue(issue.number).get_comment(comment.id).create_reaction("eyes")
    ana.get_issue(issue.number).add_to_labels("claude:fix")

    pull = propose(site, body=f"Closes #{issue.number}")
    assert (pull.mergeable, pull.mergeable_state, pull.merged, pull.changed_files) == (True, "clean", False, 1)
    assert [(file.filename, file.status, file.additions, file.deletions) for file in pull.get_files()] == [
        ("models/orders.sql", "modified", 1, 1)
    ]
    assert [commit.sha for commit in pull.get_commits()] == [pull.head.sha]
    assert pull.as_issue().pull_request is not None
    merged = site.repo("ana").get_pull(pull.number).merge(sha=pull.head.sha)

    assert merged.merged
    main = hub.get_commit("main")
    assert main.sha == merged.sha
    assert [parent.sha for parent in main.parents] == [pull.base.sha, pull.head.sha]
    assert main.commit.message.startswith(f"Merge pull request #{pull.number} from acme/claude/issue-1-fix")
    assert hub.get_contents("models/orders.sql").decoded_content == b"select 3\n"  # type: ignore[union-attr]
    after = hub.get_issue(issue.number)
    assert (after.state, after.state_reason, after.closed_by.login) == ("closed", "completed", "ana")
    assert [event.event for event in after.get_events()] == ["labeled", "assigned", "labeled", "closed"]
    assert [entry.event for entry in after.get_timeline()] == [
        "labeled",
        "assigned",
        "commented",
        "labeled",
        "cross-referenced",
        "closed",
    ]
    pull = hub.get_pull(pull.number)
    assert (pull.merged, pull.is_merged(), pull.state, pull.merged_by.login) == (True, True, "closed", "ana")
    assert pull.merge_commit_sha == merged.sha
    assert [event.event for event in hub.get_issue(pull.number).get_events()] == ["merged", "closed"]
    assert len(list(pull.get_files())) == 1


def test_a_closed_issue_reopens_and_keeps_its_reasons(site: Site) -> None:
    issue = site.repo().create_issue("stale source")
    issue.edit(state="closed", state_reason="not_planned")
    assert (issue.state, issue.state_reason) == ("closed", "not_planned")
    closed_at = issue.closed_at
    issue.edit(state="closed", state_reason="not_planned")
    assert issue.closed_at == closed_at
    issue.edit(state="open")
    assert (issue.state, issue.state_reason, issue.closed_at, issue.closed_by) == ("open", "reopened", None, None)
    assert [event.event for event in issue.get_events()] == ["closed", "reopened"]


def test_labels_are_replaced_removed_and_made_where_they_lack(site: Site) -> None:
    issue = site.repo().create_issue("x", labels=["one", "two"])
    issue.set_labels("TWO", "three")
    assert [label.name for label in issue.get_labels()] == ["two", "three"]
    issue.remove_from_labels("two")
    issue.edit(labels=["category:schema/change"])
    assert [label.name for label in site.repo().get_issue(1).labels] == ["category:schema/change"]
    issue.remove_from_labels("category:schema/change")
    with pytest.raises(GithubException, match="Label does not exist"):
        issue.remove_from_labels("three")
    label = site.repo().get_label("one")
    label.edit("uno", "00ff00", "first")
    assert site.repo().get_label("UNO").color == "00ff00"
    with pytest.raises(GithubException) as refusal:
        site.repo().create_label("Uno", "000000")
    assert refusal.value.status == 422
    assert refusal.value.data["errors"][0]["code"] == "already_exists"


def test_comments_are_edited_listed_since_and_deleted(site: Site) -> None:
    repo = site.repo()
    issue = repo.create_issue("x")
    first = issue.create_comment("one")
    second = site.repo("eve").get_issue(1).create_comment("two")
    assert second.author_association == "NONE"
    first.edit("one, better")
    assert [comment.body for comment in issue.get_comments()] == ["one, better", "two"]
    assert [comment.body for comment in repo.get_issues_comments()] == ["one, better", "two"]
    assert second.reactions["eyes"] == 0
    assert second.create_reaction("eyes").id == second.create_reaction("eyes").id
    assert [reaction.content for reaction in second.get_reactions()] == ["eyes"]
    first.delete()
    assert repo.get_issue(1).comments == 1
    with pytest.raises(UnknownObjectException):
        issue.get_comment(first.id)


def test_assignment_asks_for_access(site: Site) -> None:
    repo = site.repo()
    assert repo.has_in_assignees("hub[bot]")
    assert not repo.has_in_assignees("eve")
    assert not repo.has_in_assignees("nobody")
    assert [user.login for user in repo.get_assignees()] == ["ana", "hub[bot]", "wren"]
    issue = repo.create_issue("x")
    issue.add_to_assignees("wren", "eve")
    assert [user.login for user in issue.assignees] == ["wren"]
    issue.remove_from_assignees("wren")
    assert issue.assignees == []
    events = list(issue.get_events())
    assert [(event.event, event.assignee.login) for event in events] == [("assigned", "wren"), ("unassigned", "wren")]


def test_permissions_are_told_to_those_who_may_ask(site: Site) -> None:
    repo = site.repo()
    told = {login: repo.get_collaborator_permission(login) for login in ("acme", "ana", "wren", "eve")}
    assert told == {"acme": "admin", "ana": "admin", "wren": "write", "eve": "read"}
    with pytest.raises(UnknownObjectException):
        repo.get_collaborator_permission("nobody")
    with pytest.raises(GithubException) as refusal:
        site.repo("eve").get_collaborator_permission("ana")
    assert refusal.value.status == 403


def test_git_data_makes_trees_with_deletions_and_moves_refs_forward_only(site: Site) -> None:
    repo = site.repo()
    main = repo.get_git_ref("heads/main").object.sha
    base = repo.get_git_commit(main)
    blob = repo.create_git_blob("c2VsZWN0IDk=", "base64")
    tree = repo.create_git_tree(
        [
            InputGitTreeElement("models/staging/payments.sql", "100644", "blob", sha=None),
            InputGitTreeElement("models/new/deep.sql", "100644", "blob", sha=blob.sha),
        ],
        base_tree=base.tree,
    )
    everything = repo.get_git_tree(tree.sha, recursive=True)
    assert [entry.path for entry in everything.tree if entry.type == "blob"] == [
        "README.md",
        "models/new/deep.sql",
        "models/orders.sql",
    ]
    commit = repo.create_git_commit("Move", tree, [base])
    ref = repo.create_git_ref("refs/heads/claude/a", commit.sha)
    assert [found.ref for found in repo.get_git_matching_refs("heads/claude/")] == ["refs/heads/claude/a"]
    with pytest.raises(GithubException, match="Reference already exists"):
        repo.create_git_ref("refs/heads/claude/a", main)
    with pytest.raises(GithubException, match="not a fast forward"):
        ref.edit(main)
    ref.edit(main, force=True)
    ref.edit(commit.sha)
    comparison = repo.compare("main", "claude/a")
    assert (comparison.status, comparison.ahead_by, comparison.behind_by) == ("ahead", 1, 0)
    assert {file.filename: file.status for file in comparison.files} == {
        "models/staging/payments.sql": "removed",
        "models/new/deep.sql": "added",
    }
    assert repo.get_branch("claude/a").commit.sha == commit.sha
    ref.delete()
    with pytest.raises(UnknownObjectException):
        repo.get_git_ref("heads/claude/a")
    with pytest.raises(GithubException, match="Object does not exist"):
        repo.create_git_ref("refs/heads/claude/b", "0" * 39 + "1")


def test_contents_are_read_at_a_ref(site: Site) -> None:
    repo = site.repo()
    assert sorted(entry.path for entry in repo.get_contents("models")) == ["models/orders.sql", "models/staging"]  # type: ignore[union-attr]
    propose(site, "claude/x", text="select 'ü'\n")
    found = repo.get_contents("models/orders.sql", ref="claude/x")
    assert found.decoded_content.decode() == "select 'ü'\n"  # type: ignore[union-attr]
    with pytest.raises(GithubException, match="No commit found for the ref nowhere"):
        repo.get_contents("models/orders.sql", ref="nowhere")
    with pytest.raises(UnknownObjectException):
        repo.get_contents("models/absent.sql")
    assert [commit.commit.message for commit in repo.get_commits(path="models/orders.sql")] == ["Lay out the shop"]


def test_a_pull_request_is_not_opened_twice_nor_for_nothing(site: Site) -> None:
    repo = site.repo()
    pull = propose(site, "claude/x")
    assert [found.number for found in repo.get_pulls(state="all", head="acme:claude/x")] == [pull.number]
    for head, words in (("claude/x", "already exists for acme:claude/x"), ("absent", "invalid")):
        with pytest.raises(GithubException, match=words) as refusal:
            repo.create_pull(title="again", head=head, base="main")
        assert refusal.value.status == 422
    repo.create_git_ref("refs/heads/claude/empty", repo.get_branch("main").commit.sha)
    with pytest.raises(GithubException, match="No commits between main and claude/empty"):
        repo.create_pull(title="nothing", head="claude/empty", base="main")
    assert site.repo().get_issues(state="all").totalCount == 1


def test_a_conflict_a_moved_head_and_a_draft_are_not_merged(site: Site) -> None:
    one, other = (
        propose(site, "claude/one", text="select 1 as a\n"),
        propose(site, "claude/other", text="select 2 as b\n"),
    )
    with pytest.raises(GithubException, match="Head branch was modified") as moved:
        one.merge(sha="0" * 40)
    assert moved.value.status == 409
    squashed = one.merge(merge_method="squash")
    assert [parent.sha for parent in site.repo().get_commit(squashed.sha).parents] == [one.base.sha]
    assert site.repo().get_commit(squashed.sha).commit.message == f"Fix the orders (#{one.number})"
    assert site.repo().get_pull(other.number).mergeable_state == "dirty"
    with pytest.raises(GithubException, match="not mergeable") as conflict:
        other.merge()
    assert conflict.value.status == 405
    with pytest.raises(GithubException) as again:
        one.merge()
    assert again.value.status == 405
    repo = site.repo()
    repo.create_git_ref("refs/heads/claude/draft", repo.get_pull(other.number).head.sha)
    draft = repo.create_pull(title="d", head="claude/draft", base="main", draft=True)
    with pytest.raises(GithubException, match="still a draft"):
        draft.merge()


def test_a_merge_closes_only_what_is_named_by_keyword_outside_code_and_comments(site: Site) -> None:
    repo = site.repo()
    for title in ("fixed", "mentioned", "quoted"):
        repo.create_issue(title)
    propose(site, body="Fixes #1, see #2\n\n`closes #3` <!-- closes #3 -->").merge()
    assert [(issue.number, issue.state) for issue in repo.get_issues(state="all", direction="asc")][:3] == [
        (1, "closed"),
        (2, "open"),
        (3, "open"),
    ]


def test_a_push_over_http_moves_the_pull_request(site: Site) -> None:
    pull = propose(site, "claude/x")
    folder = site.state.home.parent
    address = site.root.replace("http://", "http://x-access-token:token-of-wren@") + "/acme/shop.git"
    git(folder, "clone", "-q", "-b", "claude/x", address, "clone")
    clone = folder / "clone"
    (clone / "models" / "orders.sql").write_text("select 4\n")
    git(clone, "commit", "-qam", "Better")
    git(clone, "push", "-q", "origin", "claude/x")
    assert site.repo().get_pull(pull.number).head.sha == git(clone, "rev-parse", "HEAD").strip()
    assert site.repo().get_pull(pull.number).commits == 2


def test_anybody_clones_but_only_writers_push(site: Site) -> None:
    folder = site.state.home.parent
    git(folder, "clone", "-q", f"{site.root}/acme/shop.git", "clone")
    clone = folder / "clone"
    assert (clone / "models" / "orders.sql").read_text() == "select 1 as id\n"
    git(clone, "commit", "-q", "--allow-empty", "-m", "x")
    assert "terminal prompts disabled" in git(clone, "push", "origin", "main", check=False)
    for token, words in (("token-of-eve", "403"), ("wrong", "Authentication failed")):
        address = site.root.replace("http://", f"http://x-access-token:{token}@") + "/acme/shop.git"
        assert words in git(clone, "push", address, "main", check=False)
    assert "terminal prompts disabled" in git(folder, "clone", f"{site.root}/acme/absent.git", check=False)
    assert len(list(site.repo().get_commits())) == 1


def test_a_deleted_branch_closes_its_pull_request(site: Site) -> None:
    pull = propose(site, "claude/x")
    site.repo().get_git_ref("heads/claude/x").delete()
    after = site.repo().get_pull(pull.number)
    assert (after.state, after.merged) == ("closed", False)
    with pytest.raises(GithubException) as refusal:
        after.edit(state="open")
    assert refusal.value.status == 422


def test_reviews_are_kept(site: Site) -> None:
    pull = propose(site)
    site.repo("ana").get_pull(pull.number).create_review(body="good", event="APPROVE")
    assert [(review.user.login, review.state) for review in pull.get_reviews()] == [("ana", "APPROVED")]


def test_search_finds_a_marker_in_bodies(site: Site) -> None:
    repo = site.repo()
    repo.create_issue("a", body="fingerprint-abc")
    repo.create_issue("b", body="other").edit(state="closed")
    found = site.github("ana").search_issues('repo:acme/shop is:issue in:body "fingerprint-abc"')
    assert [issue.number for issue in found] == [1]
    assert site.github("ana").search_issues("repo:acme/shop is:closed").totalCount == 1
