"""The contract over a server that is made from the description of dbt Cloud's API and allows nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
import requests

from da_agent_hub_tests.contracts.dbt_cloud_contract import CloudServer, DbtCloudContract
from da_agent_hub_tests.contracts.prism import prism_server

pytestmark = [pytest.mark.slow, pytest.mark.node]

DAY = datetime(2026, 11, 1, 6, 30, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def described() -> Iterator[str]:
    with prism_server() as url:
        yield url


class TestServerMadeFromTheDescription(DbtCloudContract):
    @pytest.fixture
    def cloud(self, described: str) -> CloudServer:
        return CloudServer(described, 42, "a-token", 5, DAY, DAY + timedelta(days=1))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("runs/?limit=1000", 422),
        ("runs/?limit=many", 422),
        ("runs/?finished_at__range=2026-11-01T00:00:00Z", 422),
        ("runs/?order_by=started_at", 422),
        ("runs/1/artifacts/run_results.json", 422),
        ("runs/1/artifacts/catalog.json?step=1", 404),
        ("runs", 404),
    ],
)
def test_the_described_server_refuses_what_is_wrong(described: str, target: str, status: int) -> None:
    answer = requests.get(f"{described}/api/v2/accounts/42/{target}", headers={"Authorization": "Bearer a"}, timeout=20)
    assert answer.status_code == status
    assert requests.get(f"{described}/api/v2/accounts/42/runs/", timeout=20).status_code == 401
