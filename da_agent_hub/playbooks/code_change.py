"""The investigation where a commit is the cause: name it, show what it changed, and propose the smallest way back."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from ..domain.dbt import GraphNode
from ..domain.investigation import Candidate, FileChange, Investigation
from ..domain.value_proof import DIFFERENT, SAME, ValueProof
from ..ports import Commit
from .case_file import CaseFile, plural
from .code_cause import (
    Build,
    Culprit,
    Revert,
    before_the_culprit,
    bisect,
    describe,
    relevant_paths,
    reverting,
    smallest_revert,
)
from .duplicate_keys import joined_keys
from .experiment import PASSES, Experiment, Trial
from .likely_names import only_slip, plausible
from .masked_sql import MaskedSql
from .predecessor import Predecessor
from .renamed_column import missing_column, reads
from .slips import Slip, moved_files, propose_slips, slips_in_file
from .warehouse import columns_of, compiled_sql, duplicate_keys, first_number, quoted

MOST_NAMES = 2


def investigate_code(
    case: CaseFile, node: GraphNode, good_sha: str, good: Trial, good_id: str, experiment: Experiment, reproduced: Trial
) -> Investigation | None:
    """The last good commit passes on today's data and the newest fails: find which commit between them, and the way back."""
    touching = case.bench.commits(good_sha, case.head, relevant_paths(case, node))
    every = case.bench.commits(good_sha, case.head)
    commits = touching or every
    if not commits:
        return None
    listed = "\n".join(
        f"{one.sha[:10]} {one.committed_at:%Y-%m-%d} {one.author}: {one.subject}" for one in commits[:20]
    )
    commits_id = case.add(
        "Commits since then that touch the node, what it depends on, or its macros and settings",
        f"git log {good_sha[:10]}..{case.head[:10]}",
        listed,
        "commits",
    )
    tested: dict[str, str] = {}

    def build(sha: str, changes: Sequence[FileChange]) -> Trial:
        trial = experiment.at(sha, changes)
        if not changes:
            tested[sha] = trial.verdict
        return trial

    culprit = bisect(case, good_sha, commits, build, good)
    if culprit is None:
        return None
    commit = culprit.commit
    trials = "\n".join(
        f"{sha[:10]}: {verdict}"
        for sha, verdict in {good_sha: good.verdict, **tested, case.head: reproduced.verdict}.items()
    )
    bisect_id = case.add("Bisection on today's data", f"dbt build of {node.name} at each commit", trials, "experiment")
    own = [
        path
        for path in commit.paths
        if case.bench.dbt_directory == "." or path.startswith(case.bench.dbt_directory + "/")
    ]
    diff_id = case.add(
        f"What {commit.sha[:10]} changed", f"git show {commit.sha[:10]}", case.bench.show(commit.sha, own), "diff"
    )
    case.claim(
        f"Commit {describe(commit)} is the cause: on the same data its predecessor passes and it fails.",
        "confirmed",
        good_id,
        bisect_id,
        diff_id,
    )
    innocent = [one for one in commits if one.sha != commit.sha]
    if innocent:
        case.claim(
            f"{plural(len(innocent), 'other commit')} in that span {'is' if len(innocent) == 1 else 'are'} not needed to explain it.",
            "ruled out",
            commits_id,
            bisect_id,
        )
    before = before_the_culprit(case, culprit, experiment.scope)
    _propose_join(case, node, commit, experiment, (bisect_id, diff_id), before)
    _propose_meant_column(case, commit, experiment, reproduced, (bisect_id, diff_id), before)
    back: Revert | None = None
    if not case.candidates and not propose_slips(case, slips_of(case, commit), build, (bisect_id, diff_id), before):
        back = smallest_revert(case, culprit, build, before)
        _propose_revert(case, node, culprit, back, (bisect_id, diff_id))
    root = _root(case, commit, node)
    changed = root is not None and case.path_of(root) in commit.paths
    what = root.name if root is not None and changed else ", ".join(own[:3]) or node.name
    root = root or _model_of(case, node) or node
    return case.conclude(
        f"Commit {commit.sha[:10]} ({commit.subject}) by {commit.author} broke {node.name} by its change of {what}.",
        "code",
        next_step=f"Review: {case.candidates[0].summary}."
        if case.candidates
        else f"Ask {commit.author} to mend {commit.sha[:10]}.",
        who=commit.author,
        needs_person=why_not_back(commit, back),
        root_node=root.unique_id,
        culprit_sha=commit.sha,
        confidence=0.95,
    )


