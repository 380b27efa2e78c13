"""What the forms on the pages do: the same endpoints as the API, as the user that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from . import api_issues, api_pulls
from .call import Call, Endpoint
from .errors import ApiError
from .requests_log import log_request
from .state import GitHubState, find_user

Form = Mapping[str, str]
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

# the button's name: the endpoint, its body out of the form, and what it takes from the form into the path
ACTIONS: dict[str, tuple[Endpoint, Callable[[Form], dict[str, Any]], Mapping[str, str]]] = {
    "comment": (api_issues.create_comment, lambda form: {"body": form.get("body", "")}, {}),
    "close": (
        api_issues.update_issue,
        lambda form: {"state": "closed", "state_reason": form.get("reason") or None},
        {},
    ),
    "reopen": (api_issues.update_issue, lambda form: {"state": "open"}, {}),
    "add-label": (api_issues.add_labels, lambda form: {"labels": [form.get("label", "")]}, {}),
    "remove-label": (api_issues.remove_label, lambda form: {}, {"name": "label"}),
    "assign": (api_issues.add_assignees, lambda form: {"assignees": [form.get("login", "")]}, {}),
    "unassign": (api_issues.remove_assignees, lambda form: {"assignees": [form.get("login", "")]}, {}),
    "merge": (api_pulls.merge_pull, lambda form: {"merge_method": form.get("method", "merge")}, {}),
    "open": (
        api_issues.create_issue,
        lambda form: {"title": form.get("title", ""), "body": form.get("body", "")},
        {},
    ),
}


def check_same_site(request: Request, base_url: str | None) -> None:
    """Refuse a form that another site sent: the browser says where it comes from, and we answer to our own names."""
    host = request.headers.get("host", "")
    ours = {*_LOOPBACK, urlsplit(base_url).hostname if base_url else None}
    source = request.headers.get("origin") or request.headers.get("referer", "")
    if urlsplit(f"//{host}").hostname not in ours or urlsplit(source).netloc != host or not host:
        raise ApiError(403, "This form was sent from another site: open the page itself and try again")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ApiError(403, "This form was sent from another site: open the page itself and try again")


async def act(state: GitHubState, base_url: str | None, request: Request) -> Response:
    """Carry out one form, then go back to its page."""
    check_same_site(request, base_url)
    body = await request.body()
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=20)
    form = {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}
    request.state.acting = form.get("as", "")
    number = await run_in_threadpool(_carry_out, state, request, form, body)
    repo = f"/{request.path_params['owner']}/{request.path_params['repo']}"
    place = URL(f"{repo}/issues/{number}").include_query_params(**{"as": form.get("as", "")})
    return RedirectResponse(str(place), 303)


def _carry_out(state: GitHubState, request: Request, form: Form, body: bytes) -> int:
    if form.get("action") not in ACTIONS:
        raise ApiError(400, "This form names no action")
    if form["action"] != "open" and "number" not in request.path_params:
        raise ApiError(400, "This form belongs on the page of an issue or a pull request")
    with state.transaction() as db:
        viewer = find_user(db, form.get("as", ""))
        if viewer is None:
            raise ApiError(422, "Choose a user to act as")
        # What was written beside the button belongs to it, as on GitHub: both happen, or neither.
        before = ["comment"] if form["action"] in ("close", "reopen") and form.get("body", "").strip() else []
        for action in (*before, form["action"]):
            endpoint, payload, taken = ACTIONS[action]
            call = Call(
                state,
                db,
                root=str(request.base_url).rstrip("/"),
                path=request.url.path,
                viewer=viewer,
                place={**request.path_params, **{name: form.get(field, "") for name, field in taken.items()}},
                query={},
                payload=payload(form),
                rate={},
            )
            reply = endpoint(call)
        log_request(db, state.now(), request, viewer["login"], reply.status, body)
    return int(reply.body["number"] if form["action"] == "open" else request.path_params["number"])
