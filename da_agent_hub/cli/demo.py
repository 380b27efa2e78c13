"""`da-agent-hub demo`: the whole flow on a sandbox that is made and served on this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import yaml

import da_agent_hub

from ..config import CONFIG_VARIABLE, load_settings
from .console import Trouble, console, json_option, write_json, write_whole
from .dagster_services import dagster_environment, prepare_home, start_dagster
from .demo_home import DemoHome, open_home
from .demo_people import Maintainer
from .demo_story import Story, counts, steps
from .lineage_refresh import LineageRefresh
from .services import Services
from .summary import issue_rows, issue_table
from .watch import Watch

# The first project's failures are fixed unasked; in the others a person's word is waited for.
_FIRST_MODE, _OTHER_MODE = "fix", "investigate"
_POLL_SECONDS = {"run_poll_seconds": 5, "issue_poll_seconds": 5, "inbox_poll_seconds": 2}
_LOOK_EVERY_SECONDS = 3.0
INTERRUPTED = 130


@click.command()
@click.option("--once", is_flag=True, help="Without a browser: play the whole story, print a summary and end.")
@click.option("--seed", type=int, help="Another world: other names, dates, tables and faults.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".hub/demo"),
    show_default=True,
    help="Where everything of the demo is kept; the same home goes on where it was.",
)
@click.option("--port", type=click.IntRange(1024, 65530), help="Of the sandbox; Dagster's UI gets the next one.")
@json_option
def demo(once: bool, seed: int | None, home: Path, port: int | None, json_file: Path | None) -> None:
    """Watch the whole flow on a sandbox: no account and no key needed.

    Makes two dbt projects with two weeks of real dbt runs, serves them as dbt Cloud and GitHub on 127.0.0.1, and
    starts Dagster with the hub on top. Ctrl-C stops everything.

    Exit code: 0 all went well, 1 something did not (the message says what, and where the log is).
    """
    place, lock = open_home(home, seed, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with lock:
        try:
            _play(place, once, json_file)
        except KeyboardInterrupt:
            console.print("stopped")
            if once:
                raise SystemExit(INTERRUPTED) from None


def _play(home: DemoHome, once: bool, json_file: Path | None) -> None:
    started = time.monotonic()
    tell = _teller(started)
    world = _make_world(home, tell)
    write_config(home, world)
    settings = load_settings(home.config, {})
    environ = dagster_environment(prepare_home(home.dagster), home.config)
    with _served(world, home.port), Services(home.logs) as services:
        root = f"http://127.0.0.1:{home.port}"
        tell("starting Dagster")
        lineage = LineageRefresh(settings, home.ui_port)
        dagster = start_dagster(
            services, environ, home.folder, code_port=home.code_port, ui_port=None if once else home.ui_port
        )
        links = _links(world, root, dagster)
        watch = Watch(settings)
        if not once:
            _stay(services, watch, lineage, links, home)
            return
        story = Story(services, watch, _maintainer(world, root), tell)
        made = round(time.monotonic() - started, 1)
        seen = story.run()
        seconds = round(time.monotonic() - started, 1)
    timings = {"start": made, **story.timings, "total": seconds}
    console.print(issue_table(seen.issues))
    console.print(f"Timings: {', '.join(steps(timings))}")
    console.print(f"Look around: {_again(home)}")
    content = {"seed": home.seed, "counts": counts(seen), "timings": timings, "links": {**links, **story.links}}
    write_json(json_file, {**content, "config": str(home.config), "issues": issue_rows(seen.issues)})


def _make_world(home: DemoHome, tell: Callable[[str], None]) -> Any:
    from ..sandbox.world import SandboxError, make_world

    # Its threads cannot be interrupted, and it begins afresh after any end: so it is left at once.
    previous = {name: signal.signal(name, _leave) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        return make_world(home.sandbox, seed=home.seed, progress=lambda line: tell(f"making the world: {line}"))
    except SandboxError as error:
        raise Trouble(str(error)) from None
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)


def _leave(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


@contextmanager
def _served(world: Any, port: int) -> Iterator[None]:
    from ..sandbox.server import SandboxServer
    from ..sandbox.world import SandboxError

    server = SandboxServer(world.home, port)
    try:
        server.start()
        yield
    except SandboxError as error:
        raise Trouble(str(error)) from None
    finally:
        server.stop()


def write_config(home: DemoHome, world: Any) -> None:
    """Write hub.yaml into the home; the same world and port give the same file."""
    first_day = date.fromisoformat(world.first_day)
    host = f"127.0.0.1:{home.port}"
    root = f"http://{host}"
    projects = [
        {
            "name": project.name,
            "repo": f"{host}/{project.owner}/{project.repo}",
            "dbt_directory": project.dbt_directory,
            "mode": _OTHER_MODE if number else _FIRST_MODE,
            "source": {
                "type": "dbt_cloud",
                "host": root,
                "account_id": world.account_id,
                "project_id": project.dbt_cloud_project_id,
                "token": world.dbt_cloud_token,
            },
            "verification": {
                "profiles_dir": project.profiles_dir,
                "target": project.target,
                "copy_database": project.database,
            },
        }
        for number, project in enumerate(world.projects)
    ]
    content: dict[str, Any] = {
        "projects": projects,
        "github": [
            {"host": host, "base_url": f"{root}/api/v3", "token": world.bot.token, "bot_login": world.bot.login}
        ],
        "state": {"url": "sqlite:///hub.db", "artifacts_dir": "artifacts", "checkouts_dir": "checkouts"},
        "schedule": {
            # The sandbox's jobs run when they are asked to: a demo left alone over night has no silent job.
            "silence_hours": 24 * 366,
            "history_days": (datetime.now(timezone.utc).date() - first_day).days + 2,
            # The first night's dbt runs are before 06:30, in the reporting day that began the day before.
            "start_date": (first_day - timedelta(days=1)).isoformat(),
            **_POLL_SECONDS,
        },
    }
    experts = Path(da_agent_hub.__file__).parents[1] / ".claude" / "agents"
    if experts.is_dir():
        content["claude"] = {"agents_dir": str(experts)}
    heading = "# Made by `da-agent-hub demo`: every host, token and password in it is the sandbox's own.\n"
    write_whole(home.config, heading + yaml.safe_dump(content, sort_keys=False))


def _maintainer(world: Any, root: str) -> Maintainer:
    person = next(user for user in world.users if user.kind == "User" and user.permission in ("write", "admin"))
    return Maintainer(person.login, person.token, root)


def _links(world: Any, root: str, dagster: str | None) -> Mapping[str, str]:
    issues = {f"issues of {one.name}": f"{root}/{one.owner}/{one.repo}/issues" for one in world.projects}
    return {**issues, **({"Dagster lineage": f"{dagster}/asset-groups"} if dagster else {})}


def _stay(services: Services, watch: Watch, lineage: LineageRefresh, links: Mapping[str, str], home: DemoHome) -> None:
    for what, url in links.items():
        console.print(f"{what:>24}  {url}")
    console.print(f"{'configuration':>24}  {home.config}   (try: da-agent-hub doctor --config {home.config})")
    console.print(f"{'logs':>24}  {home.logs}")
    console.print("Ctrl-C stops everything; the same command goes on where it was.")
    shown = ""
    with console.status("") as status:
        while True:
            services.check()
            seen = watch.look()
            if seen.filed and lineage.refresh():
                console.print("the dbt models are in Dagster's lineage now: reload the page")
            now = str(seen)
            status.update(now)
            if now != shown and not console.is_terminal:
                console.print(now)
            shown = now
            time.sleep(_LOOK_EVERY_SECONDS)


def _again(home: DemoHome) -> str:
    return f"da-agent-hub demo --home {home.folder}  (or {CONFIG_VARIABLE}={home.config} with any other command)"


def _teller(started: float) -> Callable[[str], None]:
    said = ""

    def tell(line: str) -> None:
        nonlocal said
        if line != said:
            console.print(f"[{time.monotonic() - started:5.0f} s] {line}", markup=False)
        said = line

    return tell
