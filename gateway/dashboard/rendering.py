"""View models as HTML, with the headers that every answer of the page carries."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from gateway import __version__
from gateway.dashboard import assets, formats

# Nothing from elsewhere, nothing inline: callers' tags, users and prompts are hostile text.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'self'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": browsers then send forms without their origin.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def _query(values: Mapping[str, Any], **changes: Any) -> str:
    """A query string of what is not empty."""
    return urlencode({name: value for name, value in {**values, **changes}.items() if value})


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


_environment: Final = Environment(
    loader=PackageLoader("gateway.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "dollars": formats.dollars,
    "percent": formats.percent,
    "milliseconds": formats.milliseconds,
    "count": formats.count,
    "score": formats.score,
    "moment": formats.moment,
    "words": formats.words,
    "query": _query,
    "pretty": _pretty,
}
_environment.globals |= {"version": __version__}


def html(
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A whole page, or a part of one."""
    text = _environment.get_template(template).render(
        assets=f"/dashboard/static/{assets.digest()}", **values
    )
    return HTMLResponse(text, status_code=status, headers={**HEADERS, **(headers or {})})
