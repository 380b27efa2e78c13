"""Issues, their labels, people, comments, reactions, events and timelines; and a small search."""

from __future__ import annotations

import re
from typing import Any

from .call import Call, Reply, Route, name_list
from .errors import ApiError, forbidden, invalid, not_found
from .issue_shapes import REACTIONS
from .state import find_repo, find_user, permission_of
from .timeline import timeline_of

_REASONS = ("completed", "not_planned", "duplicate", "reopened")


def issues(call: Call) -> Reply:
    """Issues and pull requests, filtered and sorted as GitHub does."""
    state = call.choice("state", ("open", "closed", "all"), "open")
    sort = call.choice("sort", ("created", "updated", "comments"), "created")
    direction = call.choice("direction", ("asc", "desc"), "desc")
    order = {
        "created": "created_at",
        "updated": "updated_at",
        "comments": "(select count(*) from comments where issue_id = issues.id)",
    }[sort]
    conditions, values = ["repo_id = ?", "updated_at >= ?"], [call.repo["id"], call.since()]
    if state != "all":
        conditions.append("state = ?")
        values.append(state)
    for name in filter(None, call.query.get("labels", "").split(",")):
        conditions.append(
            "exists (select 1 from issue_labels join labels on labels.id = label_id "
            "where issue_id = issues.id and name = ?)"
        )
        values.append(name.strip())
    if creator := call.query.get("creator"):
        conditions.append("author_id = (select id from users where login = ?)")
        values.append(creator)
    assignee = call.query.get("assignee")
    assigned = "exists (select 1 from issue_assignees join users on users.id = user_id where issue_id = issues.id"
    if assignee == "none":
        conditions.append(f"not {assigned})")
    elif assignee == "*":
        conditions.append(f"{assigned})")
    elif assignee:
        conditions.append(f"{assigned} and login = ?)")
        values.append(assignee)
    rows = call.db.execute(
        f"select * from issues where {' and '.join(conditions)} order by {order} {direction}, number {direction}",  # noqa: S608
        values,
    ).fetchall()
    return call.paged(rows, lambda row: call.show.issue(call.repo, row))


def create_issue(call: Call) -> Reply:
    """Open an issue; labels and assignees from people without write permission are dropped in silence."""
    call.signed_in()
    title, body = call.needed("title", "Issue"), call.text("body", "Issue")
    labels, people = call.names("labels"), _assignee_names(call)
    row = call.thread.open(title=title, body=body)
    if call.may("write"):
        call.thread.label(row, labels or [])
        call.thread.assign(row, call.users(people or []))
    shown = call.show.issue(call.repo, call.fresh(row), single=True)
    return Reply(shown, 201, {"Location": shown["url"]})


def issue(call: Call) -> Reply:
    """One issue."""
    return Reply(call.show.issue(call.repo, call.issue, single=True))


def update_issue(call: Call) -> Reply:
    """Change an issue: its author and people with write permission may; only the latter set labels and assignees."""
    row, user = call.issue, call.signed_in()
    if not call.may("write") and row["author_id"] != user["id"]:
        raise forbidden("Must have admin rights to Repository.")
    state, reason = call.text("state", "Issue"), call.text("state_reason", "Issue")
    if state not in (None, "open", "closed"):
        raise invalid("Issue", "state", "invalid")
    if reason not in (None, *_REASONS):
        raise invalid("Issue", "state_reason", "invalid")
    fields, thread = call.fields(), call.thread
    body = call.text("body", "Issue")
    thread.rewrite(
        row,
        title=call.text("title", "Issue", required="title" in fields),
        body="" if "body" in fields and body is None else body,
    )
    if call.may("write"):
        labels, people = call.names("labels"), _assignee_names(call)
        if labels is not None:
            thread.set_labels(row, labels)
        if people is not None:
            wanted = call.users(people)
            ids = {person["id"] for person in wanted}
            thread.unassign(row, [person for person in _assigned(call, row) if person["id"] not in ids])
            thread.assign(row, wanted)
    if state == "closed":
        thread.close(row, None if reason == "reopened" else reason)
    elif state == "open":
        thread.reopen(row)
    return Reply(call.show.issue(call.repo, call.fresh(row), single=True))


