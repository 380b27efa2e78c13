"""The labelled pairs are a set one may measure with: well formed, balanced, and of every warehouse and kind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from da_agent_hub.domain.failure import FailureKind

PAIRS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "fingerprint_pairs.yaml").read_text(encoding="utf-8")
)["pairs"]
FAMILIES = {
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
    "redshift": "Redshift",
    "databricks": "Databricks and Spark",
    "spark": "Databricks and Spark",
    "postgres": "Postgres",
    "duckdb": "DuckDB",
    "sqlserver": "SQL Server, Fabric and Synapse",
    "fabric": "SQL Server, Fabric and Synapse",
    "synapse": "SQL Server, Fabric and Synapse",
    "athena": "Athena and Trino",
    "trino": "Athena and Trino",
}
OF_THE_PAIR = {"id", "part", "same", "why", "left", "right"}
REQUIRED = {"kind", "node", "adapter", "dbt", "message"}
OPTIONAL = {"path", "failures", "compiled", "relations", "project", "run"}
KINDS_COVERED = {
    FailureKind.MODEL,
    FailureKind.SEED,
    FailureKind.SNAPSHOT,
    FailureKind.TEST,
    FailureKind.UNIT_TEST,
    FailureKind.SOURCE_FRESHNESS,
    FailureKind.COMPILE,
    FailureKind.HOOK,
    FailureKind.CONNECTION,
}


def sides(pair: dict[str, Any]) -> list[dict[str, Any]]:
    """Both failures of a pair, each with what the pair says for both."""
    shared = {key: value for key, value in pair.items() if key not in OF_THE_PAIR}
    return [{**shared, **pair["left"]}, {**shared, **pair["right"]}]


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["id"] for pair in PAIRS])
def test_a_pair_tells_two_failures_a_label_and_the_reason(pair: dict[str, Any]) -> None:
    assert pair["part"] in {"first", "second"}
    assert isinstance(pair["same"], bool)
    assert pair["why"].strip().endswith(".")
    left, right = sides(pair)
    assert left != right, "a pair of equal failures measures nothing"
    for side in (left, right):
        assert REQUIRED <= side.keys() <= REQUIRED | OPTIONAL
        FailureKind(side["kind"])
        assert side["message"].strip()
        assert side["adapter"] in FAMILIES
        assert isinstance(side["dbt"], str), "1.10 is a version, not the number 1.1"


def test_no_id_names_two_pairs() -> None:
    assert [name for name, count in Counter(pair["id"] for pair in PAIRS).items() if count > 1] == []


def test_both_labels_have_at_least_sixty_pairs_and_either_part_holds_both() -> None:
    labels = Counter(pair["same"] for pair in PAIRS)
    assert len(PAIRS) >= 170
    assert min(labels[True], labels[False]) >= 60
    for part in ("first", "second"):
        assert {pair["same"] for pair in PAIRS if pair["part"] == part} == {True, False}
    assert sum(pair["part"] == "first" for pair in PAIRS) >= 55


def test_every_warehouse_family_has_pairs_of_both_labels() -> None:
    seen = {(FAMILIES[side["adapter"]], pair["same"]) for pair in PAIRS for side in sides(pair)}
    assert seen == {(family, same) for family in FAMILIES.values() for same in (True, False)}


def test_every_kind_of_failure_that_a_node_or_step_can_have_appears() -> None:
    assert {FailureKind(side["kind"]) for pair in PAIRS for side in sides(pair)} >= KINDS_COVERED


def test_no_pair_is_labelled_twice_with_other_labels() -> None:
    labels: dict[str, set[bool]] = {}
    for pair in PAIRS:
        failures = sorted(repr(sorted(side.items(), key=lambda item: item[0])) for side in sides(pair))
        labels.setdefault("\n".join(failures), set()).add(pair["same"])
    assert [failures for failures, given in labels.items() if len(given) > 1] == []
