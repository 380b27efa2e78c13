"""How the command line speaks: one console, one kind of failure, and JSON files for machines."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import rich.progress
from rich.console import Console

from ..config import HubSettings, SettingsError, discover, load_settings

BAD_CONFIGURATION = 2

Command = TypeVar("Command", bound=Callable[..., Any])

# Links and paths must stay whole when the output is a file, a pipe or a narrow terminal: they get copied.
# As it is when the command starts: Dagster's own logging is sent elsewhere on the way.
_STDERR = sys.stderr
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


class Trouble(click.ClickException):
    """Something that the user must know and can do something about; ends the command with exit code 1."""


class BadConfiguration(click.ClickException):
    """The configuration cannot be used; ends the command with exit code 2."""

    exit_code = BAD_CONFIGURATION


class Progress:
    """What a long command is at: running seconds on a terminal, elsewhere a line on stderr for each step."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._shown.add_task("starting", total=None)

    def update(self, step: str) -> None:
        """Say the next step."""
        if console.is_terminal:
            self._shown.update(self._task, description=step)
        else:
            print(f"[{time.monotonic() - self._started:5.0f} s] {step}", file=_STDERR, flush=True)

    def stop(self) -> None:
        """Take the running line away; doing it twice changes nothing."""
        self._shown.stop()

    def __enter__(self) -> Progress:
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def config_option(command: Command) -> Command:
    """Give a command the option ``--config``."""
    option = click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        help="The hub.yaml to use. Default: $DA_AGENT_HUB_CONFIG, ./hub.yaml, or the environment alone.",
    )
    return option(command)


def json_option(command: Command) -> Command:
    """Give a command the option ``--json FILE``; a place that cannot be written is told before any work is done."""

    @functools.wraps(command)
    def checked(*arguments: Any, json_file: Path | None, **options: Any) -> Any:
        if json_file is not None:
            writable_folder(json_file.absolute().parent)
            if json_file.is_dir() or (json_file.exists() and not os.access(json_file, os.W_OK)):
                raise Trouble(f"{json_file} cannot be written: name a file that you may write after --json")
        return command(*arguments, json_file=json_file, **options)

    option = click.option(
        "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Also write the result as JSON."
    )
    return option(checked)  # type: ignore[return-value]


def read_settings(config: Path | None, environ: Mapping[str, str] = os.environ) -> tuple[HubSettings, Path | None]:
    """The settings and the file that they came from.

    Raises:
        BadConfiguration: with every problem, a line each.
    """
    path = config if config is not None else discover(environ)
    try:
        return load_settings(path, environ), path
    except SettingsError as error:
        count = len(error.problems)
        heading = f"the configuration has {count} problems:\n" if count > 1 else ""
        raise BadConfiguration(heading + "\n".join(error.problems)) from None


def writable_folder(folder: Path) -> Path:
    """The folder, made where it is missing.

    Raises:
        Trouble: if it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Trouble(f"{folder} cannot be made, a file is in the way: name another folder") from None
    except OSError as error:
        raise Trouble(f"{folder} cannot be made ({error.strerror}): name a folder that you may write to") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Trouble(f"{folder} cannot be written to: change its permissions or name another folder")
    return folder


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a kill, sees all of it or none.

    Raises:
        Trouble: if it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise Trouble(f"{path} cannot be written ({error.strerror})") from None


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write what a command found, where ``--json`` asked for it."""
    if path is not None:
        write_whole(path, json.dumps(content, indent=2, default=str) + "\n")
