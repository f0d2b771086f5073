"""A YAML mapping read field by field, where every complaint names file, line and field.

Not a schema language: the reader of a file asks for the fields it knows and closes the mapping;
what was not asked for is an unknown field. Complaints collect, so that a person sees all at once.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import yaml

_LARGEST: Final = 1e12  # no price or token count comes near; beyond it arithmetic would overflow
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """YAML without dates: `api_version: 2024-10-21` is the text that it looks like."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Fields:
    """The fields of one mapping. Each getter returns None (and complains) when a value is wrong."""

    def __init__(self, node: yaml.MappingNode, file: str, path: str, problems: list[str]) -> None:
        self.line = node.start_mark.line + 1
        self._file = file
        self._path = path
        self._problems = problems
        self._nodes: dict[str, yaml.Node] = {}
        self._asked: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            if name in self._nodes:
                self.complain(f"{path}{name}", "is given twice", key)
            self._nodes[name] = value

    @property
    def path(self) -> str:
        """The name of this mapping itself."""
        return self._path.removesuffix(".")

    def __contains__(self, name: str) -> bool:
        """Whether the field has a value; an empty one counts as left out, here as everywhere."""
        node = self._nodes.get(name)
        return node is not None and not _is_null(node)

    def complain(self, field: str, words: str, node: yaml.Node | None = None) -> None:
        """Note a problem as `file:line: field: words`."""
        line = self.line if node is None else node.start_mark.line + 1
        self._problems.append(f"{self._file}:{line}: {field}: {words}")

    def reject(self, name: str, words: str) -> None:
        """Complain about a field of this mapping that was read but makes no sense."""
        self.complain(self._path + name, words, self._nodes.get(name))

    def names(self) -> tuple[str, ...]:
        """The names of all fields, for mappings whose keys are data."""
        return tuple(self._nodes)

    def text(self, name: str, *, required: bool = False) -> str | None:
        node = self._node(name, required=required)
        if node is None or _is_null(node):
            return None
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self._expected(name, "text", node)
            return None
        return str(node.value)

    def number(
        self, name: str, *, low: float = 0, high: float = _LARGEST, required: bool = False
    ) -> Decimal | None:
        node = self._node(name, required=required)
        if node is None or _is_null(node):
            return None
        value = _decimal(node)
        if value is not None and low <= value <= high:
            return value
        is_bounded = high < _LARGEST or (value is not None and value > high)
        words = f"from {low:g} to {high:g}" if is_bounded else f">= {low:g}"
        self._expected(name, f"a number {words}", node)
        return None

    def integer(self, name: str, *, low: int = 0) -> int | None:
        value = self.number(name, low=low)
        if value is not None and value != int(value):
            self._expected(name, f"a whole number >= {low}", self._nodes[name])
            return None
        return None if value is None else int(value)

    def boolean(self, name: str) -> bool | None:
        node = self._node(name)
        if node is None or _is_null(node):
            return None
        try:
            value = _plain(node)
        except ValueError:
            value = None
        if not isinstance(value, bool):
            self._expected(name, "true or false", node)
            return None
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            self._expected(name, f"one of {', '.join(allowed)}", self._nodes[name])
            return None
        return value

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        node = self._node(name, required=required)
        if node is None or _is_null(node):
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        names = tuple(item.value for item in items if isinstance(item, yaml.ScalarNode))
        if not isinstance(node, yaml.SequenceNode) or len(names) < len(items):
            self._expected(name, "a list of names", node)
            return ()
        if required and not names:
            self.reject(name, "needs at least one name")
        return names

    def plain(self, name: str) -> dict[str, Any]:
        """A mapping whose inside is not ours to judge, as long as JSON can hold it."""
        node = self._node(name)
        if node is None or _is_null(node):
            return {}
        try:
            value = _plain(node)
        except ValueError as exc:
            self.reject(name, f"can't be sent as JSON: {exc}")
            return {}
        if not isinstance(value, dict):
            self._expected(name, "a mapping", node)
            return {}
        return value

    def numbers(self, allowed: Collection[str] | None = None) -> dict[str, float]:
        """All fields of a mapping of numbers >= 0, named freely or as `allowed`. Closes it."""
        found: dict[str, float] = {}
        for name in self.names():
            if allowed is None or name in allowed:
                value = self.number(name)
                if value is not None:
                    found[name] = float(value)
        self._asked.update(allowed or ())
        self.close()
        return found

    def mapping(self, name: str, *, required: bool = False) -> "Fields | None":
        node = self._node(name, required=required)
        if node is None or _is_null(node):
            return None
        if not isinstance(node, yaml.MappingNode):
            self._expected(name, "a mapping", node)
            return None
        return Fields(node, self._file, f"{self._path}{name}.", self._problems)

    def listed(self, name: str) -> "tuple[Fields, ...]":
        """The mappings of a list; one of them is named `name[0]` in complaints."""
        node = self._node(name)
        if node is None or _is_null(node):
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(item, yaml.MappingNode) for item in items) or items == [node]:
            self._expected(name, "a list of mappings", node)
            return ()
        return tuple(
            Fields(item, self._file, f"{self._path}{name}[{index}].", self._problems)
            for index, item in enumerate(items)
        )

    def mappings(self) -> "Iterator[tuple[str, Fields]]":
        """Every field of a mapping of mappings."""
        for name in self.names():
            inner = self.mapping(name)
            if inner is not None:
                yield name, inner

    def close(self) -> None:
        """Complain about the fields that nobody asked for."""
        for name, node in self._nodes.items():
            if name not in self._asked:
                known = ", ".join(sorted(self._asked))
                self.complain(self._path + name, f"unknown field; known here: {known}", node)

    def _node(self, name: str, *, required: bool = False) -> yaml.Node | None:
        self._asked.add(name)
        node = self._nodes.get(name)
        if required and (node is None or _is_null(node)):
            self.complain(self._path + name, "is required", node)
        return node

    def _expected(self, name: str, words: str, node: yaml.Node) -> None:
        got = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else "a nested value"
        self.complain(self._path + name, f"expected {words}, got {got}", node)


def read(path: Path, problems: list[str]) -> Fields | None:
    """The top mapping of a YAML file, or None with a complaint."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        problems.append(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {exc.problem}")
        return None
    except RecursionError:
        problems.append(f"{path}:1: not valid YAML: nested too deeply")
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        problems.append(f"{path}: can't be read: {str(exc).splitlines()[0]}")
        return None
    if not isinstance(node, yaml.MappingNode):
        problems.append(f"{path}:1: expected a mapping of fields")
        return None
    return Fields(node, str(path), "", problems)


def _decimal(node: yaml.Node) -> Decimal | None:
    """The node's number; NaN and infinity are none."""
    try:
        value = Decimal(node.value) if isinstance(node, yaml.ScalarNode) else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def _plain(node: yaml.Node) -> Any:
    """The node's value, if JSON can hold it. Raises ValueError in one line."""
    loader = _Loader("")
    try:
        value = loader.construct_document(node)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except yaml.MarkedYAMLError as exc:
        raise ValueError(exc.problem) from exc
    except (LookupError, AttributeError) as exc:  # how PyYAML refuses `!!bool x`
        raise ValueError("a tag on a value that it does not fit") from exc
    except (ValueError, TypeError, RecursionError) as exc:
        raise ValueError(str(exc).splitlines()[0]) from exc
    finally:
        loader.dispose()
    return value


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"
