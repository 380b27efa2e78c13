"""The stable identity of failures with one cause: over runs, row counts, schemas and dbt's own rewording."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .classification import OUTAGES, Classification, found_rows
from .dbt import GraphNode, ProjectGraph
from .failure import Failure, FailureKind
from .message_signature import lasting_name, signature
from .message_text import plain

# What stays the same over runs is the node and the class: the words of these messages change with the weather.
_CLASS_IS_ENOUGH = frozenset(
    {
        "lock_conflict",
        "out_of_memory",
        "stale_source",
        "run_cancelled",
        "run_timed_out",
        "missed_run",
        "unreadable_run",
    }
)
# A column is one of a table, and dbt's own names have no schema: their dots belong to them.
_COLUMNS = frozenset({"missing_column", "ambiguous_column"})
_DBT_NAMES = frozenset({"unknown_ref", "unknown_macro", "dependency_cycle", "duplicate_resource"})
_OF_THE_PROJECT = frozenset({FailureKind.COMPILE, FailureKind.CONNECTION, FailureKind.HOOK})
# The messages of these tell what was running at that time.
_ENDED = frozenset({FailureKind.CANCELLED, FailureKind.TIMED_OUT})
_HASH = re.compile(r"(?<=.)\.[0-9a-f]{10}$")


def fingerprint(
    failure: Failure,
    classification: Classification,
    node: GraphNode | None = None,
    graph: ProjectGraph | None = None,
) -> str:
    """Sixteen hexadecimal digits that name the cause of a failure within its project and environment.

    ``node`` is the failing node and ``graph`` the lineage, where they are known; most causes need neither.
    """
    error_class = classification.error_class
    identity: tuple[str, ...]
    if error_class in OUTAGES:
        identity = ("outage", error_class)
    elif failure.unique_id is None:
        # What stops dbt stops it in each job: where it names no file, its words tell it from another such error.
        in_job = "" if failure.kind in _OF_THE_PROJECT else f"job {failure.job_id} step {failure.step}"
        where = failure.path or in_job
        identity = ("step", where, error_class, _message_part(failure, classification, ()))
    elif _ran_and_found_rows(failure):
        # Not the class: it follows from the manifest, and must not move when the test later leaves it.
        identity = ("rows", _lasting_test(node) or _without_hash(failure.unique_id))
    else:
        part = _message_part(failure, classification, _read_by(node, graph))
        identity = ("node", _without_hash(failure.unique_id), error_class, part)
    text = "\n".join((failure.project, failure.environment, *identity))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _ran_and_found_rows(failure: Failure) -> bool:
    if failure.kind is FailureKind.UNIT_TEST and "differs from expected" in plain(failure.message):
        return True
    return failure.kind in (FailureKind.TEST, FailureKind.UNIT_TEST) and found_rows(failure)


def _lasting_test(node: GraphNode | None) -> str | None:
    """dbt puts the accepted values into a test's unique id: allowing one more makes no other test of it."""
    test = node.test if node else None
    if test is None or test.name != "accepted_values" or not test.attached_node or not test.column:
        return None
    return f"{test.name} {test.attached_node} {test.column}"


def _without_hash(unique_id: str) -> str:
    """A generic test's id without the hash of its arguments, which versions of dbt compute in other ways."""
    return _HASH.sub("", unique_id) if unique_id.startswith("test.") else unique_id


def _read_by(node: GraphNode | None, graph: ProjectGraph | None) -> tuple[GraphNode, ...]:
    if node is None or graph is None:
        return ()
    return tuple(parent for one in node.depends_on if (parent := graph.get(one)) is not None)


def _message_part(failure: Failure, classification: Classification, readable: Sequence[GraphNode]) -> str:
    if classification.error_class in _CLASS_IS_ENOUGH or failure.kind in _ENDED:
        return ""
    if not classification.about:
        return signature(failure.message, readable)
    return _named(classification.about, classification.error_class, failure.message, readable)


def _named(about: str, error_class: str, message: str, readable: Sequence[GraphNode]) -> str:
    """What the message is about: a column with its table, a relation without its schema, a schema as just that."""
    said = re.sub(r"[\"`'\[\]]", "", plain(message[:20_000])).lower()
    name = re.escape(about.lower())
    if re.search(rf"\b(?:schema|dataset|database|catalog)\s+(?:with name\s+)?{name}(?!\w)", said):
        return "<environment>"
    if re.search(rf"\benv[ _]var\b[^\n]{{0,60}}{name}(?!\w)", said):
        return f"environment variable {about}"
    if error_class in _DBT_NAMES:
        return about
    return lasting_name(about, readable, parts=2 if error_class in _COLUMNS else 1)
