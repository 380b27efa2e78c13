"""Users, repositories, labels, people, branches, commits and contents."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

from .bare_repo import TreeEntry
from .call import Call, Reply, Route
from .errors import ApiError, custom, forbidden, invalid, not_found
from .repo_shapes import permissions
from .state import find_user, has_access, permission_of
from .threads import check_label_name

_COLOR = re.compile(r"^[0-9a-fA-F]{6}$")


def me(call: Call) -> Reply:
    """The user of the token."""
    return Reply(call.show.whole_user(call.signed_in()))


def user(call: Call) -> Reply:
    """A user by login."""
    found = find_user(call.db, call.place["login"])
    if found is None:
        raise not_found()
    return Reply(call.show.whole_user(found))


def rate_limit(call: Call) -> Reply:
    """What is left of the hour; asking costs nothing."""
    core = dict(call.rate)
    return Reply({"resources": {"core": core, "search": {**core, "resource": "search"}}, "rate": core})


def repo(call: Call) -> Reply:
    """The repository."""
    heads = call.git.resolve(call.repo["default_branch"])
    pushed = call.git.commit(heads).committer.date if heads else None
    return Reply(call.show.repo(call.repo, call.viewer, pushed))


# labels


def labels(call: Call) -> Reply:
    """All labels, by name."""
    rows = call.db.execute("select * from labels where repo_id = ? order by name", (call.repo["id"],)).fetchall()
    return call.paged(rows, lambda row: call.show.label(call.repo, row))


def label(call: Call) -> Reply:
    """One label."""
    return Reply(call.show.label(call.repo, _label(call)))


def create_label(call: Call) -> Reply:
    """Make a label."""
    call.need("write")
    name = call.needed("name", "Label")
    check_label_name(name)
    if call.thread.find_label(name):
        raise invalid("Label", "name", "already_exists")
    call.db.execute(
        "insert into labels (repo_id, name, color, description) values (?, ?, ?, ?)",
        (call.repo["id"], name, _color(call) or "ededed", _description(call)),
    )
    return Reply(call.show.label(call.repo, call.thread.find_label(name)), 201)


def update_label(call: Call) -> Reply:
    """Rename or recolour a label."""
    call.need("write")
    row = _label(call)
    name = call.text("new_name", "Label") or row["name"]
    check_label_name(name)
    other = call.thread.find_label(name)
    if other and other["id"] != row["id"]:
        raise invalid("Label", "name", "already_exists")
    description = _description(call)
    call.db.execute(
        "update labels set name = ?, color = ?, description = ? where id = ?",
        (name, _color(call) or row["color"], row["description"] if description is None else description, row["id"]),
    )
    return Reply(call.show.label(call.repo, call.thread.find_label(name)))


def delete_label(call: Call) -> Reply:
    """Remove a label from the repository and its issues."""
    call.need("write")
    call.db.execute("delete from labels where id = ?", (_label(call)["id"],))
    return Reply(status=204)


def _label(call: Call) -> Any:
    row = call.db.execute(
        "select * from labels where repo_id = ? and name = ?", (call.repo["id"], call.place["name"])
    ).fetchone()
    if row is None:
        raise not_found()
    return row


def _description(call: Call) -> str | None:
    description = call.text("description", "Label")
    if description is not None and len(description) > 100:
        raise custom("Label", "description is too long (maximum is 100 characters)")
    return description


def _color(call: Call) -> str | None:
    color = call.text("color", "Label")
    if color is not None and not _COLOR.match(color):
        raise invalid("Label", "color", "invalid")
    return color.lower() if color else None


# people


def permission(call: Call) -> Reply:
    """What a user may do here; only those who may push may ask."""
    if not call.may("write"):
        raise forbidden("Must have push access to view collaborator permission.")
    found = find_user(call.db, call.place["login"])
    if found is None:
        raise not_found()
    level = permission_of(call.db, call.repo, found)
    shown = {**call.show.user(found), "permissions": permissions(level), "role_name": level}
    return Reply({"permission": level, "role_name": level, "user": shown})


def is_collaborator(call: Call) -> Reply:
    """204 for one of the repository's people, else 404."""
    if not call.may("write"):
        raise forbidden("Must have push access to view repository collaborators.")
    found = find_user(call.db, call.place["login"])
    if found is None or not has_access(call.db, call.repo, found):
        raise not_found()
    return Reply(status=204)


