"""Which plain texts a pattern cannot match without, so that a fast search for them can come first."""

from __future__ import annotations

import re

_SHORTEST = 3
_GROUP = re.compile(r"\((?:\?(?::|P<\w+>|(<?[=!])))?")
# An escaped or plain character, or a set.
_ITEM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_QUANTIFIER = re.compile(r"(?:([*?]|\{0?,\d*\}|\{0\})|(\+|\{\d+(?:,\d*)?\}))?\??")
_MEANING = frozenset(".^$")


def required_literals(pattern: str) -> tuple[str, ...]:
    """Texts of which every match of a pattern holds at least one; empty where they would be too short to tell much.

    Such a pattern has to be tried. The pattern must be valid.
    """
    return _alternatives(pattern, 0)[0]


def _alternatives(pattern: str, place: int) -> tuple[tuple[str, ...], int]:
    """The texts of what stands from a place to the end of its group, and that end."""
    chosen: list[tuple[str, ...]] = []
    while True:
        required, place = _sequence(pattern, place)
        chosen.append(required)
        if pattern[place : place + 1] != "|":
            return (tuple(text for texts in chosen for text in texts) if all(chosen) else ()), place
        place += 1


def _sequence(pattern: str, place: int) -> tuple[tuple[str, ...], int]:
    """The same of one alternative: of all that it requires, what tells most."""
    required: list[tuple[str, ...]] = []
    run = ""
    while place < len(pattern) and pattern[place] not in "|)":
        group = _GROUP.match(pattern, place)
        if group:
            inner, place = _alternatives(pattern, group.end())
            letter, place = None, place + 1
        else:
            item = _ITEM.match(pattern, place)
            assert item is not None  # every character is one
            letter, place = _letter(item[0]), item.end()
        quantifier = _QUANTIFIER.match(pattern, place)
        assert quantifier is not None  # it may be empty
        place = quantifier.end()
        optional, repeated = quantifier[1], quantifier[2]
        run += letter or "" if not optional else ""
        if letter is None or optional or repeated:
            required.append((run,))
            run = ""
        if group and not optional and not group[1]:  # what a look-ahead sees need not be there
            required.append(inner)
    required.append((run,))
    best = max(required, key=lambda texts: min(map(len, texts), default=0))
    return (best if min(map(len, best), default=0) >= _SHORTEST else ()), place


def _letter(item: str) -> str | None:
    """The one character that an item stands for; None for a set, a class of characters or a place."""
    if item.startswith("\\"):
        return None if item[1].isalnum() else item[1]
    return item if len(item) == 1 and item not in _MEANING else None
