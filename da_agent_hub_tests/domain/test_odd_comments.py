"""Odd and hostile comments command what their author says on GitHub's page, and nothing else."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from da_agent_hub.domain.command_parser import mentions, parse_command
from da_agent_hub_tests.domain.odd_comments import ODD_COMMENTS
from da_agent_hub_tests.domain.test_untrusted_text import hostile

# Whatever stands around it, an order stands somewhere in the text.
ordering = st.tuples(
    hostile, st.sampled_from(["@claude create PR", "@claude stop", "\n\n@claude fix\n\n"]), hostile
).map("".join)


@pytest.mark.parametrize("name", ODD_COMMENTS)
def test_a_comment_commands_what_its_author_says_on_the_page(name: str) -> None:
    text, intent = ODD_COMMENTS[name]
    start = time.perf_counter()

    command = parse_command(text)

    assert (command.intent if command else None) is intent
    assert mentions(text, "@claude") == (intent is not None)
    assert time.perf_counter() - start < 5


def test_there_are_comments_enough_of_both_kinds() -> None:
    heard = sum(intent is not None for _, intent in ODD_COMMENTS.values())

    assert len(ODD_COMMENTS) >= 100
    assert 50 <= heard <= len(ODD_COMMENTS) - 50


@given(st.text())
def test_no_text_at_all_makes_the_parser_raise(text: str) -> None:
    for around in ("{}", "@claude {}", "{} @claude create PR"):
        command = parse_command(around.replace("{}", text))
        assert command is None or command.text is not None


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


@given(ordering, st.sampled_from(["> ", ">", "   > ", "> > ", "- > "]))
def test_no_text_commands_in_a_quote(text: str, sign: str) -> None:
    first, *rest = [sign + line for line in _lines(text)]
    following = [f"  {line[2:]}" if sign.startswith("-") else line for line in rest]

    assert parse_command("\n".join([first, *following])) is None


@given(ordering, st.sampled_from("`~"), st.booleans(), st.sampled_from(["", "> ", "- "]))
def test_no_text_commands_in_a_fence_closed_or_not(text: str, sign: str, closed: bool, before: str) -> None:
    fence = sign * (max((len(run) for run in re.findall(re.escape(sign) + "+", text)), default=0) + 3)
    within = {"": "", "> ": "> ", "- ": "  "}[before]
    lines = [f"{before}{fence}", *(within + line for line in _lines(text)), *([within + fence] if closed else [])]

    assert parse_command("\n".join(lines)) is None


@given(ordering)
def test_no_text_commands_when_it_is_indented_as_code(text: str) -> None:
    assert parse_command("\n".join(f"    {line}" for line in _lines(text))) is None


@given(ordering.filter(lambda text: "--" not in text and ">" not in text))
def test_no_text_commands_in_a_comment_of_html(text: str) -> None:
    assert parse_command(f"<!--\n{text}\n-->") is None