def collaborators(call: Call) -> Reply:
    """The repository's people."""
    if not call.may("write"):
        raise forbidden("Must have push access to view repository collaborators.")

    def shape(person: Any) -> dict[str, Any]:
        level = permission_of(call.db, call.repo, person)
        return {**call.show.user(person), "permissions": permissions(level), "role_name": level}

    return call.paged(_people(call), shape)


def assignees(call: Call) -> Reply:
    """Who can be assigned."""
    return call.paged(_people(call), call.show.user)


def is_assignable(call: Call) -> Reply:
    """204 for who can be assigned, else 404."""
    found = find_user(call.db, call.place["login"])
    if found is None or not has_access(call.db, call.repo, found):
        raise not_found()
    return Reply(status=204)


def _people(call: Call) -> list[Any]:
    everybody = call.db.execute("select * from users order by login").fetchall()
    return [person for person in everybody if has_access(call.db, call.repo, person)]


# branches, commits, contents


def branches(call: Call) -> Reply:
    """Branches by name."""
    rows = sorted(call.git.refs("refs/heads/").items())

    def shape(row: tuple[str, str]) -> dict[str, Any]:
        url = f"{call.show.repo_url(call.repo)}/commits/{row[1]}"
        return {"name": row[0][len("refs/heads/") :], "commit": {"sha": row[1], "url": url}, "protected": False}

    return call.paged(rows, shape)


def branch(call: Call) -> Reply:
    """One branch with its newest commit."""
    name = call.place["branch"]
    sha = call.git.refs("refs/heads/").get(f"refs/heads/{name}")
    if sha is None:
        raise ApiError(404, "Branch not found")
    url = f"{call.show.repo_url(call.repo)}/branches/{quote(name)}"
    return Reply(
        {
            "name": name,
            "commit": call.show.commit(call.repo, call.git.commit(sha)),
            "protected": False,
            "protection": {"enabled": False},
            "protection_url": f"{url}/protection",
            "_links": {"self": url, "html": f"{call.show.page_url(call.repo)}/tree/{quote(name)}"},
        }
    )


def commits(call: Call) -> Reply:
    """Commits from ``sha`` (the default branch) back, of a ``path``, ``since`` and ``until``."""
    start = call.query.get("sha") or call.repo["default_branch"]
    sha = call.git.resolve(start)
    if sha is None:
        if not call.git.refs("refs/heads/"):
            raise ApiError(409, "Git Repository is empty.")
        raise not_found()
    bounds = [f"--{name}={call.query[name]}" for name in ("since", "until") if call.query.get(name)]
    found = call.git.commits(*bounds, sha, path=call.query.get("path"))
    author = call.query.get("author", "").lower()
    if author:
        found = [one for one in found if author in (one.author.name.lower(), one.author.email.lower())]
    return call.paged(found, lambda one: call.show.commit(call.repo, one))


def commit(call: Call) -> Reply:
    """One commit with its files."""
    sha = call.git.resolve(call.place["ref"])
    if sha is None:
        raise ApiError(422, f"No commit found for SHA: {call.place['ref']}")
    return Reply(call.show.commit_with_files(call.repo, call.git, call.git.commit(sha)))


def compare(call: Call) -> Reply:
    """``base...head``: how far apart, the commits that head adds, and the files against their common ancestor."""
    names = call.place["basehead"].split("...")
    if len(names) != 2:
        raise not_found()
    base, head = (call.git.resolve(name.split(":")[-1]) for name in names)
    if base is None or head is None:
        raise not_found()
    ancestor = call.git.merge_base(base, head)
    if ancestor is None:
        raise ApiError(404, f"No common ancestor between {names[0]} and {names[1]}.")
    ahead, behind = call.git.ahead_behind(base, head)
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}.get(
        (ahead > 0, behind > 0), "diverged"
    )
    added = call.git.commits("--reverse", f"{base}..{head}")
    url = f"{call.show.repo_url(call.repo)}/compare/{call.place['basehead']}"
    page = f"{call.show.page_url(call.repo)}/compare/{call.place['basehead']}"
    listed = call.paged(added, lambda one: call.show.commit(call.repo, one))
    return Reply(
        {
            "url": url,
            "html_url": page,
            "permalink_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "base_commit": call.show.commit(call.repo, call.git.commit(base)),
            "merge_base_commit": call.show.commit(call.repo, call.git.commit(ancestor)),
            "status": status,
            "ahead_by": ahead,
            "behind_by": behind,
            "total_commits": ahead,
            "commits": listed.body,
            "files": [call.show.file(call.repo, head, file) for file in call.git.diff(ancestor, head)],
        },
        headers=listed.headers,
    )


