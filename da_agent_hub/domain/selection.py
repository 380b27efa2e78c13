"""Which failures become records: the project's filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .dbt import DbtRun


@dataclass(frozen=True)
class Selection:
    """Which failures become records; patterns are shell globs on node names, ``tags`` any of which suffices."""

    warnings: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    tags: Sequence[str] = ()
    exclude_tags: Sequence[str] = ()
    environments: Sequence[str] = ()

    def wants_run(self, run: DbtRun) -> bool:
        """Whether the run's environment is monitored."""
        return self.wants_environment(run.environment)

    def wants_environment(self, name: str) -> bool:
        """Whether an environment is monitored."""
        wanted = [one.casefold() for one in self.environments]
        return not wanted or name.casefold() in wanted

    def wants(self, names: Iterable[str], tags: Iterable[str]) -> bool:
        """Whether a node, known by its own name and that of the node it tests, is monitored."""
        names, tags = list(names), set(tags)
        if any(fnmatchcase(name, pattern) for name in names for pattern in self.exclude):
            return False
        if tags & set(self.exclude_tags) or (self.tags and not tags & set(self.tags)):
            return False
        return not self.include or any(fnmatchcase(name, pattern) for name in names for pattern in self.include)
