"""What makes up the cost of one answer: tokens of each kind, at the rates of its tier.

Pure. costing.py computes what is charged; this lists the same split for a person, and is shown only
where its sum is that charge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from gateway import costing, money
from gateway.decision import Usage
from gateway.price import Price

_MTOK = Decimal(1_000_000)
_WORDS: Final = {
    "input_usd_per_mtok": "prompt",
    "cached_input_usd_per_mtok": "prompt, read from the cache",
    "cache_write_usd_per_mtok": "prompt, written to the cache",
    "cache_write_1h_usd_per_mtok": "prompt, written for an hour",
    "audio_input_usd_per_mtok": "audio in",
    "image_input_usd_per_mtok": "image in",
    "output_usd_per_mtok": "answer",
    "reasoning_usd_per_mtok": "reasoning",
    "audio_output_usd_per_mtok": "audio out",
    "image_output_usd_per_mtok": "image out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kind of token, or a fee: `count` of them at `rate_usd` for `per`."""

    what: str
    count: int
    rate_usd: Decimal
    per: int  # 1,000,000 for tokens
    usd: Decimal

    def to_dict(self) -> dict[str, object]:
        return {
            "what": self.what,
            "count": self.count,
            "rate_usd": money.to_text(self.rate_usd),
            "per": self.per,
            "usd": money.to_text(self.usd),
        }


def usage_of(record: Mapping[str, Any]) -> Usage | None:
    """The usage of a record."""
    counts = record.get("usage")
    if not isinstance(counts, Mapping):
        return None
    numbers: dict[str, Any] = {
        name: value
        for name, value in counts.items()
        if isinstance(value, int) and name in Usage.__dataclass_fields__
    }
    return Usage(**numbers, service=str(counts.get("service_tier") or ""))


def lines(usage: Usage, price: Price) -> tuple[Line, ...]:
    """The kinds that there are tokens of, then the fees."""
    rates = price.tier(usage.prompt, usage.service).rates
    fees = (
        ("web searches", usage.web_searches, price.web_search_usd or Decimal(0)),
        ("request", 1, price.request_usd),
    )
    return (
        *(
            _line(_WORDS[kind], count, rates.billed(kind), int(_MTOK))
            for kind, count in costing.tokens(usage).items()
            if count
        ),
        *(_line(what, count, usd, 1) for what, count, usd in fees if count and usd),
    )


def total(bill: tuple[Line, ...]) -> Decimal:
    """Dollars, to the picodollar, as they are charged."""
    return money.rounded(sum((line.usd for line in bill), Decimal(0)))


def _line(what: str, count: int, rate: Decimal, per: int) -> Line:
    return Line(what=what, count=count, rate_usd=rate, per=per, usd=count * rate / per)
