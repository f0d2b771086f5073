"""The few fields of a chat request that routing needs; the body itself passes on untouched.

Pure: bytes and headers in, values out. Nothing here knows profiles or providers, and a parameter
that we do not know is not our business: it is forwarded.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from gateway.errors import InvalidRequest
from gateway.profile import MODES

AUTO: Final = "auto"

_BYTES_PER_TOKEN: Final = 4  # UTF-8 bytes: English text 4, CJK about 3 bytes a token and more
_TOKENS_PER_MESSAGE: Final = 4  # role and separators, as OpenAI's cookbook counts them
_TOKENS_PER_IMAGE: Final = (
    800  # 1024x1024 is 765 tokens at OpenAI (high detail), 1,398 at Anthropic
)
_TOKENS_PER_MEDIA: Final = 1500  # one minute of audio or one page-sized file; only ranks candidates

_PART_FEATURES: Final = {
    "image_url": "vision",
    "image": "vision",
    "input_image": "vision",
    "input_audio": "audio",
    "audio": "audio",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
_MAX_DEPTH: Final = 128  # litellm copies bodies recursively; tool schemas nest some ten levels
_MAX_COUNT: Final = 2**31 - 1  # of tokens and choices: no provider takes more
_MAX_MODEL_CHARS: Final = 256
_SHOWN_CHARS: Final = 60  # of a wrong value, in the message that refuses it
_HYDRA_FIELDS: Final = ("threshold", "mode", "pool", "session", "tags", "explain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What the hard gates and the expected cost look at. Token counts are estimates."""

    prompt_tokens: int
    max_output_tokens: int | None = None
    features: frozenset[str] = frozenset()
    choices: int = 1  # the request's `n`

    def to_dict(self) -> dict[str, object]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "max_output_tokens": self.max_output_tokens,
            "features": sorted(self.features),
            "choices": self.choices,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How the caller steers this one request; None leaves it to the key's or the pool's default."""

    threshold: float | None = None
    mode: str | None = None
    pool: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    explain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A parsed chat request. `body` goes upstream: without `hydra`, `model` still the caller's."""

    body: Mapping[str, object]
    model: str
    messages: Sequence[Mapping[str, object]]
    stream: bool
    wants_usage: bool  # stream_options.include_usage: the client asked for the usage chunk
    controls: Controls
    demands: Demands
    prompt_chars: int

    @property
    def is_routed(self) -> bool:
        """Whether the router chooses, or the caller named a profile."""
        return self.model == AUTO


def parse(raw: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """Read a chat completions body. Raises InvalidRequest that names the parameter."""
    body = _json_object(raw)
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
    messages = _messages(body.get("messages"))
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequest("'stream' must be true or false", param="stream")
    base, suffix_mode = _split_model(model)
    hydra = body.pop("hydra", None)
    texts, features, tokens = _weigh(messages)
    return ChatRequest(
        body=body,
        model=base,
        messages=messages,
        stream=bool(stream),
        wants_usage=_wants_usage(body),
        controls=_controls(headers, hydra, suffix_mode),
        demands=_demands(body, features, tokens),
        prompt_chars=texts,
    )


def _json_object(raw: bytes) -> dict[str, object]:
    if not raw:
        raise InvalidRequest("the body is empty: send a JSON object with 'model' and 'messages'")
    try:
        body = json.loads(raw.decode("utf-8-sig"))
        # Python reads NaN, 1e999 and half a surrogate pair, but nothing can send them on.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            "the body holds half of a surrogate pair: text cut in a character"
        ) from exc
    except ValueError as exc:
        raise InvalidRequest(f"the body is not valid JSON: {exc}") from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    if not isinstance(body, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {_kind(body)}")
    _check_depth(body)
    return body


def _check_depth(body: dict[str, object]) -> None:
    level: list[object] = [body]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else cast(list[object], node))
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"the body is nested deeper than {_MAX_DEPTH} levels")


def _messages(value: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'messages' must be a non-empty array of messages", param="messages")
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise InvalidRequest(f"'{where}' must be an object, not {_kind(message)}", param=where)
        if not isinstance(message.get("role"), str):
            raise InvalidRequest(f"'{where}.role' must be a string", param=f"{where}.role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise InvalidRequest(
                f"'{where}.content' must be a string, an array of parts or null,"
                f" not {_kind(content)}",
                param=f"{where}.content",
            )
        for position, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict):
                name = f"{where}.content[{position}]"
                raise InvalidRequest(f"'{name}' must be an object, not {_kind(part)}", param=name)
    return value


def _split_model(model: str) -> tuple[str, str | None]:
    """`auto:iso` -> ("auto", "iso"); a profile's name may itself contain a colon."""
    if model == AUTO or not model.startswith(AUTO + ":"):
        return model, None
    mode = model.removeprefix(AUTO + ":")
    if mode not in MODES:
        raise InvalidRequest(
            f"unknown mode '{mode}' in model '{model}': use one of "
            + ", ".join(f"'{AUTO}:{name}'" for name in MODES),
            param="model",
            code="model_not_found",
        )
    return AUTO, mode


