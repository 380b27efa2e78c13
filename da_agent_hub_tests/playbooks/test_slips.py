"""Slips of the pen: mended where what was meant can be shown, left to a person where a way back would lose something."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.investigation import Investigation

from .broken_project import BrokenProject, told

pytestmark = pytest.mark.slow

BASE = {
    "models/sources.yml": """
        sources:
          - name: farm
            schema: farm
            tables: [{name: beds}, {name: plants}]
    """,
    "models/stg_beds.sql": """
        select
            bed_id,
            soil,
            width_m
        from {{ source('farm', 'beds') }}
    """,
    "models/stg_plants.sql": "select plant_id, bed_id, species from {{ source('farm', 'plants') }}\n",
    "models/plants.sql": """
        select p.plant_id, p.species, b.soil
        from {{ ref('stg_plants') }} as p
        left join {{ ref('stg_beds') }} as b on p.bed_id = b.bed_id
    """,
    "models/plants.yml": """
        models:
          - name: plants
            columns:
              - name: plant_id
                data_tests: [unique]
    """,
    "tests/all_plants_are_there.sql": """
        select count(*) from {{ ref('plants') }}
        having count(*) <> (select count(*) from {{ source('farm', 'plants') }})
    """,
}


@pytest.fixture
def farm(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path)
    project.commit("farm", BASE)
    project.sql(
        """
        create schema farm;
        create table farm.beds as select i as bed_id, 'clay' as soil, 2 as width_m, 9 as length_m from range(4) t(i);
        create table farm.plants as select i as plant_id, i % 6 as bed_id, 'rose' as species from range(30) t(i);
        """
    )
    project.build()
    return project


def look(project: BrokenProject, name: str | None, **record: object) -> Investigation:
    bench = project.bench()
    try:
        graph = bench.graph()
        node = next((one for one in graph.nodes if name and one.split(".")[2] == name), None) if graph else None
        return project.investigate(project.record(node, **record), bench)  # type: ignore[arg-type]
    finally:
        bench.close()


def text_of(found: Investigation, path: str) -> str:
    assert found.candidates, told(found)
    return next((one.content or "" for one in found.candidates[0].changes if one.path == path), told(found))


def test_a_comma_lost_upstream_is_written_again_and_the_new_column_stays(farm: BrokenProject) -> None:
    guilty = farm.commit(
        "Length",
        {
            "models/stg_beds.sql": BASE["models/stg_beds.sql"].replace(
                "soil,\n            width_m", "length_m,\n            soil\n            width_m"
            )
        },
    )
    farm.commit("Readme", {"README.md": "farm\n"})
    found = look(farm, "plants", kind=FailureKind.MODEL)
    assert found.culprit_sha == guilty, told(found)
    assert found.root_node == "model.garden.stg_beds"
    assert "length_m,\n    soil,\n    width_m" in text_of(found, "models/stg_beds.sql")


def test_a_join_that_became_inner_in_a_rewrite_is_a_left_join_again_and_the_rewrite_stays(farm: BrokenProject) -> None:
    rewritten = """
        with
        plants as (
            select * from {{ ref('stg_plants') }}
        ),
        beds as (
            select * from {{ ref('stg_beds') }}
        ),
        joined as (
            select plants.plant_id, plants.species, beds.soil, beds.width_m > 1 as is_wide
            from plants
            inner join beds on plants.bed_id = beds.bed_id
        )
        select * from joined
    """
    guilty = farm.commit("Import CTEs", {"models/plants.sql": rewritten})
    farm.commit("Wide", {"models/wide.sql": "select plant_id from {{ ref('plants') }} where is_wide\n"})
    found = look(farm, "all_plants_are_there")
    assert found.culprit_sha == guilty, told(found)
    assert "left join beds" in text_of(found, "models/plants.sql")
    assert "is_wide" in text_of(found, "models/plants.sql")


def test_a_badly_indented_test_is_indented_and_not_dropped(farm: BrokenProject) -> None:
    text = BASE["models/plants.yml"].rstrip() + "\n             - name: soil\n                data_tests: [not_null]\n"
    guilty = farm.commit("Test soil", {"models/plants.yml": text})
    found = look(farm, None, kind=FailureKind.COMPILE)
    assert found.culprit_sha == guilty, told(found)
    assert "\n      - name: soil\n        data_tests: [not_null]\n" in text_of(found, "models/plants.yml")


def test_a_broken_schema_file_without_history_is_mended_where_dbt_points(tmp_path: Path) -> None:
    project = BrokenProject(tmp_path)
    text = BASE["models/plants.yml"].rstrip() + "\n             - name: soil\n                data_tests: [unique]\n"
    project.commit("Working tree", {**BASE, "models/plants.yml": text})
    found = look(project, None, kind=FailureKind.COMPILE)
    assert found.culprit_sha is None
    assert "\n      - name: soil\n" in text_of(found, "models/plants.yml")


def test_a_deleted_model_that_is_still_read_comes_back_alone(farm: BrokenProject) -> None:
    farm.commit("More", {"models/idle.sql": "select 1 as one\n"})
    guilty = farm.commit("Tidy", {"models/idle.sql": None, "models/stg_beds.sql": None})
    farm.commit("Readme", {"README.md": "farm\n"})
    found = look(farm, None, kind=FailureKind.COMPILE)
    assert found.culprit_sha == guilty, told(found)
    assert [one.path for one in found.candidates[0].changes] == ["models/stg_beds.sql"], told(found)


def test_a_model_that_was_renamed_is_followed_by_those_that_read_it(farm: BrokenProject) -> None:
    guilty = farm.commit(
        "Name by source", {"models/stg_beds.sql": None, "models/farm__plots.sql": BASE["models/stg_beds.sql"]}
    )
    found = look(farm, None, kind=FailureKind.COMPILE)
    assert found.culprit_sha == guilty, told(found)
    assert "{{ ref('farm__plots') }} as b" in text_of(found, "models/plants.sql")


def test_a_macro_that_lost_an_argument_is_given_back_to_its_callers(farm: BrokenProject) -> None:
    caller = "select plant_id, {{ label('species', upper=true) }} as label from {{ ref('plants') }}\n"
    macro = "{% macro label(column, upper=false) %}trim({{ column }}){% endmacro %}\n"
    farm.commit("Labels", {"macros/label.sql": macro, "models/labels.sql": caller})
    guilty = farm.commit("Tidy", {"macros/label.sql": macro.replace(", upper=false", "")})
    farm.commit("Wrap", {"models/labels.sql": caller.replace("select ", "select\n    ")})
    found = look(farm, None, kind=FailureKind.COMPILE)
    assert found.culprit_sha == guilty, told(found)
    assert text_of(found, "macros/label.sql") == macro


def test_a_column_mistyped_without_history_is_told_from_a_renamed_one_by_who_else_knows_the_name(
    tmp_path: Path,
) -> None:
    project = BrokenProject(tmp_path)
    project.commit("Working tree", {**BASE, "models/stg_beds.sql": BASE["models/stg_beds.sql"].replace("soil", "siol")})
    project.sql(
        """
        create schema farm;
        create table farm.beds as select i as bed_id, 'clay' as soil, 2 as width_m from range(4) t(i);
        create table farm.plants as select i as plant_id, i % 6 as bed_id, 'rose' as species from range(30) t(i);
        """
    )
    found = look(project, "stg_beds", kind=FailureKind.MODEL)
    assert (found.cause_kind, found.root_node) == ("code", "model.garden.stg_beds"), told(found)
    assert "bed_id,\n    soil,\n" in text_of(found, "models/stg_beds.sql")


def test_a_column_that_production_last_had_under_the_old_name_was_renamed_and_not_mistyped(farm: BrokenProject) -> None:
    farm.sql("alter table farm.beds rename column soil to soils")
    found = look(farm, "stg_beds", kind=FailureKind.MODEL)
    assert (found.cause_kind, found.root_node) == ("data", "source.garden.farm.beds"), told(found)
    assert "soils as soil" in text_of(found, "models/stg_beds.sql")


def test_a_commit_is_not_taken_back_where_a_column_that_it_brought_would_be_lost(farm: BrokenProject) -> None:
    farm.sql("create table farm.labels as select i % 4 as bed_id, 'l' || i as label from range(8) t(i)")
    farm.commit(
        "Labels source",
        {"models/labels.yml": "sources:\n  - name: tags\n    schema: farm\n    tables: [{name: labels}]\n"},
    )
    text = BASE["models/plants.sql"].rstrip().replace("b.soil", "b.soil, l.label")
    guilty = farm.commit(
        "Labels",
        {
            "models/plants.sql": text
            + "\n        left join {{ source('tags', 'labels') }} as l on l.bed_id = p.bed_id\n"
        },
    )
    found = look(farm, "unique_plants_plant_id")
    assert found.culprit_sha == guilty, told(found)
    assert not found.candidates, told(found)
    assert "label" in (found.needs_person or "")


def test_a_seed_row_that_doubles_a_key_is_traced_to_its_commit_and_left_to_a_person(farm: BrokenProject) -> None:
    seed = "soil,grade\nclay,1\nsand,2\n"
    model = "select p.plant_id, s.grade from {{ ref('plants') }} p join {{ ref('soils') }} s on s.soil = p.soil\n"
    tests = "models:\n  - name: graded\n    columns:\n      - name: plant_id\n        data_tests: [unique]\n"
    farm.commit("Soils", {"seeds/soils.csv": seed, "models/graded.sql": model, "models/graded.yml": tests})
    guilty = farm.commit("Peat", {"seeds/soils.csv": seed + "peat,3\nclay,4\n"})
    farm.commit("Loam", {"seeds/soils.csv": seed + "peat,3\nclay,4\nloam,5\n"})
    farm.build()
    found = look(farm, "unique_graded_plant_id")
    assert (found.culprit_sha, found.root_node) == (guilty, "seed.garden.soils"), told(found)
    assert not found.candidates, told(found)
