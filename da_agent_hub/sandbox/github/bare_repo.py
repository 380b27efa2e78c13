"""A bare git repository, by the git on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

_SHA = re.compile(r"^[0-9a-f]{40}$")
ABSENT = "0" * 40


class GitError(Exception):
    """git refused; ``output`` is what it said."""

    def __init__(self, arguments: Sequence[str], output: str) -> None:
        super().__init__(f"git {' '.join(arguments[:2])}: {output.strip()}")
        self.output = output


@dataclass(frozen=True)
class Signature:
    """Who and when; ``date`` is ISO 8601."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class GitCommit:
    """A commit object."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


@dataclass(frozen=True)
class TreeEntry:
    """One entry of a tree; ``size`` is None for anything but a blob."""

    mode: str
    kind: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True)
class FileDiff:
    """One file of a diff; ``patch`` starts at its first ``@@`` and is empty for binary files."""

    status: str
    path: str
    previous_path: str | None
    sha: str
    additions: int
    deletions: int
    patch: str


def git_environment() -> dict[str, str]:
    """What git may see of this process: nothing of the user's own settings."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": tempfile.gettempdir(),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }


class BareRepo:
    """Objects, refs, diffs and merges of one bare repository; names and SHAs are checked before git sees them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        ok: Sequence[int] = (0,),
    ) -> tuple[int, bytes]:
        if any("\0" in argument for argument in arguments):
            raise GitError(arguments, "a name holds a NUL character")
        done = subprocess.run(
            # the directory is named, so that git never takes a repository further up for a broken one
            ["git", "-c", "core.quotepath=off", f"--git-dir={self.path.absolute()}", *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            cwd=self.path,
            env={**git_environment(), **(env or {})},
            check=False,
        )
        if done.returncode not in ok:
            raise GitError(arguments, (done.stderr or done.stdout).decode(errors="replace"))
        return done.returncode, done.stdout

    def _text(self, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        return self._run(*arguments, stdin=stdin, env=env)[1].decode(errors="replace").strip()

    def init(self, default_branch: str) -> None:
        """Make the repository where there is none or half of one; what is there stays."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self._run("rev-parse", "--git-dir", ok=(0, 128))[0] == 0:
            return
        self.clear_locks()
        self._run("init", "--quiet", "--bare", f"--initial-branch={default_branch}")

    def clear_locks(self) -> None:
        """Remove the locks that a killed git left; only while nobody writes here."""
        for lock in (*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)

    # names

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, tag, ref or (short) SHA names, or None."""
        if not name or name.startswith("-") or any(mark in name for mark in ("..", "@{", ":", "^", "~", "\n")):
            return None
        candidates = [f"refs/heads/{name}", f"refs/tags/{name}"]
        if name.startswith("refs/") or name == "HEAD" or re.fullmatch(r"[0-9a-f]{7,40}", name):
            candidates.append(name)
        for candidate in candidates:
            code, out = self._run("rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}", ok=(0, 1, 128))
            if code == 0:
                return out.decode().strip()
        return None

    def kind(self, sha: str) -> str | None:
        """``blob``, ``tree``, ``commit`` or ``tag``, or None where there is no such object."""
        if not _SHA.match(sha):
            return None
        code, out = self._run("cat-file", "-t", sha, ok=(0, 1, 128))
        return out.decode().strip() if code == 0 else None

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Ref name to SHA, of those that start with the prefix."""
        out = self._text("for-each-ref", "--format=%(refname) %(objectname)")
        pairs = (line.split(" ", 1) for line in out.splitlines())
        return {name: sha for name, sha in pairs if name.startswith(prefix)}

    def valid_ref(self, ref: str) -> bool:
        """Whether git takes this as a full ref name."""
        return self._run("check-ref-format", ref, ok=(0, 1))[0] == 0

    def update_ref(self, ref: str, new: str | None, old: str) -> bool:
        """Move a ref from ``old`` (``ABSENT`` for none) to ``new`` (None deletes); False where it is elsewhere."""
        arguments = ("-d", ref, old) if new is None else (ref, new, old)
        return self._run("update-ref", *arguments, ok=(0, 1, 128))[0] == 0

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether ``newer`` contains ``older``."""
        return self._run("merge-base", "--is-ancestor", older, newer, ok=(0, 1))[0] == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The newest common ancestor, or None."""
        code, out = self._run("merge-base", one, other, ok=(0, 1))
        return out.decode().strip() if code == 0 else None

    # objects

    def read_blob(self, sha: str) -> bytes:
        """A blob's bytes."""
        return self._run("cat-file", "blob", sha)[1]

    def write_blob(self, content: bytes) -> str:
        """Keep bytes; returns the SHA."""
        return self._text("hash-object", "-w", "--stdin", stdin=content)

    def read_tree(self, tree: str, *, recursive: bool = False) -> list[TreeEntry]:
        """A tree's entries; ``recursive`` lists the trees below too, as GitHub does."""
        flags = ("-r", "-t") if recursive else ()
        out = self._run("ls-tree", "-z", "--long", "--full-tree", *flags, tree)[1].decode(errors="replace")
        entries = []
        for line in filter(None, out.split("\0")):
            facts, path = line.split("\t", 1)
            mode, kind, sha, size = facts.split()
            entries.append(TreeEntry(mode, kind, sha, None if size == "-" else int(size), path))
        return entries

    def entry(self, commit: str, path: str) -> TreeEntry | None:
        """What stands at a path of a commit."""
        path = path.strip("/")
        if not path:
            return TreeEntry("040000", "tree", self._text("rev-parse", f"{commit}^{{tree}}"), None, "")
        listing = self._run("--literal-pathspecs", "ls-tree", "-z", "--long", "--full-tree", commit, path)[1]
        for line in filter(None, listing.decode(errors="replace").split("\0")):
            facts, found = line.split("\t", 1)
            mode, kind, sha, size = facts.split()
            if found == path:
                return TreeEntry(mode, kind, sha, None if size == "-" else int(size), found)
        return None

    def write_tree(self, base: str | None, changes: Sequence[tuple[str, str, str | None]]) -> str:
        """A tree of (path, mode, SHA) on top of another tree; a SHA of None removes the path."""
        with tempfile.TemporaryDirectory(prefix="sandbox-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._run("read-tree", base if base else "--empty", env=index)
            removed = [
                name
                for path, mode, sha in changes
                if mode == "040000" or sha is None
                for name in self._run("--literal-pathspecs", "ls-files", "-z", "--", path, env=index)[1].split(b"\0")
                if name
            ]
            added = [
                f"{mode} {sha}\t{path}".encode() for path, mode, sha in changes if sha is not None and mode != "040000"
            ]
            lines = [b"0 " + ABSENT.encode() + b"\t" + name for name in removed] + added
            if lines:
                listing = b"\0".join(lines) + b"\0"
                self._run("update-index", "--replace", "-z", "--index-info", stdin=listing, env=index)
            for path, mode, sha in changes:
                if mode == "040000" and sha is not None:
                    self._run("read-tree", f"--prefix={path}/", sha, env=index)
            return self._text("write-tree", env=index)

    def write_commit(
        self, tree: str, parents: Sequence[str], message: str, author: Signature, committer: Signature
    ) -> str:
        """Keep a commit; the same arguments give the same SHA."""
        identity = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": author.date,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": committer.date,
        }
        flags = [flag for parent in parents for flag in ("-p", parent)]
        return self._text("commit-tree", tree, *flags, stdin=message.encode(), env=identity)

    def commits(self, *revisions: str, path: str | None = None, limit: int | None = None) -> list[GitCommit]:
        """Commits by ``git log``, newest first."""
        form = "%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%cn%x1f%ce%x1f%ct%x1f%B"
        flags = [] if limit is None else [f"--max-count={limit}"]
        paths = ["--", path] if path else ["--"]
        out = self._run("--literal-pathspecs", "log", "-z", f"--format={form}", *flags, *revisions, *paths)[1]
        return [_parse_commit(text) for text in out.decode(errors="replace").split("\0") if text]

    def commit(self, sha: str) -> GitCommit:
        """One commit."""
        return self.commits("--no-walk", sha)[0]

    # diffs and merges

    def diff(self, old: str | None, new: str) -> list[FileDiff]:
        """What changed between two commits, renames found; ``old`` of None is the empty tree."""
        base = old or self._text("hash-object", "-t", "tree", os.devnull)
        flags = ("-r", "-M", "--full-index", "--no-color", "--no-ext-diff")
        raw = self._run("diff-tree", *flags, "--raw", "-z", base, new)[1].decode(errors="replace").split("\0")
        patches = _split_patch(self._run("diff-tree", *flags, "-p", base, new)[1].decode(errors="replace"))
        files: list[FileDiff] = []
        fields = iter(raw)
        for head in fields:
            if not head:
                continue
            _, _, old_sha, new_sha, status = head.split(" ")
            first = next(fields)
            renamed = status[0] in "RC"
            path = next(fields) if renamed else first
            patch = patches[len(files)] if len(files) < len(patches) else ""
            lines = patch.split("\n")
            files.append(
                FileDiff(
                    status={"A": "added", "D": "removed", "R": "renamed", "C": "copied"}.get(status[0], "modified"),
                    path=path,
                    previous_path=first if renamed else None,
                    sha=old_sha if status[0] == "D" else new_sha,
                    additions=sum(line.startswith("+") for line in lines),
                    deletions=sum(line.startswith("-") for line in lines),
                    patch=patch,
                )
            )
        return files

    def merge_tree(self, base: str, head: str) -> str | None:
        """The tree that merging ``head`` into ``base`` gives, or None where they conflict."""
        code, out = self._run("merge-tree", "--write-tree", "--no-messages", base, head, ok=(0, 1))
        return out.decode().split("\n", 1)[0].strip() if code == 0 else None

    def ahead_behind(self, base: str, head: str) -> tuple[int, int]:
        """How many commits ``head`` has that ``base`` lacks, and the other way round."""
        behind, ahead = self._text("rev-list", "--left-right", "--count", f"{base}...{head}").split()
        return int(ahead), int(behind)


def _parse_commit(text: str) -> GitCommit:
    sha, tree, parents, an, ae, at, cn, ce, ct, message = text.split("\x1f", 9)
    return GitCommit(
        sha,
        tree,
        tuple(parents.split()),
        Signature(an, ae, _iso(at)),
        Signature(cn, ce, _iso(ct)),
        message.rstrip("\n"),
    )


def _iso(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _split_patch(text: str) -> list[str]:
    """The hunks of each file, from its first ``@@``; in a diff no content line begins with ``diff --git``."""
    patches: list[str] = []
    for part in re.split(r"^diff --git ", text, flags=re.MULTILINE)[1:]:
        start = re.search(r"^@@ ", part, flags=re.MULTILINE)
        patches.append(part[start.start() :].rstrip("\n") if start else "")
    return patches
