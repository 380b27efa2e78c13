"""How the GitHub adapter meets a host that stalls, cuts answers short, limits and fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.config import GitHubSettings
from da_agent_hub.domain.issue import IssueDraft, IssueRef, RepoRef
from da_agent_hub.domain.tracker_error import NotPermitted, NotThere, RateLimited, TrackerError, Unanswered

COMMENT = {
    "id": 7,
    "user": {"login": "hub", "type": "User"},
    "body": "said",
    "html_url": "https://example.com/1#7",
    "created_at": "2026-11-22T08:00:00Z",
    "updated_at": "2026-11-22T08:00:00Z",
}


class RawHost:
    """A host that gives the prepared answers in order, and the last of them for ever.

    ``asked`` are the requests, ``bodies`` what was sent with them.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        host = self

        class Answerer(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                host.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                host.asked.append((self.command, self.path))
                status, headers, body = host.answers.pop(0) if len(host.answers) > 1 else host.answers[0]
                if status == 0:
                    self.connection.close()
                    return
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.name = f"127.0.0.1:{self._server.server_port}"
        self.repo = RepoRef("acme", "shop", self.name)
        self.ref = IssueRef(self.repo, 1)

    def will(self, *answers: tuple[int, object] | tuple[int, object, dict[str, str]]) -> None:
        self.answers = [
            (
                one[0],
                one[2] if len(one) > 2 else {},
                one[1] if isinstance(one[1], bytes) else json.dumps(one[1]).encode(),
            )
            for one in answers
        ]

    def tracker(self, **settings: str) -> GitHubTracker:
        return GitHubTracker(
            GitHubSettings(
                host=self.name, base_url=f"http://{self.name}/api/v3", token=SecretStr("ghp_secret"), **settings
            )
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def host() -> Iterator[RawHost]:
    raw = RawHost()
    yield raw
    raw.close()


def test_a_read_is_repeated_through_errors_of_the_server(host: RawHost) -> None:
    host.will((502, b"bad gateway"), (0, b""), (200, [COMMENT]))

    assert [one.body for one in host.tracker().comments(host.ref)] == ["said"]
    assert len(host.asked) == 3


@pytest.mark.parametrize("answer", [(502, b"bad gateway"), (0, b""), (500, {"message": "oops"})])
def test_a_write_is_sent_once_and_the_error_says_to_look_first(host: RawHost, answer: tuple[int, object]) -> None:
    host.will(answer)

    with pytest.raises(Unanswered, match=f"comment on {host.ref}.*looks before it writes again"):
        host.tracker().add_comment(host.ref, "hello")

    assert len(host.asked) == 1


def test_an_answer_that_was_cut_short_is_one_clear_error(host: RawHost) -> None:
    whole = json.dumps([COMMENT]).encode()
    for body, headers in (
        (whole[:-9], {}),
        (whole[:-9], {"Content-Length": str(len(whole))}),
        (b"<html>", {}),
        (b"", {}),
    ):
        host.will((200, body, headers | {"Connection": "close"}))
        with pytest.raises(Unanswered, match=r"read the comments of .*no usable answer"):
            host.tracker().comments(host.ref)


def test_an_answer_without_a_field_names_the_field(host: RawHost) -> None:
    host.will((200, [{name: value for name, value in COMMENT.items() if name != "created_at"}]))

    with pytest.raises(Unanswered, match="created_at"):
        host.tracker().comments(host.ref)


def test_a_deleted_account_is_a_ghost(host: RawHost) -> None:
    host.will((200, [COMMENT | {"user": None, "body": None}]))

    (comment,) = host.tracker().comments(host.ref)
    assert (comment.author, comment.body, comment.author_is_bot) == ("ghost", "", False)


def test_apps_are_bots(host: RawHost) -> None:
    host.will((200, [COMMENT | {"user": {"login": "renovate[bot]", "type": "Bot"}}]))

    assert host.tracker().comments(host.ref)[0].author_is_bot


def test_a_used_up_limit_is_not_slept_through_but_told_with_its_end(host: RawHost) -> None:
    reset = datetime(2026, 11, 22, 9, 0, tzinfo=timezone.utc)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset.timestamp()))}
    host.will((403, {"message": "API rate limit exceeded for user ID 1."}, headers))

    with pytest.raises(RateLimited, match="2026-11-22 09:00:00 UTC") as limited:
        host.tracker().comments(host.ref)

    assert limited.value.until == reset
    assert len(host.asked) == 1


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_limit_says_how_long_to_wait(host: RawHost, status: int) -> None:
    host.will((status, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "3600"}))
    before = datetime.now(timezone.utc)

    with pytest.raises(RateLimited) as limited:
        host.tracker().create_issue(host.repo, IssueDraft("t", "b"))

    assert timedelta(minutes=59) < limited.value.until - before < timedelta(minutes=61)
    assert len(host.asked) == 1


