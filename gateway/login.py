"""The dashboard's login: a signed cookie that stands for a key in a browser.

The cookie holds the key's id and a time, signed with a secret that is derived from the key itself:
it needs no storage, is good in every worker, and ends with its hours or with the key. Deriving is
slow on purpose, so that a stolen cookie does not make a weak key guessable. It counts for reading
alone, and only if the request comes from a page of ours.
"""

import base64
import functools
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from itsdangerous import BadSignature, TimestampSigner

from gateway.keys import ApiKey

COOKIE: Final = "hydra_session"
MAX_AGE_S: Final = 12 * 3600
READS: Final = ("GET", "HEAD")
READING_POSTS: Final = ("/v1/route", "/dashboard/drawn")  # they change nothing

_SALT: Final = b"hydra-gateway dashboard session"
_COST: Final = 2**14  # 16 MiB and some 50 ms, once for each key that logs in


def key_with(secret: str, keys: Sequence[ApiKey]) -> ApiKey | None:
    """The key with this secret. Compares with all of them, in constant time each."""
    shown = secret.strip().encode()
    found = [key for key in keys if hmac.compare_digest(key.secret.encode(), shown)]
    return found[0] if found else None


def issue(key: ApiKey) -> str:
    """A cookie's value."""
    return _signer(key).sign(_packed(key.id)).decode("ascii")


def key_of(cookie: str | None, keys: Sequence[ApiKey]) -> ApiKey | None:
    """The key that a cookie stands for; None if it is old, forged, or the key is gone."""
    if not cookie or not cookie.isascii():
        return None
    packed = cookie.partition(".")[0].encode()
    for key in keys:
        if _packed(key.id) == packed:
            try:
                _signer(key).unsign(cookie, max_age=MAX_AGE_S)
            except BadSignature:  # SignatureExpired is one
                return None
            return key
    return None


def is_ours(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether a cookie may stand for a key in this request."""
    if "authorization" in headers or "x-api-key" in headers:  # a key that is shown is stronger
        return False
    if method in READS and headers.get("sec-fetch-mode") == "navigate":
        return True  # a link to a page, which the one that has the link can't read
    is_read = method in READS or (method == "POST" and path in READING_POSTS)
    return is_read and is_same_origin(headers)


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a page of ours, or the person at the address bar, sent it. SameSite=Strict keeps
    cookies from other sites' requests, but another port of the same host is the same site."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")  # browsers without the header above send it with every POST
    return origin is None or origin.partition("://")[2] == headers.get("host")


def set_cookie(value: str, *, is_secure: bool, max_age_s: int = MAX_AGE_S) -> str:
    """A set-cookie header; path / because the page reads /v1/decisions/stream and /v1/route."""
    secure = "; Secure" if is_secure else ""
    return f"{COOKIE}={value}; Max-Age={max_age_s}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _packed(key_id: str) -> bytes:
    return base64.urlsafe_b64encode(key_id.encode()).rstrip(b"=")


@functools.lru_cache(maxsize=256)
def _signer(key: ApiKey) -> TimestampSigner:
    derived = hashlib.scrypt(key.secret.encode(), salt=_SALT, n=_COST, r=8, p=1)
    return TimestampSigner(derived, salt=_SALT, key_derivation="hmac", digest_method=hashlib.sha256)
