"""Status codes, error bodies, headers and pages of lists, as bare HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import requests

from da_agent_hub.sandbox.github import GitHubState, create_app

from .conftest import TOKENS, Site


def test_bad_credentials_are_401_even_for_reading(site: Site) -> None:
    answer = requests.get(f"{site.root}/api/v3/user", headers={"Authorization": "token wrong"}, timeout=5)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    assert site.call("GET", "//user", None).json()["message"] == "Requires authentication"
    bearer = {"Authorization": f"Bearer {TOKENS['ana']}"}
    me = requests.get(f"{site.root}/api/v3/user", headers=bearer, timeout=5).json()
    assert (me["login"], me["type"]) == ("ana", "User")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/issues", {"title": "x"}, 201),
        ("POST", "/issues/1/comments", {"body": "x"}, 201),
        ("POST", "/issues/1/labels", {"labels": ["x"]}, 403),
        ("POST", "/issues/1/assignees", {"assignees": ["eve"]}, 403),
        ("PATCH", "/issues/1", {"state": "closed"}, 403),
        ("POST", "/labels", {"name": "x", "color": "ffffff"}, 403),
        ("POST", "/git/blobs", {"content": "x"}, 403),
        ("POST", "/git/refs", {"ref": "refs/heads/x", "sha": "0" * 40}, 403),
        ("POST", "/pulls", {"title": "x", "head": "x", "base": "main"}, 403),
    ],
)
def test_a_reader_may_talk_but_not_change(
    site: Site, method: str, path: str, body: dict[str, object], status: int
) -> None:
    site.repo().create_issue("by the hub")
    assert site.call(method, path, "eve", json=body).status_code == status
    assert site.call(method, path, None, json=body).status_code == 401


def test_a_readers_labels_and_assignees_are_dropped_in_silence(site: Site) -> None:
    created = site.call("POST", "/issues", "eve", json={"title": "x", "labels": ["a"], "assignees": ["ana"]}).json()
    assert (created["labels"], created["assignees"], created["author_association"]) == ([], [], "NONE")
    assert site.call("PATCH", "/issues/1", "eve", json={"title": "y", "labels": ["a"]}).json()["labels"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/issues/99", None, 404, "Not Found"),
        ("GET", "/nothing/here", None, 404, "Not Found"),
        ("GET", "//repos/acme/absent/issues", None, 404, "Not Found"),
        ("POST", "/issues", {}, 422, "missing_field"),
        ("POST", "/issues", {"title": "   "}, 422, "missing_field"),
        ("POST", "/issues", {"title": "t" * 257}, 422, "title is too long"),
        ("POST", "/issues", {"title": 7}, 422, "is not a string"),
        ("POST", "/issues", {"title": "t", "body": "b" * 65537}, 422, "body is too long (maximum is 65536 characters)"),
        ("POST", "/issues", {"title": "t", "assignees": ["nobody"]}, 422, '"nobody"'),
        ("POST", "/issues/1/comments", {"body": "b" * 65537}, 422, "maximum is 65536"),
        ("POST", "/issues/1/comments", {"body": " "}, 422, "can't be blank"),
        ("POST", "/issues/1/comments", [], 400, "Body should be a JSON object"),
        ("PATCH", "/issues/1", {"state": "gone"}, 422, "invalid"),
        ("POST", "/issues/1/labels", {"labels": "x"}, 422, "is not an array"),
        ("POST", "/issues/1/labels", {"labels": ["l" * 51]}, 422, "maximum is 50"),
        ("POST", "/issues/1/reactions", {"content": "shrug"}, 422, "invalid"),
        ("POST", "/labels", {"name": "x", "color": "red"}, 422, "invalid"),
        ("GET", "/issues?state=wild", None, 422, "state"),
        ("GET", "/issues?since=yesterday", None, 422, "since"),
        ("POST", "/git/refs", {"ref": "main", "sha": "0" * 40}, 422, "must start with 'refs/'"),
        ("POST", "/git/refs", {"ref": "refs/heads/a..b", "sha": "0" * 40}, 422, "not a valid ref name"),
        ("POST", "/git/trees", {"tree": [{"path": "../x", "mode": "100644", "content": ""}]}, 422, "malformed path"),
        ("POST", "/git/trees", {"tree": [{"path": ".GIT/x", "mode": "100644", "content": ""}]}, 422, "malformed path"),
        ("POST", "/git/trees", {"tree": [{"path": "x", "mode": "777", "content": ""}]}, 422, "tree.mode"),
        ("POST", "/git/commits", {"message": "m", "tree": "0" * 40}, 422, "Tree SHA does not exist"),
        ("GET", "/compare/main...absent", None, 404, "Not Found"),
        ("GET", "/contents/../secrets", None, 404, "Not Found"),
        ("GET", "/commits/--output=x", None, 422, "No commit found"),
    ],
)
def test_errors_come_with_githubs_status_and_words(
    site: Site, method: str, path: str, body: object, status: int, words: str
) -> None:
    site.repo().create_issue("first")
    answer = site.call(method, path, json=body)
    assert answer.status_code == status
    assert words in answer.text
    assert answer.json()["documentation_url"]


@pytest.mark.parametrize("path", ["/api/v3", "/api/v3/", "/api/v4/user", "/api/graphql"])
def test_an_address_of_no_api_is_githubs_404_too(site: Site, path: str) -> None:
    answer = requests.get(f"{site.root}{path}", timeout=10)
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


def test_broken_json_is_400(site: Site) -> None:
    answer = site.call("POST", "/issues", data=b"{")
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")


def test_lists_come_in_pages_with_links(site: Site) -> None:
    repo = site.repo()
    for number in range(5):
        repo.create_issue(f"issue {number}")
    first = site.call("GET", "/issues?per_page=2&state=all")
    assert [issue["number"] for issue in first.json()] == [5, 4]
    assert set(first.links) == {"next", "last"}
    second = requests.get(first.links["next"]["url"], timeout=5)
    assert [issue["number"] for issue in second.json()] == [3, 2]
    assert set(second.links) == {"next", "last", "prev", "first"}
    last = requests.get(first.links["last"]["url"], timeout=5)
    assert [issue["number"] for issue in last.json()] == [1]
    assert set(last.links) == {"prev", "first"}
    assert "state=all" in last.links["first"]["url"]
    assert [issue.number for issue in site.github("ana").get_repo("acme/shop").get_issues(direction="asc")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert "Link" not in site.call("GET", "/issues").headers


def test_an_unchanged_answer_is_304_and_free(site: Site) -> None:
    site.repo().create_issue("x")
    path = "/issues?state=all&sort=updated"
    first = site.call("GET", path)
    again = site.call("GET", path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["X-RateLimit-Remaining"] == first.headers["X-RateLimit-Remaining"]
    site.repo("ana").get_issue(1).create_comment("moved")
    assert site.call("GET", path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    single = site.call("GET", "/issues/1")
    assert single.headers["Last-Modified"].endswith("GMT")
    assert int(single.headers["X-RateLimit-Limit"]) == 5000
    assert single.headers["X-GitHub-Request-Id"]


def test_reactions_answer_201_once_and_200_after(site: Site) -> None:
    site.repo().create_issue("x").create_comment("y")
    path = "/issues/comments/" + str(site.call("GET", "/issues/1/comments").json()[0]["id"]) + "/reactions"
    assert [site.call("POST", path, json={"content": "eyes"}).status_code for _ in range(2)] == [201, 200]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 6, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.time


def test_since_and_updated_at_follow_comments_labels_and_assignments_and_never_go_back(site: Site) -> None:
    clock = Clock()
    state = site.state
    state._clock = clock
    repo = site.repo()
    moves = {
        1: lambda issue: issue.create_comment("moved"),
        2: lambda issue: issue.add_to_labels("moved"),
        3: lambda issue: issue.add_to_assignees("ana"),
        4: lambda issue: issue.edit(body="moved"),
        5: lambda issue: None,
    }
    for number in moves:
        repo.create_issue(f"issue {number}")
    clock.time += timedelta(hours=1)
    for number, move in moves.items():
        move(repo.get_issue(number))
    since = clock.time
    found = [issue.number for issue in repo.get_issues(state="all", since=since, sort="updated", direction="asc")]
    assert found == [1, 2, 3, 4]
    assert [comment.body for comment in repo.get_issues_comments(since=since)] == ["moved"]
    clock.time -= timedelta(hours=3)
    repo.get_issue(1).create_comment("from a clock that went back")
    assert repo.get_issue(1).updated_at == since
    assert site.call("GET", "/issues/1").json()["updated_at"] == "2026-11-22T07:00:00Z"


def test_the_issue_list_filters_as_github_does(site: Site) -> None:
    repo = site.repo()
    repo.create_issue("a", labels=["dbt-error", "x"], assignees=["ana"])
    repo.create_issue("b", labels=["dbt-error"])
    repo.create_issue("c").edit(state="closed")

    def numbers(query: str) -> list[int]:
        return [issue["number"] for issue in site.call("GET", f"/issues?{query}").json()]

    assert numbers("") == [2, 1]
    assert numbers("state=closed") == [3]
    assert numbers("labels=dbt-error,x") == [1]
    assert numbers("assignee=ana") == [1]
    assert numbers("assignee=none&state=all&direction=asc") == [2, 3]
    assert numbers("creator=ana") == []


def test_an_issue_carries_the_fields_that_github_has(site: Site) -> None:
    site.repo().create_issue("a", labels=["x"], assignees=["ana"]).edit(state="closed")
    issue = site.call("GET", "/issues/1").json()
    assert issue["url"] == f"{site.root}/api/v3/repos/acme/shop/issues/1"
    assert issue["html_url"] == f"{site.root}/acme/shop/issues/1"
    assert issue["user"].items() >= {"login": "hub[bot]", "type": "Bot"}.items()
    assert issue["labels"][0].keys() >= {"id", "name", "color", "description", "url"}
    assert issue["closed_by"]["login"] == "hub[bot]"
    assert issue["state_reason"] == "completed"
    assert issue["node_id"]
    assert "pull_request" not in issue
    events = site.call("GET", "/issues/events").json()
    assert [(event["event"], event["issue"]["number"]) for event in events] == [
        ("closed", 1),
        ("assigned", 1),
        ("labeled", 1),
    ]


def test_a_private_repository_is_not_found_by_strangers(site: Site) -> None:
    site.state.create_repo("acme", "secret", private=True)
    site.state.grant("acme", "secret", "ana", "read")
    assert site.call("GET", "//repos/acme/secret", "ana").status_code == 200
    for stranger in ("eve", None):
        assert site.call("GET", "//repos/acme/secret", stranger).status_code == 404
    assert requests.get(f"{site.root}/acme/secret/issues", timeout=5).status_code == 404


def test_an_empty_repository_says_so(site: Site) -> None:
    site.state.create_repo("acme", "empty")
    assert site.call("GET", "//repos/acme/empty/commits").status_code == 409
    assert site.call("GET", "//repos/acme/empty/branches").json() == []
    assert requests.get(f"{site.root}/acme/empty/commits", timeout=5).status_code == 200


def test_addresses_follow_the_base_url_where_one_is_given(site: Site) -> None:
    from starlette.testclient import TestClient

    app = create_app(GitHubState(site.state.home), base_url="http://127.0.0.1:9/")
    assert TestClient(app).get("/api/v3/repos/acme/shop").json()["html_url"] == "http://127.0.0.1:9/acme/shop"


def test_reads_of_an_absent_repository_and_writes_to_an_absent_issue_are_404(site: Site) -> None:
    for path in ("assignees", "assignees/ana", "assignees/nobody", "labels", "pulls", "issues/1/timeline"):
        assert site.call("GET", f"//repos/acme/absent/{path}").status_code == 404
    assert site.call("POST", "//repos/acme/absent/issues", json={"title": "x"}).status_code == 404
    for path in ("labels", "assignees", "comments"):
        body = {"labels": ["x"], "assignees": ["ana"], "body": "x"}
        assert site.call("POST", f"/issues/9/{path}", json=body).status_code == 404
