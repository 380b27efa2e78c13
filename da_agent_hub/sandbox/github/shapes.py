"""Rows and git objects in the JSON shapes of GitHub's REST API."""

from __future__ import annotations

import base64
import sqlite3
from typing import Any
from urllib.parse import quote

from .bare_repo import BareRepo, FileDiff, GitCommit, Signature
from .state import find_repo, has_access, permission_of

REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


class Shapes:
    """The shapes, with addresses under ``root`` (``http://host:port``)."""

    def __init__(self, db: sqlite3.Connection, root: str) -> None:
        self.db = db
        self.root = root
        self.api = f"{root}/api/v3"

    # people and repositories

    def user(self, row: Any) -> dict[str, Any]:
        """A simple user."""
        login = row["login"]
        url = f"{self.api}/users/{quote(login)}"
        return {
            "login": login,
            "id": row["id"],
            "node_id": node_id("User", row["id"]),
            "avatar_url": "",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.root}/{quote(login)}",
            "type": row["kind"],
            "site_admin": False,
            "name": row["name"],
            "repos_url": f"{url}/repos",
        }

    def user_by_id(self, user_id: int | None) -> dict[str, Any] | None:
        """A simple user, or None."""
        if user_id is None:
            return None
        return self.user(self.db.execute("select * from users where id = ?", (user_id,)).fetchone())

    def repo_url(self, repo: Any) -> str:
        """A repository's API address."""
        return f"{self.api}/repos/{repo['owner']}/{repo['name']}"

    def page_url(self, repo: Any) -> str:
        """A repository's web address."""
        return f"{self.root}/{repo['owner']}/{repo['name']}"

    def repo(self, repo: Any, viewer: Any, pushed_at: str | None = None) -> dict[str, Any]:
        """A repository as its viewer sees it."""
        url, page = self.repo_url(repo), self.page_url(repo)
        permission = permission_of(self.db, repo, viewer)
        owner = self.user_by_id(repo["owner_id"])
        open_issues = self.db.execute(
            "select count(*) from issues where repo_id = ? and state = 'open'", (repo["id"],)
        ).fetchone()[0]
        body = {
            "id": repo["id"],
            "node_id": node_id("Repository", repo["id"]),
            "name": repo["name"],
            "full_name": f"{repo['owner']}/{repo['name']}",
            "private": bool(repo["private"]),
            "visibility": "private" if repo["private"] else "public",
            "owner": owner,
            "html_url": page,
            "url": url,
            "description": None,
            "fork": False,
            "archived": False,
            "disabled": False,
            "clone_url": f"{page}.git",
            "git_url": f"{page}.git",
            "default_branch": repo["default_branch"],
            "has_issues": True,
            "open_issues": open_issues,
            "open_issues_count": open_issues,
            "created_at": repo["created_at"],
            "updated_at": repo["created_at"],
            "pushed_at": pushed_at or repo["created_at"],
            "allow_merge_commit": True,
            "allow_squash_merge": True,
            "allow_rebase_merge": False,
            "issues_url": f"{url}/issues{{/number}}",
            "labels_url": f"{url}/labels{{/name}}",
            "pulls_url": f"{url}/pulls{{/number}}",
            "contents_url": f"{url}/contents/{{+path}}",
        }
        if viewer is not None:
            body["permissions"] = permissions(permission)
        return body

    # issues

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

    # pull requests

    def pull(self, repo: Any, row: Any) -> dict[str, Any]:
        """A pull request as in lists; ``row`` joins its issue and pull columns."""
        issue = self.issue(repo, row)
        url = f"{self.repo_url(repo)}/pulls/{row['number']}"
        shared = [
            "id",
            "number",
            "state",
            "title",
            "body",
            "user",
            "labels",
            "assignee",
            "assignees",
            "milestone",
            "locked",
            "active_lock_reason",
            "created_at",
            "updated_at",
            "closed_at",
            "author_association",
            "html_url",
            "comments_url",
        ]
        owner = self.user_by_id(repo["owner_id"])
        full = find_repo(self.db, repo["owner"], repo["name"])

        def end(ref: str, sha: str) -> dict[str, Any]:
            return {
                "label": f"{repo['owner']}:{ref}",
                "ref": ref,
                "sha": sha,
                "user": owner,
                "repo": self.repo(full, None),
            }

        return {
            **{name: issue[name] for name in shared},
            "node_id": node_id("PullRequest", row["id"]),
            "url": url,
            "issue_url": issue["url"],
            "diff_url": f"{issue['html_url']}.diff",
            "patch_url": f"{issue['html_url']}.patch",
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "statuses_url": f"{self.repo_url(repo)}/statuses/{row['head_sha']}",
            "draft": bool(row["draft"]),
            "merged_at": row["merged_at"],
            "merge_commit_sha": row["merge_commit_sha"],
            "requested_reviewers": [],
            "requested_teams": [],
            "auto_merge": None,
            "head": end(row["head_ref"], row["head_sha"]),
            "base": end(row["base_ref"], row["base_sha"]),
        }

    def review(self, repo: Any, number: int, row: Any) -> dict[str, Any]:
        """A review."""
        page = f"{self.page_url(repo)}/pull/{number}"
        return {
            "id": row["id"],
            "node_id": node_id("PullRequestReview", row["id"]),
            "user": self.user_by_id(row["author_id"]),
            "body": row["body"],
            "state": row["state"],
            "html_url": f"{page}#pullrequestreview-{row['id']}",
            "pull_request_url": f"{self.repo_url(repo)}/pulls/{number}",
            "submitted_at": row["submitted_at"],
            "commit_id": row["commit_id"],
            "author_association": self.association(repo, row["author_id"]),
        }

    # git

    def git_commit(self, repo: Any, commit: GitCommit) -> dict[str, Any]:
        """A commit object of the Git Data API."""
        git = f"{self.repo_url(repo)}/git"
        page = self.page_url(repo)
        return {
            "sha": commit.sha,
            "node_id": node_id("Commit", commit.sha),
            "url": f"{git}/commits/{commit.sha}",
            "html_url": f"{page}/commit/{commit.sha}",
            **self._commit_facts(repo, commit),
            "parents": [
                {"sha": sha, "url": f"{git}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
                for sha in commit.parents
            ],
        }

    def commit(self, repo: Any, commit: GitCommit) -> dict[str, Any]:
        """A commit of the Commits API, without its files."""
        url, page = self.repo_url(repo), self.page_url(repo)
        return {
            "sha": commit.sha,
            "node_id": node_id("Commit", commit.sha),
            "url": f"{url}/commits/{commit.sha}",
            "html_url": f"{page}/commit/{commit.sha}",
            "comments_url": f"{url}/commits/{commit.sha}/comments",
            "commit": {
                "url": f"{url}/git/commits/{commit.sha}",
                **self._commit_facts(repo, commit),
                "comment_count": 0,
            },
            "author": self._user_of(commit.author),
            "committer": self._user_of(commit.committer),
            "parents": [
                {"sha": sha, "url": f"{url}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
                for sha in commit.parents
            ],
        }

    def _commit_facts(self, repo: Any, commit: GitCommit) -> dict[str, Any]:
        return {
            "author": signature(commit.author),
            "committer": signature(commit.committer),
            "message": commit.message,
            "tree": {"sha": commit.tree, "url": f"{self.repo_url(repo)}/git/trees/{commit.tree}"},
            "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
        }

    def commit_with_files(self, repo: Any, git: BareRepo, commit: GitCommit) -> dict[str, Any]:
        """A commit of the Commits API with its files against its first parent."""
        files = git.diff(commit.parents[0] if commit.parents else None, commit.sha)
        additions, deletions = sum(file.additions for file in files), sum(file.deletions for file in files)
        return {
            **self.commit(repo, commit),
            "stats": {"additions": additions, "deletions": deletions, "total": additions + deletions},
            "files": [self.file(repo, commit.sha, file) for file in files],
        }

    def file(self, repo: Any, ref: str, diff: FileDiff) -> dict[str, Any]:
        """One file of a diff."""
        path = quote(diff.path)
        body = {
            "sha": diff.sha,
            "filename": diff.path,
            "status": diff.status,
            "additions": diff.additions,
            "deletions": diff.deletions,
            "changes": diff.additions + diff.deletions,
            "blob_url": f"{self.page_url(repo)}/blob/{ref}/{path}",
            "raw_url": f"{self.page_url(repo)}/raw/{ref}/{path}",
            "contents_url": f"{self.repo_url(repo)}/contents/{path}?ref={ref}",
        }
        if diff.patch:
            body["patch"] = diff.patch
        if diff.previous_path:
            body["previous_filename"] = diff.previous_path
        return body

    def ref(self, repo: Any, name: str, sha: str, kind: str) -> dict[str, Any]:
        """A git reference."""
        git = f"{self.repo_url(repo)}/git"
        return {
            "ref": name,
            "node_id": node_id("Ref", name),
            "url": f"{git}/{quote(name)}",
            "object": {"sha": sha, "type": kind, "url": f"{git}/{kind}s/{sha}"},
        }

    def _user_of(self, who: Signature) -> dict[str, Any] | None:
        """The user whose address a signature carries, as GitHub matches authors by e-mail."""
        login = who.email.split("@")[0].split("+")[-1]
        row = self.db.execute("select * from users where login = ?", (login,)).fetchone()
        return self.user(row) if row else None


def signature(who: Signature) -> dict[str, str]:
    """An author or committer."""
    return {"name": who.name, "email": who.email, "date": who.date}


def permissions(permission: str) -> dict[str, bool]:
    """The booleans of a repository's ``permissions``."""
    return {
        "admin": permission == "admin",
        "maintain": permission == "admin",
        "push": permission in ("admin", "write"),
        "triage": permission in ("admin", "write"),
        "pull": permission != "none",
    }


def node_id(kind: str, key: object) -> str:
    """An opaque id."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")
