"""Seconds and memory of `hydra-gateway export`, to each format, of a tenth of a log and of all.

Fills an embedded Redis through the gateway's own delivery as query_million.py does, then runs the
command as a person does and asks the system what it took. Memory that grows with the log would show
between the two sizes. Last line: JSON.

    python bench/export_speed.py [--decisions 100000]
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from query_million import BATCH, DAYS, a_record
from redis.asyncio import Redis

from gateway import delivery, spool_files
from gateway.embedded_redis import running
from gateway.export_formats import FORMATS
from gateway.spool_files import Event

ROOT = Path(__file__).parent.parent


async def refill(url: str, decisions: int) -> None:
    """That many decisions and no others, whose numbers differ as real ones do."""
    chance = random.Random(1)
    begin = datetime.now(UTC) - timedelta(days=DAYS)
    redis = Redis.from_url(url, decode_responses=True)  # waits, however busy the machine is
    await redis.config_set("appendonly", "no")
    await redis.flushall()
    for first in range(0, decisions, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, decisions)):
            record = a_record(number, decisions, chance, begin)
            for candidate in record["candidates"]:
                candidate["shortfall"] = round(chance.random(), 6)
                candidate["p_solve"] = round(chance.random(), 4)
                candidate["expected_cost_usd"] = f"0.00{chance.randrange(10**6):06}"
            for dimension in record["requirements"]:
                record["requirements"][dimension] = round(chance.random(), 4)
            for name in ("predictor_ms", "router_ms", "ttft_ms", "latency_ms"):
                record[name] = round(chance.expovariate(1 / record[name]), 2)
            record["prompt_sha256"] = f"{chance.getrandbits(256):064x}"
            text = spool_files.to_json(record)
            batch.append(Event(seq=number + 1, kind="end", id=record["id"], text=text))
        await delivery.deliver(
            redis, "bench", batch, after=first, stream_max_len=2 * decisions, detail_ttl_s=1
        )
    await redis.aclose()


def exported(out: Path, url: str, decisions: int) -> dict[str, Any]:
    """Of one run as a process: starting Python and loading the modules is in it."""
    environ = {**os.environ, "HYDRA_REDIS_URL": url, "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "export", str(out)],
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    assert status == 0
    return {
        "decisions": decisions,
        "format": out.suffix[1:],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "bytes_per_decision": round(out.stat().st_size / decisions),
        "peak_memory_mb": round(usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=100_000)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="hydra-") as name, running(Path(name)) as url:
        for decisions in (options.decisions // 10, options.decisions):
            asyncio.run(refill(url, decisions))
            for format in FORMATS:
                found.append(exported(Path(name) / f"decisions.{format}", url, decisions))
    print("| decisions | format | seconds | of CPU | bytes each | peak memory MB |")
    print("|---|---|---|---|---|---|")
    for row in found:
        cells = (f"{each:,}" if isinstance(each, int) else str(each) for each in row.values())
        print(f"| {' | '.join(cells)} |")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
