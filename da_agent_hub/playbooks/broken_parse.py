"""dbt cannot read the project at all: which commit broke it, and what name was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from ..domain.investigation import Candidate, FileChange, Investigation
from ..domain.value_proof import DIFFERENT, NOT_COMPARED, SAME
from ..ports import Commit, DbtResult
from .case_file import CaseFile, plural
from .code_cause import (
    Build,
    Culprit,
    Revert,
    before_the_culprit,
    bisect,
    describe,
    last_good_sha,
    reverting,
    search_good,
    smallest_revert,
)
from .code_change import slips_of, why_not_back
from .experiment import FAILS, PASSES, Trial, last_lines
from .predecessor import Predecessor, renamed_in
from .slips import Slip, propose_slips, slips_in_file

_UNKNOWN_REF = re.compile(
    r"depends on a node named '([^']+)'(?: in package or project '[^']+')? which was not found", re.I
)
_UNKNOWN_SOURCE = re.compile(r"depends on a source named '([^']+)\.([^'.]+)' which was not found", re.I)
_UNKNOWN_MACRO = re.compile(r"'(\w+)' is undefined", re.I)
_FILE = re.compile(r"\(?((?:models|macros|tests|snapshots|seeds|analyses|[\w./-]+)/[\w./ -]+\.(?:sql|ya?ml|py))\)?")
_LINE = re.compile(r"\bline (\d+)", re.I)


class ParseExperiment:
    """``dbt parse`` at some commit or with some patch; a failure counts only where the project itself does not parse."""

    def __init__(self, case: CaseFile) -> None:
        self.case = case

    def __call__(self, sha: str, changes: Sequence[FileChange] = ()) -> Trial:
        """Parse, without dbt's memory of the previous commit: it may hide an error or keep one."""
        self.case.check_time()
        self.case.bench.checkout(sha)
        if changes:
            self.case.bench.apply(changes)
        result: DbtResult = self.case.bench.dbt("parse")
        return Trial(PASSES if result.ok else FAILS, result.command, last_lines(result.log), result)


def investigate_broken_parse(case: CaseFile, message: str) -> Investigation:
    """Name the place, find the commit, propose the name that was meant or take the commit's lines back."""
    message_id = case.add("What dbt says of the newest commit", f"dbt parse at {case.head[:10]}", message, "message")
    place = where(message)
    case.claim(f"The project does not parse{f' ({place})' if place else ''}.", "confirmed", message_id)
    parse = ParseExperiment(case)
    culprit, cited = _culprit(case, parse, message_id)
    before = before_the_culprit(case, culprit) if culprit is not None else Predecessor(case, [])
    propose_meant_name(case, message, parse, message_id, before, [culprit.commit] if culprit is not None else [])
    back: Revert | None = None
    if culprit is None:
        case.bench.checkout(case.head)
        propose_slips(case, _slips_where_dbt_points(case, message), parse, (message_id,), before)
    elif not case.candidates and not propose_slips(case, slips_of(case, culprit.commit), parse, cited, before):
        back = smallest_revert(case, culprit, parse, before)
        if back.way is not None and back.trial is not None:
            tried = case.add(
                f"Tried: take {back.way.part} back",
                back.trial.command,
                f"the project parses without it; {back.values.reason if back.values else ''}",
                "experiment",
            )
            blamed = f"Commit {describe(culprit.commit)} broke the project"
            case.propose(reverting(culprit.commit, back.way, back.values, blamed, (*cited, tried)))
    commit = culprit.commit if culprit is not None else None
    meant = case.candidates[0].summary if case.candidates else ""
    headline = f"The dbt project does not parse: {first_sentence(message)}"
    if commit is not None:
        headline = f"Commit {commit.sha[:10]} ({commit.subject}) broke the project: {first_sentence(message)}"
    return case.conclude(
        headline,
        "code",
        next_step=f"Review: {meant}." if meant else f"Mend {place or 'what dbt names'}.",
        who=commit.author if commit is not None else case.owner_of(None) or "whoever changed it last",
        culprit_sha=commit.sha if commit is not None else None,
        needs_person=why_not_back(commit, back)
        if commit is not None
        else "no name in the project is close to the one that is missing, and no commit could be singled out",
        confidence=0.95 if commit is not None or case.candidates else 0.6,
    )


