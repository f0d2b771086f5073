"""Requests added up by what they are grouped by: from decisions, from costs rows, out of Redis.

Whole picodollars and whole tokens, so that equal means equal; unknown money is None and adds
nothing. Nothing of the gateway's is used: keys and fields are as docs/configuration.md has them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import redis

MEASURES = (
    *("requests", "prompt_tokens", "completion_tokens", "unknown_cost_requests"),
    *("cost_usd", "baseline_cost_usd", "savings_usd"),
)
_MAIN = ("model", "key", "mode", "pool")
# The rollups that each group must be the same in.
GROUPS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("model", "mode", "pool"), ("day", "hour", "day-hours")),
    **dict.fromkeys(("key", "model,key,mode,pool"), ("day", "hour")),
    "tag": ("day-tags", "hour-tags"),
    "user": ("day-users",),
    "session": ("day-sessions",),
    "day": ("day", "day-hours"),
    "hour": ("hour", "day-hours"),
}
_COLUMNS = {
    **dict.fromkeys(("day", "hour"), _MAIN),
    **dict.fromkeys(("day-tags", "hour-tags"), (*_MAIN, "tag")),
    "day-users": (*_MAIN, "user"),
    "day-sessions": (*_MAIN, "session"),
    "day-hours": ("model", "mode", "pool", "hour"),
}
_OTHER = "(other)"  # takes what exceeds the rows that a rollup of free text keeps

Sums = list[int | None]  # of MEASURES
Table = dict[tuple[str, ...], Sums]


@dataclass(frozen=True, slots=True)
class Row:
    """One request: the values of each group, of which a tag may have several, and what it adds."""

    groups: Mapping[str, tuple[str, ...]]
    adds: Sums


def groups(
    model: str, said: Mapping[str, Any], tags: Iterable[str], ts: str
) -> dict[str, tuple[str, ...]]:
    """The groups of a request; `said` has key, mode, pool, user and session."""
    names = {"model": model, **said, "day": ts[:10], "hour": f"{ts[:13]}:00:00Z"}
    return {name: (value or "",) for name, value in names.items()} | {"tag": tuple(tags) or ("",)}


def table(rows: Iterable[Row], group: str) -> Table:
    """The sums of each group; a request with several tags counts once in each."""
    found: Table = {}
    for row in rows:
        keys: list[tuple[str, ...]] = [()]
        for name in group.split(","):
            keys = [(*key, value) for key in keys for value in row.groups[name]]
        for key in keys:
            _add(found, key, row.adds)
    return found


def answered(rows: Iterable[Mapping[str, Any]], group: str) -> Table:
    """The rows of /v1/costs."""
    return {
        tuple(row[name] for name in group.split(",")): [
            picodollars(row[name]) if name.endswith("_usd") else row[name] for name in MEASURES
        ]
        for row in rows
    }


def rolled_up(client: redis.Redis, kind: str, group: str) -> Table:
    """The rollups of a kind as they lie in Redis."""
    prefix = f"hydra:{{hydra:decisions}}:{kind}:"
    found: Table = {}
    for key in client.scan_iter(match=f"{prefix}*", count=1000):
        bucket = key.removeprefix(prefix)
        when = {"day": bucket[:10], "hour": f"{bucket}:00:00Z"}
        for field, value in client.hgetall(key).items():
            values = when | dict(zip(_COLUMNS[kind], json.loads(field), strict=True))
            _, prompt, completion, unknown, *money = sums = json.loads(value)
            # A count of none is null there and 0 elsewhere.
            adds = [sums[0], prompt or 0, completion or 0, unknown or 0, *money]
            _add(found, tuple(values[name] for name in group.split(",")), adds)
    return found


def total(of: Table) -> Sums:
    """The sums of all groups together."""
    found: Table = {}
    for adds in of.values():
        _add(found, (), adds)
    return found.get((), [0, 0, 0, 0, None, None, None])


def difference(one: Table, other: Table) -> str:
    """'0', or what differs; where free text was too much for its rollup, of the totals."""
    if any(_OTHER in key for key in (*one, *other)):
        one, other = {(): total(one)}, {(): total(other)}
    wrong = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    if not wrong:
        return "0"
    key = min(wrong)
    return f"{len(wrong)} groups, {'/'.join(key) or '(none)'}: {one.get(key)} {other.get(key)}"


def picodollars(usd: str | None) -> int | None:
    """Of a decimal string; a finer one is an error."""
    if usd is None:
        return None
    amount = Decimal(usd).scaleb(12)
    assert amount == int(amount), usd
    return int(amount)


def dollars(amount: int | None) -> str | None:
    """A decimal string of picodollars."""
    return None if amount is None else f"{Decimal(amount).scaleb(-12):f}"


def _add(to: Table, key: tuple[str, ...], adds: Sums) -> None:
    before = to.get(key)
    to[key] = adds if before is None else list(map(_sum, before, adds))


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
