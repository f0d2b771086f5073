"""The one place that a finished request is told to: metrics, the log line, the trace.

And what the gateway says of itself when it is scraped. Deciding what a number means is metrics.py.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.process_collector import ProcessCollector

from gateway import __version__, exposition, protocols, request_log
from gateway.decision_log import DecisionLog
from gateway.live_catalog import LiveCatalog
from gateway.metrics import Cells, Metrics, State, merged
from gateway.worker_metrics import WorkerMetrics

if TYPE_CHECKING:
    from gateway.otel import OpenTelemetry

OTHER: Final = "other"
_PATHS: Final = frozenset(protocol.path for protocol in protocols.SERVED)


class Telemetry:
    """Use from the event loop. `folder`: where several workers share their metrics."""

    def __init__(
        self,
        *,
        log: DecisionLog,
        catalog: LiveCatalog,
        predictor_answers: Callable[[], bool],
        folder: Path | None = None,
        otel: "OpenTelemetry | None" = None,
    ) -> None:
        self._log = log
        self._catalog = catalog
        self._predictor_answers = predictor_answers
        self._metrics = Metrics()
        self._otel = otel
        self._process = ProcessCollector(registry=None)
        self._workers = None if folder is None else WorkerMetrics(folder)

    def finished(self, record: Mapping[str, Any], response_model: str | None) -> None:
        """A request is over and its record complete; `response_model` is the provider's name of the
        model that answered. Call it in the task of the request, or one that it started."""
        self._metrics.observe(record)
        request_log.write(record)
        if self._otel is not None:
            self._otel.finished(record, self._catalog.current.profiles, response_model)

    def refused(self, path: str, status: int) -> None:
        """A request was answered with an error that no record tells of."""
        self._metrics.refused(path if path in _PATHS else OTHER, status)

    def state(self) -> State:
        """Every metric there is, of all workers."""
        others = [] if self._workers is None else self._workers.others()
        return merged([*self._own(), *others])

    @contextlib.asynccontextmanager
    async def sharing(self) -> AsyncIterator[None]:
        """Tell the other workers, while the block runs, and once more at its end."""
        if self._workers is None:
            yield
            return
        keeping = asyncio.create_task(self._workers.keep(lambda: merged(self._own())))
        try:
            yield
        finally:
            keeping.cancel()
            self._workers.write(merged(self._own()))

    def _own(self) -> list[State]:
        return [self._metrics.cells, self._live(), exposition.process_state(self._process)]

    def _live(self) -> dict[str, Cells]:
        """What is read off when it is asked for."""
        log = self._log.status()
        values = {
            "hydra_in_flight_requests": log.running,
            "hydra_log_pending_records": log.pending,
            "hydra_redis_up": log.redis_reachable,
            "hydra_spool_bytes": log.spool_bytes,
            "hydra_spool_writable": log.spool_writable,
            "hydra_predictor_up": self._predictor_answers(),
            "hydra_catalog_refusals_total": self._catalog.refusals,
            "hydra_workers": 1,
        }
        return {
            **{name: {(): [float(value)]} for name, value in values.items()},
            "hydra_catalog_info": {(self._catalog.current.sha,): [1.0]},
            "hydra_build_info": {(__version__,): [1.0]},
        }
