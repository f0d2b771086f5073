"""The real parts: Redis, a provider, a catalog, gateways that talk to them over sockets."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gateways import PROVIDER_KEY, Gateway, StartGateway, write_catalog
from log_fixtures import Server, new_server, shared_server
from servers import serve
from upstream_stub import UpstreamStub

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from gateway.app import create_app
from gateway.settings import Settings

__all__ = ["new_server", "shared_server"]  # fixtures of their own module


_ended_with: list[int] = []

# What runs in the background of a shell ignores it, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(exitstatus: int) -> None:
    _ended_with.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without the interpreter's own end, in which litellm's clients, whose loops are long
    gone, would print complaints after pytest's last line."""
    is_worker = hasattr(config, "workerinput")
    if _ended_with and not is_worker and "coverage" not in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ended_with[0])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(shared_server: Server) -> str:
    """The URL of a Redis process of our own."""
    return shared_server.url


@pytest.fixture(scope="session")
def provider() -> Iterator[UpstreamStub]:
    """The scripted provider, serving."""
    stub = UpstreamStub()
    with serve(stub.app) as url:
        stub.base_url = f"{url}/v1"
        yield stub


@pytest.fixture
def upstream(provider: UpstreamStub) -> UpstreamStub:
    """The scripted provider, with an empty memory."""
    provider.reset()
    return provider


@pytest.fixture(scope="session")
def catalog_folder(provider: UpstreamStub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/data/catalog with the provider's address in it."""
    return write_catalog(tmp_path_factory.mktemp("catalog"), provider)


@pytest.fixture
def start_gateway(
    redis_server: str, catalog_folder: Path, tmp_path: Path
) -> Iterator[StartGateway]:
    """Starts gateways with their own settings: `start_gateway(HYDRA_API_KEYS="a=b")`."""
    with contextlib.ExitStack() as stack:

        def start(**environ: str) -> Gateway:
            data_dir = Path(tempfile.mkdtemp(dir=tmp_path))
            defaults = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(catalog_folder)}
            return stack.enter_context(running_gateway(data_dir, {**defaults, **environ}))

        yield start


@pytest.fixture(scope="module")
def shared_gateway(
    redis_server: str, catalog_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    environ = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(catalog_folder)}
    with running_gateway(tmp_path_factory.mktemp("data"), environ) as started:
        yield started


@contextlib.contextmanager
def running_gateway(data_dir: Path, environ: dict[str, str]) -> Iterator[Gateway]:
    """A gateway with these settings, serving in a thread while the block runs."""
    environ = {"HYDRA_DATA_DIR": str(data_dir), "TEST_PROVIDER_KEY": PROVIDER_KEY, **environ}
    app = create_app(Settings.from_env(environ), environ=environ)
    with serve(app) as url:
        yield Gateway(url, data_dir, Path(environ["HYDRA_PROFILES"]))


@pytest.fixture
def gateway(shared_gateway: Gateway, upstream: UpstreamStub) -> Gateway:
    """An open gateway over the test catalog; the provider's memory is empty."""
    return shared_gateway


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client
