"""The pages: what they show, what their forms do, and what they refuse."""

from __future__ import annotations

import re

import pytest
import requests

from da_agent_hub.sandbox.github.markdown import render_markdown

from .conftest import Site
from .test_life_of_an_issue import propose


def post(site: Site, path: str, origin: str | None = None, **form: str) -> requests.Response:
    headers = {"Origin": site.root if origin is None else origin}
    return requests.post(f"{site.root}{path}", data=form, headers=headers, timeout=10)


def test_a_person_comments_labels_assigns_closes_and_reopens_on_the_page(site: Site) -> None:
    site.state.create_label("acme", "shop", "claude:fix", "1d76db")
    opened = post(site, "/acme/shop/issues", **{"as": "wren", "action": "open", "title": "By hand", "body": "b"})
    assert opened.url == f"{site.root}/acme/shop/issues/1?as=wren"
    page = "/acme/shop/issues/1"
    post(site, page, **{"as": "ana", "action": "comment", "body": "two\r\nlines"})
    post(site, page, **{"as": "ana", "action": "add-label", "label": "claude:fix"})
    post(site, page, **{"as": "ana", "action": "assign", "login": "hub[bot]"})
    post(site, page, **{"as": "ana", "action": "close", "reason": "not_planned", "body": ""})
    shown = post(site, page, **{"as": "ana", "action": "reopen"}).text
    issue = site.state.issues("acme", "shop")[0]
    assert (issue["state"], issue["labels"], issue["assignees"]) == ("open", ["claude:fix"], ["hub[bot]"])
    assert site.state.comments("acme", "shop", 1)[0]["body"] == "two\nlines"
    for words in ("added the label", "assigned hub[bot]", "closed this as not planned", "reopened this"):
        assert words in shown
    post(site, page, **{"as": "ana", "action": "unassign", "login": "hub[bot]"})
    post(site, page, **{"as": "ana", "action": "remove-label", "label": "claude:fix"})
    assert site.state.issues("acme", "shop")[0]["labels"] == []
    assert {entry.login for entry in site.state.requests(writes_only=True)} == {"ana", "wren"}


def test_a_pull_request_shows_its_diff_and_merges(site: Site) -> None:
    site.repo().create_issue("x")
    pull = propose(site, body="Fixes #1", text="select '<b>' as id\n")
    shown = requests.get(f"{site.root}/acme/shop/pull/{pull.number}", timeout=10).text
    assert "+select &#39;&lt;b&gt;&#39; as id" in shown
    assert "-select 1 as id" in shown
    assert requests.get(f"{site.root}/acme/shop/issues/{pull.number}", timeout=10).url.endswith(f"/pull/{pull.number}")
    merged = post(site, f"/acme/shop/pull/{pull.number}", **{"as": "ana", "action": "merge", "method": "merge"})
    assert "Merged" in merged.text
    assert site.repo().get_issue(1).state == "closed"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_forms_from_another_site_are_refused(site: Site, origin: str) -> None:
    site.repo().create_issue("x")
    answer = post(site, "/acme/shop/issues/1", origin, **{"as": "ana", "action": "comment", "body": "forged"})
    assert answer.status_code == 403
    assert site.state.comments("acme", "shop", 1) == []


def test_forms_to_a_foreign_host_name_are_refused(site: Site) -> None:
    site.repo().create_issue("x")
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    form = {"as": "ana", "action": "comment", "body": "forged"}
    answer = requests.post(f"{site.root}/acme/shop/issues/1", data=form, headers=headers, timeout=10)
    assert answer.status_code == 403


def test_a_page_keeps_the_rules_of_the_api(site: Site) -> None:
    site.repo().create_issue("x")
    answer = post(site, "/acme/shop/issues/1", **{"as": "eve", "action": "close"})
    assert answer.status_code == 403
    assert "Must have admin rights" in answer.text
    assert post(site, "/acme/shop/issues/1", **{"as": "nobody", "action": "comment"}).status_code == 422
    assert post(site, "/acme/shop/issues/1", **{"as": "ana", "action": "dance"}).status_code == 400


def test_words_beside_the_close_button_are_said_with_it_or_not_at_all(site: Site) -> None:
    site.repo().create_issue("x")
    page = "/acme/shop/issues/1"
    post(site, page, **{"as": "ana", "action": "close", "body": "not ours"})
    assert site.state.issues("acme", "shop")[0]["state"] == "closed"
    assert [comment["body"] for comment in site.state.comments("acme", "shop", 1)] == ["not ours"]
    post(site, page, **{"as": "eve", "action": "reopen", "body": "but I want it"})
    post(site, page, **{"as": "ana", "action": "reopen", "body": "  \n"})
    assert site.state.issues("acme", "shop")[0]["state"] == "open"
    assert len(site.state.comments("acme", "shop", 1)) == 1


