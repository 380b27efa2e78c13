"""What a person reads of a day in Dagster."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import dagster as dg

from da_agent_hub.defs import metadata
from da_agent_hub.defs.names import DAILY_JOB
from da_agent_hub.defs.partitions import last_days, range_tags
from da_agent_hub.domain.dbt import Owner
from da_agent_hub.domain.error_record import Category, Downtime, Priority, Quarantine
from da_agent_hub.domain.life_cycle import Life, State, Suppression
from da_agent_hub_tests.domain.record_examples import DAY, MONDAY, record, sighting

from .hub_world import World, dbt_run

BROKEN = 'Binder Error: Referenced column "amount" not found in FROM clause!'


def text_of(value: dg.MarkdownMetadataValue) -> str:
    assert value.value is not None
    return value.value


def rows_of(markdown: str) -> list[list[str]]:
    """Cells of a Markdown table: an escaped bar is none of its walls."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_counts_are_one_row_a_group_with_the_most_frequent_first() -> None:
    records = [
        record("a", priority=Priority.LOW),
        record("b", priority=Priority.LOW, category=Category.CODE_FIX),
        record("c", priority=Priority.LOW),
    ]
    rows = {row[0]: row[1] for row in rows_of(text_of(metadata.record_counts(records)))}
    assert rows["priority"] == "low **3**"
    assert rows["category"] == r"data\_quality\_issue **2** · code\_fix\_required **1**"
    assert rows["kind"] == "test **3**"


def test_a_plot_is_a_picture_with_a_column_a_day_and_its_figures_in_words() -> None:
    days = last_days("2026-11-22", 14)
    told = text_of(metadata.plot(dict(zip(days, [0] * 12 + [8, 1], strict=True)), "failures"))
    assert told.endswith("failures a day, 2026-11-09 to 2026-11-22: most 8 on 2026-11-21, last 1")
    assert "![▁▁▁▁▁▁▁▁▁▁▁▁█▂]" in told
    picture = re.search(r"base64,([A-Za-z0-9+/=]+)\)", told)
    assert picture
    drawn = ElementTree.fromstring(b64decode(picture[1]))
    columns = drawn.findall("{http://www.w3.org/2000/svg}path")[0]
    assert columns.get("d") == "M250 60v-60M270 60v-8"


def test_a_plot_of_the_busiest_weeks_is_short_enough_to_be_shown_at_once() -> None:
    days = last_days("2026-11-22", metadata.PLOT_DAYS)
    told = metadata.plot({day: 30_000 + place for place, day in enumerate(days)}, "failed node results")
    assert len(text_of(told)) < 1_000


def test_a_plot_of_nothing_says_so() -> None:
    assert text_of(metadata.plot({"2026-11-22": 0}, "failures")).endswith(": none")
    assert text_of(metadata.plot({}, "failures")) == "nothing yet"


def test_the_table_of_records_tells_owner_runs_expert_and_quarantine_the_most_pressing_first() -> None:
    quiet = Quarantine(date(2026, 12, 1), "a | vendor's fix")
    records = [
        record("a", priority=Priority.LOW, quarantine=quiet, owner=None, last_good=None),
        record("b", priority=Priority.CRITICAL, owner=Owner("Finance | <b>"), expert="sql-expert"),
    ]
    header, _, first, second = rows_of(text_of(metadata.record_table(records, {})))
    told = dict(zip(header, first, strict=True))
    assert (told["priority"], told["expert"], told["seen"]) == ("critical", "sql-expert", "1")
    assert told["owner"] == r"Finance \| \<b\>"
    assert told["last good run"] == "[run 1115](https://cloud.getdbt.com/runs/1115), 2026-11-15 02:10"
    assert told["newest failure"] == "[run 1116](https://cloud.getdbt.com/runs/1116), 2026-11-16 02:10"
    told = dict(zip(header, second, strict=True))
    assert told["quarantine"].startswith("until 2026-12-01: a")
    assert (told["owner"], told["last good run"]) == ("", "none read")


def test_the_issue_column_is_there_where_an_issue_is_known() -> None:
    assert "issue" not in rows_of(text_of(metadata.record_table([record("a")], {})))[0]
    header, _, row = rows_of(text_of(metadata.record_table([record("a")], {"a": "acme/shop#7"})))
    assert dict(zip(header, row, strict=True))["issue"].startswith("[acme/shop")


def test_a_record_counts_on_each_day_of_its_episodes_and_on_none_between() -> None:
    over = Downtime(sighting(MONDAY), sighting(MONDAY + DAY))
    lasting = Downtime(sighting(MONDAY + 3 * DAY))
    one = replace(record(), downtimes=(over, lasting))
    assert [one.failed_within(MONDAY + n * DAY, MONDAY + (n + 1) * DAY) for n in (-1, 0, 2, 3, 9)] == [
        False, True, False, True, True,
    ]  # fmt: skip


