"""What a replay of days asks of GitHub, counted in the request log of the sandbox's server."""

from __future__ import annotations

import logging
from pathlib import Path

from da_agent_hub.config import HubSettings, StateSettings
from da_agent_hub.defs.filing import file_days
from da_agent_hub.defs.hub import Hub
from da_agent_hub.defs.lease import Lease
from da_agent_hub_tests.fakes.dbt_source import FakeDbtSource
from da_agent_hub_tests.sandbox_host import sandbox_world, serve_github, settings_of

from .hub_world import Clock, dbt_run, graph, project

BROKEN = 'Binder Error: Referenced column "amount" not found in FROM clause!'


def test_each_replayed_day_lists_the_hubs_issues_once(tmp_path: Path) -> None:
    with serve_github(tmp_path / "github") as (state, url):
        world = sandbox_world(state, url, "shop")
        shop = project("shop", "file").model_copy(update={"repo": str(world.repo)})
        settings = HubSettings(
            projects=[shop],
            github=[settings_of(url, "hub")],
            state=StateSettings(url=f"sqlite:///{tmp_path / 'hub.db'}"),  # type: ignore[arg-type]
        )
        hub = Hub(settings, sources=lambda _: FakeDbtSource(), clock=Clock())
        hub.store.save_graph("shop", "1", Clock().now, graph("shop"))
        for day, failing in ((19, None), (20, BROKEN), (21, BROKEN), (22, None), (23, None)):
            hub.store.remember_run(dbt_run(str(day), f"2026-11-{day}T02:00", failing=failing))
        days = [f"2026-11-{day}" for day in (19, 20, 21, 22)]

        told, bad = file_days(hub, shop, days, Lease("project:shop"), logging.getLogger("test"))

        assert bad == []
        summaries = [str(told[day]["summary"].value) for day in days]
        assert summaries == ["1 opened", "1 updated", "1 updated", "1 closed"]
        assert [one.state for one in world.hub.hub_issues(world.repo)] == ["closed"]
        paths = [one.path for one in state.requests() if one.method == "GET"]
        listings = [path for path in paths if path.split("?")[0].endswith("/issues")]
        # And the one just above, and one before the first day, for what a new store knows again from the issues.
        assert len(listings) == len(days) + 2
