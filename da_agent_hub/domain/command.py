"""A permitted person's instruction in an issue, and the inbox events that carry it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

COMMAND_LABELS = frozenset({"claude:fix", "claude:investigate", "claude:collaborate"})


class EventKind(str, Enum):
    """What moved an issue, or was told by a webhook: ``LOOK`` at an issue, ``DBT_RUN`` ended, ``DISPATCH`` of GitHub."""

    FILED = "filed"
    COMMENT = "comment"
    LABELED = "labeled"
    ASSIGNED = "assigned"
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    LOOK = "look"
    DBT_RUN = "dbt_run"
    DISPATCH = "dispatch"


@dataclass(frozen=True)
class InboxEvent:
    """One thing that happened to an issue; ``event_id`` is unique for ever, so that seeing it twice changes nothing.

    ``issue_key`` is what it waits for, an issue but for ``DBT_RUN`` and ``DISPATCH``. ``subject`` is the label, the
    assignee, the comment's id or what to look at; ``text`` the comment's body; ``body_hash`` the SHA-256
    of that body, by which a later edit is noticed.
    """

    event_id: str
    issue_key: str
    kind: EventKind
    actor: str
    happened_at: datetime
    subject: str = ""
    text: str = ""
    body_hash: str = ""
    detail: dict[str, str] = field(default_factory=dict)


def dbt_account_key(account_id: int) -> str:
    """What an event of a dbt Cloud account waits for."""
    return f"dbt-cloud:{account_id}"


class Intent(str, Enum):
    """What a command asks for."""

    CREATE_PR = "create_pr"
    INVESTIGATE = "investigate"
    EXPLAIN = "explain"
    CONVERSE = "converse"
    RETRY = "retry"
    STOP = "stop"
    FALSE_POSITIVE = "false_positive"
    HELP = "help"


@dataclass(frozen=True)
class Command:
    """An intent with the words that carried it; ``expert`` is set by ``use the snowflake-expert``."""

    intent: Intent
    text: str = ""
    expert: str | None = None
