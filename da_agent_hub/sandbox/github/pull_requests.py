"""The life of pull requests: following their branches, merging with git, closing what they close."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from .bare_repo import BareRepo, Signature
from .errors import ApiError, custom
from .state import GitHubState
from .threads import Thread, closing_numbers

SELECT_PULLS = "select issues.*, pulls.* from issues join pulls on pulls.issue_id = issues.id"


def open_pull(thread: Thread, git: BareRepo, *, title: str, body: str | None, head: str, base: str, draft: bool) -> Any:
    """Open a pull request of two branches of one repository; returns its row."""
    head_sha, base_sha = (git.refs("refs/heads/").get(f"refs/heads/{name}") for name in (head, base))
    for field, sha in (("head", head_sha), ("base", base_sha)):
        if sha is None:
            raise ApiError(422, "Validation Failed", [{"resource": "PullRequest", "field": field, "code": "invalid"}])
    assert head_sha is not None
    assert base_sha is not None
    twin = thread.db.execute(
        f"{SELECT_PULLS} where repo_id = ? and state = 'open' and head_ref = ? and base_ref = ?",
        (thread.repo["id"], head, base),
    ).fetchone()
    if twin:
        raise custom("PullRequest", f"A pull request already exists for {thread.repo['owner']}:{head}.")
    if git.is_ancestor(head_sha, base_sha):
        raise custom("PullRequest", f"No commits between {base} and {head}")
    issue = thread.open(title=title, body=body, is_pull=True)
    thread.db.execute(
        "insert into pulls (issue_id, head_ref, head_sha, base_ref, base_sha, draft) values (?, ?, ?, ?, ?, ?)",
        (issue["id"], head, head_sha, base, base_sha, draft),
    )
    return pull_row(thread.db, thread.repo, issue["number"])


def pull_row(db: sqlite3.Connection, repo: Any, number: int) -> Any:
    """A pull request with its issue's columns, or None."""
    return db.execute(f"{SELECT_PULLS} where repo_id = ? and number = ?", (repo["id"], number)).fetchone()


def as_of_now(pull: Any, heads: Mapping[str, str]) -> dict[str, Any]:
    """A pull request's row with an open one's SHAs where its branches are now."""
    row = dict(pull)
    if pull["state"] == "open":
        row["head_sha"] = heads.get(f"refs/heads/{pull['head_ref']}", pull["head_sha"])
        row["base_sha"] = heads.get(f"refs/heads/{pull['base_ref']}", pull["base_sha"])
    return row


def follow_branches(db: sqlite3.Connection, repo: Any, git: BareRepo, now: str) -> None:
    """Bring open pull requests up to where their branches are now (somebody may have pushed)."""
    pulls = db.execute(f"{SELECT_PULLS} where repo_id = ? and state = 'open'", (repo["id"],)).fetchall()
    if not pulls:
        return
    heads = git.refs("refs/heads/")
    for pull in pulls:
        now_at = as_of_now(pull, heads)
        if now_at != dict(pull):
            db.execute(
                "update pulls set head_sha = ?, base_sha = ? where issue_id = ?",
                (now_at["head_sha"], now_at["base_sha"], pull["issue_id"]),
            )
        if now_at["head_sha"] != pull["head_sha"]:
            db.execute("update issues set updated_at = max(updated_at, ?) where id = ?", (now, pull["issue_id"]))


def fork_point(git: BareRepo, pull: Any) -> str:
    """Where a pull request's branch left its base, as long as the base was not yet merged with it."""
    return git.merge_base(pull["base_sha"], pull["head_sha"]) or str(pull["base_sha"])


def mergeable(git: BareRepo, pull: Any) -> bool | None:
    """Whether git can merge it without conflict; None once it is closed."""
    if pull["state"] == "closed":
        return None
    return git.merge_tree(pull["base_sha"], pull["head_sha"]) is not None


