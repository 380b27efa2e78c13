"""Was it a commit? Build the last good one on today's data, bisect to the culprit, take back as little of it as possible."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import PurePosixPath

from ..domain.classification import found_rows
from ..domain.dbt import GraphNode
from ..domain.failure import FailureKind
from ..domain.investigation import Candidate, FileChange
from ..domain.line_merge import Hunk, Split, hunks_of, lines, without, words
from ..domain.value_proof import DIFFERENT, EXPLAINED, SAME, ValueProof
from ..ports import Commit
from .case_file import CaseFile, plural
from .experiment import ABSENT, PASSES, Scope, Trial
from .masked_sql import MaskedSql
from .predecessor import Predecessor, Reference

MOST_TRIALS_OF_HUNKS = 10
MOST_FILES_BACK = 4
MOST_STEPS_BACK = 6
MOST_RIVALS = 3
MOVED_ALIKE = 0.8
# How a commit says that it changes how something is written and not what it gives.
_KEEPS_VALUES = re.compile(
    r"\b(?:refactor\w*|renam\w+|tid(?:y|ied|ies)\b|clean(?:s|ed|ing)?[ -]?up|(?:re)?format\w*|lint\w*|cosmetic|style|"
    r"simplif\w+|extract\w*|inlin\w+|dry\b|mov(?:e|es|ed|ing)\b|re-?organi[sz]\w+|restructur\w+|readab\w+|"
    r"shorten\w*|split\w*|typos?|whitespace|no (?:functional |behaviou?ral )?changes?)",
    re.IGNORECASE,
)
Build = Callable[[str, Sequence[FileChange]], Trial]


@dataclass(frozen=True)
class Culprit:
    """The commit that made the node fail, and the trial of its predecessor that passed."""

    commit: Commit
    before_sha: str
    before: Trial


@dataclass(frozen=True)
class WayBack:
    """Changes to the newest commit that take a part of another one out: what it is called, and whether it is all of it.

    ``alone`` tells that it is one single hunk of lines.
    """

    changes: tuple[FileChange, ...]
    part: str
    whole: bool = False
    by_words: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Revert:
    """A way back with which the build passes, and what its values prove.

    Where there is none, ``lost`` names what another way would have taken away, and ``doubt`` says which one passes and
    why a person has to decide on it.
    """

    way: WayBack | None
    trial: Trial | None
    lost: tuple[str, ...] = ()
    values: ValueProof | None = None
    doubt: str = ""


def last_good_sha(case: CaseFile) -> tuple[str | None, str]:
    """The commit that the last good run had checked out, with how that is known; None where nothing tells."""
    good = case.record.last_good
    if good is None:
        return None, "no good run of this node is known"
    # After a squash or a force-push the commit of a run may be on no branch: then its time has to do.
    if good.git_sha and case.bench.commits(None, good.git_sha):
        return good.git_sha, f"the last good run {good.run_id} ran commit {good.git_sha[:10]}"
    older = [commit for commit in case.bench.commits(None, case.head) if commit.committed_at <= good.at]
    if older:
        return older[0].sha, f"the newest commit before the last good run at {good.at:%Y-%m-%d %H:%M} UTC"
    return None, f"no commit is older than the last good run at {good.at:%Y-%m-%d %H:%M} UTC"


def relevant_paths(case: CaseFile, node: GraphNode) -> tuple[str, ...]:
    """Files of the repository by which a commit can touch a node: its own, its ancestors', their YAML, macros, settings."""
    paths: dict[str, None] = {}
    for unique_id in (node.unique_id, *case.graph.ancestors(node.unique_id)):
        one = case.graph.get(unique_id)
        path = case.path_of(one) if one else None
        if path:
            paths[path] = None
            folder = PurePosixPath(path).parent
            for ending in ("*.yml", "*.yaml"):
                paths[f":(glob){folder}/{ending}"] = None
    for name in ("macros", "tests/generic", "dbt_project.yml", "packages.yml", "dependencies.yml", "package-lock.yml"):
        paths[case.repository_path(name)] = None
    return tuple(paths)


def bisect(case: CaseFile, good: str, commits: Sequence[Commit], build: Build, first: Trial) -> Culprit | None:
    """The oldest commit of ``commits`` (newest first, the newest known bad) from which on the build fails.

    ``first`` is the passing trial at ``good``. A commit where the answer is neither pass nor failure counts as bad.
    """
    oldest_first = list(reversed(commits))
    low, low_sha, low_trial = -1, good, first
    high = len(oldest_first) - 1
    while high - low > 1:
        middle = (low + high) // 2
        trial = build(oldest_first[middle].sha, ())
        if trial.verdict == PASSES:
            low, low_sha, low_trial = middle, oldest_first[middle].sha, trial
        else:
            high = middle
    return Culprit(oldest_first[high], low_sha, low_trial) if oldest_first else None


