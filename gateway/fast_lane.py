"""The fast lane: our own HTTP client moves the bytes of providers whose wire needs no translation.

What the provider sent is what is handed on, so that fields of tomorrow survive; it is read on the
way for usage and errors alone (wires.py).
"""

import contextlib
import json
import logging
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import aiohttp
import certifi
import orjson

from gateway import upstream_errors
from gateway.errors import UpstreamError
from gateway.sse import Event, Splitter

logger = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_MAX_REFUSAL_BYTES: Final = 1 << 20  # of an error's body: the rest cannot matter
_CLIENT_ERRORS: Final = (aiohttp.ClientError, OSError)  # TimeoutError is one of the latter
_HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}


class FastLane:
    """One pool of connections. Use from the loop that made it."""

    def __init__(self, *, timeout_s: float, user_agent: str) -> None:
        context = ssl.create_default_context(
            cafile=os.environ.get("SSL_CERT_FILE") or certifi.where()
        )
        self._whole = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        self._by_event = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_S, sock_read=timeout_s
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60),
            headers={**_HEADERS, "user-agent": user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            # Looking for proxies costs time in every request.
            trust_env=any(os.environ.get(n) or os.environ.get(n.upper()) for n in _PROXIES),
            auto_decompress=True,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def whole(
        self, url: str, body: bytes, headers: Mapping[str, str], *, profile: str, secret: str | None
    ) -> tuple[bytes, dict[str, Any]]:
        """The answer's bytes and what they say. Raises UpstreamError."""
        try:
            async with await self._post(url, body, headers, self._whole) as response:
                raw = await _read(response)
        except _CLIENT_ERRORS as exc:
            raise _translated(exc, profile) from exc
        answer = parse(raw)
        if response.status >= 400 or not isinstance(answer, dict):
            raise self._refusal(response, answer, raw, profile, secret)
        return raw, answer

    async def events(
        self, url: str, body: bytes, headers: Mapping[str, str], *, profile: str, secret: str | None
    ) -> AsyncGenerator[list[Event], None]:
        """The stream, as many events at a time as the network brought. Raises UpstreamError."""
        headers = {**headers, "accept": "text/event-stream"}
        try:
            async with await self._post(url, body, headers, self._by_event) as response:
                if response.status >= 400 or response.content_type != "text/event-stream":
                    raw = await _read(response)
                    raise self._refusal(response, parse(raw), raw, profile, secret)
                splitter = Splitter()
                async for data in response.content.iter_any():
                    events = splitter.feed(data)
                    if events:
                        yield events
                rest = splitter.end()
                if rest:
                    yield rest
        except _CLIENT_ERRORS as exc:
            raise _translated(exc, profile) from exc

    async def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        try:
            return await self._session.post(
                url, data=body, headers=headers, timeout=limits, allow_redirects=False
            )
        except aiohttp.ServerDisconnectedError:
            # The server closed an idle connection just as we took it from the pool: it has read
            # nothing, and aiohttp itself sends no POST again.
            return await self._session.post(
                url, data=body, headers=headers, timeout=limits, allow_redirects=False
            )

    def _refusal(
        self,
        response: aiohttp.ClientResponse,
        answer: object,
        raw: bytes,
        profile: str,
        secret: str | None,
    ) -> UpstreamError:
        status = response.status
        error = upstream_errors.of_response(
            status,
            response.headers,
            answer,
            raw[:500].decode("utf-8", "replace"),
            profile=profile,
            secrets=(secret or "", str(response.url.origin()), response.url.authority),
        )
        logger.warning("%s: status %s, %s", profile, status, error.code or error.type)
        return error


def _translated(exc: Exception, profile: str) -> UpstreamError:
    logger.warning("%s: %s: %s", profile, type(exc).__name__, exc)
    return upstream_errors.of_client(exc, profile=profile)


def parse(data: bytes) -> Any:
    """JSON, or None. orjson refuses halves of surrogate pairs, which some servers cut."""
    try:
        return orjson.loads(data)
    except ValueError:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(data)
    return None


def encode(body: Mapping[str, Any]) -> bytes:
    """A body for the wire. orjson refuses integers of more than 64 bits, JSON does not."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if response.status < 400:
        return await response.read()
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        return await response.content.read(_MAX_REFUSAL_BYTES)
    return b""
