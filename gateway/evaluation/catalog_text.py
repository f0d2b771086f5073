"""Edits of catalog files that leave every other character, comments too, as it was.

YAML tells where a value stands in the text; only that stretch is replaced. Nothing is written here.
"""

import re
from collections.abc import Mapping, Sequence

import yaml

from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import OutcomeError

_PROVISIONAL = re.compile(r"[ \t]+# provisional[^\n]*")


def with_modes(text: str, pool: str, modes: Mapping[str, float], fitted_for: str) -> str:
    """pools.yaml with the pool's modes set to new numbers, and the predictor they were fitted for.

    Modes that the pool does not have are left out; a remark that its modes are provisional goes.
    """
    entry = _mapping(_mapping(_root(text), "pools"), pool)
    table = _mapping(entry, "modes")
    edits = []
    for key, value in table.value:
        if key.value in modes:
            edits.append((value.start_mark.index, value.end_mark.index, f"{modes[key.value]:g}"))
    edits.append(_set(entry, "fitted_for", fitted_for, before="modes"))
    last = table.value[-1][1].end_mark.index
    line_end = text.find("\n", last)
    remark = _PROVISIONAL.search(text, last, len(text) if line_end < 0 else line_end)
    if remark:
        edits.append((remark.start(), remark.end(), ""))
    return _edited(text, edits)


def with_p_solve(text: str, pool: str, curve: Curve, fitted_for: str) -> str:
    """pools.yaml with the pool's own curve, and the predictor that it was fitted for."""
    entry = _mapping(_mapping(_root(text), "pools"), pool)
    new = {"alpha": f"{curve.alpha:g}", "beta": f"{curve.beta:g}", "fitted_for": fitted_for}
    own = _value(entry, "p_solve")
    if isinstance(own, yaml.MappingNode):
        return _edited(text, [_set(own, name, new[name], before="alpha") for name in new])
    inside = ", ".join(f"{name}: {value}" for name, value in new.items())
    return _edited(text, [_set(entry, "p_solve", f"{{{inside}}}", before="modes")])


def with_capabilities(text: str, dimensions: Sequence[str], capabilities: Sequence[float]) -> str:
    """A profile's file with its explicit capabilities set to new numbers."""
    table = _mapping(_root(text), "capabilities")
    new = dict(zip(dimensions, capabilities, strict=True))
    return _edited(
        text,
        [
            (value.start_mark.index, value.end_mark.index, f"{new[key.value]:g}")
            for key, value in table.value
            if key.value in new
        ],
    )


def _root(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise OutcomeError("the catalog file is no mapping")
    return node


def _mapping(node: yaml.MappingNode, name: str) -> yaml.MappingNode:
    found = _value(node, name)
    if not isinstance(found, yaml.MappingNode):
        raise OutcomeError(f"the catalog file has no mapping '{name}' to edit")
    return found


def _value(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    return next((value for key, value in node.value if key.value == name), None)


def _set(entry: yaml.MappingNode, name: str, new: str, *, before: str) -> tuple[int, int, str]:
    """The edit that gives a field this value, in front of another if it is not there yet."""
    old = _value(entry, name)
    if old is not None:
        is_empty = old.start_mark.index == old.end_mark.index
        return old.start_mark.index, old.end_mark.index, f" {new}" if is_empty else new
    key = next(key for key, _ in entry.value if key.value == before)
    separator = ", " if entry.flow_style else "\n" + " " * key.start_mark.column
    return key.start_mark.index, key.start_mark.index, f"{name}: {new}{separator}"


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
