"""Numbers, money and times as a person reads them; the templates' filters.

Pure. What is unknown is the word "unknown", never a zero. The exact figures are in the JSON twins.
"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

UNKNOWN: Final = "unknown"
_SIGNIFICANT_DIGITS: Final = 3
_MINUS: Final = "\N{MINUS SIGN}"


def dollars(usd: object) -> str:
    """Three significant digits below a dollar, cents above, no cents from a thousand on.

    >>> dollars("0.0027045"), dollars("12.3456"), dollars("0"), dollars(None)
    ('$0.00270', '$12.35', '$0', 'unknown')
    """
    amount = decimal_of(usd)
    if amount is None:
        return UNKNOWN
    sign, size = (_MINUS if amount < 0 else ""), abs(amount)
    if size >= 1000:
        return f"{sign}${size:,.0f}"
    if size >= 1:
        return f"{sign}${size:.2f}"
    if not size:
        return "$0"
    digits = _SIGNIFICANT_DIGITS - 1 - size.adjusted()
    return f"{sign}${size:.{digits}f}"


def price(usd: object) -> str:
    """The same within a sentence, where no column needs its zeros.

    >>> price("0.22"), price("7"), price("12.5")
    ('$0.22', '$7', '$12.50')
    """
    text = dollars(usd)
    if "." not in text:
        return text
    return text.removesuffix(".00") if text[-3] == "." else text.rstrip("0")


def percent(share: float | None, digits: int | None = None) -> str:
    """With a digit after the point below ten, or as many as are asked for.

    >>> percent(0.734), percent(0.0412), percent(0.0), percent(0.798, 1), percent(None)
    ('73%', '4.1%', '0%', '79.8%', 'unknown')
    """
    if share is None:
        return UNKNOWN
    value = share * 100
    if digits is None:
        digits = 1 if 0 < abs(value) < 10 else 0
    text = f"{value:.{digits}f}"
    return f"{text.replace('-', _MINUS)}%"


def milliseconds(value: float | None) -> str:
    """
    >>> milliseconds(3.24), milliseconds(812.9), milliseconds(12345), milliseconds(None)
    ('3.2 ms', '813 ms', '12.3 s', 'unknown')
    """
    if value is None:
        return UNKNOWN
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def count(number: object, noun: str = "") -> str:
    """Of things, if they are named.

    >>> count(1234567), count(1, "day"), count(None)
    ('1,234,567', '1 day', 'unknown')
    """
    if not isinstance(number, int | float):
        return UNKNOWN
    plural = "" if number == 1 or not noun else "s"
    return f"{number:,} {noun}{plural}".rstrip()


def score(value: float | None, digits: int = 2) -> str:
    """A requirement, a capability, a shortfall.

    >>> score(0.3367), score(None)
    ('0.34', 'unknown')
    """
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def moment(text: object) -> str:
    """A time stamp of the log to the second, UTC.

    >>> moment("2026-11-24T17:29:23.542Z"), moment("soon")
    ('24 Nov 17:29:23', 'soon')
    """
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    at = parsed.astimezone(UTC) if parsed.tzinfo else parsed
    return f"{at.day} {at:%b %H:%M:%S}"


def words(name: object) -> str:
    """A name of the log as words.

    >>> words("code_generation")
    'code generation'
    """
    return str(name).replace("_", " ")


def decimal_of(usd: object) -> Decimal | None:
    """Dollars as the log writes them; None for anything else."""
    if not isinstance(usd, str | Decimal | int):
        return None
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
