"""GitHub's error answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


class ApiError(Exception):
    """An answer that is an error: ``message`` and ``errors`` as in GitHub's bodies."""

    def __init__(
        self, status: int, message: str, errors: Sequence[Any] | None = None, *, documentation: str = DOCUMENTATION
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.documentation = documentation

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors is not None:
            body["errors"] = list(self.errors)
        return {**body, "documentation_url": self.documentation, "status": str(self.status)}


def not_found() -> ApiError:
    """No such thing, or none that this user may see."""
    return ApiError(404, "Not Found")


def forbidden(message: str = "Resource not accessible by personal access token") -> ApiError:
    """Seen, but not to be changed by this user."""
    return ApiError(403, message)


def invalid(resource: str, field: str, code: str, message: str | None = None) -> ApiError:
    """Validation failed for one field; ``code`` is missing_field, invalid, already_exists or custom."""
    error: dict[str, Any] = {"resource": resource, "field": field, "code": code}
    return ApiError(422, "Validation Failed", [{**error, "message": message} if message else error])


def custom(resource: str, message: str) -> ApiError:
    """Validation failed for a reason that GitHub says in words."""
    return ApiError(422, "Validation Failed", [{"resource": resource, "code": "custom", "message": message}])
