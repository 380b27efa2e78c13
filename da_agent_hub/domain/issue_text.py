"""What an issue of the hub says: what broke, since when, why we think so, what it touches, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .dbt import ProjectGraph
from .error_record import Category, ErrorRecord, Priority, ProvenCategory, Sighting
from .expected_runs import NO_LONGER_SCHEDULED
from .failure import FailureKind
from .markdown import BODY_LIMIT, code, cut, escape, fenced, plain
from .marker import Heard, RecordMarker
from .redaction import redact
from .whole_run_text import TOLD_BY_THE_HUB, meaning, next_step

HUB_LABEL = "dbt-error"
CATEGORY_PREFIX = "category:"
PRIORITY_PREFIX = "priority:"

_TITLE_LIMIT = 120
_MESSAGE_LIMIT = 4_000
_SQL_LIMIT = 8_000
_NAMES = 12
_NAME_LIMIT = 200

# Those that people set are made as well, so that GitHub's menu offers them.
LABELS: dict[str, tuple[str, str]] = {
    HUB_LABEL: ("b60205", "A dbt failure that DA Agent Hub keeps track of"),
    "category:transient_failure": ("c2e0c6", "Heals by itself: flaky, time-out, lock"),
    "category:code_fix_required": ("d93f0b", "The dbt project has to change"),
    "category:data_quality_issue": ("fbca04", "The data is not what the project expects"),
    "category:infrastructure_issue": ("5319e7", "Warehouse, credentials, permissions, loads"),
    "category:false_positive": ("ededed", "Nothing to fix"),
    "priority:critical": ("b60205", "Stop and look now"),
    "priority:high": ("d93f0b", "Today"),
    "priority:medium": ("fbca04", "This week"),
    "priority:low": ("0e8a16", "When there is time"),
    "claude:investigate": ("1d76db", "Asks the hub to look for the cause"),
    "claude:fix": ("1d76db", "Asks the hub to fix it and to open a verified pull request"),
    "claude:collaborate": ("1d76db", "Asks the hub to tell what is known"),
    "false-positive": ("ededed", "A person said that there is nothing to fix: the hub stays silent"),
}

CATEGORY_WORDS = {
    Category.TRANSIENT: "transient failure",
    Category.CODE_FIX: "code fix required",
    Category.DATA_QUALITY: "data quality issue",
    Category.INFRASTRUCTURE: "infrastructure issue",
    Category.FALSE_POSITIVE: "false positive",
}

_NEXT_STEPS = {
    Category.TRANSIENT: "Nothing, unless it keeps coming back: the issue closes by itself after three good runs.",
    Category.CODE_FIX: "Look at what changed between the last good and the first bad run, and fix or revert it.",
    Category.DATA_QUALITY: "Look at the rows that the failing SQL returns, and find the load that brought them. If they are "
    "right, the expectation has to change, and that is a person's decision.",
    Category.INFRASTRUCTURE: "Check the connection, the permissions and the warehouse that the message names; the project's "
    "code is probably not the cause.",
    Category.FALSE_POSITIVE: "Nothing. Tell the hub if this is wrong.",
}

_KIND_WORDS = {
    FailureKind.SOURCE_FRESHNESS: "source freshness",
    FailureKind.UNIT_TEST: "unit test",
    FailureKind.COMPILE: "compilation",
    FailureKind.HOOK: "hook",
    FailureKind.CONNECTION: "connection",
    FailureKind.CANCELLED: "cancelled run",
    FailureKind.TIMED_OUT: "run that took too long",
    FailureKind.NOT_STARTED: "run that never started",
    FailureKind.MISSED_RUN: "run that did not happen",
    FailureKind.UNREADABLE: "run that could not be read",
    FailureKind.UNKNOWN_STATUS: "status that is not known",
    FailureKind.OTHER: "step",
}


@dataclass(frozen=True)
class IssueText:
    """Renders issues of one project; ``trigger`` is the phrase that people address the hub by.

    ``secrets`` are configured values that must not appear, and ``graph`` gives nodes the names people know.
    """

    graph: ProjectGraph | None = None
    trigger: str = "@claude"
    secrets: tuple[str, ...] = ()

    def title(self, record: ErrorRecord) -> str:
        """Short and stable: no count in it changes from day to day."""
        words = _printable(self.clean(record.title)) or _printable(f"{self._name(record.node)} fails")
        return cut_title(plain(words))

    def body(
        self, record: ErrorRecord, as_of: datetime, previous: int | None = None, heard: Heard | None = None
    ) -> str:
        """The whole body, marker last, within GitHub's limit; ``previous`` is an earlier issue's number."""
        marker = str(marker_of(record, as_of, previous, heard, self.secrets))
        parts = [
            self._opening(record, previous),
            self._facts(record),
            self._message(record),
            f"### What to do next\n\n{_next_step(record)}\n\n{self._commands(record)}".rstrip(),
            self.conversation(),
        ]
        text = "\n\n".join(part for part in parts if part)
        return f"{cut(text, BODY_LIMIT - len(marker) - 2)}\n\n{marker}"

    def changed(self, record: ErrorRecord, category: str, priority: str) -> str:
        """What the thread is told where the verdict moved; ``category`` and ``priority`` are the earlier ones."""
        parts = []
        if category_is_news(record, category):
            before = escape(category.replace("_", " "), 60)
            why = self._why(record)
            parts.append(f"The category is now **{CATEGORY_WORDS[record.category]}**, it was {before} ({why}).")
            if record.flaky_evidence:
                parts.append(f"It looks flaky: {escape(self.clean(record.flaky_evidence), 400)}")
            parts.append(_next_step(record))
        if priority != record.priority.value:
            reason = escape(self.clean(record.priority_reason), 300)
            now = self._reasoned(
                f"The priority is now **{record.priority.value}**, it was {escape(priority, 20)}", reason
            )
            parts.append(f"{now}.")
        return "\n\n".join(parts)

    def recurred(self, record: ErrorRecord, fix: int | None = None) -> str:
        """What the thread is told where a failure came back after it had recovered or was closed.

        ``fix`` is the number of the merged pull request that was to mend it.
        """
        again = record.first_bad or Sighting(record.latest.run_id, record.latest.run_url, record.last_seen)
        last = f" The last good run before was {self._sighting(record.last_good)}." if record.last_good else ""
        what = "It fails" if not _is_silence(record) else "The job is silent"
        message = fenced(self.clean(record.latest.message), "text", 1_500)
        held = f"The fix in #{fix}, which was merged, did not hold. " if fix else ""
        return f"{held}{what} again since {self._sighting(again)}.{last}\n\n{message}"

    def recovered(self, record: ErrorRecord, how: str) -> str:
        """What the thread is told where a failure is over; ``how`` is a sentence of the hub's own."""
        it_failed = "It failed" if not _is_silence(record) else "A run was missing"
        if record.recovered is None:
            return f"Recovered. {how} {it_failed} {how_often(record)}."
        since = record.first_bad.at if record.first_bad else record.first_seen
        earlier = f"{_duration(record.recovered.at - since)} earlier"
        if record.episode > 1:
            in_all = f"{it_failed[:1].lower()}{it_failed[1:]} {how_often(record)} since {when(record.first_seen)}"
            failed = f"It had come back {earlier}; in all {in_all}."
        elif record.occurrences == 1:
            failed = f"{it_failed} once, {earlier}."
        else:
            failed = f"{it_failed} {how_often(record)}, first {earlier}."
        if record.recovered.run_id == NO_LONGER_SCHEDULED:
            return f"Over since {when(record.recovered.at)}. {how} {failed}"
        return f"Recovered in {self._sighting(record.recovered)}. {how} {failed}"

    def _opening(self, record: ErrorRecord, previous: int | None) -> str:
        failure = record.latest
        kind = _KIND_WORDS.get(failure.kind, failure.kind.value)
        where = f"in project {self._code(record.project)}, environment {self._code(record.environment)}"
        if record.node:
            found = f" and found {_count(failure.failures, 'row')}" if failure.failures else ""
            opening = f"**{kind[:1].upper()}{kind[1:]} {self._code(self._name(record.node))}** fails {where}{found}."
        else:
            job = f", job {self._code(record.job_name)}" if record.job_name else ""
            opening = f"**{escape(self.clean(record.title), 300)}** {where}{job}: {meaning(record)}."
        noun = "more node" if record.node else "node"
        if others := self._some([one for one in record.members if one != record.node], noun):
            opening += f" The same cause fails {others}."
        if record.flaky_evidence:
            opening += f"\n\nIt looks flaky: {escape(self.clean(record.flaky_evidence), 400)}"
        if previous:
            opening += f"\n\nThe same failure was handled before in #{previous}."
        return opening

    def _facts(self, record: ErrorRecord) -> str:
        rows = [
            ("Failing since", self._sighting(record.first_bad) if record.first_bad else when(record.first_seen)),
            ("Last good run", self._sighting(record.last_good) if record.last_good else "none that the hub has read"),
            ("Last seen", self._last_seen(record)),
            ("Category", self._reasoned(CATEGORY_WORDS[record.category], self._why(record))),
            ("Priority", self._reasoned(record.priority.value, escape(self.clean(record.priority_reason), 300))),
            ("Impact", self._impact(record)),
            ("Skipped by it", self._some(record.skipped, "node") or ("nothing" if _names_nodes(record) else "")),
            ("Owner", self._owner(record)),
        ]
        return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows if value)

    def _last_seen(self, record: ErrorRecord) -> str:
        failure = record.latest
        last = Sighting(failure.run_id, failure.run_url, record.last_seen, failure.git_sha)
        place = f", {self._code(failure.path + (f':{failure.line}' if failure.line else ''))}" if failure.path else ""
        # A run as a whole has no step.
        step = f", step {failure.step}" if failure.step else ""
        name = f" ({self._code(record.step_name)})" if step and record.step_name and not record.node else ""
        how = "failed" if not _is_silence(record) else "missing"
        return f"{self._sighting(last)}{step}{name}{place}; {how} {how_often(record)} in all"

    def _why(self, record: ErrorRecord) -> str:
        rule = f", rule {self._code(record.rule)}" if record.rule else ""
        if record.correction:
            return f"{correction_words(record.correction)}; class {self._code(record.error_class)}{rule}"
        return f"class {self._code(record.error_class)}{rule}, confidence {record.confidence:.0%}"

    def _impact(self, record: ErrorRecord) -> str:
        models = self._some(record.downstream, "downstream node")
        if not models and not _names_nodes(record):
            models = "all that the job builds"
        exposures = self._some(record.exposures, "exposure")
        return "; ".join(part for part in (models, exposures) if part) or "nothing downstream"

    def _owner(self, record: ErrorRecord) -> str:
        if record.owner is None:
            return ""
        email = f" ({self._code(record.owner.email)})" if record.owner.email else ""
        exposure = f", of the exposure {self._code(record.owner.exposure)}" if record.owner.exposure else ""
        return f"{escape(self.clean(record.owner.name), 100)}{email}{exposure}"

    def _message(self, record: ErrorRecord) -> str:
        failure = record.latest
        heading = "What happened" if failure.kind in TOLD_BY_THE_HUB else "What dbt said"
        text = f"### {heading}\n\n{fenced(self.clean(failure.message) or '(no message)', 'text', _MESSAGE_LIMIT)}"
        if failure.compiled_sql:
            sql = fenced(self.clean(failure.compiled_sql), "sql", _SQL_LIMIT)
            text += f"\n\n<details><summary>Failing SQL</summary>\n\n{sql}\n\n</details>"
        return text

    def _commands(self, record: ErrorRecord) -> str:
        commands = []
        name = self._name(record.node)
        if record.node and re.fullmatch(rf"[\w.]{{1,{_NAME_LIMIT}}}", name):
            commands.append(f"dbt build --select {name}{'' if record.latest.kind is FailureKind.TEST else '+'}")
        good, bad = record.last_good and record.last_good.git_sha, record.first_bad and record.first_bad.git_sha
        if good and bad and good != bad and _is_sha(good) and _is_sha(bad):
            commands.append(f"git log --stat {good[:10]}..{bad[:10]}")
        return fenced("\n".join(commands), "sh") if commands else ""

    def conversation(self) -> str:
        """How to talk to the hub."""
        said = {
            "investigate": "looks for the cause again",
            "create PR": "tries to fix it and opens a verified pull request",
            "explain": "tells what is known so far",
            "close as false positive": "closes it and keeps it closed",
            "help": "lists everything that can be asked",
        }
        lines = [f"- {code(f'{self.trigger} {words}')} {meaning}" for words, meaning in said.items()]
        return (
            "### Talk to the hub\n\nPeople with write permission can comment, or set a label "
            "(`claude:investigate`, `claude:fix`):\n\n" + "\n".join(lines) + "\n\n"
            "<sub>This text is kept up to date and edits to it are replaced; comments stay.</sub>"
        )

    def _some(self, unique_ids: Sequence[str], noun: str) -> str:
        if not unique_ids:
            return ""
        names = ", ".join(code(self._name(one), 80) for one in unique_ids[:_NAMES])
        more = f" and {len(unique_ids) - _NAMES:,} more" if len(unique_ids) > _NAMES else ""
        return f"{_count(len(unique_ids), noun)}: {names}{more}"

    def _name(self, unique_id: str | None) -> str:
        if unique_id is None:
            return "the run"
        node = self.graph.get(unique_id) if self.graph else None
        if node:
            return self.clean(node.name)
        parts = unique_id.split(".")
        return self.clean(".".join(parts[2:3]) if len(parts) > 2 else unique_id)

    def _reasoned(self, what: str, why: str) -> str:
        return f"{what}: {why}" if why else what

    def run_link(self, run_id: str, url: str) -> str:
        """A link to a dbt run, or its id alone."""
        return run_link(run_id, url, self.secrets)

    def _sighting(self, sighting: Sighting) -> str:
        at = f" at {code(self.clean(sighting.git_sha)[:10])}" if sighting.git_sha else ""
        return f"{self.run_link(sighting.run_id, sighting.run_url)}, {when(sighting.at)}{at}"

    def clean(self, text: str) -> str:
        """Text without secrets."""
        return redact(text, self.secrets)

    def _code(self, text: str) -> str:
        return code(self.clean(text))


