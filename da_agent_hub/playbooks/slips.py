"""Slips of the pen that a commit, or an uncommitted edit, left behind, each with the text that was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePosixPath

import yaml

from ..domain.investigation import Candidate, FileChange
from ..domain.line_merge import hunks_of
from ..domain.value_proof import DIFFERENT
from .case_file import CaseFile, plural
from .code_cause import Build
from .experiment import PASSES
from .masked_sql import MaskedSql
from .predecessor import Predecessor

MOST_TRIALS = 6
MOST_PLACES = 400
MOVED_ALIKE = 0.6


@dataclass(frozen=True)
class Slip:
    """What may have slipped; ``changes`` are what was meant, against the newest commit."""

    strategy: str
    summary: str
    rationale: str
    changes: tuple[FileChange, ...]


def propose_slips(
    case: CaseFile, slips: Iterator[Slip], build: Build, evidence_ids: tuple[str, ...], before: Predecessor
) -> bool:
    """Try them in order and propose the first that builds and changes no value of old; returns whether there is one."""
    for tried, slip in enumerate(slips):
        if tried >= MOST_TRIALS:
            break
        trial = build(case.head, slip.changes)
        if trial.verdict != PASSES:
            continue
        compared = before.compare(slip.changes, trial)
        if compared.verdict == DIFFERENT:
            tried_id = case.add(
                f"Tried: {slip.summary}", trial.command, f"it passes; rejected: {compared.reason}", "experiment"
            )
            case.claim(f"{slip.summary}: not proven, as {compared.reason}.", "ruled out", *evidence_ids, tried_id)
            continue
        tried_id = case.add(f"Tried: {slip.summary}", trial.command, f"it passes; {compared.reason}", "experiment")
        case.claim(f"{slip.rationale} With that mended it passes.", "confirmed", *evidence_ids, tried_id)
        case.propose(
            Candidate(
                strategy=slip.strategy,
                summary=slip.summary,
                rationale=f"{slip.rationale} Nothing else is changed.",
                changes=slip.changes,
                risk="low",
                evidence_ids=(*evidence_ids, tried_id),
                values=compared,
            )
        )
        return True
    return False


def slips_in_file(path: str, before: str | None, now: str, adapter_type: str) -> Iterator[Slip]:
    """Slips in one file; ``before`` is its text before the commit in question, None where none is known."""
    if path.endswith(".sql"):
        yield from _narrowed_joins(path, before or "", now, adapter_type)
        yield from _commas(path, now, adapter_type)
    elif path.endswith((".yml", ".yaml")):
        yield from _yaml(path, before, now)


def moved_files(case: CaseFile, paths: tuple[str, ...], sha: str) -> Iterator[Slip]:
    """A model that a commit gave another name, while others still refer to the old one."""
    texts = {path: (case.bench.read_at(f"{sha}^", path), case.bench.read_at(sha, path)) for path in paths}
    fresh = {path: after for path, (before, after) in texts.items() if before is None and after is not None}
    for path, (before, after) in texts.items():
        if before is None or after is not None or not path.endswith((".sql", ".csv", ".py")):
            continue
        alike = {
            one: SequenceMatcher(None, before.split(), text.split(), autojunk=False).ratio()
            for one, text in fresh.items()
            if PurePosixPath(one).suffix == PurePosixPath(path).suffix
            and case.bench.read_at(case.head, one) is not None
        }
        best = max(alike, key=lambda one: alike[one], default=None)
        old, new = PurePosixPath(path).stem, PurePosixPath(best or path).stem
        if best is None or alike[best] < MOVED_ALIKE or old == new:
            continue
        changes = _referring_to(case, old, new)
        if changes:
            yield Slip(
                "follow the new name",
                f"Refer to {new} in place of {old} in {plural(len(changes), 'file')}",
                f"{sha[:10]} gave {old} the name {new}, and {plural(len(changes), 'file')} still "
                f"{'refers' if len(changes) == 1 else 'refer'} to it by the old one.",
                changes,
            )


def _referring_to(case: CaseFile, old: str, new: str) -> tuple[FileChange, ...]:
    pattern = re.compile(rf"""(\bref\s*\(\s*(?:['"][^'"]+['"]\s*,\s*)?['"]){re.escape(old)}(['"])""")
    case.bench.checkout(case.head)
    root = case.bench.root / case.bench.dbt_directory
    changes = []
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root).parts
        if file.suffix not in {".sql", ".yml", ".yaml"} or {"dbt_packages", "target", ".git"} & set(inside):
            continue
        if file.is_symlink() or not file.is_file():
            continue
        text = file.read_text(errors="replace")
        fresh = pattern.sub(rf"\g<1>{new}\g<2>", text)
        if fresh != text:
            changes.append(FileChange(case.repository_path("/".join(inside)), fresh))
    return tuple(changes)


def _narrowed_joins(path: str, before: str, now: str, adapter_type: str) -> Iterator[Slip]:
    was, held = MaskedSql(before, adapter_type).join_kinds(), MaskedSql(now, adapter_type).join_kinds()
    for names, (kind, start, end) in held.items():
        old = was.get(names, (kind, 0, 0))[0]
        if _side(old) == _side(kind):
            continue
        written = old.upper() if now[start:end].isupper() else old
        yield Slip(
            "join as before",
            f"Join {'.'.join(names)} by {old} again in {PurePosixPath(path).stem}",
            f"{PurePosixPath(path).name} joined {'.'.join(names)} by {old} and now does by {kind}, which keeps other rows.",
            (FileChange(path, now[:start] + written + now[end:]),),
        )


def _side(kind: str) -> str:
    found = re.match(r"(left|right|full|cross)", kind)
    return found[1] if found else "inner"


def _commas(path: str, now: str, adapter_type: str) -> Iterator[Slip]:
    if re.search(r"\{%-?\s*(macro|test)\b", now):
        return
    sql = MaskedSql(now, adapter_type)
    places = sql.implicit_aliases() if sql.tree is not None else list(_where_a_comma_parses(now, adapter_type))
    for place in places[:MOST_TRIALS]:
        line = now[:place].rsplit("\n", 1)[-1].strip()
        yield Slip(
            "mend the comma",
            f"Write the missing comma after `{line[-60:]}` in {PurePosixPath(path).stem}",
            f"A comma is missing after `{line[-60:]}` in {PurePosixPath(path).name}.",
            (FileChange(path, f"{now[:place]},{now[place:]}"),),
        )
    if sql.tree is None:
        for found in list(re.finditer(r",(?=(?:\s|--[^\n]*\n)*(?:\bfrom\b|\)))", now, re.I))[:MOST_PLACES]:
            text = now[: found.start()] + now[found.end() :]
            if MaskedSql(text, adapter_type).tree is not None:
                yield Slip(
                    "mend the comma",
                    f"Take the comma after the last column of {PurePosixPath(path).stem} away",
                    f"A comma stands after the last column in {PurePosixPath(path).name}.",
                    (FileChange(path, text),),
                )


def _where_a_comma_parses(now: str, adapter_type: str) -> Iterator[int]:
    """Ends of lines where one more comma makes the SQL readable."""
    place = 0
    for line in now.splitlines(keepends=True)[:MOST_PLACES]:
        code = re.sub(r"(--[^\n]*)?\s*$", "", line)
        end = place + len(code)
        place += len(line)
        unfinished = re.search(r"([,(]|\b(select|from|where|on|and|or|by|as|with|join|then|else))$", code, re.I)
        if code.strip() and not unfinished and MaskedSql(f"{now[:end]},{now[end:]}", adapter_type).tree is not None:
            yield end


def _yaml(path: str, before: str | None, now: str) -> Iterator[Slip]:
    """Where a file is broken YAML: the one line whose indentation, tab or bare colon breaks it."""
    mark = _broken_at(now)
    if mark is None:
        return
    lines = now.splitlines(keepends=True)
    if before is not None:
        changed = {n for hunk in hunks_of(path, before, now) for n in range(hunk.start, hunk.end)}
    else:
        changed = set(range(max(0, mark - 6), min(len(lines), mark + 2)))
    yield from _by_quotes(path, lines, sorted(changed))
    found = [one for n in sorted(changed) for one in _indented(lines, n)]
    least = min((shift for shift, _ in found), default=0)
    texts = {repr(yaml.safe_load(text)): text for shift, text in found if shift == least}
    if len(texts) == 1:  # two readings that are equally near: which was meant, only its author knows
        (text,) = texts.values()
        first = next(
            n for n, (old, new) in enumerate(zip(lines, text.splitlines(keepends=True), strict=False)) if old != new
        )
        yield Slip(
            "mend the indentation",
            f"Indent line {first + 1} of {path} as its siblings",
            f"Line {first + 1} of {PurePosixPath(path).name} is indented so that the file is no YAML.",
            (FileChange(path, text),),
        )


def _broken_at(text: str) -> int | None:
    try:
        yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        return error.problem_mark.line if error.problem_mark is not None else 0
    except yaml.YAMLError:
        return 0
    return None


def _indented(lines: list[str], place: int) -> Iterator[tuple[int, str]]:
    """(by how much, text): the line, alone or with what hangs on it, at an indentation that lines nearby have."""
    line = lines[place]
    body = line.lstrip(" \t")
    if not body.strip() or body.startswith("#"):
        return
    has = len(line) - len(body)
    nearby = {len(one) - len(one.lstrip(" ")) for one in lines[max(0, place - 40) : place + 10] if one.strip()}
    below = place + 1
    while below < len(lines) and (not lines[below].strip() or len(lines[below]) - len(lines[below].lstrip()) > has):
        below += 1
    for wanted in sorted(nearby):
        if wanted == has and "\t" not in line[:has]:
            continue
        alone = "".join([*lines[:place], " " * wanted + body, *lines[place + 1 :]])
        moved = [" " * max(0, wanted - has + len(one) - len(one.lstrip())) + one.lstrip() if one.strip() else one
                 for one in lines[place + 1 : below]]  # fmt: skip
        together = "".join([*lines[:place], " " * wanted + body, *moved, *lines[below:]])
        for text in dict.fromkeys((alone, together)):
            if _broken_at(text) is None:
                yield abs(wanted - has), text


def _by_quotes(path: str, lines: list[str], changed: list[int]) -> Iterator[Slip]:
    for place in changed:
        found = re.fullmatch(r"(\s*(?:- )?[\w-]+:\s+)([^'\"\[{|>&*!%#][^#]*?:\s.*?)(\s*)", lines[place])
        if found is None:
            continue
        quoted = f"{found[1]}{json.dumps(found[2], ensure_ascii=False)}{found[3]}"
        text = "".join([*lines[:place], quoted, *lines[place + 1 :]])
        if _broken_at(text) is None:
            yield Slip(
                "mend the quotes",
                f"Quote the text in line {place + 1} of {path}",
                f"The text in line {place + 1} of {PurePosixPath(path).name} holds a colon and is not quoted.",
                (FileChange(path, text),),
            )
