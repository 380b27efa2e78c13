"""The data changed and the code did not: the playbooks must find where, and touch the code only where that is safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.investigation import Ending

from .broken_project import BrokenProject, told

pytestmark = pytest.mark.slow

SOURCES = """
    sources:
      - name: nursery
        schema: nursery
        tables: [{name: plants}, {name: beds}]
    models:
      - name: stg_plants
        columns:
          - name: plant_id
            data_tests: [unique, not_null]
          - name: kind
            data_tests:
              - accepted_values:
                  arguments: {values: [tree, shrub]}
"""
STG_PLANTS = """
    -- one row a plant
    with source as (

        select * from {{ source('nursery', 'plants') }}

    ),

    renamed as (

        select
            id as plant_id,
            kind,
            height_cm, -- measured in spring
            height_cm / 100.0 as height_m
        from source
        where height_cm is not null

    )

    select * from renamed
"""
TALLEST = """
    select kind, max(height_cm) as height_cm from {{ ref('stg_plants') }} group by kind
"""
UNIQUE = "test.garden.unique_stg_plants_plant_id"


@pytest.fixture
def garden(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path)
    project.commit(
        "plants", {"models/sources.yml": SOURCES, "models/stg_plants.sql": STG_PLANTS, "models/tallest.sql": TALLEST}
    )
    project.sql(
        """
        create schema nursery;
        create table nursery.plants as
        select i as id, case when i % 2 = 0 then 'tree' else 'shrub' end as kind, 50 + i * 7 as height_cm,
               timestamp '2026-11-18 01:00:00' as _loaded_at
        from range(1, 41) t(i);
        """
    )
    project.build()
    return project


def test_id(garden: BrokenProject, name: str) -> str:
    bench = garden.bench()
    try:
        graph = bench.graph()
        assert graph is not None
        return next(one for one in graph.nodes if one.startswith(f"test.garden.{name}"))
    finally:
        bench.close()


test_id.__test__ = False  # type: ignore[attr-defined]


def test_a_column_renamed_in_the_source_is_read_by_its_new_name_and_keeps_its_old_one_downstream(
    garden: BrokenProject,
) -> None:
    garden.sql("alter table nursery.plants rename column height_cm to stem_height")
    garden.build()
    record = garden.record("model.garden.stg_plants", kind=FailureKind.MODEL, good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert found.cause_kind == "data", told(found)
    assert "stem_height" in found.headline
    (fix,) = found.candidates
    (change,) = fix.changes
    assert change.path == "models/stg_plants.sql"
    assert change.content is not None
    assert "stem_height as height_cm, -- measured in spring" in change.content
    assert "stem_height / 100.0 as height_m" in change.content
    assert "-- one row a plant" in change.content
    assert found.root_node == "source.garden.nursery.plants"


def test_a_dropped_column_is_not_replaced_by_one_that_merely_sounds_alike(garden: BrokenProject) -> None:
    garden.sql(
        """
        alter table nursery.plants add column width_cm integer;
        update nursery.plants set width_cm = 3;
        alter table nursery.plants drop column height_cm;
        """
    )
    record = garden.record("model.garden.stg_plants", kind=FailureKind.MODEL, good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert not found.candidates, told(found)
    assert found.needs_person is not None
    assert found.cause_kind == "data"


def test_rows_delivered_twice_are_read_once_and_the_load_is_named(garden: BrokenProject) -> None:
    garden.sql(
        "insert into nursery.plants select id, kind, height_cm, timestamp '2026-11-20 01:00:00' from nursery.plants where id <= 5"
    )
    record = garden.record(test_id(garden, "unique_stg_plants"), good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert found.cause_kind == "data", told(found)
    assert found.root_node == "source.garden.nursery.plants", told(found)
    (fix,) = found.candidates
    assert fix.changes[0].content is not None
    assert "qualify row_number() over (partition by id order by _loaded_at) = 1" in fix.changes[0].content
    assert any("2026-11-20 01:00" in one.text for one in found.evidence)


def test_rows_with_one_key_and_different_values_are_never_hidden(garden: BrokenProject) -> None:
    garden.sql("insert into nursery.plants values (3, 'tree', 999, timestamp '2026-11-20 01:00:00')")
    record = garden.record(test_id(garden, "unique_stg_plants"), good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert not found.candidates, told(found)
    assert "kind" in (found.needs_person or "")


def test_a_new_value_is_counted_and_left_to_a_person(garden: BrokenProject) -> None:
    garden.sql(
        "insert into nursery.plants select i, 'fern', 20, timestamp '2026-11-20 01:00:00' from range(100, 104) t(i)"
    )
    record = garden.record(test_id(garden, "accepted_values_stg_plants"), good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert not found.candidates
    assert "fern" in found.headline, told(found)
    assert "4 rows" in found.headline, told(found)
    assert "2026-11-20 01:00" in found.headline, told(found)
    assert found.root_node == "source.garden.nursery.plants"


def test_a_burst_of_nulls_is_traced_to_the_load_that_brought_it(garden: BrokenProject) -> None:
    garden.sql("insert into nursery.plants select null, 'tree', 20, timestamp '2026-11-20 01:00:00' from range(3)")
    record = garden.record(test_id(garden, "not_null_stg_plants"), good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert found.ending is Ending.ANSWERED, told(found)
    assert found.root_node == "source.garden.nursery.plants", told(found)
    assert "2026-11-20 01:00" in found.headline, told(found)
    assert not found.candidates


def test_a_new_name_without_likeness_is_known_by_the_values_that_a_table_downstream_still_holds(
    garden: BrokenProject,
) -> None:
    view = "{{ config(materialized='view') }}\nselect id as plant_id, kind, height_cm from {{ source('nursery', 'plants') }}\n"
    garden.commit(
        "View",
        {
            "models/stg_plants.sql": view,
            "models/plants.sql": "select plant_id, height_cm from {{ ref('stg_plants') }}\n",
        },
    )
    garden.build()
    garden.sql("alter table nursery.plants rename column height_cm to stature")
    record = garden.record("model.garden.stg_plants", kind=FailureKind.MODEL, good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert found.candidates, told(found)
    assert "stature as height_cm" in (found.candidates[0].changes[0].content or "")


@pytest.mark.parametrize(("values", "is_known"), [("height_cm", True), ("height_cm * 10 + id", False)])
def test_a_new_name_that_may_be_another_measure_is_known_by_what_was_made_of_the_old_one(
    garden: BrokenProject, values: str, is_known: bool
) -> None:
    view = (
        "{{ config(materialized='view') }}\nwith source as (select * from {{ source('nursery', 'plants') }})\n"
        "select id as plant_id, kind, height_cm / 100.0 as height_m from source\n"
    )
    garden.commit(
        "View",
        {
            "models/stg_plants.sql": view,
            "models/plants.sql": "select plant_id, height_m from {{ ref('stg_plants') }}\n",
            "models/tallest.sql": "select kind, max(height_m) as height_m from {{ ref('stg_plants') }} group by kind\n",
        },
    )
    garden.build()
    garden.sql(
        f"""
        alter table nursery.plants add column total_height_cm integer;
        update nursery.plants set total_height_cm = {values};
        alter table nursery.plants drop column height_cm;
        """
    )
    record = garden.record("model.garden.stg_plants", kind=FailureKind.MODEL, good=garden.commits[-1])
    bench = garden.bench()
    try:
        found = garden.investigate(record, bench)
    finally:
        bench.close()
    assert bool(found.candidates) is is_known, told(found)
    if is_known:
        assert "total_height_cm / 100.0 as height_m" in (found.candidates[0].changes[0].content or "")
