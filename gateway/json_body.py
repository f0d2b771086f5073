"""A request body as a JSON object that can be sent on: bytes in, a dict out.

Stricter than Python's parser where Python is laxer than JSON: what nothing downstream could encode
again (NaN, 1e999, half a surrogate pair, bottomless nesting) is refused here, in words.
"""

import json
import math
import re
from typing import Final, cast

import orjson

from gateway.errors import InvalidRequest

_MAX_DEPTH: Final = 128  # litellm copies bodies recursively; tool schemas nest some ten levels
_LONG_INTEGER: Final = re.compile(rb"[0-9]{19}")
_SHOWN_CHARS: Final = 60  # of a wrong value, in the message that refuses it


def parse(raw: bytes) -> dict[str, object]:
    """Raises InvalidRequest."""
    if not raw:
        raise InvalidRequest("the body is empty: send a JSON object")
    body = _quickly(raw)
    if body is not None:
        return body
    try:
        text = raw.decode("utf-8-sig")
        body = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if "\\u" in text:  # only an escape can make half of a surrogate pair
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            "the body holds half of a surrogate pair: text cut in a character"
        ) from exc
    except ValueError as exc:
        raise InvalidRequest(f"the body is not valid JSON: {exc}") from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    if not isinstance(body, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {kind(body)}")
    _check_depth(body)
    return body


def _quickly(raw: bytes) -> dict[str, object] | None:
    """The object, where there is nothing to say against it; None leaves it to the slower way, which
    knows why, and keeps the integers that are too long for this one."""
    if raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH or _LONG_INTEGER.search(raw):
        return None
    try:
        body = orjson.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def shown(value: object) -> str:
    """A wrong value as its sender wrote it, cut to fit a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def kind(value: object) -> str:
    """What a JSON value is, in words.

    >>> kind({}), kind(None), kind(1.5)
    ('an object', 'null', 'a number')
    """
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:_SHOWN_CHARS]} is too large a number")
    return value


def _check_depth(body: dict[str, object]) -> None:
    level: list[object] = [body]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else cast(list[object], node))
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"the body is nested deeper than {_MAX_DEPTH} levels")
