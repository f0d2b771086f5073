"""What was decided and what came of it: the one schema of the log, the dry run and the page.

Pure values and their JSON form (DESIGN.md section 5). Choosing is routing.py, pricing the answer is
costing.py, storing is decision_log.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

from gateway import money
from gateway.demands import Demands

SCHEMA: Final = 1

Reason = Literal[
    "cheapest_sufficient",
    "least_shortfall",
    "sticky",
    "escalated",
    "pinned",
    "fallback",
    "only_eligible",
    "predictor_unavailable",
]
Status = Literal["started", "ok", "error", "aborted"]
CostStatus = Literal["exact", "estimated", "unknown"]
CostSource = Literal["prices", "provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One profile as the router saw it for one request. Capabilities (K,) in [0, 1]."""

    model: str
    capabilities: tuple[float, ...]
    shortfall: float | None  # None: nothing was predicted
    p_solve: float | None
    expected_output_tokens: int
    expected_cost_usd: Decimal | None  # None: unknown, never free
    eligible: bool
    excluded_by: str | None

    def to_dict(self, dimensions: tuple[str, ...]) -> dict[str, object]:
        return {
            "model": self.model,
            "capabilities": _offered(dimensions, self.capabilities),
            "shortfall": _rounded(self.shortfall, 6),
            "p_solve": _rounded(self.p_solve, 4),
            "expected_output_tokens": self.expected_output_tokens,
            "expected_cost_usd": _dollars(self.expected_cost_usd),
            "eligible": self.eligible,
            "excluded_by": self.excluded_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The router's answer: the chosen profile, every candidate, and the reason."""

    pool: str
    rule: str
    threshold: float | None  # dollars per solved request when the rule is "value"
    dimensions: tuple[str, ...]
    demands: Demands
    requirements: tuple[float, ...] | None
    candidates: tuple[Candidate, ...]
    chosen: str
    runner_up: str | None
    reason: Reason

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name. Raises KeyError."""
        for candidate in self.candidates:
            if candidate.model == name:
                return candidate
        raise KeyError(name)

    def to_dict(self) -> dict[str, object]:
        """The part of the record (DESIGN.md section 5) that the router alone decides."""
        requirements = None
        if self.requirements is not None:
            requirements = _by_dimension(self.dimensions, self.requirements)
        return {
            "pool": self.pool,
            "rule": self.rule,
            "threshold": self.threshold if self.rule == "threshold" else None,
            "value_usd": self.threshold if self.rule == "value" else None,
            "demands": self.demands.to_dict(),
            "requirements": requirements,
            "candidates": [candidate.to_dict(self.dimensions) for candidate in self.candidates],
            "chosen": self.chosen,
            "reason": self.reason,
            "runner_up": self.runner_up,
        }


class NoEligibleProfile(Exception):
    """The gates left no profile; `str()` names, for each profile, the gate that removed it."""

    def __init__(self, pool: str, candidates: Sequence[Candidate]) -> None:
        self.pool = pool
        self.candidates = tuple(candidates)
        gates = "; ".join(f"{item.model}: {item.excluded_by}" for item in candidates)
        super().__init__(f"no profile of pool '{pool}' can take this request ({gates or 'empty'})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to a provider: `status` is its HTTP status, None where none came."""

    model: str
    status: int | None
    error: str | None
    latency_ms: float

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "status": self.status,
            "error": self.error,
            "latency_ms": round(self.latency_ms, 2),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them, and what else it bills by.

    `cached`, `cache_write` and `image_input` are parts of `prompt`, `reasoning` and `image_output`
    of `completion`, `cache_write_1h` of `cache_write`; `audio` counts both directions, and
    `audio_output` is its part of `completion`.
    """

    prompt: int = 0
    cached: int = 0
    cache_write: int = 0
    completion: int = 0
    reasoning: int = 0
    audio: int = 0
    cache_write_1h: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    web_searches: int = 0
    service: str = ""  # that served the request: flex, priority, ...; "" is the plain one
    cost_usd: Decimal | None = None  # what the provider says that it bills

    def to_dict(self) -> dict[str, object]:
        """The six counts, and of the rest what is there."""
        rest = {
            "cache_write_1h": self.cache_write_1h,
            "audio_output": self.audio_output,
            "image_input": self.image_input,
            "image_output": self.image_output,
            "web_searches": self.web_searches,
            "service_tier": self.service,
        }
        return {
            "prompt": self.prompt,
            "cached": self.cached,
            "cache_write": self.cache_write,
            "completion": self.completion,
            "reasoning": self.reasoning,
            "audio": self.audio,
            **{name: value for name, value in rest.items() if value},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the answer cost, and what the baseline would have cost on the same usage, both to the
    picodollar.
    """

    usd: Decimal | None
    status: CostStatus
    baseline: str | None
    baseline_usd: Decimal | None
    source: CostSource = "prices"

    @property
    def savings_usd(self) -> Decimal | None:
        if self.usd is None or self.baseline_usd is None:
            return None
        return self.baseline_usd - self.usd

    def to_dict(self) -> dict[str, object]:
        """The record's part; `cost_source` is there only if it is not our prices."""
        entry: dict[str, object] = {
            "cost_usd": money.to_text(self.usd),
            "cost_status": self.status,
            "baseline": self.baseline,
            "baseline_cost_usd": money.to_text(self.baseline_usd),
            "savings_usd": money.to_text(self.savings_usd),
        }
        return entry if self.source == "prices" else {**entry, "cost_source": self.source}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What surrounds a decision: who asked, what for, and with which catalog and predictor."""

    id: str
    at: datetime
    key_id: str | None
    session: str | None
    endpoint: str
    mode: str | None
    model_requested: str
    stream: bool
    tags: tuple[str, ...]
    catalog_sha: str
    predictor_sha: str
    prompt_chars: int
    prompt_sha256: str
    predictor_ms: float | None
    router_ms: float
    request_id: str | None = None  # the caller's x-request-id, or the one we gave; served only
    user: str | None = None  # the client's name for the person behind the request
    content: Mapping[str, object] | None = None  # only with HYDRA_LOG_CONTENT=true

    def to_dict(self) -> dict[str, object]:
        entry: dict[str, object] = {
            "id": self.id,
            "ts": timestamp(self.at),
            "schema": SCHEMA,
            "key_id": self.key_id,
            "session": self.session,
            "endpoint": self.endpoint,
            "mode": self.mode,
            "model_requested": self.model_requested,
            "catalog_sha": self.catalog_sha,
            "predictor_sha": self.predictor_sha,
            "stream": self.stream,
            "tags": list(self.tags),
            "prompt_chars": self.prompt_chars,
            "prompt_sha256": self.prompt_sha256,
            "predictor_ms": _rounded(self.predictor_ms, 3),
            "router_ms": _rounded(self.router_ms, 3),
        }
        if self.request_id is not None:
            entry["request_id"] = self.request_id
        if self.user is not None:
            entry["user"] = self.user
        if self.content is not None:
            entry["content"] = self.content
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a decision, known when its answer has ended."""

    status: Status
    attempts: tuple[Attempt, ...]
    served_by: str | None
    cost: Cost
    usage: Usage | None = None
    finish_reason: str | None = None
    disconnected: bool = False
    error: str | None = None
    ttft_ms: float | None = None
    latency_ms: float = 0.0
    fallback: bool = False  # an earlier choice failed upstream
    answer: object = field(default=None)  # only with HYDRA_LOG_CONTENT=true

    def to_dict(self) -> dict[str, object]:
        return {
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "served_by": self.served_by,
            "status": self.status,
            "finish_reason": self.finish_reason,
            "disconnected": self.disconnected,
            "error": self.error,
            "usage": None if self.usage is None else self.usage.to_dict(),
            **self.cost.to_dict(),
            "ttft_ms": _rounded(self.ttft_ms, 2),
            "latency_ms": round(self.latency_ms, 2),
        }


def record(
    decision: Decision, circumstances: Circumstances, outcome: Outcome | None = None
) -> dict[str, object]:
    """The decision record, JSON-ready; without an outcome it is the dry run's answer."""
    entry = {**circumstances.to_dict(), **decision.to_dict()}
    return entry if outcome is None else completed(entry, outcome)


def completed(begun: Mapping[str, object], outcome: Outcome) -> dict[str, object]:
    """The record of a decision, with what came of it."""
    entry = {**begun, **outcome.to_dict()}
    if outcome.fallback:
        entry["reason"] = "fallback"
    content = begun.get("content")
    if outcome.answer is not None and isinstance(content, dict):
        entry["content"] = {**content, "answer": outcome.answer}
    return entry


def only_adds(begun: Mapping[str, object], outcome: Outcome) -> bool:
    """Whether what came of a decision leaves the fields as they are that were there before."""
    return not outcome.fallback and (outcome.answer is None or "content" not in begun)


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as everywhere in the log.

    >>> timestamp(datetime(2026, 11, 23, 18, 40, 1, 123000, tzinfo=UTC))
    '2026-11-23T18:40:01.123Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _by_dimension(dimensions: Sequence[str], vector: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(dimensions, vector, strict=True)}


_offered = lru_cache(maxsize=1024)(_by_dimension)  # a profile's are in record after record


def _dollars(usd: Decimal | None) -> str | None:
    return None if usd is None else money.to_text(money.rounded(usd))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
