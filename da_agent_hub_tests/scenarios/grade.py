"""``python -m da_agent_hub_tests.scenarios.grade [NAMES] --json FILE``: let the hub try every scenario, and grade it."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ..chaos.processes import processes_of
from .catalogue import SETS, stage
from .expectation import Scenario
from .grading import Grade, grade_answer, total
from .patch_trial import try_patch

_TRY_SECONDS = 420


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade; the exit code is 1 where a fix was false or a folder changed."""
    parser = argparse.ArgumentParser(prog="python -m da_agent_hub_tests.scenarios.grade", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios, by any part of their name; all by default")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write grades and raw answers here, and a table beside it"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep every scenario's folder, home and logs here")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="scenarios at a time (default: 1)")
    parser.add_argument("--set", choices=SETS, default="first", help="which scenarios (default: first)")
    options = parser.parse_args(arguments)
    scenarios = SETS[options.set]
    chosen = [scenario for name, scenario in scenarios.items() if _wanted(name, options.names)]
    if not chosen:
        parser.error(f"no scenario is named like that: there are {', '.join(scenarios)}")
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grade-")))
        folder.mkdir(parents=True, exist_ok=True)
        grades, answers = [], {}
        workers = stack.enter_context(ThreadPoolExecutor(options.jobs))
        for grade, answer in workers.map(lambda one: grade_scenario(one, folder / one.name), chosen):
            grades.append(grade)
            answers[grade.scenario] = answer
            click.echo("\n".join(_lines(grade)))
            if options.json:
                _write(options.json, grades, answers)
    click.echo(f"\n{total(grades)}")
    return int(any(grade.troubles or any(one.false_fix for one in grade.incidents) for grade in grades))


def _wanted(name: str, parts: Sequence[str]) -> bool:
    return not parts or any(part in name for part in parts)


def grade_scenario(scenario: Scenario, folder: Path) -> tuple[Grade, Any]:
    """Stage one scenario, let the hub try it, and grade its answer; returns that too."""
    site, build = stage(scenario, folder / "site")
    if not build.code or build.bad != scenario.failing:
        raise AssertionError(f"{scenario.name} is not broken as it should be:\n{build.log}")
    before = _fingerprint(site.root)
    started = time.monotonic()
    answer, troubles = _ask_the_hub(site.home, folder)
    seconds = time.monotonic() - started
    after = _fingerprint(site.root)
    troubles += [f"{path} of the project changed" for path in sorted({*before.items()} ^ {*after.items()})][:5]
    patches = iter(range(100))
    grade = grade_answer(
        scenario,
        answer,
        site.shas,
        lambda incident, diff: try_patch(scenario, incident, site, diff, folder / f"patched-{next(patches)}"),
    )
    return replace(grade, seconds=round(seconds, 1), troubles=tuple(troubles)), answer


def _ask_the_hub(project: Path, folder: Path) -> tuple[Any, list[str]]:
    home, out = folder / "home", folder / "answer.json"
    command = [sys.executable, "-m", "da_agent_hub.cli", "try", project, "--home", home, "--json", out]
    command += ["--port", str(_free_port())]  # several may start at once
    troubles = []
    with (folder / "try.log").open("wb") as log:
        hub = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
        )
        try:
            code = hub.wait(_TRY_SECONDS)
            if code:
                troubles.append(f"exit code {code}: {_end_of(folder / 'try.log')}")
        except subprocess.TimeoutExpired:
            troubles.append(f"not done after {_TRY_SECONDS} s: {_end_of(folder / 'try.log')}")
    for process in processes_of(home):
        troubles.append(f"process left behind: {process}")
        os.kill(process.pid, signal.SIGKILL)
    hub.wait()
    try:
        return json.loads(out.read_text()), troubles
    except (OSError, ValueError) as error:
        return {}, [*troubles, f"no answer: {error}"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-500:].strip()


def _fingerprint(folder: Path) -> dict[str, str]:
    """Mode and content of every file, the warehouse and git's own among them."""
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_MARKS = {True: "yes", False: "NO", None: "-"}


def _rows(grade: Grade) -> list[tuple[str, ...]]:
    return [
        (
            grade.scenario,
            f"{grade.issues}/{grade.issues_expected}",
            *(_MARKS[value] for value in (one.category, one.cause, one.found, one.fixed, one.abstained)),
            "; ".join(one.false_fix) or "-",
            f"{grade.seconds:.0f}",
        )
        for one in grade.incidents
    ]


def _lines(grade: Grade) -> list[str]:
    names = ("issues", "category", "kind", "found", "fixed", "abstained", "false fix", "seconds")
    lines = []
    for row, one in zip(_rows(grade), grade.incidents, strict=True):
        lines.append(f"{row[0]}: " + ", ".join(f"{name} {value}" for name, value in zip(names, row[1:], strict=True)))
        lines.append(f"    {one.said}")
    return lines + [f"    TROUBLE {trouble}" for trouble in grade.troubles]


def _write(file: Path, grades: Sequence[Grade], answers: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    totals = total(grades)
    content = {"totals": asdict(totals), "grades": [asdict(grade) for grade in grades], "answers": answers}
    file.write_text(json.dumps(content, indent=2, default=str) + "\n")
    head = ("scenario", "issues", "category", "cause kind", "cause found", "fixed", "abstained", "false fix", "s")
    table = [head, ("---",) * len(head), *(row for grade in grades for row in _rows(grade))]
    text = "\n".join(
        "| " + " | ".join(cell.replace("|", "/").replace("\n", " ")[:200] for cell in row) + " |" for row in table
    )
    notes = "\n".join(line for grade in grades for line in _lines(grade) if line.startswith("    "))
    file.with_suffix(".md").write_text(f"{text}\n\n{totals}\n\n{notes}\n")


if __name__ == "__main__":
    sys.exit(main())
