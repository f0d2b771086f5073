"""The few fields of a request that routing needs; the body itself passes on untouched.

Pure: bytes and headers in, values out. Nothing here knows profiles or providers, and a parameter
that we do not know is not our business: it is forwarded.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway import controls, demands, json_body, protocols
from gateway.controls import Controls
from gateway.demands import Demands
from gateway.errors import InvalidRequest, NotFound
from gateway.json_body import kind
from gateway.profile import MODES
from gateway.protocols import ClientProtocol

AUTO: Final = "auto"

_MAX_MODEL_CHARS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A parsed request. `body` is the client's, without `hydra`, `model` still the caller's; `chat`
    is the same as a chat body, for servers that speak no other protocol.
    """

    protocol: ClientProtocol
    body: Mapping[str, object]
    chat: Mapping[str, object]
    passed_on: Mapping[str, str]  # headers that belong to the protocol
    model: str
    messages: Sequence[Mapping[str, object]]
    stream: bool
    wants_usage: bool  # stream_options.include_usage: the client asked for the usage chunk
    controls: Controls
    user: str | None  # the client's name for the person behind the request
    demands: Demands
    prompt_chars: int
    prompt_sha256: str  # of the messages' texts: the same prompt has the same

    @property
    def is_routed(self) -> bool:
        """Whether the router chooses, or the caller named a profile."""
        return self.model == AUTO


def parse(
    raw: bytes, headers: Mapping[str, str], protocol: ClientProtocol = protocols.CHAT
) -> ModelRequest:
    """Read a body of the protocol. Raises InvalidRequest, or NotFound for a mode."""
    body = json_body.parse(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest(
            "'model' must be a non-empty string: 'auto', 'auto:<mode>' or a profile's name",
            param="model",
        )
    if len(model) > _MAX_MODEL_CHARS:
        raise InvalidRequest(
            f"'model' must have at most {_MAX_MODEL_CHARS} characters", param="model"
        )
    hydra = body.pop("hydra", None)
    chat = protocol.to_chat(body)
    native = protocol.native_only(body)
    messages = _messages(chat.get("messages"), may_be_empty=native is not None)
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequest("'stream' must be true or false", param="stream")
    base, suffix_mode = _split_model(model)
    if base == AUTO and not protocol.is_routable:
        raise InvalidRequest(
            f"{protocol.path} is not routed: name a profile as 'model'", param="model"
        )
    demanded = demands.of(chat, messages)
    texts = demands.texts(messages)
    if native is not None:
        demanded = replace(demanded, native=(protocol.wire, native))
    return ModelRequest(
        protocol=protocol,
        body=body,
        chat=chat,
        passed_on={name: headers[name] for name in protocol.passed_on if name in headers},
        model=base,
        messages=messages,
        stream=bool(stream) and protocol.is_streamed,
        wants_usage=_wants_usage(body),
        controls=controls.of(headers, hydra, suffix_mode, _client_session(body)),
        user=_end_user(chat),
        demands=demanded,
        prompt_chars=sum(map(len, texts)),
        prompt_sha256=hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest(),
    )


def _messages(value: object, *, may_be_empty: bool) -> Sequence[Mapping[str, object]]:
    """The checked messages. Those of a conversation that the server keeps are not here."""
    if not isinstance(value, list) or not (value or may_be_empty):
        raise InvalidRequest("'messages' must be a non-empty array of messages", param="messages")
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise InvalidRequest(f"'{where}' must be an object, not {kind(message)}", param=where)
        if not isinstance(message.get("role"), str):
            raise InvalidRequest(f"'{where}.role' must be a string", param=f"{where}.role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise InvalidRequest(
                f"'{where}.content' must be a string, an array of parts or null,"
                f" not {kind(content)}",
                param=f"{where}.content",
            )
        for position, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict):
                name = f"{where}.content[{position}]"
                raise InvalidRequest(f"'{name}' must be an object, not {kind(part)}", param=name)
    return value


def _split_model(model: str) -> tuple[str, str | None]:
    """`auto:iso` -> ("auto", "iso"); a profile's name may itself contain a colon."""
    if model == AUTO or not model.startswith(AUTO + ":"):
        return model, None
    mode = model.removeprefix(AUTO + ":")
    if mode not in MODES:
        raise NotFound(
            f"unknown mode '{mode}' in model '{model}': use one of "
            + ", ".join(f"'{AUTO}:{name}'" for name in MODES),
            param="model",
            code="model_not_found",
        )
    return AUTO, mode


def _client_session(body: Mapping[str, object]) -> object:
    """The client's own id of the conversation, where its protocol has a field for one."""
    metadata = body.get("metadata")
    from_metadata = metadata.get("session_id") if isinstance(metadata, dict) else None
    return from_metadata or body.get("prompt_cache_key") or body.get("previous_response_id")


def _end_user(chat: Mapping[str, object]) -> str | None:
    """In any protocol's field, which has become one of a chat body. It was not written for us, so
    one that we can't keep is ignored."""
    names = (chat.get("user"), chat.get("safety_identifier"))
    return next(filter(controls.is_name, names), None)


def _wants_usage(body: Mapping[str, object]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequest("'stream_options' must be an object", param="stream_options")
    return bool(options.get("include_usage"))
