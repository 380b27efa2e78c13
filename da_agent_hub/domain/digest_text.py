"""What a digest issue says: which failures came up together, which of them are over, and what happens to the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .error_record import ErrorRecord, RecordState
from .issue_text import CATEGORY_WORDS, IssueText, how_often, when
from .markdown import BODY_LIMIT, code, cut, escape
from .marker import DigestMarker

_MOST_CLASSES = 8
_STATES = {
    RecordState.OPEN: "fails",
    RecordState.RECOVERING: "recovering",
    RecordState.RECOVERED: "recovered",
}
_HEADER = "| failure | state | category | priority | owner | failed |\n|---|---|---|---|---|---|\n"


@dataclass(frozen=True)
class DigestText:
    """Renders digest issues of one project, in the words of its other issues."""

    text: IssueText

    def title(self, members: Sequence[ErrorRecord]) -> str:
        """Short and stable: it counts the members, which stay the same."""
        return f"{len(members):,} dbt failures of {members[0].project} came up together"

    def body(self, members: Sequence[ErrorRecord], number: int, limit: int, marker: DigestMarker) -> str:
        """The whole body, marker last, within GitHub's limit; ``number`` counts members whose record is gone too."""
        hidden = str(marker)
        states = Counter(one.state for one in members)
        gone = f", {number - len(members):,} no longer on record" if number > len(members) else ""
        classes = Counter(one.error_class for one in members).most_common(_MOST_CLASSES)
        first, last = min(one.first_seen for one in members), max(one.first_seen for one in members)
        opening = (
            f"**{number:,} new failures** of project {code(self.text.clean(marker.project))} came up together, between "
            f"{when(first)} and {when(last)}. That is more than {limit:,}, so they are told in one issue.\n\n"
            f"{states[RecordState.OPEN]:,} fail, {states[RecordState.RECOVERING]:,} are recovering, "
            f"{states[RecordState.RECOVERED]:,} have recovered{gone}.\n\n"
            f"Classes: {', '.join(f'{code(self.text.clean(name))} {count:,}' for name, count in classes)}"
        )
        closing = (
            "### What to do next\n\nSo many at once have a cause in common, most often: look at what the failures above "
            "share (a load, a warehouse, a permission, a commit), at the first of them first.\n\nThis issue closes by "
            f"itself once at most half of them, and no more than {limit:,}, still fail; each of those gets an issue of "
            "its own then. The label `false-positive` or `wontfix` silences all of them.\n\n"
            f"{self.text.conversation()}"
        )
        room = BODY_LIMIT - len(opening) - len(closing) - len(hidden) - 200
        text = f"{opening}\n\n{self._table(members, room)}\n\n{closing}"
        return f"{cut(text, BODY_LIMIT - len(hidden) - 2)}\n\n{hidden}"

    def over(self, number: int, left: int) -> str:
        """What the thread is told at the end of a storm."""
        if not left:
            return f"Recovered: none of the {number:,} failures is left."
        each = (
            "1 still fails and has an issue of its own"
            if left == 1
            else f"{left:,} still fail, each in an issue of its own"
        )
        return f"The storm is over: of {number:,} failures {each} now."

    def _table(self, members: Sequence[ErrorRecord], room: int) -> str:
        rows: list[str] = []
        for place, one in enumerate(members):
            row = self._row(one)
            room -= len(row) + 1
            if room < 0:
                rows.append(f"\n… and {len(members) - place:,} more, which Dagster shows with the day.")
                break
            rows.append(row)
        return _HEADER + "\n".join(rows)

    def _row(self, record: ErrorRecord) -> str:
        owner = escape(self.text.clean(record.owner.name), 60) if record.owner else ""
        last = self.text.run_link(record.latest.run_id, record.latest.run_url)
        cells = (
            escape(self.text.clean(record.title), 100),
            _STATES[record.state],
            CATEGORY_WORDS[record.category],
            record.priority.value,
            owner,
            f"{how_often(record)}, last in {last}",
        )
        return f"| {' | '.join(cells)} |"
