"""The columns of an exported table: a decision record as one flat, typed row.

Pure. Files and their formats are export_formats.py; JSON lines carry the record as it is and need
no columns. The columns never depend on the records, so that every part of an export has the same
ones: what has no column, or does not fit its own, is kept in the last, `extra`.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

import orjson

from gateway import money
from gateway.decision import timestamp

Kind = Literal["text", "count", "number", "flag", "time", "money", "texts", "numbers", "json"]


class Column(NamedTuple):
    """A column, and where its value is in the record: `usage.prompt` is `prompt` of `usage`."""

    name: str
    kind: Kind
    path: str
    help: str


# How values of a kind are written: the Parquet type, and what a CSV cell holds.
KINDS: Final[Mapping[Kind, tuple[str, str]]] = {
    "text": ("string", "text"),
    "count": ("int64", "whole number"),
    "number": ("double", "number"),
    "flag": ("bool", "`true`, `false`"),
    "time": ("timestamp[ms, tz=UTC]", "ISO 8601"),
    "money": ("decimal128(38, 12)", "plain decimal"),
    "texts": ("list<item: string>", "JSON"),
    "numbers": ("map<string, double>", "JSON"),
    "json": ("string", "JSON"),
}
COLUMNS: Final = (
    Column("id", "text", "id", "of the decision, time-ordered and unique"),
    Column("ts", "time", "ts", "when the request came"),
    Column("schema", "count", "schema", "version of the record"),
    Column("status", "text", "status", "`ok`, `error`, `aborted`"),
    Column("reason", "text", "reason", "why this model"),
    Column("endpoint", "text", "endpoint", "path of the request"),
    Column("model_requested", "text", "model_requested", "what the caller asked for"),
    Column("chosen", "text", "chosen", "the router's first choice"),
    Column("served_by", "text", "served_by", "the profile that answered"),
    Column("runner_up", "text", "runner_up", "the router's second choice"),
    Column("pool", "text", "pool", "profiles that could be chosen"),
    Column("rule", "text", "rule", "`threshold`, `value`"),
    Column("mode", "text", "mode", "named setting of the pool"),
    Column("threshold", "number", "threshold", "largest shortfall that was accepted"),
    Column("value_usd", "money", "value_usd", "what a solved request was worth"),
    Column("requirements", "numbers", "requirements", "0 to 1 on each dimension"),
    Column("key_id", "text", "key_id", "name of the caller's key"),
    Column("user", "text", "user", "the caller's name for the person"),
    Column("session", "text", "session", "conversation"),
    Column("tags", "texts", "tags", "the caller's tags"),
    Column("prompt_tokens", "count", "usage.prompt", "tokens in, cached ones included"),
    Column("cached_tokens", "count", "usage.cached", "of them read from the provider's cache"),
    Column("cache_write_tokens", "count", "usage.cache_write", "of them written to it"),
    Column("cache_write_1h_tokens", "count", "usage.cache_write_1h", "of those, for an hour"),
    Column("image_input_tokens", "count", "usage.image_input", "tokens in that are images"),
    Column("completion_tokens", "count", "usage.completion", "tokens out"),
    Column("reasoning_tokens", "count", "usage.reasoning", "of them reasoning"),
    Column("image_output_tokens", "count", "usage.image_output", "of them images"),
    Column("audio_output_tokens", "count", "usage.audio_output", "of them audio"),
    Column("audio_tokens", "count", "usage.audio", "audio in both directions"),
    Column("web_searches", "count", "usage.web_searches", "searches that the provider bills"),
    Column("service_tier", "text", "usage.service_tier", "that served; null: the plain one"),
    Column("cost_usd", "money", "cost_usd", "null: unknown"),
    Column("cost_status", "text", "cost_status", "`exact`, `estimated`, `unknown`"),
    Column("cost_source", "text", "cost_source", "`provider`; null: our prices"),
    Column("baseline", "text", "baseline", "profile that savings are measured against"),
    Column("baseline_cost_usd", "money", "baseline_cost_usd", "its cost on the same usage"),
    Column("savings_usd", "money", "savings_usd", "the difference, negative where it cost more"),
    Column("predictor_ms", "number", "predictor_ms", "milliseconds of the prediction"),
    Column("router_ms", "number", "router_ms", "of the whole decision"),
    Column("ttft_ms", "number", "ttft_ms", "to the first token"),
    Column("latency_ms", "number", "latency_ms", "to the end of the answer"),
    Column("stream", "flag", "stream", "whether the answer was streamed"),
    Column("disconnected", "flag", "disconnected", "whether the caller left before its end"),
    Column("finish_reason", "text", "finish_reason", "as the provider named it"),
    Column("error", "text", "error", "what went wrong"),
    Column("feedback_score", "number", "feedback.score", "0 to 1, as of this export"),
    Column("feedback_comment", "text", "feedback.comment", ""),
    Column("feedback_key_id", "text", "feedback.key_id", "key that gave it"),
    Column("feedback_ts", "time", "feedback.ts", "when it was given"),
    Column("prompt_chars", "count", "prompt_chars", "characters of the prompt"),
    Column("prompt_sha256", "text", "prompt_sha256", "its hash"),
    Column("request_id", "text", "request_id", "`x-request-id`"),
    Column("catalog_sha", "text", "catalog_sha", "catalog that was in use"),
    Column("predictor_sha", "text", "predictor_sha", "predictor that was in use"),
    Column("candidates", "json", "candidates", "every profile as the router saw it"),
    Column("attempts", "json", "attempts", "every call to a provider"),
    Column("demands", "json", "demands", "what the gates asked for"),
    Column("extra", "json", "", "fields without a column, values that do not fit theirs"),
)
NAMES: Final = tuple(column.name for column in COLUMNS)

# What a spreadsheet may take for the beginning of a formula, also in full width; and the quote that
# is put before it, so that one quote can be taken off again.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001
_MAX_USD: Final = Decimal(10**26)  # 38 digits, 12 of them behind the point
_MAX_COUNT: Final = 2**63
_PATHS: Final = tuple(
    (column.kind, *column.path.partition(".")[::2]) for column in COLUMNS if column.path
)
_PARENTS: Final = {
    parent: {inner for _, name, inner in _PATHS if name == parent}
    for _, parent, child in _PATHS
    if child
}
_ROOTS: Final = frozenset(name for _, name, _ in _PATHS)

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def row(record: Mapping[str, Any]) -> list[Any]:
    """The values of COLUMNS in order, null where the record has none.

    A record of an earlier version lacks fields, one of a later version has more.

    >>> dict(zip(NAMES, row({"id": "a", "cost_usd": "0.5", "schema": "x", "new": 1})))["extra"]
    '{"schema":"x","new":1}'
    """
    values: list[Any] = []
    extra: dict[str, Any] = {}
    for kind, name, inner in _PATHS:
        found = record.get(name)
        if inner:
            found = found.get(inner) if isinstance(found, dict) else None
        value = None if found is None else _CONVERT[kind](found)
        values.append(value)
        if value is None and found is not None:
            if inner:
                extra.setdefault(name, {})[inner] = found
            else:
                extra[name] = found
    for name, found in record.items():
        if name not in _ROOTS:
            if found is not None:
                extra[name] = found
        elif name in _PARENTS and isinstance(found, dict):
            if more := {key: found[key] for key in found.keys() - _PARENTS[name]}:
                extra.setdefault(name, {}).update(more)
        elif name in _PARENTS and found is not None:
            extra[name] = found
    values.append(_compact(extra) if extra else None)
    return values


def cells(values: list[Any]) -> list[str]:
    """A row as the cells of a CSV line; a null is empty.

    A text that a spreadsheet would run as a formula gets a single quote before it, and so does one
    that begins with such a quote.
    """
    return [
        "" if value is None else _CELL[column.kind](value)
        for column, value in zip(COLUMNS, values, strict=True)
    ]


def _text(found: Any) -> str:
    return _encodable(found) if isinstance(found, str) else _compact(found)


def _count(found: Any) -> int | None:
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if -_MAX_COUNT <= found < _MAX_COUNT else None


def _number(found: Any) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _flag(found: Any) -> bool | None:
    return found if isinstance(found, bool) else None


def _time(found: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(found)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _money(found: Any) -> Decimal | None:
    """Dollars to the picodollar. A JSON number is the decimal that it was written as."""
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    try:
        usd = Decimal(str(found))
    except InvalidOperation:
        return None
    if not usd.is_finite() or abs(usd) >= _MAX_USD:
        return None
    return money.rounded(usd)


def _texts(found: Any) -> list[str] | None:
    return [_text(item) for item in found] if isinstance(found, list) else None


def _numbers(found: Any) -> dict[str, float] | None:
    if not isinstance(found, dict):
        return None
    numbers = {_encodable(name): _number(item) for name, item in found.items()}
    return None if None in numbers.values() else numbers  # type: ignore[return-value]


def _compact(found: Any) -> str:
    try:
        return orjson.dumps(found).decode()
    except TypeError:  # an integer of more than 64 bits, half a surrogate pair
        return _encodable(_json(found))


def _encodable(text: str) -> str:
    """Half a surrogate pair can be in JSON but in no file."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


_CONVERT: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    "text": _text,
    "count": _count,
    "number": _number,
    "flag": _flag,
    "time": _time,
    "money": _money,
    "texts": _texts,
    "numbers": _numbers,
    "json": _compact,
}
_CELL: Final[Mapping[Kind, Callable[[Any], str]]] = {
    "text": _safe,
    "count": str,
    "number": repr,
    "flag": lambda flag: "true" if flag else "false",
    "time": timestamp,
    "money": lambda usd: money.to_text(usd) or "",
    "texts": _compact,
    "numbers": _compact,
    "json": str,
}
