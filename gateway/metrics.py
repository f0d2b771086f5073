"""What the gateway counts: the cells that a finished request adds to.

Plain numbers in the memory of one process, touched by its event loop alone: adding costs a lookup
and an addition, no lock. Which there are is metric_table.py, how they are shown is exposition.py,
how those of several processes become one is worker_metrics.py.
"""

import operator
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from gateway.failure import outcome
from gateway.metric_table import ANSWER_S, FIRST_TOKEN_S, KINDS, METRICS, ROUTER_S, Across

# Label values -> numbers: one, or a histogram's counts by bucket, the last without bound, and sum.
Cells = dict[tuple[str, ...], list[float]]
State = Mapping[str, Cells]

NONE: Final = "none"  # the label of what a request does not have


class Metrics:
    """The numbers of one process. `cells` holds those that requests add to, by metric."""

    def __init__(self) -> None:
        self.cells: dict[str, Cells] = {
            metric.name: defaultdict(metric.new_cell) for metric in METRICS
        }
        cells = self.cells
        self._requests = cells["hydra_requests_total"]
        self._refused = cells["hydra_refused_requests_total"]
        self._duration = partial(_observe, cells["hydra_request_duration_seconds"], ANSWER_S)
        self._first_token = partial(
            _observe, cells["hydra_time_to_first_token_seconds"], FIRST_TOKEN_S
        )
        self._router = partial(_observe, cells["hydra_router_duration_seconds"], ROUTER_S)
        self._predictor = partial(_observe, cells["hydra_predictor_duration_seconds"], ROUTER_S)
        self._tokens = cells["hydra_tokens_total"]
        self._cost = cells["hydra_cost_usd_total"]
        self._baseline = cells["hydra_baseline_cost_usd_total"]
        self._savings = cells["hydra_savings_usd_total"]
        self._extra = cells["hydra_extra_cost_usd_total"]
        self._unknown = cells["hydra_unknown_cost_requests_total"]
        self._attempts = cells["hydra_upstream_attempts_total"]
        self._fallbacks = cells["hydra_fallbacks_total"]

    def observe(self, record: Mapping[str, Any]) -> None:
        """Add a finished record (DESIGN.md section 5)."""
        profile = record["served_by"] or NONE
        endpoint, reason = record["endpoint"], record["reason"]
        mode = record["mode"] or NONE
        self._requests[endpoint, record["pool"], mode, profile, reason, record["status"]][0] += 1
        self._duration((endpoint, profile), record["latency_ms"])
        if record["stream"] and record["ttft_ms"] is not None:
            self._first_token((profile,), record["ttft_ms"])
        if record["predictor_ms"] is not None:
            self._router((), record["router_ms"])
            self._predictor((), record["predictor_ms"])
        for attempt in record["attempts"]:
            self._attempts[attempt["model"], outcome(attempt["status"])][0] += 1
        if reason == "fallback":
            self._fallbacks[record["chosen"],][0] += 1
        usage = record["usage"]
        if usage is not None:
            for kind in KINDS:
                if usage[kind]:
                    self._tokens[profile, kind][0] += usage[kind]
        self._observe_cost((profile,), record)

    def _observe_cost(self, labels: tuple[str], record: Mapping[str, Any]) -> None:
        if record["cost_usd"] is None:
            self._unknown[labels][0] += 1
        else:
            self._cost[labels][0] += float(record["cost_usd"])
        if record["baseline_cost_usd"] is not None:
            self._baseline[labels][0] += float(record["baseline_cost_usd"])
        if record["savings_usd"] is not None:
            savings = float(record["savings_usd"])
            if savings >= 0:
                self._savings[labels][0] += savings
            else:
                self._extra[labels][0] -= savings

    def refused(self, endpoint: str, status: int) -> None:
        """Count an error that no record tells of."""
        self._refused[endpoint, str(status)][0] += 1


def _observe(
    cells: Cells, buckets: tuple[float, ...], labels: tuple[str, ...], milliseconds: float
) -> None:
    seconds = milliseconds / 1000
    cell = cells[labels]
    cell[bisect_left(buckets, seconds)] += 1
    cell[-1] += seconds


_ACROSS: Final[Mapping[Across, Callable[[float, float], float]]] = {
    "sum": operator.add,
    "min": min,
    "max": max,
}
_COMBINE: Final = {metric.name: _ACROSS[metric.across] for metric in METRICS}


def merged(states: Iterable[State]) -> State:
    """One state of several processes'."""
    whole: dict[str, Cells] = {}
    for state in states:
        for name, cells in state.items():
            combine = _COMBINE[name]
            into = whole.setdefault(name, {})
            for labels, cell in cells.items():
                known = into.get(labels)
                into[labels] = list(map(combine, known, cell)) if known else list(cell)
    return whole