def test_each_refusal_has_its_class_its_words_and_no_token(host: RawHost) -> None:
    for status, kind in (
        (401, NotPermitted),
        (403, NotPermitted),
        (404, NotThere),
        (410, NotThere),
        (422, TrackerError),
    ):
        errors = [{"resource": "Issue", "field": "title", "code": "missing_field"}]
        host.will((status, {"message": "No, ghp_secret", "errors": errors}))
        with pytest.raises(kind, match=rf"answered {status} \(No, .*: Issue title missing_field\)") as refused:
            host.tracker().create_issue(host.repo, IssueDraft("", "b"))
        assert refused.value.status == status
        assert "ghp_secret" not in str(refused.value)
        assert type(refused.value) is kind


def test_a_host_that_is_not_there_is_said_so() -> None:
    settings = GitHubSettings(host="127.0.0.1:9", base_url="http://127.0.0.1:9/api/v3", token=SecretStr("t" * 20))

    with pytest.raises(Unanswered, match="ask who the token is: GitHub gave no usable answer"):
        GitHubTracker(settings).login()


def test_an_apps_token_that_cannot_ask_who_it_is_goes_by_the_setting(host: RawHost) -> None:
    host.will((403, {"message": "Resource not accessible by integration"}))

    assert host.tracker(bot_login="hub[bot]").login() == "hub[bot]"
    with pytest.raises(NotPermitted, match="not accessible"):
        host.tracker().login()


def test_a_label_that_another_process_made_meanwhile_is_no_error(host: RawHost) -> None:
    taken = {
        "message": "Validation Failed",
        "errors": [{"resource": "Label", "code": "already_exists", "field": "name"}],
    }
    host.will((200, []), (422, taken))

    host.tracker().ensure_labels(host.repo, {"dbt-error": ("b60205", "")})

    assert [verb for verb, _ in host.asked] == ["GET", "POST"]


def test_names_cannot_leave_their_place_in_an_address(host: RawHost) -> None:
    host.will((404, {"message": "Not Found"}))

    assert host.tracker().permission(host.repo, "../../x?y#z") == "none"

    assert host.asked == [("GET", "/api/v3/repos/acme/shop/collaborators/..%2F..%2Fx%3Fy%23z/permission")]


def test_the_token_never_leaves_in_a_text(host: RawHost) -> None:
    host.will((201, COMMENT))

    host.tracker().add_comment(host.ref, "the log said ghp_secret, twice: ghp_secret")

    assert json.loads(host.bodies[-1]) == {"body": "the log said [redacted], twice: [redacted]"}


def test_a_redirection_to_another_host_is_not_followed(host: RawHost) -> None:
    host.will((301, b"", {"Location": "http://elsewhere.example/api/v3/x"}))

    with pytest.raises(TrackerError, match=r"read the comments of .*another host.*Check base_url"):
        host.tracker().comments(host.ref)

    assert len(host.asked) == 1


def test_pages_that_never_end_are_an_error(host: RawHost) -> None:
    host.will((200, [COMMENT], {"Link": f'<http://{host.name}/api/v3/x?page=2>; rel="next"'}))

    with pytest.raises(Unanswered, match="its pages name each other"):
        host.tracker().comments(host.ref)
