"""Was it a commit? Build the last good one on today's data, bisect to the culprit, take back as little of it as possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath

from ..domain.dbt import GraphNode
from ..domain.investigation import FileChange
from ..domain.line_merge import Hunk, hunks_of, without
from ..ports import Commit
from .case_file import CaseFile, plural
from .experiment import ABSENT, PASSES, Trial

MOST_TRIALS_OF_HUNKS = 10
MOST_STEPS_BACK = 6
Build = Callable[[str, Sequence[FileChange]], Trial]


@dataclass(frozen=True)
class Culprit:
    """The commit that made the node fail, and the trial of its predecessor that passed."""

    commit: Commit
    before_sha: str
    before: Trial


@dataclass(frozen=True)
class Revert:
    """A verified way back: the changes to the newest commit, and which hunks of the culprit they take out."""

    changes: tuple[FileChange, ...]
    hunks: tuple[Hunk, ...]
    whole: bool
    trial: Trial


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


def smallest_revert(case: CaseFile, culprit: Commit, build: Build) -> Revert | None:
    """The smallest set of the culprit's hunks without which the newest commit passes; found by building, at most ten times."""
    files: dict[str, tuple[str | None, str | None, str | None]] = {}
    hunks: list[Hunk] = []
    for path in culprit.paths:
        if not _belongs(case, path):
            continue
        before = case.bench.read_at(f"{culprit.sha}^", path)
        after = case.bench.read_at(culprit.sha, path)
        now = case.bench.read_at(case.head, path)
        files[path] = (before, after, now)
        if before is not None and after is not None and now is not None:
            hunks += hunks_of(path, before, after)
    tried = 0
    for chosen in _by_size(hunks):
        changes = _taken_back(chosen, files)
        if changes is None:
            continue
        tried += 1
        trial = build(case.head, changes)
        if trial.verdict == PASSES:
            return Revert(changes, chosen, len(chosen) == len(hunks) and _all_changed(files), trial)
        if tried >= MOST_TRIALS_OF_HUNKS:
            break
    whole = _everything_back(hunks, files)
    if whole:
        trial = build(case.head, whole)
        if trial.verdict == PASSES:
            return Revert(whole, tuple(hunks), True, trial)
    return None


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


def _taken_back(
    chosen: Sequence[Hunk], files: dict[str, tuple[str | None, str | None, str | None]]
) -> tuple[FileChange, ...] | None:
    changes = []
    for path in dict.fromkeys(hunk.path for hunk in chosen):
        _, after, now = files[path]
        assert after is not None
        assert now is not None
        text = without([hunk for hunk in chosen if hunk.path == path], after, now)
        if text is None or text == now:
            return None
        changes.append(FileChange(path, text))
    return tuple(changes)


def _everything_back(
    hunks: Sequence[Hunk], files: dict[str, tuple[str | None, str | None, str | None]]
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


def _all_changed(files: dict[str, tuple[str | None, str | None, str | None]]) -> bool:
    return all(before is not None and after is not None for before, after, _ in files.values())


def describe(commit: Commit) -> str:
    """A commit in one phrase."""
    return f"{commit.sha[:10]} ({commit.committed_at:%Y-%m-%d}, {commit.author}: {commit.subject})"


def describe_hunks(hunks: Sequence[Hunk]) -> str:
    """How much is taken back, in one phrase."""
    paths = sorted({hunk.path for hunk in hunks})
    lines = sum(max(len(hunk.before), len(hunk.after)) for hunk in hunks)
    return f"{plural(lines, 'line')} of {', '.join(paths)}"
