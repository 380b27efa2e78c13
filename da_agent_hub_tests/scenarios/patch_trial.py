"""A proposed patch on trial: applied to a copy of the broken project, built by dbt, and asked the hidden checks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .catalogue import failed_checks
from .expectation import Fix, Incident, Scenario
from .site import Site, run_dbt

# What a test's author may use to make it ask for less.
_LENIENCY = ("enabled", "severity", "where", "limit", "warn_if", "error_if", "fail_calc")


@dataclass(frozen=True)
class Trial:
    """What is wrong with a patch; nothing, for a right one. ``paths`` are those it touches."""

    faults: tuple[str, ...]
    paths: tuple[str, ...] = ()


def try_patch(scenario: Scenario, incident: Incident, site: Site, diff: str, folder: Path) -> Trial:
    """Judge one patch for one incident; ``folder`` must not exist yet."""
    shutil.copytree(site.root, folder, symlinks=True)
    tests = _tests(site.home)
    paths = _paths(folder, diff)
    faults = [f"touches {path}" for path in paths if any(fnmatch(path, glob) for glob in scenario.protected)]
    if incident.fix is Fix.FORBIDDEN:
        return Trial((f"was proposed although {incident.reason}", *faults), paths)
    applied = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"], cwd=folder, input=diff, capture_output=True, text=True
    )
    if applied.returncode:
        return Trial((*faults, f"does not apply: {applied.stderr.strip()[:300]}"), paths)
    home = folder / site.directory
    build = run_dbt(home, "build")
    if build.bad is None:
        return Trial((*faults, f"dbt does not run: {build.log[-600:]}"), paths)
    others = {name for other in scenario.incidents if other is not incident for name in other.failing}
    faults += [f"{name} fails with it" for name in sorted(build.bad - others)]
    faults += _weaker(tests, _tests(home), scenario.kept_tests)
    if len(scenario.incidents) == 1 or not build.bad - others:
        faults += failed_checks(scenario.checks, home / site.warehouse.name)
    return Trial(tuple(faults), paths)


def _paths(folder: Path, diff: str) -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "apply", "--numstat", "-z", "-"], cwd=folder, input=diff, capture_output=True, text=True
    )
    return tuple(entry.split("\t")[2] for entry in listed.stdout.split("\0") if entry.count("\t") == 2)


def _tests(project: Path) -> Mapping[str, Any]:
    """Every data test of a manifest by name: what it asks, and how leniently."""
    manifest = json.loads((project / "target" / "manifest.json").read_text())
    return {
        node["name"]: {
            "sql": " ".join(node["raw_code"].split()),
            "arguments": (node.get("test_metadata") or {}).get("kwargs"),
            **{key: node["config"].get(key) for key in _LENIENCY},
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    }


def _weaker(before: Mapping[str, Any], after: Mapping[str, Any], kept: Sequence[str]) -> list[str]:
    gone = [f"test {name} is gone" for name in (*before, *kept) if name not in after]
    changed = [
        f"test {name} asks for something else" for name in before if name in after and before[name] != after[name]
    ]
    return gone + changed
