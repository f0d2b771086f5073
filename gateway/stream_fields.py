"""A decision record as the fields of a stream entry, and back.

Not the schema (decision.py makes the record). The telling fields come first, because people read
the stream with `redis-cli`; the order never changes, because Redis stores the names of equal
entries once. Text stands as it is, everything else as compact JSON, null as nothing.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

# Plain text whatever it looks like: "0.000164" is money, not a number.
_TEXT: Final = frozenset(
    (
        *("ts", "id", "status", "reason", "chosen", "served_by", "cost_usd", "savings_usd"),
        *("mode", "model_requested", "key_id", "session", "finish_reason", "error", "endpoint"),
        *("pool", "rule", "runner_up", "cost_status", "baseline", "baseline_cost_usd"),
        *("prompt_sha256", "catalog_sha", "predictor_sha", "request_id", "user"),
    )
)
FIELDS: Final = (
    *("ts", "id", "status", "reason", "chosen", "served_by", "cost_usd", "savings_usd"),
    *("latency_ms", "ttft_ms", "mode", "threshold", "value_usd", "requirements"),
    *("model_requested", "key_id", "session", "tags", "usage", "finish_reason", "error"),
    *("stream", "disconnected", "endpoint", "pool", "rule", "runner_up"),
    *("cost_status", "baseline", "baseline_cost_usd", "attempts", "candidates"),
    *("predictor_ms", "router_ms", "prompt_chars", "prompt_sha256"),
    *("catalog_sha", "predictor_sha", "schema"),
)
LEFT_OUT: Final = frozenset({"content"})  # may be long; only the detail key has it
_LONG_INTEGER: Final = 19  # digits
_KNOWN: Final = frozenset(FIELDS)

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(record: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The values of FIELDS in order, and name, value, name, value... of what else there is.

    The record is parsed JSON, so that nothing in it can fail to be written.
    """
    values = [_plain(name, record.get(name)) for name in FIELDS]
    extra: list[str] = []
    for name in sorted(record.keys() - _KNOWN - LEFT_OUT):
        extra += (name, _plain(name, record[name]))
    return values, extra


def decode(entry: Mapping[str, str]) -> dict[str, Any]:
    """The record of a stream entry, every field present."""
    return {name: value(name, text) for name, text in entry.items()}


def value(name: str, text: str) -> Any:
    """What one field holds."""
    if text == "":
        return None
    if name in _TEXT:
        return text
    try:  # orjson is quicker and ends at integers of 64 bits
        return orjson.loads(text) if len(text) < _LONG_INTEGER else json.loads(text)
    except ValueError:
        return text


def _plain(name: str, item: Any) -> str:
    match item:
        case None:
            return ""
        case str() if name in _TEXT or _stays_text(item):
            return item
        case bool():
            return "true" if item else "false"
        case int() | float():  # an encoder call costs ten times as much
            return repr(item)
        case _:
            return _compact(item)


def _compact(item: Any) -> str:
    try:
        return orjson.dumps(item).decode()
    except TypeError:  # an integer of more than 64 bits, a half of a surrogate pair
        return _json(item)


def _stays_text(value: str) -> bool:
    """Whether a text of an unknown field would be read back as the same text."""
    try:
        json.loads(value)
    except ValueError:
        return value != ""
    return False
