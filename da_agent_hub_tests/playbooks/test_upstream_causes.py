"""Rows came wrong from where they are made: the playbooks name the load, the sender or the clock, and touch no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.investigation import Ending, Investigation
from da_agent_hub.playbooks.contrast import shift_of, unit_of

from .broken_project import BrokenProject, told

pytestmark = pytest.mark.slow


def look(
    place: Path,
    files: Mapping[str, str],
    before: str,
    after: str,
    failing: str,
    *,
    has_history: bool = True,
    kind: FailureKind = FailureKind.TEST,
) -> Investigation:
    """A project whose data turned from good to bad between two builds, as the playbooks see it."""
    project = BrokenProject(place)
    project.commit("first", files)
    project.sql(before)
    project.build()
    project.sql(after)
    project.build()
    bench = project.bench()
    try:
        graph = bench.graph()
        assert graph is not None
        node = next(one for one in graph.nodes if one.split(".")[2].startswith(failing))
        record = project.record(node, kind=kind, good=project.commits[-1] if has_history else None)
        return project.investigate(record, bench)
    finally:
        bench.close()


def yaml_of(source: str, tables: str, model: str, columns: str, extra: str = "") -> str:
    """The YAML of one source and one tested model."""
    return (
        f"sources:\n  - name: {source}\n    schema: {source}\n{extra}    tables: [{tables}]\n"
        f"models:\n  - name: {model}\n    columns:\n{columns}"
    )


def test_prices_of_a_new_till_in_cents_are_named_by_the_till_and_the_factor(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/bakery.yml": yaml_of(
                "tills", "{name: receipts}", "receipts",
                "      - name: receipt_no\n        data_tests: [unique]\n",
                extra="    loader: till bridge\n    config: {meta: {owner: {name: Shop systems, email: shops@example.com}}}\n",
            ),
            "models/stg_receipts.sql": "select receipt_no, till, upper(branch) as branch, total, sold_on from {{ source('tills', 'receipts') }}\n",
            "models/receipts.sql": "select receipt_no, till, total as total_eur, sold_on from {{ ref('stg_receipts') }}\n",
            "tests/no_bread_costs_a_fortune.sql": "select receipt_no, total_eur from {{ ref('receipts') }} where total_eur > 200\n",
        },
        """
        create schema tills;
        create table tills.receipts as select i as receipt_no, 'till-' || (i % 3) as till, 'b' || (i % 4) as branch,
        round(4 + (i * 37 % 140) / 10, 2) as total, date '2026-11-10' + (i // 40)::int as sold_on from range(360) t(i);
        """,
        """
        insert into tills.receipts select 1000 + i, 'kiosk', 'b' || (i % 4), 400 + (i * 37 % 1400),
        date '2026-11-18' + (i // 15)::int from range(30) t(i);
        """,
        "no_bread",
    )  # fmt: skip
    assert found.ending is Ending.ANSWERED, told(found)
    assert found.cause_kind == "data"
    assert found.root_node == "source.garden.tills.receipts"
    assert "till = 'kiosk'" in found.headline, told(found)
    assert "0 of 360 others" in found.headline, told(found)
    assert "cents" in found.headline, told(found)
    assert "Shop systems" in found.who_should_act
    assert "till bridge" in found.who_should_act
    assert not found.candidates


def test_a_file_delivered_twice_without_a_load_time_is_named_by_its_file(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/ferry.yml": yaml_of(
                "quay", "{name: boardings}", "boardings",
                "      - name: boarding_key\n        data_tests: [unique]\n",
            ),
            "models/boardings.sql": "select md5(ticket || '-' || leg) as boarding_key, ticket, leg, pier from {{ source('quay', 'boardings') }}\n",
        },
        """
        create schema quay;
        create table quay.boardings as select 'T' || i as ticket, i % 2 as leg, 'pier ' || (i % 5) as pier,
        'boardings_' || (i // 50) || '.csv' as source_file from range(300) t(i);
        """,
        "insert into quay.boardings select ticket, leg, pier, 'boardings_5_again.csv' from quay.boardings where source_file = 'boardings_5.csv'",
        "unique_boardings",
    )  # fmt: skip
    assert found.root_node == "source.garden.quay.boardings", told(found)
    assert "boardings_5_again.csv" in found.headline, told(found)
    assert "50" in found.headline


def test_a_day_of_which_a_fraction_came_is_named_with_its_rows_where_only_a_sum_fails(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/grid.yml": "sources: [{name: meters, schema: meters, tables: [{name: readings}]}]\n",
            "models/daily_load.sql": "select read_on, sum(kwh) as kwh from {{ source('meters', 'readings') }} group by read_on\n",
            "tests/load_is_plausible.sql": "select 1 as is_low from (select min(kwh) as low, max(kwh) as high from {{ ref('daily_load') }}) as both where low * 2 < high\n",
        },
        """
        create schema meters;
        create table meters.readings as select i % 100 as meter, 5 + (i * 13 % 17) as kwh, case when i % 100 < 50 then 'north' else 'south' end as district,
        date '2026-11-08' + (i // 100)::int as read_on from range(1200) t(i);
        """,
        "delete from meters.readings where read_on = date '2026-11-19' and meter >= 30",
        "load_is_plausible",
        has_history=False,
    )  # fmt: skip
    assert found.root_node == "source.garden.meters.readings", told(found)
    assert "2026-11-19 brought 30 rows" in found.headline, told(found)
    assert "the 11 before brought 100:" in found.headline, told(found)
    assert found.ending is Ending.ANSWERED


def test_a_clock_of_another_zone_is_named_by_its_sender_and_its_hours(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/bikes.yml": yaml_of("docks", "{name: rides}", "rides", "      - name: ride_ref\n        data_tests: [not_null]\n"),
            "models/rides.sql": "select ride_ref, vendor, taken_at, returned_at from {{ source('docks', 'rides') }}\n",
            "tests/returned_after_taken.sql": "select * from {{ ref('rides') }} where returned_at < taken_at\n",
        },
        """
        create schema docks;
        create table docks.rides as select 'r' || i as ride_ref, case when i % 2 = 0 then 'velo' else 'pedal' end as vendor,
        timestamp '2026-11-15 08:00:00' + interval (i * 7) minute as taken_at,
        timestamp '2026-11-15 08:00:00' + interval (i * 7 + 25 + i % 9) minute as returned_at from range(400) t(i);
        """,
        """
        insert into docks.rides select 'n' || i, 'swift', timestamp '2026-11-17 08:00:00' + interval (i * 11) minute,
        timestamp '2026-11-17 08:00:00' + interval (i * 11 + 29 - 120) minute from range(40) t(i);
        """,
        "returned_after_taken",
    )  # fmt: skip
    assert "vendor = 'swift'" in found.headline, told(found)
    assert "2 hours apart" in found.headline, told(found)
    assert found.root_node == "source.garden.docks.rides"


def test_orphans_are_laid_to_the_parent_that_was_not_loaded_that_day(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/library.yml": yaml_of(
                "desk", "{name: loans}, {name: members}", "loans",
                "      - name: member\n        data_tests:\n          - relationships: {arguments: {to: ref('members'), field: member}}\n",
            ),
            "models/members.sql": "select member, joined from {{ source('desk', 'members') }}\n",
            "models/loans.sql": "select loan, member, shelf from {{ source('desk', 'loans') }}\n",
        },
        """
        create schema desk;
        create table desk.members as select i as member, date '2026-11-09' + (i // 10)::int as joined, timestamp '2026-11-09 01:00:00' + interval (i // 10) day as ingested_at from range(100) t(i);
        create table desk.loans as select i as loan, i % 100 as member, 's' || (i % 6) as shelf, timestamp '2026-11-09 02:00:00' + interval (i // 40) day as ingested_at from range(400) t(i);
        """,
        "insert into desk.loans select 900 + i, 100 + i, 's' || (i % 6), timestamp '2026-11-19 02:00:00' from range(20) t(i)",
        "relationships_loans",
    )  # fmt: skip
    assert found.root_node == "source.garden.desk.members", told(found)
    assert "2026-11-18" in told(found)
    assert "2026-11-19 02:00:00" in found.headline, told(found)
    assert not found.candidates


def test_nulls_of_one_feed_in_a_seed_without_any_times_are_named_by_the_feed(tmp_path: Path) -> None:
    rows = [f"{i},{'farm' if i % 3 else 'wharf'},{i % 7}" for i in range(1, 61)]
    bad = [f"{i},coop," for i in range(61, 73)]
    project = BrokenProject(tmp_path)
    project.commit(
        "first",
        {
            "seeds/crates.csv": "crate,feed,grade\n" + "\n".join(rows) + "\n",
            "models/crates_graded.sql": "select crate, feed, grade from {{ ref('crates') }}\n",
            "models/crates.yml": "models:\n  - name: crates_graded\n    columns:\n      - name: grade\n        data_tests: [not_null]\n",
        },
    )
    project.build()
    project.sql(
        "insert into crates select * from (values "
        + ", ".join(f"({one.split(',')[0]}, 'coop', null)" for one in bad)
        + ")"
    )
    bench = project.bench()
    try:
        graph = bench.graph()
        assert graph is not None
        node = next(one for one in graph.nodes if one.startswith("test."))
        found = project.investigate(project.record(node, good=project.commits[-1]), bench)
    finally:
        bench.close()
    assert "feed = 'coop'" in found.headline, told(found)
    assert found.root_node == "seed.garden.crates"


def test_rows_that_an_incremental_model_took_from_a_bad_batch_are_named_by_the_batch(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/press.yml": yaml_of("cellar", "{name: tanks}", "tank_log", "      - name: sample\n        data_tests: [unique]\n"),
            "models/tank_log.sql": "{{ config(materialized='incremental', unique_key='sample') }}\n"
            "select sample, tank, sugar, batch_no from {{ source('cellar', 'tanks') }}\n"
            "{% if is_incremental() %} where batch_no > (select max(batch_no) from {{ this }}) {% endif %}\n",
            "tests/sugar_in_range.sql": "select sample, sugar from {{ ref('tank_log') }} where sugar not between 0 and 40\n",
        },
        """
        create schema cellar;
        create table cellar.tanks as select i as sample, 't' || (i % 8) as tank, 12 + (i * 7 % 11) as sugar, 1 + i // 32 as batch_no from range(256) t(i);
        """,
        "insert into cellar.tanks select 600 + i, 't' || (i % 8), 12000 + (i * 7 % 11) * 1000, 9 from range(32) t(i)",
        "sugar_in_range",
        has_history=False,
    )  # fmt: skip
    assert "batch_no = '9'" in found.headline, told(found)
    assert "thousandth" in found.headline, told(found)
    assert found.root_node == "source.garden.cellar.tanks"


def test_personal_values_are_counted_and_never_shown_where_they_set_rows_apart(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/clinic.yml": yaml_of(
                "ward", "{name: visits, columns: [{name: insurer_email, config: {tags: [pii]}}]}", "visits",
                "      - name: visit\n        data_tests: [unique]\n",
            ),
            "models/visits.sql": "select visit, insurer_email, fee from {{ source('ward', 'visits') }}\n",
            "tests/fee_is_positive.sql": "select visit, fee from {{ ref('visits') }} where fee <= 0\n",
        },
        """
        create schema ward;
        create table ward.visits as select i as visit, 'claims' || (i % 4) || '@insurer.example' as insurer_email, 40 + i % 30 as fee from range(200) t(i);
        """,
        "insert into ward.visits select 500 + i, 'late@insurer.example', -1 * (40 + i) from range(14) t(i)",
        "fee_is_positive",
    )  # fmt: skip
    assert "insurer_email = (hidden)" in found.headline, told(found)
    assert "late@insurer" not in told(found)


def test_rows_without_anything_in_common_are_said_to_have_nothing_and_nobody_is_blamed(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/meals.yml": yaml_of("kitchen", "{name: trays}", "trays", "      - name: tray_id\n        data_tests: [unique]\n"),
            "models/trays.sql": "select tray_id, school, weight from {{ source('kitchen', 'trays') }}\n",
            "tests/tray_not_too_heavy.sql": "select * from {{ ref('trays') }} where weight > 900\n",
        },
        """
        create schema kitchen;
        create table kitchen.trays as select i as tray_id, 'school ' || (i % 10) as school, date '2026-11-08' + (i % 12)::int as packed_on, 400 + i % 90 as weight from range(1200) t(i);
        """,
        "update kitchen.trays set weight = 950 where tray_id in (17, 230, 388, 541, 702, 865, 1014, 1150)",
        "tray_not_too_heavy",
    )  # fmt: skip
    assert found.ending is Ending.INCONCLUSIVE, told(found)
    assert any("nothing in common" in one.claim for one in found.findings), told(found)
    assert not found.candidates
    assert found.confidence <= 0.4


def test_where_sender_and_load_fit_alike_both_are_said(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        {
            "models/depot.yml": yaml_of("depot", "{name: parcels}", "parcels", "      - name: parcel\n        data_tests: [unique]\n"),
            "models/parcels.sql": "select parcel, grams from {{ source('depot', 'parcels') }}\n",
            "tests/parcel_weighs_something.sql": "select * from {{ ref('parcels') }} where grams < 50\n",
        },
        """
        create schema depot;
        create table depot.parcels as select i as parcel, 'hub ' || (i % 3) as hub, 800 + i * 317 % 4000 as grams, timestamp '2026-11-10 03:00:00' + interval (i // 30) day as loaded_at from range(270) t(i);
        """,
        "insert into depot.parcels select 900 + i, 'hub 9', (800 + i * 317 % 4000) / 1000.0, timestamp '2026-11-19 03:00:00' from range(25) t(i)",
        "parcel_weighs",
    )  # fmt: skip
    said = told(found)
    assert "hub = 'hub 9'" in said
    assert "loaded_at = '2026-11-19 03:00:00'" in said
    assert any(one.certainty == "possible" and "cannot tell" in one.claim for one in found.findings), said
    assert "kilograms" in found.headline, said
    assert "hub = 'hub 9'" in found.headline, said


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(99.0, "cents"), (1 / 104, "cents"), (1000, "kilograms"), (60.5, "minutes"), (2.2, "pounds"), (7.3, "")],
)
def test_a_factor_is_told_by_its_unit_and_other_factors_are_not(ratio: float, said: str) -> None:
    assert said in unit_of(ratio)
    assert bool(unit_of(ratio)) is bool(said)


@pytest.mark.parametrize(
    ("minutes", "said"), [(-120, "2 hours"), (60, "1 hour"), (330, "5.5 hours"), (3, ""), (77, ""), (2000, "")]
)
def test_a_shift_of_whole_half_hours_is_a_clock_and_other_shifts_are_not(minutes: float, said: str) -> None:
    assert said in shift_of(minutes)
    assert bool(shift_of(minutes)) is bool(said)
