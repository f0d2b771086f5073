"""Metrics as Prometheus reads them: its text format, and OpenMetrics for who asks for it."""

import itertools
from collections.abc import Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gateway import metric_table
from gateway.metric_table import METRICS
from gateway.metrics import Cells, State

_NAMES = frozenset(metric.name for metric in METRICS)


class _Families(Collector):
    """A state as the library's encoders take it."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        return [_family(metric, self._state.get(metric.name, {})) for metric in METRICS]


def encoded(state: State, accept: str) -> tuple[bytes, str]:
    """The body and its content type, in the format that an Accept header prefers."""
    encode, content_type = choose_encoder(accept)
    return encode(_Families(state)), content_type


def process_state(collector: ProcessCollector) -> dict[str, Cells]:
    """What the system says of this process; empty where it has no /proc."""
    return {
        sample.name: {(): [sample.value]}
        for family in collector.collect()
        for sample in family.samples
        if sample.name in _NAMES
    }


def _family(metric: metric_table.Metric, cells: Cells) -> Metric:
    if not cells and not metric.labels and metric.kind != "gauge":
        cells = {(): metric.new_cell()}  # a zero, so that the first event is seen as a rise
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
        for labels, cell in sorted(cells.items()):
            counts = itertools.accumulate(cell[:-1])
            histogram.add_metric(labels, list(zip(bounds, counts, strict=True)), cell[-1])
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, cell in sorted(cells.items()):
        family.add_metric(labels, cell[0])
    return family
