"""Liveness and readiness. Readiness tells the truth about each part, in the body and the status.

Redis away is not unready: requests are served and the spool keeps their records. It is unready when
a request could not be served at all.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.endpoints import State
from gateway.errors import NotFound


async def healthz(http: Request[State]) -> Response:
    """GET /healthz: the process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(http: Request[State]) -> Response:
    """GET /readyz: 200 "ready" or "degraded" (served, but something is wrong), 503 "unready"."""
    log = http.state["log"].status()
    catalog = http.state["catalog"]
    try:
        pool = http.state["intake"].pool(None)
        usable = [profile.name for profile in pool.profiles]
    except NotFound:
        usable = []
    can_record = log.spool_writable or log.redis_reachable
    checks: dict[str, dict[str, object]] = {
        "redis": {"ok": log.redis_reachable, "error": log.last_error},
        "log": {"ok": can_record, "pending": log.pending, "spool_writable": log.spool_writable},
        "predictor": {"ok": http.state["intake"].predictor_answers},
        "pool": {"ok": bool(usable), "profiles": usable},
        "catalog": {"ok": not catalog.problems, "problems": list(catalog.problems)},
    }
    is_ready = can_record and bool(usable)
    is_well = all(check["ok"] for check in checks.values())
    status = ("ready" if is_well else "degraded") if is_ready else "unready"
    return JSONResponse({"status": status, "checks": checks}, status_code=200 if is_ready else 503)
