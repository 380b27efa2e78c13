"""The demo: what can go wrong before it starts, and the whole story over real processes."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from da_agent_hub.adapters.record_store import open_record_store
from da_agent_hub.cli.console import Trouble
from da_agent_hub.cli.demo_home import open_home
from da_agent_hub.cli.main import main
from da_agent_hub.cli.services import free_port
from da_agent_hub.config import HubSettings, load_settings
from da_agent_hub.domain.window import Window
from da_agent_hub.sandbox.github import GitHubState


def demo(home: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["demo", "--once", "--home", str(home), *options])


def refused(result: Result) -> str:
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: ")
    return line


def test_a_port_in_use_is_one_line_with_the_way_out_and_makes_no_world(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused(demo(tmp_path / "home", "--port", str(taken.getsockname()[1])))
    assert "name another with --port" in line
    assert not (tmp_path / "home" / "demo.json").exists()


def test_a_home_whose_port_was_taken_meanwhile_says_so(tmp_path: Path) -> None:
    home, lock = open_home(tmp_path, None, None)
    lock.close()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", home.port))
        taken.listen()
        assert f"port {home.port} of 127.0.0.1, which {tmp_path} was made with, is in use" in refused(demo(tmp_path))


def test_homes_that_are_opened_before_anything_listens_get_ports_of_their_own(tmp_path: Path) -> None:
    one, first = open_home(tmp_path / "one", None, None)
    two, second = open_home(tmp_path / "two", None, None)
    assert not {one.port, one.ui_port, one.code_port} & {two.port, two.ui_port, two.code_port}
    assert "by which a demo holds the ports before it" in refused(demo(tmp_path / "three", "--port", str(one.port)))
    first.close()
    second.close()
    again, third = open_home(tmp_path / "four", None, one.port)
    third.close()
    assert again.port == one.port


def test_a_home_that_is_made_anew_each_time_goes_to_the_port_that_is_asked_for(tmp_path: Path) -> None:
    wanted = free_port()
    first, held = open_home(tmp_path, None, None, ports=1, movable=True)
    held.close()

    moved, held = open_home(tmp_path, None, wanted, ports=1, movable=True)
    held.close()
    kept, held = open_home(tmp_path, None, None, ports=1, movable=True)
    held.close()

    assert first.port != wanted
    assert (moved.port, kept.port) == (wanted, wanted)


def test_a_home_that_is_made_anew_each_time_leaves_a_port_that_was_taken_meanwhile(tmp_path: Path) -> None:
    first, held = open_home(tmp_path, None, None, ports=1, movable=True)
    held.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.port))
        taken.listen()

        second, held = open_home(tmp_path, None, None, ports=1, movable=True)
        held.close()
        with pytest.raises(Trouble, match=rf"port {first.port} of 127\.0\.0\.1 cannot be used.*--port"):
            open_home(tmp_path, None, first.port, ports=1, movable=True)

    assert second.port != first.port


def test_a_port_that_a_killed_demo_still_holds_is_waited_for(tmp_path: Path) -> None:
    home, lock = open_home(tmp_path, None, None)
    lock.close()
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", home.port))
    held.listen()
    timer = threading.Timer(1.0, held.close)
    timer.start()
    again, lock = open_home(tmp_path, None, None)
    lock.close()
    timer.join()
    assert again == home


def test_a_home_that_cannot_be_made_or_written_is_one_line(tmp_path: Path) -> None:
    assert "name a folder that you may write to" in refused(demo(Path("/proc/no/home")))
    (tmp_path / "file").write_text("")
    assert "a file is in the way" in refused(demo(tmp_path / "file" / "home"))


@pytest.mark.parametrize("text", ["", '{"seed": 1, "po', "[]", '{"seed": "x", "port": 1}'])
def test_a_half_written_state_file_is_one_line_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.json").write_text(text)
    assert f"demo.json is broken: remove {tmp_path} and start again" in refused(demo(tmp_path))


def test_a_home_keeps_its_seed_and_port(tmp_path: Path) -> None:
    home, lock = open_home(tmp_path, 7, None)
    lock.close()
    again, lock = open_home(tmp_path, None, None)
    lock.close()
    assert again == home
    assert json.loads((tmp_path / "demo.json").read_text())["seed"] == 7
    assert "made with --seed 7" in refused(demo(tmp_path, "--seed", "8"))
    assert f"made on port {home.port}" in refused(demo(tmp_path, "--port", str(home.port + 7)))


def test_two_demos_on_one_home_are_refused_and_the_other_is_named(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as other:
        other.write("4711\n")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "a demo runs in" in (line := refused(demo(tmp_path)))
        assert "process 4711" in line


def on_github(home: Path) -> list[tuple[str, str, str, int]]:
    state = GitHubState(home / "sandbox" / "github")
    return [
        (project["repo"], issue["title"], issue["state"], len(state.comments(owner, name, issue["number"])))
        for project in json.loads((home / "sandbox" / "world.json").read_text())["projects"]
        for owner, name in [(project["owner"], project["repo"])]
        for issue in state.issues(owner, name)
    ]


def play(home: Path) -> dict[str, Any]:
    out = home.with_suffix(".json")
    command = [sys.executable, "-m", "da_agent_hub.cli", "demo", "--once", "--home", str(home), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    content = json.loads(out.read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_story_is_played_once_and_a_second_call_adds_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    content = play(home)
    counts = content["counts"]
    assert counts["issues"] >= 8
    assert counts["pull_requests_verified"] >= 3
    assert counts["pull_requests_merged"] >= 3
    merged = [issue for issue in content["issues"] if issue["pull_request"] and issue["pull_request"]["merged"]]
    assert {issue["project"] for issue in merged} == {project.name for project in settings(home).projects}
    assert {issue["state"] for issue in merged} == {"closed"}
    assert first_day_read(home) == settings(home).schedule.start_date
    before = on_github(home)
    again = play(home)
    assert on_github(home) == before
    assert again["counts"] == counts
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(home) in _text(path)]
    assert left == []


def settings(home: Path) -> HubSettings:
    return load_settings(home / "hub.yaml", {})


def first_day_read(home: Path) -> str:
    store = open_record_store(settings(home).state.url.get_secret_value())
    always = datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, tzinfo=timezone.utc)
    found = [run.finished_at for project in settings(home).projects for run in store.runs(project.name, *always)]
    store.close()
    return Window.containing(min(found)).day


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
