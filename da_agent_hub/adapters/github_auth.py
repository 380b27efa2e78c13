"""Who the hub is on a GitHub host: a token, or a GitHub App whose tokens are minted when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests
from github import Auth, Github, GithubException
from github.Requester import Requester

from ..config import GitHubAppSettings, GitHubSettings
from ..domain.tracker_error import NotPermitted, TrackerError, Unanswered

_TIMEOUT_SECONDS = 20


def auth_of(settings: GitHubSettings) -> Auth.Auth:
    """What a requester of the host signs its requests with; an App's tokens are renewed before they expire.

    Raises:
        TrackerError: the App's key cannot be used, or GitHub does not know the App or where it is installed.
    """
    if settings.app is None:
        assert settings.token is not None  # the settings hold one of the two
        return Auth.Token(settings.token.get_secret_value())
    return AppIdentity.of(settings, settings.app).installation_auth()


def git_token(settings: GitHubSettings) -> str:
    """A token for git over HTTP; an App's is minted now, and lives for an hour.

    Raises:
        TrackerError: as for ``auth_of``, or where GitHub refuses to mint one.
    """
    if settings.app is None:
        assert settings.token is not None
        return settings.token.get_secret_value()
    identity = AppIdentity.of(settings, settings.app)
    answer = identity.ask("mint a token", "POST", f"/app/installations/{identity.installation_id()}/access_tokens")
    return str(answer["token"])


@dataclass(frozen=True)
class AppIdentity:
    """A GitHub App by its key. https://docs.github.com/en/rest/apps/apps."""

    settings: GitHubSettings
    app: GitHubAppSettings
    signer: Auth.AppAuth

    @classmethod
    def of(cls, settings: GitHubSettings, app: GitHubAppSettings) -> AppIdentity:
        """The App of some settings, its key tried out.

        Raises:
            TrackerError: the key cannot be read, or is none.
        """
        what = f"sign as the GitHub App {app.app_id} of {settings.host}"
        try:
            signer = Auth.AppAuth(app.app_id, _key(app))
            signer.create_jwt()
        except OSError as missing:
            step = "Check app.private_key_file of this host in hub.yaml."
            raise TrackerError(what, None, f"its key cannot be read ({missing.strerror})", step) from missing
        except Exception as unusable:  # the library's errors may quote the key
            step = "Use the PEM file that GitHub gave you under the App's settings, Private keys."
            said = f"its private key is no RSA key in PEM form ({type(unusable).__name__})"
            raise TrackerError(what, None, said, step) from None
        return cls(settings, app, signer)

    def login(self) -> str:
        """What GitHub calls the App where it writes."""
        return f"{self.ask('ask for the App', 'GET', '/app')['slug']}[bot]"

    def installation_auth(self) -> Auth.AppInstallationAuth:
        """Signs with tokens of the installation."""
        return Auth.AppInstallationAuth(self.signer, self.installation_id())

    def installation_id(self) -> int:
        """The one of the settings, or the only one that there is."""
        if self.app.installation_id is not None:
            return self.app.installation_id
        what = "look for the App's installation"
        found = self.ask(what, "GET", "/app/installations")
        if len(found) == 1:
            return int(found[0]["id"])
        there = ", ".join(f"{one['id']} of {one['account']['login']}" for one in found) or "none"
        step = (
            "Set app.installation_id of this host in hub.yaml." if found else "Install the App where the repository is."
        )
        raise TrackerError(what, None, f"it has {len(found)} installations: {there}", step)

    def ask(self, what: str, verb: str, path: str) -> Any:
        """One request, signed by the App itself.

        Raises:
            TrackerError: what was asked, GitHub's words, and the next step.
        """
        what = f"{what} on {self.settings.host}"
        try:
            _, answer = _requester(self.settings, self.signer).requestJsonAndCheck(verb, path)
        except GithubException as refused:
            raise refusal(what, refused) from None
        except (requests.RequestException, OSError) as lost:
            raise Unanswered(what, None, type(lost).__name__, "Nothing was changed: the next run asks again.") from lost
        return answer


def refusal(what: str, refused: GithubException) -> TrackerError:
    """What GitHub says where an App may not do what it asks."""
    said = str(refused.data.get("message", "")) if isinstance(refused.data, dict) else ""
    if refused.status in (401, 403, 404):
        step = "Check app.app_id, its private key, and that the App is installed where the repository is."
        return NotPermitted(what, refused.status, said, step)
    return Unanswered(what, refused.status, said, "Nothing was changed: the next run asks again.")


def _requester(settings: GitHubSettings, auth: Auth.Auth) -> Requester:
    return Github(auth=auth, base_url=settings.base_url, timeout=_TIMEOUT_SECONDS, user_agent="da-agent-hub").requester


def _key(app: GitHubAppSettings) -> str:
    if app.private_key_file is not None:
        return app.private_key_file.read_text(encoding="utf-8")
    assert app.private_key is not None  # the settings hold one of the two
    # As one line, as some secret stores keep it.
    return app.private_key.get_secret_value().replace("\\n", "\n")
