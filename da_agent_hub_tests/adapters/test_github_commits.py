"""What a commit through GitHub's Git Data API leaves as it was: looked at in the real git repository behind it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.domain.investigation import FileChange
from da_agent_hub.domain.issue import RepoRef
from da_agent_hub.domain.tracker_error import Refused
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub_tests.sandbox_host import serve_github, settings_of

BRANCH = "claude/issue-1-fix"


class Repository:
    """A repository with a plain file, an executable one, and symbolic links to a file and to a directory."""

    def __init__(self, state: GitHubState, url: str) -> None:
        self.state = state
        self.bare = state.create_repo("acme", "shop")
        state.grant("acme", "shop", "hub", "admin")
        self.repo = RepoRef("acme", "shop", url.removeprefix("http://"))
        self.hub = GitHubTracker(settings_of(url, "hub"))
        files = {
            "models/orders.sql": ("100644", "select 1\n"),
            "scripts/load.sh": ("100755", "echo load\n"),
            "models/link.sql": ("120000", "orders.sql"),
            "linked": ("120000", "models"),
        }
        for path, (mode, text) in files.items():
            blob = self.git("hash-object", "-w", "--stdin", given=text)
            self.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
        commit = self.git("commit-tree", self.git("write-tree"), "-m", "Start")
        self.git("update-ref", "refs/heads/main", commit)

    def git(self, *arguments: str, given: str | None = None) -> str:
        own = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        done = subprocess.run(
            ["git", "-C", str(self.bare), *own, *arguments], input=given, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, *changes: FileChange) -> str:
        _, base = self.hub.default_branch(self.repo)
        return self.hub.commit_files(self.repo, base_sha=base, branch=BRANCH, changes=changes, message="Fix")

    def modes(self, commit: str) -> dict[str, str]:
        lines = self.git("ls-tree", "-r", commit).splitlines()
        return {line.split("\t")[1]: line.split()[0] for line in lines}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Repository]:
    with serve_github(tmp_path / "github") as (state, url):
        yield Repository(state, url)


def test_files_keep_their_mode_and_new_ones_are_plain(shop: Repository) -> None:
    before = shop.modes("main")
    made = shop.commit(
        FileChange("scripts/load.sh", "echo more\n"),
        FileChange("models/orders.sql", "select 2\n"),
        FileChange("models/deep/new.sql", "select 3\n"),
    )

    assert shop.modes(made) == before | {"models/deep/new.sql": "100644"}
    assert shop.git("show", f"{made}:scripts/load.sh") == "echo more"


def test_an_executable_file_can_be_deleted(shop: Repository) -> None:
    made = shop.commit(FileChange("scripts/load.sh", None))
    assert "scripts/load.sh" not in shop.modes(made)


@pytest.mark.parametrize("content", ["select 2\n", None])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("models/link.sql", "models/link.sql is a symbolic link"),
        ("linked/orders.sql", "linked is a symbolic link"),
        ("models", "models is a directory"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name_and_nothing_is_written(
    shop: Repository, path: str, said: str, content: str | None
) -> None:
    with pytest.raises(Refused, match=rf"commit to {BRANCH} of .*: the hub will not, because {said} .*by hand"):
        shop.commit(FileChange("models/orders.sql", "select 2\n"), FileChange(path, content))

    assert shop.state.requests(writes_only=True) == []


def test_a_file_where_a_directory_would_have_to_be_is_refused(shop: Repository) -> None:
    with pytest.raises(Refused, match=r"scripts/load\.sh is a file there"):
        shop.commit(FileChange("scripts/load.sh/x.sql", "select 2\n"))
