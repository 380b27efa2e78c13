"""Has Dagster load the hub's definitions again once dbt models are known that its lineage does not show yet."""

from __future__ import annotations

import contextlib
from collections.abc import Set
from dataclasses import dataclass, field

from ..adapters.stored_lineage import read_lineage
from ..config import HubSettings
from .dagster_services import LOCATION


@dataclass
class LineageRefresh:
    """Knows the projects whose dbt models were in the store when Dagster loaded the definitions.

    Make it before Dagster starts: a load too many costs seconds, one too few leaves the lineage without dbt's part.
    """

    settings: HubSettings
    ui_port: int
    shown: Set[str] = field(init=False)

    def __post_init__(self) -> None:
        """Look what Dagster is about to load."""
        self.shown = self._stored()

    def refresh(self) -> bool:
        """Reload the code location where the store knows more projects than it shows; whether it was reloaded.

        The code server replaces its process meanwhile: runs and sensor ticks under way end as if nothing had happened.
        """
        stored = self._stored()
        if stored <= self.shown:
            return False
        from dagster_graphql import DagsterGraphQLClient, ReloadRepositoryLocationStatus

        client = DagsterGraphQLClient("127.0.0.1", port_number=self.ui_port)
        if client.reload_repository_location(LOCATION).status is not ReloadRepositoryLocationStatus.SUCCESS:
            return False
        self.shown = stored
        return True

    def _stored(self) -> Set[str]:
        # A store that is being made or locked is read at the next look.
        with contextlib.suppress(Exception):
            most = self.settings.schedule.lineage_max_nodes
            return frozenset(read_lineage(self.settings.state.url.get_secret_value(), most))
        return frozenset()
