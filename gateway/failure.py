"""Why a request or a call failed, in one word out of few: for metrics, traces and log lines.

Not the words themselves: those may quote what the caller sent, and are in the decision record
alone. Pure.
"""

from collections.abc import Mapping
from typing import Any, Final

OK: Final = "ok"
OUTCOMES: Final[Mapping[str, str]] = {
    OK: "answered",
    "unreachable": "no answer came",
    "timeout": "408, 504",
    "rate_limited": "429",
    "unauthorized": "401, 402, 403: the gateway's own key or account",
    "rejected": "another 4xx: the request",
    "overloaded": "503, 529",
    "server_error": "another 5xx",
}
"""What a call to a provider can come to, and the statuses that mean it."""

_BY_STATUS: Final[Mapping[int | None, str]] = {
    None: "unreachable",
    401: "unauthorized",
    402: "unauthorized",
    403: "unauthorized",
    408: "timeout",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


def outcome(status: int | None) -> str:
    """One of OUTCOMES, by the provider's status; None where no answer came.

    >>> outcome(200), outcome(529), outcome(404), outcome(None)
    ('ok', 'overloaded', 'rejected', 'unreachable')
    """
    known = _BY_STATUS.get(status)
    if known is not None or status is None:
        return known or "unreachable"
    if status < 400:
        return OK
    return "rejected" if status < 500 else "server_error"


def failure(record: Mapping[str, Any]) -> str | None:
    """Why a finished record (DESIGN.md section 5) is not `ok`, None where it is.

    The last call's outcome; `broken_stream` where it had begun to answer; `disconnected` where the
    client left; `stopped` where the gateway did.
    """
    if record["status"] == OK:
        return None
    if record["disconnected"]:
        return "disconnected"
    if record["status"] == "aborted":
        return "stopped"
    attempts = record["attempts"]
    if not attempts:
        return "rejected"  # the request could not be put into the provider's protocol
    last = outcome(attempts[-1]["status"])
    return "broken_stream" if last == OK else last
