"""dbt Cloud's Admin API, read only: one session, bounded retries, and errors that say what to do next.

https://docs.getdbt.com/dbt-cloud/api-v2
"""

from __future__ import annotations

import ipaddress
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

_PAGE = 100
_PIECE = 65_536
# A run's answer brings the logs of its steps; what is larger than this is no answer.
_LARGEST_ANSWER = 256_000_000
_LARGEST_ARTIFACT = 2_000_000_000

# A list goes out as one JSON text, or as its parameter several times.
Parameters = Mapping[str, str | Sequence[str | int]]

_T = TypeVar("_T")


class DbtCloudError(Exception):
    """dbt Cloud did not give what was asked for; the message names the operation, the status and the next step."""


class DbtCloudRefusedError(DbtCloudError):
    """The token is not valid, or may not read this (401, 403)."""


class DbtCloudNotFoundError(DbtCloudError):
    """There is no such thing (404)."""


class DbtCloudParametersError(DbtCloudError):
    """A parameter was not understood (400, 422)."""


class DbtCloudUnavailableError(DbtCloudError):
    """Not reached, asked to wait, or answered with something broken, also after every retry; trying later is right.

    ``retry_after`` is how many seconds dbt Cloud asked to wait, where it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Page:
    """A part of a listing, which holds ``size`` entries.

    ``total`` counts the whole listing, ``etag`` names this answer; both may be unknown.
    """

    entries: Sequence[Mapping[str, Any]]
    size: int
    total: int | None
    etag: str | None


class _TokenAuth(requests.auth.AuthBase):
    """Sets the header itself, so that a netrc entry of the machine never replaces it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class DbtCloudApi:
    """One account, safe to use from several threads.

    ``timeout`` is (connect, silence between two pieces) in seconds, ``whole_answer`` bounds an answer from its first
    byte to its last, ``backoff`` is the first wait between tries, and ``patience`` the longest time in which a new try
    begins.
    """

    def __init__(
        self,
        host: str,
        account_id: int,
        token: str,
        *,
        timeout: tuple[float, float] = (5.0, 20.0),
        whole_answer: float = 300.0,
        attempts: int = 4,
        backoff: float = 0.5,
        patience: float = 30.0,
        connections: int = 8,
    ) -> None:
        self.host = normalised_host(host)
        self.account_id = account_id
        self._timeout = timeout
        self._whole_answer = whole_answer
        self._attempts = attempts
        self._patience = patience
        self._lists_as_json = True
        self._backoff = wait_exponential(multiplier=backoff, max=patience)
        # Threads may share it: nothing of it changes from here on (it keeps no cookies), and its pool is locked.
        self._session = requests.Session()
        self._session.auth = _TokenAuth(token)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "da-agent-hub"}
        )
        self._session.mount(self.host, HTTPAdapter(pool_maxsize=connections, pool_block=True))

    def page(
        self,
        path: str,
        parameters: Parameters,
        operation: str,
        *,
        offset: int = 0,
        etag: str | None = None,
    ) -> Page | None:
        """One page of a listing; None where ``etag`` says that it is as it was. ``path`` is relative to the account.

        Raises:
            DbtCloudError: it was not given, also after retries of what may pass by itself.
        """

        def read(response: requests.Response) -> Page | None:
            if response.status_code == 304:
                return None
            # A listing is asked for within a sensor's tick.
            envelope = self._envelope(response, operation, min(self._whole_answer, self._patience))
            entries, total = envelope.get("data"), _total(envelope)
            if not isinstance(entries, list) and not (entries is None and total == 0):
                raise DbtCloudUnavailableError(
                    f"{operation}: dbt Cloud answered 200 without a list of entries. Try again later."
                )
            known = [one for one in entries or [] if isinstance(one, dict)]
            return Page(known, len(entries or []), total, response.headers.get("ETag"))

        asked = {**parameters, "limit": str(_PAGE), "offset": str(offset)}
        headers = {"If-None-Match": etag} if etag else {}
        if not self._lists_as_json:
            return self._get(path, asked, operation, read, headers)
        try:
            return self._get(path, _with_json(asked), operation, read, headers)
        except DbtCloudParametersError:
            if _with_json(asked) == asked:
                raise
            # dbt Cloud takes a list as JSON, while its OpenAPI description wants the parameter several times.
            page = self._get(path, asked, operation, read, headers)
            self._lists_as_json = False
            return page

    def one(self, path: str, parameters: Mapping[str, str], operation: str) -> dict[str, Any]:
        """The ``data`` of one thing.

        Raises:
            DbtCloudError: as for pages.
        """

        def read(response: requests.Response) -> dict[str, Any]:
            data = self._envelope(response, operation, self._whole_answer).get("data")
            if not isinstance(data, dict):
                raise DbtCloudUnavailableError(
                    f"{operation}: dbt Cloud answered 200 without any data. Try again later."
                )
            return data

        return self._get(path, parameters, operation, read)

    def download(
        self, path: str, parameters: Mapping[str, str], operation: str, keep: Callable[[Iterator[bytes]], _T]
    ) -> _T:
        """Give a body to ``keep`` piece by piece; it is called again where the body broke off and is asked for again.

        Raises:
            DbtCloudError: as for pages.
        """

        def read(response: requests.Response) -> _T:
            return keep(self._pieces(response, operation, _LARGEST_ARTIFACT, self._whole_answer))

        return self._get(path, parameters, operation, read, {"Accept": "*/*"})

    def _get(
        self,
        path: str,
        parameters: Parameters,
        operation: str,
        read: Callable[[requests.Response], _T],
        headers: Mapping[str, str] | None = None,
    ) -> _T:
        begun = time.monotonic()

        def may_pass(error: BaseException) -> bool:
            if not isinstance(error, DbtCloudUnavailableError):
                return False
            # Asking sooner than dbt Cloud wants prolongs the limit; a long wait belongs to whoever calls.
            return time.monotonic() - begun + (error.retry_after or 0.0) < self._patience

        retrying = Retrying(
            retry=retry_if_exception(may_pass), stop=stop_after_attempt(self._attempts), wait=self._wait, reraise=True
        )
        found: _T = retrying(self._get_once, path, parameters, operation, read, headers)
        return found

    def _get_once(
        self,
        path: str,
        parameters: Parameters,
        operation: str,
        read: Callable[[requests.Response], _T],
        headers: Mapping[str, str] | None,
    ) -> _T:
        url = f"{self.host}/api/v2/accounts/{self.account_id}/{path}"
        try:
            with self._session.get(
                url, params=parameters, headers=headers, timeout=self._timeout, stream=True
            ) as response:
                if response.status_code in (200, 304):
                    return read(response)
                if int(response.headers.get("Content-Length") or _PIECE) < _PIECE:
                    _ = response.content  # read to its end, its connection serves the next request
                raise self._refusal(response, operation)
        except requests.exceptions.SSLError as error:
            raise DbtCloudError(
                f"{operation}: the certificate of {self.host} was not accepted. Check the host and the CA bundle."
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise DbtCloudUnavailableError(
                f"{operation}: {self.host} could not be reached, or broke off ({type(error).__name__}). "
                "Check the host in hub.yaml and the network, then try again."
            ) from error

    def _pieces(self, response: requests.Response, operation: str, largest: int, seconds: float) -> Iterator[bytes]:
        """A body, decoded; one that ends too early raises, which ``requests`` leaves unnoticed for gzip."""
        packed = response.headers.get("Content-Encoding", "").strip().lower() == "gzip"
        inflate = zlib.decompressobj(wbits=31)
        deadline, size = time.monotonic() + seconds, 0
        # One read at a time: a longer one would wait for a server that drips, and never look at the clock.
        while piece := response.raw.read1(_PIECE, decode_content=False):
            try:
                found = inflate.decompress(piece) if packed else piece
            except zlib.error as error:
                raise DbtCloudUnavailableError(
                    f"{operation}: dbt Cloud's answer is damaged (gzip). Try again later."
                ) from error
            size += len(found)
            if size > largest:
                raise DbtCloudError(f"{operation}: dbt Cloud's answer is longer than {largest:,} bytes: not read.")
            if time.monotonic() > deadline:
                raise DbtCloudUnavailableError(
                    f"{operation}: dbt Cloud's answer had not ended after {seconds:.0f} seconds. Try again later."
                )
            yield found
        if packed and not inflate.eof:
            raise DbtCloudUnavailableError(f"{operation}: dbt Cloud's answer was cut after {size} bytes.")

    def _envelope(self, response: requests.Response, operation: str, seconds: float) -> dict[str, Any]:
        body = b"".join(self._pieces(response, operation, _LARGEST_ANSWER, seconds))
        try:
            envelope = json.loads(body)
        except ValueError as error:
            raise DbtCloudUnavailableError(
                f"{operation}: {self.host} answered 200 with something that is not JSON. "
                "Check that `host` is the access URL of the account, not a login page or a proxy."
            ) from error
        if not isinstance(envelope, dict):
            raise DbtCloudUnavailableError(
                f"{operation}: dbt Cloud answered 200 without its envelope. Check `host`, or try again later."
            )
        return envelope

    def _refusal(self, response: requests.Response, operation: str) -> DbtCloudError:
        status = response.status_code
        if status in (408, 425, 429) or status >= 500:
            wait = _retry_after(response.headers)
            asked = f" and asked to wait {wait:.0f} seconds" if wait else ""
            return DbtCloudUnavailableError(f"{operation}: dbt Cloud answered {status}{asked}. Try again later.", wait)
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
                f"{operation}: dbt Cloud answered 404. It is not there any more, or the token may not see it: "
                f"check `host` and `account_id` ({self.account_id})."
            )
        said = f"{operation}: dbt Cloud answered {status}. Check the settings of this source."
        return DbtCloudParametersError(said) if status in (400, 422) else DbtCloudError(said)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, DbtCloudUnavailableError) else None
        return asked if asked is not None else float(self._backoff(state))


