"""A model's SQL with its Jinja masked, so that it parses, and edits found in the tree are made in the text as it stands."""

# ruff: noqa: S608 - every query passes the workbench, which lets one SELECT through and nothing else
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
import sqlglot.errors
from sqlglot import exp

from .warehouse import dialect, quoted

MOST_STARS = 8
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_CALL = re.compile(r"\{\{-?\s*(ref|source)\s*\((?P<arguments>[^(){}]*)\)\s*-?\}\}")
_NAMES = re.compile(r"""['"]([^'"]+)['"]""")
_WITH_QUALIFY = {"duckdb", "snowflake", "bigquery", "databricks", "redshift", "clickhouse"}
_JOIN = re.compile(r"((?:\b(?:left|right|full|inner|cross)\s+)?(?:outer\s+)?\bjoin)\s+$", re.I)
_SPACE = re.compile(r"(?:\s|--[^\n]*(?=\n))*$")
_WITHOUT_TEXT = re.compile(r"\{\{-?\s*(config|set|log|print|do)\b")


@dataclass(frozen=True)
class Call:
    """A ``ref`` or ``source`` call: where it stands in the text, and the names it is called with."""

    kind: str
    names: tuple[str, ...]
    start: int
    end: int

    def names_source(self, source: str, table: str) -> bool:
        """Whether it is this source table."""
        return self.kind == "source" and self.names == (source, table)

    def names_model(self, name: str) -> bool:
        """Whether it is this model, seed or snapshot."""
        return self.kind == "ref" and bool(self.names) and self.names[-1] == name


