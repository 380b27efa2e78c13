"""One commit on a fix branch through GitHub's Git Data API: file modes stay, and nobody else's work is replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ..domain.investigation import FileChange
from ..domain.tracker_error import ForeignWork, Refused
from .github_answers import git_commit, sha, tree_entries, understood

_NEW_FILE = "100644"
_PLAIN_FILES = frozenset({"100644", "100755"})
_DIRECTORY = "040000"
_KINDS = {"120000": "a symbolic link", "160000": "a submodule", _DIRECTORY: "a directory"}

# The hub's commits name their own tree, so that a commit that was amended or put in their place is told from them, with
# an empty store too.
_TREE_TRAILER = "Hub-Tree"


@dataclass(frozen=True)
class FixBranch:
    """A branch of the hub's own; ``head`` is its commit, or None where it is not there yet.

    ``api`` is the repository's path, ``what`` names the operation, ``read`` and ``write`` ask GitHub.
    """

    what: str
    api: str
    branch: str
    head: str | None
    read: Callable[..., Any]
    write: Callable[[str, str, str, dict[str, Any]], Any]
    _trees: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)

    def commit(self, base_sha: str, changes: Sequence[FileChange], message: str) -> str:
        """Put one commit with these changes on ``base_sha`` there; a branch that holds just that stays as it is.

        Raises:
            Refused: a changed path is no plain file.
            ForeignWork: somebody else's commit is on the branch.
        """
        base_tree, _ = self._commit(base_sha)
        tree = self._new_tree(base_tree, changes)
        if self.head is not None:
            if self._commit(self.head) == (tree, (base_sha,)):
                return self.head
            self._refuse_foreign_work(base_sha)
        new = {"message": f"{message}\n\n{_TREE_TRAILER}: {tree}", "tree": tree, "parents": [base_sha]}
        made = self._sha_of(self.write(self.what, "POST", f"{self.api}/git/commits", new))
        if self.head is None:
            self.write(self.what, "POST", f"{self.api}/git/refs", {"ref": f"refs/heads/{self.branch}", "sha": made})
        else:
            moved = {"sha": made, "force": True}
            self.write(self.what, "PATCH", f"{self.api}/git/refs/heads/{quote(self.branch)}", moved)
        return made

    def _new_tree(self, base_tree: str, changes: Sequence[FileChange]) -> str:
        # Modes first: where one path is refused, nothing has been sent.
        modes = [self._mode(base_tree, change.path) for change in changes]
        entries = [self._entry(change, mode) for change, mode in zip(changes, modes, strict=True)]
        return self._sha_of(
            self.write(self.what, "POST", f"{self.api}/git/trees", {"base_tree": base_tree, "tree": entries})
        )

    def _entry(self, change: FileChange, mode: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"path": change.path, "mode": mode, "type": "blob", "sha": None}
        if change.content is not None:
            blob = {"content": change.content, "encoding": "utf-8"}
            entry["sha"] = self._sha_of(self.write(self.what, "POST", f"{self.api}/git/blobs", blob))
        return entry

    def _mode(self, tree: str, path: str) -> str:
        *directories, name = path.split("/")
        for depth, directory in enumerate(directories, 1):
            mode, below = self._tree(tree).get(directory, (None, ""))
            if mode is None:
                return _NEW_FILE
            if mode != _DIRECTORY:
                self._refuse("/".join(directories[:depth]), mode)
            tree = below
        mode, _ = self._tree(tree).get(name, (_NEW_FILE, ""))
        if mode not in _PLAIN_FILES:
            self._refuse(path, mode)
        return mode

    def _refuse(self, path: str, mode: str) -> None:
        raise Refused(
            self.what,
            f"{path} is {_KINDS.get(mode, 'a file')} there and not what the change needs",
            "The hub changes plain files only: make this change by hand.",
        )

    def _tree(self, tree: str) -> dict[str, tuple[str, str]]:
        # One directory after the other: a whole tree at once can be megabytes, and GitHub cuts it off.
        if tree not in self._trees:
            answer = self.read(self.what, f"{self.api}/git/trees/{tree}")
            self._trees[tree] = understood(self.what, tree_entries, answer)
        return self._trees[tree]

    def _refuse_foreign_work(self, base_sha: str) -> None:
        ahead = self.read(self.what, f"{self.api}/compare/{base_sha}...{quote(self.branch)}", key="commits")
        if len(ahead) > 1 or not all(_is_hubs_own(one) for one in ahead):
            there = "1 commit" if len(ahead) == 1 else f"{len(ahead)} commits"
            raise ForeignWork(self.what, self.branch, there)

    def _commit(self, name: str) -> tuple[str, tuple[str, ...]]:
        return understood(self.what, git_commit, self.read(self.what, f"{self.api}/git/commits/{name}"))

    def _sha_of(self, answer: Any) -> str:
        return understood(self.what, sha, answer)


def _is_hubs_own(answer: dict[str, Any]) -> bool:
    """Whether a commit names its own tree; where its shape is unknown, it is somebody else's."""
    try:
        message, tree = str(answer["commit"]["message"]), str(answer["commit"]["tree"]["sha"])
    except (KeyError, TypeError):
        return False
    return re.search(rf"^{_TREE_TRAILER}: {re.escape(tree)}$", message, re.MULTILINE) is not None
