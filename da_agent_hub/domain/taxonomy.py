"""What warehouses and dbt say when something fails, as entries that a user can add to: which class, which category."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

from .error_record import Category
from .failure import FailureKind
from .message_text import plain
from .pattern_literals import required_literals
from .quotations import without_quotations

LEVELS = ("code", "sentence", "words")
"""How sure an entry is: a vendor's own code or frame, a sentence it documents, loose words. Surer ones come first."""

LONGEST_MESSAGE = 20_000
"""Characters of a message that are looked at."""

_LONGEST_PATTERN = 600
# What `{name}` of a pattern stands for: a name, dotted or not, in whatever quotes or none.
_NAME = r"(?<![\w$])[\"'`\[]{0,3}([\w$][\w$.:\"`\-]{0,200}?)[\"'`\]]{0,3}(?![\w$]|[\"`.:\-]{1,3}[\w$])"
# Letters of a pattern, but not those that mean something: of an escape or of a group's head.
_LETTERS = re.compile(r"\\.|\(\?P|[A-Z]+")
# What a message can tell to have failed; every other kind follows from the node, or from what dbt left.
_TOLD_BY_MESSAGE: Mapping[str, FailureKind] = {
    one.value: one
    for one in (
        FailureKind.CONNECTION,
        FailureKind.COMPILE,
        FailureKind.NOT_STARTED,
        FailureKind.CANCELLED,
        FailureKind.TIMED_OUT,
    )
}


class TaxonomyError(ValueError):
    """An entry or a class cannot be used; the message names it and says what to write instead."""


@dataclass(frozen=True)
class ErrorClass:
    """A kind of cause: who must act, how hard it is to mend (1 to 10), and its name in words.

    ``kind`` is what failed where a message of this class is all that a step or a run left, None where it tells nothing.
    """

    name: str
    category: Category
    complexity: int
    words: str
    kind: FailureKind | None = None


@dataclass(frozen=True)
class Entry:
    """A pattern (of lower-case text), the class it shows, how sure it is, and a real message as its test.

    The pattern's first group that took part is what the message is about, a column or a relation.
    """

    error_class: str
    level: int
    pattern: str
    example: str
    origin: str

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(self.pattern, re.MULTILINE)

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """Texts of which each match holds at least one; empty where none is known."""
        return required_literals(self.pattern)

    def found_in(self, said: str) -> re.Match[str] | None:
        """The first match. Most entries are ruled out by their literals, many times faster than by the pattern."""
        for literal in self.literals:
            if literal in said:
                return self.expression.search(said)
        return None if self.literals else self.expression.search(said)


@dataclass(frozen=True)
class Recognised:
    """An entry that a message matches, and the name the message is about where it says one."""

    entry: Entry
    about: str | None


@dataclass(frozen=True)
class Taxonomy:
    """Classes by name, and entries in the order in which they are tried."""

    classes: Mapping[str, ErrorClass]
    entries: tuple[Entry, ...]

    def recognise(self, message: str) -> Recognised | None:
        """The first entry that matches what a message says; what it only quotes counts as nothing."""
        # Twice as much, for what plain() takes away.
        text = plain(message[: 2 * LONGEST_MESSAGE])[:LONGEST_MESSAGE]
        said = _lowered(without_quotations(text))
        for entry in self.entries:
            found = entry.found_in(said)
            if found:
                group = next((index for index, value in enumerate(found.groups(), 1) if value), 0)
                return Recognised(entry, text[found.start(group) : found.end(group)] if group else None)
        return None

    def class_of(self, message: str) -> ErrorClass | None:
        """The class that a message shows; None where no entry matches."""
        found = self.recognise(message)
        return self.class_named(found.entry.error_class) if found else None

    def class_named(self, name: str) -> ErrorClass:
        """The class; one that is not known is code to be fixed."""
        return self.classes.get(name) or ErrorClass(name, Category.CODE_FIX, 4, name.replace("_", " "))

    def extended(self, document: object, origin: str) -> Taxonomy:
        """This taxonomy with a user's ``classes`` and ``entries``, which are tried before those of the same level.

        Raises:
            TaxonomyError: for the first class or entry that cannot be used.
        """
        if not isinstance(document, dict) or not set(document) <= {"classes", "entries"}:
            raise TaxonomyError(f"{origin}: write the keys classes: and entries:, nothing else")
        classes = {**self.classes, **_classes(document.get("classes") or {}, origin)}
        own = _entries(document.get("entries") or [], classes, origin)
        return Taxonomy(classes, tuple(sorted((*own, *self.entries), key=lambda entry: entry.level)))


