"""What the log's Redis says of itself, asked once. An embedded one is started for it where none
runs: on its data if there are any, else on an empty folder, so that looking leaves nothing behind.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import redis_keys
from gateway.embedded_redis import EmbeddedRedisError, running
from gateway.listing import LogUnavailable, redis_answer
from gateway.redis_connection import connect
from gateway.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """Its own words; `failure` is why there are none."""

    is_embedded: bool
    failure: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    save: str | None = None  # when it writes snapshots; None: it does not say
    clock_ahead_s: float = 0.0  # of ours
    schema: int | None = None
    positions: Mapping[str, str] = field(default_factory=dict)  # of the spools' writers

    @classmethod
    def read(cls, settings: Settings) -> "RedisFacts":
        """Connect and ask."""
        is_embedded = settings.redis_url is None
        try:
            with _url(settings) as url:
                return asyncio.run(_ask(url, is_embedded=is_embedded))
        except (LogUnavailable, EmbeddedRedisError, ValueError) as exc:
            return cls(is_embedded=is_embedded, failure=str(exc).rpartition("cannot be read: ")[2])


@contextlib.contextmanager
def _url(settings: Settings) -> Iterator[str]:
    if settings.redis_url is not None:
        yield settings.redis_url
    elif (settings.data_dir / "redis").is_dir():
        with running(settings.data_dir) as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(prefix="hydra-") as folder, running(Path(folder)) as url:
            yield url


async def _ask(url: str, *, is_embedded: bool) -> RedisFacts:
    client: Any = connect(url)
    try:
        info = await redis_answer(client.info())
        before = time.time()
        seconds, microseconds = await redis_answer(client.time())
        ahead = seconds + microseconds / 1e6 - (before + time.time()) / 2
        schema = await redis_answer(client.get(redis_keys.SCHEMA))
        positions = await redis_answer(client.hgetall(redis_keys.POSITIONS))
        save = None
        with contextlib.suppress(LogUnavailable):  # hosted ones refuse CONFIG
            save = (await redis_answer(client.config_get("save"))).get("save")
        return RedisFacts(
            is_embedded=is_embedded,
            info=info,
            save=save,
            clock_ahead_s=ahead,
            schema=None if schema is None else int(schema),
            positions=positions,
        )
    finally:
        await client.aclose()
