"""One API request under way, and what an endpoint answers."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from .bare_repo import BareRepo
from .errors import ApiError, forbidden, invalid, not_found
from .shapes import Shapes
from .state import GitHubState, find_repo, find_user, may, permission_of
from .threads import Thread

API = "/api/v3"


@dataclass(frozen=True)
class Reply:
    """A status, a JSON body (None for none) and headers."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Call:
    """A request with its user, its transaction and its repository; what is missing raises GitHub's error."""

    def __init__(
        self,
        state: GitHubState,
        db: sqlite3.Connection,
        *,
        root: str,
        path: str,
        viewer: Any,
        place: Mapping[str, str],
        query: Mapping[str, str],
        payload: Any,
        rate: Mapping[str, Any],
    ) -> None:
        self.state = state
        self.db = db
        self.root = root
        self.path = path
        self.viewer = viewer
        self.place = place
        self.query = query
        self.payload = payload
        self.rate = rate
        self.now = state.now()
        self.show = Shapes(db, root)

    # who and where

    @cached_property
    def repo(self) -> Any:
        """The repository in the path."""
        repo = find_repo(self.db, self.place["owner"], self.place["repo"])
        if repo is None or permission_of(self.db, repo, self.viewer) == "none":
            raise not_found()
        return repo

    @cached_property
    def git(self) -> BareRepo:
        """The repository's git side."""
        return self.state.git(self.repo["owner"], self.repo["name"])

    @cached_property
    def permission(self) -> str:
        """What the user may do here."""
        return permission_of(self.db, self.repo, self.viewer)

    @cached_property
    def thread(self) -> Thread:
        """Changes to the repository's issues by this user."""
        return Thread(self.db, self.repo, self.signed_in(), self.now)

    def signed_in(self) -> Any:
        """The user, who must be known."""
        if self.viewer is None:
            raise ApiError(401, "Requires authentication")
        return self.viewer

    def need(self, permission: str) -> None:
        """Refuse those who may not."""
        self.signed_in()
        if not may(self.permission, permission):
            raise forbidden()

    def may(self, permission: str) -> bool:
        """Whether the user may."""
        return self.viewer is not None and may(self.permission, permission)

    @cached_property
    def issue(self) -> Any:
        """The issue (or pull request) in the path."""
        return self.issue_number(self.place["number"])

    def issue_number(self, number: str | int) -> Any:
        """An issue of this repository."""
        row = self.db.execute(
            "select * from issues where repo_id = ? and number = ?", (self.repo["id"], int(number))
        ).fetchone()
        if row is None:
            raise not_found()
        return row

    def fresh(self, row: Any) -> Any:
        """An issue's row as it is now."""
        return self.db.execute("select * from issues where id = ?", (row["id"],)).fetchone()

    @cached_property
    def comment(self) -> Any:
        """The comment in the path."""
        row = self.db.execute(
            "select comments.* from comments join issues on issues.id = issue_id where comments.id = ? and repo_id = ?",
            (int(self.place["comment_id"]), self.repo["id"]),
        ).fetchone()
        if row is None:
            raise not_found()
        return row

    def users(self, logins: Sequence[str]) -> list[Any]:
        """Users by login; those who do not exist are refused."""
        found = [(login, find_user(self.db, login)) for login in logins]
        for login, user in found:
            if user is None:
                raise ApiError(
                    422,
                    "Validation Failed",
                    [{"value": login, "resource": "Issue", "field": "assignees", "code": "invalid"}],
                )
        return [user for _, user in found]

    # the body

    def fields(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        if self.payload is None:
            return {}
        if not isinstance(self.payload, dict):
            raise ApiError(400, "Body should be a JSON object")
        return self.payload

    def text(self, name: str, resource: str, *, required: bool = False) -> str | None:
        """A string of the body; None where it is absent or null."""
        value = self.fields().get(name)
        if value is None:
            if required:
                raise invalid(resource, name, "missing_field")
            return None
        if not isinstance(value, str):
            raise ApiError(422, f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not a string.")
        return value

    def needed(self, name: str, resource: str) -> str:
        """A string that must be there."""
        return str(self.text(name, resource, required=True))

    def names(self, name: str) -> list[str] | None:
        """A list of strings (or of objects with a name) of the body; None where it is absent."""
        value = self.fields().get(name)
        if value is None:
            return None
        return name_list(value, name)

    # lists

    def paged(self, rows: Sequence[Any], shape: Callable[[Any], Any]) -> Reply:
        """One page of a list, with GitHub's Link header."""
        per_page = min(max(self._number("per_page", 30), 1), 100)
        page = max(self._number("page", 1), 1)
        last = max(-(-len(rows) // per_page), 1)
        shown = [shape(row) for row in rows[(page - 1) * per_page : page * per_page]]
        return Reply(shown, headers=self._links(page, last))

    def _links(self, page: int, last: int) -> dict[str, str]:
        pages = {}
        if page > 1:
            pages["prev"] = min(page - 1, last)
        if page < last:
            pages.update(next=page + 1, last=last)
        if page > 1:
            pages["first"] = 1
        if not pages:
            return {}
        base = f"{self.root}{self.path}"
        links = (
            f'<{base}?{urlencode({**self.query, "page": str(number)})}>; rel="{rel}"' for rel, number in pages.items()
        )
        return {"Link": ", ".join(links)}

    def _number(self, name: str, default: int) -> int:
        value = self.query.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else default

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """A query parameter out of a few values."""
        value = self.query.get(name) or default
        if value not in allowed:
            raise ApiError(422, "Validation Failed", [{"resource": "Search", "field": name, "code": "invalid"}])
        return value

    def since(self) -> str:
        """``since`` as it is stored; earlier than everything where it is absent."""
        value = self.query.get("since")
        if not value:
            return ""
        found = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(?:Z|\+00:00)?)?", value.strip())
        if not found:
            raise ApiError(422, "Invalid request.\n\nFor 'since', the value is no ISO 8601 time.")
        time = found[2] or "00:00:00"
        return f"{found[1]}T{time if len(time) == 8 else time + ':00'}Z"


def name_list(value: Any, field_name: str) -> list[str]:
    """Strings, or the names of objects, out of a JSON list."""
    if not isinstance(value, list):
        raise ApiError(422, f"Invalid request.\n\nFor 'properties/{field_name}', {value!r} is not an array.")
    names = [item.get("name") if isinstance(item, dict) else item for item in value]
    for name in names:
        if not isinstance(name, str):
            raise ApiError(422, f"Invalid request.\n\nFor 'items', {name!r} is not a string.")
    return [str(name) for name in names]


Endpoint = Callable[[Call], Reply]
Route = tuple[str, str, Endpoint]
