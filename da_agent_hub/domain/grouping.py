"""Which failures follow from another one: decided from the lineage, and left apart where it cannot be decided."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .built_code import BuiltCode
from .classification import CONTENTION, OUTAGES, Classification
from .dbt import GraphNode, ProjectGraph
from .failure import Failure, FailureKind
from .message_signature import signature
from .recovery import Position

# What rows of one kind of fault become further down, where both began in the same run.
_CONSEQUENCES: dict[str, frozenset[str]] = {
    "duplicate_keys": frozenset({"duplicate_keys", "row_condition", "duplicate_merge_keys"}),
    "null_values": frozenset({"null_values"}),
    "unexpected_values": frozenset({"unexpected_values", "null_values"}),
    "orphan_rows": frozenset({"orphan_rows", "null_values"}),
}
_ON_THE_SAME_NODE = {"duplicate_keys": frozenset({"row_condition"})}
# A node that was not rebuilt leaves its tests and readers with a relation, or columns, that are not there.
_NOT_REBUILT = frozenset({"missing_relation", "missing_column"})
# The same name missing or forbidden is one cause, whoever reads it and whether or not the lineage shows a way there.
_SAME_WORDS = frozenset(
    {"missing_database", "missing_relation", "missing_function", "unknown_macro", "permission_denied"}
)
# Repeated rows change what these give; a condition on single rows holds of a row as often as it is there.
_ADDS_UP = re.compile(r"\b(?:sum|count)\s*\((?!\s*distinct\b)", re.IGNORECASE)
_BUILT = frozenset({FailureKind.MODEL, FailureKind.SEED, FailureKind.SNAPSHOT})


@dataclass(frozen=True)
class Judged:
    """A failure with what was concluded from it alone; ``subject`` is the node it is about, of a test the tested one."""

    failure: Failure
    classification: Classification
    fingerprint: str
    node: GraphNode | None = None

    @property
    def subject(self) -> str | None:
        """The unique id of the node that the failure is about."""
        if self.node is not None and self.node.test is not None:
            return self.node.test.attached_node or self.node.unique_id
        return self.failure.unique_id


@dataclass(frozen=True)
class _Standing:
    judged: Judged
    root: str
    began_in: str
    began_at: Position
    began_in_job: str
    good_before: Position | None
    changed: str | None = None

    @property
    def was_good_before(self) -> bool:
        """Whether its node had ever been seen good when it began."""
        return self.good_before is not None


class Attribution:
    """Follows one environment's runs in order of time and says of each failure whose consequence it is."""

    def __init__(self, graph: ProjectGraph | None, code: BuiltCode | None = None) -> None:
        self._graph = graph
        self._code = code or BuiltCode()
        self._standing: dict[str, _Standing] = {}
        # Dictionaries for their order: whoever was seen first is the first candidate, and looking goes no further.
        self._by_subject: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_words: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._by_node: dict[str, set[str]] = defaultdict(set)
        self._by_change: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._good: dict[str, Position] = {}
        self._upstream: dict[str, tuple[str, ...]] = {}

    def good(self, unique_id: str, position: Position) -> None:
        """A node ran and was good: whatever it failed of is over."""
        self._good[unique_id] = position
        for fingerprint in self._by_node.pop(unique_id, set()):
            standing = self._standing.pop(fingerprint, None)
            if standing is not None:
                self._by_subject[standing.judged.subject or ""].pop(fingerprint, None)
                self._by_words[_words(standing.judged)].pop(fingerprint, None)
                if standing.changed is not None:
                    self._by_change[standing.began_in, standing.changed].pop(fingerprint, None)

    def attribute(self, run_id: str, failures: Sequence[Judged]) -> Iterator[tuple[Judged, str | None]]:
        """The failures of a run, causes first, each with the fingerprint of its cause, or None where it is its own."""
        in_contention: dict[str, str] = {}
        for judged in sorted(failures, key=self._from_upstream):
            error_class = judged.classification.error_class
            if error_class in OUTAGES or judged.failure.unique_id is None:
                # Its fingerprint names no node: every node it hits is the same cause already.
                yield judged, None
                continue
            if error_class in CONTENTION:
                root = in_contention.setdefault(error_class, judged.fingerprint)
            else:
                root = self._root_of(run_id, judged) or judged.fingerprint
            self._remember(run_id, judged, root)
            yield judged, None if root == judged.fingerprint else root

    def _from_upstream(self, judged: Judged) -> tuple[int, bool, bool, str, int]:
        is_test = judged.failure.kind in (FailureKind.TEST, FailureKind.UNIT_TEST)
        explains = judged.classification.error_class in _ON_THE_SAME_NODE
        return (len(self._above(judged)), is_test, not explains, judged.failure.unique_id or "", judged.failure.step)

    def _above(self, judged: Judged) -> tuple[str, ...]:
        """The ancestors of a failure's subject, nearest first."""
        subject = judged.subject
        if self._graph is None or subject is None:
            return ()
        if subject not in self._upstream:
            self._upstream[subject] = self._graph.ancestors(subject)
        return self._upstream[subject]

    def _remember(self, run_id: str, judged: Judged, root: str) -> None:
        unique_id, known = judged.failure.unique_id, self._standing.get(judged.fingerprint)
        began, changed = (known.began_in, known.changed) if known else (run_id, self._only_change(judged))
        self._standing[judged.fingerprint] = _Standing(
            judged=judged,
            root=root,
            began_in=began,
            began_at=known.began_at if known else _position(judged),
            began_in_job=known.began_in_job if known else judged.failure.job_id,
            good_before=known.good_before if known else self._good.get(unique_id or ""),
            changed=changed,
        )
        if changed is not None:
            self._by_change[began, changed][judged.fingerprint] = None
        if unique_id is not None:
            self._by_node[unique_id].add(judged.fingerprint)
        if judged.subject is not None:
            self._by_subject[judged.subject][judged.fingerprint] = None
            self._by_words[_words(judged)][judged.fingerprint] = None

    def _root_of(self, run_id: str, judged: Judged) -> str | None:
        known = self._standing.get(judged.fingerprint)
        began = known.began_in if known else run_id
        began_at = known.began_at if known else _position(judged)
        good_before = known.good_before if known else self._good.get(judged.failure.unique_id or "")
        job = known.began_in_job if known else judged.failure.job_id
        was_good = good_before is not None
        for candidate in self._candidates(judged):
            if judged.fingerprint in (candidate.judged.fingerprint, candidate.root):
                continue
            if candidate.root not in self._standing:
                continue
            same_runs = candidate.began_in == began and candidate.judged.failure.run_id == run_id
            together = same_runs and was_good and candidate.was_good_before
            if same_runs and self._got_the_same_rows_twice(judged, candidate.judged):
                return candidate.root
            if same_runs and was_good == candidate.was_good_before and _adds_up_rows_of(judged, candidate.judged):
                return candidate.root
            if not same_runs and good_before is not None and candidate.was_good_before:
                # Another job meets the cause in a run of its own: it was last good before the cause had begun.
                together = candidate.began_in_job != job and good_before < candidate.began_at < began_at
            if self._follows(judged, candidate.judged, began_together=together, in_run=run_id):
                return candidate.root
        changed = known.changed if known else self._only_change(judged)
        for one in self._by_change.get((began, changed), ()) if changed else ():
            candidate = self._standing[one]
            if judged.fingerprint in (one, candidate.root) or candidate.root not in self._standing:
                continue
            if candidate.judged.failure.run_id == run_id:
                return candidate.root
        return None

    def _only_change(self, judged: Judged) -> str | None:
        """The one node, of all that a test reads, whose code changed between its last good run and its failure."""
        failure, node = judged.failure, judged.node
        last_good = self._good.get(failure.unique_id or "")
        if self._graph is None or node is None or last_good is None or failure.kind is not FailureKind.TEST:
            return None
        reads = {*node.depends_on, *(one for parent in node.depends_on for one in self._graph.ancestors(parent))}
        now = (failure.happened_at, failure.run_id, failure.step)
        changed = list(self._code.changed({*reads, node.unique_id}, last_good, now))
        return changed[0] if len(changed) == 1 and changed[0] in reads else None

    def _candidates(self, judged: Judged) -> Iterator[_Standing]:
        subject = judged.subject
        above = self._above(judged)
        nearby: Iterable[str] = above if subject is None else (*above[::-1], subject)
        for one in nearby:
            yield from (self._standing[known] for known in self._by_subject.get(one, ()))
        if judged.classification.error_class in _SAME_WORDS:
            yield from (self._standing[known] for known in self._by_words.get(_words(judged), ()))
        # Two models that read nothing but one and the same parent got their repeated rows from it.
        if self._graph is not None and judged.classification.error_class == "duplicate_keys":
            for one in self._with_the_same_only_parent(subject):
                yield from (self._standing[known] for known in self._by_subject.get(one, ()))
        # Two nodes that read the same column of one parent, where that column is gone, are siblings.
        if self._graph is not None and judged.classification.error_class in _NOT_REBUILT:
            node = self._graph.get(subject)
            siblings = {child for parent in (node.depends_on if node else ()) for child in self._graph.children[parent]}
            for one in sorted(siblings - {subject}):
                yield from (self._standing[known] for known in self._by_subject.get(one, ()))

    def _got_the_same_rows_twice(self, later: Judged, earlier: Judged) -> bool:
        classes = {later.classification.error_class, earlier.classification.error_class}
        return classes == {"duplicate_keys"} and earlier.subject in self._with_the_same_only_parent(later.subject)

    def _with_the_same_only_parent(self, subject: str | None) -> tuple[str, ...]:
        node = self._graph.get(subject) if self._graph is not None else None
        if self._graph is None or node is None or node.test is not None or len(node.depends_on) != 1:
            return ()
        siblings = map(self._graph.get, self._graph.children[node.depends_on[0]])
        return tuple(
            one.unique_id
            for one in siblings
            if one is not None and one.test is None and one.unique_id != subject and len(one.depends_on) == 1
        )

    def _follows(self, later: Judged, earlier: Judged, *, began_together: bool, in_run: str) -> bool:
        same_node = later.subject == earlier.subject
        upstream = earlier.subject in self._above(later)
        was, now = earlier.classification, later.classification
        if was.error_class == now.error_class and was.about and was.about == now.about:
            return True
        if now.error_class in _SAME_WORDS and _words(later) == _words(earlier):
            return True
        if not (same_node or upstream):
            return False
        if earlier.failure.kind in _BUILT and now.error_class in _NOT_REBUILT:
            not_rebuilt = earlier.failure.run_id == in_run or began_together
            return not_rebuilt and earlier.failure.unique_id != later.failure.unique_id
        if not began_together:
            return False
        allowed = _ON_THE_SAME_NODE if same_node else _CONSEQUENCES
        return now.error_class in allowed.get(was.error_class, frozenset())


def _adds_up_rows_of(later: Judged, earlier: Judged) -> bool:
    """Whether a test sums or counts the very rows that are there more than once."""
    classes = (earlier.classification.error_class, later.classification.error_class)
    if classes != ("duplicate_keys", "row_condition") or later.node is None:
        return False
    sql = later.failure.compiled_sql or later.node.raw_sql
    return earlier.subject in later.node.depends_on and _ADDS_UP.search(sql) is not None


def _position(judged: Judged) -> Position:
    return judged.failure.happened_at, judged.failure.run_id, judged.failure.step


def _words(judged: Judged) -> tuple[str, str]:
    """What a failure says, without what differs between the nodes that say it."""
    return judged.classification.error_class, judged.classification.about or signature(judged.failure.message)
