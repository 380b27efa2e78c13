"""The program inside a workbench's dbt process: dbt is imported once, then it serves one JSON line a request.

Requests are ``{"verb": "dbt", "arguments": [...]}`` and ``{"verb": "query", "sql": ..., "limit": n}``; each is answered
by one JSON line on the descriptor that was standard output at start. It ends when its input ends or its parent dies.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from typing import Any

LOG_CHARACTERS = 40_000
CELL_CHARACTERS = 500


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(os.getpgid(0), signal.SIGKILL)


class _Dbt:
    def __init__(self) -> None:
        from dbt.cli.main import dbtRunner

        self._lines: list[str] = []
        self._runner = dbtRunner(callbacks=[self._keep])

    def _keep(self, event: Any) -> None:
        if event.info.level != "debug":
            self._lines.append(str(event.info.msg))

    def run(self, arguments: list[str]) -> dict[str, Any]:
        self._lines.clear()
        _close_duckdb()
        outcome = self._runner.invoke(list(arguments))
        statuses: dict[str, str] = {}
        messages: dict[str, str] = {}
        compiled: dict[str, str] = {}
        for result in getattr(outcome.result, "results", None) or ():
            node = getattr(result, "node", None)
            if node is None:
                continue
            statuses[node.unique_id] = str(getattr(result.status, "value", result.status)).lower()
            messages[node.unique_id] = str(result.message or "")[:LOG_CHARACTERS]
            if sql := getattr(node, "compiled_code", None):
                compiled[node.unique_id] = sql
        if outcome.exception is not None:
            self._lines.append(str(outcome.exception))
        return {
            "ok": bool(outcome.success),
            "statuses": statuses,
            "messages": messages,
            "compiled": compiled,
            "log": "\n".join(self._lines)[-LOG_CHARACTERS:],
        }

    def query(self, sql: str, limit: int) -> dict[str, Any]:
        from dbt.adapters.factory import FACTORY

        adapter = next(iter(FACTORY.adapters.values()), None)
        if adapter is None:
            return {"error": "dbt has not been run in this process yet"}
        with adapter.connection_named("workbench_query"):
            _, table = adapter.execute(sql, fetch=True, limit=limit + 1)
        rows = [[_plain(cell) for cell in row] for row in table.rows]
        return {"columns": list(table.column_names), "rows": rows[:limit], "truncated": len(rows) > limit}


def _plain(cell: Any) -> Any:
    if cell is None or isinstance(cell, (bool, int, float)):
        return cell
    if cell.__class__.__name__ == "Decimal":
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return str(cell)[:CELL_CHARACTERS]


def _close_duckdb() -> None:
    """Let go of the database file, so that it can be replaced between two commands.

    Every handle is closed now: a database that is closed later deletes the write-ahead log that lies there by then, which
    would be that of the new copy.
    """
    connections = sys.modules.get("dbt.adapters.duckdb.connections")
    if connections is None:
        return
    from dbt.adapters.factory import FACTORY

    for adapter in FACTORY.adapters.values():
        adapter.cleanup_connections()
    environment = connections.DuckDBConnectionManager._ENV
    connections.DuckDBConnectionManager.close_all_connections()
    if environment is not None and hasattr(environment, "close"):
        environment.close()
    del environment
    gc.collect()


def main() -> None:
    """Answer requests until the input ends."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # what dbt or an adapter prints must not reach the protocol
    dbt = _Dbt()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["verb"] == "dbt":
                answer = dbt.run(request["arguments"])
            elif request["verb"] == "query":
                answer = dbt.query(request["sql"], request["limit"])
            else:
                _close_duckdb()
                answer = {}
        except Exception as error:  # one broken request must not end the process
            answer = {"error": str(error)[:LOG_CHARACTERS]}
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
