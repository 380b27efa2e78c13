"""The work on issues: their links and inbox, who works on what, and what investigations and fixes came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from ..domain.command import EventKind, InboxEvent
from ..domain.error_record import ErrorRecord, ProvenCategory
from ..domain.fix_proposal import FixProposal
from ..domain.investigation import Investigation
from ..domain.life_cycle import Life
from . import record_tables as tables
from .record_rows import RecordRows, as_json, pack, unpack

_OF_NO_ISSUE = (EventKind.DBT_RUN.value, EventKind.DISPATCH.value)


class RecordIssues(RecordRows):
    """The part of ``RecordStore`` that GitHub, people and Dagster's runs fill."""

    # the way to GitHub
    def link_issue(self, fingerprint: str, issue_key: str) -> None:
        """Remember the newest issue of a record; of several records that one issue has, the first stands for all."""
        link = self._insert(tables.record_issues).values(fingerprint=fingerprint, issue_key=issue_key)
        with self._write() as connection:
            connection.execute(link.on_conflict_do_nothing())

    def issue_of(self, fingerprint: str) -> str | None:
        """The newest issue key of a record."""
        links = tables.record_issues.c
        query = select(links.issue_key).where(links.fingerprint == fingerprint).order_by(links.seq.desc()).limit(1)
        return self._one(query)  # type: ignore[no-any-return]

    def record_of(self, issue_key: str) -> ErrorRecord | None:
        """The record that an issue was filed for, or that stands for all of a digest's."""
        kept, links = tables.error_records.c, tables.record_issues.c
        payload = self._one(
            select(kept.payload)
            .join_from(tables.record_issues, tables.error_records, links.fingerprint == kept.fingerprint)
            .where(links.issue_key == issue_key)
            .order_by(links.seq)
            .limit(1)
        )
        return None if payload is None else msgspec.json.decode(payload, type=ErrorRecord)

    def life(self, issue_key: str) -> Life | None:
        """Where an issue is in its life."""
        lives = tables.issue_lives.c
        payload = self._one(select(lives.payload).where(lives.issue_key == issue_key))
        return None if payload is None else msgspec.json.decode(payload, type=Life)

    def save_life(self, life: Life) -> None:
        """Keep it in place of what was kept."""
        row = {
            "issue_key": life.issue_key,
            "project": life.project,
            "state": life.state.value,
            "opened_at": life.opened_at,
            "payload": as_json(life),
        }
        with self._write() as connection:
            self._put(connection, tables.issue_lives, row, key=["issue_key"])

    def lives(self, project: str, since: datetime) -> Sequence[Life]:
        """Lives of a project's issues that were opened, or opened again, since."""
        lives = tables.issue_lives.c
        query = (
            select(lives.payload)
            .where(lives.project == project, lives.opened_at >= since)
            .order_by(lives.opened_at, lives.issue_key)
        )
        return [msgspec.json.decode(payload, type=Life) for payload in self._all(query)]

    def filed_until(self, project: str) -> datetime | None:
        """Up to when the project's records were filed as issues."""
        marks = tables.filed_marks.c
        return self._one(select(marks.until).where(marks.project == project))  # type: ignore[no-any-return]

    def set_filed_until(self, project: str, until: datetime) -> None:
        """Move that mark; it never moves back."""
        added = self._insert(tables.filed_marks).values(project=project, until=until)
        forward = tables.filed_marks.c.until < added.excluded.until
        with self._write() as connection:
            connection.execute(
                added.on_conflict_do_update(index_elements=["project"], set_={"until": until}, where=forward)
            )

    # inbox
    def add_events(self, events: Iterable[InboxEvent]) -> int:
        """Append those not yet there; returns how many were new."""
        rows = [
            {
                "event_id": event.event_id,
                "issue_key": event.issue_key,
                "kind": event.kind.value,
                "happened_at": event.happened_at,
                "payload": as_json(event),
                "failures": 0,
                "finished": False,
            }
            for event in events
        ]
        inbox = tables.inbox_events
        with self._write() as connection:
            added = [
                connection.execute(
                    self._insert(inbox)
                    .values(row)
                    .on_conflict_do_nothing(index_elements=["event_id"])
                    .returning(inbox.c.seq)
                ).first()
                for row in rows
            ]
        return sum(row is not None for row in added)

    def pending_events(self, issue_key: str) -> Sequence[InboxEvent]:
        """What waits for an issue, in order of happening."""
        inbox = tables.inbox_events.c
        query = (
            select(inbox.payload)
            .where(inbox.finished.is_(False), inbox.issue_key == issue_key)
            .order_by(inbox.happened_at, inbox.seq)
        )
        return [msgspec.json.decode(payload, type=InboxEvent) for payload in self._all(query)]

    def pending_issues(self) -> Sequence[str]:
        """Issue keys with something waiting, oldest first."""
        inbox = tables.inbox_events.c
        return self._all(
            select(inbox.issue_key)
            .where(inbox.finished.is_(False), inbox.kind.not_in(_OF_NO_ISSUE))
            .group_by(inbox.issue_key)
            .order_by(func.min(inbox.happened_at), func.min(inbox.seq))
        )

    def finish_event(self, event_id: str, outcome: str) -> None:
        """Mark an event as dealt with and how; the first outcome stays."""
        inbox = tables.inbox_events
        waiting = (inbox.c.event_id == event_id) & inbox.c.finished.is_(False)
        with self._write() as connection:
            connection.execute(update(inbox).where(waiting).values(finished=True, outcome=outcome))

    def plan_of(self, event_id: str) -> dict[str, Any] | None:
        """What was decided to do about an event, or None where nothing was decided yet."""
        plan = self._one(select(tables.inbox_events.c.plan).where(tables.inbox_events.c.event_id == event_id))
        return None if plan is None else msgspec.json.decode(plan, type=dict[str, Any])

    def save_plan(self, event_id: str, plan: Mapping[str, Any]) -> None:
        """Keep what was decided; the first decision stays, so that a repeat does the same."""
        inbox = tables.inbox_events
        undecided = (inbox.c.event_id == event_id) & inbox.c.plan.is_(None)
        with self._write() as connection:
            connection.execute(update(inbox).where(undecided).values(plan=as_json(dict(plan))))

    def note_event_failure(self, event_id: str) -> int:
        """Count that dealing with an event raised; returns how often it did."""
        inbox = tables.inbox_events
        this = inbox.c.event_id == event_id
        with self._write() as connection:
            connection.execute(update(inbox).where(this).values(failures=inbox.c.failures + 1))
            return connection.execute(select(inbox.c.failures).where(this)).scalar() or 0

    def event_failures(self, issue_key: str) -> int:
        """The most often that one waiting event of an issue raised."""
        inbox = tables.inbox_events.c
        query = select(func.max(inbox.failures)).where(inbox.issue_key == issue_key, inbox.finished.is_(False))
        return self._one(query) or 0

    def event_outcomes(self, issue_key: str) -> Mapping[str, str | None]:
        """Every event of an issue, in order of happening: its id to its outcome, None while it waits."""
        inbox = tables.inbox_events.c
        query = (
            select(inbox.event_id, inbox.outcome)
            .where(inbox.issue_key == issue_key)
            .order_by(inbox.happened_at, inbox.seq)
        )
        return dict(self._rows(query))

    def request_stop(self, issue_key: str) -> None:
        """Raise the flag that a working investigation reads at each step."""
        with self._write() as connection:
            connection.execute(self._insert(tables.stop_flags).values(issue_key=issue_key).on_conflict_do_nothing())

    def stop_requested(self, issue_key: str) -> bool:
        """Whether that flag is up."""
        flags = tables.stop_flags.c
        return self._one(select(flags.issue_key).where(flags.issue_key == issue_key)) is not None

    def clear_stop(self, issue_key: str) -> None:
        """Lower it."""
        with self._write() as connection:
            connection.execute(delete(tables.stop_flags).where(tables.stop_flags.c.issue_key == issue_key))

    # leases
    def acquire_lease(self, scope: str, holder: str, now: datetime, seconds: float) -> bool:
        """Take or renew a scope; False where somebody else holds it and it has not expired."""
        held = tables.leases.c
        until = now.timestamp() + seconds
        expires_at = datetime.fromtimestamp(until, tz=now.tzinfo)
        free = (held.holder == holder) | (held.expires_at <= now)
        taken = self._insert(tables.leases).values(scope=scope, holder=holder, expires_at=expires_at)
        with self._write() as connection:
            row = connection.execute(
                taken.on_conflict_do_update(
                    index_elements=["scope"], set_={"holder": holder, "expires_at": expires_at}, where=free
                ).returning(held.scope)
            ).first()
        return row is not None

    def release_lease(self, scope: str, holder: str) -> None:
        """Give a scope back; somebody else's lease is left alone."""
        held = tables.leases
        with self._write() as connection:
            connection.execute(delete(held).where(held.c.scope == scope, held.c.holder == holder))

    def leases(self) -> Mapping[str, tuple[str, datetime]]:
        """Scope to (holder, expiry)."""
        held = tables.leases.c
        rows = self._rows(select(held.scope, held.holder, held.expires_at))
        return {scope: (holder, expires_at) for scope, holder, expires_at in rows}

    # runs asked of Dagster
    def note_request(self, scope: str, now: datetime) -> int:
        """Count and remember that a run was requested; the count never starts again, so that run keys never repeat."""
        asked = tables.run_requests
        first = self._insert(asked).values(scope=scope, attempts=1, cleared_attempts=0, requested_at=now)
        with self._write() as connection:
            connection.execute(
                first.on_conflict_do_update(
                    index_elements=["scope"], set_={"attempts": asked.c.attempts + 1, "requested_at": now}
                )
            )
            return int(connection.execute(select(asked.c.attempts).where(asked.c.scope == scope)).scalar_one())

    def last_request(self, scope: str) -> tuple[int, datetime] | None:
        """The newest attempt and when it was asked for; None where nothing was asked since the work was last done."""
        asked = tables.run_requests.c
        query = select(asked.attempts, asked.requested_at).where(
            asked.scope == scope, asked.attempts > asked.cleared_attempts
        )
        return next(iter(self._rows(query)), None)

    def attempts(self, scope: str) -> int:
        """How many runs were requested since the work was last done."""
        asked = tables.run_requests.c
        return self._one(select(asked.attempts - asked.cleared_attempts).where(asked.scope == scope)) or 0

    def clear_requests(self, scope: str) -> None:
        """The work is done: nothing is in flight any more, and the next request gets a number not used before."""
        asked = tables.run_requests
        with self._write() as connection:
            connection.execute(update(asked).where(asked.c.scope == scope).values(cleared_attempts=asked.c.attempts))

    # investigations and fixes
    def save_investigation(self, issue_key: str, key: str, investigation: Investigation) -> None:
        """Keep; ``key`` names what asked for it (an event id), so that a repeat replaces itself.

        What it proved about its record's category is kept with it, and replaces what an earlier one had proved.
        """
        proven = investigation.proven
        row = {
            "issue_key": issue_key,
            "key": key,
            "investigator": investigation.investigator,
            "cost_usd": investigation.cost_usd,
            "started_at": investigation.started_at,
            "payload": pack(investigation),
        }
        with self._write() as connection:
            self._put(connection, tables.investigations, row, key=["issue_key", "key"])
            if proven is not None:
                self._put_proof(connection, proven)

    def save_proof(self, proven: ProvenCategory) -> None:
        """Keep what an investigation proved that this store does not hold; the newest proof of a record stays."""
        with self._write() as connection:
            self._put_proof(connection, proven)

    def _put_proof(self, connection: Connection, proven: ProvenCategory) -> None:
        proof = {"fingerprint": proven.fingerprint, "project": proven.project, "payload": as_json(proven)}
        self._put(connection, tables.proven_categories, proof, key=["fingerprint"])

    def proven_categories(self, project: str) -> Mapping[str, ProvenCategory]:
        """What was proved last about the category of each record, by fingerprint."""
        kept = tables.proven_categories.c
        found = self._all(select(kept.payload).where(kept.project == project))
        proofs = [msgspec.json.decode(payload, type=ProvenCategory) for payload in found]
        return {proof.fingerprint: proof for proof in proofs}

    def investigations(self, issue_key: str) -> Sequence[Investigation]:
        """Oldest first."""
        kept = tables.investigations.c
        query = select(kept.payload).where(kept.issue_key == issue_key).order_by(kept.seq)
        return [unpack(payload, Investigation) for payload in self._all(query)]

    def investigation_for(self, issue_key: str, key: str) -> Investigation | None:
        """The one that an event asked for."""
        kept = tables.investigations.c
        payload = self._one(select(kept.payload).where(kept.issue_key == issue_key, kept.key == key))
        return None if payload is None else unpack(payload, Investigation)

    def save_fix(self, issue_key: str, key: str, fix: FixProposal) -> None:
        """Keep; as for investigations."""
        row = {
            "issue_key": issue_key,
            "key": key,
            "outcome": fix.outcome.value,
            "pull_request": fix.pull_request,
            "payload": pack(fix),
        }
        with self._write() as connection:
            self._put(connection, tables.fixes, row, key=["issue_key", "key"])

    def fixes(self, issue_key: str) -> Sequence[FixProposal]:
        """Oldest first."""
        kept = tables.fixes.c
        query = select(kept.payload).where(kept.issue_key == issue_key).order_by(kept.seq)
        return [unpack(payload, FixProposal) for payload in self._all(query)]

    def fix_for(self, issue_key: str, key: str) -> FixProposal | None:
        """The one that an event asked for."""
        kept = tables.fixes.c
        payload = self._one(select(kept.payload).where(kept.issue_key == issue_key, kept.key == key))
        return None if payload is None else unpack(payload, FixProposal)

    def issue_of_pull_request(self, pull_request_key: str) -> str | None:
        """The issue whose fix a pull request is; of several that it mends, the one that it was opened for."""
        kept = tables.fixes.c
        query = select(kept.issue_key).where(kept.pull_request == pull_request_key).order_by(kept.seq).limit(1)
        return self._one(query)  # type: ignore[no-any-return]

    # the rest
    def cursor(self, name: str) -> dict[str, Any]:
        """A poller's place; empty at first."""
        value = self._one(select(tables.cursors.c.value).where(tables.cursors.c.name == name))
        return {} if value is None else msgspec.json.decode(value, type=dict[str, Any])

    def set_cursor(self, name: str, value: Mapping[str, Any]) -> None:
        """Move it."""
        with self._write() as connection:
            self._put(connection, tables.cursors, {"name": name, "value": as_json(dict(value))}, key=["name"])
