"""What a comment asks of the hub: Markdown is parsed as GitHub shows it, and only what a person sees can command."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .command import Command, Intent
from .sanitiser import sanitise, tags

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# What stands in these is somebody else's words, taken back, shown as a specimen, or not seen before it is opened.
_NOT_SAID = frozenset({"a", "blockquote", "code", "del", "details", "kbd", "pre", "q", "s", "samp", "strike", "tt"})
# A mention that something unseen or set apart cuts in two is none; it is an unseen sign, which the words lose again.
_SEAM = "\u2060"
_UNSEEN = "\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff"
_GAP = " … "
# An address, TeX and what one tilde strikes out are GitHub's own additions to CommonMark.
_ADDRESS = re.compile(r"(?i)\b(?:(?:https?|ftp|mailto|xmpp):|www\.)\S+")
_TEX = re.compile(r"\$\$[^$]*\$\$|(?<![\w$])\$(?=[^\s$])[^$\n]*(?<=[^\s$])\$(?![\w$])")
_STRUCK_OUT = re.compile(r"(?<![\w~])~(?=[^\s~])[^~\n]*(?<=[^\s~])~(?![\w~])")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]:")
# A mail that answers repeats what it answers below one of these lines, with or without signs of quotation.
_ANSWERED_MAIL = re.compile(
    r"(?mi)^[ \t]*(?:On\b[^\n]{1,200}\n?[^\n]{0,200}\bwrote:|-{2,}[ ]?(?:Original Message|Forwarded message)[ ]?-{2,}"
    r"|From:[^\n]{1,200}\n[ \t]*(?:Sent|Date|To|Subject):[^\n]*)[ \t]*$"
)
# Text that runs the other way than it is written is not what a person sees.
_TURNED = re.compile("[\u202d\u202e]")

# A command is short; what follows is its text.
_MOST_READ = 1_000

_LEAD_IN = re.compile(
    r"^(?::[a-z0-9_+-]+:|[^\w?]+|(?:please|pls|hey|hi|hello|ok|okay|now|then|and|just|kindly|could|can|would|will|you|go ahead|"
    r"let'?s|try to)\b)+"
)
_NEGATED = re.compile(
    r"\b(?:don'?t|do not|not|never|no need|without|instead of|rather than|nobody|isn'?t|won'?t|shouldn'?t|can'?t|cannot|"
    r"before|until|unless|if|no)\b(?:(?!\b(?:only|just|but)\b)[^.;!?])*$"
)
_EXPERT = re.compile(
    r"\buse\s+(?:the\s+|an?\s+)?(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*-expert|business-context|da-architect)\b"
)

# These words are commands only where they begin what is said: "why did it stop?" stops nothing.
_OPENING = (
    (Intent.STOP, re.compile(r"(?:stop|cancel|abort|halt)\b")),
    (Intent.HELP, re.compile(r"(?:help\b|commands\b|what can (?:i|we|you)\b|\?)")),
    (Intent.RETRY, re.compile(r"(?:retry|re-?run|try (?:it |this |that )?again|once more|again)\b")),
    (Intent.EXPLAIN, re.compile(r"(?:explain|describe|summari[sz]e|why|what|tell (?:me|us)|status)\b")),
    (Intent.CONVERSE, re.compile(r"(?:how|when|who|where|which|did|do|does|is|are|was|were|has|have|should|shall)\b")),
    (Intent.CREATE_PR, re.compile(r"fix(?:\s*$|\s*[.!]|\s+(?:this|it|that|the)\b)")),
)
_ANYWHERE = (
    (Intent.FALSE_POSITIVE, re.compile(r"\b(?:close|mark|label)\b[^.;!?\n]{0,40}\bfalse[ -]positive\b")),
    (
        Intent.CREATE_PR,
        re.compile(
            r"\b(?:create|make|open|raise|submit|send)\s+(?:(?:a|an|the|me|us|new|draft|fix|another)\s+){0,3}"
            r"(?:prs?\b|pull[ -]requests?\b)|\bfix\s+(?:this|it|that)\b"
        ),
    ),
    (Intent.INVESTIGATE, re.compile(r"\b(?:investigate|analy[sz]e|look\s+(?:in\s?to|at)|dig\s+into|diagnose|debug)\b")),
)


def parse_command(text: str, trigger: str = "@claude") -> Command | None:
    """The command of a comment, or None where the trigger phrase does not stand in it as a word of its own.

    Code, quotes, links, collapsed sections and HTML never command. Several mentions count as the first that asks for
    something definite. ``Command.text`` is the comment's visible text, sanitised.
    """
    seen = list(_visible(text))
    mention = _mention(trigger)
    commands = [
        _command(after, before, following)
        for paragraph, following in zip(seen, [*seen[1:], ""], strict=False)
        for before, after in _said_around(mention, paragraph)
    ]
    if not commands:
        return None
    intent, expert = next((one for one in commands if one[0] is not Intent.CONVERSE), commands[0])
    return Command(intent, sanitise("\n\n".join(seen)).strip(), expert)


def mentions(text: str, trigger: str) -> bool:
    """Whether a comment addresses the hub at all."""
    mention = _mention(trigger)
    return any(mention.search(paragraph) for paragraph in _visible(text))


@lru_cache(maxsize=8)
def _mention(trigger: str) -> re.Pattern[str]:
    # After an opening quotation mark it is named, not spoken to, and so it is before a genitive. What is unseen does not
    # end it: a longer login or an accent may follow.
    before = "(?<![\\w@/.`\"'\u201c\u201e\u2018\u00ab-])"
    after = f"(?![{_UNSEEN}]*[\\w/@\\[\u0300-\u036f-]|\\.\\w|['\u2019]\\w)"
    return re.compile(f"(?i){before}{re.escape(trigger)}{after}")


def _said_around(mention: re.Pattern[str], paragraph: str) -> Iterator[tuple[str, str]]:
    found = list(mention.finditer(paragraph))
    starts = [0, *(one.end() for one in found)]
    ends = [*(one.start() for one in found), len(paragraph)]
    around = [paragraph[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    yield from pairwise(around)


def _command(after: str, before: str, following: str) -> tuple[Intent, str | None]:
    """Intent and expert of the first that has words: what follows a mention, precedes it, or comes next."""
    said = next((words for words in (after, before, following) if re.search(r"\w", words)), after)
    said = re.sub(r"\s+", " ", sanitise(said[:_MOST_READ]).replace("\u2019", "'").lower()).strip()
    expert = _EXPERT.search(said)
    name = expert["name"] if expert and not _NEGATED.search(said[: expert.start()]) else None
    intent = _intent(_LEAD_IN.sub("", said))
    if name and intent is Intent.CONVERSE:
        intent = Intent.INVESTIGATE
    return intent, name


def _intent(said: str) -> Intent:
    for intent, opening in _OPENING:
        if opening.match(said):
            return intent
    for intent, anywhere in _ANYWHERE:
        for found in anywhere.finditer(said):
            if not _NEGATED.search(said[: found.start()]):
                return intent
    return Intent.CONVERSE


def _visible(text: str) -> Iterator[str]:
    """The paragraphs, headings, list items and cells of a comment that are the author's own words."""
    quoted = 0
    html = _Html()
    for token in _MARKDOWN.parse(text):
        if token.type in ("blockquote_open", "blockquote_close"):
            quoted += token.nesting
        elif token.type == "html_block":
            html.read(token.content)
        elif token.type == "inline" and not quoted:
            words = _own_words(token.children or [], html)
            answered = _ANSWERED_MAIL.search(words)
            words = words[: answered.start()].strip() if answered else words
            if words and not _FOOTNOTE.match(words) and not _TURNED.search(words):
                yield words
            if answered:
                return


