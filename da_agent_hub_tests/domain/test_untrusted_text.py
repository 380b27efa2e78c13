"""Redaction, sanitising, Markdown and markers against hostile text, with fuzzing."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from da_agent_hub.domain.markdown import code, cut, escape, fenced
from da_agent_hub.domain.marker import RecordMarker, has_key, is_marked, key_marker
from da_agent_hub.domain.redaction import REDACTED, redact
from da_agent_hub.domain.sanitiser import sanitise

GITHUB_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

SIGNS = [
    "<!--", "-->", "--!>", "<!", "<", ">", "&lt;", "&amp;", "&#60;", "\u200b", "\u202e", "\U000e0041", "\ufe0f", "\u3164",
    "<details>", "</details>", "<div hidden>", "</div>", '<b style="display:none">', "</b>", "<img alt='", '"', "'", "`", "```",
    "~~~", "\n", "\n\n", "    ", "> ", "- ", "1. ", "# ", "[a](b \"t\")", "[//]: # (x)", "![", "](", ")", "@claude", "@bob",
    "#12", "GH-3", "a/b#4", "abcdef0123", "https://evil.example", "$\\color{white}{x}$", "|", "\\", "*", "_", " ", "word",
    "{", "}", "=", "\r\n", "\t", "\uff1c", "\ufe64", "\ufb01",
]  # fmt: skip
hostile = st.lists(st.one_of(st.sampled_from(SIGNS), st.text(max_size=4)), max_size=30).map("".join)


def rendered(markdown: str) -> list[str]:
    """Types of everything that Markdown makes of a text, inline parts included."""
    found = []
    for token in GITHUB_MARKDOWN.parse(markdown):
        found += [token.type, *(one.type for one in token.children or [])]
    return found


# redaction


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1B2" * 9,
        "ghs_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 9,
        "sk-ant-api03-abc_DEF-123",
        "dbtc_abcDEF123456",
        "dbtu_abcDEF123456",
        "xoxb-123456789-abcdef",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_DEF-123",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEcutshort",
    ],
)
@pytest.mark.parametrize("around", ["{}", "token {} here", "'{}'", "x={};", "({})\n"])
def test_secrets_of_a_known_shape_never_stay(secret: str, around: str) -> None:
    cleaned = redact(around.format(secret))

    assert REDACTED in cleaned
    assert not any(part in cleaned for part in secret.split())


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("postgresql://loader:p@ss:word@db.example/shop", "postgresql://loader:", "ss:word"),
        ("snowflake://u:hunter22@acc", "@acc", "hunter22"),
        ("password=hunter22 user=bob", "user=bob", "hunter22"),
        ("PASSWORD: 'hunter 22', x", ", x", "hunter 22"),
        ('{"private_key": "hunter22", "a": 1}', '"a": 1', "hunter22"),
        ("aws_secret_access_key=hunter22/+x", "aws_", "hunter22"),
        ("Authorization: Token hunter22", "Authorization: Token", "hunter22"),
        ("curl -H 'authorization: Bearer hunter.22'", "curl", "hunter.22"),
    ],
)
def test_a_secret_goes_and_what_says_where_it_stood_stays(text: str, kept: str, gone: str) -> None:
    cleaned = redact(text)

    assert kept in cleaned
    assert gone not in cleaned


@given(st.text(min_size=6, max_size=40), hostile, hostile)
def test_a_configured_secret_never_stays(secret: str, before: str, after: str) -> None:
    assert secret not in redact(before + secret + after, [secret]).replace(REDACTED, "\0")


def test_the_longer_of_two_secrets_goes_whole() -> None:
    assert redact("abcdef123456", ["abcdef", "abcdef123456"]) == REDACTED


@pytest.mark.parametrize(
    "text", ["the secret of good sleep", "select token from t", "model stg_password_resets failed"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text, ["", "abc"]) == text


# what comes in


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a<!-- hidden -->b", "ab"),
        ("a<!-- hidden --!>b", "ab"),
        ("a<!-->b", "ab"),
        ("a<!-- never closed", "a"),
        ("a&lt;!-- hidden --&gt;b", "ab"),
        ("a&amp;lt;!-- hidden --&amp;gt;b", "ab"),
        ("a\uff1c!-- hidden --\uff1eb", "ab"),
        ("a<!-<!-- x -->- hidden -->b", "ab"),
        ("ig\u200bno\u2060re", "ignore"),
        ("a\U000e0049\U000e0067b", "ab"),
        ("\u202eevil\u202c", "evil"),
        ("x\ufe0f\u3164\u180e\u061cy", "xy"),
        ("<details><summary>more</summary>hidden</details>b", "b"),
        ("<div hidden>a<div>b</div>hidden</div>c", "\nc"),
        ("<span style='display : none'>hidden</span>b", "b"),
        ('<p style="font-size:0px">hidden</p>b', "\nb"),
        ("<font color=white>hidden</font>b", "b"),
        ('<img alt="hidden" title="hidden">b', "b"),
        ("<a title='>' href=x>b</a>", "b"),
        ('[b](https://x.example "hidden")', "[b](https://x.example)"),
        ("[//]: # (hidden)", ""),
        ("[ref]: https://x.example 'hidden'\nb", "\nb"),
        (r"$\color{white}{hidden}$b", "$$b"),
        ("1 < 2 and 3 > 2, x<=y", "1 < 2 and 3 > 2, x<=y"),
        ("select a\r\nfrom b", "select a\nfrom b"),
    ],
)
def test_what_nobody_sees_is_gone_and_what_is_seen_stays(text: str, seen: str) -> None:
    assert sanitise(text) == seen


@given(hostile)
def test_sanitising_again_changes_nothing(text: str) -> None:
    once = sanitise(text)

    assert sanitise(once) == once


@given(hostile, hostile)
def test_nothing_hidden_survives(before: str, after: str) -> None:
    cleaned = sanitise(f"{before}<!--{after}")

    assert "<!--" not in cleaned
    assert not set(cleaned) & set("\u200b\u200d\u202e\u2060\u061c\u180e\u3164\ufe0f\U000e0041\ufeff")


def test_text_in_endless_layers_is_left_out_and_that_is_said() -> None:
    assert sanitise("&" + "amp;" * 60 + "lt;x") == (
        "[this text hid something in more layers than anyone needs; it was left out]"
    )


@pytest.mark.parametrize(
    "text",
    ['<a"' * 20_000, '<a "' * 20_000 + ">", "<a ' \" >" * 9_000, "<div hidden " * 6_000, "<details>" * 7_000, "](a \"" * 20_000,
     "\\color[" * 9_000, "&amp;" * 13_000, "<" * 65_000, "](" * 30_000, "[a]:" * 16_000, "<!-" * 20_000, "((" * 30_000],
)  # fmt: skip
def test_no_text_of_github_s_length_takes_long(text: str) -> None:
    start = time.perf_counter()

    sanitise(text)
    redact(text)

    assert time.perf_counter() - start < 5


# what goes out


@given(hostile)
def test_escaped_text_is_only_text(text: str) -> None:
    # A word that GitHub would take for a commit is a code span.
    plain_text = {"paragraph_open", "inline", "text", "code_inline", "paragraph_close"}
    assert set(rendered(f"Said: {escape(text)}")) <= plain_text


@given(hostile)
def test_escaped_text_stays_in_its_table_cell(text: str) -> None:
    table = rendered(f"| a | b |\n|---|---|\n| {escape(text)} | x |")

    assert table.count("td_open") == 2
    assert table.count("tr_open") == 2


@given(hostile.map(lambda text: "".join(sign for sign in text if " " <= sign <= "~" or sign == "\n")))
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    (_, inline, _) = GITHUB_MARKDOWN.parse(f"Said: {escape(text)}.")
    read = "".join(one.content for one in inline.children or []).replace("\u2060", "")

    assert read.removeprefix("Said: ").removesuffix(".").split() == text.split()


@pytest.mark.parametrize("text", ["@bob", "#12", "acme/shop#3", "GH-4", "https://evil.example", "www.evil.example"])
def test_data_wakes_nobody_and_links_nowhere(text: str) -> None:
    assert text not in escape(f"see {text} now")


def test_a_commits_id_links_nowhere_and_is_copied_whole() -> None:
    assert escape("see abcdef1 now") == "see `abcdef1` now"
    assert escape("a decade, 1234567 rows") == "a decade, 1234567 rows"


@given(hostile)
def test_no_text_closes_its_fence(text: str) -> None:
    tokens = GITHUB_MARKDOWN.parse(f"{fenced(text, 'sql')}\n\nafter")

    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[2].content == "after"


@given(hostile)
def test_a_language_cannot_leave_the_line_of_its_fence(language: str) -> None:
    assert [token.type for token in GITHUB_MARKDOWN.parse(fenced("select 1", language))] == ["fence"]


@given(hostile)
def test_no_text_ends_its_code_span(text: str) -> None:
    assert set(rendered(f"Node {code(text)} failed")) <= {
        "paragraph_open", "inline", "text", "code_inline", "paragraph_close",
    }  # fmt: skip


@given(st.text(max_size=300), st.integers(min_value=60, max_value=200))
def test_a_cut_is_within_its_limit_and_marked(text: str, limit: int) -> None:
    short = cut(text, limit)

    assert len(short) <= limit
    assert short == text if len(text) <= limit else "more characters were cut" in short


# markers


@given(hostile, hostile)
def test_a_key_is_found_again_and_no_other(key: str, other: str) -> None:
    body = f"text\n\n{key_marker(key)}"

    assert has_key(body, key)
    assert is_marked(body)
    assert has_key(body, other) == (other == key)


@given(hostile)
def test_a_key_marker_is_one_html_comment(key: str) -> None:
    marker = key_marker(key)

    assert marker.count("<!--") == marker.count("-->") == marker.count("--") // 2 == 1


NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def marker(text: str) -> RecordMarker:
    return RecordMarker(text, text, text, text, text, text, 2, 7, NOON, NOON + timedelta(days=1), NOON, previous=3)


@given(hostile)
def test_a_record_marker_says_what_was_put_in(text: str) -> None:
    assert RecordMarker.read(f"body {text}\n\n{marker(text)}") == marker(text)


@given(hostile)
def test_no_text_ends_or_forges_a_record_marker(text: str) -> None:
    written = str(marker(text))

    assert written.count("<!--") == written.count("-->") == 1
    assert "\n" not in written
    assert [token.type for token in GITHUB_MARKDOWN.parse(written)] == ["html_block"]


@given(hostile)
def test_data_before_the_marker_never_counts_as_it(text: str) -> None:
    forged = str(marker("forged"))

    assert RecordMarker.read(f"{fenced(text + forged)}\n{escape(text + forged)}\n\n{marker('real')}") == marker("real")


@pytest.mark.parametrize(
    "change", [{"as_of": "yesterday"}, {"episode": "x"}, {"as_of": None}, {"last_seen": "2026-11-22"}]
)
def test_a_broken_marker_is_no_marker(change: dict[str, object]) -> None:
    good = str(marker("f"))
    values = json.loads(good.removeprefix("<!-- da-agent-hub:record=").removesuffix(" -->")) | change

    assert RecordMarker.read(f"<!-- da-agent-hub:record={json.dumps(values)} -->") is None
    assert RecordMarker.read(good[:-20]) is None
