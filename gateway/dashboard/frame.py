"""What surrounds each view: who looks, what they may see, the frame and its errors."""

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.dashboard import rendering
from gateway.decision_log import LogUnavailable
from gateway.endpoints import State, authenticated
from gateway.errors import GatewayError, Unauthorized, Unavailable
from gateway.log_endpoints import only_key

HOME: Final = "/dashboard"
LOGIN: Final = "/dashboard/login"


def page(
    http: Request[State], template: str, values: Mapping[str, Any], *, status: int = 200
) -> Response:
    """A page in its frame: navigation, who is logged in, how the log is."""
    caller = None
    with contextlib.suppress(Unauthorized):
        caller = authenticated(http)
    frame = {
        "path": http.url.path,
        "caller": caller.id if caller else None,
        "sees_all": own_key(http) is None if caller else True,
        "log": http.state["log"].status(),
        "base_url": f"{_scheme(http)}://{http.url.netloc}",
        "has_keys": bool(http.state["settings"].keys),
    }
    return rendering.html(template, {"view": values, "frame": frame}, status=status)


def problem(http: Request[State], exc: GatewayError | LogUnavailable) -> Response:
    """The page that says what went wrong."""
    error = as_error(exc)
    values = {"status": error.status, "message": error.message, "code": error.code}
    return page(http, "error.html", values, status=error.status)


def as_error(exc: GatewayError | LogUnavailable) -> GatewayError:
    return exc if isinstance(exc, GatewayError) else Unavailable(str(exc), code="log_unavailable")


def to(address: str, headers: Mapping[str, str] | None = None) -> Response:
    """On to another page."""
    return RedirectResponse(address, 303, headers={**rendering.HEADERS, **(headers or {})})


def own_key(http: Request[State]) -> str | None:
    """The key whose records alone the caller may see; None: all of them."""
    return only_key(http, authenticated(http))


def seen_by(own: str | None) -> dict[str, str]:
    """The filter of what a key may see."""
    return {} if own is None else {"key": own}


def _scheme(http: Request[State]) -> str:
    told = http.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return told if told in ("http", "https") else http.url.scheme


def is_secure(http: Request[State]) -> bool:
    return _scheme(http) == "https"