class _Html:
    """Which of the elements that a comment opened are still open; their ends may be far from their beginnings."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def read(self, html: str) -> None:
        for name, closes in tags(html):
            if name in _NOT_SAID:
                self._open[name] = max(0, self._open[name] + (-1 if closes else 1))

    @property
    def is_said(self) -> bool:
        return not any(self._open.values())


def _own_words(tokens: list[Token], html: _Html) -> str:
    words: list[str] = []
    skipped = 0
    for token in tokens:
        if token.type in ("link_open", "s_open", "link_close", "s_close"):
            skipped += token.nesting
            words.append(_GAP)
        elif token.type == "html_inline":
            html.read(token.content)
            breaks = any(name == "br" for name, _ in tags(token.content))
            words.append(("\n" if breaks else _SEAM) if html.is_said else _GAP)
        elif skipped or not html.is_said:
            continue
        elif token.type == "text":
            words.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            words.append("\n")
        elif token.type in ("code_inline", "image"):
            # Something stands here: the words on both sides are not neighbours.
            words.append(_GAP)
        else:
            words.append(_SEAM)
    said = "".join(words)
    for unsaid in (_ADDRESS, _TEX, _STRUCK_OUT):
        said = unsaid.sub(_GAP, said)
    return said.strip(f" \n\t{_SEAM}")
