"""The workbench: private, warm, capped, and gone without a trace, over real git, dbt and DuckDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from da_agent_hub.adapters.git_checkout import (
    CheckoutError,
    Mirror,
    PathOutsideCheckoutError,
    PrivateDirectory,
    git_environment,
)
from da_agent_hub.adapters.read_only_sql import QueryRefusedError, read_only_select
from da_agent_hub.adapters.workbench import GitWorkbench, clone_url
from da_agent_hub.config import GitHubSettings
from da_agent_hub.domain.investigation import FileChange

from ..playbooks.broken_project import BrokenProject


@pytest.fixture
def project(tmp_path: Path) -> BrokenProject:
    project = BrokenProject(tmp_path)
    project.commit(
        "first",
        {
            "models/a.sql": "select * from {{ source('raw', 't') }}\n",
            "models/s.yml": "sources:\n  - {name: raw, schema: raw, tables: [{name: t}]}\n",
        },
    )
    project.sql("create schema raw; create table raw.t as select 1 as id")
    return project


@pytest.fixture
def bench(project: BrokenProject) -> Iterator[GitWorkbench]:
    bench = project.bench()
    yield bench
    bench.close()


def test_a_checkout_moves_and_keeps_nothing_of_before(project: BrokenProject, bench: GitWorkbench) -> None:
    first = project.commits[0]
    second = project.commit("second", {"models/b.sql": "select 2 as id\n"})
    bench.apply([FileChange("models/a.sql", "select 3\n"), FileChange("left.txt", "x")])
    assert "+select 3" in bench.diff()
    assert "left.txt" in bench.diff()
    bench.close()
    bench = project.bench()
    assert bench.head() == second
    bench.checkout(first)
    assert bench.diff() == ""
    assert bench.read("models/b.sql") is None
    assert bench.read_at(second, "models/b.sql") == "select 2 as id\n"
    assert [commit.subject for commit in bench.commits(first, second)] == ["second"]
    assert bench.commits(first, second, ["models/a.sql"]) == []
    assert "+select 2 as id" in bench.show(second)
    bench.close()


@pytest.mark.parametrize("path", ["../out.sql", "/etc/x", ".git/config", "models/../../x", ".GIT/hooks/x", ""])
def test_a_patch_never_leaves_the_checkout(bench: GitWorkbench, path: str) -> None:
    with pytest.raises(PathOutsideCheckoutError):
        bench.apply([FileChange(path, "x")])


def test_a_link_out_of_the_repository_is_neither_read_nor_written(project: BrokenProject) -> None:
    (project.root / "models" / "link.sql").symlink_to("/etc/passwd")
    project.commit("link", {})
    bench = project.bench()
    assert bench.read("models/link.sql") is None
    with pytest.raises(PathOutsideCheckoutError):
        bench.apply([FileChange("models/link.sql", "x")])
    bench.close()


def test_two_workbenches_at_once_do_not_meet_and_a_killed_ones_leftover_is_swept(
    project: BrokenProject, tmp_path: Path
) -> None:
    one, other = project.bench(), project.bench()
    assert one.root != other.root
    left = subprocess.Popen(
        [sys.executable, "-c", f"from pathlib import Path; from da_agent_hub.adapters.git_checkout import PrivateDirectory; import time; print(PrivateDirectory(Path({str(tmp_path / 'checkouts')!r})).path, flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert left.stdout is not None
    leftover = Path(left.stdout.readline().strip())
    assert leftover.exists()
    os.kill(left.pid, signal.SIGKILL)
    left.wait()
    fresh = PrivateDirectory(tmp_path / "checkouts")
    assert not leftover.exists()
    assert one.root.exists()
    assert other.root.exists()
    for bench in (fresh, one, other):
        bench.remove() if isinstance(bench, PrivateDirectory) else bench.close()
    assert list((tmp_path / "checkouts" / "private").iterdir()) == []


def test_a_repository_that_is_not_there_is_one_clear_error_without_the_token(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, "http://127.0.0.1:9/acme/none.git", "ghp_secretsecretsecret")
    with pytest.raises(CheckoutError, match="git fetch failed") as error:
        mirror.fetch()
    assert "secret" not in str(error.value)


def test_a_branch_that_is_not_there_is_one_clear_error(project: BrokenProject, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "checkouts", str(project.root), None)
    with pytest.raises(CheckoutError, match=r"has no branch nowhere$"):
        mirror.fetch(branch="nowhere")


def test_the_token_travels_in_a_header_for_its_host_alone(tmp_path: Path) -> None:
    environment = git_environment(tmp_path, "https://git.example/acme/shop.git", "ghp_x")
    held = {key: value for key, value in environment.items() if "Authorization" in value}
    (place,) = held
    assert environment[place.replace("VALUE", "KEY")] == "http.https://git.example/.extraHeader"
    assert "GITHUB_API_TOKEN" not in environment


def test_the_clone_address_comes_from_the_github_host(project: BrokenProject) -> None:
    github = GitHubSettings.model_validate(
        {"host": "127.0.0.1:8123", "base_url": "http://127.0.0.1:8123/api/v3", "token": "t"}
    )
    settings = project.settings(clone_url=None)
    assert clone_url(settings, github) == "http://127.0.0.1:8123/acme/garden.git"
    assert clone_url(settings, None) == "https://github.com/acme/garden.git"


@pytest.mark.slow
def test_rows_that_production_holds_only_in_its_write_ahead_log_are_there_after_each_reset(
    project: BrokenProject, bench: GitWorkbench
) -> None:
    with duckdb.connect(str(project.dbt / "garden.duckdb")) as connection:
        connection.execute("pragma disable_checkpoint_on_shutdown")
        connection.execute("insert into raw.t values (2), (3)")
    for _ in range(3):
        bench.reset_warehouse()
        assert bench.query("select count(*) as n from raw.t").rows == ((3,),)
    bench.reset_warehouse()
    assert bench.dbt("build").ok
    assert bench.query("select count(*) as n from {{ ref('a') }}").rows == ((3,),)


@pytest.mark.slow
def test_dbt_runs_on_a_private_copy_and_production_never_notices(
    project: BrokenProject, bench: GitWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = bench.dbt("build")
    assert built.ok, built.log
    assert built.statuses == {"model.garden.a": "success"}
    assert bench.query("select id from {{ ref('a') }}").rows == ((1,),)
    assert project.sql("select count(*) from information_schema.tables where table_name = 'a'") == [(0,)]
    project.sql("insert into raw.t values (2)")
    bench.reset_warehouse()
    assert bench.query("select count(*) as n from {{ source('raw', 't') }}").rows == ((2,),)
    assert bench.query("select * from main.a").error is not None
    timed = bench.dbt("build", timeout=0.01)
    assert timed.timed_out
    assert not timed.ok
    assert bench.dbt("build").ok  # a new process
    assert bench._process._process is not None
    os.killpg(bench._process._process.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert bench.dbt("build").ok


@pytest.mark.slow
def test_dbt_sees_no_variable_that_the_operator_did_not_name(
    project: BrokenProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_TOKEN", "ghp_secret")
    monkeypatch.setenv("SHOP_REGION", "eu")
    project.commit(
        "env",
        {
            "models/a.sql": "select '{{ env_var('GITHUB_API_TOKEN', 'none') }}' as token, '{{ env_var('SHOP_REGION', 'none') }}' as region\n"
        },
    )
    bench = project.bench(verification={"target": "dev", "environment": ["SHOP_REGION"]})
    assert bench.dbt("build").ok
    assert bench.query("select token, region from main.a").rows == (("none", "eu"),)
    bench.close()


@pytest.mark.slow
def test_without_a_verification_target_dbt_only_parses(project: BrokenProject) -> None:
    bench = project.bench(verification={})
    assert not bench.can_run_dbt
    assert bench.graph() is not None
    assert not bench.dbt("build").ok
    assert bench.query("select 1").error is not None
    bench.close()


@pytest.mark.parametrize(
    "sql",
    [
        "drop table t", "select 1; select 2", "insert into t select 1", "copy t to 'x.csv'", "attach 'x.db'", "pragma version",
        "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "select * from 'data.parquet'", "select getenv('HOME')",
        "with x as (delete from t returning 1) select * from x", "{{ run_query('drop table t') }}", "select {{ env_var('A') }}",
        "call f()", "select * from glob('*')", "not sql at all", "", "set x = 1", "install httpfs", "select read_text('/etc/passwd')",
    ],
)  # fmt: skip
def test_a_query_that_does_more_than_read_relations_is_refused(sql: str) -> None:
    with pytest.raises(QueryRefusedError):
        read_only_select(sql, "duckdb", None)


def test_an_ordinary_select_passes_unchanged() -> None:
    sql = "with a as (select id, count(*) as n from main.t group by 1) select * from a where n > 1 order by id"
    assert read_only_select(sql + ";", "duckdb", None) == sql