@lru_cache(maxsize=1)
def builtin() -> Taxonomy:
    """The taxonomy that comes with the package, read at its first use."""
    import yaml  # here, because importing the domain should cost nothing

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    folder = files(__package__.rpartition(".")[0]) / "taxonomy"
    names = sorted((one.name for one in folder.iterdir() if one.name.endswith(".yaml")), key=_reading_order)
    documents = {name: yaml.load(folder.joinpath(name).read_text("utf-8"), Loader=loader) for name in names}  # noqa: S506
    classes = _classes(documents.pop("classes.yaml")["classes"], "classes.yaml")
    entries = [entry for name, one in documents.items() for entry in _entries(one["entries"], classes, name)]
    return Taxonomy(classes, tuple(sorted(entries, key=lambda entry: entry.level)))


def _reading_order(name: str) -> tuple[int, str]:
    """What dbt itself says first, what any system may say last."""
    return {"dbt.yaml": 0, "common.yaml": 2}.get(name, 1), name


def _classes(written: object, origin: str) -> dict[str, ErrorClass]:
    if not isinstance(written, dict):
        raise TaxonomyError(f"{origin}: classes must be names with a category each")
    found = {}
    for name, fields in written.items():
        where = f"{origin}: class {name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", str(name)):
            raise TaxonomyError(f"{where}: a class's name is of small letters, digits and _")
        if not isinstance(fields, dict) or not set(fields) <= {"category", "complexity", "words", "kind"}:
            raise TaxonomyError(f"{where}: write category, and where you like complexity, words and kind")
        try:
            category = Category(fields.get("category"))
        except ValueError:
            known = ", ".join(one.value for one in Category)
            raise TaxonomyError(f"{where}: category {fields.get('category')!r} is none of {known}") from None
        complexity = fields.get("complexity", 4)
        if not isinstance(complexity, int) or not 1 <= complexity <= 10:
            raise TaxonomyError(f"{where}: complexity {complexity!r} is not a whole number from 1 to 10")
        kind = fields.get("kind")
        if kind is not None and kind not in _TOLD_BY_MESSAGE:
            known = ", ".join(one.value for one in _TOLD_BY_MESSAGE.values())
            raise TaxonomyError(f"{where}: kind {kind!r} is none of {known}")
        words = str(fields.get("words") or name.replace("_", " "))
        found[name] = ErrorClass(name, category, complexity, words, _TOLD_BY_MESSAGE[kind] if kind else None)
    return found


def _entries(written: object, classes: Mapping[str, ErrorClass], origin: str) -> list[Entry]:
    if not isinstance(written, list):
        raise TaxonomyError(f"{origin}: entries must be a list")
    return [_entry(fields, classes, f"{origin}: entry {number}", origin) for number, fields in enumerate(written, 1)]


def _entry(fields: Any, classes: Mapping[str, ErrorClass], where: str, origin: str) -> Entry:
    levels = [level for level in LEVELS if isinstance(fields, dict) and level in fields]
    if len(levels) != 1 or set(fields) != {"class", "example", levels[0]}:
        raise TaxonomyError(f"{where}: write class, example, and one pattern named {', '.join(LEVELS)}")
    error_class, pattern, example = (str(fields[key]) for key in ("class", levels[0], "example"))
    if error_class not in classes:
        raise TaxonomyError(f"{where}: the class {error_class!r} is not known; add it to classes:")
    if len(pattern) > _LONGEST_PATTERN:
        raise TaxonomyError(f"{where}: the pattern is longer than {_LONGEST_PATTERN} characters; make it two entries")
    lowered = _LETTERS.sub(lambda found: found[0] if found[0][0] in "\\(" else found[0].lower(), pattern).replace(
        "{name}", _NAME
    )
    return Entry(error_class, LEVELS.index(levels[0]), lowered, example, origin)


def _lowered(text: str) -> str:
    """In lower case and of the same length, which a few letters of the world would change."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(one.lower() if one.isascii() else one for one in text)
