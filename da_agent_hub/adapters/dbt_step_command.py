"""Which dbt commands a step of a dbt Cloud job runs, told from its name, and what such commands leave behind.

https://docs.getdbt.com/reference/dbt-commands
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_PROGRAMS = frozenset({"dbt", "dbtf", "dbt-fusion"})
# Words that stand between two commands of one step.
_SEPARATORS = frozenset({"&&", "||", ";", "|", "&"})
# Options before the command that take the next word, which may itself look like a command: `--log-level debug`.
_WITH_VALUE = frozenset(
    {
        "--defer-state",
        "--event-time-end",
        "--event-time-start",
        "--log-file-max-bytes",
        "--log-format",
        "--log-format-file",
        "--log-level",
        "--log-level-file",
        "--log-path",
        "--printer-width",
        "--profile",
        "--profiles-dir",
        "--project-dir",
        "--record-timing-info",
        "--state",
        "--static-analysis",
        "--target",
        "--target-path",
        "--threads",
        "--vars",
        "--warn-error-options",
        "-r",
        "-t",
    }
)
_WITHOUT_RESULTS = frozenset({"clean", "debug", "deps", "docs", "init", "list", "ls", "man", "parse", "system"})
_ALWAYS_WITH_RESULTS = frozenset({"build", "run", "seed", "snapshot", "test"})
# What `args.which` of run_results.json says, for the commands that it is known to name.
_WHICH = frozenset(
    {"build", "clone", "compile", "freshness", "generate", "run", "run-operation", "seed", "show", "snapshot", "test"}
)


def dbt_commands(step_name: str) -> tuple[str, ...]:
    """The dbt commands of a step, in their order.

    ``Invoke dbt with `dbt source freshness``` is ``("source freshness",)``; a step that runs no dbt is ``()``.
    """
    _, invoked, line = step_name.rpartition("Invoke dbt with ")
    quoted = re.search(r"`(.*)`", line, re.DOTALL)
    if not invoked and not quoted and not line.lstrip().startswith("dbt"):
        return ()  # such as a step that makes the profile of a connection with dbt in its name
    line = quoted[1] if quoted else line
    found, words = [], _words(line)
    while words:
        following = next((at for at, word in enumerate(words) if word in _SEPARATORS), len(words))
        command = _command(words[:following])
        if command is not None:
            found.append(command)
        words = words[following + 1 :]
    return tuple(found)


def artifacts_of(commands: Sequence[str], *, with_freshness: bool = False) -> tuple[str, ...]:
    """The artifacts with results that a step of these commands may leave.

    ``with_freshness`` says that some step of the run checked sources, as a build may do on its way.
    """
    files: dict[str, None] = {}
    for command in commands:
        word = command.split()[0]
        if word == "source":
            files["sources.json"] = None
        elif word not in _WITHOUT_RESULTS:
            files["run_results.json"] = None
            if word == "build" and with_freshness:
                files["sources.json"] = None
    return tuple(files)


def always_leaves_results(commands: Sequence[str]) -> bool:
    """Whether a step of these commands that went well has written run_results.json."""
    return any(command in _ALWAYS_WITH_RESULTS for command in commands)


def can_have_written(commands: Sequence[str], which: str | None) -> bool:
    """Whether results that name ``which`` as their command can be of a step of these commands.

    `dbt retry` writes the name of the command that it repeats.
    """
    if which == "generate":
        return False
    if which is None or which not in _WHICH:
        return True
    writers = {command.split()[0] for command in commands} - _WITHOUT_RESULTS - {"source"}
    return which in writers or not writers <= _WHICH


def _words(line: str) -> list[str]:
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        lexer.commenters = ""
        return list(lexer)
    except ValueError:  # a quote that does not end
        return line.split()


def _command(words: Sequence[str]) -> str | None:
    program = next((at for at, word in enumerate(words) if word.rsplit("/", 1)[-1] in _PROGRAMS), None)
    if program is None:
        return None
    rest = iter(words[program + 1 :])
    for word in rest:
        if word.startswith("-"):
            if word in _WITH_VALUE:
                next(rest, None)
            continue
        if word in ("source", "docs"):
            return " ".join([word, *(one for one in [next(rest, "")] if one and not one.startswith("-"))])
        return word
    return None
