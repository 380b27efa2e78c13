"""What of a message tells the cause: its fixed words and the names in it, without values, ids, times and places.

A quoted text is a name or a value. The words around it decide, and where they do not, how warehouses quote: single
quotes hold values, double quotes and backticks hold names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from .dbt import GraphNode
from .message_text import plain

# Bounds that keep hostile messages cheap: what tells the cause stands at the beginning.
_LONGEST_MESSAGE = 20_000
_LONGEST_LINE = 2_000
_LONGEST_SIGNATURE_LINE = 400
_TELLING_LINES = 3
_TABLE_ROWS = 20

# Whole lines that accompany a message: headers, quoted code, places, suggestions, the warehouse's book-keeping.
_COMMENTARY = re.compile(
    r"""
    \w+[ ]error (?: [ ]in[ ][a-z_ ]+[ ]\S+[ ]\(.*\) )? :?$
    | on-run-(?:start|end)[ ]failed,[ ]error:$ | encountered[ ]an[ ]error:$ | (?:raw[ ]error|detail):$
    | compiled[ ](?:code|sql)[ ]at\b | >[ ]?(?:in|called[ ]by)\b | -->
    | line[ ]\d+: | \d+\| | file[ ]".*",[ ]line[ ]\d+ | at[ ][\w$.<>]+\(.*\)$ | \.\.\.[ ]\d+[ ]more
    | (?:candidate[ ]bindings|hint|location|code|context|query|process|conflicting[ ]commit)[ ]*:
    | did[ ]you[ ]mean\b | \(?(?:job|query)[ ]id\b
    | [\W_]*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_QUOTED_CODE = re.compile(r"== SQL ==$|== Error: Fragment|'?Project \[|\+- ", re.IGNORECASE)
_TRACEBACK = re.compile(r"traceback \(", re.IGNORECASE)
_EXCEPTION = re.compile(r"[\w.]*(?:error|exception|exit|interrupt|warning)\b", re.IGNORECASE)
_LINE_FRAME = re.compile(
    r"(?:error: |\[?dbt\d{4}\]?: |\[snowflake\] |detail: +|on-run-(?:start|end) failed, error: )+", re.I
)

_OF_A_VALUE = re.compile(
    r"\b(?:values?|string|literal|text|date|datetime|timestamp|time|interval|boolean|number|numeric|double|json|contains|"
    r"for type [\w (),]{1,40}:|out of range:)\s*:?\s*$",
    re.IGNORECASE,
)
_OF_A_TOKEN = re.compile(r"\b(?:unexpected|got|near|expected)\b[^\"']{0,20}$", re.IGNORECASE)
_OF_A_NAME = re.compile(
    r"\b(?:identifier|keyword|token|input|near|unexpected|got|expected|columns?|fields?|tables?|views?|relation|object|"
    r"schema|dataset|database|catalog|role|user|principal|warehouse|function|procedure|routine|macro|constraint|index|"
    r"rule|module|package|key|type|stage|sequence|variable|var|attribute|operator|named?|called|provided|node|model|"
    r"source|seed|snapshot|test|property|option|setting|parameter|argument|file|path|directory|bucket|partition|policy|"
    r"queue|cluster|extension)(?:\(s\))?\s*[:=]?\s*$",
    re.IGNORECASE,
)
_SAID_OF_A_NAME = re.compile(
    r"\s*(?:is undefined|is not (?:an? |defined|found)|does not exist|(?:was |were )?not found|cannot be resolved|"
    r"is disabled|is ambiguous|already exists)",
    re.IGNORECASE,
)
_SINGLE_QUOTED = re.compile(r"(?<![\w'])'((?:[^'\n]|(?<=\w)'(?=\w)|'')*)'(?!\w)")
_DOUBLE_QUOTED = re.compile(r'"([^"\n]*)"')

_PATH = re.compile(r"(?<![\w.~@=*%-])(?:[a-z][a-z0-9]{1,9}:/)?(?:[\w.~@=*%-]*[/\\])+[\w.*=%-]*", re.IGNORECASE)
_DOTTED = re.compile(r"(?<![\w.$-])(?:[\"`\[]?[\w$-]+[\"`\]]?[.:](?=[\"`\[\w$]))+[\"`\[]?[\w$-]+[\"`\]]?")
_FILES = frozenset({"csv", "sql", "py", "yml", "yaml", "json", "parquet", "duckdb", "db", "avro", "orc", "txt", "xlsx"})
_RESOURCES = frozenset(
    {"model", "source", "seed", "snapshot", "test", "unit_test", "macro", "operation", "exposure", "metric"}
)
_TEMPORARY = re.compile(r"(__dbt_(?:tmp|temp|backup))[0-9a-f_]*\b", re.IGNORECASE)
# Few digits belong to a name, as in address_line_2; six and more are a day or an id.
_STAMP = re.compile(r"(?<=[a-z_])\d{6,}(?![0-9a-z])", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?P<type>\b(?:varying|n?(?:var)?char2?|character|numeric|decimal|number|(?:var)?binary|string|float|bit|"
    r"datetime2?|time(?:stamp)?)\s?\(\d+(?:,\s?\d+)?\))"
    r"|(?<!\w)\d[\d.,:]*(?:\s?(?:[kmgtp]i?b|b|bytes|ms|s|m|h|sec(?:ond)?s?|seconds?|minutes?|hours?|days?))?(?!\w)",
    re.IGNORECASE,
)
_ID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"

_BEFORE_THE_QUOTES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (
            r"[;,(\s]{0,3}\b(?:did you mean|(?:perhaps|maybe) you meant|available (?:are|columns|fields)|candidate bindings|"
            r"accepted columns|supported signatures?|expecting one of|valid (?:values|options) are|see also|"
            r"for more information|please\b|you may need to).*$",
            "",
        ),
        (r"\bhttps?://\S+", ""),
        (r"[(;,.]{0,2}\s{0,2}\bsqlstate[:=]?\s*\w{5}\b(?:, vendor code:? \d+)?\)?", ""),
        # Where it stands in the code moves with every edit.
        (
            r"[(;,]?\s*\b(?:at )?line:? \d+(?:(?::|,? (?:at )?(?:position|pos|column|col|char(?:acter)?):? )\d+)?\)?:?",
            " ",
        ),
        (r"\bat \[\d+:\d+\]|\b(?:at )?(?:position|pos|offset) \d+\b|(?<=\.sql):\d+:\d+", ""),
        (rf"(?<![0-9a-f])_?{_ID}(?![0-9a-f]):?", ""),
        (r"\b\d{8}_\d{6}_\d{5}_\w{5}\b", ""),
        (
            r"\b(?:query|job|request|transaction|session|statement|process|operation|trace|run)[_ ]id"
            r"(?:\s*[:=]\s*|\s+)[\w.:-]*\d[\w.:-]*|\b(?:query|job|request)_id=",
            "",
        ),
        (r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+", "<address>"),
        (r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\s?(?:z|utc|[+-]\d\d:?\d\d)\b)?)?", "#"),
        (r"\b0x[0-9a-f]+\b", "#"),
        (r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", ""),
        (r"\{[^{}]*\}", "{}"),
        (r"(=|\bcontains|\bvalues? is|\bvalues?:)\s*[(\[][^)\]]*[)\]]", r"\1 <value>"),
        # DuckDB quotes a key's name together with its value.
        (r"(?<!=)\"(\w+): [^\"]*\"", r'"\1"'),
    )
)
_AFTER_THE_QUOTES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (
            r"(\bvalues?|\bcast to [\w ]{1,40}|\bfor type [\w (),]{1,40}|\bout of range)\s*:\s+"
            r".*?(?=\s(?:in|for|of) (?:column|field)\b|$)",
            r"\1: <value>",
        ),
        # These are the environment's, whatever they are called.
        (
            r"\b(schema|dataset|database|catalog)\s+(?:with name\s+)?"
            r"(?:\"[^\"]*\"|`[^`]*`(?:\.`[^`]*`)*|\[[^\]]*\]|"
            r"(?!(?:and|or|with|is|was|in|of|to|for|error|does|names?|named|that|has|have|not|on|at|the|must|which|output|"
            r"mismatch|changed?|changes|evolution|cannot|could|from|by|as|contains|already|objects?|users?|roles?|files?|"
            r"out|are|you|if)\b)[\w$][\w$:.-]*)",
            r"\1 <environment>",
        ),
    )
)
_AFTER_THE_NAMES: tuple[tuple[re.Pattern[str], str], ...] = (
    (_TEMPORARY, r"\1"),
    (_STAMP, "#"),
    (re.compile(r"#(?:[,\s]+#)+"), "#"),
    (re.compile(r"[\"`'\[\]]"), ""),
    (re.compile(r"\s+"), " "),
)


