"""What a materialization tells in Dagster: tables and links, with foreign text made harmless."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from ..domain.error_record import ErrorRecord, Priority, Sighting
from ..domain.fix_proposal import FixProposal, Verification
from ..domain.investigation import Investigation
from ..domain.issue import IssueRef
from ..domain.life_cycle import Life, median
from ..domain.markdown import code, cut, escape, fenced
from ..domain.window import Window
from .partitions import partition_page

Metadata = dict[str, dg.MetadataValue[Any]]
MOST_ROWS = 50
MOST_CHARACTERS = 20_000
PLOT_DAYS = 14
_COLUMNS = "▁▂▃▄▅▆▇█"
_PRIORITIES = [one.value for one in Priority]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], empty: str = "none") -> dg.MarkdownMetadataValue:
    """A Markdown table of cells that are already safe; the cut is marked."""
    if not rows:
        return dg.MetadataValue.md(empty)
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        lines.append(f"\n… and {len(rows) - MOST_ROWS} more")
    return dg.MetadataValue.md("\n".join(lines))


def link(text: str, url: str) -> str:
    """A Markdown link with a foreign label; a URL with another scheme than http(s) is shown as text."""
    if not url.startswith(("https://", "http://", "/")) or any(sign in url for sign in ' <>()"'):
        return escape(text, 200)
    return f"[{escape(text, 200)}]({url})"


def url_or_text(url: str) -> dg.MetadataValue[Any]:
    """A link where it is one."""
    if url.startswith(("https://", "http://")):
        return dg.MetadataValue.url(url)
    return dg.MetadataValue.text(url or "unknown")


def window_text(window: Window) -> str:
    """From when to when a reporting day lasts."""
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"


def counts(groups: Mapping[str, Iterable[str]], empty: str) -> dg.MarkdownMetadataValue:
    """One row a group, such as ``kind``, with how often each of its values is there, the most frequent first."""
    found = {group: Counter(values) for group, values in groups.items()}
    rows = [
        [group, " · ".join(f"{escape(value, 60)} **{number}**" for value, number in one.most_common(12))]
        for group, one in found.items()
        if one
    ]
    return table(("by", "how many"), rows, empty)


def record_counts(records: Sequence[ErrorRecord]) -> dg.MarkdownMetadataValue:
    """How many records there are by what they are."""
    groups = {
        "priority": sorted((record.priority.value for record in records), key=_PRIORITIES.index),
        "category": [record.category.value for record in records],
        "kind": [record.latest.kind.value for record in records],
        "class": [record.error_class for record in records],
        "state": [record.state.value for record in records],
    }
    return counts(groups, "no error records")


def plot(numbers: Mapping[str, int], what: str) -> dg.MarkdownMetadataValue:
    """A column a day, by day in order, as a picture; what is counted, the span, the highest and the last in words."""
    if not numbers:
        return dg.MetadataValue.md("nothing yet")
    days, most = list(numbers), max(numbers.values())
    text = "".join(_COLUMNS[-(-number * (len(_COLUMNS) - 1) // most) if most else 0] for number in numbers.values())
    picture = b64encode(_columns(numbers).encode()).decode()
    peak = f"most {most} on {max(days, key=lambda day: numbers[day])}, last {numbers[days[-1]]}" if most else "none"
    # Dagster's interface shows pictures of this kind in Markdown, no HTML, and of 1,000 characters only a button.
    return dg.MetadataValue.md(
        f"![{text}](data:image/svg+xml;base64,{picture})\n\n{what} a day, {days[0]} to {days[-1]}: {peak}"
    )


def _columns(numbers: Mapping[str, int]) -> str:
    """An SVG of one column a day over a base line, in colours that are seen on light and on dark."""
    most, step, height = max(numbers.values()) or 1, 20, 60
    columns = "".join(
        f"M{place * step + step // 2} {height}v-{max(2, round(number * height / most))}"
        for place, number in enumerate(numbers.values())
        if number
    )
    width = len(numbers) * step
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 2}">'
        f'<path stroke="#d9534f" stroke-width="{step - 6}" d="{columns}"/>'
        f'<path stroke="#888" d="M0 {height + 1}h{width}"/></svg>'
    )


def record_table(records: Sequence[ErrorRecord], issues: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """One row a record, the most pressing first; ``issues`` maps fingerprints to issue keys, where there are any."""
    header = ["record", "class", "category", "priority", "state", "owner", "since", "seen"]
    header += ["last good run", "newest failure", "expert", "quarantine", *(["issue"] if issues else [])]
    pressing = sorted(records, key=lambda one: (_PRIORITIES.index(one.priority.value), one.first_seen))
    rows = [
        [
            escape(record.title, 160),
            record.error_class,
            record.category.value,
            record.priority.value,
            record.state.value,
            escape(record.owner.name, 60) if record.owner else "",
            _moment((record.first_bad or record.latest_sighting).at),
            str(record.occurrences),
            run_link(record.last_good) if record.last_good else "none read",
            run_link(record.latest_sighting),
            escape(record.expert, 60),
            escape(f"until {record.quarantine.until}: {record.quarantine.reason}", 200) if record.quarantine else "",
            *([issue_link(issues.get(record.fingerprint))] if issues else []),
        ]
        for record in pressing
    ]
    return table(header, rows, "no error records")


def run_link(sighting: Sighting) -> str:
    """A dbt run with its time, linked to dbt Cloud where it has a page."""
    return f"{link(f'run {sighting.run_id}', sighting.run_url)}, {_moment(sighting.at)}"


def issue_link(key: str | None) -> str:
    """An issue's page in Dagster; nothing where there is no issue."""
    return link(key, partition_page(dg.AssetKey("github_issues"), key)) if key else ""


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def thread(issue: IssueRef, url: str, record: ErrorRecord | None, neighbours: Sequence[dg.AssetKey]) -> Metadata:
    """Where an issue comes from and where it goes on: the same on each of its materializations."""
    key = str(issue)
    found: Metadata = {"issue": url_or_text(url)}
    if record is not None:
        first, last = (Window.containing(moment).day for moment in (record.first_seen, record.last_seen))
        days = (first,) if first == last else (first, last)
        found |= {
            "project": dg.MetadataValue.text(record.project),
            "source_days": dg.MetadataValue.md(
                " to ".join(
                    link(day, partition_page(dg.AssetKey([record.project, "filed_issues"]), day)) for day in days
                )
            ),
            "dbt_run": url_or_text(record.latest.run_url),
            "node": dg.MetadataValue.text(record.node or "the whole step"),
            "category": dg.MetadataValue.text(record.category.value),
            "priority": dg.MetadataValue.text(record.priority.value),
            "fingerprint": dg.MetadataValue.text(record.fingerprint),
        }
    links = [link("/".join(asset.path), partition_page(asset, key)) for asset in neighbours]
    found["neighbours"] = dg.MetadataValue.md(" · ".join(links))
    return found


