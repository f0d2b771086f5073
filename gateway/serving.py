"""`hydra-gateway serve`: everything between the command and the first request.

Finds what to serve with (keys, Redis, or their stand-ins), says so in a banner, and runs uvicorn.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import predictor
from gateway import catalog, request_log, schema
from gateway.catalog import Catalog
from gateway.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from gateway.errors import ConfigError, SettingsError
from gateway.intake import DEFAULT_POOL
from gateway.listing import LogUnavailable
from gateway.predictor_facts import facts
from gateway.redis_connection import connect
from gateway.settings import Settings
from gateway.worker_metrics import shared_folder

DEMO_POOL: Final = "demo"
# From this process to its workers, not settings.
_DEMO_BASE: Final = "_HYDRA_DEMO_BASE"
_METRICS_FOLDER: Final = "_HYDRA_METRICS_FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be served: the checked configuration and what stands in for what is missing."""

    settings: Settings
    catalog: Catalog
    predictor: predictor.Predictor
    is_demo: bool

    @property
    def pool_name(self) -> str:
        return self.settings.pool or DEFAULT_POOL


def plan(environ: Mapping[str, str], *, force_demo: bool = False) -> Plan:
    """Read and check the whole configuration. Raises ConfigError with every problem."""
    settings = Settings.from_env(environ)
    if settings.redis_url is not None:
        try:
            connect(settings.redis_url)  # connects on first use, so this only reads the URL
        except ValueError as exc:
            raise SettingsError([f"HYDRA_REDIS_URL: {exc}"]) from exc
    try:
        model = predictor.load(settings.predictor)
    except predictor.PredictorError as exc:
        raise ConfigError([f"predictor: {exc}"]) from exc
    found = catalog.load(settings.catalog_folder, facts(model), environ)
    wanted = settings.pool or DEFAULT_POOL
    if wanted not in found.pools:
        names = ", ".join(found.pools)
        raise SettingsError([f"HYDRA_POOL: no pool is named '{wanted}'; there are {names}"])
    is_demo = force_demo or (settings.profiles is None and not found.pools[wanted].profiles)
    if is_demo:
        found = catalog.load(
            settings.catalog_folder, facts(model), environ, usable_without_keys=True
        )
        if settings.pool is None and DEMO_POOL in found.pools:
            settings = replace(settings, pool=DEMO_POOL)
    return Plan(settings=settings, catalog=found, predictor=model, is_demo=is_demo)


def serve(environ: MutableMapping[str, str], *, force_demo: bool = False) -> int:
    """Serve until stopped; returns the exit code."""
    from gateway import banner

    planned = plan(environ, force_demo=force_demo)
    _allow_connections()
    settings = planned.settings
    _say_in_the_log(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal that stopped it again at its end: the default would kill us
        # before the embedded Redis is closed.
        signal.signal(number, _stop)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listening(settings))
        redis_url = settings.redis_url
        if redis_url is None:
            redis_url = stack.enter_context(_embedded_redis(settings.data_dir))
        _claim(redis_url)
        demo_base = None
        if planned.is_demo:
            from gateway.demo import DemoUpstream

            demo_base = stack.enter_context(DemoUpstream(planned.catalog.profiles)).base_url
        environ["HYDRA_REDIS_URL"] = redis_url
        environ["HYDRA_POOL"] = planned.pool_name
        if demo_base is not None:
            environ[_DEMO_BASE] = demo_base
        if settings.workers > 1:
            folder = stack.enter_context(shared_folder(settings.data_dir))
            environ[_METRICS_FOLDER] = str(folder or "")
        print(banner.banner(planned, listening.getsockname()[1], redis_url), flush=True)
        return _run(settings, listening)


def _allow_connections() -> None:
    """As many open files as the system lets us: a running stream takes two, and the usual limit of
    1024 would break the five hundredth."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # the first: not a Unix
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say_in_the_log(settings: Settings) -> None:
    """One line a request, on stderr."""
    request_log.configure(settings.log_format)
    logging.getLogger("LiteLLM").setLevel(logging.WARNING)
    # No line of ours names thread, process or source: finding them is half of a line's cost.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # the switch that logging's documentation gives


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


def app() -> object:
    """The ASGI app of a worker process, from the environment `serve` prepared."""
    from gateway.app import create_app

    settings = Settings.from_env(os.environ)
    _say_in_the_log(settings)
    folder = os.environ.get(_METRICS_FOLDER)
    return create_app(
        settings,
        demo_base=os.environ.get(_DEMO_BASE),
        metrics_folder=Path(folder) if folder else None,
    )


def _run(settings: Settings, listening: socket.socket) -> int:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    config = uvicorn.Config(
        "gateway.serving:app",
        factory=True,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing of ours asks for the client's address
        timeout_graceful_shutdown=30,
        # Longer than the 60 s after which load balancers drop an idle connection: they close first.
        timeout_keep_alive=75,
    )
    if settings.workers > 1:
        Multiprocess(config, sockets=[listening]).run()
        return 0
    server = uvicorn.Server(config)
    server.run(sockets=[listening])
    return 0 if server.started else 3


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket, taken first: a port in use is then the only thing that is said."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (settings.host, settings.port), family=family, backlog=2048
        )
    except OSError as exc:
        where = f"{settings.host}:{settings.port}"
        why = os.strerror(exc.errno) if exc.errno else str(exc)
        raise SettingsError([f"HYDRA_PORT: can't listen on {where}: {why}"]) from exc
    # Accepted sockets inherit it. Without, an answer's body waits 40 ms for the client's delayed
    # ACK of its headers wherever the loop does not set it itself (asyncio's does not here).
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listening:
        yield listening


def _claim(redis_url: str) -> None:
    """Mark what is in Redis as ours to write, while it answers. Raises ConfigError if it is not."""
    try:
        asyncio.run(schema.claim_at(redis_url))
    except schema.NewerSchema as exc:
        raise ConfigError([str(exc)]) from exc
    except LogUnavailable:  # decisions wait in the spool, and the shipper asks again
        return


@contextlib.contextmanager
def _embedded_redis(data_dir: Path) -> Iterator[str]:
    try:
        server = EmbeddedRedis(data_dir)
    except EmbeddedRedisError as exc:
        raise ConfigError([str(exc)]) from exc
    try:
        yield server.url
    finally:
        server.stop()
