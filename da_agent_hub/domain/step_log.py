"""What the log of a failed dbt step says, for failures that leave no artifact: parse, compile and connection errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# `13:54:21  text` on the console, `13:54:21.123456 [error] [MainThread]: text` in dbt.log.
_STAMP = re.compile(r"^\d{2}:\d{2}:\d{2}(?:\.\d+)?(?: \[\w+\s*\] \[[^\]]*\]:| )? ?")
_HEADER = re.compile(
    r"(?:(?P<kind>[A-Z]\w+) Error|Failure) in (?P<resource>[a-z_ ]+?) (?P<name>\S+) \((?P<path>[^)]+)\)"
)
_PATHS = (
    re.compile(r"\(([^()\s]+\.(?:sql|py|ya?ml|csv))\)"),
    re.compile(r"\bin (?:the )?file:? ?['\"]?([^\s'\"]+\.(?:sql|py|ya?ml|csv))"),
    re.compile(r"Error reading [^:\s]+: ([^\s]+\.ya?ml)"),
    re.compile(r"['\"]?((?:models|macros|tests|seeds|snapshots|analyses)/[^\s'\":()]+\.(?:sql|py|ya?ml|csv))"),
    re.compile(r"\b(dbt_project\.yml|packages\.yml|dependencies\.yml|profiles\.yml)\b"),
)
_LINE = re.compile(r"(?:^|\bnear |, |\s)line (\d+)", re.IGNORECASE)
_LONGEST = 4000
# A hook that fails as a node of its own; before dbt 1.9, and in an operation, the error ends the command.
_FAILED_HOOK = re.compile(r"Failure in operation (?P<name>\S+) \((?P<path>[^)]+)\)")
_RUNNING_HOOK = re.compile(r"\w+ error while running (?P<hook>on-run-(?:start|end))\b", re.IGNORECASE)
_OPERATION = "Encountered an error while running operation: "
# dbt Fusion writes no times: `error: dbt1501: text`, then where it is, as `--> models/a.sql:1:9`.
_FUSION = re.compile(r"(?:error: \[?|\[error\] |error\[)(?:dbt\d{4}|\w+Error \(\d{1,5}\))\]?: ?\S")
_FUSION_ENDS = re.compile(
    r"\s*$|(?:error|warning)(?:: \[?dbt|\[dbt)|\[(?:error|warning)\] |"
    r"\s*(?:Finished|Succeeded|Passed|Failed|Warned|Skipped|Errored|Loading|Fetching) [\['\w]"
)
_FUSION_PLACE = re.compile(r"--> (?P<path>[^\s:<>]+\.(?:sql|py|ya?ml|csv)):(?P<line>\d+)")
_OF_DBT_ITSELF = re.compile(r"\(in dbt_internal_packages/[^)\n]*\)")
_OF_A_HOOK = re.compile(r"<RUN_OPERATION>|\bon-run-(?:start|end)\b|\bin operation \S", re.IGNORECASE)
# `3 of 9 START sql table model main.orders ..... [RUN]`, and the same number when it is done.
_TURN = re.compile(r"^(?P<number>\d+) of \d+ (?P<start>START )?(?P<node>[^\[]*?)(?: ?\.{2,})? ?\[")


@dataclass(frozen=True)
class LoggedError:
    """One error of a step's log; ``resource`` and ``name`` where it is one node's, ``path`` and ``line`` where said.

    ``stopped_dbt`` tells an error that ended the command before it ran nodes from one node's failure. ``in_hook`` says
    that dbt was running a hook or an operation.
    """

    message: str
    stopped_dbt: bool
    resource: str | None = None
    name: str | None = None
    path: str | None = None
    line: int | None = None
    in_hook: bool = False


def logged_errors(log: str) -> tuple[LoggedError, ...]:
    """The errors of a step's log, each once; empty where the log names none."""
    told = _lines(log)
    lines = [_STAMP.sub("", line) for line in told]
    stamped = [_STAMP.match(line) is not None for line in told]
    found: dict[tuple[str | None, str | None, str | None], LoggedError] = {}
    hook = False
    for start, line in enumerate(lines):
        text = line.strip()
        if text == "Encountered an error:":
            error = _described(_block(lines, stamped, start + 1), stopped_dbt=True, in_hook=hook)
            # An operation that dbt does not know is told twice, the second time in full.
            found = {key: one for key, one in found.items() if not (hook and one.in_hook and one.stopped_dbt)}
        elif text.startswith(_OPERATION):
            hook = True
            error = _described(_block(lines, stamped, start).removeprefix(_OPERATION), stopped_dbt=True, in_hook=True)
        elif _RUNNING_HOOK.match(text):
            hook = True
            continue
        elif failed := _FAILED_HOOK.match(text):
            said = _block(lines, stamped, start + 1)
            error = LoggedError(said, False, "operation", failed["name"], located(failed[0])[0], in_hook=True)
        elif _FUSION.match(text):
            error = _described(_fusion_block(lines, start), stopped_dbt=True, in_hook=False)
        elif _HEADER.match(text) and not text.startswith("Failure"):
            error = _described(_block(lines, stamped, start), stopped_dbt=False, in_hook=False)
        else:
            continue
        found.setdefault((error.resource, error.name, error.path if error.name else error.message), error)
    return tuple(found.values())


