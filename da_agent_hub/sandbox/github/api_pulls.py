"""Pull requests: opening, reading, reviewing and merging."""

from __future__ import annotations

from typing import Any

from .call import Call, Reply, Route
from .errors import ApiError, forbidden, invalid, not_found
from .pull_requests import (
    SELECT_PULLS,
    as_of_now,
    fork_point,
    merge,
    mergeable,
    open_pull,
    pull_row,
)

_REVIEWS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def _pull(call: Call) -> dict[str, Any]:
    row = pull_row(call.db, call.repo, int(call.place["number"]))
    if row is None:
        raise not_found()
    return as_of_now(row, call.git.refs("refs/heads/"))


def _single(call: Call, pull: dict[str, Any]) -> dict[str, Any]:
    git = call.git
    clean = mergeable(git, pull)
    files = git.diff(fork_point(git, pull), pull["head_sha"])
    state = {True: "draft" if pull["draft"] else "clean", False: "dirty", None: "unknown"}[clean]
    return {
        **call.show.pull(call.repo, pull),
        "merged": pull["merged_at"] is not None,
        "mergeable": clean,
        "rebaseable": clean,
        "mergeable_state": state,
        "merged_by": call.show.user_by_id(pull["merged_by_id"]),
        "comments": call.show.issue(call.repo, pull)["comments"],
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": git.ahead_behind(pull["base_sha"], pull["head_sha"])[0],
        "additions": sum(file.additions for file in files),
        "deletions": sum(file.deletions for file in files),
        "changed_files": len(files),
    }


def pulls(call: Call) -> Reply:
    """Pull requests by state, ``head`` (``owner:branch``) and ``base``."""
    state = call.choice("state", ("open", "closed", "all"), "open")
    sort = call.choice("sort", ("created", "updated", "popularity", "long-running"), "created")
    direction = call.choice("direction", ("asc", "desc"), "desc" if sort == "created" else "asc")
    conditions, values = ["repo_id = ?"], [call.repo["id"]]
    if state != "all":
        conditions.append("state = ?")
        values.append(state)
    owner, colon, head = call.query.get("head", "").partition(":")
    if colon:  # GitHub ignores a head that does not name its owner
        conditions.append("head_ref = ?")
        values.append(head if owner.lower() == call.repo["owner"].lower() else "")
    if base := call.query.get("base"):
        conditions.append("base_ref = ?")
        values.append(base)
    order = "updated_at" if sort == "updated" else "created_at"
    rows = call.db.execute(
        f"{SELECT_PULLS} where {' and '.join(conditions)} order by {order} {direction}, number {direction}", values
    ).fetchall()
    heads = call.git.refs("refs/heads/")
    return call.paged(rows, lambda row: call.show.pull(call.repo, as_of_now(row, heads)))


def create_pull(call: Call) -> Reply:
    """Open a pull request from a branch of this repository."""
    call.need("write")
    head, base = call.needed("head", "PullRequest"), call.needed("base", "PullRequest")
    owner, colon, branch = head.partition(":")
    if colon and owner.lower() != call.repo["owner"].lower():
        raise invalid("PullRequest", "head", "invalid")
    row = open_pull(
        call.thread,
        call.git,
        title=call.needed("title", "PullRequest"),
        body=call.text("body", "PullRequest"),
        head=branch if colon else head,
        base=base,
        draft=call.fields().get("draft") is True,
    )
    shown = _single(call, dict(row))
    return Reply(shown, 201, {"Location": shown["url"]})


def pull(call: Call) -> Reply:
    """One pull request, with whether it can be merged."""
    return Reply(_single(call, _pull(call)))


