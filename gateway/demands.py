"""What a request demands of a model, apart from skill: tokens, and features that are there or not.

The hard gates and the expected cost look at this (routing.py). Token counts are estimates from
bytes, the same for every provider: they rank candidates, the provider's own counts are billed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import InvalidRequest
from gateway.json_body import shown

_BYTES_PER_TOKEN: Final = 4  # UTF-8 bytes: English text 4, CJK about 3 bytes a token and more
_TOKENS_PER_MESSAGE: Final = 4  # role and separators, as OpenAI's cookbook counts them
_TOKENS_PER_IMAGE: Final = 800  # 1024x1024: 765 at OpenAI (high detail), 1,398 at Anthropic
_TOKENS_PER_MEDIA: Final = 1500  # one minute of audio or one page-sized file; only ranks candidates
_MAX_COUNT: Final = 2**31 - 1  # of tokens and choices: no provider takes more
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What the hard gates and the expected cost look at. Token counts are estimates."""

    prompt_tokens: int
    max_output_tokens: int | None = None
    features: frozenset[str] = frozenset()
    choices: int = 1  # the request's `n`
    # The wire that alone can serve the request, and the field that says so.
    native: tuple[str, str] | None = None

    def to_dict(self) -> dict[str, object]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "max_output_tokens": self.max_output_tokens,
            "features": sorted(self.features),
            "choices": self.choices,
            "native": None if self.native is None else self.native[1],
        }


def of(body: Mapping[str, object], messages: Sequence[Mapping[str, object]]) -> Demands:
    """The demands of a checked chat body. Raises InvalidRequest for a count that is none."""
    features, tokens = _weigh(messages)
    tokens += sum(map(tokens_of, texts(messages)))
    for name in ("tools", "functions"):
        if body.get(name):
            features.add("tools")
            tokens += tokens_of(json.dumps(body[name], ensure_ascii=False))
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


def texts(messages: Sequence[Mapping[str, object]]) -> list[str]:
    """The texts of all messages, in order."""
    found: list[str] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            found.append(content)
        elif isinstance(content, list):
            found += (text for part in content if isinstance(text := part.get("text"), str))
    return found


def tokens_of(text: str) -> int:
    """About how many tokens a text is, from its UTF-8 bytes.

    >>> tokens_of("four words of text"), tokens_of("")
    (5, 0)
    """
    return tokens_in(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))


def tokens_in(utf8_bytes: int) -> int:
    """About how many tokens so many bytes of text are, rounded up."""
    return -(-utf8_bytes // _BYTES_PER_TOKEN)


def _weigh(messages: Sequence[Mapping[str, object]]) -> tuple[set[str], int]:
    """Features that the parts demand, and estimated prompt tokens of all that is no text."""
    tokens = _TOKENS_PER_MESSAGE * len(messages)
    features: set[str] = set()
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            feature = _PART_FEATURES.get(str(part.get("type")))
            if feature is not None:
                features.add(feature)
                tokens += _TOKENS_PER_IMAGE if feature == "vision" else _TOKENS_PER_MEDIA
        if message.get("tool_calls"):
            tokens += tokens_of(json.dumps(message["tool_calls"], ensure_ascii=False))
    return features, tokens


def _count(body: Mapping[str, object], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_COUNT:
        raise InvalidRequest(
            f"'{name}' must be an integer from 1 to {_MAX_COUNT}, got {shown(value)}", param=name
        )
    return value
