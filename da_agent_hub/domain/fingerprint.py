"""The stable identity of failures with one cause: over runs, row counts, schemas and dbt's own rewording."""

from __future__ import annotations

import hashlib
import re

from .classification import OUTAGES, Classification, found_rows
from .dbt import GraphNode
from .failure import Failure, FailureKind

# What stays the same over runs is the node and the class: the words of these messages change with the weather.
_CLASS_IS_ENOUGH = frozenset(
    {"statement_timeout", "lock_conflict", "out_of_memory", "stale_source", "run_cancelled", "unreadable_run"}
)

_NOISE = re.compile(
    r"^\s*(?:compiled (?:code|sql) at .*|> ?(?:in|called by) .*|\(?job id: .*|line \d+:.*|\^+|candidate bindings:.*|"
    r"did you mean.*|hint:.*|location: .*|query id: .*|traceback .*)$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER = re.compile(r"^\w+ Error in [^\n]*\n")
_NORMALISED = (
    (re.compile(r"did you mean[^\n]*", re.IGNORECASE), ""),
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (
        re.compile(r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE),
        "<time>",
    ),
    (re.compile(r"\b\w*__dbt_\w+\b"), "<temporary>"),
    # Schemas and databases differ between environments: of a dotted name only the last part is its identity.
    (
        re.compile(
            r"(?:[\"`\[]?[\w$-]+[\"`\]]?\.){1,2}(?!(?:csv|sql|py|ya?ml|json|parquet)\b)([\"`\[]?[\w$]+[\"`\]]?)"
        ),
        r"\1",
    ),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"'(?:[^']|'')*'"), "'<value>'"),
    (re.compile(r"\d+(?:\.\d+)?"), "#"),
    (re.compile(r"[\"`\[\]]"), ""),
    (re.compile(r"\s+"), " "),
)


def signature(message: str) -> str:
    """A message without what changes from run to run: numbers, values, ids, times, schemas, positions."""
    text = _NOISE.sub("", _HEADER.sub("", message))
    text = "\n".join([line for line in text.splitlines() if line.strip()][:3])
    for pattern, replacement in _NORMALISED:
        text = pattern.sub(replacement, text)
    return text.strip().lower()[:300]


def fingerprint(failure: Failure, classification: Classification, node: GraphNode | None = None) -> str:
    """Sixteen hexadecimal digits that name the cause of a failure within its project and environment."""
    error_class = classification.error_class
    identity: tuple[str, ...]
    if error_class in OUTAGES:
        identity = ("outage", error_class)
    elif failure.unique_id is None:
        where = failure.path or f"job {failure.job_id} step {failure.step}"
        identity = ("step", where, error_class, _message_part(failure, classification))
    elif failure.kind in (FailureKind.TEST, FailureKind.UNIT_TEST) and found_rows(failure):
        # Not the class: it follows from the manifest, and must not move when the test later leaves it.
        identity = ("rows", _lasting_name(node) or failure.unique_id)
    else:
        identity = ("node", failure.unique_id, error_class, _message_part(failure, classification))
    text = "\n".join((failure.project, failure.environment, *identity))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _lasting_name(node: GraphNode | None) -> str | None:
    """dbt puts the accepted values into a test's unique id: allowing one more makes no other test of it."""
    test = node.test if node else None
    if test is None or test.name != "accepted_values" or not test.attached_node or not test.column:
        return None
    return f"{test.name} {test.attached_node} {test.column}"


def _message_part(failure: Failure, classification: Classification) -> str:
    if classification.error_class in _CLASS_IS_ENOUGH:
        return ""
    if classification.about:
        return classification.about.rsplit(".", 1)[-1]
    return signature(failure.message)
