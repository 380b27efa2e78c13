"""Reads hub.yaml, or the environment alone, into settings; every error names the file, the key and the fix."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from ..domain.issue import GITHUB_COM, RepoRef
from ..domain.redaction import redact
from .settings import DbtCloudSource, DbtCoreSource, GitHubSettings, HubSettings
from .taxonomy_files import problem_of

CONFIG_VARIABLE = "DA_AGENT_HUB_CONFIG"

Location = tuple[str | int, ...]

# Which key each variable stands for where there is no file.
_VARIABLES: dict[Location, str] = {
    ("projects", 0, "name"): "DBT_PROJECT_NAME",
    ("projects", 0, "repo"): "GITHUB_REPO",
    ("projects", 0, "source", "account_id"): "DBT_CLOUD_ACCOUNT_ID",
    ("projects", 0, "source", "token"): "DBT_CLOUD_API_TOKEN",
    ("projects", 0, "source", "host"): "DBT_CLOUD_HOST",
    ("github", 0, "token"): "GITHUB_API_TOKEN",
    ("github", 0, "base_url"): "GITHUB_BASE_URL",
    ("claude", "api_key"): "ANTHROPIC_API_KEY",
}
_OPTIONAL_VARIABLES = frozenset({"DBT_CLOUD_HOST", "GITHUB_BASE_URL", "ANTHROPIC_API_KEY"})

_BROKEN_TOKEN = "holds a space or a line break, as a file's last one; set it without"  # noqa: S105
_SHORTEST_WEBHOOK_SECRET = 16
_REFERENCE = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
_SOURCES: dict[str, type[BaseModel]] = {"dbt_cloud": DbtCloudSource, "dbt_core": DbtCoreSource}


class SettingsError(Exception):
    """The configuration cannot be used; the message holds one line a problem, and never a secret's value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass
class _Document:
    """What was read, where each key stands, which keys came from the environment, and what is wrong so far."""

    name: str
    content: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    referenced: set[Location] = field(default_factory=set)
    problems: dict[Location, list[str]] = field(default_factory=dict)

    def complain(self, location: Location, sentence: str) -> None:
        self.problems.setdefault(location, []).append(sentence)

    def spoken_for(self, location: Location) -> bool:
        """Whether the key, or one above it, has been complained of already."""
        return any(location[:length] in self.problems for length in range(1, len(location) + 1))

    def show(self, location: Location) -> str:
        """The value, for a message: never one that came out of the environment, for it may be a misplaced secret."""
        value = self.content
        for part in location:
            value = value[part]
        return "the value from the environment" if location in self.referenced else repr(value)

    def raise_problems(self) -> None:
        if self.problems:
            ordered = sorted(self.problems.items(), key=lambda item: self._line(item[0]) or 0)
            raise SettingsError(
                # A token may stand where another key's value belongs, or as a key: its shape gives it away.
                [
                    f"{redact(self._place(where))}: {redact(sentence)}"
                    for where, sentences in ordered
                    for sentence in sentences
                ]
            )

    def _place(self, location: Location) -> str:
        if not self.lines and location in _VARIABLES:
            return f"environment: {_VARIABLES[location]}"
        line = self._line(location)
        where = f"{self.name}:{line}" if line else self.name
        return f"{where}: {self._dotted(location)}" if location else where

    def _line(self, location: Location) -> int | None:
        """Where the key stands, or the nearest one above a key that is missing."""
        above = (location[:end] for end in range(len(location), 0, -1))
        return next((self.lines[key] for key in above if key in self.lines), None)

    def _dotted(self, location: Location) -> str:
        text = ""
        for index, part in enumerate(location):
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
            if index == 1 and location[0] == "projects" and isinstance(part, int):
                project = self.content["projects"][part]
                name = project.get("name") if isinstance(project, dict) else None
                if isinstance(name, str) and ("projects", part, "name") not in self.referenced:
                    text += f" ({name})"
        return text.lstrip(".")


def discover(environ: Mapping[str, str]) -> Path | None:
    """The hub.yaml to use: what ``DA_AGENT_HUB_CONFIG`` names, else ``./hub.yaml`` where there is one."""
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    here = Path("hub.yaml")
    return here if here.exists() else None


