"""What the assets and sensors work with, composed from the settings on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from ..config.settings import DbtCloudSource, GitHubSettings, HubSettings, ProjectSettings
from ..domain.issue import RepoRef
from ..domain.redaction import redact
from ..ports import DbtRunSource, Investigator, IssueTracker, Workbench
from .kept_workbench import KeptWorkbench

if TYPE_CHECKING:
    from ..adapters.dbt_cloud_listing import RunListing
    from ..adapters.record_store import SqlRecordStore

T = TypeVar("T")


def utc_now() -> datetime:
    """The present, aware UTC."""
    return datetime.now(timezone.utc)


class Hub:
    """The outside world behind ports; nothing is opened or imported before it is asked for.

    ``sources``, ``trackers``, ``workbenches`` and ``investigators`` replace the real ones in tests.
    """

    def __init__(
        self,
        settings: HubSettings,
        *,
        sources: Callable[[ProjectSettings], DbtRunSource] | None = None,
        trackers: Callable[[GitHubSettings], IssueTracker] | None = None,
        workbenches: Callable[[ProjectSettings], AbstractContextManager[Workbench]] | None = None,
        investigators: Callable[[ProjectSettings], Investigator] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.settings = settings
        self.now = clock
        self._sources = sources or self._dbt_source
        self._trackers = trackers or self._github_tracker
        self.workbench = KeptWorkbench(workbenches or self._git_workbench)
        self._investigators = investigators or self._playbooks
        self._opened: dict[str, object] = {}
        # Events that this process has answered: the steps of one run need not ask GitHub whether each other did.
        self.answered: set[str] = set()
        # A source opens its account's listing while it is opened itself.
        self._lock = threading.RLock()

    @cached_property
    def store(self) -> SqlRecordStore:
        """The hub's memory."""
        from ..adapters.record_store import open_record_store

        return open_record_store(self.settings.state.url.get_secret_value())

    def project(self, name: str) -> ProjectSettings | None:
        """A monitored project, or None where the settings no longer hold it."""
        return next((project for project in self.settings.projects if project.name == name), None)

    def projects_of(self, repo: RepoRef) -> Sequence[ProjectSettings]:
        """The projects whose code and issues live in a repository."""
        return [project for project in self.settings.projects if RepoRef.parse(project.repo) == repo]

    def source(self, project: ProjectSettings) -> DbtRunSource:
        """Where a project's dbt runs come from."""
        return self._once(f"source {project.name}", lambda: self._sources(project))

    def github(self, repo: RepoRef) -> GitHubSettings:
        """The settings of a repository's host.

        Raises:
            LookupError: no such host is configured.
        """
        for github in self.settings.github:
            if github.host == repo.host:
                return github
        raise LookupError(f"hub.yaml has no github entry with host {repo.host}, which {repo} needs: add one")

    def tracker(self, repo: RepoRef) -> IssueTracker:
        """The GitHub host of a repository."""
        github = self.github(repo)
        return self._once(f"tracker {github.host}", lambda: self._trackers(github))

    def another_tracker(self, repo: RepoRef) -> IssueTracker:
        """The same host over a connection of its own, for a second thread."""
        return self._trackers(self.github(repo))

    def investigator(self, project: ProjectSettings) -> Investigator:
        """Who looks for causes."""
        return self._investigators(project)

    def redact(self, text: str) -> str:
        """Text without the configured secrets or anything of their shape."""
        return redact(text, self.secrets)

    @cached_property
    def secrets(self) -> Sequence[str]:
        """The configured secrets themselves, for redaction."""
        secrets = [github.token for github in self.settings.github if github.token is not None]
        apps = [github.app for github in self.settings.github if github.app is not None]
        secrets += [app.private_key for app in apps if app.private_key is not None]
        secrets += [
            project.source.token for project in self.settings.projects if isinstance(project.source, DbtCloudSource)
        ]
        if self.settings.claude.api_key is not None:
            secrets.append(self.settings.claude.api_key)
        if self.settings.webhooks is not None:
            secrets += [*self.settings.webhooks.github_secrets, *self.settings.webhooks.dbt_cloud_secrets]
        return [secret.get_secret_value() for secret in secrets]

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = make()
            return self._opened[name]  # type: ignore[return-value]

    def _dbt_source(self, project: ProjectSettings) -> DbtRunSource:
        if isinstance(project.source, DbtCloudSource):
            from ..adapters.dbt_cloud import DbtCloudRuns

            return DbtCloudRuns(
                project.source, self.settings.state.artifacts_dir, listing=self._run_listing(project.source)
            )
        from ..adapters.dbt_core import DbtCoreRuns

        return DbtCoreRuns(project.source, memory=self.settings.state.artifacts_dir)

    def _run_listing(self, source: DbtCloudSource) -> RunListing:
        """What an account's projects share, so that a poll asks for it once."""
        from ..adapters.artifact_cache import ArtifactCache
        from ..adapters.dbt_cloud import listing_of, same_account

        state = self.settings.state
        ArtifactCache(state.artifacts_dir).retain(state.artifact_retention_days)
        sources = [one.source for one in self.settings.projects if isinstance(one.source, DbtCloudSource)]
        first = next((at for at, one in enumerate(sources) if same_account(one, source)), None)
        return self._once(f"listing {first}", lambda: listing_of(source, sources, now=self.now))

    def _github_tracker(self, github: GitHubSettings) -> IssueTracker:
        from ..adapters.github import GitHubTracker

        return GitHubTracker(github, self.secrets)

    def _git_workbench(self, project: ProjectSettings) -> AbstractContextManager[Workbench]:
        from ..adapters.workbench import open_workbench

        return open_workbench(project, self.settings.state, self.github(RepoRef.parse(project.repo)))

    def _playbooks(self, _: ProjectSettings) -> Investigator:
        from ..playbooks.investigator import PlaybookInvestigator

        return PlaybookInvestigator(
            seconds=self.settings.budgets.investigation_seconds, is_stopped=self.store.stop_requested
        )