def _wants_usage(body: Mapping[str, object]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequest("'stream_options' must be an object", param="stream_options")
    return bool(options.get("include_usage"))


def _controls(headers: Mapping[str, str], hydra: object, suffix_mode: str | None) -> Controls:
    """The strongest layer that speaks wins: headers, then the body's `hydra`, then the suffix."""
    if hydra is None:
        hydra = {}
    if not isinstance(hydra, dict):
        raise InvalidRequest("'hydra' must be an object", param="hydra")
    for name in hydra:
        if name not in _HYDRA_FIELDS:
            allowed = ", ".join(_HYDRA_FIELDS)
            raise InvalidRequest(
                f"unknown field 'hydra.{name}': known are {allowed}", param=f"hydra.{name}"
            )
    above = {
        name: headers[f"x-hydra-{name}"]
        for name in ("threshold", "mode", "pool", "session", "tags")
        if headers.get(f"x-hydra-{name}")
    }
    threshold, mode = _threshold_and_mode((above, "x-hydra-"), (hydra, "hydra."))
    if threshold is None and mode is None:
        mode = suffix_mode
    return Controls(
        threshold=threshold,
        mode=mode,
        pool=above.get("pool") or _string(hydra, "pool"),
        session=above.get("session") or _string(hydra, "session"),
        tags=_tags(above["tags"].split(",")) if "tags" in above else _tags(hydra.get("tags")),
        explain=_explain(hydra.get("explain")),
    )


def _threshold_and_mode(
    *layers: tuple[Mapping[str, object], str],
) -> tuple[float | None, str | None]:
    """A threshold is more exact than a mode beside it; a stronger layer hides both below."""
    for layer, prefix in layers:
        if layer.get("threshold") is not None:
            return _threshold(layer["threshold"], prefix + "threshold"), None
        if layer.get("mode") is not None:
            return None, _mode(layer["mode"], prefix + "mode")
    return None, None


def _threshold(value: object, where: str) -> float:
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise InvalidRequest(f"'{where}' must be a number >= 0, got {_shown(value)}", param=where)
    return number


def _mode(value: object, where: str) -> str:
    if value not in MODES:
        raise InvalidRequest(
            f"'{where}' must be one of {', '.join(MODES)}, got {_shown(value)}", param=where
        )
    return str(value)


def _string(hydra: Mapping[str, object], name: str) -> str | None:
    value = hydra.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"'hydra.{name}' must be a string", param=f"hydra.{name}")
    return value or None


def _tags(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise InvalidRequest("'hydra.tags' must be an array of strings", param="hydra.tags")
    return tuple(dict.fromkeys(tag.strip() for tag in value if tag.strip()))


def _explain(value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest("'hydra.explain' must be true or false", param="hydra.explain")
    return bool(value)


def _weigh(messages: Sequence[Mapping[str, object]]) -> tuple[int, set[str], int]:
    """Characters of text, features that the parts demand, and estimated prompt tokens."""
    characters = tokens = 0
    features: set[str] = set()
    for message in messages:
        tokens += _TOKENS_PER_MESSAGE
        content = message.get("content")
        for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            feature = _PART_FEATURES.get(str(part.get("type")))
            if feature is not None:
                features.add(feature)
                tokens += _TOKENS_PER_IMAGE if feature == "vision" else _TOKENS_PER_MEDIA
            text = part.get("text")
            if isinstance(text, str):
                characters += len(text)
                tokens += _text_tokens(text)
        if message.get("tool_calls"):
            tokens += _text_tokens(json.dumps(message["tool_calls"], ensure_ascii=False))
    return characters, features, tokens


def _text_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def _demands(body: Mapping[str, object], features: set[str], tokens: int) -> Demands:
    for name in ("tools", "functions"):
        if body.get(name):
            features.add("tools")
            tokens += _text_tokens(json.dumps(body[name], ensure_ascii=False))
    response_format = body.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") == "json_schema":
        features.add("json_schema")
    if body.get("logprobs"):
        features.add("logprobs")
    modalities = body.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        features.add("audio")
    choices = _count(body, "n") or 1
    if choices > 1:
        features.add("n")
    limit = _count(body, "max_completion_tokens") or _count(body, "max_tokens")
    return Demands(
        prompt_tokens=tokens,
        max_output_tokens=limit,
        features=frozenset(features),
        choices=choices,
    )


def _count(body: Mapping[str, object], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_COUNT:
        raise InvalidRequest(
            f"'{name}' must be an integer from 1 to {_MAX_COUNT}, got {_shown(value)}", param=name
        )
    return value


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
