"""The taxonomy of messages: its entries prove themselves, a user's come first, and no message is slow."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from da_agent_hub.domain.pattern_literals import required_literals
from da_agent_hub.domain.quotations import without_quotations
from da_agent_hub.domain.taxonomy import Entry, TaxonomyError, builtin
from da_agent_hub.domain.taxonomy_check import check_entries

PAUSED = "Runtime Error in model orders (models/orders.sql)\n  pipeline crm_sync is paused by its owner"


def own(pattern: str, example: str = PAUSED, level: str = "sentence", category: str = "infrastructure_issue") -> object:
    return {
        "classes": {"loader_paused": {"category": category, "complexity": 2, "words": "the loader is paused"}},
        "entries": [{"class": "loader_paused", level: pattern, "example": example}],
    }


@pytest.mark.parametrize(
    "entry", builtin().entries, ids=lambda entry: f"{entry.origin}-{entry.error_class}-{entry.level}"
)
def test_each_entry_is_the_first_to_match_its_own_example(entry: Entry) -> None:
    found = builtin().recognise(entry.example)
    assert found is not None
    assert found.entry is entry


def test_every_class_has_a_name_in_words_and_every_family_has_entries() -> None:
    assert all(known.words for known in builtin().classes.values())
    families = {entry.origin for entry in builtin().entries}
    assert {
        "athena_trino.yaml",
        "bigquery.yaml",
        "databricks.yaml",
        "dbt.yaml",
        "duckdb.yaml",
        "postgres.yaml",
        "redshift.yaml",
        "snowflake.yaml",
        "sqlserver.yaml",
    } <= families


@pytest.mark.slow
@pytest.mark.parametrize("origin", sorted({entry.origin for entry in builtin().entries}))
def test_no_entry_of_the_package_is_slow_on_any_text(origin: str) -> None:
    check_entries(builtin(), origin)


@pytest.mark.parametrize(
    "piece",
    [
        "'",
        '"',
        "a",
        " ",
        "\n",
        "the column '",
        "' \"",
        "[a_b.",
        "\x1b[",
        "x is undefined ",
        "column a.",
        "error: '",
        "(",
    ],
)
def test_a_megabyte_of_hostile_text_takes_less_than_a_second(piece: str) -> None:
    builtin().recognise("warm " + piece)
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    builtin().recognise(text)
    assert time.perf_counter() - began < 1.0


def test_definitions_can_be_imported_without_reading_the_taxonomy() -> None:
    code = "import da_agent_hub.domain.classification as c, sys; assert 'yaml' not in sys.modules; print(c.builtin.cache_info())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "currsize=0" in said


@pytest.mark.parametrize(
    ("message", "error_class"),
    [
        ('invalid input syntax for type integer: "permission denied"', "invalid_value"),
        ("Numeric value 'connection refused' is not recognized", "invalid_value"),
        ("[CAST_INVALID_INPUT] The value 'out of memory' of the type \"STRING\" cannot be cast to \"INT\"", "invalid_value"),
        ("Conversion Error: Could not convert string 'deadlock detected' to INT32", "invalid_value"),
        ('column "statement timeout" does not exist\n  LINE 9: select "permission denied" from x', "missing_column"),
    ],
)  # fmt: skip
def test_what_a_message_only_quotes_is_not_its_cause(message: str, error_class: str) -> None:
    found = builtin().recognise(f"Database Error in model disk_full (models/out of memory.sql)\n  {message}")
    assert found is not None
    assert found.entry.error_class == error_class


def test_a_text_without_its_quotations_is_as_long_as_before() -> None:
    text = "('42S22', \"[42S22] [Microsoft]Invalid column name 'cust_id'. (207)\")\n LINE 3: select 'a'"
    said = without_quotations(text)
    assert len(said) == len(text)
    assert "cust_id" not in said
    assert "Invalid column name" in said
    assert "select" not in said


def test_a_users_entry_is_tried_before_those_of_its_level_and_says_what_it_is_about() -> None:
    taxonomy = builtin().extended(own("pipeline {name} is paused"), "own.yaml")
    check_entries(taxonomy, "own.yaml")
    found = taxonomy.recognise(PAUSED)
    assert found is not None
    assert (found.entry.error_class, found.about) == ("loader_paused", "crm_sync")
    assert taxonomy.class_named("loader_paused").words == "the loader is paused"
    also = builtin().extended(own("permission denied for", "permission denied for schema crm"), "own.yaml")
    again = also.recognise("permission denied for schema crm")
    assert again is not None
    assert again.entry.origin == "own.yaml"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (own("pipeline (is paused"), "not a regular expression"),
        (own("(?:[a-z_ ]+)+!"), "too slow"),
        (own("pipeline .* paused" + "x" * 700), "longer than"),
        (own("pipeline is gone"), "its example is not matched"),
        (own("model orders", "permission denied for schema crm in model orders", "words"), "matched first by an entry of"),
        (own("paused", category="somebody_else"), "none of transient_failure"),
        ({"entries": [{"class": "no_such", "code": "x", "example": "x"}]}, "is not known; add it to classes"),
        ({"entries": [{"class": "lock_conflict", "pattern": "x", "example": "x"}]}, "one pattern named code"),
        ({"entries": "all"}, "must be a list"),
        ([], "write the keys classes: and entries:"),
        ({"classes": {"Bad Name": {"category": "code_fix_required"}}}, "of small letters"),
        ({"classes": {"odd": {"category": "code_fix_required", "complexity": 11}}}, "from 1 to 10"),
        ({"classes": {"odd": {"category": "code_fix_required", "kind": "model"}}}, "kind 'model' is none of connection"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_is_refused_with_what_is_wrong(document: object, said: str) -> None:
    with pytest.raises(TaxonomyError, match=r"own\.yaml") as refused:
        check_entries(builtin().extended(document, "own.yaml"), "own.yaml")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("permission denied", ("permission denied",)),
        ("colou?r of it", ("r of it",)),
        ("a+bcd", ("bcd",)),
        (r"\[delta_\w+\]", ("[delta_",)),
        ("(?:one|three) fish(?:es)?", (" fish",)),
        ("(?:alpha|beta)", ("alpha", "beta")),
        ("alpha|be", ()),
        ("(?!alpha)xyz", ("xyz",)),
        (r"\d+ of .{0,9}", (" of ",)),
    ],
)
def test_the_literals_of_a_pattern_are_what_it_cannot_match_without(pattern: str, literals: tuple[str, ...]) -> None:
    assert required_literals(pattern) == literals
