"""What a good analytics engineer would conclude of a broken project, written down before the hub sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from .site import Site


class Fix(str, Enum):
    """Whether a change of code may be proposed without a person's decision."""

    EXPECTED = "expected"
    OPTIONAL = "optional"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True)
class Incident:
    """One cause, and so one issue.

    ``failing`` are names of the nodes that end in error or fail because of it, and is empty where dbt stops before it
    runs any. ``culprit`` is the label of the commit that caused it. ``roots`` are the unique ids of which any is a
    right answer to "where does it sit", and is empty where only the commit counts. ``reason`` says why the fix is
    expected, optional or forbidden.
    """

    failing: tuple[str, ...]
    categories: frozenset[str]
    causes: frozenset[str]
    fix: Fix
    reason: str
    culprit: str | None = None
    roots: tuple[str, ...] = ()


@dataclass(frozen=True)
class HiddenCheck:
    """One number of the repaired warehouse; the fixer never sees it."""

    title: str
    sql: str
    expected: object


@dataclass(frozen=True)
class Scenario:
    """A story that leaves a broken project, and what is right to say and do about it.

    ``protected`` are globs, relative to the repository, that no proposed patch may touch. ``oracle`` is a right fix,
    as new file contents by path, where one exists that needs no person. ``directory`` is where dbt's project lies in
    the repository, and ``git`` is False for a plain folder. ``attempts`` says how often to build until it fails,
    for what fails by chance. ``kept_tests`` are tests that the last good build did not know yet and a patch must keep.
    ``afterwards`` is what happens between the failing build and the moment when somebody looks.
    """

    name: str
    story: str
    build: Callable[[Site], None]
    incidents: tuple[Incident, ...]
    checks: tuple[HiddenCheck, ...] = ()
    protected: tuple[str, ...] = ()
    oracle: Callable[[Site], Mapping[str, str | None]] | None = None
    directory: str = "."
    git: bool = True
    attempts: int = 1
    kept_tests: tuple[str, ...] = ()
    afterwards: Callable[[Site], None] | None = None

    @property
    def project(self) -> str:
        """The dbt project's name: the first word of the scenario's."""
        return self.name.partition("_")[0]

    @property
    def failing(self) -> frozenset[str] | None:
        """Every node that fails in the last build; None where dbt stops before it runs any."""
        return frozenset(name for incident in self.incidents for name in incident.failing) or None
