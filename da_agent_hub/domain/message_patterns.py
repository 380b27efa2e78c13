"""What the package's own taxonomy says of a message, for those who need only the class."""

from __future__ import annotations

from .taxonomy import builtin


def matched(message: str) -> tuple[str, str | None] | None:
    """The error class of a message and the name it is about; None where no entry of the taxonomy matches."""
    found = builtin().recognise(message)
    return (found.entry.error_class, found.about) if found else None