def name_mended_commit(
    case: CaseFile, node: GraphNode | None, good_sha: str, failed_at: str, good: Trial, evidence_id: str, build: Build
) -> Investigation:
    """A commit broke it and a later one mended it: name the first; nothing is left to change."""
    name = node.name if node is not None else "the project"
    paths = relevant_paths(case, node) if node is not None else ()
    commits = case.bench.commits(good_sha, failed_at, paths) or case.bench.commits(good_sha, failed_at)
    culprit = bisect(case, good_sha, commits, build, good)
    since = case.bench.commits(failed_at, case.head)
    if culprit is not None:
        diff_id = case.add(
            f"What {culprit.commit.sha[:10]} changed",
            f"git show {culprit.commit.sha[:10]}",
            case.bench.show(culprit.commit.sha),
            "diff",
        )
        case.claim(f"Commit {describe(culprit.commit)} broke {name}.", "confirmed", evidence_id, diff_id)
    listed = "\n".join(f"{one.sha[:10]} {one.committed_at:%Y-%m-%d} {one.author}: {one.subject}" for one in since[:15])
    since_id = case.add(
        "Commits since the failing run", f"git log {failed_at[:10]}..{case.head[:10]}", listed, "commits"
    )
    case.claim(f"{name} is mended at the newest commit.", "confirmed", evidence_id, since_id)
    blamed = (
        f"Commit {culprit.commit.sha[:10]} ({culprit.commit.subject}) by {culprit.commit.author}"
        if culprit
        else "A commit"
    )
    return case.conclude(
        f"{blamed} broke {name}; a later commit mended it.",
        "code",
        next_step="Wait for the next run of the job: it should pass, and the issue then closes.",
        who="nobody for now",
        needs_person="it is mended already, so there is nothing to fix",
        root_node=node.unique_id if node is not None else None,
        culprit_sha=culprit.commit.sha if culprit else None,
        confidence=0.9,
    )


def slips_of(case: CaseFile, commit: Commit) -> Iterator[Slip]:
    """What may have slipped in a commit, in the files that it changed and that are still there."""
    yield from moved_files(case, commit.paths, commit.sha)
    for path in commit.paths:
        now = case.bench.read_at(case.head, path)
        before = case.bench.read_at(f"{commit.sha}^", path)
        if now is not None and before is not None:
            yield from slips_in_file(path, before, now, case.graph.adapter_type)


def why_not_back(commit: Commit, back: Revert | None) -> str:
    """Why nothing of a culprit is taken back, as half a sentence."""
    if back is not None and back.doubt:
        return f"{back.doubt}; which values are meant is for {commit.author} to say"
    if back is not None and back.lost:
        lost = ", ".join(back.lost[:6])
        return (
            f"to take {commit.sha[:10]} back would also take {lost} away, which it brought; its author should mend it"
        )
    return f"taking lines of {commit.sha[:10]} back does not go together with what was changed since; its author should look"


def _root(case: CaseFile, commit: Commit, node: GraphNode) -> GraphNode | None:
    """The node nearest to the failing one whose file the culprit changed, else the one that calls a macro that it changed."""
    line = [
        one for one in map(case.graph.get, (node.unique_id, *case.graph.ancestors(node.unique_id))) if one is not None
    ]
    for one in line:
        if one.test is None and case.path_of(one) in commit.paths:
            return one
    changed = [case.bench.read_at(commit.sha, path) or "" for path in commit.paths if path.endswith(".sql")]
    macros = [name for text in changed for name in re.findall(r"\{%-?\s*macro\s+(\w+)", text)]
    calls = re.compile(rf"\b(?:{'|'.join(map(re.escape, macros))})\s*\(") if macros else None
    return next((one for one in line if calls is not None and one.test is None and calls.search(one.raw_sql)), None)


def _model_of(case: CaseFile, node: GraphNode) -> GraphNode | None:
    return case.graph.get(node.test.attached_node) if node.test is not None else node