def merge(
    thread: Thread,
    git: BareRepo,
    pull: Any,
    *,
    method: str = "merge",
    title: str | None = None,
    message: str | None = None,
    expected_head: str | None = None,
) -> str:
    """Merge into the base branch; returns the new commit's SHA.

    git and the database cannot commit as one: the intent is committed first, so that after a crash
    ``settle_after_a_crash`` knows what the base branch may already hold.
    """
    if pull["merged_at"] or pull["state"] == "closed":
        raise ApiError(405, "Pull Request is not mergeable")
    if pull["draft"]:
        raise ApiError(405, "Pull Request is still a draft")
    if expected_head and expected_head != pull["head_sha"]:
        raise ApiError(409, "Head branch was modified. Review and try the merge again.")
    commit = _merge_commit(thread, git, pull, method, title, message)
    db = thread.db
    db.execute(
        "insert or replace into merges_under_way values (?, ?, ?)", (pull["issue_id"], commit, thread.actor["id"])
    )
    db.execute("update pulls set base_sha = ? where issue_id = ?", (pull["base_sha"], pull["issue_id"]))
    db.execute("commit")
    db.execute("begin immediate")
    if not git.update_ref(f"refs/heads/{pull['base_ref']}", commit, pull["base_sha"]):
        raise ApiError(405, "Base branch was modified. Review and try the merge again.")
    finish_merge(thread, git, pull, commit)
    return commit


def _merge_commit(thread: Thread, git: BareRepo, pull: Any, method: str, title: str | None, message: str | None) -> str:
    tree = git.merge_tree(pull["base_sha"], pull["head_sha"])
    if tree is None:
        raise ApiError(405, "Pull Request is not mergeable")
    squash = method == "squash"
    if title is None and squash:
        title = f"{pull['title']} (#{pull['number']})"
    elif title is None:
        title = f"Merge pull request #{pull['number']} from {thread.repo['owner']}/{pull['head_ref']}"
    if message is None and squash:
        added = git.commits("--reverse", f"{pull['base_sha']}..{pull['head_sha']}")
        message = "\n\n".join(f"* {commit.message}" for commit in added) if len(added) > 1 else ""
    elif message is None:
        message = str(pull["title"])
    actor = thread.actor
    who = Signature(actor["name"] or actor["login"], f"{actor['login']}@users.noreply.github.com", thread.now)
    parents = [pull["base_sha"]] if squash else [pull["base_sha"], pull["head_sha"]]
    return git.write_commit(tree, parents, f"{title}\n\n{message}".strip(), who, who)


def finish_merge(thread: Thread, git: BareRepo, pull: Any, commit: str) -> None:
    """Record a merge that the base branch already holds, and close the issues it names."""
    thread.db.execute(
        "update pulls set merged_at = ?, merged_by_id = ?, merge_commit_sha = ? where issue_id = ?",
        (thread.now, thread.actor["id"], commit, pull["issue_id"]),
    )
    issue = thread.db.execute("select * from issues where id = ?", (pull["issue_id"],)).fetchone()
    thread.event(issue, "merged", commit_id=commit)
    thread.close(issue)
    if pull["base_ref"] == thread.repo["default_branch"]:
        texts = [pull["body"] or "", *(one.message for one in git.commits(f"{pull['base_sha']}..{commit}"))]
        for number in dict.fromkeys(number for text in texts for number in closing_numbers(text)):
            target = thread.db.execute(
                "select * from issues where repo_id = ? and number = ? and not is_pull", (thread.repo["id"], number)
            ).fetchone()
            if target and target["state"] == "open":
                thread.close(target, commit=commit)
    thread.db.execute("delete from merges_under_way where issue_id = ?", (pull["issue_id"],))
    follow_branches(thread.db, thread.repo, git, thread.now)


def settle_after_a_crash(state: GitHubState) -> None:
    """Finish the merges whose commit reached the base branch, forget the others, and free what a dead git locked."""
    with state.transaction() as db:
        for repo in db.execute("select login, repos.name from repos join users on users.id = owner_id").fetchall():
            state.git(*repo).clear_locks()
        for row in db.execute("select * from merges_under_way").fetchall():
            pull = db.execute(f"{SELECT_PULLS} where issue_id = ?", (row["issue_id"],)).fetchone()
            repo = db.execute(
                "select repos.*, users.login as owner from repos join users on users.id = owner_id where repos.id = ?",
                (pull["repo_id"],),
            ).fetchone()
            actor = db.execute("select * from users where id = ?", (row["actor_id"],)).fetchone()
            git = state.git(repo["owner"], repo["name"])
            head = git.refs("refs/heads/").get(f"refs/heads/{pull['base_ref']}")
            if head and not pull["merged_at"] and git.is_ancestor(row["commit_sha"], head):
                finish_merge(Thread(db, repo, actor, state.now()), git, pull, row["commit_sha"])
            db.execute("delete from merges_under_way where issue_id = ?", (row["issue_id"],))
