"""The contract over the sandbox's dbt Cloud, by itself and with every answer held to the description of the API."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from da_agent_hub.sandbox.server import SandboxServer
from da_agent_hub.sandbox.world import World
from da_agent_hub_tests.contracts.dbt_cloud_contract import CloudServer, DbtCloudContract
from da_agent_hub_tests.contracts.prism import prism_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sandbox(world: World) -> Iterator[CloudServer]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    now = datetime.now(timezone.utc)
    with SandboxServer(world.home, port) as server:
        yield CloudServer(
            url=server.url,
            account_id=world.account_id,
            token=world.dbt_cloud_token,
            project_id=world.projects[0].dbt_cloud_project_id,
            since=now - timedelta(days=30),
            until=now,
        )


class TestSandbox(DbtCloudContract):
    @pytest.fixture
    def cloud(self, sandbox: CloudServer) -> CloudServer:
        return sandbox


@pytest.mark.node
class TestSandboxHeldToTheDescription(DbtCloudContract):
    @pytest.fixture(scope="class")
    def behind(self, sandbox: CloudServer) -> Iterator[CloudServer]:
        with prism_server(before=sandbox.url) as url:
            yield replace(sandbox, url=url)

    @pytest.fixture
    def cloud(self, behind: CloudServer) -> CloudServer:
        return behind
