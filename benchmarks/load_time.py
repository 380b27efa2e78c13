"""What loading the hub's definitions costs, with the lineage of 200 dbt models: `python benchmarks/load_time.py`.

Every run of Dagster pays for it. The measure is `import dagster` alone; the definitions may take 1.3 times that.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

MODELS = 200
ROUNDS = 7
MOST = 1.3
NEVER_AT_LOAD = ("dagster_dbt", "dbt", "github", "anthropic", "alembic", "sqlglot", "duckdb")

HUB_YAML = """\
projects:
  - name: shop
    repo: acme/shop
    source: {type: dbt_cloud, account_id: 1, token: benchmark-token}
github:
  - {token: benchmark-token}
state: {url: "sqlite:///hub.db"}
"""

ALONE = "import dagster"
DEFINITIONS = "import da_agent_hub.definitions as d; d.defs.get_repository_def()"


def prepare(folder: Path) -> dict[str, str]:
    """A configuration and a store that holds a lineage."""
    from da_agent_hub.adapters.record_store import open_record_store
    from da_agent_hub.domain.dbt import GraphNode, ProjectGraph

    (folder / "hub.yaml").write_text(HUB_YAML)
    nodes = [
        GraphNode(
            f"model.shop.m{number}",
            f"m{number}",
            "model",
            "shop",
            depends_on=tuple(f"model.shop.m{parent}" for parent in {number // 2, number // 3} if parent < number),
            group=f"group_{number % 6}",
            description="One row a customer and day. " * 4,
        )
        for number in range(MODELS)
    ]
    store = open_record_store(f"sqlite:///{folder / 'hub.db'}")
    store.save_graph(
        "shop", "1", datetime.now(timezone.utc), ProjectGraph("shop", "duckdb", {one.unique_id: one for one in nodes})
    )
    store.close()
    return {**os.environ, "DA_AGENT_HUB_CONFIG": str(folder / "hub.yaml")}


def seconds(program: str, environ: dict[str, str], folder: Path) -> float:
    """Processor time of a fresh interpreter: what else runs on the machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], env=environ, cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = prepare(folder)
        check = (
            f"{DEFINITIONS}; import sys; "
            f"late = [one for one in {NEVER_AT_LOAD!r} if one in sys.modules]; "
            "external = [s for s in d.defs.resolve_asset_graph().external_asset_keys]; "
            f"sys.exit(f'imported at load: {{late}}' if late else 0 if len(external) == {MODELS} else 'no lineage')"
        )
        subprocess.run([sys.executable, "-c", check], env=environ, cwd=folder, check=True)
        alone, definitions = [], []
        for _ in range(ROUNDS):  # taking turns, so that a busy machine is busy for both
            alone.append(seconds(ALONE, environ, folder))
            definitions.append(seconds(DEFINITIONS, environ, folder))
    ratio = min(definitions) / min(alone)
    print(f"import dagster            {min(alone):.2f} s")
    print(f"the hub's definitions     {min(definitions):.2f} s  ({MODELS} dbt models in the lineage)")
    print(f"ratio                     {ratio:.2f}  (at most {MOST})")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