def _propose_revert(
    case: CaseFile, node: GraphNode, culprit: Culprit, back: Revert, evidence_ids: tuple[str, ...]
) -> None:
    """Propose it, or say which part passes with values that nothing explains."""
    if back.doubt:
        doubt_id = case.add("Parts of it that make the build pass", "dbt build", back.doubt, "experiment")
        case.claim(
            f"No part of {culprit.commit.sha[:10]} is proven to be the fault: {back.doubt}.", "ruled out", doubt_id
        )
    if back.way is None or back.trial is None:
        return
    model = _model_of(case, node)
    name = model.name if model else node.name
    before, after = culprit.before.rows, back.trial.rows
    tried = case.add(
        f"Tried: take {back.way.part} of {culprit.commit.sha[:10]} back",
        back.trial.command,
        f"{node.name}: {back.trial.verdict}; rows of {name}: {after}, before the commit on the same data: {before}"
        + (f"; {back.values.reason}" if back.values is not None else ""),
        "experiment",
    )
    case.propose(
        reverting(
            culprit.commit,
            back.way,
            back.values,
            f"Commit {describe(culprit.commit)} made {node.name} fail",
            (*evidence_ids, tried),
            risk="low" if before is not None and before == after else "medium",
        )
    )


def _propose_meant_column(
    case: CaseFile,
    commit: Commit,
    experiment: Experiment,
    reproduced: Trial,
    evidence_ids: tuple[str, ...],
    predecessor: Predecessor,
) -> None:
    """Where the commit brought a column name that no parent has, read the nearest one that there is."""
    missing, node = missing_column(reproduced.message), experiment.node
    path = case.path_of(node)
    if missing is None or node.test is not None or path is None or path not in commit.paths:
        return
    raw, before = case.bench.read_at(case.head, path), case.bench.read_at(f"{commit.sha}^", path) or ""
    if raw is None or re.search(rf"\b{re.escape(missing)}\b", before, re.I):
        return  # the name was right until the commit: it is not a slip of the pen
    experiment.at(case.head)
    held = {
        one.name: parent
        for parent in filter(None, map(case.graph.get, node.depends_on))
        if parent.relation_name
        for one in columns_of(case, parent.relation_name)
    }
    near = plausible(missing, held)
    meant_by_name = only_slip(missing, near)
    passing: list[tuple[str, FileChange, Trial, ValueProof]] = []
    for meant in near[:MOST_NAMES]:
        text = MaskedSql(raw, case.graph.adapter_type).with_column_read_as(reads(held[meant]), missing, meant)
        trial = experiment.at(case.head, (FileChange(path, text),)) if text is not None else None
        if text is None or trial is None or trial.verdict != PASSES:
            continue
        compared = predecessor.compare((FileChange(path, text),), trial)
        # Values prove a name only where they are made of it: a new column has none of old.
        proven = compared.verdict == SAME and not compared.added
        if compared.verdict != DIFFERENT and (proven or meant == meant_by_name):
            passing.append((meant, FileChange(path, text), trial, compared))
        if proven:
            break
    sure = [one for one in passing if one[3].verdict == SAME and not one[3].added] or passing
    if len(sure) != 1:
        if near:
            names_id = case.add(f"Columns like {missing}", "columns of the parents", ", ".join(near), "columns")
            case.claim(
                f"Which of {', '.join(near)} is meant by {missing} is not proven: neither values nor spelling tell.",
                "ruled out",
                *evidence_ids,
                names_id,
            )
        return
    meant, change, trial, compared = sure[0]
    parent = held[meant]
    tried = case.add(
        f"Tried: {meant} in place of {missing}",
        trial.command,
        f"{node.name}: {trial.verdict}; kept: {compared.reason}",
        "experiment",
    )
    case.claim(
        f"{missing} was meant to be {meant}, the nearest column of {parent.name}.", "likely", *evidence_ids, tried
    )
    case.propose(
        Candidate(
            strategy="mend the name",
            summary=f"Read {meant} in place of {missing} in {node.name}",
            rationale=f"{parent.name} has no column {missing}, but {meant}; the rest of commit {describe(commit)} stays.",
            changes=(change,),
            risk="low",
            evidence_ids=(*evidence_ids, tried),
            values=compared,
        )
    )


