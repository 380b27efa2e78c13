"""Failures that do not stay: connections and time-outs, tests that change their mind on the same data, and what recovered."""

from __future__ import annotations

import re
from collections import Counter

from ..domain.dbt import GraphNode
from ..domain.investigation import Investigation
from .case_file import CaseFile, plural
from .experiment import FAILS, PASSES, Experiment, Trial

RUNS_ON_THE_SAME_DATA = 3
_TRANSIENT = re.compile(
    r"timed? ?out|timeout|deadline exceeded|connection (?:reset|refused|closed|aborted|was lost)|could not connect|broken pipe"
    r"|server closed|temporarily unavailable|too many connections|rate limit|quota|throttl|deadlock|lock (?:wait|timeout|conflict)"
    r"|could not set lock|database is locked|conflicting lock|serializ|warehouse .* (?:suspended|resum)|503|502 bad gateway"
    r"|try again|network|ssl|eof occurred|out of memory|resources exceeded|cancel+ed|name resolution",
    re.IGNORECASE,
)
_NONDETERMINISTIC = {
    "the current time": r"\b(?:current_timestamp|current_date|current_time|now|today|getdate|sysdate|localtimestamp|get_current_timestamp)\b",
    "run_started_at": r"\brun_started_at\b",
    "random numbers": r"\b(?:random|rand|uuid|gen_random_uuid|newid|uuid_string|setseed|uniform)\s*\(",
    "a sample": r"\b(?:tablesample|using\s+sample|sample\s*\()",
    "a limit without an order": r"\blimit\s+\d+",
}  # fmt: skip

# These give the same answer twice in a row, so trying again at once shows nothing.
_BY_TIME = {"the current time", "run_started_at"}


def is_transient(message: str) -> bool:
    """Whether a message speaks of a connection, a time-out, a lock or a shortage and not of code or data."""
    return bool(_TRANSIENT.search(message))


