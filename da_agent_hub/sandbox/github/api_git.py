"""The Git Data API: blobs, trees, commits and refs."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from .bare_repo import ABSENT, GitError, Signature
from .call import Call, Reply, Route
from .errors import ApiError, invalid, not_found
from .pull_requests import SELECT_PULLS, follow_branches

_MODES = {"100644": "blob", "100755": "blob", "120000": "blob", "040000": "tree", "160000": "commit"}


def create_blob(call: Call) -> Reply:
    """Keep a blob, given as utf-8 or base64."""
    call.need("write")
    content, encoding = call.needed("content", "Blob"), call.text("encoding", "Blob") or "utf-8"
    if encoding == "base64":
        try:
            raw = base64.b64decode(content)
        except binascii.Error as error:
            raise ApiError(422, "content is not valid Base64") from error
    elif encoding == "utf-8":
        raw = content.encode()
    else:
        raise invalid("Blob", "encoding", "invalid")
    sha = call.git.write_blob(raw)
    return Reply({"sha": sha, "url": f"{call.show.repo_url(call.repo)}/git/blobs/{sha}"}, 201)


def blob(call: Call) -> Reply:
    """A blob in base64."""
    sha = _object(call, "blob")
    raw = call.git.read_blob(sha)
    return Reply(
        {
            "sha": sha,
            "node_id": f"blob-{sha}",
            "size": len(raw),
            "url": f"{call.show.repo_url(call.repo)}/git/blobs/{sha}",
            "content": base64.encodebytes(raw).decode(),
            "encoding": "base64",
        }
    )


def _object(call: Call, kind: str) -> str:
    sha = call.place["sha"]
    if call.git.kind(sha) != kind:
        raise not_found()
    return sha


def tree(call: Call) -> Reply:
    """A tree by its SHA, or that of a commit or branch."""
    name = call.place["sha"]
    sha: str | None = name
    if call.git.kind(name) != "tree":
        commit = call.git.resolve(name)
        sha = call.git.commit(commit).tree if commit else None
    if sha is None:
        raise not_found()
    return Reply(_tree(call, sha, recursive=bool(call.query.get("recursive"))))


def _tree(call: Call, sha: str, *, recursive: bool) -> dict[str, Any]:
    git = f"{call.show.repo_url(call.repo)}/git"
    entries = []
    for entry in call.git.read_tree(sha, recursive=recursive):
        shown: dict[str, Any] = {"path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha}
        if entry.size is not None:
            shown["size"] = entry.size
        entries.append({**shown, "url": f"{git}/{entry.kind}s/{entry.sha}"})
    return {"sha": sha, "url": f"{git}/trees/{sha}", "tree": entries, "truncated": False}


def create_tree(call: Call) -> Reply:
    """Keep a tree; with ``base_tree``, entries change that one and a ``sha`` of null removes the path."""
    call.need("write")
    fields = call.fields()
    base, entries = call.text("base_tree", "Tree"), fields.get("tree")
    if not isinstance(entries, list) or not entries:
        raise ApiError(422, "Invalid tree info")
    base_sha: str | None = None
    if base:
        base_sha = call.git.commit(base).tree if call.git.kind(base) == "commit" else base
        if call.git.kind(base_sha) != "tree":
            raise not_found()
    changes = [_change(call, entry) for entry in entries]
    known = {entry.path for entry in call.git.read_tree(base_sha, recursive=True)} if base_sha else set()
    for path, _, sha in changes:
        if sha is None and path not in known:
            raise ApiError(422, "GitRPC::BadObjectState")
    try:
        sha = call.git.write_tree(base_sha, changes)
    except GitError as error:
        raise ApiError(422, "Invalid tree info") from error
    return Reply(_tree(call, sha, recursive=False), 201)


def _change(call: Call, entry: Any) -> tuple[str, str, str | None]:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise ApiError(422, "Invalid tree info")
    path, mode, sha = entry["path"], entry.get("mode", "100644"), entry.get("sha")
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in path or "\n" in path:
        raise ApiError(422, "tree.path contains a malformed path component")
    if mode not in _MODES:
        raise ApiError(422, "Must supply a valid tree.mode")
    if isinstance(entry.get("content"), str):
        return path, mode, call.git.write_blob(entry["content"].encode())
    if sha is None:
        if "sha" not in entry:
            raise ApiError(422, "Must supply either tree.sha or tree.content")
        return path, mode, None
    if not isinstance(sha, str) or (call.git.kind(sha) != _MODES[mode] and mode != "160000"):
        raise ApiError(422, f"tree.sha {sha} is not a valid {_MODES[mode]}")
    return path, mode, sha


def create_commit(call: Call) -> Reply:
    """Keep a commit; author and committer default to the user, now."""
    call.need("write")
    message, tree_sha = call.needed("message", "Commit"), call.needed("tree", "Commit")
    if call.git.kind(tree_sha) != "tree":
        raise ApiError(422, "Tree SHA does not exist")
    parents = call.fields().get("parents") or []
    for parent in parents if isinstance(parents, list) else [parents]:
        if not isinstance(parent, str) or call.git.kind(parent) != "commit":
            raise ApiError(422, "Parent SHA does not exist or is not a commit object")
    author = _signature(call, "author", None)
    committer = _signature(call, "committer", author)
    sha = call.git.write_commit(tree_sha, parents, message, author, committer)
    return Reply(call.show.git_commit(call.repo, call.git.commit(sha)), 201)


def _signature(call: Call, field: str, default: Signature | None) -> Signature:
    given, user = call.fields().get(field), call.signed_in()
    if not isinstance(given, dict):
        own = Signature(user["name"] or user["login"], f"{user['login']}@users.noreply.github.com", call.now)
        return default or own
    name, email = given.get("name"), given.get("email")
    if not isinstance(name, str) or not isinstance(email, str) or not name.strip() or not email.strip():
        raise ApiError(422, f"Invalid request.\n\n'email', 'name' weren't supplied for '{field}'.")
    return Signature(name, email, str(given.get("date") or call.now))


def git_commit(call: Call) -> Reply:
    """A commit object."""
    return Reply(call.show.git_commit(call.repo, call.git.commit(_object(call, "commit"))))


# refs


def ref(call: Call) -> Reply:
    """One ref, ``heads/main`` say."""
    name = f"refs/{call.place['ref']}"
    sha = call.git.refs().get(name)
    if sha is None:
        raise not_found()
    return Reply(_ref(call, name, sha))


def matching_refs(call: Call) -> Reply:
    """Refs that start with a prefix."""
    rows = sorted(call.git.refs(f"refs/{call.place.get('ref', '')}").items())
    return call.paged(rows, lambda row: _ref(call, *row))


def _ref(call: Call, name: str, sha: str) -> dict[str, Any]:
    return call.show.ref(call.repo, name, sha, call.git.kind(sha) or "commit")


def create_ref(call: Call) -> Reply:
    """Make a ref at an object that exists."""
    call.need("write")
    name, sha = call.needed("ref", "Reference"), call.needed("sha", "Reference")
    if not name.startswith("refs/") or name.count("/") < 2:
        raise ApiError(422, "Reference name must start with 'refs/' and contain at least two slashes")
    if not call.git.valid_ref(name):
        raise ApiError(422, f"{name} is not a valid ref name.")
    if name in call.git.refs():
        raise ApiError(422, "Reference already exists")
    _check_target(call, name, sha)
    if not call.git.update_ref(name, sha, ABSENT):
        raise ApiError(422, "Reference already exists" if name in call.git.refs() else "Reference update failed")
    follow_branches(call.db, call.repo, call.git, call.now)
    shown = _ref(call, name, sha)
    return Reply(shown, 201, {"Location": shown["url"]})


def _check_target(call: Call, name: str, sha: str) -> None:
    kind = call.git.kind(sha)
    if kind is None or (name.startswith("refs/heads/") and kind != "commit"):
        raise ApiError(422, "Object does not exist")


def update_ref(call: Call) -> Reply:
    """Move a ref; away from its history only with ``force``."""
    call.need("write")
    name, sha = f"refs/{call.place['ref']}", call.needed("sha", "Reference")
    old = call.git.refs().get(name)
    if old is None:
        raise ApiError(422, "Reference does not exist")
    _check_target(call, name, sha)
    if call.fields().get("force") is not True and not call.git.is_ancestor(old, sha):
        raise ApiError(422, "Update is not a fast forward")
    if not call.git.update_ref(name, sha, old):
        raise ApiError(422, "Reference cannot be updated")
    follow_branches(call.db, call.repo, call.git, call.now)
    return Reply(_ref(call, name, sha))


def delete_ref(call: Call) -> Reply:
    """Remove a ref; open pull requests from a branch close with it."""
    call.need("write")
    name = f"refs/{call.place['ref']}"
    old = call.git.refs().get(name)
    if old is None:
        raise ApiError(422, "Reference does not exist")
    branch = name[len("refs/heads/") :] if name.startswith("refs/heads/") else None
    if branch == call.repo["default_branch"]:
        raise ApiError(422, "Cannot delete the default branch")
    call.git.update_ref(name, None, old)
    for row in call.db.execute(
        f"{SELECT_PULLS} where repo_id = ? and head_ref = ?", (call.repo["id"], branch)
    ).fetchall():
        call.thread.event(row, "head_ref_deleted")
        call.thread.close(row)
    return Reply(status=204)


_GIT = "/repos/{owner}/{repo}/git"
ROUTES: tuple[Route, ...] = (
    ("POST", f"{_GIT}/blobs", create_blob),
    ("GET", f"{_GIT}/blobs/{{sha}}", blob),
    ("POST", f"{_GIT}/trees", create_tree),
    ("GET", f"{_GIT}/trees/{{sha:path}}", tree),
    ("POST", f"{_GIT}/commits", create_commit),
    ("GET", f"{_GIT}/commits/{{sha}}", git_commit),
    ("GET", f"{_GIT}/matching-refs", matching_refs),
    ("GET", f"{_GIT}/matching-refs/{{ref:path}}", matching_refs),
    ("GET", f"{_GIT}/ref/{{ref:path}}", ref),
    ("POST", f"{_GIT}/refs", create_ref),
    ("GET", f"{_GIT}/refs", matching_refs),
    ("GET", f"{_GIT}/refs/{{ref:path}}", ref),
    ("PATCH", f"{_GIT}/refs/{{ref:path}}", update_ref),
    ("DELETE", f"{_GIT}/refs/{{ref:path}}", delete_ref),
)
