"""The log line of a request, and log lines as JSON: what an operator's collector reads on stderr.

Not the decision log: a line is a glance at a record, without prompts, answers, keys, or the words
of a provider's error, which may quote them. The record itself has those words.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from gateway.failure import failure

FIELDS: Final[Mapping[str, str]] = {
    "ts": "when, ISO 8601 in UTC",
    "level": "`INFO`, `WARNING`, ...",
    "logger": "the part of the program; of a request's line `gateway.request_log`",
    "message": "the line of the text format",
    "decision_id": "the record's id, as in `x-hydra-decision-id`",
    "request_id": "the caller's `x-request-id`, or the one made here",
    "endpoint": "the path of the protocol",
    "pool": "the pool that was routed in",
    "profile": "who served; null: nobody did",
    "reason": "why that profile",
    "status": "`ok`, `error`, `aborted`",
    "stream": "whether a stream was asked for",
    "attempts": "how many calls to providers there were",
    "prompt_tokens": "as the provider counted; null: unknown",
    "cached_tokens": "those of the prompt that came from its cache",
    "completion_tokens": "as the provider counted; null: unknown",
    "cost_usd": "exact, a decimal string; null: unknown",
    "latency_ms": "from the decision to the end of the answer",
    "ttft_ms": "to the first event",
    "router_ms": "deciding, with the prediction",
    "error": "one word: what a failed call came to, `broken_stream`, `disconnected` or `stopped`",
    "exception": "the traceback, on lines that have one",
}
"""The fields of the JSON format. Other lines have the first four and the last."""

logger = logging.getLogger(__name__)


class RequestLine:
    """A finished record as a log message: text when shown, fields for the JSON format."""

    __slots__ = ("_record",)

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record

    def __str__(self) -> str:
        record = self._record
        return (
            f"{record['id']} {record['status']} by {record['served_by'] or record['chosen']}"
            f" ({record['reason']}), cost {record['cost_usd']}, {record['latency_ms']:.0f} ms"
        )

    def fields(self) -> dict[str, Any]:
        """What FIELDS lists from `decision_id` to `error`."""
        record = self._record
        usage = record["usage"] or {}
        return {
            "decision_id": record["id"],
            "request_id": record.get("request_id"),
            "endpoint": record["endpoint"],
            "pool": record["pool"],
            "profile": record["served_by"],
            "reason": record["reason"],
            "status": record["status"],
            "stream": record["stream"],
            "attempts": len(record["attempts"]),
            "prompt_tokens": usage.get("prompt"),
            "cached_tokens": usage.get("cached"),
            "completion_tokens": usage.get("completion"),
            "cost_usd": record["cost_usd"],
            "latency_ms": record["latency_ms"],
            "ttft_ms": record["ttft_ms"],
            "router_ms": record["router_ms"],
            "error": failure(record),
        }


def write(record: Mapping[str, Any]) -> None:
    """One line for a finished record (DESIGN.md section 5)."""
    logger.info(RequestLine(record))


class TextFormatter(logging.Formatter):
    """`2026-11-24 18:40:01,123 INFO name: message`, local time; as logging's own, in half the
    time."""

    def __init__(self) -> None:
        super().__init__()
        self._second = _Second(lambda s: time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(s)))

    def format(self, record: logging.LogRecord) -> str:
        at = f"{self._second.text(record)},{int(record.msecs):03d}"
        line = f"{at} {record.levelname} {record.name}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for every logger."""

    def __init__(self) -> None:
        super().__init__()
        self._second = _Second(lambda s: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(s)))

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": f"{self._second.text(record)}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.msg, RequestLine):
            line |= record.msg.fields()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class _Second:
    """The text of a second, which a thousand lines share: making it is a third of a line's cost."""

    def __init__(self, show: Callable[[int], str]) -> None:
        self._show = show
        self._shown = (0, show(0))

    def text(self, record: logging.LogRecord) -> str:
        second, text = self._shown
        if second != int(record.created):
            second = int(record.created)
            text = self._show(second)
            self._shown = (second, text)  # at once: other threads log, too
        return text


def configure(shape: str) -> None:
    """Log to stderr as `text` or `json`, unless the root logger has handlers already."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if shape == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