def nondeterminism(sql: str) -> tuple[str, ...]:
    """What in a SQL text can give another answer on the same data."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", " ", sql, flags=re.DOTALL)
    found = [name for name, pattern in _NONDETERMINISTIC.items() if re.search(pattern, text, re.I)]
    if "a limit without an order" in found and re.search(r"order\s+by", text, re.I):
        found.remove("a limit without an order")
    return tuple(found)


def suspects(case: CaseFile, node: GraphNode) -> dict[str, tuple[str, ...]]:
    """The node and those of its ancestors whose SQL can give another answer on the same data, nearest first."""
    found = {}
    for unique_id in (node.unique_id, *case.graph.ancestors(node.unique_id)):
        one = case.graph.get(unique_id)
        if one is not None and one.raw_sql and one.resource_type in {"model", "test", "snapshot"}:
            reasons = nondeterminism(one.raw_sql)
            if reasons:
                found[one.name] = reasons
    return found


def investigate_transient(case: CaseFile) -> Investigation:
    """Say when it recovered and whether it comes back at the same hour."""
    record = case.record
    message_id = next((one.evidence_id for one in case.evidence if one.kind == "message"), None)
    cited = [message_id] if message_id else []
    case.claim(
        "The message speaks of the connection or of the warehouse's resources, not of the project's code or data.",
        "likely",
        *cited,
    )
    if record.recovered is not None:
        healed = f"It healed by itself in run {record.recovered.run_id} at {record.recovered.at:%Y-%m-%d %H:%M} UTC."
        case.claim(healed, "confirmed", case.add("Recovery", record.recovered.run_url, healed, "history"))
        step = "Nothing to do now. If it comes back, look at the warehouse at that hour."
    else:
        healed, step = (
            "",
            "Start the job again. If it fails a second time with this message, look at the warehouse and the connection.",
        )
    hour = f"{record.latest.happened_at:%H}:00"
    pattern = f"seen {plural(record.occurrences, 'time')}" + (
        f", last at about {hour} UTC" if record.occurrences > 1 else ""
    )
    case.add(
        "How often",
        record.latest.run_url,
        f"{pattern}; first {record.first_seen:%Y-%m-%d %H:%M}, last {record.last_seen:%Y-%m-%d %H:%M} UTC",
        "history",
    )
    return case.conclude(
        "A passing fault of the connection or the warehouse"
        + (" that healed by itself." if healed else "; the code and the data show no cause."),
        "infrastructure",
        next_step=step,
        who="whoever looks after the warehouse",
        needs_person="there is nothing in the project to change",
        confidence=0.8,
    )


def investigate_unreproduced(case: CaseFile, node: GraphNode, experiment: Experiment, first: Trial) -> Investigation:
    """The node passes now: is it flaky, dependent on time, or has it recovered?"""
    first_id = case.add(
        "Does it fail now?",
        first.command,
        f"{node.name}: {first.verdict} at {case.head[:10]} on today's data",
        "experiment",
    )
    found = suspects(case, node)
    verdicts = Counter([first.verdict])
    if found or case.record.flaky_evidence:
        for _ in range(RUNS_ON_THE_SAME_DATA - 1):
            verdicts[experiment.at(case.head).verdict] += 1
    return _flaky(case, node, found, verdicts, first_id) or _recovered(case, node, first_id)


def investigate_flaky(case: CaseFile, node: GraphNode, experiment: Experiment, first: Trial) -> Investigation | None:
    """Where the SQL can change its mind, run it again on the same data; None where it fails every time."""
    found = suspects(case, node)
    by_chance = any(reason not in _BY_TIME for reasons in found.values() for reason in reasons)
    if not found or not (by_chance or case.record.flaky_evidence):
        return None
    verdicts = Counter([first.verdict])
    for _ in range(RUNS_ON_THE_SAME_DATA):
        verdicts[experiment.at(case.head).verdict] += 1
        if len(verdicts) > 1:
            break
    mixed = verdicts[PASSES] and verdicts[FAILS]
    # The history of runs may know better than four runs at one moment.
    return _flaky(case, node, found, verdicts, None) if mixed or case.record.flaky_evidence else None


def _flaky(
    case: CaseFile, node: GraphNode, found: dict[str, tuple[str, ...]], verdicts: Counter[str], first_id: str | None
) -> Investigation | None:
    history = case.record.flaky_evidence
    mixed = verdicts[PASSES] > 0 and verdicts[FAILS] > 0
    # A load time somewhere upstream proves nothing; dice anywhere, or the time in the node itself, may be it.
    telling = any(name == node.name or not _BY_TIME.issuperset(reasons) for name, reasons in found.items())
    if not (mixed or history or telling):
        return None
    cited = [first_id] if first_id else []
    runs = ", ".join(f"{verdict} {plural(number, 'time')}" for verdict, number in verdicts.items())
    cited.append(case.add("Runs on the same data and the same commit", f"dbt build of {node.name}", runs, "experiment"))
    if history:
        cited.append(case.add("Run history", case.record.latest.run_url, history, "history"))
    if found:
        listed = "\n".join(f"{name}: {', '.join(reasons)}" for name, reasons in found.items())
        cited.append(case.add("What can change its mind in the SQL", "the models' and the test's SQL", listed, "code"))
    culprit = next(iter(found), node.name)
    reasons = ", ".join(found.get(culprit, ())) or "something that its SQL does not show"
    certainty = "confirmed" if mixed else "likely" if history else "possible"
    case.claim(
        f"{node.name} passes and fails without a change of code or data; {culprit} depends on {reasons}.",
        certainty,
        *cited,
    )
    return case.conclude(
        f"{node.name} is flaky: it depends on {reasons} ({culprit}).",
        "flaky",
        next_step=f"Make {culprit} give the same answer on the same data, then count the failures again.",
        who=case.owner_of(case.graph.get(case.record.node)) or f"the owner of {culprit}",
        needs_person=f"what {culprit} should depend on in place of {reasons} is a decision about its meaning",
        root_node=next((one.unique_id for one in case.graph.nodes.values() if one.name == culprit), None),
        confidence=0.9 if mixed else 0.7 if history else 0.45,
    )


def _recovered(case: CaseFile, node: GraphNode, first_id: str) -> Investigation:
    since = case.bench.commits(case.record.latest.git_sha, case.head) if case.record.latest.git_sha else ()
    cited = [first_id]
    if since:
        listed = "\n".join(f"{one.sha[:10]} {one.committed_at:%Y-%m-%d} {one.subject}" for one in since[:15])
        cited.append(
            case.add(
                "Commits since the failing run",
                f"git log {case.record.latest.git_sha}..{case.head[:10]}",
                listed,
                "commits",
            )
        )
    case.claim(f"{node.name} passes now on a copy of today's data.", "confirmed", *cited)
    cause = "after later commits" if since else "without a change of the code: the data was mended, or arrived late"
    return case.conclude(
        f"{node.name} does not fail any more; it passes now {cause}.",
        "code" if since else "data",
        next_step="Wait for the next run of the job: it should pass, and the issue then closes.",
        who=case.owner_of(node) or "nobody for now",
        needs_person="it passes already, so there is nothing to fix",
        confidence=0.7,
    )
