"""The login and the logout of the page; what a cookie is says login.py."""

from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gateway import login
from gateway.dashboard.frame import HOME, LOGIN, is_secure, page, problem, to
from gateway.endpoints import State, read_body
from gateway.errors import GatewayError


async def log_in(http: Request[State]) -> Response:
    """GET and POST /dashboard/login."""
    settings = http.state["settings"]
    wanted = _next(http.query_params.get("next", ""))
    if not settings.keys:
        return to(HOME)
    if http.method != "POST":
        return page(http, "login.html", {"next": wanted, "problem": None})
    try:
        form = parse_qs((await read_body(http)).decode("utf-8", "replace"))
    except GatewayError as exc:
        return problem(http, exc)
    wanted = _next(form.get("next", [""])[0])
    if not login.is_same_origin(http.headers):
        values = {"next": wanted, "problem": "The form was sent from another page. Try again here."}
        return page(http, "login.html", values, status=403)
    key = login.key_with(form.get("key", [""])[0], settings.keys)
    if key is None:
        values = {"next": wanted, "problem": "This is not one of the gateway's keys."}
        return page(http, "login.html", values, status=401)
    cookie = login.set_cookie(login.issue(key), is_secure=is_secure(http))
    return to(wanted, {"set-cookie": cookie})


async def log_out(http: Request[State]) -> Response:
    """POST /dashboard/logout."""
    if not login.is_same_origin(http.headers):
        return to(HOME)
    return to(LOGIN, {"set-cookie": login.set_cookie("", is_secure=is_secure(http), max_age_s=0)})


def _next(address: str) -> str:
    """Where to go after a login: within the dashboard, or its first page."""
    try:
        parts = urlsplit(address)
    except ValueError:  # half of an IPv6 address
        return HOME
    is_inside = not parts.scheme and not parts.netloc and "\\" not in address
    is_ours = parts.path == HOME or parts.path.startswith(f"{HOME}/")
    if not (is_inside and is_ours) or not address.isprintable():
        return HOME
    return quote(address, safe="/?&=%:+-._~")
