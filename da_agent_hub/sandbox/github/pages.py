"""Web pages."""

from __future__ import annotations

from starlette.routing import Route

from .state import GitHubState


def routes(state: GitHubState, base_url: str | None) -> list[Route]:
    return []