def load_settings(path: Path | None, environ: Mapping[str, str]) -> HubSettings:
    """Read a hub.yaml, or with no path the environment alone; relative paths count from the file's folder.

    Raises:
        SettingsError: with every problem found, each with its place, what is wrong and what to do.
    """
    document = _read(path) if path is not None else _from_environment(environ)
    if path is not None:
        document.content = _fill_in(document, (), document.content, environ)
    settings = _validate(document)
    if settings is not None:
        for location, sentence in _contradictions(document, settings):
            if not document.spoken_for(location):
                document.complain(location, sentence)
    document.raise_problems()
    assert settings is not None  # _validate complained otherwise
    settings = _anchored(settings, path.resolve().parent if path is not None else Path.cwd())
    for index, project in enumerate(settings.projects):
        problem = problem_of(project.taxonomy)
        if problem is not None:
            document.complain(("projects", index, "taxonomy"), problem)
    document.raise_problems()
    return settings


def _read(path: Path) -> _Document:
    import yaml  # here, because importing the settings' types should cost nothing

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError([f"{path}: no such file; copy docs/hub.example.yaml there, or name another file"]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8"]) from None
    except OSError as error:
        raise SettingsError(
            [f"{path}: cannot be read ({error.strerror}); check what it is and who may read it"]
        ) from None
    document = _Document(str(path))
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _note_lines(document, (), node)
            document.content = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        # Quoted words of the file could be part of a secret.
        problem = re.sub(r"'[^']{3,}'", "'...'", error.problem or "not YAML")
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise SettingsError(
            [f"{where}: not valid YAML: {problem}; quote values that hold special characters"]
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsError([f"{path}: not valid YAML; look for characters that cannot be printed"]) from None
    if not isinstance(document.content, dict):
        what = "is empty" if document.content is None else "is not a mapping of keys"
        raise SettingsError(
            [f"{path}: {what}; it needs at least `projects:` and `github:` (see docs/hub.example.yaml)"]
        )
    document.raise_problems()
    return document


def _note_lines(document: _Document, location: Location, node: Any) -> None:
    if location:
        document.lines[location] = node.start_mark.line + 1
    if node.id == "sequence":
        for index, item in enumerate(node.value):
            _note_lines(document, (*location, index), item)
    elif node.id == "mapping":
        for key, value in node.value:
            below = (*location, str(key.value))
            if below in document.lines:
                document.complain((), f"the key {key.value!r} stands twice (again in line {key.start_mark.line + 1})")
            _note_lines(document, below, value)
            document.lines[below] = key.start_mark.line + 1


def _fill_in(document: _Document, location: Location, value: Any, environ: Mapping[str, str]) -> Any:
    """Replace ``${NAME}`` and ``${NAME:-default}`` in string values; ``$${`` stands for ``${`` itself."""
    if isinstance(value, dict):
        return {key: _fill_in(document, (*location, key), item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(document, (*location, index), item, environ) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        document.referenced.add(location)
        name, default = match.groups()
        if name is None:
            document.complain(location, "a reference is not complete; write ${NAME} or ${NAME:-default}")
        elif environ.get(name):
            return environ[name]
        elif default is not None:
            return str(default)
        else:
            state = "is empty" if name in environ else "is not set"
            document.complain(location, f"the environment variable {name} {state}; set it before you start the hub")
        return ""

    return _REFERENCE.sub(look_up, value)


def _from_environment(environ: Mapping[str, str]) -> _Document:
    given = {name: environ.get(name, "") for name in _VARIABLES.values()}
    missing = [name for name, value in given.items() if not value and name not in _OPTIONAL_VARIABLES]
    if missing:
        raise SettingsError(
            [
                f"no configuration: there is no hub.yaml here, {CONFIG_VARIABLE} names none, and the environment lacks "
                f"{', '.join(missing)}; copy docs/hub.example.yaml to hub.yaml, or set these"
            ]
        )
    base_url = given["GITHUB_BASE_URL"].rstrip("/") or "https://api.github.com"
    host = urlsplit(base_url).netloc
    host = GITHUB_COM if host in ("api.github.com", "") else host
    repo = given["GITHUB_REPO"]
    source = {
        "type": "dbt_cloud",
        "account_id": given["DBT_CLOUD_ACCOUNT_ID"],
        "token": given["DBT_CLOUD_API_TOKEN"],
        **({"host": given["DBT_CLOUD_HOST"]} if given["DBT_CLOUD_HOST"] else {}),
    }
    project = {
        "name": given["DBT_PROJECT_NAME"],
        "repo": f"{host}/{repo}" if host != GITHUB_COM and repo.count("/") == 1 else repo,
        "source": source,
    }
    content = {
        "projects": [project],
        "github": [{"host": host, "base_url": base_url, "token": given["GITHUB_API_TOKEN"]}],
        "claude": {"api_key": given["ANTHROPIC_API_KEY"]},
    }
    return _Document("environment", content, referenced=set(_VARIABLES))


def _validate(document: _Document) -> HubSettings | None:
    try:
        return HubSettings.model_validate(document.content)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=True):
            raw: Location = detail["loc"]
            location = tuple(
                part for at, part in enumerate(raw) if not (part in _SOURCES and at > 0 and raw[at - 1] == "source")
            )
            if not document.spoken_for(location):
                document.complain(location, _sentence(document, raw, location, detail["type"], detail["msg"]))
        return None


def _sentence(document: _Document, raw: Location, location: Location, kind: str, message: str) -> str:
    model = _model_around(raw)
    if kind == "extra_forbidden":
        known = list(model.model_fields)
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known are {', '.join(known)}"
    if kind == "missing":
        return "missing; add this key"
    if kind == "union_tag_not_found":
        return "the key 'type' is missing; write type: dbt_cloud or type: dbt_core"
    if kind == "union_tag_invalid":
        return f"the type is unknown; write {' or '.join(f'type: {name}' for name in _SOURCES)}"
    if kind == "string_pattern_mismatch":
        return f"{document.show(location)} does not fit; use small letters, digits and _, and a letter first"
    if kind == "literal_error":
        return f"{document.show(location)} is not allowed; {message.replace('Input should be', 'write')}"
    if kind == "model_type" or kind == "model_attributes_type":
        return "should be a mapping of keys; indent its keys below it"
    return message.replace("Input should be", "should be").replace("Value error, ", "")


def _model_around(raw: Location) -> type[BaseModel]:
    """The settings class that the last key of a validation error belongs to."""
    model: type[BaseModel] = HubSettings
    for part in raw[:-1]:
        if part in _SOURCES:
            model = _SOURCES[str(part)]
        elif isinstance(part, str) and part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _contradictions(document: _Document, settings: HubSettings) -> Iterator[tuple[Location, str]]:
    """What single keys cannot tell."""
    if not settings.projects:
        yield ("projects",), "no project; add one (see docs/hub.example.yaml)"
    hosts = [github.host for github in settings.github]
    for index, github in enumerate(settings.github):
        if github.host in hosts[:index]:
            yield (
                ("github", index, "host"),
                f"{github.host!r} stands in github[{hosts.index(github.host)}] too; keep one",
            )
        if not _is_web_address(github.base_url):
            yield ("github", index, "base_url"), "not an http(s) address; write https://HOST/api/v3"
        elif github.host != GITHUB_COM and urlsplit(github.base_url).netloc == "api.github.com":
            yield ("github", index, "base_url"), f"missing for this host; write https://{github.host}/api/v3"
        yield from _proof_of_identity(("github", index), github)
    names = [project.name for project in settings.projects]
    for index, project in enumerate(settings.projects):
        at: Location = ("projects", index)
        if project.name in names[:index]:
            yield (
                (*at, "name"),
                f"{project.name!r} is the name of projects[{names.index(project.name)}] too; rename one",
            )
        try:
            host = RepoRef.parse(project.repo).host
        except ValueError:
            yield (*at, "repo"), f"{document.show((*at, 'repo'))} is not a repository; write owner/name"
        else:
            if host not in hosts:
                known = ", ".join(hosts) or "none"
                yield (*at, "repo"), f"no entry in `github` for the host {host} (there: {known}); add one"
        if isinstance(project.source, DbtCloudSource):
            if not _is_web_address(project.source.host):
                yield (*at, "source", "host"), "not an http(s) address; write https://cloud.getdbt.com or your own"
            if not project.source.token.get_secret_value().strip():
                yield (*at, "source", "token"), "empty; write ${DBT_CLOUD_API_TOKEN} and set that variable"
            elif _is_broken_token(project.source.token):
                yield (*at, "source", "token"), _BROKEN_TOKEN
        if any(not re.fullmatch(r"[A-Za-z0-9_]+", part) for part in project.lineage_prefix):
            yield (*at, "lineage_prefix"), "each part becomes part of a Dagster key; use letters, digits and _"
        directory = Path(project.dbt_directory)
        if directory.is_absolute() or ".." in directory.parts:
            yield (*at, "dbt_directory"), "leaves the repository; write a path below its top folder"
    try:
        start = date.fromisoformat(settings.schedule.start_date)
    except ValueError:
        yield ("schedule", "start_date"), 'not a day; write it as "2025-01-31"'
    else:
        # Where the hub's days begin after today there is no day to read, and each failure until then would be missed.
        if start > datetime.now(timezone.utc).date():
            yield ("schedule", "start_date"), f"{start} is in the future; write today or a day before it"
    yield from _weak_secrets(settings)
    if "://" not in settings.state.url.get_secret_value():
        yield ("state", "url"), "not a database address; write sqlite:///hub.db or postgresql+psycopg://USER@HOST/NAME"


def _proof_of_identity(at: Location, github: GitHubSettings) -> Iterator[tuple[Location, str]]:
    token, app = github.token, github.app
    if (token is None) == (app is None):
        missing = "missing; add this key, or `app` for a GitHub App"
        yield (*at, "token"), missing if token is None else "stands beside `app`; keep one of the two"
    elif token is not None and not token.get_secret_value().strip():
        yield (*at, "token"), "empty; write ${GITHUB_API_TOKEN} and set that variable"
    elif token is not None and _is_broken_token(token):
        yield (*at, "token"), _BROKEN_TOKEN
    if app is not None and (app.private_key is None) == (app.private_key_file is None):
        yield (*at, "app"), "give either private_key or private_key_file"


def _weak_secrets(settings: HubSettings) -> Iterator[tuple[Location, str]]:
    if settings.webhooks is None:
        return
    for name in ("github_secrets", "dbt_cloud_secrets"):
        for index, secret in enumerate(getattr(settings.webhooks, name)):
            if len(secret.get_secret_value()) < _SHORTEST_WEBHOOK_SECRET:
                yield (
                    ("webhooks", name, index),
                    f"shorter than {_SHORTEST_WEBHOOK_SECRET} characters; use the one that the webhook was made with, "
                    "or make one by `openssl rand -hex 32`",
                )


def _is_broken_token(token: SecretStr) -> bool:
    return bool(re.search(r"\s", token.get_secret_value()))


def _is_web_address(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _anchored(settings: HubSettings, folder: Path) -> HubSettings:
    """The same settings with every relative path made absolute."""

    def anchor(path: Path) -> Path:
        return folder / path.expanduser()

    projects = []
    for project in settings.projects:
        source = project.source
        if isinstance(source, DbtCoreSource) and isinstance(source.path, Path):
            source = source.model_copy(update={"path": anchor(source.path)})
        verification = project.verification.model_copy(
            update={
                name: anchor(path)
                for name in ("profiles_dir", "copy_database")
                if (path := getattr(project.verification, name)) is not None
            }
        )
        taxonomy = [anchor(path) for path in project.taxonomy]
        projects.append(
            project.model_copy(update={"source": source, "verification": verification, "taxonomy": taxonomy})
        )
    hosts = [
        github.model_copy(update={"app": github.app.model_copy(update={"private_key_file": anchor(key)})})
        if github.app is not None and (key := github.app.private_key_file) is not None
        else github
        for github in settings.github
    ]
    state = settings.state
    url = re.sub(
        r"^(sqlite(?:\+\w+)?:///)(?=[^/:?])",
        lambda match: f"{match[1]}{folder}/",
        state.url.get_secret_value(),
        count=1,
    )
    return settings.model_copy(
        update={
            "projects": projects,
            "github": hosts,
            "claude": settings.claude.model_copy(update={"agents_dir": anchor(settings.claude.agents_dir)}),
            "state": state.model_copy(
                update={
                    "url": SecretStr(url),
                    "artifacts_dir": anchor(state.artifacts_dir),
                    "checkouts_dir": anchor(state.checkouts_dir),
                }
            ),
        }
    )
