"""Who may call: the gateway's own API keys, and how a request shows one.

Secrets never appear in a repr, a log line or a record; the log knows a key by its name or, unnamed,
by the first digits of its hash.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller's key. `id` is what the log shows."""

    id: str
    secret: str = field(repr=False)


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """A comma list of `secret` or `name=secret`. Raises ValueError without showing a secret.

    >>> [key.id for key in parse_keys("alice=s3cret, 0123456789")]
    ['alice', 'key-84d89877']
    """
    return _parsed(text.split(","))


def _parsed(entries: Iterable[str]) -> tuple[ApiKey, ...]:
    keys: list[ApiKey] = []
    for position, entry in enumerate(filter(None, map(str.strip, entries)), start=1):
        name, separator, secret = entry.partition("=")
        if not separator:
            name, secret = "", entry
        if not secret.strip() or (separator and not name.strip()):
            raise ValueError(f"entry {position} must be 'secret' or 'name=secret'")
        if not entry.isascii():
            raise ValueError(f"entry {position} must be ASCII: a header carries nothing else")
        keys.append(ApiKey(name.strip() or _anonymous_id(secret.strip()), secret.strip()))
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("two keys share a name")
    return tuple(keys)


def parse_keys_file(path: str) -> tuple[ApiKey, ...]:
    """Keys of a file, one a line; empty lines and lines that start with # are skipped."""
    if not path:
        return ()
    lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    return _parsed(line for line in lines if not line.lstrip().startswith("#"))


def authenticate(headers: Mapping[str, str], keys: Sequence[ApiKey]) -> ApiKey | None:
    """The caller's key; None when the gateway has no keys. Raises Unauthorized."""
    if not keys:
        return None
    scheme, _, token = headers.get("authorization", "").partition(" ")
    shown = [token.strip()] if scheme.lower() == "bearer" else []
    shown = [secret for secret in (*shown, headers.get("x-api-key", "").strip()) if secret]
    if not shown:
        raise Unauthorized("no API key: send 'Authorization: Bearer <key>' or 'x-api-key: <key>'")
    for key in keys:
        if any(hmac.compare_digest(key.secret.encode(), secret.encode()) for secret in shown):
            return key
    raise Unauthorized("this API key is not one of the gateway's keys (HYDRA_API_KEYS)")


def _anonymous_id(secret: str) -> str:
    return "key-" + hashlib.sha256(secret.encode()).hexdigest()[:8]
