"""One workbench for the steps of one run: opening it clones a repository and starts dbt, which takes seconds."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from ..config.settings import ProjectSettings
from ..ports import Workbench


class KeptWorkbench:
    """Opens a workbench on first use and keeps it for the run that uses it; it is gone at the latest with the process."""

    def __init__(self, open_workbench: Callable[[ProjectSettings], AbstractContextManager[Workbench]]) -> None:
        self._open = open_workbench
        self._opened = ExitStack()
        self._kept: tuple[str, str, Workbench, str] | None = None
        atexit.register(self.put_away)

    @contextmanager
    def use(self, project: ProjectSettings, run_id: str) -> Iterator[Workbench]:
        """The run's workbench, as it was when it was opened; after an exception the next use gets a new one."""
        if self._kept is not None and self._kept[:2] == (project.name, run_id):
            _, _, bench, opened_at = self._kept
            bench.checkout(opened_at)
            bench.reset_warehouse()
        else:
            self.put_away()
            bench = self._opened.enter_context(self._open(project))
            self._kept = (project.name, run_id, bench, bench.head())
        try:
            yield bench
        except BaseException:
            self.put_away()
            raise

    def put_away(self) -> None:
        """Close what is open."""
        self._kept = None
        self._opened.close()
