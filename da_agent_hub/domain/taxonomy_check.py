"""What an entry of the taxonomy must be before messages meet it: a valid pattern, a fast one, and one that matches."""

from __future__ import annotations

import re
import time

from .taxonomy import LONGEST_MESSAGE, Entry, Taxonomy, TaxonomyError

_SLOW_SECONDS = 0.3
_WORDS = re.compile(r"[a-z0-9_'\" ]+")


def check_entries(taxonomy: Taxonomy, origin: str) -> None:
    """Try every entry that comes from ``origin``.

    Raises:
        TaxonomyError: for the first that cannot be used, with its place, what is wrong and what to write instead.
    """
    own = [entry for entry in taxonomy.entries if entry.origin == origin]
    for entry in own:
        where = f"{origin}: the entry of {entry.error_class} with the pattern {entry.pattern[:60]!r}"
        try:
            entry.expression  # noqa: B018, it is compiled at its first use
        except (re.error, OverflowError, RecursionError) as error:
            raise TaxonomyError(f"{where}: not a regular expression ({error})") from None
        if _slowest(entry) > _SLOW_SECONDS:
            raise TaxonomyError(f"{where}: too slow on long messages; bound its repetitions, as in .{{0,80}}")
        found = taxonomy.recognise(entry.example)
        if found is None:
            raise TaxonomyError(f"{where}: its example is not matched; quoted text counts as ____")
        if found.entry is not entry:
            raise TaxonomyError(
                f"{where}: its example is matched first by an entry of {found.entry.error_class} "
                f"({found.entry.origin}); put yours at its level or a surer one"
            )


def _slowest(entry: Entry) -> float:
    """Seconds that a search takes on repeated pieces of the pattern and its example, the longest such text or less.

    Texts grow until one is slow, so that a pattern of exponential time is caught while it still ends.
    """
    pieces = {entry.example.lower(), "a", " ", "_", "0", *_WORDS.findall(entry.pattern)}
    slowest = 0.0
    for piece in sorted(pieces):
        length = 4
        while length <= LONGEST_MESSAGE:
            text = (piece * (length // len(piece) + 1))[:length] + "\x00"
            began = time.perf_counter()
            entry.expression.search(text)
            taken = time.perf_counter() - began
            slowest = max(slowest, taken)
            if taken > _SLOW_SECONDS:
                return slowest
            length += 2 if length < 64 else length
    return slowest
