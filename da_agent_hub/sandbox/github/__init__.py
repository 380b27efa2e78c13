"""A small GitHub on loopback: REST API, git over HTTP and web pages over bare git repositories and one SQLite file."""

from .app import create_app
from .state import GitHubState, LoggedRequest, StateError

__all__ = ["GitHubState", "LoggedRequest", "StateError", "create_app"]
