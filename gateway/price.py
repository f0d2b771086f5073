"""What a model costs: dollars per million tokens of each kind, and when other rates hold.

Not a bill (costing.py) and not where prices come from (profile_file.py, bundled_prices.py). Plain
frozen values; what one of them leaves out has one rule, in `Rates.billed`.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

OLD_DAYS: Final = 180  # providers changed list prices about twice a year; older ones want a look

# A kind of token without a price of its own is billed as this one.
BILLED_AS: Final[Mapping[str, str]] = {
    "cached_input_usd_per_mtok": "input_usd_per_mtok",
    "cache_write_usd_per_mtok": "input_usd_per_mtok",
    "cache_write_1h_usd_per_mtok": "cache_write_usd_per_mtok",
    "audio_input_usd_per_mtok": "input_usd_per_mtok",
    "image_input_usd_per_mtok": "input_usd_per_mtok",
    "reasoning_usd_per_mtok": "output_usd_per_mtok",
    "audio_output_usd_per_mtok": "output_usd_per_mtok",
    "image_output_usd_per_mtok": "output_usd_per_mtok",
}
# A service of these names is the plain one.
PLAIN_SERVICES: Final = frozenset({"auto", "default", "on_demand", "standard"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Dollars per million tokens, by kind of token; None is billed as `BILLED_AS` says."""

    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    cached_input_usd_per_mtok: Decimal | None = None
    cache_write_usd_per_mtok: Decimal | None = None
    cache_write_1h_usd_per_mtok: Decimal | None = None
    audio_input_usd_per_mtok: Decimal | None = None
    image_input_usd_per_mtok: Decimal | None = None
    reasoning_usd_per_mtok: Decimal | None = None
    audio_output_usd_per_mtok: Decimal | None = None
    image_output_usd_per_mtok: Decimal | None = None

    def billed(self, kind: str) -> Decimal:
        """The dollars per million tokens that a kind is billed at.

        >>> flat = Rates(input_usd_per_mtok=Decimal(3), output_usd_per_mtok=Decimal(15))
        >>> flat.billed("cache_write_1h_usd_per_mtok")
        Decimal('3')
        """
        own: Decimal | None = getattr(self, kind)
        return self.billed(BILLED_AS[kind]) if own is None else own


KINDS: Final = tuple(field.name for field in dataclasses.fields(Rates))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates of whole requests: with a longer prompt, on another service, or both."""

    rates: Rates
    above_prompt_tokens: int = 0
    service: str = ""  # `service_tier` of the answer: flex, priority, ...; "" is the plain one


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's rates, the tiers with other ones, and fees. An unknown price is no Price at all."""

    base: Rates
    tiers: tuple[Tier, ...] = ()
    request_usd: Decimal = Decimal(0)
    web_search_usd: Decimal | None = None  # per search on the provider's side; None: unknown
    varies_by_hour: bool = False  # the provider has cheaper hours: what we compute is an estimate
    source: str = ""
    date: str = ""  # ISO 8601: when the price was read

    def tier(self, prompt_tokens: int, service: str = "") -> Tier:
        """The tier that a whole request is billed at. The longest length that the prompt exceeds
        comes first; of that, the service's own rates if there are any, else the plain ones."""
        found: Tier | None = None
        for tier in self.tiers:
            above = tier.above_prompt_tokens
            if tier.service not in ("", service) or (above and prompt_tokens <= above):
                continue
            if found is None or (found.above_prompt_tokens, found.service) < (above, tier.service):
                found = tier
        return found or Tier(rates=self.base)

    def age_days(self, today: datetime.date) -> int | None:
        """Days since the price was read; None where its date is unknown."""
        try:
            return (today - datetime.date.fromisoformat(self.date)).days
        except ValueError:
            return None
