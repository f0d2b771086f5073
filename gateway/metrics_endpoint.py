"""GET /metrics. The sums of all callers are shown, so the key must be one that sees all of them."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from gateway import exposition
from gateway.endpoints import State, authenticated
from gateway.errors import Unauthorized


async def metrics(http: Request[State]) -> Response:
    """GET /metrics: Prometheus' text format, or OpenMetrics by Accept. Raises Unauthorized."""
    key = authenticated(http)
    admin = http.state["settings"].admin_key
    if admin is not None and key != admin:
        raise Unauthorized("the sums of all callers are for HYDRA_ADMIN_KEY, which is set")
    state = http.state["telemetry"].state()
    # Encoding some thousand lines takes milliseconds that streams should not wait for.
    body, content_type = await asyncio.to_thread(
        exposition.encoded, state, http.headers.get("accept", "")
    )
    return Response(body, headers={"content-type": content_type})
