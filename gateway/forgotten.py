"""Whose decisions were deleted: what a selection takes, and tombstones that name nobody.

Pure. deletion.py deletes what is in Redis and leaves a tombstone there, a hash of the names with
the moment of the deletion; delivery.py asks the tombstones about the records that come later, from
whichever spool. A record that is forgotten counts in the sums and is otherwise not kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.filters import parse_time

NAMES: Final = {"key": "key_id", "user": "user", "session": "session"}  # filter: record's field
DELETED: Final = "(deleted)"  # in place of a name in the sums
CHANGE: Final = "change"  # the field beside the tombstones that is another one after each deletion
KEPT_DAYS: Final = 90  # a tombstone; far longer than a delivered spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Decisions that have all these names. Raises ValueError if none is given, or an empty one."""

    key: str | None = None
    user: str | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        if all(value is None for value in (self.key, self.user, self.session)):
            raise ValueError("key, user, session: at least one of them is needed")
        for name, value in self.filters.items():
            if not value:
                raise ValueError(f"{name}: must not be empty")

    @property
    def filters(self) -> dict[str, str]:
        """What is given, in the order of NAMES."""
        given = {"key": self.key, "user": self.user, "session": self.session}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def taken(self) -> tuple[str, ...]:
        """The names that the sums lose: of those given the one that says most, and what hangs on
        it. A user's key stays, others use it; a user's sessions go with him."""
        if self.session is not None:
            return ("session",)
        return ("user", "session") if self.user is not None else ("key", "user", "session")

    @property
    def tombstone(self) -> str:
        """What is given, and a hash of the values.

        >>> Selection(user="mary").tombstone
        'user:613f165d50f95119a96caa4efde7021b'
        """
        values = json.dumps(list(self.filters.values())).encode()
        return f"{'+'.join(self.filters)}:{hashlib.sha256(values).hexdigest()[:32]}"


class Forgotten:
    """Tombstones, each with the Unix time in milliseconds before which it takes records."""

    def __init__(self, stored: Mapping[str, str]) -> None:
        self.change = stored.get(CHANGE, "")
        self._moments = {name: int(at) for name, at in stored.items() if name != CHANGE}
        self._kinds = {tuple(name.partition(":")[0].split("+")) for name in self._moments}

    def nameless(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record as the sums count it if it is forgotten; None if it is not."""
        taken: set[str] = set()
        for kind in self._kinds:
            names = {name: record.get(NAMES[name]) for name in kind}
            if all(isinstance(value, str) and value for value in names.values()):
                selection = Selection(**names)
                if _unix_ms(record) < self._moments.get(selection.tombstone, 0):
                    taken.update(selection.taken)
        if not taken:
            return None
        fields = [NAMES[name] for name in taken]
        return {**record, **{field: DELETED for field in fields if record.get(field)}}


NOBODY: Final = Forgotten({})


def _unix_ms(record: Mapping[str, Any]) -> float:
    """When its request came. One without a readable time is as old as can be."""
    try:
        return parse_time("ts", str(record.get("ts"))).timestamp() * 1000
    except ValueError:
        return 0.0
