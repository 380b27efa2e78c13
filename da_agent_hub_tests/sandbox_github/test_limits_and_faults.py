"""Limits as GitHub tells of them, and the faults that tests can order from the sandbox's GitHub."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
import uvicorn

from da_agent_hub.sandbox.github import GitHubState, create_app
from da_agent_hub.sandbox.github.faults import ADDRESS, Fault, Faults

from .conftest import Site


@contextmanager
def served(state: GitHubState, faults: Faults | None = None, per_hour: int | None = None) -> Iterator[Site]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(state, faults=faults, per_hour=per_hour)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    serving.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", state)
    finally:
        server.should_exit = True
        serving.join(10)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def faulty(site: Site, faults: Faults) -> Iterator[Site]:
    site.repo().create_issue("first")
    with served(site.state, faults) as second:
        yield second


def titles(site: Site) -> list[str]:
    return [one["title"] for one in site.state.issues("acme", "shop")]


def test_a_limit_that_is_used_up_refuses_with_its_reset_and_unchanged_answers_do_not_use_it_up(site: Site) -> None:
    site.repo().create_issue("x")
    with served(site.state, per_hour=3) as limited:
        first = limited.call("GET", "/issues/1")
        for _ in range(5):
            known = {"If-None-Match": first.headers["ETag"]}
            assert limited.call("GET", "/issues/1", headers=known).status_code == 304
        assert limited.call("GET", "//rate_limit").json()["rate"]["remaining"] == 2
        assert [limited.call("GET", "/issues/1").status_code for _ in range(2)] == [200, 200]

        refused = limited.call("GET", "/issues/1")

        assert refused.status_code == 403
        assert "API rate limit exceeded" in refused.json()["message"]
        assert refused.json()["documentation_url"].endswith("rate-limits-for-the-rest-api")
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert time.time() < int(refused.headers["X-RateLimit-Reset"]) <= time.time() + 3600
        assert limited.call("GET", "/issues/1", "ana").status_code == 200
        assert limited.call("GET", "//rate_limit").json()["resources"]["core"]["remaining"] == 0


def test_an_unchanged_answer_to_nobody_in_particular_is_counted(site: Site) -> None:
    first = site.call("GET", "/issues", None)
    again = site.call("GET", "/issues", None, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert int(again.headers["X-RateLimit-Used"]) == int(first.headers["X-RateLimit-Used"]) + 1


def test_tags_are_compared_weakly_in_lists_and_not_by_a_part_of_them(site: Site) -> None:
    tag = site.call("GET", "/labels").headers["ETag"]
    strong = tag.removeprefix("W/")

    def asked_with(header: str) -> int:
        return site.call("GET", "/labels", headers={"If-None-Match": header}).status_code

    assert [asked_with(one) for one in (tag, strong, f'"x", {tag}', "*")] == [304] * 4
    assert [asked_with(one) for one in (strong.strip('"'), f'"a{strong[1:]}', 'W/"x"')] == [200] * 3


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_limit_says_for_how_long_and_only_where_it_was_ordered(
    faulty: Site, faults: Faults, status: int
) -> None:
    faults.order(Fault("secondary_limit", method="POST", path="*/comments", seconds=7, status=status))

    assert faulty.call("GET", "/issues/1/comments").status_code == 200
    refused = faulty.call("POST", "/issues/1/comments", json={"body": "x"})

    assert (refused.status_code, refused.headers["Retry-After"]) == (status, "7")
    assert "secondary rate limit" in refused.json()["message"]
    assert faulty.call("GET", "/issues/1/comments").json() == []
    assert faulty.call("POST", "/issues/1/comments", json={"body": "x"}).status_code == 201
    assert faults.struck == [("secondary_limit", "POST /repos/acme/shop/issues/1/comments")]


def test_an_ordered_primary_limit_has_nothing_left_until_its_reset(faulty: Site, faults: Faults) -> None:
    faults.order(Fault("rate_limit", seconds=90, times=2))

    refused = [faulty.call("GET", "/issues") for _ in range(2)]

    assert {(one.status_code, one.headers["X-RateLimit-Remaining"]) for one in refused} == {(403, "0")}
    assert int(refused[0].headers["X-RateLimit-Reset"]) == pytest.approx(time.time() + 90, abs=10)
    assert faulty.call("GET", "/issues").status_code == 200


@pytest.mark.parametrize(
    ("kind", "happened"), [("bad_gateway", False), ("lost_before", False), ("lost_after", True), ("cut_body", True)]
)
def test_each_fault_of_a_write_leaves_what_it_says(faulty: Site, faults: Faults, kind: str, happened: bool) -> None:
    faults.order(Fault(kind, method="POST", seconds=0.2))

    if kind == "bad_gateway":
        assert faulty.call("POST", "/issues", json={"title": "second"}).status_code == 502
    else:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            faulty.call("POST", "/issues", json={"title": "second"})

    assert titles(faulty) == (["first", "second"] if happened else ["first"])
    assert faulty.call("POST", "/issues", json={"title": "third"}).status_code == 201


def test_a_request_that_is_lost_hangs_until_its_sender_gives_up(faulty: Site, faults: Faults) -> None:
    faults.order(Fault("lost_after", method="POST", seconds=30))
    begun = time.monotonic()

    with pytest.raises(requests.Timeout):
        requests.post(
            f"{faulty.root}/api/v3/repos/acme/shop/issues",
            json={"title": "second"},
            headers={"Authorization": "token token-of-ana"},
            timeout=0.5,
        )

    assert time.monotonic() - begun < 10
    assert titles(faulty) == ["first", "second"]


def test_faults_by_chance_are_the_same_for_the_same_seed(site: Site) -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults([Fault("bad_gateway", chance=0.4, times=None)], seed=seed)
        return [faults.next("GET", "/user") is not None for _ in range(50)]

    assert struck(1) == struck(1) != struck(2)
    assert 5 < sum(struck(1)) < 35


def test_nobody_can_order_faults_where_they_were_not_asked_for(site: Site) -> None:
    answer = requests.put(f"{site.root}{ADDRESS}", json=[{"kind": "bad_gateway"}], timeout=5)
    assert answer.status_code == 404
    assert site.call("GET", "/issues").status_code == 200
