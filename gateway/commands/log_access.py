"""The way to the log that the commands share, whether a gateway runs or not."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gateway.embedded_redis import EmbeddedRedisError, running
from gateway.errors import ConfigError, GatewayError, SettingsError, UsageError
from gateway.ledger import Ledger, LogUnavailable
from gateway.redis_connection import connect
from gateway.settings import Settings

T = TypeVar("T")


def from_ledger(read: Callable[[Ledger], Awaitable[T]]) -> T:
    """What `read` gets from the log. Raises as `from_redis` does."""
    return from_redis(lambda client: read(Ledger(client)))


def from_redis(read: Callable[[Any], Awaitable[T]]) -> T:
    """What `read` gets through a client. Raises ConfigError, UsageError for its ValueError, and
    GatewayError if there is no log or Redis does not answer."""
    settings = Settings.from_env(os.environ)
    if settings.redis_url is None and not (settings.data_dir / "redis").is_dir():
        raise GatewayError(
            f"no log in {settings.data_dir}: run this where the gateway runs, or set"
            " HYDRA_DATA_DIR or HYDRA_REDIS_URL"
        )
    with _redis_url(settings.redis_url, settings.data_dir) as url:
        try:
            return asyncio.run(_ask(url, read))
        except ValueError as exc:
            raise UsageError(str(exc)) from exc
        except LogUnavailable as exc:
            raise GatewayError(str(exc)) from exc


async def _ask(url: str, read: Callable[[Any], Awaitable[T]]) -> T:
    try:
        client = connect(url)
    except ValueError as exc:
        raise SettingsError([f"HYDRA_REDIS_URL: {exc}"]) from exc
    try:
        return await read(client)
    finally:
        await client.aclose()


@contextlib.contextmanager
def _redis_url(configured: str | None, data_dir: Path) -> Iterator[str]:
    """The Redis of a running gateway, or the embedded one started for this one look."""
    if configured is not None:
        yield configured
        return
    try:
        with running(data_dir) as url:
            yield url
    except EmbeddedRedisError as exc:
        raise ConfigError([str(exc)]) from exc
