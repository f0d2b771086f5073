"""Every Redis key and prefix, named once, each with the sentence the docs print.

Not the values: what is inside a key belongs to the module that owns it. Keys that change together
with the stream carry the hash tag `{hydra:decisions}`; a cluster puts them on the slot of the
stream itself, whose name has no braces and so hashes whole, to the same bytes.
"""

from typing import Final

PREFIX: Final = "hydra:"
TAG: Final = "{hydra:decisions}"

DECISIONS: Final = "hydra:decisions"
POSITIONS: Final = f"hydra:{TAG}:positions"
HOURS: Final = f"hydra:{TAG}:hours"
DAYS: Final = f"hydra:{TAG}:days"

_DECISION: Final = "hydra:decision:"
_HOUR: Final = f"hydra:{TAG}:hour:"
_DAY: Final = f"hydra:{TAG}:day:"
_HOUR_TAGS: Final = f"hydra:{TAG}:hour-tags:"
_DAY_TAGS: Final = f"hydra:{TAG}:day-tags:"

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
        POSITIONS,
        "hash",
        "For each writer of a spool, the sequence number of its last delivered record.",
    ),
    (HOURS, "sorted set", "The hours (UTC) that have a rollup, scored by their Unix time."),
    (DAYS, "sorted set", "The days (UTC) that have a rollup, scored by their Unix time."),
    (
        f"{_HOUR}<YYYY-MM-DDTHH>",
        "hash",
        "Sums of one hour for each model, key and mode; money in whole picodollars; kept for ever.",
    ),
    (f"{_DAY}<YYYY-MM-DD>", "hash", "The same sums of one day."),
    (
        f"{_HOUR_TAGS}<YYYY-MM-DDTHH>",
        "hash",
        "The same sums for each model, key, mode and tag; a request counts once under each tag.",
    ),
    (f"{_DAY_TAGS}<YYYY-MM-DD>", "hash", "The same sums by tag of one day."),
)


def decision(decision_id: str) -> str:
    """The key of one whole record."""
    return _DECISION + decision_id


def hour(bucket: str, *, by_tag: bool = False) -> str:
    """The rollup of an hour.

    >>> hour("2026-11-23T18")
    'hydra:{hydra:decisions}:hour:2026-11-23T18'
    """
    return (_HOUR_TAGS if by_tag else _HOUR) + bucket


def day(bucket: str, *, by_tag: bool = False) -> str:
    """The rollup of a day.

    >>> day("2026-11-23", by_tag=True)
    'hydra:{hydra:decisions}:day-tags:2026-11-23'
    """
    return (_DAY_TAGS if by_tag else _DAY) + bucket
