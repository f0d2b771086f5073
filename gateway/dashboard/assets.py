"""The page's files: our styles and modules, and Chart.js from the chartkick package.

Their address carries a digest of them all, so that a browser asks once and never again, and a new
version of the gateway is seen at once. Kept in memory, compressed once.
"""

import functools
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_CHARTS: Final = "chart.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file as it is sent."""

    media_type: str
    body: bytes = field(repr=False)
    compressed: bytes = field(repr=False)
    etag: str


@functools.cache
def digest() -> str:
    """The part of the address that changes when a file does."""
    found = hashlib.sha256()
    for name, body in sorted(_files().items()):
        found.update(f"{name}\0{len(body)}\0".encode() + body)
    return found.hexdigest()[:16]


@functools.lru_cache(maxsize=64)  # bounded: any name can be asked for
def asset(name: str) -> Asset | None:
    """The file of that name."""
    body = _files().get(name)
    if body is None:
        return None
    return Asset(
        media_type=_TYPES[name.rpartition(".")[2]],
        body=body,
        compressed=gzip.compress(body, mtime=0),
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
    )


@functools.cache
def _files() -> Mapping[str, bytes]:
    own = resources.files("gateway.dashboard") / "static"
    found = {
        file.name: file.read_bytes()
        for file in own.iterdir()
        if file.name.rpartition(".")[2] in _TYPES
    }
    package = resources.files("chartkick") / "django" / "static" / "chartkick"
    return {**found, _CHARTS: (package / "Chart.bundle.js").read_bytes()}
