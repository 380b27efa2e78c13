"""The part of a dbt.log that the last invocation of dbt wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ..domain.step_log import last_lines, logged_errors

# dbt.log is appended to; each invocation begins with a line of its own, and of dbt 1.5 and later ends with one.
_BEGINS = re.compile(r"^=+ (?:\d{4}-\d\d-\d\d )?(\d\d:\d\d:\d\d(?:\.\d+)?) \| ([0-9a-f-]{36}) =+\s*$", re.MULTILINE)
# It says the program as it was called: `dbt build`, `cli build`, `python -m dbt.cli.main build`.
_ENDS = re.compile(r"Command `(?:\S+ -m )?\S*(?:dbt|cli|main)(?:\.\w+)* ([a-z][a-z -]*?)` (?:failed|succeeded) at ")


@dataclass(frozen=True)
class DbtLog:
    """``written_at`` is when the file was last written to; ``text`` begins after the invocation's first line."""

    invocation_id: str | None
    text: str
    written_at: datetime

    @cached_property
    def tells_of_an_error(self) -> bool:
        """Whether dbt said that the command, or a node of it, failed."""
        return bool(logged_errors(self.text))

    @property
    def is_closed(self) -> bool:
        """Whether dbt wrote its last line: a command that still runs, or was killed, has not."""
        return _ENDS.search(self.text) is not None

    @property
    def command(self) -> str | None:
        """What was run, such as ``build`` or ``source freshness``, where the log says."""
        found = _ENDS.search(self.text)
        return found[1] if found else None

    @property
    def end(self) -> str:
        """The last lines, for a run of which nothing else tells."""
        return last_lines(self.text)


def read_log(content: bytes, written_at: datetime) -> DbtLog:
    """The last invocation in a dbt.log, or in the end of one."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    begins = list(_BEGINS.finditer(text))
    last = begins[-1] if begins else None
    return DbtLog(last[2] if last else None, text[last.end() :] if last else text, written_at)