def _assignee_names(call: Call) -> list[str] | None:
    names = call.names("assignees")
    single = call.text("assignee", "Issue")
    return [*(names or []), single] if single else names


def _assigned(call: Call, row: Any) -> list[Any]:
    return call.db.execute(
        "select users.* from users join issue_assignees on user_id = users.id where issue_id = ?", (row["id"],)
    ).fetchall()


# labels and people of an issue


def _labels_reply(call: Call) -> Reply:
    return Reply([call.show.label(call.repo, row) for row in call.thread.labels(call.issue)])


def issue_labels(call: Call) -> Reply:
    """An issue's labels."""
    rows = call.db.execute(
        "select labels.* from labels join issue_labels on label_id = labels.id where issue_id = ? "
        "order by issue_labels.rowid",
        (call.issue["id"],),
    ).fetchall()
    return call.paged(rows, lambda row: call.show.label(call.repo, row))


def _label_names(call: Call) -> list[str]:
    names = name_list(call.payload, "labels") if isinstance(call.payload, list) else call.names("labels")
    if names is None:
        raise invalid("Label", "labels", "missing_field")
    return names


def add_labels(call: Call) -> Reply:
    """Add labels."""
    call.need("write")
    call.thread.label(call.issue, _label_names(call))
    return _labels_reply(call)


def set_labels(call: Call) -> Reply:
    """Replace all labels."""
    call.need("write")
    call.thread.set_labels(call.issue, _label_names(call))
    return _labels_reply(call)


def clear_labels(call: Call) -> Reply:
    """Take all labels off."""
    call.need("write")
    call.thread.set_labels(call.issue, [])
    return Reply(status=204)


def remove_label(call: Call) -> Reply:
    """Take one label off."""
    call.need("write")
    if not call.thread.unlabel(call.issue, call.place["name"]):
        raise ApiError(404, "Label does not exist")
    return _labels_reply(call)


def add_assignees(call: Call) -> Reply:
    """Assign; those without access stay out in silence."""
    call.need("write")
    found = [find_user(call.db, name) for name in call.names("assignees") or []]
    call.thread.assign(call.issue, [person for person in found if person is not None])
    return Reply(call.show.issue(call.repo, call.fresh(call.issue), single=True), 201)


def remove_assignees(call: Call) -> Reply:
    """Take assignees off."""
    call.need("write")
    found = [find_user(call.db, name) for name in call.names("assignees") or []]
    call.thread.unassign(call.issue, [person for person in found if person is not None])
    return Reply(call.show.issue(call.repo, call.fresh(call.issue), single=True))


# comments


def issue_comments(call: Call) -> Reply:
    """The thread, oldest first."""
    rows = call.db.execute(
        "select * from comments where issue_id = ? and updated_at >= ? order by id", (call.issue["id"], call.since())
    ).fetchall()
    return call.paged(rows, lambda row: call.show.comment(call.repo, row))


def repo_comments(call: Call) -> Reply:
    """Comments of the whole repository."""
    order = "updated_at" if call.choice("sort", ("created", "updated"), "created") == "updated" else "created_at"
    direction = call.choice("direction", ("asc", "desc"), "asc")
    rows = call.db.execute(
        "select comments.* from comments join issues on issues.id = issue_id where repo_id = ? "  # noqa: S608
        f"and comments.updated_at >= ? order by comments.{order} {direction}, comments.id {direction}",
        (call.repo["id"], call.since()),
    ).fetchall()
    return call.paged(rows, lambda row: call.show.comment(call.repo, row))


def create_comment(call: Call) -> Reply:
    """Comment: everybody with an account may."""
    call.signed_in()
    row = call.thread.comment(call.issue, call.needed("body", "IssueComment"))
    shown = call.show.comment(call.repo, row)
    return Reply(shown, 201, {"Location": shown["url"]})


def comment(call: Call) -> Reply:
    """One comment."""
    return Reply(call.show.comment(call.repo, call.comment))


