"""What people do in the demo, over the same HTTP that their browsers and scripts would use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from ..config import DbtCloudSource
from ..domain.issue import IssueRef
from .console import Trouble

TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Maintainer:
    """A person with write permission on the sandbox's GitHub at ``root``."""

    login: str
    token: str
    root: str

    def comments(self, ref: IssueRef) -> list[dict[str, Any]]:
        """The thread of an issue, oldest first."""
        return list(self._github("GET", ref, f"issues/{ref.number}/comments?per_page=100"))

    def comment(self, ref: IssueRef, body: str) -> None:
        """Say something."""
        self._github("POST", ref, f"issues/{ref.number}/comments", {"body": body})

    def merge(self, ref: IssueRef) -> None:
        """Merge a pull request."""
        self._github("PUT", ref, f"pulls/{ref.number}/merge", {"merge_method": "squash"})

    def can_merge(self, ref: IssueRef) -> bool:
        """Whether a pull request has no conflict."""
        return bool(self._github("GET", ref, f"pulls/{ref.number}")["mergeable"])

    def merged_at(self, ref: IssueRef) -> datetime | None:
        """When a pull request was merged, if it was."""
        at = self._github("GET", ref, f"pulls/{ref.number}")["merged_at"]
        return datetime.fromisoformat(at.replace("Z", "+00:00")) if at else None

    def _github(self, method: str, ref: IssueRef, path: str, body: Any = None) -> Any:
        url = f"{self.root}/api/v3/repos/{ref.repo.full_name}/{path}"
        return _ask(method, url, {"Authorization": f"Bearer {self.token}"}, body)


@dataclass(frozen=True)
class DbtCloudPerson:
    """Somebody who starts dbt Cloud jobs."""

    source: DbtCloudSource

    def start_job(self, job_id: str, cause: str) -> str:
        """Start a job; returns the run's id."""
        return str(self._cloud("POST", f"jobs/{job_id}/run/", {"cause": cause})["id"])

    def runs_since(self, job_id: str, moment: datetime) -> list[str]:
        """Ids of a job's runs, in any state, that were made after a moment; newest first."""
        runs = self._cloud("GET", f"runs/?job_definition_id={job_id}&order_by=-id&limit=20")
        return [str(run["id"]) for run in runs if _moment(run["created_at"]) > moment]

    def finished(self, run_id: str) -> bool:
        """Whether a run has ended, in whichever way."""
        return int(self._cloud("GET", f"runs/{run_id}/")["status"]) in (10, 20, 30)

    def _cloud(self, method: str, path: str, body: Any = None) -> Any:
        root = f"{self.source.host.rstrip('/')}/api/v2/accounts/{self.source.account_id}"
        headers = {"Authorization": f"Token {self.source.token.get_secret_value()}"}
        return _ask(method, f"{root}/{path}", headers, body)["data"]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" UTC", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment


def _ask(method: str, url: str, headers: dict[str, str], body: Any) -> Any:
    try:
        answer = requests.request(method, url, headers=headers, json=body, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise Trouble(f"{method} {url} was not answered ({type(error).__name__}): the sandbox is gone") from None
    if not answer.ok:
        raise Trouble(f"{method} {url} was answered with {answer.status_code}: {answer.text[:300]}")
    return answer.json()
