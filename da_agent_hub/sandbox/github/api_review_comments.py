"""Comments on the lines of a pull request, and reactions to them."""

from __future__ import annotations

from typing import Any

from .call import Call, Reply, Route
from .errors import invalid, not_found
from .issue_shapes import REACTIONS
from .pull_requests import fork_point, pull_row
from .repo_shapes import node_id

_SUBJECT = "review comment"


def _pull(call: Call) -> Any:
    row = pull_row(call.db, call.repo, int(call.place["number"]))
    if row is None:
        raise not_found()
    return row


def _comment(call: Call) -> Any:
    row = call.db.execute(
        "select review_comments.* from review_comments join issues on issues.id = issue_id "
        "where review_comments.id = ? and repo_id = ?",
        (int(call.place["comment_id"]), call.repo["id"]),
    ).fetchone()
    if row is None:
        raise not_found()
    return row


def _shape(call: Call, row: Any) -> dict[str, Any]:
    number = call.db.execute("select number from issues where id = ?", (row["issue_id"],)).fetchone()["number"]
    repo = call.show.repo_url(call.repo)
    url, page = f"{repo}/pulls/comments/{row['id']}", f"{call.show.page_url(call.repo)}/pull/{number}"
    return {
        "id": row["id"],
        "node_id": node_id("PullRequestReviewComment", row["id"]),
        "url": url,
        "html_url": f"{page}#discussion_r{row['id']}",
        "pull_request_url": f"{repo}/pulls/{number}",
        "pull_request_review_id": None,
        "diff_hunk": "@@",
        "path": row["path"],
        "line": row["line"],
        "original_line": row["line"],
        "side": "RIGHT",
        "commit_id": row["commit_id"],
        "original_commit_id": row["commit_id"],
        "user": call.show.user_by_id(row["author_id"]),
        "body": row["body"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "author_association": call.show.association(call.repo, row["author_id"]),
        "_links": {"self": {"href": url}, "html": {"href": page}, "pull_request": {"href": f"{repo}/pulls/{number}"}},
        "reactions": call.show.reaction_counts(_SUBJECT, row["id"], url),
    }


def review_comments(call: Call) -> Reply:
    """Those of one pull request, oldest first."""
    found = call.db.execute(
        "select * from review_comments where issue_id = ? and updated_at >= ? order by id",
        (_pull(call)["issue_id"], call.since()),
    ).fetchall()
    return call.paged(found, lambda row: _shape(call, row))


def create_review_comment(call: Call) -> Reply:
    """Comment on a line of a file that the pull request changes."""
    pull, user = _pull(call), call.signed_in()
    body, path, _ = (call.needed(name, "PullRequestReviewComment") for name in ("body", "path", "commit_id"))
    line = call.fields().get("line")
    if not isinstance(line, int) or line < 1:
        raise invalid("PullRequestReviewComment", "line", "invalid")
    if path not in {file.path for file in call.git.diff(fork_point(call.git, pull), pull["head_sha"])}:
        raise invalid("PullRequestReviewComment", "path", "invalid")
    number = call.thread.moment()
    call.db.execute(
        "insert into review_comments values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, pull["issue_id"], user["id"], body, path, line, pull["head_sha"], call.now, call.now),
    )
    call.thread.touch({"id": pull["issue_id"]})
    row = call.db.execute("select * from review_comments where id = ?", (number,)).fetchone()
    return Reply(_shape(call, row), 201, {"Location": _shape(call, row)["url"]})


def create_reaction(call: Call) -> Reply:
    """React: 201 the first time, 200 when it was there."""
    row, user, content = _comment(call), call.signed_in(), call.needed("content", "Reaction")
    if content not in REACTIONS:
        raise invalid("Reaction", "content", "invalid")
    place = (_SUBJECT, row["id"], user["id"], content)
    added = call.db.execute(
        "insert into reactions (subject, subject_id, user_id, content, created_at) values (?, ?, ?, ?, ?) "
        "on conflict do nothing",
        (*place, call.now),
    )
    kept = call.db.execute(
        "select * from reactions where subject = ? and subject_id = ? and user_id = ? and content = ?", place
    ).fetchone()
    return Reply(call.show.reaction(kept), 201 if added.rowcount else 200)


_REPO = "/repos/{owner}/{repo}"
ROUTES: tuple[Route, ...] = (
    ("GET", f"{_REPO}/pulls/{{number:int}}/comments", review_comments),
    ("POST", f"{_REPO}/pulls/{{number:int}}/comments", create_review_comment),
    ("POST", f"{_REPO}/pulls/comments/{{comment_id:int}}/reactions", create_reaction),
)