def _next_step(record: ErrorRecord) -> str:
    of_the_run = next_step(record) if record.node is None else None
    return of_the_run or _NEXT_STEPS[record.category]


def _names_nodes(record: ErrorRecord) -> bool:
    return record.node is not None or bool(record.members)


def _is_silence(record: ErrorRecord) -> bool:
    return record.latest.kind is FailureKind.MISSED_RUN


def how_often(record: ErrorRecord) -> str:
    """In how many dbt runs it failed, over all episodes: "once", "2 times"."""
    return "once" if record.occurrences == 1 else f"{record.occurrences:,} times"


def failed_since(record: ErrorRecord) -> str:
    """The end of a sentence about a record: how often it failed, since when, and where last."""
    last = run_link(record.latest.run_id, record.latest.run_url)
    failed = "failed" if not _is_silence(record) else "was noticed"
    if record.occurrences == 1:
        return f"{failed} once, in {last} at {when(record.last_seen)}"
    return f"{failed} {how_often(record)} since {when(record.first_seen)}, last in {last}"


def marker_of(
    record: ErrorRecord,
    as_of: datetime,
    previous: int | None = None,
    heard: Heard | None = None,
    secrets: Sequence[str] = (),
) -> RecordMarker:
    """What the body must remember of a record."""
    heard = heard or Heard()
    return RecordMarker(
        fingerprint=record.fingerprint,
        project=record.project,
        # Nothing reads it, and the name comes from dbt.
        environment=redact(record.environment, secrets)[:_NAME_LIMIT],
        category=record.category.value,
        priority=record.priority.value,
        state=record.state.value,
        episode=record.episode,
        occurrences=record.occurrences,
        first_seen=record.first_seen,
        last_seen=record.last_seen,
        as_of=as_of,
        previous=previous,
        noted_at=heard.at,
        heard_category=heard.category,
        heard_priority=heard.priority,
        given_category=record.correction.given.value if record.correction else "",
        culprit_sha=(record.correction.culprit_sha or "") if record.correction else "",
    )