def search_good(commits: Sequence[Commit], build: Build) -> tuple[str, Trial] | None:
    """Where no good run is known: step back through ``commits`` (newest first), twice as far each time, to one that passes.

    None where none does among those in which the node exists.
    """
    failing, beyond, place = 0, len(commits), 1
    for _ in range(MOST_STEPS_BACK):
        if failing >= beyond - 1:
            return None
        here = min(place, beyond - 1)
        trial = build(commits[here].sha, ())
        if trial.verdict == PASSES:
            return commits[here].sha, trial
        if trial.verdict == ABSENT:  # too far back: the node is younger
            beyond = here
        else:
            failing = here
        place = here * 2 + 1 if beyond == len(commits) else (failing + beyond) // 2
    return None


def before_the_culprit(case: CaseFile, culprit: Culprit, scope: Scope | None = None) -> Predecessor:
    """The newest commit without all that the culprit changed, where that goes together, else the culprit's parent."""
    sha = culprit.commit.sha
    everything = _everything_back(_hunks_of_all(files := _files_of(case, culprit.commit)), files)
    references = [Reference(case.head, f"the newest commit without {sha[:10]}", everything)] if everything else []
    if any(path.endswith(".csv") for path in culprit.commit.paths):
        scope = replace(scope or Scope(), seeds=True)
    return Predecessor(case, [*references, Reference(culprit.before_sha, culprit.before_sha[:10])], scope)


def smallest_revert(case: CaseFile, culprit: Culprit, build: Build, before: Predecessor) -> Revert:
    """The smallest part of the culprit without which the newest commit passes, with the values of old.

    Nothing else that it brought may be lost. A person decides where a part passes with other values than the code before
    gives, where several pass with different values, and where a test found rows after a commit that was to change what
    comes out: the values of old cannot tell a slip from what its author wanted.
    """
    lost: dict[str, None] = {}
    passing: list[Revert] = []
    wrong: list[str] = []
    tried = rivals = 0
    for way in _ways_back(case, culprit.commit):
        if passing and (not way.alone or rivals >= MOST_RIVALS):
            continue
        gone = lost_by(case, way.changes)
        if gone:
            lost.update(dict.fromkeys(gone))
            continue
        one_change = _moves(case, culprit) or keeps_values(culprit.commit)
        if (tried >= MOST_TRIALS_OF_HUNKS and not way.whole) or (way.whole and wrong and not one_change):
            continue  # all of it would take away what another part shows to be a change of its own
        tried, rivals = tried + 1, rivals + bool(passing)
        trial = build(case.head, way.changes)
        if trial.verdict != PASSES:
            continue
        if way.by_words and None not in (trial.rows, culprit.before.rows) and trial.rows != culprit.before.rows:
            continue  # a word more or less can make a test pass in many ways; only the old rows show that it was the one
        values = before.compare(way.changes, trial, takes_back=True)
        if values.verdict == DIFFERENT:
            wrong.append(f"to take {way.part} back makes it pass, but {values.reason}")
        elif values.verdict == EXPLAINED:
            wrong.append(
                f"to take {way.part} back makes it pass; but {values.reason}, and who reads that is not proven"
            )
        elif asserts_rows(case) and not keeps_values(culprit.commit):
            return Revert(None, None, tuple(lost), doubt=_perhaps_wanted(culprit.commit, way))
        elif values.verdict == SAME:
            return Revert(way, trial, values=values)
        elif not way.by_words:
            passing.append(Revert(way, trial, values=values))
    if len(passing) == 1:
        return passing[0]
    if passing:
        parts = " or of ".join(one.way.part for one in passing if one.way is not None)
        return Revert(
            None, None, tuple(lost), doubt=f"to take back either of {parts} makes it pass, with other results"
        )
    return Revert(None, None, tuple(lost), doubt="; ".join(wrong[:3]))


def asserts_rows(case: CaseFile) -> bool:
    """Whether what failed ran, and found rows that a test does not want."""
    failure = case.record.latest
    return failure.kind in (FailureKind.TEST, FailureKind.UNIT_TEST) and found_rows(failure)


def keeps_values(commit: Commit) -> bool:
    """Whether a commit says of itself that what comes out stays as it was."""
    return _KEEPS_VALUES.search(commit.subject) is not None


def _perhaps_wanted(commit: Commit, way: WayBack) -> str:
    return (
        f'to take {way.part} back makes it pass, but "{commit.subject}" was to change what comes out: the test may be '
        "what is out of date"
    )


