from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from da_agent_hub.adapters.dbt_core import DbtCoreError, DbtCoreRuns
from da_agent_hub.config import DbtCoreSource
from da_agent_hub.domain.dbt import DbtRun, Outcome
from da_agent_hub.domain.failure import FailureKind
from da_agent_hub.domain.record_building import build_records
from da_agent_hub.domain.run_failures import failures_of

from .shop_project import dbt, statuses, write_shop

pytestmark = pytest.mark.slow
NOW = datetime.now(timezone.utc)
UNIQUE = "test.shop.unique_stg_orders_order_id"


def runs_of(path: Path) -> DbtCoreRuns:
    return DbtCoreRuns(DbtCoreSource(type="dbt_core", path=path))


def every_run(source: DbtCoreRuns) -> list[DbtRun]:
    listed = source.finished_runs("shop", NOW - timedelta(days=1), NOW + timedelta(days=1))
    return [source.read_run("shop", one.run_id) for one in listed]


def build_of(source: DbtCoreRuns) -> DbtRun:
    return next(run for run in every_run(source) if run.steps[0].name == "dbt build")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop after a build in which tests failed and models were skipped, and a freshness check."""
    root = write_shop(tmp_path_factory.mktemp("shop"))
    assert dbt(root, "build", "--target", "prod").returncode == 1
    assert dbt(root, "source", "freshness").returncode == 1
    return root


def test_every_result_of_a_build_is_read_with_its_meaning(built: Path) -> None:
    build, freshness = every_run(runs_of(built / "target"))
    run = build
    said = statuses(built / "target" / "run_results.json")
    assert {one.unique_id: one.status for one in run.steps[-1].results} == said
    assert (run.environment, run.git_sha, run.status, run.unread) == ("prod", "f" * 40, "error", ())
    assert (freshness.steps[0].name, freshness.status) == ("dbt source freshness", "error")
    assert build.run_id != freshness.run_id
    unique = next(one for one in run.steps[-1].results if one.unique_id.startswith(UNIQUE))
    assert (unique.outcome, unique.failures) == (Outcome.BAD, 1)
    assert unique.compiled_sql
    assert "group by" in unique.compiled_sql


def test_the_lineage_knows_tests_owners_exposures_and_unit_tests(built: Path) -> None:
    source = runs_of(built / "target")
    graph = source.read_graph("shop", build_of(source).run_id)
    assert graph is not None
    assert (graph.package, graph.adapter_type) == ("shop", "duckdb")
    staging = graph.nodes["model.shop.stg_orders"]
    assert staging.owner
    assert (staging.owner.name, staging.owner.github) == ("Sales Data", "ada")
    assert (staging.path, staging.tags, staging.group) == ("models/stg_orders.sql", ("staging",), "sales")
    accepted = next(one for one in graph.nodes.values() if one.test and one.test.name == "accepted_values")
    assert accepted.test
    assert (accepted.test.attached_node, accepted.test.column) == ("model.shop.stg_orders", "status")
    assert accepted.test.arguments["values"] == ["placed", "shipped"]
    not_null = next(one for one in graph.nodes.values() if one.test and one.test.name == "not_null")
    assert not_null.test
    assert not_null.test.severity == "warn"
    singular = graph.nodes["test.shop.no_orders"]
    assert singular.test
    assert (singular.test.name, singular.test.attached_node) == ("singular", "model.shop.stg_orders")
    board = graph.nodes["exposure.shop.board"]
    assert board.owner
    assert (board.url, board.owner.email) == ("https://bi.example.com/board", "grace@example.com")
    assert "exposure.shop.board" in graph.descendants("seed.shop.raw_orders")
    unit = graph.nodes["unit_test.shop.codes.keeps_status"]
    assert unit.test
    assert unit.test.attached_node == "model.shop.codes"


def test_each_failure_of_a_real_build_is_classified_and_skips_get_no_record(built: Path) -> None:
    source = runs_of(built / "target")
    runs, run = every_run(source), build_of(source)
    graph = source.read_graph("shop", run.run_id)
    kinds = {one.kind for run in runs for one in failures_of(run, graph)}
    assert {FailureKind.SOURCE_FRESHNESS, FailureKind.UNIT_TEST, FailureKind.TEST} <= kinds
    records = build_records(runs, graph)
    bad = {one.unique_id for run in runs for _, one in run.results() if one.outcome is Outcome.BAD}
    assert bad == {node for record in records for node in (record.node, *record.members)}
    assert {"unit_test_mismatch", "stale_source", "row_condition"} <= {record.error_class for record in records}
    skipped = {one.unique_id for _, one in run.results() if one.outcome is Outcome.SKIPPED}
    assert skipped
    assert skipped == {node for record in records for node in record.skipped}


def test_results_left_over_from_an_earlier_command_are_not_believed(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    shutil.copytree(built, root)
    before = (root / "target" / "run_results.json").read_bytes()
    write_shop(root, models__orders_dot_sql="select * from {{ ref('stg_order') }}\n")
    assert dbt(root, "build").returncode == 2
    assert (root / "target" / "run_results.json").read_bytes() == before
    build, _, run = every_run(runs_of(root / "target"))
    assert {one.unique_id: one.status for _, one in build.results()} == statuses(root / "target" / "run_results.json")
    assert list(run.results()) == []
    assert run.environment == "prod"
    failure = failures_of(run, None)[0]
    assert (failure.kind, failure.unique_id, failure.path) == (FailureKind.COMPILE, None, "models/orders.sql")
    assert "'stg_order' which was not found" in failure.message


def test_a_results_file_that_docs_generate_wrote_hides_no_log(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    shutil.copytree(built, root)
    assert dbt(root, "docs", "generate").returncode == 0
    assert [run.steps[0].name for run in every_run(runs_of(root / "target"))] == ["dbt source freshness"]


@pytest.mark.parametrize("program", ["dbt", "cli", "python -m dbt.cli.main", "/opt/dbt/bin/dbt"])
def test_the_log_beside_an_empty_target_is_the_run_of_a_project_that_never_parsed(tmp_path: Path, program: str) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "dbt.log").write_text(
        "============================== 05:00:00.000001 | 0c0ffee0-0000-4000-8000-000000000001 ===================\n"
        "05:00:01.000000 [error] [MainThread]: Encountered an error:\n"
        "Compilation Error\n  Model 'model.shop.orders' (models/orders.sql) depends on a node named 'stg_order' "
        "which was not found\n"
        f"05:00:01.500000 [debug] [MainThread]: Command `{program} build` failed at 05:00:01.500000 after 1.2 seconds\n"
    )
    (run,) = every_run(runs_of(tmp_path / "target"))
    assert run.status == "error"
    assert "'stg_order' which was not found" in failures_of(run, None)[0].message


def test_a_path_without_artifacts_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DbtCoreError, match="holds no dbt artifact"):
        runs_of(tmp_path).finished_runs("shop", NOW - timedelta(days=1), NOW)
    with pytest.raises(DbtCoreError, match="is no directory"):
        runs_of(tmp_path / "none").finished_runs("shop", NOW - timedelta(days=1), NOW)


def test_the_script_of_the_docs_archives_what_went_well_and_what_could_not_parse(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/dbt_core.md").read_text()
    script = tmp_path / "archive_dbt.sh"
    script.write_text(page.split("```bash\n")[1].split("```")[0])
    project = write_shop(tmp_path / "shop")
    executable = Path(sys.executable).with_name("dbt")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_ARCHIVE": str(tmp_path / "runs"),
        "RUN_URL": "https://scheduler.example.com/1",
    }

    def archived(*arguments: str) -> int:
        command = ["bash", str(script), "nightly", str(executable), *arguments]
        return subprocess.run(command, cwd=project, env=environment, check=False, timeout=120).returncode

    assert archived("seed") == 0
    write_shop(project, models__orders_dot_sql="select * from {{ ref('stg_order') }}\n")
    assert archived("build") == 2
    seeded, failed = every_run(runs_of(tmp_path / "runs"))
    assert (seeded.status, [one.unique_id for _, one in seeded.results()]) == ("success", ["seed.shop.raw_orders"])
    assert (seeded.job_name, seeded.url) == ("nightly", "https://scheduler.example.com/1")
    assert [one.kind for one in failures_of(failed, None)] == [FailureKind.COMPILE]
    assert list(failed.results()) == []