def labels_of(record: ErrorRecord) -> tuple[str, ...]:
    """The hub's own labels of a record."""
    return (HUB_LABEL, CATEGORY_PREFIX + record.category.value, PRIORITY_PREFIX + record.priority.value)


def category_is_news(record: ErrorRecord, told: str) -> bool:
    """Whether the thread has to be told that the category is another than ``told``: the findings tell what they proved."""
    given_by_class = record.correction is not None and record.correction.given.value == told
    return record.category.value != told and not given_by_class


def correction_words(proof: ProvenCategory) -> str:
    """From what a category was corrected and why, as half a sentence."""
    return (
        f"corrected from {CATEGORY_WORDS[proof.given]}, because the cause is commit {code(_short(proof.culprit_sha))}"
    )


def correction_sentence(proof: ProvenCategory) -> str:
    """What the findings say of a category that they correct."""
    return (
        f"The category was corrected from {CATEGORY_WORDS[proof.given]} to {CATEGORY_WORDS[proof.category]}, because "
        f"the cause is commit {code(_short(proof.culprit_sha))} and not the data."
    )


def worse(priority: Priority, than: str) -> bool:
    """Whether a priority is more pressing than the one named."""
    order = [one.value for one in Priority]
    return than in order and order.index(priority.value) < order.index(than)


def cut_title(text: str) -> str:
    """A title within its length, cut at a word."""
    if len(text) <= _TITLE_LIMIT:
        return text
    return text[: _TITLE_LIMIT - 1].rsplit(" ", 1)[0] + "…"


def run_link(run_id: str, url: str, secrets: Sequence[str] = ()) -> str:
    """A link to a dbt run, or its id alone where the address is no web address or holds a secret."""
    name = f"run {escape(redact(run_id, secrets), 60)}"
    is_link = re.fullmatch(r"https?://(?:(?![()<>\"'\\`|])[!-~]){1,500}", url) and redact(url, secrets) == url
    return f"[{name}]({url})" if is_link else f"dbt {name}"


def _count(number: int | None, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number is not None else noun


def when(moment: datetime) -> str:
    """A moment to the minute, in UTC."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _duration(length: timedelta) -> str:
    minutes = max(0, int(length.total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return _count(days, "day") + (f" and {_count(hours, 'hour')}" if hours else "")
    return _count(hours, "hour") if hours else _count(minutes, "minute")


def _printable(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _short(sha: str | None) -> str:
    return redact(sha or "")[:10]


def _is_sha(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{7,64}", text) is not None
