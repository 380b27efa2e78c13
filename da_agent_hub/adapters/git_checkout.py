"""Private checkouts of a repository: one mirror that is fetched, and a throw-away clone of it for each workbench."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from ..domain.investigation import FileChange
from ..ports import Commit

GIT_SECONDS = 300.0
SHOWN_CHARACTERS = 200_000
_WANTED_REFS = ("+refs/heads/*:refs/heads/*", "+HEAD:refs/hub/default")
_SHA = re.compile(r"^[0-9a-fA-F]{4,64}$")


class CheckoutError(Exception):
    """A repository could not be cloned, fetched or moved; the message names the git command and git's answer."""


class PathOutsideCheckoutError(CheckoutError):
    """A patch or a read named a path that leaves the checkout."""


def git_environment(home: Path, url: str = "", token: str | None = None) -> dict[str, str]:
    """The whole environment of a git process: no user configuration, no hooks, the token in a header and nowhere else."""
    settings = {
        "core.hooksPath": os.devnull,
        "core.fsmonitor": "false",
        "core.autocrlf": "false",
        "core.quotePath": "false",
        "credential.helper": "",
        "diff.external": "",
        "gc.auto": "0",
        "maintenance.auto": "false",
        "protocol.ext.allow": "never",
        "safe.directory": "*",
        "submodule.recurse": "false",
    }
    place = urlsplit(url)
    if token and place.scheme in {"http", "https"}:
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        settings[f"http.{place.scheme}://{place.netloc}/.extraHeader"] = f"Authorization: Basic {basic}"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        for spelled in (name, name.lower()):
            if spelled in os.environ:
                environment[spelled] = os.environ[spelled]
    for place_in_list, (key, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{place_in_list}"] = key
        environment[f"GIT_CONFIG_VALUE_{place_in_list}"] = value
    return environment


def run_git(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], *, check: bool = True) -> str:
    """Standard output of one git command.

    Raises:
        CheckoutError: where git failed (and ``check``) or took longer than five minutes.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env=dict(environment),
            capture_output=True,
            timeout=GIT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CheckoutError(f"git {arguments[0]} took longer than {GIT_SECONDS:.0f} s") from None
    if check and done.returncode != 0:
        answer = done.stderr.decode(errors="replace").strip()[-500:] or f"it ended with {done.returncode}"
        raise CheckoutError(f"git {arguments[0]} failed: {answer}")
    return done.stdout.decode(errors="replace")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that the operating system gives back when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Mirror:
    """The cached bare copy of one repository, shared by all workbenches of the machine."""

    def __init__(self, checkouts_dir: Path, url: str, token: str | None) -> None:
        self.url = url
        name = hashlib.sha256(url.encode()).hexdigest()[:20]
        self.path = checkouts_dir / "mirrors" / f"{name}.git"
        self._environment = git_environment(checkouts_dir, url, token)

    def fetch(self, *, branch: str | None = None) -> str:
        """Bring the mirror up to date; returns the SHA of ``branch``, or of the default branch.

        Raises:
            CheckoutError: where the repository cannot be reached or has no such branch.
        """
        with locked(self.path.with_suffix(".lock")):
            if not (self.path / "HEAD").exists():
                self.path.mkdir(parents=True, exist_ok=True)
                run_git(["init", "--bare", "--quiet", "."], self.path, self._environment)
            # A repository that was itself cloned in part has no more to give than it has.
            run_git(
                ["fetch", "--quiet", "--prune", "--no-tags", "--force", "--update-shallow", self.url, *_WANTED_REFS],
                self.path,
                self._environment,
            )
            wanted = f"refs/heads/{branch}" if branch else "refs/hub/default"
            sha = run_git(
                ["rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}"], self.path, self._environment, check=False
            ).strip()
        if not sha:
            raise CheckoutError(f"{self.url} has no branch {branch}" if branch else f"{self.url} has no commit yet")
        return sha

    def fetch_commit(self, sha: str) -> None:
        """Ask for one commit that no branch holds any more (after a force-push or a squash)."""
        with locked(self.path.with_suffix(".lock")):
            run_git(["fetch", "--quiet", "--no-tags", self.url, sha], self.path, self._environment)


class PrivateDirectory:
    """A directory of one living process; what a killed process left behind is swept by the next one."""

    def __init__(self, checkouts_dir: Path) -> None:
        parent = checkouts_dir / "private"
        parent.mkdir(parents=True, exist_ok=True)
        # Made under the same lock as the sweep, which would take a directory without its lock for a leftover.
        with locked(checkouts_dir / "sweep.lock"):
            _sweep(parent)
            self.path = Path(tempfile.mkdtemp(dir=parent)).resolve()
            self._handle = (self.path / "in_use").open("w")
            fcntl.flock(self._handle, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete it; doing it twice changes nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._handle.close()


def _sweep(parent: Path) -> None:
    for left in parent.iterdir():
        if not _in_use(left / "in_use"):
            shutil.rmtree(left, ignore_errors=True)


def _in_use(lock: Path) -> bool:
    try:
        with lock.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class GitCheckout:
    """One private clone, detached at a commit."""

    def __init__(self, mirror: Mirror, root: Path, home: Path) -> None:
        self.root = root
        self._mirror = mirror
        self._environment = git_environment(home)
        run_git(
            ["clone", "--quiet", "--shared", "--no-checkout", "--no-tags", str(mirror.path.resolve()), str(root)],
            home,
            self._environment,
        )
        with (root / ".git" / "info" / "exclude").open("a") as exclude:
            exclude.write("dbt_packages/\ndbt_modules/\n")  # installed, not part of a patch

    def _git(self, *arguments: str, check: bool = True) -> str:
        return run_git(arguments, self.root, self._environment, check=check)

    def checkout(self, sha: str) -> None:
        """Move to a commit and drop everything else, ignored files included."""
        if not _SHA.match(sha):
            raise CheckoutError(f"{sha!r} is not a commit's SHA")
        if not self._has(sha):
            self._mirror.fetch_commit(sha)
        self._git("checkout", "--quiet", "--force", "--detach", sha)
        self._git("reset", "--quiet", "--hard")
        self._git("clean", "--quiet", "-ffdx", "-e", "dbt_packages", "-e", "dbt_modules")

    def _has(self, sha: str) -> bool:
        return bool(self._git("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}", check=False).strip())

    def head(self) -> str:
        """The commit that is checked out."""
        return self._git("rev-parse", "HEAD").strip()

    def begins_late(self) -> Commit | None:
        """The oldest commit of a history that was cloned in part, as by ``git clone --depth``; None for a whole one."""
        if self._git("rev-parse", "--is-shallow-repository").strip() != "true":
            return None
        oldest = self._git("rev-list", "--first-parent", "HEAD").split()[-1]
        return next(iter(self.commits(None, oldest)), None)

    def inside(self, path: str) -> Path:
        """The absolute place of a path of the repository, symlinks followed.

        Raises:
            PathOutsideCheckoutError: where it leaves the checkout or enters ``.git``.
        """
        root = self.root.resolve()
        place = (root / path).resolve()
        relative = place.relative_to(root) if place.is_relative_to(root) else None
        if relative is None or not relative.parts or relative.parts[0].lower() == ".git":
            raise PathOutsideCheckoutError(f"{path!r} is not a file of the checkout")
        return place

    def read(self, path: str) -> str | None:
        """A file's text, or None where there is none."""
        try:
            return self.inside(path).read_bytes().decode("utf-8", errors="replace")
        except (PathOutsideCheckoutError, OSError):
            return None

    def apply(self, changes: Sequence[FileChange]) -> None:
        """Write a patch, all of its paths checked before the first byte."""
        places = [(self.inside(change.path), change.content) for change in changes]
        for place, content in places:
            if content is None:
                place.unlink(missing_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.encode())

    def diff(self) -> str:
        """``git diff`` against the commit, new files included, renames as deletion and addition."""
        self._git("add", "--all", "--intent-to-add")
        return self._git("diff", "--no-color", "--no-ext-diff", "--no-renames", "HEAD")

    def commits(self, since: str | None, until: str, paths: Sequence[str] = ()) -> list[Commit]:
        """Commits of ``since..until``, newest first; empty where a commit is not known here."""
        if not self._has(until) or (since is not None and not self._has(since)):
            return []
        span = f"{since}..{until}" if since else until
        listed = self._git(
            "log", "--topo-order", "-m", "--first-parent", "--no-renames", "--name-only", "-z", "--max-count=500",
            "--format=%x01%H%x02%an%x02%ct%x02%s%x02", span, "--", *paths,
        )  # fmt: skip
        found = []
        for entry in listed.split("\x01")[1:]:
            sha, author, seconds, subject, names = entry.split("\x02", 4)
            touched = tuple(name.strip() for name in names.split("\0") if name.strip())
            when = datetime.fromtimestamp(int(seconds), timezone.utc)
            found.append(Commit(sha, author, when, subject, touched))
        return found

    def show(self, sha: str, paths: Sequence[str] = ()) -> str:
        """A commit's diff against its first parent, limited to paths and capped."""
        if not _SHA.match(sha) or not self._has(sha):
            raise CheckoutError(f"{sha!r} is not a commit of this repository")
        return self._git(
            "show", "--no-color", "--no-ext-diff", "--first-parent", "-m", "--format=", sha, "--", *paths
        )[:SHOWN_CHARACTERS]  # fmt: skip

    def read_at(self, sha: str, path: str) -> str | None:
        """A file's text at a commit (``sha^`` is its parent), or None where there is none."""
        if not _SHA.match(sha.rstrip("^")):
            return None
        text = self._git("show", f"{sha}:{path}", check=False)
        return text or None