def life(found: Life) -> Metadata:
    """Where an issue is in its life, how long each part took, and why it is silent where it is."""
    told: Metadata = {
        "life": dg.MetadataValue.text(found.state.value),
        "life_since": dg.MetadataValue.text(f"{found.since or found.opened_at:%Y-%m-%d %H:%M:%S} UTC"),
        **_times(found.seconds_to_detect, found.seconds_to_respond, found.seconds_to_resolve),
    }
    if found.suppression is not None:
        why = found.suppression
        at = f" at {_moment(why.at)} UTC" if why.at else ""
        words = f": {escape(why.comment, 600)}" if why.comment else ""
        told["suppressed"] = dg.MetadataValue.md(f"{code(why.label)} by {escape(why.by or 'somebody', 60)}{at}{words}")
    return told


def median_times(lives: Sequence[Life]) -> Metadata:
    """The medians of what is known of several issues."""
    return {
        "issues_measured": dg.MetadataValue.int(len(lives)),
        **_times(
            median(one.seconds_to_detect for one in lives),
            median(one.seconds_to_respond for one in lives),
            median(one.seconds_to_resolve for one in lives),
            "median_",
        ),
    }


def _times(detect: float | None, respond: float | None, resolve: float | None, prefix: str = "") -> Metadata:
    named = {"detect": detect, "respond": respond, "resolve": resolve}
    return {
        f"{prefix}seconds_to_{what}": dg.MetadataValue.float(round(seconds, 1))
        for what, seconds in named.items()
        if seconds is not None
    }


