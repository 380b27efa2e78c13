"""What every test shares: a skip for a missing tool is said aloud, and where all tools must be there it is a failure."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The same examples for everybody, so that a change is judged by what it changes; the nightly run looks for new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("new", derandomize=False)
settings.load_profile(os.environ.get("DA_AGENT_HUB_EXAMPLES", "same"))

# Folders whose files share one world of two weeks of dbt runs.
_SHARED_WORLDS = ("sandbox",)
# Folders whose tests need what only some people have, and say so where it is not there.
_OPTIONAL = ("corpus",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, on one of several processes, the tests that share what is costly to make."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in _SHARED_WORLDS else str(item.path)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Turn a skip into a failure where ``DA_AGENT_HUB_NO_SKIPS`` is set, as in continuous integration."""
    outcome = yield
    report = outcome.get_result()
    may_skip = hasattr(report, "wasxfail") or item.path.parent.name in _OPTIONAL
    if report.skipped and os.environ.get("DA_AGENT_HUB_NO_SKIPS") and not may_skip:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where no test may be: {report.longrepr}"
