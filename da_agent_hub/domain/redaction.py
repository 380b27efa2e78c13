"""Secrets out of every text that leaves the hub: the configured values themselves, and the known shapes of others."""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

# A configured value shorter than this would blank out ordinary words.
SHORTEST_SECRET = 6

_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[opsur]_[A-Za-z0-9]{16,}"
    r"|github_pat_[A-Za-z0-9_]{16,}"
    r"|sk-ant-[A-Za-z0-9_-]{8,}"
    r"|dbt[cu]_[A-Za-z0-9_=+/-]{8,}"
    r"|xox[a-z]-[A-Za-z0-9-]{8,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*"
    r")"
)
# An end that was cut off must not save the key.
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# scheme://user:password@host keeps scheme, user and host, which say what failed. A password may itself hold an @.
_URL_PASSWORD = re.compile(r"(?P<before>\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@'\"<>]{0,200}:)[^\s/'\"<>]{1,500}(?=@)")
_AUTHORIZATION = re.compile(
    r"(?i)(?P<before>\bauthorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic|token)\s+)?)[^\s'\",;]+"
)
_ASSIGNMENT = re.compile(
    r"(?i)(?P<before>(?<![A-Za-z])(?:password|passwd|pwd|passphrase|secret|client_secret|secret_key|api[_-]?key|"
    r"access[_-]?key|secret[_-]?access[_-]?key|access[_-]?token|auth[_-]?token|private[_-]?key)"
    r"['\"]?\s*[:=]\s*)(?P<value>\"[^\"\n]+\"|'[^'\n]+'|[^\s'\",;)&]+)"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with secrets replaced by ``[redacted]``; ``secrets`` are the values that the operator configured."""
    for secret in sorted({one for one in secrets if len(one) >= SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    text = _PEM.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\g<before>{REDACTED}", text)
    text = _AUTHORIZATION.sub(rf"\g<before>{REDACTED}", text)
    text = _ASSIGNMENT.sub(rf"\g<before>{REDACTED}", text)
    return _TOKENS.sub(REDACTED, text)
