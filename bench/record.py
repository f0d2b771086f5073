"""What a decision's record costs on a request's way: made, priced, encoded, appended to the spool.

    python bench/record.py [--requests 1000]

needs the development environment. Runs the gateway's own code on a real spool in a temporary
folder; Redis is away, since nobody waits for it. `begin` is before the provider is called, `end`
after it answered, with the cost; metrics and the log line are bench/telemetry.py's, delivery is
bench/query_million.py's. Microseconds of one core: medians, and the sum in the best of the rounds.
The last line is JSON.
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import predictor
from gateway import catalog, request
from gateway.decision import Usage
from gateway.decision_log import DecisionLog
from gateway.exchange import Exchange
from gateway.identifiers import new_id
from gateway.intake import Intake
from gateway.prediction import Prediction
from gateway.predictor_facts import facts
from gateway.settings import Settings

ROUNDS = 7
USAGE = Usage(prompt=1200, cached=800, completion=300, reasoning=100)


class Silent:
    """Stands where telemetry does, which is measured apart."""

    def finished(self, record: object, response_model: object) -> None:
        pass


async def measure(times: int) -> dict[str, dict[str, float]]:
    model = predictor.load()
    found = catalog.load(
        Settings.from_env({}).catalog_folder, facts(model), {}, usable_without_keys=True
    )
    prediction = Prediction(model, timeout_ms=1000)
    intake = Intake(lambda: found, prediction, default_pool="demo")
    figures: dict[str, dict[str, float]] = {}
    gc.freeze()  # as the gateway does when it has started, and its thresholds
    gc.set_threshold(20_000, 10, 20)
    with tempfile.TemporaryDirectory() as folder:
        async with DecisionLog.open(
            data_dir=Path(folder), redis_url=f"unix://{folder}/nobody"
        ) as log:
            for name in ("gpt-5.4-mini", "auto"):
                messages = [{"role": "user", "content": "Why is the sky blue? " * 20}]
                body = json.dumps({"model": name, "messages": messages}).encode()
                routed = await intake.decide(request.parse(body, {}), key_id="alice")
                begins, ends = [], []
                for _ in range(ROUNDS):
                    begin, end = timed(log, routed, times)
                    begins.append(begin)
                    ends.append(end)
                kind = "routed, five candidates" if name == "auto" else "by name"
                figures[kind] = {
                    "begin": round(statistics.median(begins), 1),
                    "end": round(statistics.median(ends), 1),
                    "best": round(min(map(sum, zip(begins, ends, strict=True))), 1),
                }
    prediction.close()
    return figures


def timed(log: DecisionLog, routed: Any, times: int) -> tuple[float, float]:
    """CPU microseconds of one beginning and of one end."""
    each = [
        replace(routed, circumstances=replace(routed.circumstances, id=new_id()))
        for _ in range(times)
    ]
    silent = cast(Any, Silent())
    started = time.process_time()
    exchanges = [Exchange(one, cast(Any, None), log, silent) for one in each]
    between = time.process_time()
    for exchange in exchanges:
        exchange._served_by, exchange._usage = exchange.serving, USAGE
        exchange.finish("ok")
    ended = time.process_time()
    return (between - started) / times * 1e6, (ended - between) / times * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    figures = asyncio.run(measure(parser.parse_args().requests))
    for kind, found in figures.items():
        print(f"{kind:24s} begin {found['begin']:5.1f} us, end {found['end']:5.1f} us")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
