"""What a command's comment says while it is at work, and where it ends without an answer."""

from __future__ import annotations

from enum import Enum

from .markdown import code, escape
from .redaction import redact


class Step(str, Enum):
    """What a command is at; each is told at most once."""

    INVESTIGATING = "investigating"
    TRYING = "trying a fix"
    VERIFYING = "verifying the fix"
    OPENING = "opening the pull request"


_MEANING = {
    Step.INVESTIGATING: "looking for the cause",
    Step.TRYING: "trying a fix on a private checkout",
    Step.VERIFYING: "running dbt without and with the change",
    Step.OPENING: "the change held; opening its pull request",
}
_FOOT = "<sub>This comment changes as the work goes on, and ends in the answer. Asking to stop ends it at its next step.</sub>"

CALLED_OFF = "Stopped before it was done, as a person asked. Ask again whenever it is wanted."
STOPPING = "Stopping: what is under way ends at its next step."


def accepted(*, investigates: bool, fixes: bool, ahead: int) -> str:
    """The first words about a command that takes its time; ``ahead`` commands of the same issue come before it."""
    work = [word for word, wanted in (("an investigation", investigates), ("a fix", fixes)) if wanted]
    waits = ""
    if ahead:
        waits = f" {ahead} command{'s' if ahead > 1 else ''} of this issue come{'' if ahead > 1 else 's'} first."
    return f"**Taken up:** {', then '.join(work)}.{waits}\n\n{_FOOT}"


def at_work(step: Step, subject: str = "", known: str = "") -> str:
    """What it is at; ``subject`` is foreign text, ``known`` is Markdown of what was found out already."""
    about = f": {escape(redact(subject), 200)}" if subject else ""
    parts = [f"**At work,** {_MEANING[step]}{about}.", known, _FOOT]
    return "\n\n".join(part for part in parts if part)


def tried_again(failures: int, most: int) -> str:
    """A failure that is not the last one."""
    return f"**Broken off** {failures} of at most {most} times; it is tried again in a moment.\n\n{_FOOT}"


def stopped(called_off: int) -> str:
    """How a request to stop ended."""
    if not called_off:
        return "Nothing was under way here, so there was nothing to stop."
    return f"Stopped. {called_off} command{'s were' if called_off > 1 else ' was'} called off."


def expert_not_asked(expert: str, investigator: str) -> str:
    """Said where a person asked for an expert whom the investigator did not consult."""
    return (
        f"{code(expert)} was asked for and was not consulted: {escape(investigator, 60)} looked at this, which asks no "
        "experts. Experts answer where Claude investigates (`claude` in hub.yaml)."
    )
