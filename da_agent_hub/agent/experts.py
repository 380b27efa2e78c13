"""Experts: the files of .claude/agents, in Claude Code's own format, or plain markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_WHEN_TO_USE = re.compile(
    r"^##[ \t]+when to use[ \t]*\r?\n+(.+?)(?=\r?\n#|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")

READ_ONLY_TOOLS = ("dbt_node", "dbt_lineage", "run_history", "read_file", "search_files")
"""What an expert without front matter may use."""


@dataclass(frozen=True)
class Expert:
    """Somebody to ask: ``prompt`` is the body of the file, ``model`` an alias or id, None for the default."""

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...]
    model: str | None
    path: Path


def load_experts(folder: Path) -> tuple[tuple[Expert, ...], tuple[str, ...]]:
    """Read every ``*.md`` of a folder, in order of name.

    Returns:
        The experts, and one sentence for each file that could not be read: a bad file never stops the rest.
    """
    experts: dict[str, Expert] = {}
    problems: list[str] = []
    if not folder.is_dir():
        return (), (f"{folder}: no such folder; set claude.agents_dir in hub.yaml to the folder of your experts",)
    for path in sorted(folder.glob("*.md")):
        try:
            expert = _read(path)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            problems.append(f"{path}: {error}")
            continue
        if expert.name in experts:
            problems.append(f"{path}: the name {expert.name!r} is taken by {experts[expert.name].path}; rename one")
        else:
            experts[expert.name] = expert
    return tuple(experts.values()), tuple(problems)


def _read(path: Path) -> Expert:
    text = path.read_text(encoding="utf-8-sig")
    match = _FRONT_MATTER.match(text)
    if match is None:
        if text.startswith("---"):
            raise ValueError("the front matter is not closed: end it with a line of ---")
        return _plain(path, text)
    try:
        front: Any = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        raise ValueError(f"the front matter is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(front, dict):
        raise ValueError("the front matter must be keys and values: name, description, tools, model")
    body = text[match.end() :].strip()
    name, description = front.get("name") or path.stem, front.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r} must be lower-case letters, digits and hyphens, such as finance-expert")
    if not isinstance(description, str) or not description.strip():
        raise ValueError("description is missing: say in one sentence when to ask this expert")
    if not body:
        raise ValueError("the body is empty: it is what the expert is told")
    model = front.get("model")
    if model is not None and not isinstance(model, str):
        raise ValueError(f"model must be a name, not {model!r}")
    return Expert(name, description.strip(), body, _tools(front.get("tools")), model, path)


def _plain(path: Path, text: str) -> Expert:
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    body = text.strip()
    if not body or not name:
        raise ValueError("the file is empty: write what the expert is told, or delete it")
    when = _WHEN_TO_USE.search(text)
    description = " ".join((when.group(1) if when else body.splitlines()[0]).split())
    return Expert(name, description.lstrip("# "), body, READ_ONLY_TOOLS, None, path)


def _tools(value: Any) -> tuple[str, ...]:
    if value is None:
        return READ_ONLY_TOOLS
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("tools must be names with commas between them, or a list of names")
    return tuple(name.strip() for name in names if name.strip())
