"""All that the API answers in, pull requests among them, which are issues and git at once."""

from __future__ import annotations

from typing import Any

from .git_shapes import GitShapes
from .issue_shapes import IssueShapes
from .repo_shapes import node_id
from .state import find_repo


class Shapes(IssueShapes, GitShapes):
    """The JSON shapes of GitHub's REST API."""

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
            "review_comment_url": f"{self.repo_url(repo)}/pulls/comments{{/number}}",
            "statuses_url": f"{self.repo_url(repo)}/statuses/{row['head_sha']}",
            "draft": bool(row["draft"]),
            "merged_at": row["merged_at"],
            "merge_commit_sha": row["merge_commit_sha"],
            "requested_reviewers": [],
            "requested_teams": [],
            "auto_merge": None,
            "_links": {
                "self": {"href": url},
                "html": {"href": issue["html_url"]},
                "issue": {"href": issue["url"]},
                "comments": {"href": issue["comments_url"]},
                "review_comments": {"href": f"{url}/comments"},
                "review_comment": {"href": f"{self.repo_url(repo)}/pulls/comments{{/number}}"},
                "commits": {"href": f"{url}/commits"},
                "statuses": {"href": f"{self.repo_url(repo)}/statuses/{row['head_sha']}"},
            },
            "head": end(row["head_ref"], row["head_sha"]),
            "base": end(row["base_ref"], row["base_sha"]),
        }

    def review(self, repo: Any, number: int, row: Any) -> dict[str, Any]:
        """A review."""
        page = f"{self.page_url(repo)}/pull/{number}"
        pull_url = f"{self.repo_url(repo)}/pulls/{number}"
        return {
            "_links": {"html": {"href": page}, "pull_request": {"href": pull_url}},
            "id": row["id"],
            "node_id": node_id("PullRequestReview", row["id"]),
            "user": self.user_by_id(row["author_id"]),
            "body": row["body"],
            "state": row["state"],
            "html_url": f"{page}#pullrequestreview-{row['id']}",
            "pull_request_url": pull_url,
            "submitted_at": row["submitted_at"],
            "commit_id": row["commit_id"],
            "author_association": self.association(repo, row["author_id"]),
        }