def _propose_join(
    case: CaseFile,
    node: GraphNode,
    commit: Commit,
    experiment: Experiment,
    evidence_ids: tuple[str, ...],
    predecessor: Predecessor,
) -> None:
    """Where the commit joined a relation that has several rows a key, join its distinct values, if a key has one value."""
    for unique_id in (node.unique_id, *case.graph.ancestors(node.unique_id)):
        model = case.graph.get(unique_id)
        path = case.path_of(model) if model is not None and model.resource_type == "model" else None
        if model is None or path is None or path not in commit.paths:
            continue
        raw = case.bench.read_at(case.head, path)
        before = case.bench.read_at(f"{commit.sha}^", path) or ""
        if raw is None or len(MaskedSql(raw, case.graph.adapter_type).calls) <= len(
            MaskedSql(before, case.graph.adapter_type).calls
        ):
            continue  # it brought no further relation: its own lines are at fault, not the rows of another
        experiment.at(case.head)
        sql = compiled_sql(case, model)
        for parent, keys in joined_keys(case, model, sql):
            if not parent.relation_name or not duplicate_keys(case, parent.relation_name, keys):
                continue
            held = [one.name for one in columns_of(case, parent.relation_name)]
            wanted = _columns_read(raw, parent, held, keys, case.graph.adapter_type)
            if wanted is None or not _one_value_a_key(case, parent.relation_name, keys, wanted):
                continue
            text = MaskedSql(raw, case.graph.adapter_type).with_distinct_join(reads(parent), [*keys, *wanted])
            if text is None:
                continue
            change = FileChange(path, text)
            trial = experiment.at(case.head, (change,))
            if trial.verdict != PASSES:
                continue
            names = ", ".join(keys)
            compared = predecessor.compare((change,), trial)
            tried = case.add(
                f"Tried: join each {names} of {parent.name} once",
                trial.command,
                f"{node.name}: {trial.verdict}; {', '.join(wanted) or 'no column'} has one value for each {names}; {compared.reason}",
                "experiment",
            )
            if compared.verdict == DIFFERENT:
                case.claim(
                    f"To join each {names} once is not proven: {compared.reason}.", "ruled out", *evidence_ids, tried
                )
                return
            case.claim(
                f"{parent.name} has several rows for one {names}, so the join in {model.name} repeats rows.",
                "confirmed",
                tried,
            )
            case.propose(
                Candidate(
                    strategy="mend the join's grain",
                    summary=f"Join each {names} of {parent.name} once in {model.name}",
                    rationale=f"{parent.name} has several rows for one {names}, but one value of {', '.join(wanted) or 'what is read'} for each: "
                    "joining its distinct values keeps what the commit brought and repeats no row.",
                    changes=(change,),
                    risk="low",
                    evidence_ids=(*evidence_ids, tried),
                    values=compared,
                )
            )
            return


def _columns_read(
    raw: str, parent: GraphNode, held: Sequence[str], keys: Sequence[str], adapter_type: str
) -> list[str] | None:
    """Which of the parent's columns the reading scope uses by its alias; None where that cannot be told."""
    sql = MaskedSql(raw, adapter_type)
    for place, call in sql.tables(reads(parent)):
        alias = (place.alias or call.names[-1]).lower()
        select = place.parent_select
        if select is None or select.is_star:
            return None
        used = {one.name for one in select.find_all(exp.Column) if one.table.lower() == alias}
        loose = {one.name.lower() for one in select.find_all(exp.Column) if not one.table}
        if loose & {name.lower() for name in held}:
            return None
        return [name for name in held if name in used and name not in keys]
    return None


def _one_value_a_key(case: CaseFile, relation: str, keys: Sequence[str], columns: Sequence[str]) -> bool:
    adapter = case.graph.adapter_type
    names = ", ".join(quoted(key, adapter) for key in keys)
    all_names = ", ".join(quoted(one, adapter) for one in [*keys, *columns])
    repeated = first_number(
        case.ask(
            f"select count(*) as n from (select {names} from (select distinct {all_names} from {relation}) as distinct_rows "
            f"group by {names} having count(*) > 1) as several",
            1,
        )
    )
    return repeated == 0
