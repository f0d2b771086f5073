"""The machine: Python, open files, the port, the data folder and its disk."""

import json
import os
import platform
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.installation import Installation
from gateway.spool import MAX_BYTES

_LEAST_PYTHON: Final = (3, 11)
_LEAST_FREE_BYTES: Final = 100 * 2**20
_FEW_FILES: Final = 4096  # two for each running stream
_ANSWER_S: Final = 2.0


def python(found: Installation) -> list[Finding]:
    """The interpreter, and where it runs."""
    words = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info[:2] < _LEAST_PYTHON:
        return [problem("python", words, "use Python 3.11 or newer")]
    return [ok("python", words)]


def open_files(found: Installation) -> list[Finding]:
    """How many files and connections one process may hold; `serve` takes as many as it may."""
    try:
        import resource
    except ImportError:  # not a Unix
        return []
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= _FEW_FILES:
        return [ok("open files", "no limit" if most == resource.RLIM_INFINITY else f"{most:,}")]
    words = f"at most {most:,}, and a running stream takes two"
    return [
        warning("open files", words, "raise the hard limit: ulimit -Hn, LimitNOFILE in systemd")
    ]


def data_folder(found: Installation) -> list[Finding]:
    """Whether spool and embedded Redis can write, and have room."""
    folder = found.settings.data_dir
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    refused = _refusal(there)
    if refused:
        words = f"{there} cannot be written: {refused}"
        remedy = "give it to the user that runs the gateway, or set HYDRA_DATA_DIR"
        return [problem("data folder", words, remedy)]
    free = shutil.disk_usage(there).free
    words = f"{folder}, {free / 2**30:,.1f} GiB free"
    if free < _LEAST_FREE_BYTES:
        remedy = "free some: with the disk full and Redis away, requests are refused"
        return [problem("data folder", words, remedy)]
    if free < MAX_BYTES:
        remedy = f"free some: an outage of Redis may need {MAX_BYTES / 2**30:g} GiB for the spool"
        return [warning("data folder", words, remedy)]
    return [ok("data folder", words)]


def port(found: Installation) -> list[Finding]:
    """Whether `serve` could listen; a gateway that does already is fine."""
    settings = found.settings
    where = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as exc:
        answer = _health(settings.host, settings.port)
        if answer == {"status": "ok"}:
            return [ok("port", f"a gateway runs on {where}")]
        why = os.strerror(exc.errno) if exc.errno else str(exc)
        words = f"can't listen on {where}: {why}"
        if exc.errno == getattr(socket, "EACCES", 13):
            remedy = "set HYDRA_PORT to one above 1023"
        elif answer is not None:
            remedy = "another program serves there: stop it, or set HYDRA_PORT"
        else:
            remedy = "set HYDRA_PORT, or HYDRA_HOST to an address of this machine"
        return [problem("port", words, remedy)]
    return [ok("port", "a free one is taken" if settings.port == 0 else f"{where} is free")]


def _refusal(folder: Path) -> str:
    """Why no file can be made in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as exc:
        return exc.strerror or str(exc)


def _health(host: str, number: int) -> object:
    """What /healthz says there; None if nobody speaks HTTP."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{number}/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ANSWER_S) as response:
            return json.loads(response.read(1024))
    except urllib.error.HTTPError as exc:
        return exc.code
    except ValueError:  # an answer, but not ours
        return ""
    except OSError:
        return None
