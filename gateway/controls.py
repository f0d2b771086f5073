"""How a caller steers one request: headers, the body's `hydra` object, the model's suffix.

Pure. The strongest layer that speaks wins; what none says is left to the pool's default.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from gateway.errors import InvalidRequest
from gateway.json_body import shown
from gateway.profile import MODES

_FIELDS: Final = ("threshold", "mode", "pool", "session", "tags", "explain")
_MAX_CHARS: Final = 256  # of a pool's or session's name and of a tag: they go into log and headers
_MAX_TAGS: Final = 16  # as many as the log counts (filters.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """How the caller steers this one request; None leaves it to the key's or the pool's default."""

    threshold: float | None = None
    mode: str | None = None
    pool: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    explain: bool = False


def of(
    headers: Mapping[str, str],
    hydra: object,
    suffix_mode: str | None,
    client_session: object = None,
) -> Controls:
    """The strongest layer that speaks wins: headers, then the body's `hydra`, then the suffix.

    `client_session` is the id that the client gives its conversation in a field of the protocol;
    it was not written for us, so one that we can't keep is ignored.
    """
    if hydra is None:
        hydra = {}
    if not isinstance(hydra, dict):
        raise InvalidRequest("'hydra' must be an object", param="hydra")
    for name in hydra:
        if name not in _FIELDS:
            allowed = ", ".join(_FIELDS)
            raise InvalidRequest(
                f"unknown field 'hydra.{name[:_MAX_CHARS]}': known are {allowed}",
                param=f"hydra.{name[:_MAX_CHARS]}",
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
        pool=_name(above.get("pool") or hydra.get("pool"), "pool"),
        session=_name(above.get("session") or hydra.get("session"), "session")
        or (client_session if is_name(client_session) else None),
        tags=_tags(above.get("tags") or hydra.get("tags")),
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
        raise InvalidRequest(f"'{where}' must be a number >= 0, got {shown(value)}", param=where)
    return number


def _mode(value: object, where: str) -> str:
    if value not in MODES:
        raise InvalidRequest(
            f"'{where}' must be one of {', '.join(MODES)}, got {shown(value)}", param=where
        )
    return str(value)


def _name(value: object, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not is_name(value):
        raise InvalidRequest(
            f"'hydra.{field}' must be a string of at most {_MAX_CHARS} printable characters",
            param=f"hydra.{field}",
        )
    return value


def is_name(value: object) -> TypeGuard[str]:
    """Whether the log can keep it as a name."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_CHARS and value.isprintable()


def _tags(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise InvalidRequest("'hydra.tags' must be an array of strings", param="hydra.tags")
    tags = tuple(dict.fromkeys(tag.strip() for tag in value if tag.strip()))
    if len(tags) > _MAX_TAGS:
        raise InvalidRequest(
            f"'hydra.tags' must be at most {_MAX_TAGS} tags, got {len(tags)}", param="hydra.tags"
        )
    return tuple(filter(None, (_name(tag, "tags") for tag in tags)))


def _explain(value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest("'hydra.explain' must be true or false", param="hydra.explain")
    return bool(value)
