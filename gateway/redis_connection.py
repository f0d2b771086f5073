"""Redis clients from a URL: the one place that decides time-outs, retries and what may be said.

Not a pool of commands: keys are named in redis_keys.py and used by the modules that own them.
Nothing here waits longer than a second for a connection or an answer, and nothing is tried again
behind the caller's back. Sentinel and Cluster URLs would be further schemes in `connect`; every key
that changes together with another already shares its slot.
"""

from typing import Any, Final
from urllib.parse import urlsplit

import hiredis
from redis import exceptions
from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    Redis,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_TIMEOUT_S: Final = 1.0
COMMAND_TIMEOUT_S: Final = 1.0
SCHEMES: Final = ("redis", "rediss", "unix")

# What a command can raise when Redis is at fault. TimeoutError also comes from asyncio itself.
RedisFailure: Final = (exceptions.RedisError, OSError, TimeoutError)


class _Packing(AbstractConnection):
    """Writes commands with hiredis, which redis-py does for its blocking connections only; a batch
    of the log has some thousand arguments."""

    def pack_command(self, *args: Any) -> list[bytes]:
        if b" " in args[0] if isinstance(args[0], bytes) else " " in args[0]:
            return super().pack_command(*args)
        try:
            return [hiredis.pack_command(args)]
        except (TypeError, UnicodeEncodeError):  # what redis-py's own encoder has an answer for
            return super().pack_command(*args)


class _Tcp(_Packing, Connection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


class _Unix(_Packing, UnixDomainSocketConnection):
    pass


_CLASSES: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}


def connect(url: str, *, max_connections: int = 32) -> Redis:
    """A client; connects on first use. `await client.aclose()` ends it.

    Raises ValueError, which never repeats the URL: it may hold a password.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme not in SCHEMES:
        schemes = ", ".join(f"{name}://" for name in SCHEMES)
        raise ValueError(f"the Redis URL must start with one of {schemes}")
    settings: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "replace",
        "socket_timeout": COMMAND_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),  # redis-py's default sleeps through three tries
        "max_connections": max_connections,
        "timeout": COMMAND_TIMEOUT_S,  # for a free connection of the pool
    }
    try:
        pool = BlockingConnectionPool.from_url(url, **settings)
    except ValueError:
        raise ValueError(
            "the Redis URL cannot be read: expected redis://[user:password@]host:port[/database]"
            " or unix://[user:password@]/path/of/socket[?db=0]"
        ) from None  # the cause would print the URL
    pool.connection_class = _CLASSES[pool.connection_class]
    kwargs = pool.connection_kwargs
    if scheme == "unix" and not kwargs.get("path"):
        raise ValueError("the Redis URL names no socket: expected unix:///path/of/socket")
    client: Redis = Redis.from_pool(pool)
    return client


def describe(error: BaseException) -> str:
    """Why Redis failed, in one line for a person and without credentials."""
    if isinstance(error.__cause__, exceptions.RedisError):  # what went wrong while connecting
        error = error.__cause__
    match error:
        case exceptions.AuthenticationError() | exceptions.NoPermissionError():
            return "Redis refused our credentials"
        case exceptions.BusyLoadingError():
            return "Redis is loading its data"
        case exceptions.TimeoutError() | TimeoutError():
            return f"Redis did not answer within {COMMAND_TIMEOUT_S:g} s"
        case exceptions.MaxConnectionsError():
            return "all connections to Redis are in use"
        case exceptions.ConnectionError() | OSError():
            return "Redis cannot be reached"
        case exceptions.ResponseError():
            # A server's own words, e.g. "MISCONF ..." or "OOM ..."; they quote no credentials.
            return f"Redis refused a command: {str(error).partition(chr(10))[0][:200]}"
        case _:
            return f"Redis failed: {type(error).__name__}"
