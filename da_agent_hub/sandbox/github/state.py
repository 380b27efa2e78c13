"""What the sandbox's GitHub remembers: one SQLite file and one bare git repository per repository, under one folder."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .bare_repo import BareRepo
from .schema import REVIEW_COMMENTS, SCHEMA

PERMISSIONS = ("none", "read", "write", "admin")
_NAME = re.compile(r"^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}$")
_COLOR = re.compile(r"^[0-9a-f]{6}$")
_LOGIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9-]{0,60}(\[bot\])?$")


class StateError(Exception):
    """The sandbox's folder cannot be used, or it was asked for something that GitHub would not make."""


@dataclass(frozen=True)
class LoggedRequest:
    """One request that the server answered; ``body`` is its beginning, ``body_hash`` the SHA-256 of all of it."""

    time: str
    method: str
    path: str
    login: str | None
    status: int
    body_hash: str | None
    body: str | None


def utc_now() -> datetime:
    """The time, where no other clock is given."""
    return datetime.now(timezone.utc)


class GitHubState:
    """Everything under ``home``; each method is one transaction, safe to repeat and to be killed in.

    Several processes may open the same home at once (a server and a grader, say).
    """

    def __init__(self, home: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.home = home
        self._clock = clock
        self._turn = threading.Lock()
        self._database = home / "github.sqlite"
        try:
            home.mkdir(parents=True, exist_ok=True)
            # stays open: SQLite checkpoints to disk whenever the last connection closes, which here is every request
            self._keeper = self._connect()
            self._keeper.execute("pragma journal_mode = wal")
            self._keeper.executescript(SCHEMA + REVIEW_COMMENTS)
        except (OSError, sqlite3.Error) as error:
            raise StateError(
                f"{self._database} cannot be opened as the sandbox's GitHub ({error}): "
                "give another folder, or remove this one to start afresh"
            ) from error

    def close(self) -> None:
        """Let go of the file: once nobody holds it, it is complete by itself and can be copied."""
        self._keeper.close()

    def now(self) -> str:
        """The time as GitHub writes it: UTC, whole seconds, ``Z``."""
        return self._clock().astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    # transactions

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._database, timeout=60, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma synchronous = normal")
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; one writer at a time."""
        with self._turn:
            connection = self._connect()
            try:
                connection.execute("begin immediate")
                try:
                    yield connection
                except BaseException:
                    connection.execute("rollback")
                    raise
                connection.execute("commit")
            finally:
                connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A consistent view, beside whoever is writing."""
        connection = self._connect()
        try:
            connection.execute("begin")
            yield connection
            connection.execute("rollback")
        finally:
            connection.close()

    # making the world

    def create_user(self, login: str, token: str | None, *, kind: str = "User", name: str | None = None) -> None:
        """A person (``User``), a ``Bot`` or an ``Organization``; repeating it renews token, kind and name."""
        if not _LOGIN.match(login):
            raise StateError(f"{login!r} is no GitHub login: use letters, digits and hyphens")
        with self.transaction() as db:
            db.execute(
                "insert into users (login, kind, name, token_hash, created_at) values (?, ?, ?, ?, ?) "
                "on conflict (login) do update set kind = excluded.kind, name = excluded.name, "
                "token_hash = coalesce(excluded.token_hash, token_hash)",
                (login, kind, name, token_hash(token) if token else None, self.now()),
            )

    def create_repo(self, owner: str, name: str, *, default_branch: str = "main", private: bool = False) -> Path:
        """An empty repository, and its bare git directory to push to; an unknown owner becomes an organization."""
        if not _NAME.match(name) or name.endswith(".git"):
            raise StateError(f"{name!r} is no repository name: use letters, digits, '.', '-' and '_'")
        with self.snapshot() as db:
            known = db.execute("select 1 from users where login = ?", (owner,)).fetchone()
        if not known:
            self.create_user(owner, None, kind="Organization")
        path = self.git_path(owner, name)
        BareRepo(path).init(default_branch)
        with self.transaction() as db:
            db.execute(
                "insert into repos (owner_id, name, default_branch, private, created_at) "
                "select id, ?, ?, ?, ? from users where login = ? on conflict do nothing",
                (name, default_branch, private, self.now(), owner),
            )
        return path

    def grant(self, owner: str, name: str, login: str, permission: str) -> None:
        """What a user may do in a repository: ``admin``, ``write``, ``read`` or ``none``."""
        if permission not in PERMISSIONS:
            raise StateError(f"{permission!r} is no permission: use one of {', '.join(PERMISSIONS)}")
        with self.transaction() as db:
            repo, user = self._repo(db, owner, name), self._user(db, login)
            db.execute(
                "insert into grants values (?, ?, ?) on conflict do update set permission = excluded.permission",
                (repo["id"], user["id"], permission),
            )

    def create_label(self, owner: str, name: str, label: str, color: str = "ededed", description: str = "") -> None:
        """A label; one that exists stays as it is; the colour is hex, as in ``d73a4a``."""
        color = color.lstrip("#").lower()
        if not _COLOR.match(color):
            raise StateError(f"{color!r} is no colour: use six hex digits")
        with self.transaction() as db:
            db.execute(
                "insert into labels (repo_id, name, color, description) values (?, ?, ?, ?) on conflict do nothing",
                (self._repo(db, owner, name)["id"], label, color, description or None),
            )

    # what graders and pages read

    def git_path(self, owner: str, name: str) -> Path:
        """The bare git directory of a repository."""
        return self.home / "repos" / owner.lower() / f"{name.lower()}.git"

    def git(self, owner: str, name: str) -> BareRepo:
        """The git side of a repository."""
        return BareRepo(self.git_path(owner, name))

    def requests(self, *, writes_only: bool = False) -> Sequence[LoggedRequest]:
        """All that the server answered, in order."""
        condition = "where method not in ('GET', 'HEAD')" if writes_only else ""
        with self.snapshot() as db:
            rows = db.execute(
                f"select time, method, path, login, status, body_hash, body from requests {condition} order by id"  # noqa: S608
            ).fetchall()
        return [LoggedRequest(*row) for row in rows]

    def issues(self, owner: str, name: str) -> Sequence[dict[str, Any]]:
        """Every issue and pull request by number: its columns, ``labels``, ``assignees`` and ``author`` (logins)."""
        with self.snapshot() as db:
            repo = self._repo(db, owner, name)
            rows = db.execute(
                "select issues.*, users.login as author, pulls.head_ref, pulls.head_sha, pulls.base_ref, pulls.draft, "
                "pulls.merged_at, pulls.merge_commit_sha from issues join users on users.id = author_id "
                "left join pulls on pulls.issue_id = issues.id where repo_id = ? order by number",
                (repo["id"],),
            ).fetchall()
            return [
                {
                    **dict(row),
                    "labels": [
                        label["name"]
                        for label in db.execute(
                            "select name from labels join issue_labels on label_id = labels.id where issue_id = ? "
                            "order by name",
                            (row["id"],),
                        )
                    ],
                    "assignees": [
                        user["login"]
                        for user in db.execute(
                            "select login from users join issue_assignees on user_id = users.id where issue_id = ?",
                            (row["id"],),
                        )
                    ],
                }
                for row in rows
            ]

    def comments(self, owner: str, name: str, number: int) -> Sequence[dict[str, Any]]:
        """The comments of an issue or pull request, oldest first, with ``author``."""
        return self._thread("comments", "author", owner, name, number)

    def events(self, owner: str, name: str, number: int) -> Sequence[dict[str, Any]]:
        """The events of an issue or pull request, oldest first, with ``actor``."""
        return self._thread("events", "actor", owner, name, number)

    def _thread(self, table: str, who: str, owner: str, name: str, number: int) -> Sequence[dict[str, Any]]:
        with self.snapshot() as db:
            rows = db.execute(
                f"select {table}.*, users.login as {who} from {table} join users on users.id = {table}.{who}_id "  # noqa: S608
                f"join issues on issues.id = {table}.issue_id where repo_id = ? and number = ? order by {table}.id",
                (self._repo(db, owner, name)["id"], number),
            ).fetchall()
        return [dict(row) for row in rows]

    def _repo(self, db: sqlite3.Connection, owner: str, name: str) -> Any:
        repo = find_repo(db, owner, name)
        if repo is None:
            raise StateError(f"there is no repository {owner}/{name}: create_repo makes it")
        return repo

    def _user(self, db: sqlite3.Connection, login: str) -> Any:
        user = find_user(db, login)
        if user is None:
            raise StateError(f"there is no user {login}: create_user makes it")
        return user


def token_hash(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_user(db: sqlite3.Connection, login: str) -> Any:
    """A user's row, or None."""
    return db.execute("select * from users where login = ?", (login,)).fetchone()


def find_repo(db: sqlite3.Connection, owner: str, name: str) -> Any:
    """A repository's row with ``owner`` (login as it was made), or None."""
    return db.execute(
        "select repos.*, users.login as owner from repos join users on users.id = owner_id where login = ? and repos.name = ?",
        (owner, name),
    ).fetchone()


def permission_of(db: sqlite3.Connection, repo: Any, user: Any) -> str:
    """``admin``, ``write``, ``read`` or ``none``; owners are admins, and everybody reads what is public."""
    if user is None:
        return "none" if repo["private"] else "read"
    if user["id"] == repo["owner_id"]:
        return "admin"
    row = db.execute(
        "select permission from grants where repo_id = ? and user_id = ?", (repo["id"], user["id"])
    ).fetchone()
    permission = row["permission"] if row else "none"
    return "read" if permission == "none" and not repo["private"] else str(permission)


def has_access(db: sqlite3.Connection, repo: Any, user: Any) -> bool:
    """Whether a user is one of the repository's people, and so can be assigned."""
    if user["id"] == repo["owner_id"]:
        return bool(user["kind"] != "Organization")
    return bool(
        db.execute(
            "select 1 from grants where repo_id = ? and user_id = ? and permission <> 'none'", (repo["id"], user["id"])
        ).fetchone()
    )


def may(permission: str, needed: str) -> bool:
    """Whether a permission covers another."""
    return PERMISSIONS.index(permission) >= PERMISSIONS.index(needed)
