"""A name found by likeness is a fix only where the values of old, or the commit's own diff, say that it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.investigation import Investigation

from .broken_project import BrokenProject, told

pytestmark = pytest.mark.slow

BASE = {
    "models/sources.yml": "sources: [{name: mill, schema: mill, tables: [{name: sacks}]}]\n",
    "models/sacks_in_g.sql": "select sack_id, grams as weight from {{ source('mill', 'sacks') }}\n",
    "macros/weights.sql": """
        {% macro grams_to_kilos(column) %}({{ column }} / 1000.0){% endmacro %}
        {% macro gram_to_milligrams(column) %}({{ column }} * 1000.0){% endmacro %}
    """,
    "models/flour.sql": "select sack_id, {{ grams_to_kilos('weight') }} as weight from {{ ref('sacks_in_g') }}\n",
    "models/bread.sql": "select sack_id, {{ grams_to_kilos('weight') }} as bread from {{ ref('sacks_in_g') }}\n",
}
KILOS = "{% macro gram_weight_as_kilograms(column) %}({{ column }} / 1000.0){% endmacro %}\n"
DECOY = "{% macro grams_to_kilo(column) %}({{ column }} * 1.0){% endmacro %}\n"


@pytest.fixture
def mill(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path)
    project.commit("mill", BASE)
    project.sql(
        "create schema mill; create table mill.sacks as select i as sack_id, 700 + i as grams from range(9) t(i);"
    )
    project.build()
    return project


def look(project: BrokenProject, node: str | None = "model.garden.flour") -> Investigation:
    bench = project.bench()
    try:
        kind = FailureKind.MODEL if node else FailureKind.COMPILE
        return project.investigate(project.record(node, kind=kind, good=project.commits[0]), bench)
    finally:
        bench.close()


def test_of_two_like_macros_the_one_that_keeps_the_values_is_called(mill: BrokenProject) -> None:
    macros = DECOY + "{% macro grams_to_kg(column) %}({{ column }} / 1000.0){% endmacro %}\n"
    guilty = mill.commit("Short names", {"macros/weights.sql": macros, "models/bread.sql": None})
    found = look(mill)
    assert found.culprit_sha == guilty, told(found)
    assert "grams_to_kg('weight')" in (found.candidates[0].changes[0].content or ""), told(found)


def test_a_like_macro_of_another_unit_is_rejected_and_said_to_be(mill: BrokenProject) -> None:
    mill.commit("Long names", {"macros/weights.sql": DECOY + KILOS, "models/bread.sql": None})
    found = look(mill)
    changed = [one.content or "" for candidate in found.candidates for one in candidate.changes]
    assert not any("grams_to_kilo(" in text and "macro" not in text for text in changed), told(found)
    assert any(one.certainty == "ruled out" and "other values" in one.claim for one in found.findings), told(found)


def test_a_name_that_the_commit_itself_wrote_for_the_old_one_beats_a_like_name(mill: BrokenProject) -> None:
    mill.commit(
        "Long names",
        {
            "macros/weights.sql": DECOY + KILOS,
            "models/bread.sql": BASE["models/bread.sql"].replace("grams_to_kilos", "gram_weight_as_kilograms"),
        },
    )
    found = look(mill)
    assert "gram_weight_as_kilograms('weight')" in (found.candidates[0].changes[0].content or ""), told(found)


def test_of_two_like_models_the_one_that_keeps_the_values_is_read(mill: BrokenProject) -> None:
    mill.commit(
        "Sacks by unit",
        {
            "models/sacks_in_g.sql": None,
            "models/bread.sql": None,
            "models/sacks_in_t.sql": "select sack_id, grams * 1000 as weight from {{ source('mill', 'sacks') }}\n",
            "models/sacks_in_grams.sql": BASE["models/sacks_in_g.sql"],
        },
    )
    found = look(mill, None)
    assert "ref('sacks_in_grams')" in (found.candidates[0].changes[0].content or ""), told(found)
