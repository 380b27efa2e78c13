"""A commit is the cause: the playbooks must name it, spare the innocent ones, and take back as little as possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.adapters.workbench import GitWorkbench
from da_agent_hub.domain.failure import FailureKind

from .broken_project import BrokenProject, told

pytestmark = pytest.mark.slow

BASE = {
    "seeds/raw_visits.csv": "visit_id,patient_id,ward,cost\n1,10,a,5\n2,10,b,7\n3,11,a,1\n4,12,a,2\n",
    "seeds/raw_patients.csv": "patient_id,name\n10,Ann\n11,Bob\n12,Cy\n",
    "seeds/raw_wards.csv": "ward,floor,valid_from\na,1,2020-01-01\nb,2,2020-01-01\na,1,2024-01-01\n",
    "models/staging/stg_visits.sql": "select visit_id, patient_id, ward, cost from {{ ref('raw_visits') }}\n",
    "models/staging/stg_patients.sql": "select patient_id, name from {{ ref('raw_patients') }}\n",
    "models/staging/stg_wards.sql": "select ward, floor, valid_from from {{ ref('raw_wards') }}\n",
    "models/marts/visits.sql": """
        select
            v.visit_id,
            v.patient_id,
            p.name,
            v.ward,
            {{ with_vat('v.cost') }} as cost
        from {{ ref('stg_visits') }} as v
        left join {{ ref('stg_patients') }} as p on v.patient_id = p.patient_id
    """,
    "models/marts/totals.sql": """
        select patient_id, sum(cost) as cost from {{ ref('visits') }} group by patient_id
    """,
    "macros/with_vat.sql": "{% macro with_vat(column) %}{{ column }} * 1.2{% endmacro %}\n",
    "models/marts/marts.yml": """
        models:
          - name: visits
            columns:
              - name: visit_id
                data_tests: [unique, not_null]
              - name: cost
                data_tests: [not_null]
    """,
}


@pytest.fixture
def clinic(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path)
    project.commit("clinic", BASE)
    project.build()
    return project


def opened(project: BrokenProject, start: str) -> tuple[GitWorkbench, str]:
    """A bench at the newest commit, and the id of the test whose name starts so."""
    bench = project.bench()
    graph = bench.graph()
    assert graph is not None
    return bench, next(
        one for one in graph.nodes if one.rsplit(".", 2)[-2].startswith(start) or one.rsplit(".", 1)[-1] == start
    )


def visits_with(ward_join: str, columns: str = "") -> str:
    return (
        BASE["models/marts/visits.sql"]
        .replace("v.ward,", f"v.ward,\n            {columns}" if columns else "v.ward,")
        .rstrip()
        + f"\n        {ward_join}\n"
    )


def test_a_join_that_repeats_rows_is_mended_without_losing_the_column_it_brought(clinic: BrokenProject) -> None:
    good = clinic.commits[-1]
    clinic.commit(
        "Rename a comment",
        {"models/staging/stg_patients.sql": "-- people\nselect patient_id, name from {{ ref('raw_patients') }}\n"},
    )
    guilty = clinic.commit(
        "Show the floor",
        {
            "models/marts/visits.sql": visits_with(
                "left join {{ ref('stg_wards') }} as w on v.ward = w.ward", "w.floor,"
            )
        },
    )
    clinic.commit("Document", {"README.md": "clinic\n"})
    clinic.build()
    bench, test = opened(clinic, "unique_visits_visit_id")
    try:
        found = clinic.investigate(clinic.record(test, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    first = found.candidates[0]
    assert first.strategy == "mend the join's grain", told(found)
    assert "select distinct ward, floor from {{ ref('stg_wards') }}" in (first.changes[0].content or "")
    assert "w.floor" in (first.changes[0].content or "")


def test_of_two_commits_on_the_model_only_the_older_is_found_guilty_and_only_its_line_goes(
    clinic: BrokenProject,
) -> None:
    good = clinic.commits[-1]
    broken = BASE["models/marts/visits.sql"].replace(
        "as p on v.patient_id = p.patient_id", "as p on v.patient_id >= p.patient_id"
    )
    guilty = clinic.commit("Simplify the join", {"models/marts/visits.sql": broken})
    clinic.commit(
        "Say paid", {"models/marts/visits.sql": broken.replace("v.ward,", "v.ward,\n            true as is_paid,")}
    )
    bench, test = opened(clinic, "unique_visits_visit_id")
    try:
        found = clinic.investigate(clinic.record(test, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    text = found.candidates[0].changes[0].content or ""
    assert "on v.patient_id = p.patient_id" in text
    assert "is_paid" in text


def test_what_a_commit_was_to_change_is_not_taken_back_for_a_test_that_may_be_out_of_date(
    clinic: BrokenProject,
) -> None:
    good = clinic.commits[-1]
    guilty = clinic.commit(
        "Free visits cost nothing: no amount is stored",
        {"macros/with_vat.sql": "{% macro with_vat(column) %}nullif({{ column }}, 7) * 1.25{% endmacro %}\n"},
    )
    bench, test = opened(clinic, "not_null_visits_cost")
    try:
        found = clinic.investigate(clinic.record(test, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    assert not found.candidates, told(found)
    assert "the test may be what is out of date" in (found.needs_person or "")


def test_a_macro_upstream_of_the_failing_test_is_found_and_mended(clinic: BrokenProject) -> None:
    good = clinic.commits[-1]
    guilty = clinic.commit(
        "Refactor the rate",
        {"macros/with_vat.sql": "{% macro with_vat(column) %}nullif({{ column }}, 7) * 1.25{% endmacro %}\n"},
    )
    bench, test = opened(clinic, "not_null_visits_cost")
    try:
        found = clinic.investigate(clinic.record(test, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    assert found.candidates[0].changes[0].path == "macros/with_vat.sql"


def test_a_mistyped_ref_is_mended_by_the_nearest_name(clinic: BrokenProject) -> None:
    good = clinic.commits[-1]
    guilty = clinic.commit(
        "Average cost",
        {"models/marts/totals.sql": "select patient_id, avg(cost) as mean from {{ ref('vists') }} group by 1\n"},
    )
    bench = clinic.bench()
    try:
        found = clinic.investigate(clinic.record(None, kind=FailureKind.COMPILE, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    assert found.candidates[0].strategy == "mend the name"
    assert (
        found.candidates[0].changes[0].content
        == "select patient_id, avg(cost) as mean from {{ ref('visits') }} group by 1\n"
    )


def test_broken_yaml_is_taken_back_by_the_commits_own_lines(clinic: BrokenProject) -> None:
    good = clinic.commits[-1]
    text = BASE["models/marts/marts.yml"].replace(
        "      - name: cost", "        description: one row a visit\n      - name: cost"
    )
    guilty = clinic.commit("Describe", {"models/marts/marts.yml": text.replace("one row", "one: row")})
    bench = clinic.bench()
    try:
        found = clinic.investigate(clinic.record(None, kind=FailureKind.COMPILE, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    assert found.candidates, told(found)


def test_a_model_that_names_a_column_wrongly_is_traced_to_its_commit(clinic: BrokenProject) -> None:
    good = clinic.commits[-1]
    guilty = clinic.commit(
        "Count visits",
        {
            "models/marts/totals.sql": "select patient_id, sum(costs) as cost, count(*) as visits from {{ ref('visits') }} group by 1\n"
        },
    )
    bench = clinic.bench()
    try:
        found = clinic.investigate(clinic.record("model.garden.totals", kind=FailureKind.MODEL, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    assert found.candidates, told(found)


def test_a_failure_upstream_is_named_as_the_cause_of_what_was_skipped(clinic: BrokenProject) -> None:
    good = clinic.commits[-1]
    guilty = clinic.commit(
        "Tidy",
        {"models/staging/stg_visits.sql": "select visit_id, patient_id, wing, cost from {{ ref('raw_visits') }}\n"},
    )
    bench, test = opened(clinic, "unique_visits_visit_id")
    try:
        found = clinic.investigate(clinic.record(test, good=good), bench)
    finally:
        bench.close()
    assert found.culprit_sha == guilty, told(found)
    assert found.root_node == "model.garden.stg_visits"
