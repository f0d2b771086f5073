"""Dollars: exact decimals in the code, plain decimal strings on the wire, integers in Redis.

Not a price list (profile.py) and not a bill (costing.py). The unit of storage is the picodollar,
1e-12 USD: a price given to six decimals per million tokens is a whole number of them per token, so
sums of integers are exact where Redis' and Lua's floats would not be.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

PICODOLLARS_PER_USD = 10**12
_QUANTUM = Decimal(1).scaleb(-12)
_LESS_THAN_ONE = tuple("0." + "0" * (12 - length) for length in range(13))
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)  # the usual 28 digits end at 1e16 USD


def rounded(usd: Decimal) -> Decimal:
    """The amount to the picodollar, half to even; what is stored and shown is this, nothing finer.

    >>> rounded(Decimal("0.0000000000015"))
    Decimal('2E-12')
    """
    return _EXACT.plus(usd.quantize(_QUANTUM, context=_EXACT).normalize(_EXACT))


def to_text(usd: Decimal | None) -> str | None:
    """Plain notation, exact, without trailing zeros; unknown money stays None.

    >>> to_text(Decimal("0.0001640")), to_text(Decimal("1E-7")), to_text(Decimal(0)), to_text(None)
    ('0.000164', '0.0000001', '0', None)
    """
    if usd is None:
        return None
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_picodollars(usd: Decimal | str) -> int:
    """Whole picodollars.

    >>> to_picodollars("0.000164")
    164000000
    """
    return int(rounded(Decimal(usd)).scaleb(12, _EXACT))


def from_picodollars(picodollars: int) -> Decimal:
    """Dollars.

    >>> to_text(from_picodollars(164000000))
    '0.000164'
    """
    return Decimal(picodollars).scaleb(-12, _EXACT)


def text_of_picodollars(picodollars: int | None) -> str | None:
    """The text of so much, without a Decimal on the way: sums of costs have thousands of rows.

    >>> text_of_picodollars(164000000), text_of_picodollars(-2 * 10**12), text_of_picodollars(0)
    ('0.000164', '-2', '0')
    """
    if picodollars is None:
        return None
    digits = str(picodollars)
    if 0 < picodollars < PICODOLLARS_PER_USD:
        return _LESS_THAN_ONE[len(digits)] + digits.rstrip("0")
    if picodollars < 0:
        return f"-{text_of_picodollars(-picodollars)}"
    return f"{digits[:-12] or 0}.{digits[-12:]}".rstrip("0").rstrip(".")
