"""One id for a request, on its way in, on its way out and in the log."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.identifiers import new_id

_MAX_CHARS: Final = 256
_KEY: Final = "hydra.request_id"


class RequestIds:
    """Gives every request the caller's `x-request-id`, or one of ours, and answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or f"req_{new_id().replace('-', '')}"
        scope[_KEY] = request_id
        value = request_id.encode("latin-1")
        names: tuple[bytes, ...] = (b"x-request-id",)
        if scope["path"].startswith("/v1/messages"):
            names = (b"x-request-id", b"request-id")  # the latter is what Anthropic's clients read

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((name, value) for name in names)]
            await send(message)

        await self._app(scope, receive, send_named)


def of(scope: Scope) -> str:
    """The id of the request."""
    request_id: str = scope[_KEY]
    return request_id


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            is_fit = 0 < len(text) <= _MAX_CHARS and text.isascii() and text.isprintable()
            return text if is_fit else None
    return None