def test_an_action_of_an_issue_sent_to_the_list_is_a_page_that_says_so(site: Site) -> None:
    answer = post(site, "/acme/shop/issues", **{"as": "ana", "action": "comment", "body": "x"})
    assert (answer.status_code, "page of an issue" in answer.text) == (400, True)


def test_a_refusal_says_what_is_wrong_who_may_not_and_leads_back_as_the_same_person(site: Site) -> None:
    site.repo().create_issue("x")
    refused = post(site, "/acme/shop/issues/1", **{"as": "eve", "action": "add-label", "label": "bug"})
    assert (refused.status_code, "eve may not do this here" in refused.text) == (403, True)
    assert 'href="/acme/shop/issues/1?as=eve"' in refused.text
    untitled = post(site, "/acme/shop/issues", **{"as": "ana", "action": "open", "title": " "})
    assert "title is" in untitled.text
    nameless = post(site, "/acme/shop/issues/1", **{"as": "ana", "action": "add-label", "label": ""})
    assert "name is" in nameless.text
    unknown = post(site, "/acme/shop/issues/1", **{"as": "ana", "action": "close", "reason": "because"})
    assert "state_reason is" in unknown.text


def test_untrusted_text_stays_text_and_markers_stay_hidden(site: Site) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    site.state.create_label("acme", "shop", attack[:40], "ffffff")
    repo = site.repo()
    issue = repo.create_issue(
        attack, body=f"<!-- da-agent-hub:key=1 -->\nshown\n\n{attack}\n\n[x](javascript:alert(1))"
    )
    issue.create_comment(f"{attack} <!-- hidden")
    issue.add_to_labels(attack[:40])
    for path in ("/", "/acme/shop/issues", "/acme/shop/issues/1"):
        page = requests.get(f"{site.root}{path}", timeout=10)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "da-agent-hub:key" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert 'href="javascript' not in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/acme/shop",
        "/acme/shop/issues?state=all&label=none",
        "/acme/shop/pulls",
        "/acme/shop/commits",
        "/acme/shop/commit/main",
        "/acme/shop/tree/main",
        "/acme/shop/tree/main/models",
        "/acme/shop/blob/main/models/staging/payments.sql",
        "/acme/shop/blob/claude/issue-1-fix/models/orders.sql",
        "/acme/shop/raw/main/README.md",
    ],
)
def test_every_page_opens(site: Site, path: str) -> None:
    propose(site)
    assert requests.get(f"{site.root}{path}", timeout=10).status_code == 200


def test_every_link_on_a_thread_leads_somewhere(site: Site) -> None:
    site.repo().create_issue("x", body="see #2", labels=["dbt-error"])
    pull = propose(site, body="Fixes #1")
    pull.merge()
    for path in ("/acme/shop/issues/1", f"/acme/shop/pull/{pull.number}"):
        page = requests.get(f"{site.root}{path}", timeout=10).text
        links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/[^"]*)"', page)}
        assert links
        for link in links:
            assert requests.get(f"{site.root}{link}", timeout=10).status_code == 200, link


@pytest.mark.parametrize(
    "path",
    [
        "/acme/absent/issues",
        "/acme/shop/issues/9",
        "/acme/shop/issues/nine",
        "/acme/shop/blob/main/../x",
        "/acme/shop/commit/zz",
        "/acme/shop/settings",
        "/acme",
        "/deploy/1/projects/1/runs/one/",
    ],
)
def test_what_is_not_there_is_a_page_that_says_404(site: Site, path: str) -> None:
    answer = requests.get(f"{site.root}{path}", timeout=10)
    assert (answer.status_code, "Not Found" in answer.text) == (404, True)
    assert '<a href="/">Back</a>' in answer.text


def test_a_form_posted_where_none_stands_is_refused_on_a_page(site: Site) -> None:
    answer = post(site, "/acme/shop/commits", **{"as": "ana", "action": "comment"})
    assert (answer.status_code, '<a href="/">Back</a>' in answer.text) == (405, True)


def test_markdown_knows_tables_tasks_references_and_people() -> None:
    text = (
        "| a |\n|---|\n| b |\n\n- [x] done\n\n#1 #7 @ana @zoe `#1`\n\n<details><summary>s</summary>\n\nx\n\n</details>"
    )
    html = render_markdown(text, repo_path="/acme/shop", numbers={1}, logins={"ana"})
    assert "<td>b</td>" in html
    assert '<input type="checkbox" disabled checked> done' in html
    assert '<a href="/acme/shop/issues/1">#1</a> #7 <strong>@ana</strong> @zoe <code>#1</code>' in html
    assert "<details><summary>s</summary>" in html
    assert render_markdown("![p](http://evil/x.png)", repo_path="", numbers=(), logins=()).count("<img") == 0