def _moves(case: CaseFile, culprit: Culprit) -> bool:
    """Whether the commit only moved text within a file: then all its hunks are one change."""
    hunks = [hunk for hunk in _hunks_of_all(_files_of(case, culprit.commit)) if hunk.path.endswith(".sql")]
    gone, come = (
        Counter(re.findall(r"\w+", " ".join("".join(part) for part in parts).lower()))
        for parts in ([hunk.before for hunk in hunks], [hunk.after for hunk in hunks])
    )
    shared, most = (gone & come).total(), max(gone.total(), come.total())
    return len({hunk.path for hunk in hunks}) == 1 and most > 0 and shared / most >= MOVED_ALIKE


def _files_of(case: CaseFile, culprit: Commit) -> dict[str, tuple[str | None, str | None, str | None]]:
    """Each file of the project that a commit touched: before it, after it, and at the newest commit."""
    return {
        path: (
            case.bench.read_at(f"{culprit.sha}^", path),
            case.bench.read_at(culprit.sha, path),
            case.bench.read_at(case.head, path),
        )
        for path in culprit.paths
        if _belongs(case, path)
    }


def _ways_back(case: CaseFile, culprit: Commit) -> Iterator[WayBack]:
    files = _files_of(case, culprit)
    deleted = [path for path, (before, after, now) in files.items() if before and after is None and now is None]
    for path in deleted[:MOST_FILES_BACK] if len(deleted) > 1 or len(files) > 1 else ():
        yield WayBack((FileChange(path, files[path][0]),), path)
    for split in (lines, words):
        hunks = [
            hunk
            for path, (before, after, now) in files.items()
            if before is not None
            and after is not None
            and now is not None
            and (split is lines or path.endswith(".sql"))
            for hunk in hunks_of(path, before, after, split)
        ]
        if split is words:
            hunks = [hunk for hunk in hunks if "".join((*hunk.before, *hunk.after)).strip()]
        for chosen in _by_size(hunks) if split is lines else _by_words(hunks, files):
            changes = _taken_back(chosen, files, split)
            if changes is not None and (split is lines or _still_reads(case, files, changes)):
                whole = split is lines and len(chosen) == len(hunks) and _all_changed(files)
                alone = split is lines and len(chosen) == 1
                yield WayBack(changes, _described(chosen, split), whole, split is words, alone)
    everything = _everything_back(_hunks_of_all(files), files)
    if everything:
        yield WayBack(everything, ", ".join(sorted(files)), whole=True)


def _hunks_of_all(files: Mapping[str, tuple[str | None, str | None, str | None]]) -> list[Hunk]:
    return [
        hunk
        for path, (before, after, now) in files.items()
        if before is not None and after is not None and now is not None
        for hunk in hunks_of(path, before, after)
    ]


def lost_by(case: CaseFile, changes: Sequence[FileChange]) -> list[str]:
    """What is there at the newest commit and would be gone: output columns, macros, entries of YAML files, rows of seeds."""
    gone: list[str] = []
    for change in changes:
        now, then = case.bench.read_at(case.head, change.path), change.content or ""
        name = PurePosixPath(change.path).name
        if now is None:
            continue
        if change.path.endswith(".sql"):
            gone += _lost_names(now, then, case.graph.adapter_type)
        else:
            pattern = r"(?m)^\s*-\s" if change.path.endswith((".yml", ".yaml")) else r"(?m)^.*\S.*$"
            fewer = len(re.findall(pattern, now)) - len(re.findall(pattern, then))
            if fewer > 0 and not change.path.endswith(".md"):
                gone.append(f"{plural(fewer, 'entry', 'entries')} of {name}")
    return gone


def _lost_names(now: str, then: str, adapter_type: str) -> list[str]:
    macros = r"\{%-?\s*(?:macro|test)\s+(\w+)"
    gone = [one for one in re.findall(macros, now) if one not in re.findall(macros, then)]
    held, kept = MaskedSql(now, adapter_type), MaskedSql(then, adapter_type)
    if held.tree is not None:
        return gone + [name for name in held.outputs() if name not in kept.outputs()]
    # SQL that cannot be read yields no columns: more words that go than come are taken for a loss.
    before, after = ({word.lower() for word in re.findall(r"[A-Za-z_]\w+", text)} for text in (now, then))
    return gone + (sorted(before - after) if len(before - after) > len(after - before) else [])


def _still_reads(
    case: CaseFile, files: Mapping[str, tuple[str | None, str | None, str | None]], changes: Sequence[FileChange]
) -> bool:
    adapter = case.graph.adapter_type
    return all(
        MaskedSql(change.content or "", adapter).tree is not None
        or MaskedSql(files[change.path][2] or "", adapter).tree is None
        for change in changes
    )


