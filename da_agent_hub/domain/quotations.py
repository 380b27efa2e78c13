"""What a message itself says, without what it only quotes: values, names, lines of SQL and of rows."""

from __future__ import annotations

import re

# A quotation begins after a space or bracket and ends before one: an apostrophe within a word is none. ODBC and Trino
# put their own words into quotes, which are no quotation.
_QUOTED = re.compile(
    r"(?<![\w)\]}])(?:'(?!\[\w{5}\])([^'\n]{1,300})'|\"(?!\[\w{5}\])([^\"\n]{1,300})\"|`([^`\n]{1,300})`)(?!\w)"
)
_OWN_WORDS = re.compile(
    r"(?:(?:message|msg|internal error|error_?code|reason|raw error|'[MC]')[\"']?\s{0,3}[:=]\s{0,3}|^\s{0,9}\()$",
    re.IGNORECASE | re.MULTILINE,
)
# Names of nodes, and lines of SQL, of YAML and of rows that are shown with a message.
_ECHOES = re.compile(
    r"(?:^[^\n]{0,40}\b(?:error|failure|warning) in (?:[a-z_]{1,20} ){1,2}(?=\S{1,200} \()|"
    r"^\s{0,20}line \d{1,6}: |^\s{0,20}\d{1,6}\s{1,4}\||== sql(?: of [^\n]{0,80})? ?==|"
    r"\brow values:|failing row contains|original line:|^\s{0,20}detail:\s{1,2}key |compiled (?:code|sql) at)"
    r"([^\n]{1,2000})",
    re.IGNORECASE | re.MULTILINE,
)


def without_quotations(text: str) -> str:
    """The text with each quoted character replaced by ``_``: it keeps its length, so that places stay the same."""
    text = _ECHOES.sub(lambda found: _blanked(found, 1), text)
    return _QUOTED.sub(lambda found: _unless_own(found, text), text)


def _unless_own(found: re.Match[str], text: str) -> str:
    if _OWN_WORDS.search(text, max(0, found.start() - 24), found.start()):
        # Quotations may stand within; what is left of the quotes themselves does no harm.
        inner = found.group()[1:]
        return f"{found.group()[0]}{_QUOTED.sub(lambda one: _blanked(one, one.lastindex or 0), inner)}"
    return _blanked(found, found.lastindex or 0)


def _blanked(found: re.Match[str], group: int) -> str:
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    whole = found.group()
    return whole[:start] + "_" * (end - start) + whole[end:]
