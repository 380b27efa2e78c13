"""The command as a user meets it before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from da_agent_hub.cli.main import main


def run(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), env=environ)


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DA_AGENT_HUB_CONFIG", "DBT_CLOUD_API_TOKEN", "GITHUB_API_TOKEN", "GITHUB_REPO", "DBT_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_help_lists_every_command_without_importing_dagster() -> None:
    code = "import sys; from da_agent_hub.cli.main import main; main(['--help'], standalone_mode=False); print('dagster' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("demo", "doctor", "monitor", "try"):
        assert f"\n  {name} " in shown
    assert shown.endswith("False\n")


@pytest.mark.parametrize("command", ["doctor", "monitor"])
def test_no_configuration_at_all_ends_with_code_2_and_the_way_out(command: str) -> None:
    result = run(command)
    assert result.exit_code == 2
    assert "there is no hub.yaml here" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["doctor", "monitor"])
def test_a_broken_file_ends_with_code_2_and_a_line_a_problem(command: str, tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("projcts: []\n")
    result = run(command)
    assert result.exit_code == 2
    assert "the configuration has 3 problems:\n" in result.output
    assert "did you mean 'projects'?" in result.output


@pytest.mark.parametrize("command", [("doctor",), ("monitor",), ("demo",), ("try", ".")])
def test_a_place_for_json_that_cannot_be_written_is_told_before_any_work(command: tuple[str, ...]) -> None:
    result = run(*command, "--json", "/proc/no/such/place.json")
    assert result.exit_code == 1
    assert "name a folder that you may write to" in result.output


def test_an_unknown_command_is_told() -> None:
    assert run("frobnicate").exit_code == 2


def test_a_store_that_is_no_store_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_text("no database, but long enough to be looked at\n" * 100)
    (tmp_path / "hub.yaml").write_text(
        "projects: [{name: shop, repo: a/b, source: {type: dbt_core, path: target}}]\n"
        "github: [{token: x}]\nstate: {url: 'sqlite:///hub.db'}\n"
    )
    result = run("monitor")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "hub.db" in result.output
