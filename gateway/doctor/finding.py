"""What a check found: one line for a person, and how to mend it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`remedy` is what to do, empty where nothing is wrong."""

    check: str
    level: Level
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    """As it should be."""
    return Finding(check=check, level="ok", message=message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """Serves, but not as one would wish."""
    return Finding(check=check, level="warning", message=message, remedy=remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    """Does not serve, or loses what should be kept."""
    return Finding(check=check, level="problem", message=message, remedy=remedy)