def signature(message: str, readable: Sequence[GraphNode] = ()) -> str:
    """The telling lines of a message in lower case; the signature of a signature is itself.

    ``readable`` are the nodes that the failing one reads: where two of their relations share a name, the schema tells
    which of them a message means.
    """
    text = plain(message[: 2 * _LONGEST_MESSAGE])[:_LONGEST_MESSAGE]
    for _ in range(12):
        told = _told(text, readable)
        if told == text:
            break
        text = told
    return text


def lasting_name(name: str, readable: Sequence[GraphNode] = (), *, parts: int = 1) -> str:
    """A name as it is in every environment and run: of a dotted name the last ``parts``, of a path the file."""
    bare = re.sub(r"[\"`'\[\]]", "", plain(name[:_LONGEST_LINE])).lower().strip()
    if "/" in bare or "\\" in bare:
        bare = _file(bare)
    elif parts == 1:
        bare = _relation(re.split(r"[.:]", bare), readable)
    else:
        bare = ".".join(bare.split(".")[-parts:])
    return _STAMP.sub("#", _TEMPORARY.sub(r"\1", bare))


def _told(text: str, readable: Sequence[GraphNode]) -> str:
    words: dict[str, None] = {}
    rows: dict[str, None] = {}
    for line in _telling(text):
        wanted, limit = (rows, _TABLE_ROWS) if line.startswith("|") else (words, _TELLING_LINES)
        if len(wanted) < limit and (told := _line(line, readable)):
            wanted[told] = None
    return "\n".join((*words, *rows))


