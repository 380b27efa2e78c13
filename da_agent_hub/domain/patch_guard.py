"""Whether a patch may be called a fix: which files it touches, how, and that no test is weaker after it.

A patch that could not be understood and one that is unsafe are different answers; both refuse.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

MOST_FILES, MOST_LINES = 20, 1_000
_ENDINGS = (".sql", ".yml", ".yaml", ".csv", ".md")
_PROTECTED = {"profiles.yml", "packages.yml", "dependencies.yml", "package-lock.yml", "selectors.yml", "dbt_cloud.yml"}
# A new or changed value of one of these can make a test pass without anything being better.
_WEAKENING = {
    "severity",
    "enabled",
    "where",
    "limit",
    "warn_if",
    "error_if",
    "fail_calc",
    "store_failures",
    "freshness",
}
_WEAKENING |= {"loaded_at_field", "warn_after", "error_after", "contract", "constraints"}
_RUNNING = {"pre-hook", "post-hook", "pre_hook", "post_hook", "on-run-start", "on-run-end"}
_FREE_SETTINGS = {"vars", "models", "seeds", "snapshots", "version"}
_SQL_WEAKENING = re.compile(r"\b(severity|enabled|where|limit|warn_if|error_if|fail_calc)\s*=\s*[^,)]+", re.IGNORECASE)
_SQL_RUNNING = re.compile(
    r"\b(run_query|statement|load_result|env_var|pre_hook|post_hook|dbt_utils\.get_query_results_as_dict)\b|\badapter\.\w+"
    r"|\b(read_csv\w*|read_text|read_blob|read_parquet|read_json\w*|copy|attach|install|load)\s*[('\"]",
    re.IGNORECASE,
)
_EMPTYING = re.compile(r"\bwhere\s+(?:false|1\s*=\s*0|0\s*=\s*1)\b|\blimit\s+\d+", re.IGNORECASE)
_TEST_BLOCK = re.compile(r"\{%-?\s*test\b|\bmacro\s+test_", re.IGNORECASE)


@dataclass(frozen=True)
class Safe:
    """Nothing stands against the patch; ``paths`` are what it touches."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Unsafe:
    """The patch needs a person's word; ``reasons`` are one sentence each."""

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Unreadable:
    """The patch could not be judged, which refuses it as well."""

    reason: str


@dataclass(frozen=True)
class _File:
    path: str
    deleted: bool
    added: int
    removed: int
    modes: tuple[str, ...]
    mode_changed: bool
    binary: bool


def judge_patch(
    diff: str,
    before: Mapping[str, str | None],
    after: Mapping[str, str | None],
    dbt_directory: str = ".",
    test_paths: tuple[str, ...] = ("tests",),
) -> Safe | Unsafe | Unreadable:
    """Judge a real ``git diff --no-renames``.

    ``before`` and ``after`` hold the text of each touched file, None where there is none. Where the file at the base
    is broken YAML, ``before`` is its newest version that can be read, or the patch is unreadable.
    """
    files = _files(diff)
    if files is None:
        return Unreadable("the diff has a form that is not understood")
    if not files:
        return Unreadable("the diff is empty")
    reasons: list[str] = []
    if len(files) > MOST_FILES:
        reasons.append(f"it touches {len(files)} files, more than {MOST_FILES}")
    if sum(file.added + file.removed for file in files) > MOST_LINES:
        reasons.append(f"it changes more than {MOST_LINES} lines")
    for file in files:
        if file.path not in before or file.path not in after:
            return Unreadable(f"{file.path} is in the diff, but its text was not given")
        reasons += _place_reasons(file, dbt_directory, test_paths)
        if any(file.path in reason for reason in reasons):
            continue
        found = _content_reasons(file, before[file.path], after[file.path])
        if isinstance(found, Unreadable):
            return found
        reasons += found
    return Unsafe(tuple(dict.fromkeys(reasons))) if reasons else Safe(tuple(file.path for file in files))


def _files(diff: str) -> list[_File] | None:
    files: list[_File] = []
    for part in re.split(r"(?m)^(?=diff --git )", diff):
        if not part.strip():
            continue
        head = re.match(r"diff --git a/(.*)\n", part)
        if head is None:
            return None  # quoted paths, combined diffs and anything else
        both = head[1]
        length = (len(both) - 3) // 2
        path = both[:length]
        if both != f"{path} b/{path}":
            return None
        header, _, body = part.partition("\n@@")
        if re.search(r"(?m)^(rename|copy|similarity|dissimilarity) ", header):
            return None
        modes = re.findall(
            r"(?m)^(?:new file mode|deleted file mode|new mode|index [0-9a-f]+\.\.[0-9a-f]+) (\d{6})$", header
        )
        lines = body.splitlines()[1:]
        files.append(
            _File(
                path=path,
                deleted=bool(re.search(r"(?m)^deleted file mode", header)),
                added=sum(line.startswith("+") for line in lines),
                removed=sum(line.startswith("-") for line in lines),
                modes=tuple(modes),
                mode_changed=bool(re.search(r"(?m)^old mode", header)),
                binary=bool(re.search(r"(?m)^(Binary files|GIT binary patch)", part)),
            )
        )
    return files


