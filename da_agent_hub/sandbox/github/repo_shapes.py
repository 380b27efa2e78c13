"""Users and repositories in the JSON shapes of GitHub's REST API."""

from __future__ import annotations

import base64
import sqlite3
from typing import Any
from urllib.parse import quote

from .state import permission_of

_USER_URLS = {
    "followers": "",
    "following": "{/other_user}",
    "gists": "{/gist_id}",
    "starred": "{/owner}{/repo}",
    "subscriptions": "",
    "organizations": "",
    "repos": "",
    "events": "{/privacy}",
    "received_events": "",
}
_REPO_URLS = {
    "archive": "{archive_format}{/ref}",
    "assignees": "/assignees{/user}",
    "blobs": "/git/blobs{/sha}",
    "branches": "/branches{/branch}",
    "collaborators": "/collaborators{/collaborator}",
    "comments": "/comments{/number}",
    "commits": "/commits{/sha}",
    "compare": "/compare/{base}...{head}",
    "contents": "/contents/{+path}",
    "contributors": "/contributors",
    "deployments": "/deployments",
    "downloads": "/downloads",
    "events": "/events",
    "forks": "/forks",
    "git_commits": "/git/commits{/sha}",
    "git_refs": "/git/refs{/sha}",
    "git_tags": "/git/tags{/sha}",
    "hooks": "/hooks",
    "issue_comment": "/issues/comments{/number}",
    "issue_events": "/issues/events{/number}",
    "issues": "/issues{/number}",
    "keys": "/keys{/key_id}",
    "labels": "/labels{/name}",
    "languages": "/languages",
    "merges": "/merges",
    "milestones": "/milestones{/number}",
    "notifications": "/notifications{?since,all,participating}",
    "pulls": "/pulls{/number}",
    "releases": "/releases{/id}",
    "stargazers": "/stargazers",
    "statuses": "/statuses/{sha}",
    "subscribers": "/subscribers",
    "subscription": "/subscription",
    "tags": "/tags",
    "teams": "/teams",
    "trees": "/git/trees{/sha}",
}
_REPO_COUNTS = (
    "forks",
    "forks_count",
    "network_count",
    "size",
    "stargazers_count",
    "subscribers_count",
    "watchers",
    "watchers_count",
)


class RepoShapes:
    """The shapes, with addresses under ``root`` (``http://host:port``)."""

    def __init__(self, db: sqlite3.Connection, root: str) -> None:
        self.db = db
        self.root = root
        self.api = f"{root}/api/v3"

    def user(self, row: Any) -> dict[str, Any]:
        """A simple user."""
        login = row["login"]
        url = f"{self.api}/users/{quote(login)}"
        return {
            "login": login,
            "id": row["id"],
            "node_id": node_id("User", row["id"]),
            "avatar_url": f"{self.root}/{quote(login)}.png",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.root}/{quote(login)}",
            "type": row["kind"],
            "site_admin": False,
            **{f"{name}_url": f"{url}/{name}{tail}" for name, tail in _USER_URLS.items()},
        }

    def whole_user(self, row: Any) -> dict[str, Any]:
        """A user as ``/user`` and ``/users/{login}`` answer."""
        unsaid = dict.fromkeys(("company", "location", "email", "hireable", "bio"))
        counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
        times = {"created_at": row["created_at"], "updated_at": row["created_at"]}
        return {**self.user(row), "name": row["name"], "blog": "", **unsaid, **counts, **times}

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
            "ssh_url": "",
            "svn_url": page,
            "mirror_url": None,
            "homepage": None,
            "language": None,
            "license": None,
            "has_projects": False,
            "has_downloads": False,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            **dict.fromkeys(_REPO_COUNTS, 0),
            **{f"{name}_url": f"{url}{path}" for name, path in _REPO_URLS.items()},
        }
        if viewer is not None:
            body["permissions"] = permissions(permission)
        return body


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