def _need_own_comment(call: Call) -> None:
    row, user = call.comment, call.signed_in()
    if row["author_id"] != user["id"] and not call.may("write"):
        raise forbidden("Must have admin rights to Repository.")


def update_comment(call: Call) -> Reply:
    """Rewrite a comment."""
    _need_own_comment(call)
    call.thread.edit_comment(call.comment, call.needed("body", "IssueComment"))
    row = call.db.execute("select * from comments where id = ?", (call.comment["id"],)).fetchone()
    return Reply(call.show.comment(call.repo, row))


def delete_comment(call: Call) -> Reply:
    """Take a comment away."""
    _need_own_comment(call)
    call.thread.delete_comment(call.comment)
    return Reply(status=204)


# reactions


def _subject(call: Call) -> tuple[str, int]:
    return ("comment", call.comment["id"]) if "comment_id" in call.place else ("issue", call.issue["id"])


def reactions(call: Call) -> Reply:
    """Reactions, oldest first."""
    rows = call.db.execute(
        "select * from reactions where subject = ? and subject_id = ? order by id", _subject(call)
    ).fetchall()
    wanted = call.query.get("content")
    return call.paged([row for row in rows if not wanted or row["content"] == wanted], call.show.reaction)


def create_reaction(call: Call) -> Reply:
    """React: 201 the first time, 200 when it was there."""
    subject, user = _subject(call), call.signed_in()
    content = call.needed("content", "Reaction")
    if content not in REACTIONS:
        raise invalid("Reaction", "content", "invalid")
    added = call.db.execute(
        "insert into reactions (subject, subject_id, user_id, content, created_at) values (?, ?, ?, ?, ?) "
        "on conflict do nothing",
        (*subject, user["id"], content, call.now),
    )
    row = call.db.execute(
        "select * from reactions where subject = ? and subject_id = ? and user_id = ? and content = ?",
        (*subject, user["id"], content),
    ).fetchone()
    return Reply(call.show.reaction(row), 201 if added.rowcount else 200)


def delete_reaction(call: Call) -> Reply:
    """Take one's own reaction away."""
    user = call.signed_in()
    gone = call.db.execute(
        "delete from reactions where subject = ? and subject_id = ? and id = ? and user_id = ?",
        (*_subject(call), int(call.place["reaction_id"]), user["id"]),
    )
    if not gone.rowcount:
        raise not_found()
    return Reply(status=204)


# events


def issue_events(call: Call) -> Reply:
    """An issue's events, oldest first."""
    rows = call.db.execute(
        "select * from events where issue_id = ? and event <> 'cross-referenced' order by id", (call.issue["id"],)
    ).fetchall()
    return call.paged(rows, lambda row: call.show.event(call.repo, row))


def repo_events(call: Call) -> Reply:
    """The repository's events, newest first, each with its issue."""
    rows = call.db.execute(
        "select events.* from events join issues on issues.id = issue_id "
        "where repo_id = ? and event <> 'cross-referenced' order by events.id desc",
        (call.repo["id"],),
    ).fetchall()
    return call.paged(rows, lambda row: call.show.event(call.repo, row, with_issue=True))


def issue_event(call: Call) -> Reply:
    """One event."""
    row = call.db.execute(
        "select events.* from events join issues on issues.id = issue_id where repo_id = ? and events.id = ?",
        (call.repo["id"], int(call.place["event_id"])),
    ).fetchone()
    if row is None:
        raise not_found()
    return Reply(call.show.event(call.repo, row, with_issue=True))


def timeline(call: Call) -> Reply:
    """Events, comments, cross-references, commits and reviews of an issue in the order they happened."""
    return call.paged(timeline_of(call.show, call.repo, call.issue, call.git), lambda entry: entry)


# search


