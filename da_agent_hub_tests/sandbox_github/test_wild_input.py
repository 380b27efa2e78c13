"""Whatever is sent, the answer is one of GitHub's, never a crash."""

from __future__ import annotations

import json

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Site

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just("\x00"), st.just("0" * 40))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "path", "sha", "mode"]), inner, max_size=3)
    ),
)
FIELDS = [
    "title", "body", "state", "state_reason", "labels", "assignees", "name", "color", "content", "encoding", "tree",
    "base_tree", "message", "parents", "author", "ref", "sha", "force", "head", "base", "draft", "merge_method", "event",
]  # fmt: skip
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6)
WRITES = [
    ("POST", "/issues"), ("PATCH", "/issues/1"), ("POST", "/issues/1/comments"), ("PUT", "/issues/1/labels"),
    ("POST", "/issues/1/assignees"), ("POST", "/issues/1/reactions"), ("POST", "/labels"), ("POST", "/git/blobs"),
    ("POST", "/git/trees"), ("POST", "/git/commits"), ("POST", "/git/refs"), ("PATCH", "/git/refs/heads/main"),
    ("POST", "/pulls"), ("PUT", "/pulls/1/merge"), ("POST", "/pulls/1/reviews"), ("DELETE", "/issues/1/labels/%00"),
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(write=st.sampled_from(WRITES), body=BODIES | VALUES)
def test_any_json_gets_an_answer(site: Site, write: tuple[str, str], body: object) -> None:
    if not site.state.issues("acme", "shop"):
        site.repo().create_issue("first")
    answer = site.call(*write, data=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, (write, body, answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/issues/99999999999999999999999", "/contents/%00", "/commits/%00", "/git/ref/%00", "/git/trees/%00",
        "/compare/%00...main", "/commits?path=%00", "/branches/%00", "/labels/%ff", "/issues?since=2026-13-45",
        "/issues?page=99999999999999999999", "/issues/1/nothing", "/contents/a%0ab",
    ],
)  # fmt: skip
def test_odd_addresses_get_an_answer(site: Site, path: str) -> None:
    assert site.call("GET", path).status_code in (200, 404, 422)
    assert site.call("HEAD", path).status_code in (200, 404, 422)


@pytest.mark.parametrize("body", [b'"\\ud800"', b"[" * 100_000, b"\xff", b'{"title": "\\ud800"}'])
def test_what_is_no_json_text_is_400(site: Site, body: bytes) -> None:
    assert site.call("POST", "/issues", data=body).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/acme/shop/issues/99999999999999999999999", "/acme/shop/blob/main/%00", "/acme/shop/commit/%00", "/%00/x/issues"],
)
def test_odd_pages_are_404(site: Site, path: str) -> None:
    assert requests.get(f"{site.root}{path}", timeout=10).status_code == 404