class MaskedSql:
    """A model's raw SQL; ``tree`` is None where it does not parse even with its Jinja masked."""

    def __init__(self, raw: str, adapter_type: str) -> None:
        self.raw = raw
        self.adapter_type = adapter_type
        self.calls: dict[str, Call] = {}
        self.masked = _JINJA.sub(self._mask, raw)
        self.tree: Any = None
        try:
            self.tree = sqlglot.parse_one(self.masked, read=dialect(adapter_type))
        except sqlglot.errors.SqlglotError:
            self.tree = None

    def _mask(self, found: re.Match[str]) -> str:
        text = found.group()
        blank = re.sub(r"[^\n]", " ", text)
        if not text.startswith("{{") or _WITHOUT_TEXT.match(text):
            return blank
        name = f"j{len(self.calls)}_"
        if "\n" in text or len(text) < len(name):
            return blank
        name = name.ljust(len(text), "_")
        call = _CALL.fullmatch(text)
        kind, names = (call[1], tuple(_NAMES.findall(call["arguments"]))) if call else ("", ())
        self.calls[name] = Call(kind, names, found.start(), found.end())
        return name

    def tables(self, is_wanted: Callable[[Call], bool]) -> Iterator[tuple[exp.Table, Call]]:
        """The places in FROM and JOIN that read a wanted relation."""
        for table in self.tree.find_all(exp.Table) if self.tree is not None else ():
            call = self.calls.get(table.name)
            if call is not None and is_wanted(call):
                yield table, call

    def outputs(self) -> tuple[str, ...]:
        """The names of the columns that the model yields, as far as they stand in it; ``select *`` of a CTE is followed."""
        tree = self.tree
        for _ in range(MOST_STARS):
            if not isinstance(tree, exp.Select) or not _is_star(tree) or tree.args.get("joins"):
                break
            source = tree.args.get("from_") or tree.args.get("from")
            name = source.this.name.lower() if source is not None else ""
            tree = next((one.this for one in self.tree.find_all(exp.CTE) if name and one.alias.lower() == name), None)
        if not isinstance(tree, exp.Query):
            return ()
        return tuple(name.lower() for name in tree.named_selects if name and name != "*" and name not in self.calls)

    def made_of_alone(self, column: str) -> tuple[str, exp.Expression] | None:
        """The output that a column alone becomes, as in ``cents / 100 as amount``: its name, and how it is made."""
        for select in self.tree.find_all(exp.Select) if self.tree is not None else ():
            for item in select.expressions:
                made = item.unalias()
                read = {one.name.lower() for one in made.find_all(exp.Column)}
                plain = made.find(exp.AggFunc, exp.Window, exp.Query) is None
                if read == {column.lower()} and plain and item.alias_or_name:
                    return item.alias_or_name, made
        return None

    def join_kinds(self) -> dict[tuple[str, ...], tuple[str, int, int]]:
        """Each joined relation's kind of join (``left join``), and where those words stand in the text."""
        kinds: dict[tuple[str, ...], tuple[str, int, int]] = {}
        for wanted in self.calls.values():
            if not wanted.kind:
                continue
            passing = self._passing_names(lambda call, wanted=wanted: call.names == wanted.names)  # type: ignore[misc]
            for join in self.tree.find_all(exp.Join) if self.tree is not None else ():
                place = join.this
                if not isinstance(place, exp.Table):
                    continue
                call = self.calls.get(place.name)
                if (call is None or call.names != wanted.names) and place.name.lower() not in passing:
                    continue
                span = _span(place.this)
                written = _JOIN.search(self.masked[: span[0]]) if span else None
                if written is not None:
                    kinds[wanted.names] = (" ".join(written[1].lower().split()), written.start(1), written.end(1))
        return kinds

    def implicit_aliases(self) -> list[int]:
        """Places after expressions that are named, without AS, by a word on a later line: a comma may be missing there."""
        places = []
        for alias in self.tree.find_all(exp.Alias) if self.tree is not None else ():
            span = _span(alias.args.get("alias"))
            if span is None or not isinstance(alias.parent, exp.Select):
                continue
            before = _SPACE.sub("", self.masked[: span[0]])
            if "\n" in self.masked[len(before) : span[0]] and not re.search(r"\bas$", before, re.I):
                places.append(len(before))
        return places

    # edits: each returns the whole new text, or None where it cannot be made
    def with_column_read_as(self, is_wanted: Callable[[Call], bool], old: str, new: str) -> str | None:
        """Read ``new`` where ``old`` was read from the wanted relation, under the name that it had before.

        Only scopes that read the relation itself, or a ``select *`` of it, are touched: what later steps call the
        column stays.
        """
        if self.tree is None:
            return None
        edits: list[tuple[int, int, str]] = []
        fresh = quoted(new, self.adapter_type)
        passing = self._passing_names(is_wanted)
        for select in self.tree.find_all(exp.Select):
            read = self._names_read(select, is_wanted, passing)
            if not read:
                continue
            single = not select.args.get("joins")
            for column in _own_columns(select):
                if (call := self.calls.get(column.name)) is not None and not call.kind:
                    edits += self._named_in_macro(call, old, new)
                if column.name.lower() != old.lower():
                    continue
                qualifier = column.table.lower()
                if qualifier not in read if qualifier else not single:
                    continue
                span = _span(column.this)
                if span is None:
                    return None
                bare = column.parent is select and column.arg_key == "expressions"
                ordering = not bare and column.find_ancestor(exp.Group, exp.Order) is not None
                # GROUP BY and ORDER BY may mean the output's name, which stays: only qualified ones mean the input's.
                if ordering and not qualifier and _is_output(select, old):
                    continue
                edits.append((*span, f"{fresh} as {self.raw[span[0] : span[1]]}" if bare else fresh))
        return _edited(self.raw, edits)

    def with_column_added(self, is_wanted: Callable[[Call], bool], old: str, new: str) -> str | None:
        """Where the relation is passed on by ``select *``, give the column its old name beside it."""
        if self.tree is None:
            return None
        for table, _ in self.tables(is_wanted):
            select = table.find_ancestor(exp.Select)
            if select is not None and _is_star(select):
                place = self.masked.find("*", _start_of(select, self.masked))
                if place >= 0:
                    return f"{self.raw[: place + 1]}, {quoted(new, self.adapter_type)} as {old}{self.raw[place + 1 :]}"
        return None

    def with_one_row_a_key(
        self, is_wanted: Callable[[Call], bool], keys: Sequence[str], order: Sequence[str]
    ) -> str | None:
        """Read each key of the wanted relation once: ``qualify row_number()``, or ``distinct`` where rows are identical."""
        found = list(self.tables(is_wanted))
        if len(found) != 1 or self.adapter_type not in _WITH_QUALIFY:
            return None
        table, call = found[0]
        select = table.find_ancestor(exp.Select)
        if select is None:
            return None
        key = ", ".join(quoted(one, self.adapter_type) for one in keys)
        by = ", ".join(quoted(one, self.adapter_type) for one in order or keys)
        qualify = f"qualify row_number() over (partition by {key} order by {by}) = 1"
        reason = "-- the loader delivered some rows twice: keep one row a key"
        start, end = call.start, self._end_with_alias(table, call)
        if _is_star(select) and not any(
            select.args.get(part) for part in ("joins", "where", "group", "limit", "qualify")
        ):
            indent = _indent(self.raw, self.raw.rfind("\n", 0, start) + 1)
            if not self.raw[self.raw.rfind("\n", 0, start) + 1 : start].strip().lower().startswith(("from", "select")):
                indent = ""
            if "\n" not in self.raw[:start].rsplit("select", 1)[-1] and "\n" not in self.raw[end : end + 3]:
                return f"{self.raw[:end]} {qualify}{self.raw[end:]}"
            return f"{self.raw[:end]}\n{indent}{reason}\n{indent}{qualify}{self.raw[end:]}"
        alias = table.alias or (call.names[-1] if call.names else "unrepeated")
        text = self.raw[call.start : call.end]
        inner = f"(\n    {reason}\n    select * from {text}\n    {qualify}\n) as {alias}"
        return f"{self.raw[:start]}{inner}{self.raw[end:]}"

    def with_distinct_join(self, is_wanted: Callable[[Call], bool], columns: Sequence[str]) -> str | None:
        """Join the wanted relation's distinct values of some columns in place of all its rows."""
        found = [(table, call) for table, call in self.tables(is_wanted) if isinstance(table.parent, exp.Join)]
        if len(found) != 1:
            return None
        table, call = found[0]
        alias = table.alias or call.names[-1]
        names = ", ".join(quoted(one, self.adapter_type) for one in columns)
        text = f"(select distinct {names} from {self.raw[call.start : call.end]}) as {alias}"
        return self.raw[: call.start] + text + self.raw[self._end_with_alias(table, call) :]

    def _named_in_macro(self, call: Call, old: str, new: str) -> list[tuple[int, int, str]]:
        """A column that a macro is given by name, as in ``cents_to_dollars('amount')``."""
        named = re.compile(rf"""(?<=['"]){re.escape(old)}(?=['"])""", re.IGNORECASE)
        return [(found.start(), found.end(), new) for found in named.finditer(self.raw, call.start, call.end)]

    def _end_with_alias(self, table: exp.Table, call: Call) -> int:
        alias = table.args.get("alias")
        span = _span(alias.this) if alias is not None and isinstance(alias.this, exp.Identifier) else None
        return span[1] if span else call.end

    def _passing_names(self, is_wanted: Callable[[Call], bool]) -> set[str]:
        """CTEs that are nothing but ``select *`` of the relation, or of another such."""
        passing: set[str] = set()
        for cte in self.tree.find_all(exp.CTE) if self.tree is not None else ():
            if isinstance(cte.this, exp.Select) and _is_star(cte.this) and not cte.this.args.get("joins"):
                source = cte.this.args.get("from_") or cte.this.args.get("from")
                name = source.this.name if source is not None and isinstance(source.this, exp.Table) else ""
                call = self.calls.get(name)
                if (call is not None and is_wanted(call)) or name.lower() in passing:
                    passing.add(cte.alias.lower())
        return passing

    def _names_read(self, select: exp.Select, is_wanted: Callable[[Call], bool], passing: set[str]) -> set[str]:
        """By which names a scope calls the wanted relation."""
        names: set[str] = set()
        source = select.args.get("from_") or select.args.get("from")
        places = [source.this] if source is not None else []
        places += [join.this for join in select.args.get("joins") or ()]
        for place in places:
            if isinstance(place, exp.Table):
                call = self.calls.get(place.name)
                if (call is not None and is_wanted(call)) or place.name.lower() in passing:
                    names.add((place.alias or (call.names[-1] if call and call.names else place.name)).lower())
        return names


