"""What happens to an issue or pull request: each change moves ``updated_at`` and leaves GitHub's event."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import custom, invalid
from .state import has_access

BODY_LIMIT = 65536
_REFERENCE = re.compile(r"(?<![\w&/#])#(\d{1,9})\b")
_CLOSING = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+#(\d{1,9})\b", re.IGNORECASE)
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


class Thread:
    """Changes to the issues of one repository by one actor, inside the caller's transaction at the time ``now``."""

    def __init__(self, db: sqlite3.Connection, repo: Any, actor: Any, now: str) -> None:
        self.db = db
        self.repo = repo
        self.actor = actor
        self.now = now

    # opening and closing

    def open(self, *, title: str, body: str | None, is_pull: bool = False) -> Any:
        """Open an issue (or the issue side of a pull request) under the next number; returns its row."""
        check_title(title)
        check_body("Issue", body)
        number = self.db.execute(
            "select coalesce(max(number), 0) + 1 from issues where repo_id = ?", (self.repo["id"],)
        ).fetchone()[0]
        cursor = self.db.execute(
            "insert into issues (repo_id, number, is_pull, title, body, author_id, created_at, updated_at) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            (self.repo["id"], number, is_pull, title, body, self.actor["id"], self.now, self.now),
        )
        issue = self.db.execute("select * from issues where id = ?", (cursor.lastrowid,)).fetchone()
        self._cross_reference(issue, body)
        return issue

    def rewrite(self, issue: Any, *, title: str | None = None, body: str | None = None) -> None:
        """Change title or body."""
        if title is not None and title != issue["title"]:
            check_title(title)
            self.db.execute("update issues set title = ? where id = ?", (title, issue["id"]))
            self.event(issue, "renamed", renamed_from=issue["title"], renamed_to=title)
        if body is not None and body != issue["body"]:
            check_body("Issue", body)
            self.db.execute("update issues set body = ? where id = ?", (body, issue["id"]))
            self._cross_reference(issue, body)
            self.touch(issue)

    def close(self, issue: Any, reason: str | None = None, commit: str | None = None) -> None:
        """Close; an issue closes for a reason (``completed`` where none is given), a pull request for none."""
        reason = None if issue["is_pull"] else reason or "completed"
        if issue["state"] == "closed":
            if reason and reason != issue["state_reason"]:
                self.db.execute("update issues set state_reason = ? where id = ?", (reason, issue["id"]))
                self.touch(issue)
            return
        self.db.execute(
            "update issues set state = 'closed', state_reason = ?, closed_at = ?, closed_by_id = ? where id = ?",
            (reason, self.now, self.actor["id"], issue["id"]),
        )
        self.event(issue, "closed", state_reason=reason, commit_id=commit)

    def reopen(self, issue: Any) -> None:
        """Open again; what is open stays as it is."""
        if issue["state"] == "open":
            return
        if self.db.execute(
            "select 1 from pulls where issue_id = ? and merged_at is not null", (issue["id"],)
        ).fetchone():
            raise invalid("PullRequest", "state", "invalid", "state cannot be changed. The pull request is merged.")
        self.db.execute(
            "update issues set state = 'open', state_reason = ?, closed_at = null, closed_by_id = null where id = ?",
            (None if issue["is_pull"] else "reopened", issue["id"]),
        )
        self.event(issue, "reopened")

    # labels and people

    def label(self, issue: Any, names: Iterable[str]) -> None:
        """Add labels; those that the repository lacks are made, as GitHub does."""
        for name in dict.fromkeys(names):
            label = self.find_label(name) or self._make_label(name)
            added = self.db.execute(
                "insert into issue_labels values (?, ?) on conflict do nothing", (issue["id"], label["id"])
            )
            if added.rowcount:
                self.event(issue, "labeled", label_name=label["name"], label_color=label["color"])

    def unlabel(self, issue: Any, name: str) -> bool:
        """Take a label off; False where it was not on."""
        label = self.find_label(name)
        if label is None:
            return False
        removed = self.db.execute(
            "delete from issue_labels where issue_id = ? and label_id = ?", (issue["id"], label["id"])
        )
        if removed.rowcount:
            self.event(issue, "unlabeled", label_name=label["name"], label_color=label["color"])
        return bool(removed.rowcount)

    def set_labels(self, issue: Any, names: Sequence[str]) -> None:
        """Make these the whole set."""
        wanted = {name.lower() for name in names}
        for label in self.labels(issue):
            if label["name"].lower() not in wanted:
                self.unlabel(issue, label["name"])
        self.label(issue, names)

    def assign(self, issue: Any, users: Iterable[Any]) -> None:
        """Assign; people without access to the repository are passed over in silence, as GitHub does."""
        for user in users:
            if not has_access(self.db, self.repo, user):
                continue
            added = self.db.execute(
                "insert into issue_assignees values (?, ?) on conflict do nothing", (issue["id"], user["id"])
            )
            if added.rowcount:
                self.event(issue, "assigned", assignee_id=user["id"])

    def unassign(self, issue: Any, users: Iterable[Any]) -> None:
        """Take assignees off."""
        for user in users:
            removed = self.db.execute(
                "delete from issue_assignees where issue_id = ? and user_id = ?", (issue["id"], user["id"])
            )
            if removed.rowcount:
                self.event(issue, "unassigned", assignee_id=user["id"])

    def labels(self, issue: Any) -> list[Any]:
        """An issue's label rows."""
        return self.db.execute(
            "select labels.* from labels join issue_labels on label_id = labels.id where issue_id = ? "
            "order by issue_labels.rowid",
            (issue["id"],),
        ).fetchall()

    def find_label(self, name: str) -> Any:
        """A label of the repository by name, in any case, or None."""
        return self.db.execute(
            "select * from labels where repo_id = ? and name = ?", (self.repo["id"], name)
        ).fetchone()

    def _make_label(self, name: str) -> Any:
        check_label_name(name)
        self.db.execute("insert into labels (repo_id, name, color) values (?, ?, 'ededed')", (self.repo["id"], name))
        return self.find_label(name)

    # words

    def comment(self, issue: Any, body: str) -> Any:
        """Comment; returns the comment's row."""
        if not body.strip():
            raise custom("IssueComment", "body can't be blank")
        check_body("IssueComment", body)
        comment_id = self.moment()
        self.db.execute(
            "insert into comments (id, issue_id, author_id, body, created_at, updated_at) values (?, ?, ?, ?, ?, ?)",
            (comment_id, issue["id"], self.actor["id"], body, self.now, self.now),
        )
        self._cross_reference(issue, body)
        self.touch(issue)
        return self.db.execute("select * from comments where id = ?", (comment_id,)).fetchone()

    def edit_comment(self, comment: Any, body: str) -> None:
        """Replace a comment's body."""
        if not body.strip():
            raise custom("IssueComment", "body can't be blank")
        check_body("IssueComment", body)
        self.db.execute(
            "update comments set body = ?, updated_at = max(updated_at, ?) where id = ?",
            (body, self.now, comment["id"]),
        )
        issue = self.db.execute("select * from issues where id = ?", (comment["issue_id"],)).fetchone()
        self._cross_reference(issue, body)
        self.touch(issue)

    def delete_comment(self, comment: Any) -> None:
        """Take a comment away, with its reactions."""
        self.db.execute("delete from reactions where subject = 'comment' and subject_id = ?", (comment["id"],))
        self.db.execute("delete from comments where id = ?", (comment["id"],))
        self.touch({"id": comment["issue_id"]})

    # traces

    def event(self, issue: Any, name: str, **facts: Any) -> None:
        """Leave an event, and move ``updated_at``."""
        columns = ["id", "issue_id", "actor_id", "event", "created_at", *facts]
        self.db.execute(
            f"insert into events ({', '.join(columns)}) values ({', '.join('?' * len(columns))})",  # noqa: S608
            (self.moment(), issue["id"], self.actor["id"], name, self.now, *facts.values()),
        )
        self.touch(issue)

    def moment(self) -> int:
        """The next id for something in a thread."""
        return int(self.db.execute("insert into moments default values").lastrowid or 0)

    def touch(self, issue: Any) -> None:
        """Move ``updated_at``, never back."""
        self.db.execute("update issues set updated_at = max(updated_at, ?) where id = ?", (self.now, issue["id"]))

    def _cross_reference(self, issue: Any, text: str | None) -> None:
        """Tell the issues that a text names by number; each hears of one source once."""
        for number in mentioned_numbers(text or ""):
            target = self.db.execute(
                "select * from issues where repo_id = ? and number = ?", (self.repo["id"], number)
            ).fetchone()
            if target is None or target["id"] == issue["id"]:
                continue
            told = self.db.execute(
                "select 1 from events where issue_id = ? and event = 'cross-referenced' and source_issue_id = ?",
                (target["id"], issue["id"]),
            ).fetchone()
            if not told:
                self.event(target, "cross-referenced", source_issue_id=issue["id"])


def mentioned_numbers(text: str) -> list[int]:
    """The ``#numbers`` in a text, outside code and hidden comments."""
    return list(dict.fromkeys(int(number) for number in _REFERENCE.findall(_HIDDEN.sub(" ", text))))


def closing_numbers(text: str) -> list[int]:
    """The issues that a text closes by keyword (``Closes #1``)."""
    return list(dict.fromkeys(int(number) for number in _CLOSING.findall(_HIDDEN.sub(" ", text))))


def check_title(title: str) -> None:
    """Refuse a title that GitHub refuses."""
    if not title.strip():
        raise invalid("Issue", "title", "missing_field")
    if len(title) > 256:
        raise custom("Issue", "title is too long (maximum is 256 characters)")


def check_body(resource: str, body: str | None) -> None:
    """Refuse a body that GitHub refuses."""
    if body is not None and len(body) > BODY_LIMIT:
        raise custom(resource, f"body is too long (maximum is {BODY_LIMIT} characters)")


def check_label_name(name: str) -> None:
    """Refuse a label name that GitHub refuses."""
    if not name.strip():
        raise invalid("Label", "name", "missing_field")
    if len(name) > 50:
        raise custom("Label", "name is too long (maximum is 50 characters)")
