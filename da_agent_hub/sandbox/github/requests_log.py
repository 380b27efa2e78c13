"""Who asks, and the log of all that was asked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from .state import token_hash


def user_of_header(db: sqlite3.Connection, header: str, now: str) -> Any:
    """The user whose token an Authorization header carries (``token``, ``Bearer`` or ``Basic``), or None.

    An App's tokens count until they expire, as of ``now`` in GitHub's way of writing it.
    """
    scheme, _, value = header.partition(" ")
    tokens: Sequence[str] = ()
    if scheme.lower() in ("token", "bearer"):
        tokens = (value.strip(),)
    elif scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        tokens = (password, name)
    for token in filter(None, tokens):
        user = db.execute("select * from users where token_hash = ?", (token_hash(token),)).fetchone()
        if user is None:
            user = db.execute(
                "select users.* from app_tokens join apps on apps.id = app_id join users on login = slug || '[bot]' "
                "where app_tokens.token_hash = ? and expires_at > ?",
                (token_hash(token), now),
            ).fetchone()
        if user is not None:
            return user
    return None


def log_request(
    db: sqlite3.Connection, now: str, request: Request, login: str | None, status: int, body: bytes
) -> None:
    """Append one answered request to the log."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    db.execute(
        "insert into requests (time, method, path, login, status, body_hash, body) values (?, ?, ?, ?, ?, ?, ?)",
        (
            now,
            request.method,
            path,
            login,
            status,
            hashlib.sha256(body).hexdigest() if body else None,
            body[:500].decode(errors="replace") if body else None,
        ),
    )
