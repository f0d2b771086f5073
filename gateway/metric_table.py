"""The metrics that there are: one table that feeds the counting, `/metrics` and docs/metrics.md.

Names, units and labels are the public contract of dashboards and alerts; no label takes a value
that a caller could invent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gateway.failure import OUTCOMES

Kind = Literal["counter", "histogram", "gauge"]
Across = Literal["sum", "min", "max"]
KINDS: Final = ("prompt", "cached", "cache_write", "completion", "reasoning")

# Seconds. An answer takes from a tenth of a second (an embedding) to minutes (long reasoning).
ANSWER_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
FIRST_TOKEN_S: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0)
ROUTER_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table. `across`: how the numbers of several workers become one."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = "sum"

    @property
    def unit(self) -> str:
        """The unit that the name says, in words."""
        name = self.name.removesuffix("_total")
        found = [word for word in _UNITS if name.endswith(f"_{word}")]
        return _UNITS[found[0]] if found else ""

    def new_cell(self) -> list[float]:
        """Nothing counted yet."""
        return [0.0] * (len(self.buckets) + 2 if self.kind == "histogram" else 1)


_UNITS: Final[Mapping[str, str]] = {
    "requests": "requests",
    "tokens": "tokens",
    "usd": "dollars",
    "seconds": "seconds",
    "attempts": "calls",
    "fallbacks": "requests",
    "records": "records",
    "bytes": "bytes",
    "refusals": "reloads",
    "workers": "processes",
    "fds": "descriptors",
}

_REQUEST_LABELS: Final = ("endpoint", "pool", "mode", "profile", "reason", "status")

METRICS: Final = (
    Metric(
        name="hydra_requests_total",
        kind="counter",
        labels=_REQUEST_LABELS,
        help="Decided requests whose answer has ended.",
    ),
    Metric(
        name="hydra_refused_requests_total",
        kind="counter",
        labels=("endpoint", "status"),
        help="Requests answered with an error before a decision, or where none is made.",
    ),
    Metric(
        name="hydra_in_flight_requests",
        kind="gauge",
        help="Decided requests whose answer has not ended.",
    ),
    Metric(
        name="hydra_request_duration_seconds",
        kind="histogram",
        labels=("endpoint", "profile"),
        buckets=ANSWER_S,
        help="From the decision to the end of the answer.",
    ),
    Metric(
        name="hydra_time_to_first_token_seconds",
        kind="histogram",
        labels=("profile",),
        buckets=FIRST_TOKEN_S,
        help="From the decision to the first event of a stream; streams only.",
    ),
    Metric(
        name="hydra_router_duration_seconds",
        kind="histogram",
        buckets=ROUTER_S,
        help="Deciding, with the prediction; routed requests only.",
    ),
    Metric(
        name="hydra_predictor_duration_seconds",
        kind="histogram",
        buckets=ROUTER_S,
        help="The prediction alone, also of a text that was remembered; routed requests only.",
    ),
    Metric(
        name="hydra_tokens_total",
        kind="counter",
        labels=("profile", "kind"),
        help="Tokens as providers count them; cached and cache_write are parts of prompt, reasoning"
        " of completion.",
    ),
    Metric(
        name="hydra_cost_usd_total",
        kind="counter",
        labels=("profile",),
        help="Known cost.",
    ),
    Metric(
        name="hydra_baseline_cost_usd_total",
        kind="counter",
        labels=("profile",),
        help="What the baseline would have cost on the same usage.",
    ),
    Metric(
        name="hydra_savings_usd_total",
        kind="counter",
        labels=("profile",),
        help="Saved against the baseline by requests that were cheaper.",
    ),
    Metric(
        name="hydra_extra_cost_usd_total",
        kind="counter",
        labels=("profile",),
        help="Spent beyond the baseline by requests that were dearer; net savings are the"
        " difference.",
    ),
    Metric(
        name="hydra_unknown_cost_requests_total",
        kind="counter",
        labels=("profile",),
        help="Requests in no cost: no price or no usage is known.",
    ),
    Metric(
        name="hydra_upstream_attempts_total",
        kind="counter",
        labels=("profile", "outcome"),
        help="Calls to providers.",
    ),
    Metric(
        name="hydra_fallbacks_total",
        kind="counter",
        labels=("profile",),
        help="Requests whose first choice, the profile, failed and left them to another.",
    ),
    Metric(
        name="hydra_log_pending_records",
        kind="gauge",
        help="Finished records that Redis has not confirmed.",
    ),
    Metric(
        name="hydra_redis_up",
        kind="gauge",
        across="min",
        help="1 while Redis takes records.",
    ),
    Metric(
        name="hydra_spool_bytes",
        kind="gauge",
        across="max",
        help="Size of the spool in the data folder, of all its writers.",
    ),
    Metric(
        name="hydra_spool_writable",
        kind="gauge",
        across="min",
        help="1 while the spool takes records.",
    ),
    Metric(
        name="hydra_predictor_up",
        kind="gauge",
        across="min",
        help="1 while predictions succeed.",
    ),
    Metric(
        name="hydra_catalog_info",
        kind="gauge",
        across="max",
        labels=("sha",),
        help="1 for the running catalog.",
    ),
    Metric(
        name="hydra_catalog_refusals_total",
        kind="counter",
        across="max",
        help="Changed catalogs that were wrong and not taken.",
    ),
    Metric(
        name="hydra_build_info",
        kind="gauge",
        across="max",
        labels=("version",),
        help="1 for the running version.",
    ),
    Metric(name="hydra_workers", kind="gauge", help="Processes that serve."),
    Metric(
        name="process_cpu_seconds_total",
        kind="counter",
        help="CPU time, user and system; Linux only, as those below.",
    ),
    Metric(name="process_resident_memory_bytes", kind="gauge", help="Memory in RAM."),
    Metric(name="process_open_fds", kind="gauge", help="Open file descriptors."),
    Metric(
        name="process_max_fds",
        kind="gauge",
        across="min",
        help="Most file descriptors that one process may open.",
    ),
    Metric(
        name="process_start_time_seconds",
        kind="gauge",
        across="min",
        help="Unix time of the start.",
    ),
)

LABELS: Final[Mapping[str, str]] = {
    "endpoint": "the path of the protocol, such as `/v1/chat/completions`; `other` for other paths",
    "pool": "a pool of the catalog",
    "mode": "`peak`, `iso`, `aggressive`; `none`: a threshold or a profile was asked for",
    "profile": "a profile of the catalog, the one that served; `none`: nobody did",
    "reason": "why that profile ([configuration.md](configuration.md#response-headers))",
    "status": "`ok`, `error`, `aborted`; of refused requests, the HTTP status",
    "kind": ", ".join(f"`{kind}`" for kind in KINDS),
    "outcome": ", ".join(f"`{name}` ({means})" for name, means in OUTCOMES.items()),
    "sha": "of the catalog's files, one at a time",
    "version": "of the gateway, one at a time",
}
"""Where the values of a label come from: none is a caller's to invent."""
