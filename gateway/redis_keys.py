"""Every Redis key and prefix, named once, each with the sentence the docs print.

Not the values: what is inside a key belongs to the module that owns it. Keys that change together
with the stream carry the hash tag `{hydra:decisions}`; a cluster puts them on the slot of the
stream itself, whose name has no braces and so hashes whole, to the same bytes.
"""

import hashlib
import re
from typing import Final, Literal

PREFIX: Final = "hydra:"
TAG: Final = "{hydra:decisions}"

DECISIONS: Final = "hydra:decisions"
POSITIONS: Final = f"hydra:{TAG}:positions"
HOURS: Final = f"hydra:{TAG}:hours"
DAYS: Final = f"hydra:{TAG}:days"
INDEXED: Final = f"hydra:{TAG}:indexed"
NEWEST: Final = f"hydra:{TAG}:newest"
SCHEMA: Final = f"hydra:{TAG}:schema"
FORGOTTEN: Final = f"hydra:{TAG}:forgotten"

_DECISION: Final = "hydra:decision:"
_FEEDBACK: Final = f"hydra:{TAG}:feedback:"
_INDEX: Final = f"hydra:{TAG}:index:"
_SHARED_INDEX: Final = f"hydra:{TAG}:shared-index:"
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.@/+=-]{1,64}")

By = Literal["tag", "user", "session", "hour"]

# Where somebody's name is, for who deletes it (deletion.py, rollup_names.py): keys, users and
# sessions in the stream's entries and in whole records; the key in feedback, in the name of its own
# index and in the fields of all rollups but day-hours; users and sessions in those of day-users and
# day-sessions. Shared indexes have a CRC-32 of the value. Nothing else has any.
KEYS: Final[tuple[tuple[str, str, str], ...]] = (
    # (key, type, what it holds); <...> stands for the part that varies
    (
        DECISIONS,
        "stream",
        "One entry per finished decision, oldest entries trimmed; field names are the record's.",
    ),
    (
        f"{_DECISION}<id>",
        "string",
        "The whole record as JSON, with logged content if that is on; expires.",
    ),
    (
        f"{_FEEDBACK}<id>",
        "string",
        "The last feedback on a decision, as JSON; expires as the record does.",
    ),
    (
        POSITIONS,
        "hash",
        "For each writer of a spool, the sequence number of its last delivered record.",
    ),
    (
        SCHEMA,
        "string",
        "The version of all this; a gateway that knows older ones only delivers nothing.",
    ),
    (
        FORGOTTEN,
        "hash",
        "Hashes of the names whose decisions were deleted, each with the moment; kept for 90 days.",
    ),
    (
        INDEXED,
        "string",
        "The stream's first id that the indexes below know; an earlier version wrote none.",
    ),
    (
        f"{_INDEX}<filter>:<value>",
        "stream",
        "The stream's ids with one model, key, mode, reason, status or pool; trimmed as it is.",
    ),
    (
        f"{_SHARED_INDEX}<filter>:<number>",
        "stream",
        "The same for sessions, tags and users, 1024 of each, a hash of the value beside each id.",
    ),
    (
        NEWEST,
        "hash",
        "For each hour (UTC) in which a request of the stream came, the id of the last one.",
    ),
    (HOURS, "sorted set", "The hours (UTC) that have a rollup, scored by their Unix time."),
    (DAYS, "sorted set", "The days (UTC) that have a rollup, scored by their Unix time."),
    (
        f"hydra:{TAG}:hour:<YYYY-MM-DDTHH>",
        "hash",
        "Sums of one hour: a field for each model, key, mode and pool; money in whole picodollars;"
        " kept for ever.",
    ),
    (f"hydra:{TAG}:day:<YYYY-MM-DD>", "hash", "The same sums of one day."),
    (
        f"hydra:{TAG}:hour-tags:<YYYY-MM-DDTHH>",
        "hash",
        "The same sums by model, key, mode, pool and tag; a request counts once under each tag.",
    ),
    (f"hydra:{TAG}:day-tags:<YYYY-MM-DD>", "hash", "The same sums by tag of one day."),
    (f"hydra:{TAG}:day-hours:<YYYY-MM-DD>", "hash", "The same sums of one day by hour, no keys."),
    (f"hydra:{TAG}:day-users:<YYYY-MM-DD>", "hash", "The same sums by end user of one day."),
    (f"hydra:{TAG}:day-sessions:<YYYY-MM-DD>", "hash", "The same sums by session of one day."),
)


def decision(decision_id: str) -> str:
    """The key of one whole record."""
    return _DECISION + decision_id


def feedback(decision_id: str) -> str:
    """The key of the feedback on one decision."""
    return _FEEDBACK + decision_id


def index(name: str, value: str) -> str:
    """The ids of one value of a filter; a value that is long or has odd characters is hashed.

    >>> index("mode", "iso")
    'hydra:{hydra:decisions}:index:mode:iso'
    >>> index("key", "a b")
    'hydra:{hydra:decisions}:index:key:~c8687a08aa5d6ed2044328fa6a697ab8'
    """
    if not _PLAIN_VALUE.fullmatch(value):
        value = "~" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:32]
    return f"{_INDEX}{name}:{value}"


def shared_index(name: str, number: int) -> str:
    """The ids of the values of a filter that share this number."""
    return f"{_SHARED_INDEX}{name}:{number}"


def rollup(bucket: str, by: By | None = None) -> str:
    """The sums of an hour or a day, or their twin.

    >>> rollup("2026-11-23T18")
    'hydra:{hydra:decisions}:hour:2026-11-23T18'
    >>> rollup("2026-11-23", "tag")
    'hydra:{hydra:decisions}:day-tags:2026-11-23'
    """
    kind = "hour" if "T" in bucket else "day"
    return f"hydra:{TAG}:{kind}-{by}s:{bucket}" if by else f"hydra:{TAG}:{kind}:{bucket}"
