"""How long a prediction takes, by length: one thread, no padding, every text new.

Words of docs/why.md, drawn with a fixed seed until they are about the wanted number of tokens;
tokenization is part of the time. Last line: JSON with p50, p99 (ms) and peak memory (MB).

    python bench/predictor_latency.py [--repeats 200]
"""

import argparse
import json
import random
import resource
import time
from pathlib import Path

import predictor
from predictor.render import render

WORDS = (Path(__file__).parent.parent / "docs/why.md").read_text(encoding="utf-8").split()
LENGTHS = (16, 64, 128, 256, 512)


def text_of(words: int, seed: int) -> str:
    chosen = random.Random(seed).choices(WORDS, k=words)
    return render([{"role": "user", "content": " ".join(chosen)}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    model = predictor.load()
    result: dict[str, object] = {}
    for length in LENGTHS:
        texts = [text_of(int(length / 1.6), seed) for seed in range(repeats)]
        for text in texts[:5]:
            model.predict(text)
        times = []
        for text in texts:
            started = time.perf_counter()
            model.predict(text)
            times.append((time.perf_counter() - started) * 1000)
        times.sort()
        p50, p99 = times[repeats // 2], times[int(repeats * 0.99)]
        result[str(length)] = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        print(f"about {length:3} tokens   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory of this process {peak_mb} MB")
    print(json.dumps({"bench": "predictor_latency", **result, "peak_rss_mb": peak_mb}))


if __name__ == "__main__":
    main()
