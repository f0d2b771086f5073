"""Made-up stack traces without a word around them, as people paste them.

Training only, standard library. Public sets always put a sentence beside an error; a trace
alone was read as reasoning until these were added.
"""

from __future__ import annotations

import random

_NAMES = [
    "main",
    "load",
    "parse",
    "handle",
    "run",
    "process",
    "fetch",
    "update",
    "save",
    "build",
    "start",
    "connect",
    "read",
    "merge",
]
_FILES = [
    "app",
    "server",
    "jobs",
    "worker",
    "models",
    "client",
    "views",
    "utils",
    "config",
    "cache",
    "store",
    "report",
    "index",
]
_ERRORS = (
    "KeyError: '{n}'",
    "TypeError: '{n}' object is not callable",
    "ValueError: could not convert string to float: '{n}'",
    "AttributeError: 'NoneType' object has no attribute '{n}'",
    "IndexError: list index out of range",
    "ModuleNotFoundError: No module named '{n}'",
    "ZeroDivisionError: division by zero",
    "FileNotFoundError: [Errno 2] No such file or directory: '{n}.txt'",
    "RecursionError: maximum recursion depth exceeded",
    "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0",
    "RuntimeError: dictionary changed size during iteration",
    "sqlite3.OperationalError: no such table: {n}",
)
_JAVA = (
    "java.lang.NullPointerException",
    "java.lang.IllegalStateException: {n}",
    "java.util.ConcurrentModificationException",
    "java.lang.ClassCastException: {n}",
)
_SCRIPT = (
    "TypeError: Cannot read properties of undefined (reading '{n}')",
    "ReferenceError: {n} is not defined",
    "Error: connect ECONNREFUSED 127.0.0.1:5432",
    "RangeError: Maximum call stack size exceeded",
)


def traceback(rng: random.Random) -> str:
    """A stack trace in the format of Python, Java, JavaScript, Go or Rust."""
    kind = rng.choice(("python", "python", "python", "java", "javascript", "go", "rust"))
    name, file, line = rng.choice(_NAMES), rng.choice(_FILES), rng.randint(2, 900)
    frames = [
        (rng.choice(_NAMES), rng.choice(_FILES), rng.randint(2, 900))
        for _ in range(rng.randint(1, 7))
    ]
    if kind == "python":
        folder = rng.choice(("", "/home/me/", "src/", "/usr/lib/python3.12/"))
        body = "".join(
            f'  File "{folder}{f}.py", line {n}, in {rng.choice((m, "<module>"))}\n'
            f"    {rng.choice((f'{m}()', f'return {m}(x)', f'x = rows[{f}]', f'{f}.{m}(args)'))}\n"
            for m, f, n in frames
        )
        error = rng.choice(_ERRORS).format(n=name)
        return f"Traceback (most recent call last):\n{body}{error}"
    if kind == "java":
        body = "".join(f"\n    at com.acme.{f}.{m}({f.title()}.java:{n})" for m, f, n in frames)
        return f'Exception in thread "main" {rng.choice(_JAVA).format(n=name)}{body}'
    if kind == "javascript":
        body = "".join(f"\n    at {m} (/srv/{f}.js:{n}:{n % 60})" for m, f, n in frames)
        return rng.choice(_SCRIPT).format(n=name) + body
    if kind == "go":
        body = "".join(f"\nmain.{m}(0xc000{n:06x})\n\t/src/{f}.go:{n} +0x1d" for m, f, n in frames)
        return f"panic: runtime error: index out of range [{line}]\n\ngoroutine 1 [running]:{body}"
    return (
        f"thread 'main' panicked at src/{file}.rs:{line}:9:\n"
        "called `Option::unwrap()` on a `None` value\n"
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"
    )
