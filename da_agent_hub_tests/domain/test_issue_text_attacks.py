"""Hostile text in every field of a record: the issue that it becomes wakes nobody, links nowhere and tells no secret."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from markdown_it.token import Token

from da_agent_hub.domain.dbt import GraphNode, Owner, ProjectGraph
from da_agent_hub.domain.digest_text import DigestText
from da_agent_hub.domain.error_record import ErrorRecord, Sighting
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.issue_text import IssueText
from da_agent_hub.domain.marker import DigestMarker, Heard, RecordMarker

from .record_examples import MONDAY, failure, record
from .test_untrusted_text import GITHUB_MARKDOWN, hostile

OWN_HTML = re.compile(r"</?(?:details|summary|sub)>|<!-- da-agent-hub:(?:record|digest)=[^\n]* -->")
SECRET = "hunter-22-secret"
TEXT = IssueText(secrets=(SECRET,))


def hostile_record(text: str, **chosen: object) -> ErrorRecord:
    seen = Sighting(text, f"https://cloud.getdbt.com/{text}", MONDAY, text)
    return replace(
        record(
            "f1",
            node=text or None,
            title=text,
            error_class=text,
            rule=text,
            priority_reason=text,
            flaky_evidence=text or None,
            owner=Owner(text, text, exposure=text),
            members=(text, f"model.shop.{text}"),
            skipped=(text,),
            downstream=(text,) * 3,
            exposures=(f"exposure.shop.{text}",),
            first_bad=seen,
            last_good=seen,
            recovered=seen,
            job_name=text,
            step_name=text,
            latest=failure(
                message=text,
                compiled_sql=text,
                path=text,
                run_url=f"https://x.example/{text}",
                run_id=text,
                git_sha=text,
            ),
        ),
        environment=text,
        **chosen,  # type: ignore[arg-type]
    )


def tokens(markdown: str) -> list[Token]:
    found = []
    for token in GITHUB_MARKDOWN.parse(markdown):
        found += [token, *(token.children or [])]
    return found


def check_harmless(markdown: str) -> None:
    for token in tokens(markdown):
        if token.type in ("html_block", "html_inline"):
            assert OWN_HTML.sub("", token.content).strip() in ("", "Failing SQL"), token.content
        assert token.type != "image"
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("https://cloud.getdbt.com/", "https://x.example/"))
        if token.type == "text":
            assert not re.search(r"(?i)(?:^|[^\w])@[a-z0-9]|#\d|\bgh-\d|https?://|www\.", token.content), token.content


def all_texts(one: ErrorRecord) -> list[str]:
    digest = DigestText(TEXT)
    marker = DigestMarker(one.project, (one.fingerprint,), over=False, as_of=MONDAY)
    return [
        TEXT.body(one, MONDAY, 7, Heard(MONDAY, one.project, one.project)),
        TEXT.changed(one, one.project, one.project),
        TEXT.recurred(one, 7),
        TEXT.recovered(one, "A later run was good."),
        digest.body([one], 30, 20, marker),
    ]


def without_own_reference(text: str) -> str:
    return text.replace("#7", "7")


@given(hostile)
@settings(max_examples=60, deadline=None)
def test_no_text_of_a_record_wakes_links_or_breaks_out(text: str) -> None:
    for kind in (FailureKind.TEST, FailureKind.NOT_STARTED):
        one = hostile_record(text)
        for markdown in all_texts(replace(one, latest=replace(one.latest, kind=kind))):
            check_harmless(without_own_reference(markdown))


@given(hostile)
@settings(max_examples=60, deadline=None)
def test_the_sections_of_a_body_stay_whatever_is_in_it(text: str) -> None:
    found = tokens(TEXT.body(hostile_record(text), MONDAY))
    headings = [found[place + 1].content for place, one in enumerate(found) if one.type == "heading_open"]
    assert headings == ["What dbt said", "What to do next", "Talk to the hub"]
    assert sum(one.type == "table_open" for one in found) == 1


@given(hostile)
@settings(max_examples=60, deadline=None)
def test_a_title_wakes_nobody_and_is_one_short_line(text: str) -> None:
    title = TEXT.title(hostile_record(text))
    assert 0 < len(title) <= 256
    assert title.isprintable() or "\u2060" in title
    assert not re.search(r"(?:^|[^\w])@[A-Za-z0-9]|#\d", title)


@pytest.mark.parametrize(
    "secret", [SECRET, "ghp_" + "a1B2" * 9, "sk-ant-api03-abc_DEF-123", "dbtc_abcDEF123456", "AKIAABCDEFGHIJKLMNOP"]
)
@pytest.mark.parametrize("around", ["{}", "x {} y", "a/{}?b=1", "token={}&x"])
def test_a_secret_in_any_field_reaches_no_text(secret: str, around: str) -> None:
    one = hostile_record(around.format(secret))
    graph = ProjectGraph(
        "shop", "duckdb", nodes={one.node or "": GraphNode(one.node or "", around.format(secret), "model")}
    )
    for markdown in [*all_texts(one), TEXT.title(one), replace(TEXT, graph=graph).body(one, MONDAY)]:
        assert secret not in markdown


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["`", "|", "<", "&", "@a ", "#1 ", "\\", "x", "\U0001f600", "select\n", "[a](b)"])
def test_endless_text_everywhere_stays_within_githubs_limits(sign: str) -> None:
    one = hostile_record(sign * 20_000)
    many = replace(one, downstream=one.downstream * 4_000, members=one.members * 4_000, exposures=one.exposures * 4_000)
    for markdown in all_texts(many):
        assert len(markdown) <= 65_536
    body = TEXT.body(many, MONDAY)
    assert len(body) <= 65_536
    assert RecordMarker.read(body) is not None
    check_harmless(body)
    assert len(TEXT.title(many)) <= 256