def investigation(found: Investigation | None) -> Metadata:
    """Headline, evidence, next step and cost."""
    if found is None:
        return {"headline": dg.MetadataValue.text("not investigated")}
    findings = [[escape(one.claim, 400), one.certainty, ", ".join(one.evidence_ids)] for one in found.findings]
    evidence = [
        [escape(one.evidence_id), escape(one.title, 200), code(one.source, 200), code(one.text, 400)]
        for one in found.evidence
    ]
    return {
        "headline": dg.MetadataValue.md(escape(found.headline, 600)),
        "ending": dg.MetadataValue.text(found.ending.value),
        "investigator": dg.MetadataValue.text(found.investigator),
        "cause": dg.MetadataValue.text(found.cause_kind),
        "root_node": dg.MetadataValue.text(found.root_node or "unknown"),
        "culprit_commit": dg.MetadataValue.text(found.culprit_sha or "none"),
        "findings": table(("claim", "certainty", "evidence"), findings),
        "evidence": table(("id", "what", "how to see it again", "quoted"), evidence),
        "next_step": dg.MetadataValue.md(escape(found.next_step, 1_000) or "none"),
        "confidence": dg.MetadataValue.float(found.confidence),
        "cost_usd": dg.MetadataValue.float(found.cost_usd),
        "seconds": dg.MetadataValue.float(round(found.seconds, 2)),
    }


def fix(found: FixProposal | None) -> Metadata:
    """What became of a fix: pull request, diff and what was run on it, or the reason why there is none."""
    if found is None:
        return {"outcome": dg.MetadataValue.text("no fix was asked for")}
    told: Metadata = {
        "outcome": dg.MetadataValue.text(found.outcome.value),
        "reason": dg.MetadataValue.md(escape(found.reason, 1_500) or "none"),
    }
    if found.candidate is not None:
        told["strategy"] = dg.MetadataValue.text(found.candidate.strategy)
        told["summary"] = dg.MetadataValue.md(escape(found.candidate.summary, 1_000))
        told["risk"] = dg.MetadataValue.text(found.candidate.risk)
    if found.pull_request_url:
        told["pull_request"] = url_or_text(found.pull_request_url)
    if found.branch:
        told["branch"] = dg.MetadataValue.text(found.branch)
    if found.diff:
        told["diff"] = dg.MetadataValue.md(fenced(found.diff, "diff", MOST_CHARACTERS))
    if found.verification is not None:
        told["verification"] = _verification(found.verification)
        told["base_commit"] = dg.MetadataValue.text(found.verification.base_sha)
    return told


def sentences(found: Sequence[str]) -> dg.MarkdownMetadataValue:
    """A list of foreign sentences."""
    return dg.MetadataValue.md(cut("\n".join(f"- {escape(one, 500)}" for one in found), MOST_CHARACTERS) or "none")


def _verification(verification: Verification) -> dg.MarkdownMetadataValue:
    words = {True: "passed", False: "failed", None: "not run"}
    rows = [
        [escape(step.name), words[step.passed], code(step.command), escape(step.detail, 300), f"{step.seconds:.1f} s"]
        for step in verification.steps
    ]
    rows += [
        [f"rows of {code(one.relation)}", "", "", f"{one.before} before, {one.after} after", ""]
        for one in verification.row_counts
    ]
    return table(("what", "result", "command", "detail", "time"), rows)
