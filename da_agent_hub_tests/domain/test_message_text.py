"""What a terminal or another system puts into a message is not part of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from da_agent_hub.domain.message_text import plain
from da_agent_hub.domain.taxonomy import builtin


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("\x1b[31mCompilation Error\x1b[0m", "Compilation Error"),
        ("\x1b[1;38;5;208mwarn\x1b[m", "warn"),
        ("\x1b]8;;http://localhost\x07link\x1b]8;;\x07", "link"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("Invalid\u00a0column\u202fname", "Invalid column name"),
        ("\ufeffcol\u200bumn", "column"),
        ("a\tb", "a\tb"),
        ("Réchaud à gaz, 猫", "Réchaud à gaz, 猫"),
    ],
)
def test_only_the_words_of_a_message_stay(message: str, words: str) -> None:
    assert plain(message) == words


@given(st.text())
def test_what_is_plain_stays_as_it_is(message: str) -> None:
    assert plain(plain(message)) == plain(message)


def test_a_message_in_colours_and_with_other_spaces_is_recognised_as_the_plain_one_is() -> None:
    found = builtin().recognise("\x1b[31mInvalid\u00a0column\u00a0name 'cost_centre'.\x1b[0m\r\n")
    assert found is not None
    assert (found.entry.error_class, found.about) == ("missing_column", "cost_centre")