def test_each_day_of_each_asset_shows_counts_a_plot_links_and_numbers(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.sources["shop"].runs = [
        dbt_run("1", "2026-11-20T02:00", failing=BROKEN),
        dbt_run("2", "2026-11-21T02:00", failing=BROKEN),
        dbt_run("3", "2026-11-21T03:00"),
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        assert world.run(DAILY_JOB, instance, tags=range_tags("2026-11-19", "2026-11-20")).success
        told = {
            (asset, day): instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(["shop", asset]), asset_partitions=[day]), limit=1
            ).records[0].asset_materialization.metadata  # type: ignore[union-attr]
            for asset in ("dbt_run_results", "dbt_error_records", "filed_issues")
            for day in ("2026-11-19", "2026-11-20")
        }  # fmt: skip
    for found in told.values():
        assert "![" in str(found["last_days"].value)
        assert "**" in str(found["counts"].value)
    results = told["dbt_run_results", "2026-11-20"]
    assert (results["failed_nodes"].value, results["failed_runs"].value, results["dbt_runs"].value) == (1, 1, 2)
    assert rows_of(str(results["runs"].value))[2][0] == "[2](https://cloud.getdbt.com/runs/2)"
    assert "most 1 on 2026-11-19, last 1" in str(results["last_days"].value)
    records = told["dbt_error_records", "2026-11-20"]
    assert (records["error_records"].value, records["critical_and_high"].value, records["quarantined"].value) == (
        1,
        0,
        0,
    )
    assert "https://cloud.getdbt.com/runs/2" in str(records["records"].value)
    filed = told["filed_issues", "2026-11-19"]
    assert (filed["opened"].value, filed["closed"].value, filed["records_without_issue"].value) == (1, 0, 0)
    assert "[acme/shop" in str(filed["records"].value)
    newest = told["filed_issues", "2026-11-20"]
    assert newest["issues_measured"].value == 1
    assert newest["median_seconds_to_detect"].value > 0


def test_a_life_is_told_with_its_times_and_with_harmless_words_of_why_it_is_silent() -> None:
    why = Suppression("wontfix", "alice", MONDAY, "see @everyone | <b>")
    told = metadata.life(Life("acme/shop#1", "shop", MONDAY, State.SUPPRESSED, failed_at=MONDAY - DAY, suppression=why))
    assert (told["life"].value, told["seconds_to_detect"].value) == ("suppressed", 86_400)
    assert "seconds_to_resolve" not in told
    assert "`wontfix` by alice at 2026-11-16 02:10 UTC: see" in str(told["suppressed"].value)
    assert "@everyone" not in str(told["suppressed"].value)


def test_medians_are_of_the_issues_that_know_them() -> None:
    hour = DAY / 24
    lives = [Life(str(one), "shop", MONDAY, responded_at=MONDAY + one * hour) for one in (1, 2, 9)]
    told = metadata.median_times([*lives, Life("4", "shop", MONDAY)])
    assert (told["issues_measured"].value, told["median_seconds_to_respond"].value) == (4, 7200)
    assert "median_seconds_to_detect" not in told


def test_a_quarantined_record_is_shown_with_the_reason_why_it_has_no_issue(tmp_path: Path) -> None:
    world = World(tmp_path)
    (project,) = world.settings.projects
    rule = {"nodes": ["orders"], "until": "2026-11-30", "reason": "a vendor is on it"}
    filters = type(project.filters).model_validate({"quarantine": [rule]})
    world.configure(projects=[project.model_copy(update={"filters": filters})])
    world.sources["shop"].runs = [dbt_run("1", "2026-11-21T02:00", failing=BROKEN)]
    with dg.DagsterInstance.ephemeral() as instance:
        assert world.run(DAILY_JOB, instance, partition_key="2026-11-20").success
        shown = {
            asset: instance.fetch_materializations(dg.AssetKey(["shop", asset]), limit=1)
            .records[0].asset_materialization.metadata  # type: ignore[union-attr]
            for asset in ("dbt_error_records", "filed_issues")
        }  # fmt: skip
    assert world.issues() == []
    assert shown["dbt_error_records"]["quarantined"].value == 1
    assert "until 2026-11-30: a vendor is on it" in str(shown["dbt_error_records"]["records"].value)
    assert "in quarantine until 2026-11-30: a vendor is on it" in str(shown["filed_issues"]["records"].value)
    assert shown["filed_issues"]["records_without_issue"].value == 1