def _place_reasons(file: _File, dbt_directory: str, test_paths: tuple[str, ...]) -> list[str]:
    path, folded = file.path, file.path.casefold()
    parts = folded.split("/")
    folder = "" if dbt_directory in ("", ".") else dbt_directory.strip("/") + "/"
    inside = path[len(folder) :] if path.startswith(folder) else None
    if re.search(r"[\x00-\x1f\x7f\\:]", path) or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return [f"{path!r} is no plain path"]
    if file.mode_changed or any(mode not in {"100644", "100755"} for mode in file.modes):
        return [f"{path} is or becomes a link, a submodule or a file of another mode"]
    if file.binary:
        return [f"{path} is binary"]
    if any(part.startswith(".") for part in parts) or parts[-1] in _PROTECTED:
        return [f"{path} is protected: it configures what runs, not what the data is"]
    if inside is None:
        return [f"{path} is outside the dbt project"]
    if not folded.endswith(_ENDINGS):
        return [f"{path} is not a model's SQL, YAML, seed or document"]
    if any(
        inside.casefold().startswith(place.casefold().strip("/") + "/") for place in test_paths
    ) and not folded.endswith(".md"):
        return [f"{path} is a test: changing or deleting it needs a person's word"]
    if file.deleted and not folded.endswith(".md"):
        return [f"{path} would be deleted, with whatever tests it"]
    return []


def _content_reasons(file: _File, before: str | None, after: str | None) -> list[str] | Unreadable:
    path = file.path.casefold()
    if path.endswith((".yml", ".yaml")):
        return _yaml_reasons(file.path, before, after)
    if path.endswith(".sql"):
        return _sql_reasons(file.path, before or "", after or "")
    return []


def _sql_reasons(path: str, before: str, after: str) -> list[str]:
    reasons = []
    if _TEST_BLOCK.search(before) or _TEST_BLOCK.search(after):
        reasons.append(f"{path} defines a test: changing it needs a person's word")
    for pattern, says in (
        (_SQL_RUNNING, "would run more than its own SELECT"),
        (_EMPTYING, "would leave rows out by a constant"),
    ):
        fresh = Counter(found.group().lower() for found in pattern.finditer(after))
        fresh -= Counter(found.group().lower() for found in pattern.finditer(before))
        if fresh:
            reasons.append(f"{path} {says}: {next(iter(fresh))}")
    settings_before, settings_after = _settings(before), _settings(after)
    if settings_after - settings_before:
        reasons.append(f"{path} changes {', '.join(sorted(settings_after - settings_before))} in its config")
    return reasons


def _settings(sql: str) -> set[str]:
    found: set[str] = set()
    for block in re.findall(r"\bconfig\s*\((.*?)\)\s*[-%}]", sql, re.DOTALL):
        found |= {re.sub(r"\s+", " ", one.group()).strip() for one in _SQL_WEAKENING.finditer(block)}
    return found


def _yaml_reasons(path: str, before: str | None, after: str | None) -> list[str] | Unreadable:
    try:
        old = yaml.safe_load(before) if before else {}
    except yaml.YAMLError:
        return Unreadable(f"{path} is not readable YAML before the patch, so it cannot be told which tests it held")
    try:
        new = yaml.safe_load(after) if after else {}
    except (yaml.YAMLError, RecursionError):
        return Unreadable(f"{path} is not readable YAML after the patch")
    if not isinstance(old or {}, dict) or not isinstance(new or {}, dict):
        return Unreadable(f"{path} holds no mapping")
    old, new = old or {}, new or {}
    reasons = []
    if path.casefold().rsplit("/", 1)[-1] in {"dbt_project.yml", "dbt_project.yaml"}:
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key) and key not in _FREE_SETTINGS)
        if changed:
            reasons.append(f"{path} changes {', '.join(map(str, changed))}")
    missing = Counter(_assertions(old)) - Counter(_assertions(new))
    for place, name in missing:
        reasons.append(f"{path} removes or changes the test {name} of {place}")
    loosened = Counter(_loose(new)) - Counter(_loose(old))
    reasons += [f"{path} sets or changes {where}" for where, _ in loosened]
    # Taking severity: warn away makes a test stricter; taking freshness or a contract away makes the project blind.
    lost = Counter(_loose(old)) - Counter(_loose(new))
    watched = ("freshness", "error_after", "warn_after", "contract", "constraints", "loaded_at_field")
    reasons += [f"{path} takes {where} away" for where, _ in lost if where.rsplit(".", 1)[-1] in watched]
    return reasons


def _assertions(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(place, test with its arguments) for each data test and unit test that a document declares."""
    for kind in ("models", "seeds", "snapshots", "sources", "exposures"):
        for resource in _mappings(document.get(kind)):
            yield from _tests_of(resource, str(resource.get("name")))
            for table in _mappings(resource.get("tables")):
                yield from _tests_of(table, f"{resource.get('name')}.{table.get('name')}")
    for test in _mappings(document.get("unit_tests")):
        yield str(test.get("model")), json.dumps(test, sort_keys=True, default=str)
    for test in _mappings(document.get("data_tests")):
        yield str(test.get("name")), json.dumps(test, sort_keys=True, default=str)


def _tests_of(resource: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for key in ("tests", "data_tests"):
        tests = resource.get(key)
        for test in tests if isinstance(tests, list) else ():
            yield place, test if isinstance(test, str) else json.dumps(test, sort_keys=True, default=str)
    for column in _mappings(resource.get("columns")):
        yield from _tests_of(column, f"{place}.{column.get('name')}")
    for version in _mappings(resource.get("versions")):
        yield from _tests_of(version, f"{place}.v{version.get('v')}")


def _loose(document: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(where, value) of each setting that decides whether and how strictly something is tested or run."""
    if isinstance(document, dict):
        name = str(document.get("name") or "")
        for key, value in document.items():
            where = ".".join(part for part in (place, name, str(key)) if part)
            if str(key).lstrip("+") in _WEAKENING | _RUNNING:
                yield where, json.dumps(value, sort_keys=True, default=str)
            else:
                yield from _loose(value, where)
    elif isinstance(document, list):
        for one in document:
            yield from _loose(one, place)


def _mappings(found: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in found if isinstance(one, dict)) if isinstance(found, list) else iter(())
