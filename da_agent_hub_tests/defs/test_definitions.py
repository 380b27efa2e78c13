import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("dagster_dbt", "dbt", "github", "anthropic", "sqlalchemy", "alembic", "sqlglot")
LOAD = f"import da_agent_hub.definitions as d, sys; print(sorted(set({HEAVY!r}) & set(sys.modules)), d.defs)"
HUB_VARIABLES = {
    "DA_AGENT_HUB_CONFIG",
    "DBT_CLOUD_API_TOKEN",
    "DBT_CLOUD_ACCOUNT_ID",
    "DBT_PROJECT_NAME",
    "GITHUB_REPO",
}

HUB_YAML = """\
projects:
  - name: shop
    repo: acme/shop
    source: {type: dbt_cloud, account_id: 1, token: not-a-real-token}
github:
  - {token: not-a-real-token}
"""


def load(folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in HUB_VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", LOAD], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_fresh_clone_loads_with_a_warning_that_names_the_next_step(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert "No project is monitored yet" in loaded.stderr
    assert "hub.yaml" in loaded.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_loading_a_configuration_imports_nothing_heavy_and_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(HUB_YAML)
    loaded = load(tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.startswith("[] ")
    assert [file.name for file in tmp_path.iterdir()] == ["hub.yaml"]


@pytest.mark.slow
def test_a_broken_configuration_is_no_reason_to_go_on_without_one(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(HUB_YAML.replace("repo:", "repos:"))
    loaded = load(tmp_path)
    assert loaded.returncode != 0
    assert "repos" in loaded.stderr


@pytest.mark.slow
def test_a_broken_state_file_leaves_the_lineage_out_and_loads(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text(HUB_YAML)
    (tmp_path / ".hub").mkdir()
    (tmp_path / ".hub" / "hub.db").write_text("half a sentence, and then the power went " * 40)
    loaded = load(tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert "left out of the lineage" in loaded.stderr
