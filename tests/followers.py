"""`hydra-gateway decisions --follow` as a process, and the lines that it prints."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from exports import log
from log_fixtures import a_record
from test_serve import clean_environ

WITHIN_S = 30.0  # a busy machine starts a process in seconds


class Follower:
    """The running command."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._complaints: queue.Queue[str] = queue.Queue()
        for stream, lines in ((process.stdout, self._lines), (process.stderr, self._complaints)):
            threading.Thread(target=_read, args=(stream, lines), daemon=True).start()

    def line(self, within_s: float = WITHIN_S) -> str:
        """The next one of stdout. Raises queue.Empty."""
        return self._lines.get(timeout=within_s)

    def warm_up(self, url: str) -> None:
        """Log records until it prints one: from then on it misses none."""
        for number in range(100):
            log(url, [a_record(id=f"warm-up-{number}")])
            with contextlib.suppress(queue.Empty):
                while f"warm-up-{number}" not in self.line(0.5):
                    pass
                return
        raise AssertionError("it prints nothing")

    def complaint(self) -> str:
        """The next one of stderr."""
        return self._complaints.get(timeout=WITHIN_S)

    def interrupt(self) -> tuple[int, list[str]]:
        """What Ctrl-C does; the exit code, and what stderr still had."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(WITHIN_S)
        return code, list(_rest(self._complaints))


@contextlib.contextmanager
def following(cwd: Path, *arguments: str, **environ: str) -> Iterator[Follower]:
    """The command, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "decisions", "--follow", *arguments],
        cwd=cwd,
        env=clean_environ(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Follower(process)
    finally:
        process.kill()
        process.wait()


def _read(stream: IO[str] | None, lines: "queue.Queue[str]") -> None:
    assert stream is not None
    with contextlib.suppress(ValueError), stream:  # closed by the end of the test
        for line in stream:
            lines.put(line.rstrip("\n"))


def _rest(lines: "queue.Queue[str]") -> Iterator[str]:
    with contextlib.suppress(queue.Empty):
        while True:
            yield lines.get(timeout=0.2)