def search_issues(call: Call) -> Reply:
    """``repo:``, ``is:``, ``state:``, ``label:``, ``author:`` and words in title and body."""
    words = re.findall(r'(?:[\w-]+:)?"[^"]*"|\S+', call.query.get("q", ""))
    terms = [word.replace('"', "") for word in words if ":" not in word.split('"')[0]]
    rules = [word.replace('"', "").split(":", 1) for word in words if ":" in word.split('"')[0]]
    names = [value for key, value in rules if key == "repo"]
    if not names:
        raise ApiError(422, "Validation Failed", [{"resource": "Search", "field": "q", "code": "missing"}])
    found: list[tuple[Any, Any]] = []
    for name in names:
        owner, _, short = name.partition("/")
        repo = find_repo(call.db, owner, short)
        if repo is None or permission_of(call.db, repo, call.viewer) == "none":
            raise ApiError(422, "Validation Failed", [{"resource": "Search", "field": "q", "code": "invalid"}])
        rows = call.db.execute("select * from issues where repo_id = ? order by number desc", (repo["id"],))
        found.extend((repo, row) for row in rows if _matches(call, repo, row, rules, terms))
    page = call.paged(found, lambda pair: {**call.show.issue(*pair), "score": 1.0})
    return Reply(
        {"total_count": len(found), "incomplete_results": False, "search_type": "lexical", "items": page.body},
        headers=page.headers,
    )


def _matches(call: Call, repo: Any, row: Any, rules: list[list[str]], terms: list[str]) -> bool:
    shown = call.show.issue(repo, row)
    facts = {row["state"], "pr" if row["is_pull"] else "issue", "pull-request" if row["is_pull"] else "issue"}
    labels = {label["name"].lower() for label in shown["labels"]}
    fields = [value for key, value in rules if key == "in"] or ["title", "body"]
    text = "\n".join(row[field] or "" for field in ("title", "body") if field in ",".join(fields)).lower()
    for key, value in rules:
        known = {
            "is": facts,
            "type": facts,
            "state": facts,
            "label": labels,
            "author": {shown["user"]["login"].lower()},
        }
        if key in known and value.lower() not in known[key]:
            return False
    return all(term.lower() in text for term in terms)


_REPO = "/repos/{owner}/{repo}"
_ISSUE = f"{_REPO}/issues/{{number:int}}"
_COMMENT = f"{_REPO}/issues/comments/{{comment_id:int}}"
ROUTES: tuple[Route, ...] = (
    ("GET", f"{_REPO}/issues", issues),
    ("POST", f"{_REPO}/issues", create_issue),
    ("GET", f"{_REPO}/issues/comments", repo_comments),
    ("GET", _COMMENT, comment),
    ("PATCH", _COMMENT, update_comment),
    ("DELETE", _COMMENT, delete_comment),
    ("GET", f"{_COMMENT}/reactions", reactions),
    ("POST", f"{_COMMENT}/reactions", create_reaction),
    ("DELETE", f"{_COMMENT}/reactions/{{reaction_id:int}}", delete_reaction),
    ("GET", f"{_REPO}/issues/events", repo_events),
    ("GET", f"{_REPO}/issues/events/{{event_id:int}}", issue_event),
    ("GET", _ISSUE, issue),
    ("PATCH", _ISSUE, update_issue),
    ("GET", f"{_ISSUE}/labels", issue_labels),
    ("POST", f"{_ISSUE}/labels", add_labels),
    ("PUT", f"{_ISSUE}/labels", set_labels),
    ("DELETE", f"{_ISSUE}/labels", clear_labels),
    ("DELETE", f"{_ISSUE}/labels/{{name:path}}", remove_label),
    ("POST", f"{_ISSUE}/assignees", add_assignees),
    ("DELETE", f"{_ISSUE}/assignees", remove_assignees),
    ("GET", f"{_ISSUE}/comments", issue_comments),
    ("POST", f"{_ISSUE}/comments", create_comment),
    ("GET", f"{_ISSUE}/reactions", reactions),
    ("POST", f"{_ISSUE}/reactions", create_reaction),
    ("DELETE", f"{_ISSUE}/reactions/{{reaction_id:int}}", delete_reaction),
    ("GET", f"{_ISSUE}/events", issue_events),
    ("GET", f"{_ISSUE}/timeline", timeline),
    ("GET", "/search/issues", search_issues),
)
