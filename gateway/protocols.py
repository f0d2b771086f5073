"""The protocols that clients speak, each with what routing and answering need of it.

Providers are reached on their own wire where it is the client's; everywhere else a request becomes
a chat completion and its answer is written back in the client's protocol. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from gateway import (
    history,
    messages_answer,
    messages_native,
    messages_request,
    responses_answer,
    responses_request,
    sse,
    wires,
)
from gateway.errors import GatewayError, InvalidRequest, to_anthropic_body, to_openai_body
from gateway.json_body import kind

Json = Mapping[str, Any]


class Translator(Protocol):
    """Chat chunks in, the protocol's own events out."""

    def events(self, chunk: Json) -> list[dict[str, Any]]: ...

    def end(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProtocol:
    """One protocol as clients speak it.

    `to_chat` raises InvalidRequest; `native_only` names the first field of a body that only a
    server of this very protocol can serve; `for_server` takes out of a body what such a server
    refuses of another family's history. `last` are the events that close a stream: the record is
    written before they are sent.
    """

    wire: str
    path: str
    to_chat: Callable[[Json], Mapping[str, Any]]
    native_only: Callable[[Json], str | None] = lambda body: None
    for_server: Callable[[Json], Json] = lambda body: body
    answer: Callable[[Json, Json], dict[str, Any]] = lambda chat, body: dict(chat)
    translator: Callable[[Json], Translator] | None = None
    is_routable: bool = True
    is_streamed: bool = True
    passed_on: tuple[str, ...] = ()  # request headers that belong to the protocol
    last: tuple[str, ...] = ()
    error_body: Callable[[GatewayError, str], dict[str, object]] = lambda error, _: to_openai_body(
        error
    )
    content: str = "choices"  # the field of an answer that holds what the model wrote

    def error_event(self, error: GatewayError, request_id: str, events_before: int) -> bytes:
        """The one event that tells of a break in the middle of a stream."""
        if self.wire == wires.RESPONSES:
            body = {
                "type": "error",
                "sequence_number": events_before,
                "code": error.code or error.type,
                "message": error.message,
                "param": error.param,
            }
            return sse.event(body, "error")
        name = "error" if self.wire == wires.MESSAGES else None
        return sse.event(self.error_body(error, request_id), name)


def _as_it_is(body: Json) -> Json:
    return body


def _text_as_chat(field: str) -> Callable[[Json], Mapping[str, Any]]:
    """One user message of the text in a field: a string, strings, or tokens nobody can read."""

    def to_chat(body: Json) -> Mapping[str, Any]:
        value = body.get(field)
        if not isinstance(value, str | list) or value == []:
            found = "null" if value is None else kind(value)
            raise InvalidRequest(
                f"'{field}' must be a string or a non-empty array, not {found}", param=field
            )
        items = [value] if isinstance(value, str) else value
        text = "\n".join(item for item in items if isinstance(item, str))
        return {**body, "messages": [{"role": "user", "content": text}]}

    return to_chat


CHAT: Final = ClientProtocol(wire=wires.CHAT, path="/v1/chat/completions", to_chat=_as_it_is)
RESPONSES: Final = ClientProtocol(
    wire=wires.RESPONSES,
    path="/v1/responses",
    to_chat=responses_request.to_chat,
    native_only=responses_request.native_only,
    for_server=history.for_responses,
    answer=responses_answer.answer,
    translator=responses_answer.Stream,
    passed_on=("openai-beta",),
    last=("response.completed", "response.incomplete", "response.failed"),
    content="output",
)
MESSAGES: Final = ClientProtocol(
    wire=wires.MESSAGES,
    path="/v1/messages",
    to_chat=messages_request.to_chat,
    native_only=messages_native.native_only,
    for_server=history.for_messages,
    answer=lambda chat, body: messages_answer.answer(chat, str(body["model"])),
    translator=lambda body: messages_answer.Stream(str(body["model"])),
    passed_on=("anthropic-version", "anthropic-beta"),
    last=("message_stop",),
    error_body=to_anthropic_body,
    content="content",
)
# A request to count carries no limit of its answer, since there will be none.
COUNTING: Final = replace(
    MESSAGES, to_chat=lambda body: messages_request.to_chat({"max_tokens": 1, **body})
)
COMPLETIONS: Final = ClientProtocol(
    wire=wires.COMPLETIONS,
    path="/v1/completions",
    to_chat=_text_as_chat("prompt"),
    is_routable=False,
)
EMBEDDINGS: Final = ClientProtocol(
    wire=wires.EMBEDDINGS,
    path="/v1/embeddings",
    to_chat=_text_as_chat("input"),
    is_routable=False,
    is_streamed=False,
    content="model",
)

SERVED: Final = (CHAT, RESPONSES, MESSAGES, COMPLETIONS, EMBEDDINGS)


def of_path(path: str) -> ClientProtocol:
    """The protocol whose errors a path answers with."""
    return MESSAGES if path.startswith(MESSAGES.path) else CHAT
