"""Server-sent events as OpenAI's clients read them: bytes in, bytes out, nothing else."""

import json
from collections.abc import Mapping
from typing import Any, Final

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"  # a comment: clients skip it, proxies see traffic


def event(body: Mapping[str, Any]) -> bytes:
    """One data event.

    >>> event({"a": "ü"})
    b'data: {"a":"\\xc3\\xbc"}\\n\\n'
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode("utf-8", "replace") + b"\n\n"
