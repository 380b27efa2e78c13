"""`try` on real dbt projects: what is found, what is said of bad input, and that PATH stays as it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from da_agent_hub.cli.main import main

from .broken_shop import FILES, GOOD, commit, dbt, fingerprint, git, make_shop, write


def attempt(path: Path, home: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["try", str(path), "--home", str(home), *options])


def refused(result: Result) -> str:
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return result.output.splitlines()[-1]


def answer(path: Path, home: Path) -> dict[str, Any]:
    """Over a real process, as people call it."""
    out = home.with_suffix(".json")
    command = [sys.executable, "-m", "da_agent_hub.cli", "try", str(path), "--home", str(home), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"\[ +0 s\] copying ", done.stderr)  # each step is told, with its second
    content = json.loads(out.read_text())
    assert isinstance(content, dict)
    assert ("add --stay" in done.stdout) is bool(content["issues"])
    return content


def test_no_such_path_and_no_dbt_project_are_one_line(tmp_path: Path) -> None:
    assert "does not exist: name the folder of a dbt project" in refused(attempt(tmp_path / "no", tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    assert "holds no dbt project" in refused(attempt(tmp_path / "empty", tmp_path / "home"))


def test_a_home_inside_the_project_is_refused(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    assert "which stays as it is: name another --home" in refused(attempt(project, project / "home"))
    assert not (project / "home").exists()


def test_a_project_file_that_dbt_cannot_read_either_is_one_line(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    (project / "dbt_project.yml").write_text("name: [shop\n")
    assert "dbt_project.yml is not valid YAML (line 2)" in refused(attempt(project, tmp_path / "home"))
    (project / "dbt_project.yml").write_text("profile: shop\n")
    assert "has no `name`" in refused(attempt(project, tmp_path / "home"))


def test_a_key_that_dbt_refuses_in_its_project_file_is_one_line(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    (project / "dbt_project.yml").write_text("name: shop\nprofile: shop\nversion: ['1']\n")
    said = refused(attempt(project, tmp_path / "home"))
    assert "dbt cannot read dbt_project.yml, mend it first" in said
    assert "RuntimeWarning" not in said


def test_no_profile_a_wrong_one_and_a_missing_adapter_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    project, home = make_shop(tmp_path / "shop"), tmp_path / "home"
    said = refused(attempt(project, home, "--target", "prod"))
    assert "no target 'prod' (it has dev)" in said
    assert "verification" not in said
    write(
        project,
        {"profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: \"{{ env_var('NO_DB') }}\"}}}\n"},
    )
    said = refused(attempt(project, home))
    assert "NO_DB: set it" in said
    assert "verification" not in said
    write(project, {"profiles.yml": "shop:\n  target: dev\n  outputs:\n    dev: {type: oracle9, host: x}\n"})
    assert "install dbt-oracle9" in refused(attempt(project, home))
    write(project, {"profiles.yml": "other: {}\n"})
    assert "has no profile 'shop'" in refused(attempt(project, home))
    (project / "profiles.yml").unlink()
    assert "name its folder with --profiles-dir" in refused(attempt(project, home))


def test_no_git_on_the_path_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_shop(tmp_path / "shop")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not on the PATH" in refused(attempt(project, tmp_path / "home"))


@pytest.mark.slow
def test_a_project_that_passes_ends_well_and_files_nothing(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    git(tmp_path / "shop", "revert", "--no-edit", "HEAD")
    assert answer(project, tmp_path / "home") == {"project": str(project), "failed": False, "issues": []}


@pytest.mark.slow
def test_a_commit_that_broke_a_test_is_found_and_the_project_stays_as_it_was(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    culprit = git(project, "rev-parse", "HEAD").strip()
    before = fingerprint(tmp_path / "shop")
    content = answer(project / "models", tmp_path / "home")
    assert fingerprint(tmp_path / "shop") == before
    assert content["run"]["built_here"] is True
    (issue,) = content["issues"]
    assert "orders.order_id" in issue["title"]
    assert issue["investigation"]["culprit_sha"] == culprit
    assert issue["fix"]["verified"] is True
    assert "-union all select 1, 10" in issue["fix"]["diff"]
    assert issue["pull_request"]["state"] == "open"


@pytest.mark.slow
def test_where_the_history_was_cloned_in_part_older_code_is_not_ruled_out(tmp_path: Path) -> None:
    models = "whole/dbt/models"
    make_shop(tmp_path / "whole")
    write(tmp_path, {f"{models}/orders.sql": GOOD, f"{models}/tags.sql": "select 10 as amount, 'new' as tag\n"})
    commit(tmp_path / "whole", "Tag amounts")
    joined = "select o.* from {{ ref('orders') }} o join {{ ref('tags') }} t on o.amount = t.amount\n"
    tests = FILES["dbt/models/models.yml"].replace("name: orders", "name: tagged")
    write(
        tmp_path,
        {
            f"{models}/tags.sql": "select 10 as amount, 'new' as tag union all select 10, 'old'\n",
            f"{models}/tagged.sql": joined,
            f"{models}/models.yml": tests,
        },
    )
    commit(tmp_path / "whole", "Join the tags")
    write(tmp_path, {"whole/README.md": "Orders and their tags.\n"})
    commit(tmp_path / "whole", "Say what this is")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tmp_path}/whole", str(tmp_path / "cut"))
    (issue,) = answer(tmp_path / "cut" / "dbt", tmp_path / "home")["issues"]
    investigation = issue["investigation"]
    assert investigation["culprit_sha"] is None
    assert investigation["confidence"] <= 0.6
    claims = {one["claim"]: one["certainty"] for one in investigation["findings"]}
    unseen = [one for one in claims if "not ruled out: the history that was cloned begins at" in one]
    assert [claims[one] for one in unseen] == ["possible"]


@pytest.mark.slow
def test_failures_that_are_there_already_are_taken_without_another_build(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    assert dbt(project, "build") == 1
    before = fingerprint(tmp_path / "shop")
    content = answer(tmp_path / "shop", tmp_path / "home")
    assert fingerprint(tmp_path / "shop") == before
    assert content["run"]["built_here"] is False
    assert len(content["issues"]) == 1
    assert content["issues"][0]["fix"]["verified"] is True


@pytest.mark.slow
def test_half_written_artifacts_are_no_finding_and_the_project_is_built(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    write(project, {"target/run_results.json": '{"metadata": {', "target/manifest.json": "[]"})
    content = answer(project, tmp_path / "home")
    assert content["run"]["built_here"] is True
    assert "unreadable" not in content["issues"][0]["title"]
    assert (project / "target/run_results.json").read_text() == '{"metadata": {'


@pytest.mark.slow
def test_a_project_that_does_not_parse_is_a_finding_and_no_error(tmp_path: Path) -> None:
    project = make_shop(tmp_path / "shop")
    write(project, {"models/report.sql": "select * from {{ ref('ordres') }}\n"})
    (issue,) = answer(project, tmp_path / "home")["issues"]
    assert "ordres" in issue["title"]
    assert issue["category"] == "code_fix_required"
    assert issue["investigation"]["headline"]
