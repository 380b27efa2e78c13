"""A user's own taxonomy, from hub.yaml to the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from da_agent_hub.config.loading import SettingsError, load_settings
from da_agent_hub.config.taxonomy_files import taxonomy_of

HUB = """
projects:
  - name: shop
    repo: acme/shop
    source: {type: dbt_core, path: runs}
    taxonomy: [own.yaml]
github:
  - token: ghp_secret
"""
OWN = r"""
classes:
  loader_paused: {category: infrastructure_issue}
entries:
  - class: loader_paused
    sentence: pipeline {name} is paused
    example: pipeline crm_sync is paused by its owner
"""


def test_a_file_that_hub_yaml_names_adds_its_entries(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(HUB)
    (tmp_path / "own.yaml").write_text(OWN)
    settings = load_settings(tmp_path / "hub.yaml", {})
    taxonomy = taxonomy_of(settings.projects[0].taxonomy)
    assert taxonomy is not None
    found = taxonomy.recognise("pipeline billing is paused")
    assert found is not None
    assert (found.entry.error_class, found.about) == ("loader_paused", "billing")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (None, "cannot be read"),
        ("entries: [", "not YAML"),
        (OWN.replace("is paused\n", "is gone\n"), "its example is not matched"),
        (OWN.replace("infrastructure_issue", "bad_luck"), "category 'bad_luck' is none of"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_start_with_its_place(
    tmp_path: Path, own: str | None, said: str
) -> None:
    (tmp_path / "hub.yaml").write_text(HUB)
    if own is not None:
        (tmp_path / "own.yaml").write_text(own)
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path / "hub.yaml", {})
    assert said in str(refused.value)
    assert "hub.yaml:6: projects[0]" in str(refused.value)


def test_without_a_file_the_packages_own_taxonomy_is_used() -> None:
    assert taxonomy_of([]) is None
