"""`backfill` over a folder of dbt Core runs, as an operator calls it: in pieces, killed, in any order of days."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.domain.error_record import ErrorRecord

FIRST = date(2026, 1, 5)
DAYS = 70
TESTED = "test.shop.unique_orders_id.0a1b2c3d4e"


def write_run(folder: Path, day: date, *, fails: bool) -> None:
    run = folder / f"run-{day}"
    run.mkdir(parents=True)
    status = {TESTED: "fail" if fails else "pass", "model.shop.orders": "success"}
    results = [
        {"unique_id": unique_id, "status": said, "message": None, "failures": 3 if said == "fail" else None}
        for unique_id, said in status.items()
    ]
    content = {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json",
            "generated_at": f"{day}T05:00:00Z",
            "invocation_id": f"00000000-0000-4000-8000-{day:%Y%m%d}0000",
        },
        "results": results,
        "args": {"which": "build", "target": "prod"},
    }
    (run / "run_results.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A failure of three days that healed in January, and one that still stands."""
    folder = tmp_path_factory.mktemp("runs")
    for number in range(DAYS):
        write_run(folder, FIRST + timedelta(days=number), fails=number in (4, 5, 6) or number >= DAYS - 2)
    return folder


def configure(folder: Path, runs: Path) -> Path:
    settings = {
        "projects": [{"name": "shop", "repo": "acme/shop", "source": {"type": "dbt_core", "path": str(runs)}}],
        "github": [{"token": "ghp_neverasked0000000000", "base_url": "http://127.0.0.1:9/api/v3"}],
        "state": {"url": f"sqlite:///{folder / 'hub.db'}"},
    }
    file = folder / "hub.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def command(config: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "da_agent_hub.cli", "backfill", "--config", str(config), *options]


def backfill(config: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    out = config.with_name("out.json")
    environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(
        [*command(config, *options), "--json", str(out)], env=environ, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text()) if out.exists() else {}


def records(config: Path) -> list[ErrorRecord]:
    store = open_record_store(f"sqlite:///{config.with_name('hub.db')}")
    found = list(store.records("shop"))
    store.close()
    return found


ALL = ("--from", str(FIRST), "--to", str(FIRST + timedelta(days=DAYS)))


@pytest.mark.slow
def test_history_is_read_in_pieces_with_progress_and_gives_times_to_recover(tmp_path: Path, runs: Path) -> None:
    config = configure(tmp_path, runs)
    code, output, report = backfill(config, *ALL)
    assert code == 0, output
    assert output.count("shop 2026-") == 3, output
    assert report["projects"]["shop"]["causes"] == 1
    assert report["projects"]["shop"]["still_failing"] == 1
    (record,) = records(config)
    assert (record.episode, record.occurrences) == (2, 5)
    code, output, _ = backfill(config, *ALL)
    assert code == 0
    assert f"{DAYS + 1} days were read before" in output


@pytest.mark.slow
def test_any_order_of_days_and_a_kill_between_give_the_same_records(tmp_path: Path, runs: Path) -> None:
    straight, crooked = tmp_path / "straight", tmp_path / "crooked"
    for folder in (straight, crooked):
        folder.mkdir()
        configure(folder, runs)
    assert backfill(straight / "hub.yaml", *ALL)[0] == 0
    middle = str(FIRST + timedelta(days=30))
    assert backfill(crooked / "hub.yaml", "--from", middle, "--to", ALL[3])[0] == 0
    process = subprocess.Popen(command(crooked / "hub.yaml", *ALL), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    next(line for line in process.stdout if "dbt runs" in line)
    process.kill()
    process.wait()
    code, output, _ = backfill(crooked / "hub.yaml", *ALL)
    assert code == 0, output
    assert records(crooked / "hub.yaml") == records(straight / "hub.yaml") != []


@pytest.mark.slow
def test_a_run_that_cannot_be_read_stops_no_other_and_is_asked_for_again(tmp_path: Path, runs: Path) -> None:
    folder = tmp_path / "runs"
    for number in range(5):
        write_run(folder, FIRST + timedelta(days=number), fails=number < 2)
    broken = folder / f"run-{FIRST + timedelta(days=3)}" / "run_results.json"
    whole = broken.read_text()
    broken.write_text(whole[:200])
    os.utime(broken, (1767852000, 1767852000))  # 2026-01-08 06:00 UTC: without its content, its time stands in
    config = configure(tmp_path, folder)
    days = ("--from", str(FIRST - timedelta(days=1)), "--to", str(FIRST + timedelta(days=5)))
    code, output, _ = backfill(config, *days)
    assert code == 1, output
    assert "1 days not read whole" in output, output
    assert f"shop {FIRST + timedelta(days=2)}: not all of it could be read" in output, output
    broken.write_text(whole)
    code, output, _ = backfill(config, *days)
    assert code == 0, output
    assert "6 days were read before" in output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "2026-02-01", "--to", "2026-01-01"), "give the earlier day first"),
        (("--from", "2026-02-01", "--to", "2999-01-01"), "lies ahead"),
        (("--from", "2020-02-01"), "schedule.start_date"),
        (("--from", "2026-02-01", "--project", "nope"), "no project nope: name one of shop"),
        (("--from", "yesterday"), "'yesterday' does not match the format"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_with_what_to_give(
    tmp_path: Path, runs: Path, options: tuple[str, ...], said: str
) -> None:
    code, output, _ = backfill(configure(tmp_path, runs), *options)
    assert code != 0
    assert said in output
    assert "Traceback" not in output
