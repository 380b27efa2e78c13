"""Which output columns a change of SQL was meant to change: by the select items that read otherwise, and what uses them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from sqlglot import exp

from .masked_sql import MaskedSql

MOST_ROUNDS = 12
_MACRO = re.compile(r"\{%-?\s*macro\s+(\w+).*?\{%-?\s*endmacro\s*-?%\}", re.DOTALL)
Texts = Mapping[str, str | None]


def renewed_names(before: Texts, after: Texts, downstream: Iterable[str], adapter_type: str) -> frozenset[str]:
    """Lower-case names of columns that read otherwise in ``after``, and those that ``downstream`` texts make of them."""
    names: set[str] = set()
    macros: set[str] = set()
    for path in {*before, *after}:
        was, now = before.get(path) or "", after.get(path) or ""
        if was == now or PurePosixPath(path).suffix != ".sql":
            continue
        old, new = _items(was, adapter_type), _items(now, adapter_type)
        names |= {name for name in {*old, *new} if old.get(name) != new.get(name)}
        bodies, fresh = _macros(was), _macros(now)
        macros |= {name for name in {*bodies, *fresh} if bodies.get(name) != fresh.get(name)}
    readers = [_items(text, adapter_type) for text in downstream]
    for _ in range(MOST_ROUNDS):
        use = _uses(names, macros)
        further = {name for items in readers for name, written in items.items() if any(use(one) for one in written)}
        if further <= names:
            break
        names |= further
    return frozenset(names)


def macros_changed(before: Texts, after: Texts) -> frozenset[str]:
    """Names of macros whose text differs."""
    found: set[str] = set()
    for path in {*before, *after}:
        bodies, fresh = _macros(before.get(path) or ""), _macros(after.get(path) or "")
        found |= {name for name in {*bodies, *fresh} if bodies.get(name) != fresh.get(name)}
    return frozenset(found)


def with_callers(macros: Iterable[str], texts: Sequence[str]) -> frozenset[str]:
    """The macros and those that call them, however far."""
    found = set(macros)
    bodies = {name: body for text in texts for name, body in _macros(text).items()}
    for _ in range(MOST_ROUNDS):
        calls = call_of(found)
        further = {name for name, body in bodies.items() if calls is not None and calls.search(body)} - found
        if not further:
            break
        found |= further
    return frozenset(found)


def call_of(macros: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern for a call of any of the macros; None for none."""
    names = sorted(macros)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\s*\(") if names else None


class _uses:  # noqa: N801 - reads as a verb where it is used
    def __init__(self, names: Iterable[str], macros: Iterable[str]) -> None:
        words = sorted(names)
        self._names = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.I) if words else None
        self._calls = call_of(macros)

    def __call__(self, text: str) -> bool:
        return any(pattern is not None and pattern.search(text) for pattern in (self._names, self._calls))


def _items(raw: str, adapter_type: str) -> dict[str, frozenset[str]]:
    """Each name that any SELECT of a text gives, with what it stands for there."""
    sql = MaskedSql(raw, adapter_type)
    found: dict[str, set[str]] = {}
    for select in sql.tree.find_all(exp.Select) if sql.tree is not None else ():
        for item in select.expressions:
            name = item.alias_or_name.lower()
            if name and name != "*":
                written = (item.this if isinstance(item, exp.Alias) else item).sql()
                for mask, call in sql.calls.items():
                    written = re.sub(rf"\b{mask}\b", raw[call.start : call.end].replace("\\", " "), written, flags=re.I)
                found.setdefault(name, set()).add(written)
    return {name: frozenset(written) for name, written in found.items()}


def _macros(text: str) -> dict[str, str]:
    return {found[1]: " ".join(found.group().split()) for found in _MACRO.finditer(text)}
