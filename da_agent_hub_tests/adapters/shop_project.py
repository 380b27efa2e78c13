"""A small dbt project on DuckDB that tests really run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\nmodels:\n  +materialized: table\n",
    "profiles.yml": "shop:\n  target: prod\n  outputs:\n    prod: {type: duckdb, path: shop.duckdb, threads: 2}\n",
    "seeds/raw_orders.csv": "order_id,customer_id,status,loaded_at\n1,10,placed,2020-01-01\n1,11,shipped,2020-01-02\n2,,lost,2020-01-03\n",
    "models/stg_orders.sql": "select order_id, customer_id, status from {{ ref('raw_orders') }}\n",
    "models/orders.sql": "select order_id, customer_id, status from {{ ref('stg_orders') }}\n",
    "models/codes.sql": "select order_id, status from {{ ref('raw_orders') }}\n",
    "models/schema.yml": """\
version: 2
groups:
  - name: sales
    owner: {name: Sales Data, email: sales@example.com, github: ada}
sources:
  - name: raw
    schema: main
    tables:
      - name: raw_orders
        config:
          loaded_at_field: "cast(loaded_at as timestamp)"
          freshness: {error_after: {count: 1, period: day}}
models:
  - name: stg_orders
    config: {group: sales, tags: [staging]}
    columns:
      - name: order_id
        data_tests: [unique]
      - name: customer_id
        data_tests:
          - not_null:
              config: {severity: warn}
      - name: status
        data_tests:
          - accepted_values:
              arguments: {values: [placed, shipped]}
unit_tests:
  - name: keeps_status
    model: codes
    given:
      - input: ref('raw_orders')
        rows: [{order_id: 1, status: placed}]
    expect:
      rows: [{order_id: 1, status: lost}]
exposures:
  - name: board
    type: dashboard
    url: https://bi.example.com/board
    owner: {name: Grace, email: grace@example.com}
    depends_on: [ref('orders')]
""",
    "tests/no_orders.sql": "select * from {{ ref('stg_orders') }} where order_id > 1\n",
}


def write_shop(root: Path, **changed: str) -> Path:
    """The project under ``root``; ``changed`` maps a path, with ``__`` for ``/`` and ``_dot_`` for ``.``, to its text."""
    files = _FILES | {name.replace("__", "/").replace("_dot_", "."): text for name, text in changed.items()}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def dbt(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt in a project as a user would."""
    executable = Path(sys.executable).with_name("dbt")
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    return subprocess.run(
        [str(executable), *arguments, "--profiles-dir", "."],
        cwd=root,
        env={**environment, "DBT_ENV_CUSTOM_ENV_GIT_SHA": "f" * 40},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def statuses(path: Path) -> dict[str, str]:
    """What an artifact itself says of each node."""
    return {one["unique_id"]: one["status"] for one in json.loads(path.read_text())["results"]}
