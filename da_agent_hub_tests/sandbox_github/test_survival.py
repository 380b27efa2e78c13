"""Nothing is lost or doubled: kills, restarts, many writers, and the log that graders read."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from da_agent_hub.sandbox.github import GitHubState, StateError, create_app
from da_agent_hub.sandbox.github.bare_repo import ABSENT, Signature

from .conftest import ServerProcess, Site, furnish
from .test_life_of_an_issue import propose


def test_making_the_world_twice_changes_nothing(tmp_path: Path) -> None:
    state = GitHubState(tmp_path / "github")
    furnish(state)
    state.create_label("acme", "shop", "dbt-error", "d73a4a")
    before = (state.git("acme", "shop").refs(), state.issues("acme", "shop"))
    again = GitHubState(tmp_path / "github")
    furnish(again)
    again.create_label("acme", "shop", "dbt-error", "000000")
    assert (again.git("acme", "shop").refs(), again.issues("acme", "shop")) == before


def test_bad_names_and_a_broken_file_are_one_clear_error(tmp_path: Path) -> None:
    state = GitHubState(tmp_path / "github")
    with pytest.raises(StateError, match="no repository name"):
        state.create_repo("acme", "../x")
    with pytest.raises(StateError, match="no GitHub login"):
        state.create_user("a b", "t")
    with pytest.raises(StateError, match="there is no repository acme/shop"):
        state.grant("acme", "shop", "ana", "write")
    with pytest.raises(StateError, match="use one of none, read, write, admin"):
        state.grant("acme", "shop", "ana", "all")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "github.sqlite").write_bytes(b"half a file" * 100)
    with pytest.raises(StateError, match=r"github\.sqlite cannot be opened"):
        GitHubState(tmp_path / "broken")


def test_many_writers_get_one_number_each(site: Site) -> None:
    def write(turn: int) -> int:
        issue = site.call("POST", "/issues", json={"title": f"issue {turn}"}).json()
        site.call("POST", f"/issues/{issue['number']}/labels", json={"labels": ["dbt-error", f"l{turn % 3}"]})
        site.call("POST", "/issues/1/comments", json={"body": f"comment {turn}"})
        return int(issue["number"])

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(write, range(24)))
    assert sorted(numbers) == list(range(1, 25))
    assert Counter(comment["body"] for comment in site.state.comments("acme", "shop", 1)) == Counter(
        f"comment {turn}" for turn in range(24)
    )
    assert len(site.call("GET", "/labels").json()) == 4
    assert all(request.status in (200, 201) for request in site.state.requests(writes_only=True))


def test_each_request_is_logged_with_its_change(site: Site) -> None:
    site.call("POST", "/issues", json={"title": "x"})
    site.call("POST", "/issues", "eve", json={})
    site.call("GET", "/issues?state=all")
    log = site.state.requests()
    assert [(entry.method, entry.path, entry.login, entry.status) for entry in log] == [
        ("POST", "/api/v3/repos/acme/shop/issues", "hub[bot]", 201),
        ("POST", "/api/v3/repos/acme/shop/issues", "eve", 422),
        ("GET", "/api/v3/repos/acme/shop/issues?state=all", "hub[bot]", 200),
    ]
    assert log[0].body == '{"title": "x"}'
    assert len(site.state.requests(writes_only=True)) == 2


@pytest.mark.slow
def test_what_was_answered_survives_a_kill(server_process: ServerProcess) -> None:
    site = server_process.site
    answered = []
    for turn in range(4):
        with ThreadPoolExecutor(4) as pool:

            def write(number: int, turn: int = turn) -> str | None:
                title = f"{turn}-{number}"
                try:
                    answer = site.call("POST", "/issues", json={"title": title, "labels": ["dbt-error"]})
                except requests.RequestException:
                    return None
                return title if answer.status_code == 201 else None

            written = pool.map(write, range(20))
            for place, title in enumerate(written):
                answered.append(title)
                if place == 5:
                    server_process.kill()
        server_process.start()
    issues = site.state.issues("acme", "shop")
    titles = Counter(issue["title"] for issue in issues)
    assert set(filter(None, answered)) <= set(titles)
    assert max(titles.values()) == 1
    assert [issue["number"] for issue in issues] == list(range(1, len(issues) + 1))
    assert all(issue["labels"] == ["dbt-error"] for issue in issues)
    logged = [entry for entry in site.state.requests(writes_only=True) if entry.status == 201]
    assert len(logged) == len(issues)


@pytest.mark.parametrize("reached", [True, False])
def test_a_merge_that_was_killed_half_way_is_finished_or_forgotten(site: Site, reached: bool) -> None:
    site.repo().create_issue("x")
    pull = propose(site, body="Closes #1")
    git = site.state.git("acme", "shop")
    tree = git.merge_tree(pull.base.sha, pull.head.sha)
    assert tree
    who = Signature("ana", "ana@users.noreply.github.com", "2026-11-22T06:30:00Z")
    commit = git.write_commit(tree, [pull.base.sha, pull.head.sha], "Merge", who, who)
    with site.state.transaction() as db:  # what the server has written before it moves the branch
        db.execute(
            "insert into merges_under_way select issues.id, ?, users.id from issues, users "
            "where number = ? and login = 'ana'",
            (commit, pull.number),
        )
    if reached:
        assert git.update_ref("refs/heads/main", commit, pull.base.sha)
    create_app(GitHubState(site.state.home))
    after = site.repo().get_pull(pull.number)
    assert after.merged is reached
    assert site.repo().get_issue(1).state == ("closed" if reached else "open")
    assert (after.merge_commit_sha == commit) is reached
    if not reached:
        assert after.merge().merged
    assert [event["event"] for event in site.state.events("acme", "shop", pull.number)] == ["merged", "closed"]
    with sqlite3.connect(site.state.home / "github.sqlite") as db:
        assert db.execute("select count(*) from merges_under_way").fetchone() == (0,)


@pytest.mark.slow
def test_kills_at_any_moment_of_a_merge_leave_each_pull_request_merged_once(server_process: ServerProcess) -> None:
    site, chance = server_process.site, random.Random(20261122)
    git = site.state.git("acme", "shop")
    main = git.refs()["refs/heads/main"]
    who = Signature("hub", "hub@shop.example", "2026-11-22T06:30:00Z")
    pulls: dict[int, int] = {}
    for place in range(8):
        issue = site.repo().create_issue(f"issue {place}").number
        tree = git.write_tree(main, [(f"models/m{place}.sql", "100644", git.write_blob(b"select 1"))])
        git.update_ref(f"refs/heads/claude/{place}", git.write_commit(tree, [main], "Fix", who, who), ABSENT)
        new = {"title": f"fix {place}", "body": f"Closes #{issue}", "head": f"claude/{place}", "base": "main"}
        pulls[site.call("POST", "/pulls", json=new).json()["number"]] = issue
    kills = 0
    for number in pulls:
        while True:
            fate = threading.Timer(chance.uniform(0, 0.12), server_process.kill) if chance.random() < 0.7 else None
            if fate:
                fate.start()
            with contextlib.suppress(requests.RequestException):
                site.call("PUT", f"/pulls/{number}/merge", "ana")
            if fate:
                fate.join()
                kills += 1
                server_process.start()
            if site.call("GET", f"/pulls/{number}/merge").status_code == 204:
                break
    assert kills > 4
    subjects = Counter(commit.message.split(" from ")[0] for commit in git.commits("main") if len(commit.parents) == 2)
    assert subjects == {f"Merge pull request #{number}": 1 for number in pulls}
    for number, issue in pulls.items():
        assert [event["event"] for event in site.state.events("acme", "shop", number)] == ["merged", "closed"]
        closings = [event["event"] for event in site.state.events("acme", "shop", issue) if event["event"] == "closed"]
        assert closings == ["closed"]
    answers = [
        entry for entry in site.state.requests(writes_only=True) if entry.method == "PUT" and entry.status == 200
    ]
    assert len(answers) <= len(pulls)
