"""What the catalog knows of one model, and the pool of models one caller may be routed to.

Plain frozen values without behaviour beyond arithmetic on themselves: reading YAML is catalog.py,
choosing is routing.py. Vectors are in the order of `Pool.dimensions`, shape (K,).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.price import Price

MODES: Final = ("peak", "iso", "aggressive")
RULES: Final = ("threshold", "value")
SCALES: Final = ("reference", "pool")
WIRES: Final = ("chat", "responses", "messages")

# What a request can demand of a model; each is a gate. The others only inform.
GATED_FEATURES: Final = (
    "tools",
    "vision",
    "audio",
    "file",
    "json_schema",
    "logprobs",
    "n",
)
CHAT_ONLY_FEATURES: Final = frozenset({"logprobs", "n"})
FEATURES: Final = (*GATED_FEATURES, "parallel_tools", "prompt_cache")


DEFAULT_EXPECTED_OUTPUT_TOKENS: Final = 600
DEFAULT_MARGIN: Final = 0.1  # band widths of shortfall
# Of the curve P = sigmoid(alpha - beta * shortfall). A shortfall is at most 10 (bands count at
# least .1 wide), so that within these ranges its exponential has a value.
ALPHAS: Final = (-20.0, 20.0)
BETAS: Final = (0.01, 50.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Tokens; None is unknown, and an unknown limit excludes nothing."""

    context_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One public benchmark score, in percent, with where it was read."""

    score: float
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model's catalog entry. `capabilities` (K,) lie in [0, 1] on the requirements' scale."""

    name: str
    litellm_model: str
    capabilities: tuple[float, ...]
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    price: Price | None = None  # None: unknown, never free
    limits: Limits = Limits()
    features: frozenset[str] = frozenset()
    expected_output_tokens: int = DEFAULT_EXPECTED_OUTPUT_TOKENS
    api_key_env: str | None = None
    api_base: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    litellm_params: Mapping[str, object] = field(default_factory=dict)
    wire: str | None = None  # the protocol of its server; None: what its provider is known for

    @property
    def provider(self) -> str:
        """The part of `provider/model`; a bare name is OpenAI's."""
        provider, separator, _ = self.litellm_model.partition("/")
        return provider if separator else "openai"

    @property
    def speaks(self) -> frozenset[str]:
        """The protocols that its server takes as they are."""
        if self.wire is not None:
            return frozenset({self.wire})
        if self.provider == "anthropic":
            return frozenset({"messages"})
        if self.provider == "openai" and self.api_base is None:
            return frozenset({"chat", "responses"})
        return frozenset({"chat"})

    @property
    def mean_capability(self) -> float:
        """How strong the model is overall, in [0, 1]."""
        return sum(self.capabilities) / len(self.capabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorFacts:
    """What the catalog must know of the predictor: its axes (K,), bands (K,), reference table."""

    dimensions: tuple[str, ...]
    bands: tuple[tuple[float, float], ...]
    reference: Path
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One axis: what it means, its default weight, and the benchmarks that exercise it."""

    name: str
    description: str
    weight: float
    benchmarks: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The named set of profiles that one caller may be routed to, and how to choose among them.

    `weights` (K,) sum to 1; `bands` (K,) are the predictor's (lo, hi) per dimension, in [0, 1].
    `modes` name thresholds (rule "threshold") or dollars per solved request (rule "value").
    `alpha` and `beta` turn a shortfall into the chance of solving the request (DESIGN: P_m): the
    pool's own if `p_solve` gave some, else the predictor's.
    """

    name: str
    profiles: tuple[Profile, ...]
    dimensions: tuple[str, ...]
    weights: tuple[float, ...]
    bands: tuple[tuple[float, float], ...]
    modes: Mapping[str, float]
    default_mode: str
    baseline: str
    fallback_profile: str | None = None
    rule: str = "threshold"
    scale: str = "reference"
    escalate: bool = False
    margin: float = DEFAULT_MARGIN
    alpha: float | None = None
    beta: float | None = None
    left_out: tuple[str, ...] = ()  # listed profiles that can't be used here
    fitted_for: str | None = None  # sha of the predictor that the modes were fitted for
    p_solve_fitted_for: str | None = None  # the same of the pool's own alpha and beta

    def profile(self, name: str) -> Profile | None:
        """The pool's profile of that name."""
        return next((profile for profile in self.profiles if profile.name == name), None)
