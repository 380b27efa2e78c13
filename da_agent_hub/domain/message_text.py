"""A message as its author meant it: without what a terminal, a log or another system's line ends put into it."""

from __future__ import annotations

import re

# Colours, cursor movements and the like; the bounds keep a broken sequence from swallowing the text after it.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\))")
_SPACES = dict.fromkeys(
    map(ord, "\u00a0\u1680\u2007\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))), " "
)
_LINE_ENDS = dict.fromkeys((0x0B, 0x0C, 0x85, 0x2028, 0x2029), "\n")
_INVISIBLE = dict.fromkeys(
    (
        *(code for code in range(0x20) if chr(code) not in "\t\n\x0b\x0c"),
        *range(0x7F, 0x85),
        *range(0x86, 0xA0),
        *(0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF),
    )
)
_MEANT = {**_SPACES, **_LINE_ENDS, **_INVISIBLE}


def plain(message: str) -> str:
    """The words of a message: no terminal codes, no invisible characters, one kind of space and of line end."""
    text = _TERMINAL.sub("", message) if "\x1b" in message else message
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_MEANT)