def contents(call: Call) -> Reply:
    """A file with its content, or a directory's entries."""
    path, ref = call.place.get("path", "").strip("/"), call.query.get("ref") or call.repo["default_branch"]
    sha = call.git.resolve(ref)
    if sha is None:
        if not call.git.refs("refs/heads/"):
            raise ApiError(404, "This repository is empty.")
        raise ApiError(404, f"No commit found for the ref {ref}")
    entry = call.git.entry(sha, path)
    if entry is None:
        raise not_found()
    if entry.kind == "tree":
        below = call.git.read_tree(entry.sha)
        prefix = f"{path}/" if path else ""
        return Reply([_content(call, child, prefix + child.path, ref) for child in below])
    body = _content(call, entry, path, ref)
    if entry.kind == "blob":
        body.update(content=wrapped_base64(call.git.read_blob(entry.sha)), encoding="base64")
    return Reply(body)


def readme(call: Call) -> Reply:
    """The README of the default branch."""
    sha = call.git.resolve(call.query.get("ref") or call.repo["default_branch"])
    entry = call.git.entry(sha, "README.md") if sha else None
    if entry is None:
        raise not_found()
    body = _content(call, entry, "README.md", call.repo["default_branch"])
    return Reply({**body, "content": wrapped_base64(call.git.read_blob(entry.sha)), "encoding": "base64"})


def _content(call: Call, entry: TreeEntry, path: str, ref: str) -> dict[str, Any]:
    url = f"{call.show.repo_url(call.repo)}/contents/{quote(path)}?ref={quote(ref)}"
    git = f"{call.show.repo_url(call.repo)}/git/{entry.kind}s/{entry.sha}"
    page = f"{call.show.page_url(call.repo)}/{entry.kind}/{quote(ref)}/{quote(path)}"
    raw = f"{call.show.page_url(call.repo)}/raw/{quote(ref)}/{quote(path)}" if entry.kind == "blob" else None
    kind = {"tree": "dir", "commit": "submodule"}.get(entry.kind, "symlink" if entry.mode == "120000" else "file")
    return {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "url": url,
        "html_url": page,
        "git_url": git,
        "download_url": raw,
        "type": kind,
        "_links": {"self": url, "git": git, "html": page},
    }


def wrapped_base64(content: bytes) -> str:
    """Base64 in lines of 60, as GitHub sends contents."""
    text = base64.b64encode(content).decode()
    return "".join(text[start : start + 60] + "\n" for start in range(0, len(text), 60))


_REPO = "/repos/{owner}/{repo}"
ROUTES: tuple[Route, ...] = (
    ("GET", "/user", me),
    ("GET", "/users/{login}", user),
    ("GET", "/rate_limit", rate_limit),
    ("GET", _REPO, repo),
    ("GET", f"{_REPO}/labels", labels),
    ("POST", f"{_REPO}/labels", create_label),
    ("GET", f"{_REPO}/labels/{{name:path}}", label),
    ("PATCH", f"{_REPO}/labels/{{name:path}}", update_label),
    ("DELETE", f"{_REPO}/labels/{{name:path}}", delete_label),
    ("GET", f"{_REPO}/collaborators", collaborators),
    ("GET", f"{_REPO}/collaborators/{{login}}", is_collaborator),
    ("GET", f"{_REPO}/collaborators/{{login}}/permission", permission),
    ("GET", f"{_REPO}/assignees", assignees),
    ("GET", f"{_REPO}/assignees/{{login}}", is_assignable),
    ("GET", f"{_REPO}/branches", branches),
    ("GET", f"{_REPO}/branches/{{branch:path}}", branch),
    ("GET", f"{_REPO}/commits", commits),
    ("GET", f"{_REPO}/commits/{{ref:path}}", commit),
    ("GET", f"{_REPO}/compare/{{basehead:path}}", compare),
    ("GET", f"{_REPO}/readme", readme),
    ("GET", f"{_REPO}/contents", contents),
    ("GET", f"{_REPO}/contents/{{path:path}}", contents),
)