def located(message: str) -> tuple[str | None, int | None]:
    """The file, relative to the dbt project, and the line that a message of dbt points to."""
    message = _OF_DBT_ITSELF.sub("", message)
    path = next((match[1] for pattern in _PATHS if (match := pattern.search(message))), None)
    # A line that a warehouse names is one of the compiled SQL, not of the file.
    said_by_dbt = re.search(r"(?:Compilation|Parsing|Syntax) Error|Syntax error near", message)
    line = _LINE.search(message) if path and said_by_dbt else None
    if place := _FUSION_PLACE.search(message):
        return place["path"].replace("\\", "/"), int(place["line"])
    return (path.replace("\\", "/").removeprefix("./") if path else None, int(line[1]) if line else None)


def last_lines(log: str, count: int = 15) -> str:
    """The end of a log without colours and time stamps, for a step whose log names no error."""
    lines = [_STAMP.sub("", line).rstrip() for line in _lines(log)]
    return "\n".join([line for line in lines if line][-count:])


def unfinished_nodes(log: str) -> tuple[str, ...]:
    """What dbt had begun and not ended when the log broke off, as dbt names it: ``sql table model main.orders``."""
    begun: dict[str, str] = {}
    for line in _lines(log):
        turn = _TURN.match(_STAMP.sub("", line).strip())
        if turn is None:
            continue
        begun.pop(turn["number"], None)
        if turn["start"]:
            begun[turn["number"]] = turn["node"].strip()
    return tuple(begun.values())


def _lines(log: str) -> list[str]:
    """A log line by line as a person reads it; what dbt wrote as JSON becomes the text that it holds."""
    found: list[str] = []
    for line in log.splitlines():
        found.extend((_said_in_json(line) if line.startswith("{") else line).split("\n"))
    return [_ANSI.sub("", line) for line in found]


def _said_in_json(line: str) -> str:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return line
    # The text is in `info` since dbt 1.4, before it stood beside the rest.
    info = event.get("info", event) if isinstance(event, dict) else None
    message = info.get("msg") if isinstance(info, dict) else None
    return f"00:00:00  {message}" if isinstance(message, str) else line


def _block(lines: list[str], stamped: list[bool], start: int) -> str:
    """From a line up to the next line with a time stamp of its own, or a traceback."""
    block: list[str] = []
    for index in range(start, len(lines)):
        if (index > start and stamped[index]) or lines[index].startswith("Traceback (most recent call last)"):
            break
        block.append(lines[index].rstrip())
    return "\n".join(block).strip()[:_LONGEST]


def _fusion_block(lines: list[str], start: int) -> str:
    """From an error of dbt Fusion up to the next one, an empty line, or what it says of nodes and of its end."""
    block = [lines[start].rstrip()]
    for line in lines[start + 1 :]:
        if _FUSION_ENDS.match(line):
            break
        block.append(line.rstrip())
    return "\n".join(block).strip()[:_LONGEST]


def _described(message: str, *, stopped_dbt: bool, in_hook: bool) -> LoggedError:
    header = _HEADER.match(message)
    path, line = located(message)
    in_hook = in_hook or _OF_A_HOOK.search(message) is not None
    if header is None:
        return LoggedError(message, stopped_dbt, path=path, line=line, in_hook=in_hook)
    resource = header["resource"].replace(" ", "_")
    in_hook = in_hook or resource == "operation"
    return LoggedError(message, stopped_dbt, resource, header["name"], path, line, in_hook)
