"""The fields of a Responses body, each checked as it is read: a wrong one is refused in words.

Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import InvalidRequest
from gateway.json_body import shown


def each(
    holder: Mapping[str, Any], name: str, within: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each object of a list stands, and the object."""
    for index, entry in enumerate(list_in(holder, name, within)):
        where = f"{_path(name, within)}[{index}]"
        if not isinstance(entry, dict):
            raise wrong(where, "an object", entry)
        yield where, entry


def list_in(holder: Mapping[str, Any], name: str, within: str = "") -> list[Any]:
    value = holder.get(name)
    if value is not None and not isinstance(value, list):
        raise wrong(_path(name, within), "an array", value)
    return value or []


def object_in(holder: Mapping[str, Any], name: str, within: str = "") -> dict[str, Any]:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong(_path(name, within), "an object", value)
    return value or {}


def string_at(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(where, "a string", value)
    return value


def _path(name: str, within: str) -> str:
    return f"{within}.{name}" if within else name


def wrong(where: str, expected: str, value: object) -> InvalidRequest:
    found = "it is missing" if value is None else f"got {shown(value)}"
    return InvalidRequest(f"'{where}' must be {expected}: {found}", param=where)
