"""`da-agent-hub webhooks`: the receiver of GitHub's and dbt Cloud's webhooks, on a port of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import BadConfiguration, Trouble, config_option, console, read_settings

if TYPE_CHECKING:
    from ..adapters.webhook_payloads import GitHubDeliveries
    from ..adapters.webhook_receiver import Receiver
    from ..config import HubSettings
    from ..defs.hub import Hub
    from ..domain.issue import RepoRef


@click.command()
@config_option
@click.option("--host", help="Where to listen. Default: webhooks.host of hub.yaml, 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: webhooks.port of hub.yaml, 8642.")
def webhooks(config: Path | None, host: str | None, port: int | None) -> None:
    """Receive webhooks of GitHub (/github) and dbt Cloud (/dbt-cloud) until stopped.

    Appends what they tell to the inbox, for the hub's sensors; does nothing itself. See docs/webhooks.md.

    Exit code: 0 stopped, 1 the port cannot be used, 2 the configuration cannot be used.
    """
    settings, path = read_settings(config)
    told = settings.webhooks
    if told is None or not (told.github_secrets or told.dbt_cloud_secrets):
        raise BadConfiguration(
            f"{path or 'the environment'} has no secret of a webhook: add webhooks.github_secrets or "
            "webhooks.dbt_cloud_secrets (see docs/webhooks.md)"
        )
    import uvicorn

    from ..defs.hub import Hub
    from .services import free_port

    host, port = host or told.host, port or told.port
    if host == "127.0.0.1":
        free_port(port)
    hub = Hub(settings)
    app = receiver(settings, hub).app()
    console.print(f"Webhooks are received at http://{host}:{port}/github and /dbt-cloud. Ctrl-C ends it.")
    server = uvicorn.Server(
        uvicorn.Config(
            app, host=host, port=port, log_level="warning", access_log=False, limit_concurrency=64,
            timeout_keep_alive=5, timeout_graceful_shutdown=5, server_header=False,
        )
    )  # fmt: skip
    try:
        server.run()
    except SystemExit:
        raise Trouble(f"{host}:{port} cannot be used: name another with --host and --port") from None


def receiver(settings: HubSettings, hub: Hub) -> Receiver:
    """The receiver of a configuration; asks each GitHub host once who the hub is there."""
    from ..adapters.webhook_receiver import Receiver
    from ..config import DbtCloudSource

    assert settings.webhooks is not None
    sources = [project.source for project in settings.projects]
    return Receiver(
        settings.webhooks,
        deliveries(hub, lambda key: hub.store.issue_of_pull_request(key)),
        accounts=sorted({source.account_id for source in sources if isinstance(source, DbtCloudSource)}),
        store=lambda: hub.store,
        now=hub.now,
        log=lambda line: console.print(hub.redact(line), markup=False),
    )


def deliveries(hub: Hub, issue_of_pull_request: Callable[[str], str | None]) -> GitHubDeliveries:
    """Reads what GitHub tells of the monitored repositories."""
    from ..adapters.webhook_payloads import GitHubDeliveries
    from ..domain.issue import RepoRef

    repos = [RepoRef.parse(project.repo) for project in hub.settings.projects]
    hosts = {repo.host: repo for repo in repos}
    return GitHubDeliveries(
        repos={repo: hub.github(repo) for repo in repos},
        logins={host: _logins(hub, repo) for host, repo in hosts.items()},
        issue_of_pull_request=issue_of_pull_request,
    )


def _logins(hub: Hub, repo: RepoRef) -> frozenset[str]:
    from ..domain.tracker_error import TrackerError

    named = hub.github(repo).bot_login
    found = {named.lower()} if named else set()
    try:
        found.add(hub.tracker(repo).login().lower())
    except TrackerError as error:
        # What the hub does itself then looks like news: the look at it finds out.
        console.print(f"{repo.host} does not say who the hub is: {hub.redact(str(error))}", markup=False)
    return frozenset(found)
