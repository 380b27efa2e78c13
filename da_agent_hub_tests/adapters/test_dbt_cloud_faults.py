"""Whatever becomes of single answers of dbt Cloud: nothing is lost, nothing is doubled, and what is missing is said."""

from __future__ import annotations

import gzip
import os
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from da_agent_hub.adapters.artifact_cache import ArtifactCache
from da_agent_hub.adapters.dbt_cloud_api import DbtCloudApi, DbtCloudError, DbtCloudUnavailableError
from da_agent_hub_tests.contracts.dbt_cloud_contract import CloudServer, DbtCloudContract
from da_agent_hub_tests.fakes.faulty_dbt_cloud import ACCOUNT, TOKEN, Fault, FaultyDbtCloud

from .cloud_team import GREEN, WHOLE, WINDOW, Team, runs_of, three_runs

LISTING, RUN, RESULTS = r"/runs/$", r"/runs/2/$", r"/runs/2/artifacts/run_results.json\?step=2"


@pytest.fixture
def cloud() -> Iterator[FaultyDbtCloud]:
    with FaultyDbtCloud() as server:
        three_runs(server)
        yield server


@pytest.fixture
def team(cloud: FaultyDbtCloud, tmp_path: Path) -> Team:
    return Team(cloud, tmp_path)


PASSING = {
    "408": Fault(408),
    "429": Fault(429, headers={"Retry-After": "0"}),
    "500": Fault(500),
    "502 with a page": Fault(502, b"<html>Bad gateway</html>"),
    "503": Fault(503, headers={"Retry-After": "soon"}),
    "504": Fault(504),
    "520": Fault(520),
    "hung up": Fault(hang_up=True),
    "cut": Fault(cut=0.5),
    "cut to nothing": Fault(cut=0.0),
    "cut between chunks": Fault(cut=0.5, chunked=True),
    "gzip cut": Fault(gzip_cut=True),
    "gzip damaged": Fault(headers={"Content-Encoding": "gzip"}),
    "silent": Fault(silence=1.0),
    "slow": Fault(drip=0.02),
}
BROKEN = {
    "HTML": Fault(body=b"<!DOCTYPE html><html>Sign in</html>"),
    "null": Fault(body=b"null"),
    "a list": Fault(body=b"[]"),
    "a string": Fault(body=b'"later"'),
    "data: null": Fault(body=b'{"data": null, "status": {"code": 200}}'),
    "data: text": Fault(body=b'{"data": "later"}'),
    "empty": Fault(body=b""),
    "half of its JSON": Fault(body=b'{"data": {"id": 2, "sta'),
    "no UTF-8": Fault(body=b"\xff\xfe\xfa"),
}


def named(faults: dict[str, Fault]) -> Any:
    return pytest.mark.parametrize("fault", faults.values(), ids=faults)


class TestHonest(DbtCloudContract):
    """The faulty server without a fault passes for dbt Cloud."""

    @pytest.fixture(name="cloud")
    def honest(self, cloud: FaultyDbtCloud) -> CloudServer:
        return CloudServer(cloud.url, ACCOUNT, TOKEN, 5, WINDOW.start, WINDOW.end)


@pytest.mark.slow
@named(PASSING | BROKEN)
@pytest.mark.parametrize("place", [LISTING, RUN])
def test_an_answer_that_is_broken_once_is_asked_for_again(team: Team, place: str, fault: Fault) -> None:
    team.cloud.spoil(place, fault, times=1)
    assert team.detect().unread == ()
    assert team.kept() == WHOLE


@pytest.mark.slow
@named(PASSING)
def test_an_artifact_that_broke_off_once_is_asked_for_again(team: Team, fault: Fault) -> None:
    team.cloud.spoil(RESULTS, fault, times=1)
    assert team.detect().unread == ()
    assert team.kept() == WHOLE


@pytest.mark.slow
@named({name: PASSING[name] for name in ("429", "500", "hung up", "cut", "gzip cut", "silent", "slow")} | BROKEN)
@pytest.mark.parametrize("place", [RUN, RESULTS])
def test_an_answer_that_stays_broken_is_said_costs_no_other_run_and_is_read_whole_once_it_heals(
    team: Team, place: str, fault: Fault
) -> None:
    team.cloud.spoil(place, fault)
    found = team.detect()
    assert len(found.unread) == 1
    assert found.unread[0].startswith("Run 2 of nightly: ")
    assert TOKEN not in found.unread[0]
    assert {run: nodes for run, nodes in team.kept().items() if run != "2"} == {"1": GREEN, "3": GREEN}
    team.cloud.heal()
    assert team.detect().unread == ()
    assert team.kept() == WHOLE
    assert team.detect().read == ()


