"""Commits, files of diffs and refs in the JSON shapes of GitHub's REST API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .bare_repo import BareRepo, FileDiff, GitCommit, Signature
from .repo_shapes import RepoShapes, node_id


class GitShapes(RepoShapes):
    """What git holds."""

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
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
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
