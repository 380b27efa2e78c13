"""Foreign text inside the hub's own Markdown: it wakes nobody, links nowhere, loads nothing and closes no fence."""

from __future__ import annotations

import re

# GitHub's own limit on issue bodies and comments, in characters.
BODY_LIMIT = 65_536
_WORD_JOINER = "\u2060"

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()!|~$])")
_LINE_START = re.compile(r"(?m)^(\s*)([#+\-=]|\d+(?=[.)]))")
_SCHEME = re.compile(r"(?i)\b(https?|ftp|mailto|www)(:|\.)")
# GH-12, an @name, #12, owner/repo#12 and a bare commit SHA all become links or mentions.
_MENTION = re.compile(r"(?i)(@|#|\bgh-)(?=[A-Za-z0-9])")
# https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
_CI_ORDER = re.compile(r"(?i)(?<=\[)(?=(?:skip|ci|no|actions)\b)|(?<=skip-checks)(?=:)")
_SHA = re.compile(r"\b(?=[0-9]*[a-f])([0-9a-f]{7,64})\b")
_LANGUAGE = re.compile(r"[^A-Za-z0-9+-]")
_UNPRINTABLE = re.compile(r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape(text: str, limit: int = 2_000) -> str:
    """Foreign text for prose: every Markdown, HTML, mention, reference and link sign in it is only a sign.

    Newlines become spaces, so that it stays within its line, cell or list item; longer text is cut and marked.
    """
    text = cut(
        " ".join(_UNPRINTABLE.sub("", text.replace("\n", " ").replace("\r", " ").replace("\t", " ")).split()), limit
    )
    text = _SPECIAL.sub(r"\\\1", text.replace("&", "&amp;"))
    text = _LINE_START.sub(r"\1\\\2", text) if not text[:1].isdigit() else re.sub(r"^(\d+)([.)])", r"\1\\\2", text)
    text = _MENTION.sub(rf"\1{_WORD_JOINER}", text)
    # A code span links nowhere, and what is copied from it is the id.
    text = _SHA.sub(r"`\1`", text)
    return _SCHEME.sub(rf"\1{_WORD_JOINER}\2", text)


def plain(text: str, limit: int = 2_000) -> str:
    """Foreign text for a title or a commit message, which know no Markdown, on one line.

    A commit message that quotes another one must not close that one's issues when it is merged, nor skip CI.
    """
    text = cut(" ".join(_UNPRINTABLE.sub("", text.replace("\n", " ").replace("\r", " ")).split()), limit)
    return _CI_ORDER.sub(_WORD_JOINER, _MENTION.sub(rf"\1{_WORD_JOINER}", text))


def code(text: str, limit: int = 300) -> str:
    """Foreign text as an inline code span that it cannot end; newlines become spaces."""
    text = cut(" ".join(_UNPRINTABLE.sub("", text.replace("\n", " ").replace("\r", " ")).split()), limit).replace(
        "|", "¦"
    )
    if not text:
        return "` `"
    ticks = "`" * (_longest_run(text, "`") + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{padding}{text}{padding}{ticks}"


def fenced(text: str, language: str = "", limit: int = 8_000) -> str:
    """Foreign text as a fenced block that it cannot close, with a newline at neither end; the cut is marked."""
    text = _UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")).strip("\n")
    text = cut(text, limit)
    fence = "`" * max(3, _longest_run(text, "`") + 1)
    return f"{fence}{_LANGUAGE.sub('', language)[:20]}\n{text}\n{fence}"


def cut(text: str, limit: int) -> str:
    """The text, or its beginning and a remark how much was left out, within ``limit`` characters."""
    if len(text) <= limit:
        return text
    remark = f" […{len(text) - limit + 40} more characters were cut]"
    return text[: max(0, limit - len(remark))] + remark[:limit]


def _longest_run(text: str, sign: str) -> int:
    return max((len(run) for run in re.findall(re.escape(sign) + "+", text)), default=0)