def _described(chosen: Sequence[Hunk], split: Split) -> str:
    if split is lines:
        return describe_hunks(chosen)
    hunk = chosen[0]
    if len(chosen) > 1:
        return f"{plural(len(chosen), 'word')} of one line of {hunk.path}"
    was, now = ("".join(part).strip() for part in (hunk.before, hunk.after))
    changed = f"`{now}` in place of `{was}`" if was and now else f"`{now}`" if now else f"the loss of `{was}`"
    return f"{changed} in {hunk.path}"


def reverting(
    commit: Commit, way: WayBack, values: ValueProof | None, blamed: str, evidence_ids: tuple[str, ...],
    *, risk: str = "low",
) -> Candidate:  # fmt: skip
    """A way back as a candidate; ``blamed`` is what the commit did, as half a sentence."""
    whole = "all of it" if way.whole else "only this part of it, the rest stays"
    return Candidate(
        strategy="revert culprit" if way.whole else "revert culprit hunk",
        summary=f"Take back {way.part} of {commit.sha[:10]}",
        rationale=f"{blamed}; taking back {whole} makes it pass.",
        changes=way.changes,
        risk="medium" if way.whole else risk,
        evidence_ids=evidence_ids,
        values=values,
    )


def _belongs(case: CaseFile, path: str) -> bool:
    folder = case.bench.dbt_directory
    return (folder == "." or path.startswith(folder + "/")) and bool(re.search(r"\.(sql|ya?ml|csv|py|md)$", path))


def _by_size(hunks: Sequence[Hunk]) -> Iterator[tuple[Hunk, ...]]:
    ordered = sorted(hunks, key=lambda hunk: (not hunk.path.endswith(".sql"), hunk.size))
    for hunk in ordered[:6]:
        yield (hunk,)
    by_file: dict[str, list[Hunk]] = {}
    for hunk in hunks:
        by_file.setdefault(hunk.path, []).append(hunk)
    several = [tuple(found) for found in by_file.values() if 1 < len(found) < len(hunks)]
    pairs = [pair for pair in combinations(ordered[:5], 2) if pair not in several]
    yield from sorted([*pairs, *several], key=lambda chosen: sum(hunk.size for hunk in chosen))


def _by_words(
    hunks: Sequence[Hunk], files: Mapping[str, tuple[str | None, str | None, str | None]]
) -> Iterator[tuple[Hunk, ...]]:
    """Words one by one, then all that changed in one line, as where two arguments changed places."""
    yield from ((hunk,) for hunk in sorted(hunks, key=lambda one: one.size))
    by_line: dict[tuple[str, int], list[Hunk]] = {}
    for hunk in hunks:
        line = "".join(words(files[hunk.path][1] or "")[: hunk.start]).count("\n")
        by_line.setdefault((hunk.path, line), []).append(hunk)
    yield from (tuple(found) for found in by_line.values() if 1 < len(found) < len(hunks))


def _taken_back(
    chosen: Sequence[Hunk], files: Mapping[str, tuple[str | None, str | None, str | None]], split: Split = lines
) -> tuple[FileChange, ...] | None:
    changes = []
    for path in dict.fromkeys(hunk.path for hunk in chosen):
        _, after, now = files[path]
        assert after is not None
        assert now is not None
        text = without([hunk for hunk in chosen if hunk.path == path], after, now, split)
        if text is None or text == now:
            return None
        changes.append(FileChange(path, text))
    return tuple(changes)


def _everything_back(
    hunks: Sequence[Hunk], files: Mapping[str, tuple[str | None, str | None, str | None]]
) -> tuple[FileChange, ...] | None:
    changes = list(_taken_back(hunks, files) or ()) if hunks else []
    if hunks and not changes:
        return None
    for path, (before, after, now) in files.items():
        if (before is None) != (after is None):  # the commit added or deleted the file
            if now != after:
                return None
            changes.append(FileChange(path, before))
    return tuple(changes)


def _all_changed(files: Mapping[str, tuple[str | None, str | None, str | None]]) -> bool:
    return all(before is not None and after is not None for before, after, _ in files.values())


def describe(commit: Commit) -> str:
    """A commit in one phrase."""
    return f"{commit.sha[:10]} ({commit.committed_at:%Y-%m-%d}, {commit.author}: {commit.subject})"


def describe_hunks(hunks: Sequence[Hunk]) -> str:
    """How much is taken back, in one phrase."""
    paths = sorted({hunk.path for hunk in hunks})
    count = sum(max(len(hunk.before), len(hunk.after)) for hunk in hunks)
    return f"{plural(count, 'line')} of {', '.join(paths)}"