def _telling(text: str) -> Iterator[str]:
    """The lines without commentary; of a traceback only the exception."""
    in_traceback = False
    for raw in text.split("\n"):
        line = raw.strip()[:_LONGEST_LINE]
        if _QUOTED_CODE.match(line):
            return
        if _TRACEBACK.match(line):
            in_traceback = True
        elif in_traceback and not _EXCEPTION.match(line):
            continue
        elif not _COMMENTARY.match(line):
            in_traceback = False
            yield line


def _line(text: str, readable: Sequence[GraphNode]) -> str:
    text = _LINE_FRAME.sub("", text, count=1) if _LINE_FRAME.match(text) else text
    for pattern, replacement in _BEFORE_THE_QUOTES:
        text = pattern.sub(replacement, text)
    text = _DOUBLE_QUOTED.sub(_double_quoted, text)
    text = _SINGLE_QUOTED.sub(_single_quoted, text)
    for pattern, replacement in _AFTER_THE_QUOTES:
        text = pattern.sub(replacement, text)
    text = _PATH.sub(lambda found: _file(found[0]), text)
    text = _DOTTED.sub(_shortened(readable), text)
    text = _NUMBER.sub(lambda found: found["type"] or "#", text)
    for pattern, replacement in _AFTER_THE_NAMES:
        text = pattern.sub(replacement, text)
    return text.strip(" .").lower()[:_LONGEST_SIGNATURE_LINE].strip(" .")


def _double_quoted(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 60) : found.start()]
    return "<value>" if _OF_A_VALUE.search(before) and not _OF_A_TOKEN.search(before) else found[0]


def _single_quoted(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 60) : found.start()]
    is_name = not _OF_A_VALUE.search(before) and (
        _OF_A_NAME.search(before) or _SAID_OF_A_NAME.match(found.string, found.end())
    )
    return f'"{found[1]}"' if is_name or _OF_A_TOKEN.search(before) else "<value>"


def _file(path: str) -> str:
    """A file by its own name and that of its folder, wherever the project was checked out."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return "/".join(parts[-2:]) if parts else path


def _shortened(readable: Sequence[GraphNode]) -> Callable[[re.Match[str]], str]:
    def short(found: re.Match[str]) -> str:
        bare = re.sub(r"[\"`\[\]]", "", found[0])
        parts = bare.split(".")
        return bare if parts[0] in _RESOURCES and len(parts) > 2 else _relation(re.split(r"[.:]", bare), readable)

    return short


def _relation(parts: Sequence[str], readable: Sequence[GraphNode]) -> str:
    """A dotted name without database and schema, which are the environment's, unless two sources need them."""
    last = parts[-1].lower()
    if last in _FILES:
        return ".".join(parts[-2:])
    called = [(node.unique_id, path) for node in readable if (path := _path_of(node)) and path[-1] == last]
    meant = [unique_id for unique_id, path in called if path[-len(parts) :] == [part.lower() for part in parts]]
    return meant[0] if len(called) > 1 and len(meant) == 1 else parts[-1]


def _path_of(node: GraphNode) -> list[str]:
    return re.sub(r"[\"`\[\]]", "", node.relation_name or "").lower().split(".")
