"""The hub as a GitHub App, over HTTP: tokens minted when they are needed, renewed, and used for git as well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from da_agent_hub.adapters.git_checkout import Mirror
from da_agent_hub.adapters.github import GitHubTracker
from da_agent_hub.adapters.github_auth import git_token
from da_agent_hub.config import GitHubAppSettings, GitHubSettings
from da_agent_hub.domain.issue import IssueDraft, RepoRef
from da_agent_hub.domain.tracker_error import NotPermitted, TrackerError
from da_agent_hub.sandbox.github.apps import register_app
from da_agent_hub.sandbox.github.state import GitHubState
from da_agent_hub_tests.sandbox_host import sandbox_world, serve_github, settings_of

DRAFT = IssueDraft("Orders are late", "It failed.")


@dataclass(frozen=True)
class Installed:
    """A GitHub with a private repository and an App in it, whose tokens live for ``seconds``."""

    state: GitHubState
    url: str
    app_id: int
    installation_id: int
    key: str
    repo: RepoRef

    def settings(self, **app: object) -> GitHubSettings:
        told = {"app_id": self.app_id, "private_key": SecretStr(self.key), **app}
        return GitHubSettings(
            host=self.repo.host, base_url=f"{self.url}/api/v3", app=GitHubAppSettings.model_validate(told)
        )

    def minted(self) -> int:
        return sum("access_tokens" in one.path and one.status == 201 for one in self.state.requests())


def key_pair() -> tuple[str, str]:
    """Private and public half, as PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), public.decode()


def install(state: GitHubState, url: str, *, slug: str = "hub-app", seconds: int = 3600) -> Installed:
    private, public = key_pair()
    app_id, installation_id = register_app(state, slug, public, token_seconds=seconds)
    world = sandbox_world(state, url, f"shop-of-{slug}")
    state.create_repo("acme", f"private-of-{slug}", private=True)
    for name in (world.repo.name, f"private-of-{slug}"):
        state.grant("acme", name, f"{slug}[bot]", "write")
    return Installed(state, url, app_id, installation_id, private, world.repo)


@pytest.fixture
def github(tmp_path: Path) -> Iterator[tuple[GitHubState, str]]:
    with serve_github(tmp_path) as served:
        yield served


def test_an_app_files_an_issue_under_its_own_name_with_a_token_minted_for_it(github: tuple[GitHubState, str]) -> None:
    app = install(*github)
    tracker = GitHubTracker(app.settings())
    assert app.minted() == 0
    issue = tracker.create_issue(app.repo, DRAFT)
    assert issue.author == "hub-app[bot]" == tracker.login()
    tracker.add_comment(issue.ref, "More.")
    assert app.minted() == 1


def test_a_token_is_renewed_before_it_expires(github: tuple[GitHubState, str]) -> None:
    # The library renews 20 s before the end.
    app = install(*github, seconds=22)
    tracker = GitHubTracker(app.settings(installation_id=app.installation_id))
    tracker.create_issue(app.repo, DRAFT)
    time.sleep(3.2)
    tracker.create_issue(app.repo, DRAFT)
    assert app.minted() == 2
    assert all(one.status < 400 for one in app.state.requests())


def test_an_expired_token_is_refused_by_the_host(github: tuple[GitHubState, str]) -> None:
    app = install(*github, seconds=1)
    token = git_token(app.settings())
    time.sleep(2.1)
    answer = requests.get(
        f"{app.url}/api/v3/repos/{app.repo.full_name}", headers={"Authorization": f"token {token}"}, timeout=10
    )
    assert answer.status_code == 401


def test_git_fetches_a_private_repository_with_an_apps_token_and_not_without(
    github: tuple[GitHubState, str], tmp_path: Path
) -> None:
    app = install(*github)
    url = f"{app.url}/acme/{app.repo.name}.git"
    sha = Mirror(tmp_path / "with", url, git_token(app.settings())).fetch()
    assert len(sha) == 40
    private = f"{app.url}/acme/private-of-hub-app.git"
    with pytest.raises(Exception, match=r"failed|could not read"):
        Mirror(tmp_path / "without", private, None).fetch()
    with pytest.raises(Exception, match=r"no commit yet|couldn't find remote ref"):
        Mirror(tmp_path / "with", private, git_token(app.settings())).fetch()


def test_the_key_may_lie_in_a_file_or_stand_on_one_line(github: tuple[GitHubState, str], tmp_path: Path) -> None:
    app = install(*github)
    file = tmp_path / "hub.pem"
    file.write_text(app.key)
    for given in (
        {"private_key": None, "private_key_file": file},
        {"private_key": SecretStr(app.key.replace("\n", "\\n"))},
    ):
        assert GitHubTracker(app.settings(**given)).login() == "hub-app[bot]"


def test_each_way_in_which_an_app_cannot_sign_in_is_told_with_the_next_step(
    github: tuple[GitHubState, str], tmp_path: Path
) -> None:
    app = install(*github)
    other_key, _ = key_pair()

    def told(**given: object) -> str:
        with pytest.raises(TrackerError) as refused:
            GitHubTracker(app.settings(**given)).create_issue(app.repo, DRAFT)
        assert app.key not in str(refused.value)
        assert other_key not in str(refused.value)
        return str(refused.value)

    assert "no RSA key in PEM form" in told(private_key=SecretStr("hello"))
    assert "private_key_file" in told(private_key=None, private_key_file=tmp_path / "nowhere.pem")
    assert "its private key" in told(private_key=SecretStr(other_key))
    assert "Integration not found" in told(app_id=999)
    assert "installed where the repository is" in told(installation_id=999)
    register_app(app.state, "hub-app", "", account="another")
    assert "app.installation_id" in told()
    assert app.state.issues("acme", app.repo.name) == []


def test_an_assertion_that_is_old_or_of_another_algorithm_is_refused_by_the_host(
    github: tuple[GitHubState, str],
) -> None:
    app = install(*github)
    now = datetime.now(timezone.utc)
    late = {"iss": str(app.app_id), "iat": now - timedelta(minutes=20), "exp": now - timedelta(minutes=10)}
    long = {"iss": str(app.app_id), "iat": now, "exp": now + timedelta(hours=2)}
    for assertion in (
        jwt.encode(late, app.key, algorithm="RS256"),
        jwt.encode(long, app.key, algorithm="RS256"),
        jwt.encode({**long, "exp": now + timedelta(minutes=5)}, None, algorithm="none"),
        "a.b.c",
    ):
        answer = requests.get(f"{app.url}/api/v3/app", headers={"Authorization": f"Bearer {assertion}"}, timeout=10)
        assert answer.status_code == 401


def test_what_an_app_may_not_do_is_told_as_for_a_person(github: tuple[GitHubState, str]) -> None:
    app = install(*github)
    app.state.grant("acme", app.repo.name, "hub-app[bot]", "read")
    issue = GitHubTracker(settings_of(app.url, "alice")).create_issue(app.repo, DRAFT)
    with pytest.raises(NotPermitted):
        GitHubTracker(app.settings()).update_issue(issue.ref, state="closed")
