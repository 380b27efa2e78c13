"""What an issue is about: the record that it was filed for, or what a person's words name in one of their own."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import ProjectSettings
from ..domain.command import InboxEvent
from ..domain.error_record import ErrorRecord
from ..domain.issue import Issue, IssueRef
from ..domain.marker import RecordMarker
from ..domain.named_nodes import named_node, named_record
from ..ports import RecordStore


@dataclass(frozen=True)
class Subject:
    """A record, or a ``node`` (unique id) of which no failure is on record, or neither.

    ``is_filed`` tells the hub's own issues apart; ``filed_as`` is the record's own issue where this is another one.
    """

    record: ErrorRecord | None = None
    node: str | None = None
    is_filed: bool = False
    filed_as: IssueRef | None = None


def subject_of(issue: Issue, event: InboxEvent, *, login: str, project: ProjectSettings, store: RecordStore) -> Subject:
    """By the store, by the marker of an issue of the hub's own, or by the names in what was asked and in the issue."""
    record = store.record_of(str(issue.ref))
    marker = RecordMarker.read(issue.body) if issue.author.lower() == login.lower() else None
    if record is None and marker is not None:
        record = store.record(marker.fingerprint)
    if record is not None or marker is not None:
        return Subject(record, is_filed=True)
    graph, records = store.latest_graph(project.name), store.records(project.name)
    for text in (event.text, f"{issue.title}\n{issue.body}"):
        record = named_record(text, records, graph)
        if record is not None:
            key = store.issue_of(record.fingerprint)
            return Subject(record, record.node, filed_as=IssueRef.parse(key) if key else None)
        node = named_node(text, graph)
        if node is not None:
            return Subject(node=node)
    return Subject()