def _culprit(case: CaseFile, parse: ParseExperiment, message_id: str) -> tuple[Culprit | None, tuple[str, ...]]:
    """The commit from which on the project does not parse, with the evidence for it; None where none can be found."""
    folder = () if case.bench.dbt_directory == "." else (case.bench.dbt_directory,)
    sha, why = last_good_sha(case)
    good = parse(sha) if sha is not None else None
    if good is None or good.verdict != PASSES:
        found = search_good(case.bench.commits(None, case.head, folder), parse)
        if found is None:
            return None, (message_id,)
        sha, good = found
    assert sha is not None
    good_id = case.add("A commit that parses", good.command, f"{why}; {sha[:10]} parses", "experiment")
    culprit = bisect(case, sha, case.bench.commits(sha, case.head, folder), parse, good)
    if culprit is None:
        return None, (message_id,)
    commit = culprit.commit
    diff_id = case.add(
        f"The commit that broke it: {describe(commit)}",
        f"git show {commit.sha[:10]}",
        case.bench.show(commit.sha),
        "diff",
    )
    case.claim(
        f"Commit {describe(commit)} broke it: its predecessor parses, it does not.", "confirmed", good_id, diff_id
    )
    return culprit, (message_id, diff_id)


def _slips_where_dbt_points(case: CaseFile, message: str) -> Iterator[Slip]:
    """Slips in the files that dbt names, by their path or, as for YAML, by their name alone."""
    said = [*_FILE.findall(message), *re.findall(r"Error reading \w+: (\S+)", message)]
    named = [
        str(path.relative_to(case.bench.root))
        for path in _project_files(case, ".sql", ".yml", ".yaml")
        if any(str(path).endswith(f"/{one}") for one in said)
    ]
    for path in named[:2]:
        text = case.bench.read_at(case.head, path)
        if text is not None:
            yield from slips_in_file(path, None, text, case.graph.adapter_type)


