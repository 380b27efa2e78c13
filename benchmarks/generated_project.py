"""Artifacts of a made-up dbt project of any size, shaped like those that dbt Core 1.10 writes; the same every time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = "warehouse"
_SCHEMA = "https://schemas.getdbt.com/dbt"
_AREAS = ("finance", "sales", "marketing", "logistics", "product", "support")
_LAYERS = ("stg", "int", "fct", "dim", "rpt")
_COLUMNS = ("id", "customer_id", "order_id", "status", "amount", "currency", "created_at", "updated_at", "country", "is_active")  # fmt: skip
_TESTS = ("unique", "not_null", "accepted_values", "relationships")
_DOC = {
    "name": "__overview__",
    "resource_type": "doc",
    "package_name": "dbt",
    "path": "overview.md",
    "original_file_path": "docs/overview.md",
    "unique_id": "doc.dbt.__overview__",
    "block_contents": "Welcome to the documentation of this project. " * 20,
}
# Of a hundred nodes of large projects, about seventy are tests.
_TESTS_IN_TEN = 7


def write_manifest(path: Path, nodes: int) -> None:
    """A ``manifest.json`` with so many models and tests, and beside them sources, exposures, groups and macros."""
    chance = random.Random(nodes)
    tests = nodes * _TESTS_IN_TEN // 10
    models = nodes - tests
    sections: list[tuple[str, Iterator[tuple[str, Any]]]] = [
        ("nodes", _nodes(models, tests, chance)),
        ("sources", ((_source_id(number), _source(number)) for number in range(_sources(models)))),
        ("macros", ((f"macro.{package}.macro_{number}", _macro(package, number)) for package, number in _macros())),
        ("docs", iter([("doc.dbt.__overview__", _DOC)])),
        ("exposures", ((f"exposure.{PACKAGE}.board_{n}", _exposure(n, models)) for n in range(models // 50))),
        ("metrics", iter(())),
        ("groups", ((f"group.{PACKAGE}.{area}", _group(area)) for area in _AREAS)),
        ("selectors", iter(())),
        ("disabled", iter(())),
        (
            "group_map",
            ((area, [model_id(number) for number in range(place, models, 6)]) for place, area in enumerate(_AREAS)),
        ),
        ("saved_queries", iter(())),
        ("semantic_models", iter(())),
        ("unit_tests", iter(())),
        ("parent_map", ((model_id(number), _parents(number, models)) for number in range(models))),
        ("child_map", ((model_id(number), _children(number, models)) for number in range(models))),
    ]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"metadata": ' + json.dumps(_metadata("manifest/v12")))
        for name, entries in sections:
            file.write(f', "{name}": {{')
            for position, (key, entry) in enumerate(entries):
                file.write((", " if position else "") + f"{json.dumps(key)}: {json.dumps(entry)}")
            file.write("}")
        file.write("}")


def write_run_results(path: Path, results: int) -> None:
    """A ``run_results.json`` with so many results, of which one in a hundred is not good."""
    metadata = _metadata("run-results/v6")
    del metadata["project_name"], metadata["adapter_type"]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"metadata": ' + json.dumps(metadata) + ', "results": [')
        for number in range(results):
            file.write((", " if number else "") + json.dumps(_result(number)))
        file.write('], "elapsed_time": 812.5, "args": {"which": "build", "target": "prod"}}')


def model_id(number: int) -> str:
    """The unique id of a model."""
    return f"model.{PACKAGE}.{_name(number)}"


def _metadata(schema: str) -> dict[str, Any]:
    return {
        "dbt_schema_version": f"{_SCHEMA}/{schema}.json",
        "dbt_version": "1.10.13",
        "generated_at": "2026-11-01T06:30:00.123456Z",
        "invocation_id": "5d2e4f0a-6b1c-4a57-9d93-0c8c3a8f4b11",
        "invocation_started_at": "2026-11-01T06:10:00.123456Z",
        "env": {},
        "project_name": PACKAGE,
        "adapter_type": "snowflake",
    }


def _name(number: int) -> str:
    return f"{_LAYERS[number % 5]}_{_AREAS[number % 6]}__daily_positions_{number}"


def _sources(models: int) -> int:
    return max(1, models // 6)


def _source_id(number: int) -> str:
    return f"source.{PACKAGE}.raw_{_AREAS[number % 6]}.table_{number}"


def _parents(number: int, models: int) -> list[str]:
    if number % 5 == 0 or number < 3:
        return [_source_id(number % _sources(models))]
    return [model_id(parent) for parent in sorted({number // 2, number // 3, number - 1})]


def _children(number: int, models: int) -> list[str]:
    return [model_id(child) for child in (number + 1, number * 2, number * 3) if number < child < models]


def _nodes(models: int, tests: int, chance: random.Random) -> Iterator[tuple[str, Any]]:
    for number in range(models):
        yield model_id(number), _model(number, models, chance)
    for number in range(tests):
        unique_id, entry = _test(number, models)
        yield unique_id, entry


def _config(**changed: Any) -> dict[str, Any]:
    return {
        "enabled": True,
        "alias": None,
        "schema": None,
        "database": None,
        "tags": [],
        "meta": {},
        "group": None,
        "materialized": "view",
        "incremental_strategy": None,
        "batch_size": None,
        "lookback": 1,
        "begin": None,
        "persist_docs": {},
        "post-hook": [],
        "pre-hook": [],
        "quoting": {},
        "column_types": {},
        "full_refresh": None,
        "unique_key": None,
        "on_schema_change": "ignore",
        "on_configuration_change": "apply",
        "grants": {},
        "packages": [],
        "docs": {"show": True, "node_color": None},
        "contract": {"enforced": False, "alias_types": True},
        "event_time": None,
        "concurrent_batches": None,
        "access": "protected",
        "freshness": None,
    } | changed


def _sql(number: int, parents: list[str], *, compiled: bool, lines: int) -> str:
    tables = [f'"PROD"."CORE"."{one.rsplit(".", 1)[-1]}"' if compiled else f"{{{{ ref('{one}') }}}}" for one in parents]
    body = "".join(
        f"    , sum(case when status = 'state_{line}' then amount end) as amount_{line}\n" for line in range(lines)
    )
    joins = "".join(f"left join {one} using (customer_id, order_id)\n" for one in tables[1:])
    return f"with base as (\n  select * from {tables[0]}\n)\nselect\n    id, customer_id, created_at\n{body}from base\n{joins}where id > {number}\n"


def _model(number: int, models: int, chance: random.Random) -> dict[str, Any]:
    name, area = _name(number), _AREAS[number % 6]
    parents = _parents(number, models)
    lines = chance.choice((4, 10, 20, 40, 90))
    path = f"marts/{area}/{_LAYERS[number % 5]}/{name}.sql"
    return {
        "database": "PROD",
        "schema": "CORE",
        "name": name,
        "resource_type": "model",
        "package_name": PACKAGE,
        "path": path,
        "original_file_path": f"models/{path}",
        "unique_id": model_id(number),
        "fqn": [PACKAGE, "marts", area, _LAYERS[number % 5], name],
        "alias": name,
        "checksum": {"name": "sha256", "checksum": f"{number:064x}"},
        "config": _config(
            materialized="table", tags=[area], group=area, meta={"owner": f"@{area}", "tier": number % 3}
        ),
        "tags": [area],
        "description": "One row an order and day, with what was paid, refunded and still open at the end of it. " * 2,
        "columns": {one: _column(one) for one in _COLUMNS},
        "meta": {"owner": f"@{area}", "tier": number % 3},
        "group": area,
        "docs": {"show": True, "node_color": None},
        "patch_path": f"{PACKAGE}://models/marts/{area}/_models.yml",
        "build_path": None,
        "unrendered_config": {"materialized": "table", "tags": [area], "group": area},
        "created_at": 1761978600.0 + number,
        "relation_name": f'"PROD"."CORE"."{name}"',
        "raw_code": _sql(number, parents, compiled=False, lines=lines),
        "doc_blocks": [],
        "language": "sql",
        "refs": [{"name": one.rsplit(".", 1)[-1], "package": None, "version": None} for one in parents],
        "sources": [],
        "metrics": [],
        "functions": [],
        "depends_on": {"macros": [f"macro.{PACKAGE}.macro_{number % 40}", "macro.dbt.macro_1"], "nodes": parents},
        "compiled_path": f"target/compiled/{PACKAGE}/models/{path}",
        "compiled": True,
        "compiled_code": _sql(number, parents, compiled=True, lines=lines),
        "extra_ctes_injected": True,
        "extra_ctes": [],
        "contract": {"enforced": False, "alias_types": True, "checksum": None},
        "access": "protected",
        "constraints": [],
        "version": None,
        "latest_version": None,
        "deprecation_date": None,
        "primary_key": ["id"],
        "time_spine": None,
    }


def _column(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The {name.replace('_', ' ')} of the order, as the shop's own system writes it.",
        "meta": {},
        "data_type": None,
        "constraints": [],
        "quote": None,
        "config": {"meta": {}, "tags": []},
        "tags": [],
        "granularity": None,
        "doc_blocks": [],
    }


def test_id(number: int, models: int) -> str:
    """The unique id of a test."""
    kind, column, model = _TESTS[number % 4], _COLUMNS[number % 10], _name(number % models)
    return f"test.{PACKAGE}.{kind}_{model}_{column}.{number:010x}"


def _test(number: int, models: int) -> tuple[str, dict[str, Any]]:
    kind, column, model = _TESTS[number % 4], _COLUMNS[number % 10], number % models
    unique_id = test_id(number, models)
    name = unique_id.split(".")[2]
    arguments: dict[str, Any] = {
        "column_name": column,
        "model": "{{ get_where_subquery(ref('" + _name(model) + "')) }}",
    }
    if kind == "accepted_values":
        arguments["values"] = ["placed", "shipped", "returned", "lost"]
    parents = [model_id(model)]
    if kind == "relationships":
        arguments |= {"to": "ref('" + _name(model // 2) + "')", "field": "id"}
        parents = list(dict.fromkeys([model_id(model // 2), *parents]))
    config = {
        "enabled": True,
        "alias": None,
        "schema": "dbt_test__audit",
        "database": None,
        "tags": [],
        "meta": {},
        "group": None,
        "materialized": "test",
        "severity": "ERROR",
        "store_failures": None,
        "store_failures_as": None,
        "where": None,
        "limit": None,
        "fail_calc": "count(*)",
        "warn_if": "!= 0",
        "error_if": "!= 0",
    }
    return unique_id, {
        "test_metadata": {"name": kind, "kwargs": arguments, "namespace": None},
        "database": "PROD",
        "schema": "CORE_dbt_test__audit",
        "name": name,
        "resource_type": "test",
        "package_name": PACKAGE,
        "path": f"{name}.sql",
        "original_file_path": f"models/marts/{_AREAS[model % 6]}/_models.yml",
        "unique_id": unique_id,
        "fqn": [PACKAGE, "marts", _AREAS[model % 6], name],
        "alias": name,
        "checksum": {"name": "none", "checksum": ""},
        "config": config,
        "tags": [],
        "description": "",
        "columns": {},
        "meta": {},
        "group": None,
        "docs": {"show": True, "node_color": None},
        "patch_path": None,
        "build_path": None,
        "unrendered_config": {},
        "created_at": 1761978600.0 + number,
        "relation_name": None,
        "raw_code": "{{ test_" + kind + "(**_dbt_generic_test_kwargs) }}",
        "doc_blocks": [],
        "language": "sql",
        "refs": [{"name": _name(model), "package": None, "version": None}],
        "sources": [],
        "metrics": [],
        "functions": [],
        "depends_on": {"macros": [f"macro.dbt.test_{kind}", "macro.dbt.get_where_subquery"], "nodes": parents},
        "compiled_path": f"target/compiled/{PACKAGE}/models/{name}.sql",
        "compiled": True,
        "compiled_code": _test_sql(model, column),
        "extra_ctes_injected": True,
        "extra_ctes": [],
        "contract": {"enforced": False, "alias_types": True, "checksum": None},
        "column_name": column,
        "file_key_name": f"models.{_name(model)}",
        "attached_node": model_id(model),
    }


def _test_sql(model: int, column: str) -> str:
    return f'\n    \n    \n\nselect\n    {column} as unique_field,\n    count(*) as n_records\n\nfrom "PROD"."CORE"."{_name(model)}"\nwhere {column} is not null\ngroup by {column}\nhaving count(*) > 1\n'


def _source(number: int) -> dict[str, Any]:
    area, unique_id = _AREAS[number % 6], _source_id(number)
    return {
        "database": "RAW",
        "schema": area.upper(),
        "name": f"table_{number}",
        "resource_type": "source",
        "package_name": PACKAGE,
        "path": f"models/staging/{area}/_sources.yml",
        "original_file_path": f"models/staging/{area}/_sources.yml",
        "unique_id": unique_id,
        "fqn": [PACKAGE, "staging", area, f"raw_{area}", f"table_{number}"],
        "source_name": f"raw_{area}",
        "source_description": "What the loader brings every hour.",
        "loader": "dlt",
        "identifier": f"table_{number}",
        "quoting": {"database": None, "schema": None, "identifier": None, "column": None},
        "loaded_at_field": "_loaded_at",
        "freshness": {"warn_after": {"count": 6, "period": "hour"}, "error_after": {"count": 1, "period": "day"}},
        "external": None,
        "description": "One row a change in the source system.",
        "columns": {one: _column(one) for one in _COLUMNS[:4]},
        "meta": {},
        "source_meta": {},
        "tags": [],
        "config": {"enabled": True, "event_time": None, "freshness": None, "meta": {}, "tags": []},
        "patch_path": None,
        "unrendered_config": {},
        "relation_name": f'"RAW"."{area.upper()}"."table_{number}"',
        "created_at": 1761978600.0,
    }


def _macros() -> Iterator[tuple[str, int]]:
    for package, count in ((PACKAGE, 40), ("dbt", 350), ("dbt_snowflake", 120), ("dbt_utils", 130)):
        for number in range(count):
            yield package, number


def _macro(package: str, number: int) -> dict[str, Any]:
    return {
        "name": f"macro_{number}",
        "resource_type": "macro",
        "package_name": package,
        "path": f"macros/macro_{number}.sql",
        "original_file_path": f"macros/macro_{number}.sql",
        "unique_id": f"macro.{package}.macro_{number}",
        "macro_sql": "{% macro macro_"
        + str(number)
        + "(a, b) %}\n"
        + "  {{ return(a ~ b) }}\n" * 12
        + "{% endmacro %}",
        "depends_on": {"macros": []},
        "description": "",
        "meta": {},
        "docs": {"show": True, "node_color": None},
        "config": {"meta": {}, "docs": {"show": True, "node_color": None}},
        "patch_path": None,
        "arguments": [],
        "created_at": 1761978600.0,
        "supported_languages": None,
    }


def _exposure(number: int, models: int) -> dict[str, Any]:
    return {
        "name": f"board_{number}",
        "resource_type": "exposure",
        "package_name": PACKAGE,
        "path": "exposures.yml",
        "original_file_path": "models/exposures.yml",
        "unique_id": f"exposure.{PACKAGE}.board_{number}",
        "fqn": [PACKAGE, f"board_{number}"],
        "type": "dashboard",
        "owner": {"email": ["grace@example.com"], "name": "Grace"},
        "description": "What the board of the area looks at on Mondays.",
        "label": None,
        "maturity": "high",
        "meta": {},
        "tags": [],
        "config": {"enabled": True, "meta": {}, "tags": []},
        "unrendered_config": {},
        "url": f"https://bi.example.com/board/{number}",
        "depends_on": {"macros": [], "nodes": [model_id(number * 40 % models)]},
        "refs": [],
        "sources": [],
        "metrics": [],
        "created_at": 1761978600.0,
    }


def _group(area: str) -> dict[str, Any]:
    return {
        "name": area,
        "resource_type": "group",
        "package_name": PACKAGE,
        "path": "groups.yml",
        "original_file_path": "models/groups.yml",
        "unique_id": f"group.{PACKAGE}.{area}",
        "owner": {"email": f"{area}@example.com", "name": f"{area.title()} Data", "github": area},
    }


def _result(number: int) -> dict[str, Any]:
    models = 10_000
    is_test = number % 10 >= 3
    failed = number % 100 == 99
    good, bad = ("pass", "fail") if is_test else ("success", "error")
    return {
        "status": bad if failed else good,
        "timing": [
            {"name": name, "started_at": "2026-11-01T06:12:00.123456Z", "completed_at": "2026-11-01T06:12:01.123456Z"}
            for name in ("compile", "execute")
        ],
        "thread_id": f"Thread-{number % 8} (worker)",
        "execution_time": 1.25,
        "adapter_response": {
            "_message": "SUCCESS 1",
            "code": "SUCCESS",
            "rows_affected": 1,
            "query_id": f"{number:032x}",
        },
        "message": f"Got {number} results, configured to fail if != 0" if failed else None,
        "failures": (number if failed else 0) if is_test else None,
        "unique_id": test_id(number, models) if is_test else model_id(number),
        "compiled": True,
        "compiled_code": _test_sql(number % models, "id")
        if is_test
        else _sql(number, [model_id(number // 2)], compiled=True, lines=12),
        "relation_name": None if is_test else f'"PROD"."CORE"."{_name(number)}"',
        "batch_results": None,
    }