@pytest.mark.slow
@named(PASSING | BROKEN)
def test_a_listing_that_stays_broken_is_one_error_and_nothing_is_kept_of_it(team: Team, fault: Fault) -> None:
    team.cloud.spoil(LISTING, fault)
    with pytest.raises(DbtCloudUnavailableError, match=r"^Listing finished dbt runs of shop: .*\.$"):
        team.detect()
    assert team.cloud.times_asked(LISTING) == 3
    team.cloud.heal()
    assert team.detect().unread == ()
    assert team.kept() == WHOLE


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("place", [LISTING, RUN])
def test_a_refusal_is_asked_for_once(team: Team, place: str, status: int) -> None:
    team.cloud.spoil(place, Fault(status))
    if place == LISTING:
        with pytest.raises(DbtCloudError, match=f"answered {status}"):
            team.detect()
    else:
        (sentence,) = team.detect().unread
        assert f"answered {status}" in sentence
        assert set(team.kept()) == {"1", "3"}
    assert team.cloud.times_asked(place) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_artifact_is_asked_for_once_and_said(team: Team, status: int) -> None:
    team.cloud.spoil(RESULTS, Fault(status))
    (sentence,) = team.detect().unread
    assert f"answered {status}" in sentence
    assert team.cloud.times_asked(r"/runs/2/artifacts/run_results") == 2  # one of each step


def test_a_wait_is_as_long_as_was_asked_in_seconds_or_by_a_date_of_the_servers_own_clock(team: Team) -> None:
    their_clock = datetime(2020, 1, 1, tzinfo=timezone.utc)
    date = {
        "Date": format_datetime(their_clock, usegmt=True),
        "Retry-After": format_datetime(their_clock + timedelta(seconds=1), usegmt=True),
    }
    for headers in ({"Retry-After": "1"}, date):
        team.cloud.spoil(LISTING, Fault(429, headers=headers), times=1)
        begun = time.monotonic()
        runs_of(team.cloud, team.directory).finished_runs("shop", WINDOW.start, WINDOW.end)
        assert 0.9 < time.monotonic() - begun < 4


def test_a_wait_longer_than_the_patience_is_left_to_the_next_poll(team: Team) -> None:
    team.cloud.spoil(LISTING, Fault(429, headers={"Retry-After": "3600"}))
    with pytest.raises(DbtCloudUnavailableError, match="answered 429 and asked to wait 3600 seconds"):
        team.detect()
    assert team.cloud.times_asked(LISTING) == 1


def test_a_run_that_is_gone_when_it_is_read_is_said_and_costs_no_other(team: Team) -> None:
    team.cloud.spoil(RUN, Fault(404), times=1)
    (sentence,) = team.detect().unread
    assert "Run 2 of nightly: Reading dbt run 2 of shop: dbt Cloud answered 404" in sentence
    assert set(team.kept()) == {"1", "3"}


def test_answers_that_are_compressed_or_of_no_announced_length_are_read(team: Team) -> None:
    packed = gzip.compress(team.cloud.artifacts[2, 2, "run_results.json"])
    team.cloud.spoil(RESULTS, Fault(body=packed, headers={"Content-Encoding": "gzip"}, chunked=True))
    team.cloud.spoil(LISTING, Fault(chunked=True))
    team.cloud.spoil(RUN, Fault(chunked=True))
    assert team.detect().unread == ()
    assert team.kept() == WHOLE


def test_a_large_artifact_comes_in_pieces(team: Team, tmp_path: Path) -> None:
    body = team.cloud.artifacts[2, 2, "manifest.json"] = os.urandom(1_000_000) * 30
    api = DbtCloudApi(team.cloud.url, ACCOUNT, TOKEN)
    cache = ArtifactCache(tmp_path / "large")
    tracemalloc.start()
    api.download("runs/2/artifacts/manifest.json", {"step": "2"}, "Reading", lambda pieces: cache.keep(pieces, "large"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3_000_000
    assert cache.get("large") == body
