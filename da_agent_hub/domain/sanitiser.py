"""One cleaning for every text that comes in from others: what a person cannot see on the page, no reader gets."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

# zero width, bidi controls, joiners, fillers, variation selectors, the tag block, control characters: all unseen
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff\u0000-\u0008\u000b-\u001f\u007f-\u009f]"
)
_COMMENT_END = re.compile(r"--!?>")
_DECLARATION = re.compile(r"<(?:!--|![A-Za-z>\[]|\?)")
_TAG_START = re.compile(r"<(?P<slash>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)")
_UNSEEN = frozenset(
    [
        "details",
        "script",
        "style",
        "template",
        "noscript",
        "noembed",
        "noframes",
        "iframe",
        "object",
        "svg",
        "math",
        "title",
        "head",
        "textarea",
        "xmp",
    ]
)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_BREAKING = frozenset(
    [
        "br",
        "p",
        "div",
        "li",
        "ul",
        "ol",
        "tr",
        "td",
        "th",
        "table",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "pre",
        "blockquote",
        "summary",
    ]
)
_HIDING = re.compile(
    r"(?i)\bhidden\b|display\s*:\s*none|opacity\s*:\s*0*\.?0*(?![.\d])|font-size\s*:\s*0*\.?0*(?![.\d])"
    r"|color\s*[:=]\s*['\"]?\s*(?:white|transparent|#f{3,8}\b)|position\s*:\s*(?:absolute|fixed)|text-indent\s*:\s*-"
)
_LINK_TITLE = re.compile(
    r"(?P<before>\]\((?:<[^<>\n]{0,2000}>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*))\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\))\s*(?=\))"
)
_REFERENCE = re.compile(r"(?m)^[ ]{0,3}(?:>[ ]?)*\[[^\]\n]+\]:[ \t]*\n?[ \t]*\S[^\n]*(?:\n[ \t]*[\"'(][^\n]*)?")
_TEX_COLOUR = re.compile(
    r"\\(?:color|textcolor|colorbox|fcolorbox|phantom|hphantom|vphantom|transparent|tiny)(?![A-Za-z])\s{0,20}"
    r"(?:\[[^\]]{0,200}\])?(?:\{[^{}]*\})*"
)
_MOST_ROUNDS = 20
_REFUSED = "[this text hid something in more layers than anyone needs; it was left out]"


def sanitise(text: str) -> str:
    """The text as a person sees it: decoded, composed, and without anything hidden, repeated until nothing changes.

    Text that is still changing after 20 rounds is left out whole, and a bracketed remark says so.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for _ in range(_MOST_ROUNDS):
        cleaned = _once(text)
        if cleaned == text:
            return cleaned
        text = cleaned
    return _REFUSED


def tags(text: str) -> Iterator[tuple[str, bool]]:
    """The HTML tags of a text in their order: name in lower case, and whether it closes; none out of a comment."""
    at = 0
    while (start := text.find("<", at)) >= 0:
        if _DECLARATION.match(text, start):
            at = _end_of_declaration(text, start)
        elif (tag := _TAG_START.match(text, start)) and (end := _end_of_tag(text, tag.end())) > 0:
            yield tag["name"].lower(), bool(tag["slash"])
            at = end
        else:
            at = start + 1


def _once(text: str) -> str:
    text = unicodedata.normalize("NFKC", html.unescape(text))
    text = _without_markup(_INVISIBLE.sub("", text))
    text = _LINK_TITLE.sub(r"\g<before>", text)
    text = _REFERENCE.sub("", text)
    return _TEX_COLOUR.sub("", text)


def _without_markup(text: str) -> str:
    """Comments and tags go, and with a tag that hides its content that content; the seen text between tags stays."""
    seen: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        seen.append(text[at:start])
        if _DECLARATION.match(text, start):
            at = _end_of_declaration(text, start)
        elif (tag := _TAG_START.match(text, start)) and (end := _end_of_tag(text, tag.end())) > 0:
            name = tag["name"].lower()
            hides = not tag["slash"] and (name in _UNSEEN or _HIDING.search(text, tag.end(), end) is not None)
            at = _end_of_element(text, name, end) if hides and name not in _VOID else end
            if name in _BREAKING:
                seen.append("\n")
        else:
            seen.append("<")
            at = start + 1
    return "".join(seen) + text[at:]


def _end_of_declaration(text: str, start: int) -> int:
    """Where a comment ends; browsers end one at ``-->`` and ``--!>``, and an unterminated one hides all that follows."""
    if text.startswith("<!--", start):
        for short in ("<!-->", "<!--->"):
            if text.startswith(short, start):
                return start + len(short)
        end = _COMMENT_END.search(text, start + 4)
        return end.end() if end else len(text)
    end_of_it = text.find(">", start)
    return end_of_it + 1 if end_of_it > 0 else len(text)


def _end_of_tag(text: str, at: int) -> int:
    """Where a tag ends, outside its quoted attributes; at its first ``>`` where a quote stays open; -1 for no tag."""
    first = at = text.find(">", start := at)
    while at >= 0:
        opened = _open_quote(text[start:at])
        if not opened:
            return at + 1
        closing = text.find(opened, at)
        if closing < 0:
            return first + 1
        start, at = closing + 1, text.find(">", closing)
    return first + 1 if first >= 0 else -1


def _open_quote(attributes: str) -> str:
    opened = ""
    for sign in attributes:
        if sign in "\"'":
            opened = sign if not opened else "" if sign == opened else opened
    return opened


def _end_of_element(text: str, name: str, at: int) -> int:
    depth = 1
    for tag in re.compile(rf"(?i)<(/?){name}(?![A-Za-z0-9-])[^<>]*>?").finditer(text, at):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end()
    return len(text)
