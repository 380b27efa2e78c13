"""dbt Cloud's Admin API, read only: one session, bounded retries, and errors that say what to do next.

https://docs.getdbt.com/dbt-cloud/api-v2
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_PAGE = 100
_LONGEST_WAIT = 60.0


class DbtCloudError(Exception):
    """dbt Cloud did not give what was asked for; the message names the operation, the status and the next step."""


class DbtCloudRefusedError(DbtCloudError):
    """The token is not valid, or may not read this (401, 403)."""


class DbtCloudNotFoundError(DbtCloudError):
    """There is no such thing (404)."""


class DbtCloudUnavailableError(DbtCloudError):
    """dbt Cloud could not be reached or asked to wait, also after every retry; trying later is right."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _TokenAuth(requests.auth.AuthBase):
    """Sets the header itself, so that a netrc entry of the machine never replaces it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Token {self._token}"
        return request


class DbtCloudApi:
    """One account. ``timeout`` is (connect, read) seconds; ``backoff`` the first wait between tries in seconds."""

    def __init__(
        self,
        host: str,
        account_id: int,
        token: str,
        *,
        timeout: tuple[float, float] = (5.0, 60.0),
        attempts: int = 4,
        backoff: float = 0.5,
    ) -> None:
        self.host = normalised_host(host)
        self.account_id = account_id
        self._timeout = timeout
        self._session = requests.Session()
        self._session.auth = _TokenAuth(token)
        self._session.headers.update({"Accept": "application/json", "User-Agent": "da-agent-hub"})
        self._session.mount(self.host, HTTPAdapter(pool_maxsize=8))
        self._attempts = attempts
        self._backoff = wait_exponential(multiplier=backoff, max=_LONGEST_WAIT)

    def pages(self, path: str, parameters: Mapping[str, str], operation: str) -> Iterator[Any]:
        """Every entry of a listing, page by page; ``path`` is relative to the account."""
        offset = 0
        while True:
            asked = {**parameters, "limit": str(_PAGE), "offset": str(offset)}
            envelope = self._envelope(self.get(path, asked, operation), operation)
            entries = envelope.get("data") or []
            yield from entries
            offset += len(entries)
            total = _total(envelope)
            # A server may give shorter pages than asked for: only its total, or an empty page, ends the listing.
            if not entries or (offset >= total if total is not None else len(entries) < _PAGE):
                return

    def one(self, path: str, parameters: Mapping[str, str], operation: str) -> dict[str, Any]:
        """The ``data`` of one thing."""
        data = self._envelope(self.get(path, parameters, operation), operation).get("data")
        if not isinstance(data, dict):
            raise DbtCloudError(f"{operation}: dbt Cloud answered 200 without any data. Try again later.")
        return data

    def get(self, path: str, parameters: Mapping[str, str], operation: str) -> bytes:
        """A body, with retries for what may pass by itself (408, 429, 5xx, broken connections)."""
        retrying = Retrying(
            retry=retry_if_exception_type(DbtCloudUnavailableError),
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            reraise=True,
        )
        return retrying(self._get_once, path, parameters, operation)

    def _get_once(self, path: str, parameters: Mapping[str, str], operation: str) -> bytes:
        url = f"{self.host}/api/v2/accounts/{self.account_id}/{path}"
        try:
            response = self._session.get(url, params=parameters, timeout=self._timeout)
        except requests.exceptions.SSLError as error:
            raise DbtCloudError(
                f"{operation}: the certificate of {self.host} was not accepted. Check the host and the CA bundle."
            ) from error
        except requests.RequestException as error:
            raise DbtCloudUnavailableError(
                f"{operation}: {self.host} could not be reached ({type(error).__name__}). "
                "Check the host in hub.yaml and the network, then try again."
            ) from error
        if response.status_code == 200:
            return response.content
        raise self._refusal(response, operation)

    def _refusal(self, response: requests.Response, operation: str) -> DbtCloudError:
        status = response.status_code
        if status in _RETRIED:
            wait = _retry_after(response.headers.get("Retry-After"))
            return DbtCloudUnavailableError(
                f"{operation}: dbt Cloud answered {status}, also after {self._attempts} tries. Try again later.", wait
            )
        if status == 401:
            return DbtCloudRefusedError(
                f"{operation}: dbt Cloud answered 401. The token is not valid at {self.host}: check `token` and `host`."
            )
        if status == 403:
            return DbtCloudRefusedError(
                f"{operation}: dbt Cloud answered 403. The token may not read account {self.account_id}: "
                "give it the permission set Job Viewer or Read-Only."
            )
        if status == 404:
            return DbtCloudNotFoundError(
                f"{operation}: dbt Cloud answered 404. Check `host` and `account_id` ({self.account_id})."
            )
        return DbtCloudError(f"{operation}: dbt Cloud answered {status}. Check the settings of this source.")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, DbtCloudUnavailableError) else None
        return min(asked, _LONGEST_WAIT) if asked is not None else float(self._backoff(state))

    def _envelope(self, body: bytes, operation: str) -> dict[str, Any]:
        try:
            envelope = json.loads(body)
        except ValueError as error:
            raise DbtCloudError(
                f"{operation}: {self.host} answered 200 with something that is not JSON. "
                "Check that `host` is the access URL of the account, not a login page or a proxy."
            ) from error
        if not isinstance(envelope, dict):
            raise DbtCloudError(f"{operation}: dbt Cloud answered 200 without its envelope. Check `host`.")
        return envelope


def normalised_host(host: str) -> str:
    """``cloud.getdbt.com/`` and ``https://cloud.getdbt.com/api/v2`` become ``https://cloud.getdbt.com``."""
    written = host.strip() if "://" in host else f"https://{host.strip()}"
    parts = urlsplit(written)
    return f"{parts.scheme}://{parts.netloc}"


def _total(envelope: Mapping[str, Any]) -> int | None:
    extra = envelope.get("extra")
    pagination = extra.get("pagination") if isinstance(extra, dict) else None
    total = pagination.get("total_count") if isinstance(pagination, dict) else None
    return total if isinstance(total, int) else None


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait; the header holds seconds or an HTTP date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
