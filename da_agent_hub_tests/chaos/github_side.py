"""What stands on the sandbox's GitHub, read from its own state and git repositories; the hub's store is not asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from da_agent_hub.sandbox.github.state import GitHubState

LABEL = "dbt-error"
_RECORD = re.compile(r"<!-- da-agent-hub:record=(\{[^\n]*?\}) -->")
_KEY = re.compile(r"<!-- da-agent-hub:key=(\S+) -->")
_FIX_BRANCH = re.compile(r"claude/issue-(\d+)-")


@dataclass(frozen=True)
class Repository:
    """All of one repository that the hub could have doubled; ``threads`` are comments by issue number."""

    name: str
    project: str
    issues: tuple[Mapping[str, Any], ...]
    pulls: tuple[Mapping[str, Any], ...]
    threads: Mapping[int, Sequence[Mapping[str, Any]]]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """An incident that the world really had."""

    incident_id: str
    project: str
    node: str


def read_github(sandbox: Path) -> tuple[list[Repository], list[Truth]]:
    """Every repository of a sandbox's world, and the incidents that the world was made with."""
    from da_agent_hub.sandbox.world import load_world

    world = load_world(sandbox)
    state = GitHubState(_state_folder(sandbox))
    repositories = []
    for project in world.projects:
        everything = state.issues(project.owner, project.repo)
        repositories.append(
            Repository(
                f"{project.owner}/{project.repo}",
                project.name,
                tuple(one for one in everything if not one["is_pull"] and LABEL in one["labels"]),
                tuple(one for one in everything if one["is_pull"]),
                {one["number"]: state.comments(project.owner, project.repo, one["number"]) for one in everything},
                tuple(state.git(project.owner, project.repo).refs("refs/heads/")),
            )
        )
    return repositories, [Truth(one.id, one.project, one.node) for one in world.incidents]


def _state_folder(sandbox: Path) -> Path:
    (database,) = sandbox.rglob("github.sqlite")
    return database.parent


def faults(repositories: Iterable[Repository], truths: Sequence[Truth]) -> list[str]:
    """All that is doubled or missing, a sentence each; empty where all is well."""
    found: list[str] = []
    for repository in repositories:
        found += [f"{repository.name}: {sentence}" for sentence in _doubled(repository)]
        found += [f"{repository.name}: {sentence}" for sentence in _missing(repository, truths)]
    return found


def _doubled(repository: Repository) -> Iterator[str]:
    by_fingerprint: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for issue in repository.issues:
        marker = _marker(issue["body"] or "")
        if marker is None:
            yield f"issue #{issue['number']} carries no marker of its record"
        else:
            by_fingerprint.setdefault(marker["fingerprint"], []).append((issue, marker))
    for fingerprint, filed in by_fingerprint.items():
        for (older, _), (newer, marker) in pairwise(filed):
            # A record that fails again after a person closed its issue for good gets a new one that names the old.
            if marker.get("previous") != older["number"] or older["state"] != "closed":
                yield f"issues #{older['number']} and #{newer['number']} are both of {fingerprint}"
    for number, comments in repository.threads.items():
        keys = Counter(key for comment in comments for key in _KEY.findall(comment["body"]))
        bodies = Counter(comment["body"] for comment in comments if _KEY.search(comment["body"]))
        yield from (f"#{number} has {times} comments of the key {key}" for key, times in keys.items() if times > 1)
        yield from (f"#{number} has one comment {times} times" for times in bodies.values() if times > 1)
    heads = Counter(pull["head_ref"] for pull in repository.pulls)
    yield from (f"{times} pull requests have the head {head}" for head, times in heads.items() if times > 1)
    wanted = [pull for pull in repository.pulls if pull["state"] == "open" or pull["merged_at"]]
    for what, names in (
        ("pull requests", [pull["head_ref"] for pull in wanted]),
        ("branches", [branch.removeprefix("refs/heads/") for branch in repository.branches]),
    ):
        issues = Counter(match.group(1) for name in names if (match := _FIX_BRANCH.match(name)))
        yield from (f"issue #{number} has {times} {what}" for number, times in issues.items() if times > 1)


def _missing(repository: Repository, truths: Sequence[Truth]) -> Iterator[str]:
    expected = [truth for truth in truths if truth.project == repository.project]
    told = {issue["number"]: f"{issue['title']}\n{issue['body']}" for issue in repository.issues}
    for truth in expected:
        if truth.node and not any(truth.node in text for text in told.values()):
            yield f"no issue names {truth.node}, where incident {truth.incident_id} was"
    # A record that came back has several issues: they count once.
    causes = {(_marker(issue["body"] or "") or {}).get("fingerprint", issue["number"]) for issue in repository.issues}
    if len(causes) != len(expected):
        titles = "; ".join(f"#{issue['number']} {issue['title']}" for issue in repository.issues)
        incidents = ", ".join(f"{truth.incident_id} ({truth.node or 'whole run'})" for truth in expected)
        yield f"{len(causes)} causes have issues and {len(expected)} incidents happened: {titles} / {incidents}"


def _marker(body: str) -> Mapping[str, Any] | None:
    for text in reversed(_RECORD.findall(body)):
        try:
            marker = json.loads(text)
        except ValueError:
            continue
        if isinstance(marker, dict) and marker.get("fingerprint"):
            return marker
    return None


def tally(repositories: Iterable[Repository]) -> dict[str, int]:
    """How many of what there is; two runs over one world must agree in it."""
    counted: Counter[str] = Counter()
    for repository in repositories:
        for issue in repository.issues:
            counted[f"{repository.project}: issues {issue['state']}"] += 1
            counted[f"{repository.project}: comments"] += len(repository.threads[issue["number"]])
            for label in issue["labels"]:
                if label.startswith("category:"):
                    counted[f"{repository.project}: {label}"] += 1
        for pull in repository.pulls:
            state = "merged" if pull["merged_at"] else f"{'draft ' if pull['draft'] else ''}{pull['state']}"
            counted[f"{repository.project}: pull requests {state}"] += 1
        counted[f"{repository.project}: branches"] += len(repository.branches)
    return dict(sorted(counted.items()))


def differences(undisturbed: Mapping[str, int], killed: Mapping[str, int]) -> list[str]:
    """Where two tallies disagree, a sentence each."""
    return [
        f"{what}: {killed.get(what, 0)} instead of the {undisturbed.get(what, 0)} of an undisturbed run"
        for what in sorted({*undisturbed, *killed})
        if killed.get(what, 0) != undisturbed.get(what, 0)
    ]
