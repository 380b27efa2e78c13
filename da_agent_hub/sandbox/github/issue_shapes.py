"""Issues, comments, reactions and events in the JSON shapes of GitHub's REST API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .repo_shapes import RepoShapes, node_id
from .state import has_access

REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


class IssueShapes(RepoShapes):
    """What a thread is made of."""

    def label(self, repo: Any, row: Any) -> dict[str, Any]:
        """A label."""
        return {
            "id": row["id"],
            "node_id": node_id("Label", row["id"]),
            "url": f"{self.repo_url(repo)}/labels/{quote(row['name'], safe='')}",
            "name": row["name"],
            "color": row["color"],
            "default": False,
            "description": row["description"],
        }

    def issue(self, repo: Any, row: Any, *, single: bool = False) -> dict[str, Any]:
        """An issue, or the issue side of a pull request; ``closed_by`` is told on single issues only."""
        url = f"{self.repo_url(repo)}/issues/{row['number']}"
        page = f"{self.page_url(repo)}/{'pull' if row['is_pull'] else 'issues'}/{row['number']}"
        labels = self.db.execute(
            "select labels.* from labels join issue_labels on label_id = labels.id where issue_id = ? order by issue_labels.rowid",
            (row["id"],),
        )
        assignees = self._assignees(row)
        body = {
            "id": row["id"],
            "node_id": node_id("PullRequest" if row["is_pull"] else "Issue", row["id"]),
            "url": url,
            "repository_url": self.repo_url(repo),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "timeline_url": f"{url}/timeline",
            "html_url": page,
            "number": row["number"],
            "state": row["state"],
            "state_reason": row["state_reason"],
            "title": row["title"],
            "body": row["body"],
            "user": self.user_by_id(row["author_id"]),
            "labels": [self.label(repo, label) for label in labels],
            "assignee": assignees[0] if assignees else None,
            "assignees": assignees,
            "milestone": None,
            "locked": False,
            "active_lock_reason": None,
            "comments": self._count("comments", row),
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
            "closed_at": row["closed_at"],
            "author_association": self.association(repo, row["author_id"]),
            "reactions": self.reaction_counts("issue", row["id"], url),
            "performed_via_github_app": None,
        }
        if row["is_pull"]:
            pull = self.db.execute("select * from pulls where issue_id = ?", (row["id"],)).fetchone()
            pull_url = f"{self.repo_url(repo)}/pulls/{row['number']}"
            body["draft"] = bool(pull["draft"])
            body["pull_request"] = {
                "url": pull_url,
                "html_url": page,
                "diff_url": f"{page}.diff",
                "patch_url": f"{page}.patch",
                "merged_at": pull["merged_at"],
            }
        if single:
            body["closed_by"] = self.user_by_id(row["closed_by_id"])
        return body

    def comment(self, repo: Any, row: Any) -> dict[str, Any]:
        """A comment of an issue or pull request."""
        issue = self.db.execute("select * from issues where id = ?", (row["issue_id"],)).fetchone()
        url = f"{self.repo_url(repo)}/issues/comments/{row['id']}"
        page = f"{self.page_url(repo)}/{'pull' if issue['is_pull'] else 'issues'}/{issue['number']}"
        return {
            "id": row["id"],
            "node_id": node_id("IssueComment", row["id"]),
            "url": url,
            "html_url": f"{page}#issuecomment-{row['id']}",
            "issue_url": f"{self.repo_url(repo)}/issues/{issue['number']}",
            "body": row["body"],
            "user": self.user_by_id(row["author_id"]),
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
            "author_association": self.association(repo, row["author_id"]),
            "reactions": self.reaction_counts("comment", row["id"], url),
            "performed_via_github_app": None,
        }

    def reaction(self, row: Any) -> dict[str, Any]:
        """A reaction."""
        return {
            "id": row["id"],
            "node_id": node_id("Reaction", row["id"]),
            "user": self.user_by_id(row["user_id"]),
            "content": row["content"],
            "created_at": row["created_at"],
        }

    def reaction_counts(self, subject: str, subject_id: int, url: str) -> dict[str, Any]:
        """How many of each reaction."""
        counts = dict(
            self.db.execute(
                "select content, count(*) from reactions where subject = ? and subject_id = ? group by content",
                (subject, subject_id),
            ).fetchall()
        )
        kinds = {kind: counts.get(kind, 0) for kind in REACTIONS}
        return {"url": f"{url}/reactions", "total_count": sum(kinds.values()), **kinds}

    def event(self, repo: Any, row: Any, *, with_issue: bool = False) -> dict[str, Any]:
        """An event of an issue's life, as in ``/events`` and the timeline."""
        url = f"{self.repo_url(repo)}/issues/events/{row['id']}"
        actor = self.user_by_id(row["actor_id"])
        body: dict[str, Any] = {
            "id": row["id"],
            "node_id": node_id("Event", row["id"]),
            "url": url,
            "actor": actor,
            "event": row["event"],
            "commit_id": row["commit_id"],
            "commit_url": f"{self.repo_url(repo)}/commits/{row['commit_id']}" if row["commit_id"] else None,
            "created_at": row["created_at"],
            "performed_via_github_app": None,
        }
        if row["label_name"] is not None:
            body["label"] = {"name": row["label_name"], "color": row["label_color"]}
        if row["assignee_id"] is not None:
            body["assignee"] = self.user_by_id(row["assignee_id"])
            body["assigner"] = actor
        if row["event"] == "closed":
            body["state_reason"] = row["state_reason"]
        if row["renamed_from"] is not None:
            body["rename"] = {"from": row["renamed_from"], "to": row["renamed_to"]}
        if with_issue:
            issue = self.db.execute("select * from issues where id = ?", (row["issue_id"],)).fetchone()
            body["issue"] = self.issue(repo, issue)
        return body

    def cross_reference(self, repo: Any, row: Any) -> dict[str, Any]:
        """A timeline entry that says who named this issue."""
        source = self.db.execute("select * from issues where id = ?", (row["source_issue_id"],)).fetchone()
        return {
            "actor": self.user_by_id(row["actor_id"]),
            "created_at": row["created_at"],
            "updated_at": row["created_at"],
            "source": {"type": "issue", "issue": self.issue(repo, source)},
            "event": "cross-referenced",
        }

    def association(self, repo: Any, user_id: int) -> str:
        """How an author stands to the repository."""
        if user_id == repo["owner_id"]:
            return "OWNER"
        user = self.db.execute("select * from users where id = ?", (user_id,)).fetchone()
        return "COLLABORATOR" if has_access(self.db, repo, user) else "NONE"

    def _assignees(self, row: Any) -> list[dict[str, Any]]:
        users = self.db.execute(
            "select users.* from users join issue_assignees on user_id = users.id where issue_id = ? order by issue_assignees.rowid",
            (row["id"],),
        )
        return [self.user(user) for user in users]

    def _count(self, table: str, row: Any) -> int:
        return int(self.db.execute(f"select count(*) from {table} where issue_id = ?", (row["id"],)).fetchone()[0])  # noqa: S608
