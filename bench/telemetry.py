"""What telling of a request costs: counting it, its log line, its spans. Microseconds of one core.

    python bench/telemetry.py [--requests 20000]

needs the development environment. Lines and spans are made and thrown away: what a disk or a
collector costs is not in it. The last line is JSON.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from log_fixtures import a_record
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from gateway import exposition, request_log
from gateway.metrics import Metrics, merged
from gateway.otel import OpenTelemetry
from gateway.request_log import JsonFormatter, TextFormatter


class Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def microseconds(run: Callable[[], object], times: int) -> float:
    """CPU time of one call, the best of five rounds."""
    rounds = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            run()
        rounds.append((time.process_time() - began) / times * 1e6)
    return round(min(rounds), 1)


def traced(record: dict[str, Any]) -> Callable[[], object]:
    """A request of nothing but its four spans, as the middleware and the exchange make them."""
    otel = OpenTelemetry(traces=("console",), metrics=())
    provider: Any = otel._traces
    provider._active_span_processor._span_processors = (BatchSpanProcessor(Nowhere()),)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        otel.finished(record, {}, "model-a-2026-01-01")

    async def send(message: Any) -> None:
        pass

    wrapped = otel.middleware(app)
    scope = {"type": "http", "path": record["endpoint"], "method": "POST", "scheme": "http"}

    def request() -> None:
        coroutine = wrapped({**scope, "headers": []}, None, send)  # type: ignore[arg-type]
        with contextlib.suppress(StopIteration):
            coroutine.send(None)  # type: ignore[attr-defined]

    return request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    times = parser.parse_args().requests
    record, metrics = a_record(), Metrics()
    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    found = {"counted": microseconds(lambda: metrics.observe(record), times)}
    for name, formatter in (("text line", TextFormatter()), ("JSON line", JsonFormatter())):
        handler.setFormatter(formatter)
        found[name] = microseconds(lambda: request_log.write(record), times)
    found["spans"] = microseconds(traced(record), times // 10)
    for number in range(20):
        metrics.observe({**record, "served_by": f"model-{number}"})
    state = merged([metrics.cells])
    found["scrape, 20 profiles"] = microseconds(lambda: exposition.encoded(state, ""), 3)
    for name, cost in found.items():
        print(f"{name:24} {cost:10.1f} us")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