def _with_json(parameters: Parameters) -> Parameters:
    return {
        name: value if isinstance(value, str) else json.dumps(list(value), separators=(",", ":"))
        for name, value in parameters.items()
    }


def normalised_host(host: str) -> str:
    """``cloud.getdbt.com/`` and ``https://cloud.getdbt.com/api/v2`` become ``https://cloud.getdbt.com``.

    Raises:
        DbtCloudError: it names no host, or one that would be sent the token over an open line.
    """
    written = host.strip()
    parts = urlsplit(written if "://" in written else f"https://{written}")
    try:
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if not name or parts.scheme not in ("http", "https"):
        raise DbtCloudError(
            "`host` of a dbt Cloud source is no host name: write your access URL, such as ab123.us1.dbt.com."
        )
    if parts.scheme == "http" and not _is_loopback(name):
        raise DbtCloudError(f"`host` {name} would get the token unencrypted: write https:// in place of http://.")
    named = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{named}:{port}" if port else f"{parts.scheme}://{named}"


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _total(envelope: Mapping[str, Any]) -> int | None:
    extra = envelope.get("extra")
    pagination = extra.get("pagination") if isinstance(extra, dict) else None
    total = pagination.get("total_count") if isinstance(pagination, dict) else None
    return total if isinstance(total, int) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; the header holds seconds or an HTTP date, which counts from the server's own clock."""
    asked = headers.get("Retry-After")
    if not asked:
        return None
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    until, now = _http_date(asked), _http_date(headers.get("Date")) or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds()) if until else None


def _http_date(written: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(written) if written else None
    except ValueError:
        return None
    return found.replace(tzinfo=timezone.utc) if found is not None and found.tzinfo is None else found
