"""An issue's timeline: everything that happened to it, in order."""

from __future__ import annotations

from typing import Any

from .bare_repo import BareRepo
from .shapes import Shapes


def timeline_of(show: Shapes, repo: Any, issue: Any, git: BareRepo) -> list[dict[str, Any]]:
    """GitHub's timeline entries, oldest first."""
    entries: list[tuple[str, int, dict[str, Any]]] = []
    for row in show.db.execute("select * from events where issue_id = ? order by id", (issue["id"],)):
        named = row["event"] == "cross-referenced"
        shown = show.cross_reference(repo, row) if named else show.event(repo, row)
        entries.append((row["created_at"], row["id"], shown))
    for row in show.db.execute("select * from comments where issue_id = ? order by id", (issue["id"],)):
        comment = show.comment(repo, row)
        entries.append((row["created_at"], row["id"], {**comment, "event": "commented", "actor": comment["user"]}))
    if issue["is_pull"]:
        entries.extend(_of_pull(show, repo, issue, git))
    return [entry for *_, entry in sorted(entries, key=lambda one: one[:2])]


def _of_pull(show: Shapes, repo: Any, issue: Any, git: BareRepo) -> list[tuple[str, int, dict[str, Any]]]:
    entries: list[tuple[str, int, dict[str, Any]]] = []
    for row in show.db.execute("select * from reviews where issue_id = ? order by id", (issue["id"],)):
        review = {**show.review(repo, issue["number"], row), "event": "reviewed"}
        entries.append((row["submitted_at"], row["id"], review))
    pull = show.db.execute("select * from pulls where issue_id = ?", (issue["id"],)).fetchone()
    commits = git.commits("--reverse", f"{pull['base_sha']}..{pull['head_sha']}")
    for place, commit in enumerate(commits):
        entries.append(
            (commit.committer.date, place - len(commits), {**show.git_commit(repo, commit), "event": "committed"})
        )
    return entries