def first_sentence(message: str) -> str:
    """The line of dbt's message that says what is wrong."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if not line.startswith("Encountered an error")
        and re.search(
            r"not found|undefined|unexpected|expected|invalid|duplicate|two|error near|cannot|unable", line, re.I
        )
    ]
    chosen = (
        telling
        or [line for line in lines if not re.search(r"Error$|^Encountered an error", line)]
        or lines
        or ["no message"]
    )[0]
    return chosen[:240].rstrip(".")


def where(message: str) -> str:
    """The file and line that dbt names, or an empty text."""
    file, line = _FILE.search(message), _LINE.search(message)
    return (file[1] + (f", line {line[1]}" if line else "")) if file else ""


def propose_meant_name(
    case: CaseFile, message: str, build: Build, message_id: str, before: Predecessor, commits: Sequence[Commit]
) -> None:
    """Propose the existing name that was meant by a ref, source or macro that is not there, once values or a diff prove it.

    ``commits`` are those that may have renamed it. A name that only makes the build pass is no proof.
    """
    unknown_ref, unknown_source, unknown_macro = (
        _UNKNOWN_REF.search(message), _UNKNOWN_SOURCE.search(message), _UNKNOWN_MACRO.search(message),
    )  # fmt: skip
    if unknown_ref:
        wrong = unknown_ref[1]
        names = _model_names(case)
        pattern = rf"""(\bref\s*\(\s*(?:['"][^'"]+['"]\s*,\s*)?['"]){re.escape(wrong)}(['"])"""
    elif unknown_source:
        source, wrong = unknown_source[1], unknown_source[2]
        names = [
            one.name.partition(".")[2]
            for one in case.graph.nodes.values()
            if one.resource_type == "source" and one.name.startswith(f"{source}.")
        ]
        pattern = rf"""(\bsource\s*\(\s*['"]{re.escape(source)}['"]\s*,\s*['"]){re.escape(wrong)}(['"])"""
        if not names:
            sources = {one.name.partition(".")[0] for one in case.graph.nodes.values() if one.resource_type == "source"}
            names, wrong = sorted(sources), source
            pattern = rf"""(\bsource\s*\(\s*['"]){re.escape(source)}(['"])"""
    elif unknown_macro:
        wrong = unknown_macro[1]
        names = _macro_names(case)
        pattern = rf"(\{{[{{%][^}}]*?\b){re.escape(wrong)}(\s*\()"
    else:
        return
    near = get_close_matches(wrong, [name for name in names if name != wrong], n=3, cutoff=0.72)
    renamed = [name for name in renamed_in(case, commits, wrong) if name in names]
    for meant in renamed or near:
        changes = tuple(_replaced_everywhere(case, pattern, meant))
        if not changes:
            return
        trial = build(case.head, changes)
        if trial.verdict == PASSES:
            compared = before.compare(changes, trial)
            # A new column has no old values to be held to: there, the diff or the lack of any other name has to tell.
            told = len(renamed) == 1 or (compared.verdict == SAME and (not compared.added or len(near) == 1))
            rejected = compared.verdict == DIFFERENT or not told
            tried = case.add(
                f"Tried: {meant} in place of {wrong}",
                trial.command,
                f"it passes; {'rejected' if rejected else 'kept'}: {compared.reason}"
                + (f"; the commit itself wrote {meant} for {wrong} or the other way round" if renamed else ""),
                "experiment",
            )
            if rejected:
                doubt = compared.reason if compared.verdict in {DIFFERENT, NOT_COMPARED} else "other names are as near"
                case.claim(f"{meant} in place of {wrong} is not proven: {doubt}.", "ruled out", message_id, tried)
                continue
            case.claim(f"{wrong} was meant to be {meant}: {compared.reason}.", "likely", message_id, tried)
            case.propose(
                Candidate(
                    strategy="mend the name",
                    summary=f"Write {meant} in place of {wrong} in {plural(len(changes), 'file')}",
                    rationale=f"{wrong} does not exist; {meant} does, and with it the build passes: {compared.reason}.",
                    changes=changes,
                    risk="low",
                    evidence_ids=(message_id, tried),
                    values=compared,
                )
            )
            return


def _project_files(case: CaseFile, *endings: str) -> list[Path]:
    root = case.bench.root / case.bench.dbt_directory
    skipped = {"dbt_packages", "dbt_modules", "target", "logs", ".git"}
    return sorted(
        path for path in root.rglob("*")
        if path.suffix in endings and path.is_file() and not path.is_symlink() and not skipped & set(path.relative_to(root).parts)
    )  # fmt: skip


def _model_names(case: CaseFile) -> list[str]:
    case.bench.checkout(case.head)
    return sorted({path.stem for path in _project_files(case, ".sql", ".csv", ".py")})


def _macro_names(case: CaseFile) -> list[str]:
    case.bench.checkout(case.head)
    text = "\n".join(path.read_text(errors="replace") for path in _project_files(case, ".sql"))
    return sorted(set(re.findall(r"\{%-?\s*macro\s+(\w+)\s*\(", text)))


def _replaced_everywhere(case: CaseFile, pattern: str, meant: str) -> list[FileChange]:
    case.bench.checkout(case.head)
    changes = []
    for path in _project_files(case, ".sql", ".yml", ".yaml"):
        text = path.read_text(errors="replace")
        fresh = re.sub(pattern, rf"\g<1>{meant}\g<2>", text)
        if fresh != text:
            changes.append(FileChange(str(path.relative_to(case.bench.root)), fresh))
    return changes
