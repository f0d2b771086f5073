"""The metrics of several workers as one: each writes its own to a file once a second, and the one
that is scraped adds the others'.

prometheus_client's own way maps such files into memory: on a full disk, which the gateway is to
survive, touching one ends the process (SIGBUS), and the metrics of the process are of whoever
happens to answer. Here a write that fails leaves old numbers.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import orjson

from gateway.metric_table import METRICS
from gateway.metrics import Cells, State

logger = logging.getLogger(__name__)

EVERY_S: Final = 1.0
_OF_THE_LIVING: Final = frozenset(metric.name for metric in METRICS if metric.kind == "gauge")


@contextlib.contextmanager
def shared_folder(data_dir: Path) -> Iterator[Path | None]:
    """A folder for the workers of this process, gone afterwards; None where it can't be made.

    Another gateway may use the same data folder: what it holds a lock on is left alone, what a
    killed one left behind is deleted.
    """
    root = data_dir / "metrics"
    folder = root / uuid.uuid4().hex
    lock = folder.with_suffix(".lock")
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear(root)
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        folder.mkdir(mode=0o700)
    except OSError as exc:
        logger.warning("/metrics will show one worker at a time: %s: %s", root, exc.strerror)
        yield None
        return
    try:
        yield folder.absolute()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(held)


def _clear(root: Path) -> None:
    for lock in root.glob("*.lock"):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)


class WorkerMetrics:
    """This worker's file in the folder, and the others' beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}.json"
        self._is_failing = False

    async def keep(self, state: Callable[[], State]) -> None:
        """Write for ever."""
        while True:
            await asyncio.to_thread(self._replace, _dumped(state()))
            await asyncio.sleep(EVERY_S)

    def write(self, state: State) -> None:
        """Write once, at the end."""
        self._replace(_dumped(state))

    def _replace(self, content: bytes) -> None:
        new = self._path.with_suffix(".new")
        try:
            new.write_bytes(content)
            new.rename(self._path)
        except OSError as exc:
            if not self._is_failing:
                logger.warning("this worker's metrics are not shared: %s", exc.strerror)
            self._is_failing = True
        else:
            self._is_failing = False

    def others(self) -> list[State]:
        """What the other workers counted; of dead ones what stays true, so that no sum falls."""
        states: list[State] = []
        for path in self._folder.glob("*.json"):
            if path == self._path:
                continue
            with contextlib.suppress(OSError, ValueError):
                states.append(_read(path, is_alive=_is_alive(int(path.stem))))
        return states


def _dumped(state: State) -> bytes:
    return orjson.dumps({name: list(cells.items()) for name, cells in state.items()})


def _read(path: Path, *, is_alive: bool) -> State:
    state: dict[str, Cells] = {
        name: {tuple(labels): cell for labels, cell in entries}
        for name, entries in orjson.loads(path.read_bytes()).items()
    }
    if not is_alive:
        for name in _OF_THE_LIVING & state.keys():
            del state[name]
    return state


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