def _own_columns(select: exp.Select) -> Iterator[exp.Column]:
    for column in select.find_all(exp.Column):
        if column.find_ancestor(exp.Select) is select:
            yield column


def _is_output(select: exp.Select, name: str) -> bool:
    return any(one.alias_or_name.lower() == name.lower() for one in select.expressions)


def _is_star(select: exp.Select) -> bool:
    return (
        len(select.expressions) == 1 and isinstance(select.expressions[0], exp.Star) and not select.args.get("distinct")
    )


def _span(identifier: exp.Expression | None) -> tuple[int, int] | None:
    if identifier is None or "start" not in identifier.meta:
        return None
    return int(identifier.meta["start"]), int(identifier.meta["end"]) + 1


def _start_of(select: exp.Select, text: str) -> int:
    spans = [span for span in (_span(one) for one in select.find_all(exp.Identifier)) if span]
    first = min(start for start, _ in spans) if spans else len(text)
    return max(0, text.lower().rfind("select", 0, first))


def _indent(text: str, start: int) -> str:
    found = re.match(r"[ \t]*", text[start:])
    return found.group() if found else ""


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str | None:
    if not edits:
        return None
    for start, end, fresh in sorted(set(edits), reverse=True):
        text = text[:start] + fresh + text[end:]
    return text