def update_pull(call: Call) -> Reply:
    """Change title, body, state or base."""
    row, user = _pull(call), call.signed_in()
    if not call.may("write") and row["author_id"] != user["id"]:
        raise forbidden("Must have admin rights to Repository.")
    state, base = call.text("state", "PullRequest"), call.text("base", "PullRequest")
    if state not in (None, "open", "closed"):
        raise invalid("PullRequest", "state", "invalid")
    fields, body = call.fields(), call.text("body", "PullRequest")
    call.thread.rewrite(
        row,
        title=call.text("title", "PullRequest", required="title" in fields),
        body="" if "body" in fields and body is None else body,
    )
    if base:
        if f"refs/heads/{base}" not in call.git.refs("refs/heads/"):
            raise invalid("PullRequest", "base", "invalid")
        call.db.execute("update pulls set base_ref = ? where issue_id = ?", (base, row["issue_id"]))
        call.thread.touch(row)
    if state == "closed":
        call.thread.close(row)
    elif state == "open" and row["state"] == "closed":
        if row["merged_at"] or f"refs/heads/{row['head_ref']}" not in call.git.refs("refs/heads/"):
            raise invalid("PullRequest", "state", "invalid", "state cannot be changed.")
        call.thread.reopen(row)
    return Reply(_single(call, _pull(call)))


def pull_files(call: Call) -> Reply:
    """The files that it changes."""
    row = _pull(call)
    files = call.git.diff(fork_point(call.git, row), row["head_sha"])
    return call.paged(files, lambda file: call.show.file(call.repo, row["head_sha"], file))


def pull_commits(call: Call) -> Reply:
    """The commits that it adds, oldest first."""
    row = _pull(call)
    added = call.git.commits("--reverse", f"{row['base_sha']}..{row['head_sha']}")
    return call.paged(added, lambda commit: call.show.commit(call.repo, commit))


def is_merged(call: Call) -> Reply:
    """204 where it is merged, else 404."""
    if not _pull(call)["merged_at"]:
        raise not_found()
    return Reply(status=204)


def merge_pull(call: Call) -> Reply:
    """Merge into the base branch."""
    row = _pull(call)
    call.need("write")
    method = call.text("merge_method", "PullRequest") or "merge"
    if method not in ("merge", "squash"):
        raise ApiError(405, "Rebase merges are not allowed on this repository.")
    commit = merge(
        call.thread,
        call.git,
        row,
        method=method,
        title=call.text("commit_title", "PullRequest"),
        message=call.text("commit_message", "PullRequest"),
        expected_head=call.text("sha", "PullRequest"),
    )
    return Reply({"sha": commit, "merged": True, "message": "Pull Request successfully merged"})


def reviews(call: Call) -> Reply:
    """Reviews, oldest first."""
    row = _pull(call)
    found = call.db.execute("select * from reviews where issue_id = ? order by id", (row["issue_id"],)).fetchall()
    return call.paged(found, lambda review: call.show.review(call.repo, row["number"], review))


def create_review(call: Call) -> Reply:
    """Review as a whole; comments on lines are not kept."""
    row, user = _pull(call), call.signed_in()
    event, body = call.text("event", "PullRequestReview") or "COMMENT", call.text("body", "PullRequestReview") or ""
    if event not in _REVIEWS:
        raise invalid("PullRequestReview", "event", "invalid")
    if event == "APPROVE" and user["id"] == row["author_id"]:
        raise ApiError(422, "Unprocessable Entity", ["Can not approve your own pull request"])
    if event != "APPROVE" and not body.strip():
        raise ApiError(422, "Unprocessable Entity", ["Body can't be blank"])
    review_id = call.thread.moment()
    call.db.execute(
        "insert into reviews (id, issue_id, author_id, state, body, commit_id, submitted_at) "
        "values (?, ?, ?, ?, ?, ?, ?)",
        (review_id, row["issue_id"], user["id"], _REVIEWS[event], body, row["head_sha"], call.now),
    )
    call.thread.touch(row)
    review = call.db.execute("select * from reviews where id = ?", (review_id,)).fetchone()
    return Reply(call.show.review(call.repo, row["number"], review))


_REPO = "/repos/{owner}/{repo}"
_PULL = f"{_REPO}/pulls/{{number:int}}"
ROUTES: tuple[Route, ...] = (
    ("GET", f"{_REPO}/pulls", pulls),
    ("POST", f"{_REPO}/pulls", create_pull),
    ("GET", _PULL, pull),
    ("PATCH", _PULL, update_pull),
    ("GET", f"{_PULL}/files", pull_files),
    ("GET", f"{_PULL}/commits", pull_commits),
    ("GET", f"{_PULL}/merge", is_merged),
    ("PUT", f"{_PULL}/merge", merge_pull),
    ("GET", f"{_PULL}/reviews", reviews),
    ("POST", f"{_PULL}/reviews", create_review),
)
