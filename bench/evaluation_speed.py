"""How long an evaluation takes once the predictor has read the queries: 10,000 rows, 40 models.

Outcomes are drawn from known capabilities, so nothing is read from disk. Fitting on five folds,
every baseline and 1,000 resamples are part of it. Last line: JSON, seconds and peak memory (MB).

    python bench/evaluation_speed.py [--rows 10000] [--models 40]
"""

import argparse
import json
import resource
import time

import numpy as np

from gateway.evaluation import rules
from gateway.evaluation.crossfit import Scale
from gateway.evaluation.evaluation import Options, evaluate
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Table
from gateway.evaluation.readings import Readings

SCALE = Scale(
    dimensions=("reasoning", "code_generation", "debugging", "tool_use"),
    weights=(0.25, 0.25, 0.25, 0.25),
    bands=((0.1, 0.9),) * 4,
    curve=Curve(alpha=1.0, beta=5.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=40)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    requirements = rng.uniform(0, 1, (options.rows, 4))
    strength = np.linspace(0.2, 0.8, options.models)[:, None]
    offered = np.clip(strength + rng.normal(0, 0.1, (options.models, 4)), 0, 1)
    gaps = rules.shortfalls(requirements, offered, SCALE.weights, SCALE.bands)
    solved = rng.random(gaps.shape) < rules.chances(gaps, 1.5, 8.0)
    prices = np.geomspace(0.001, 0.5, options.models) * rng.uniform(0.5, 2, options.models)
    table = Table(
        models=tuple(f"model {index:02d}" for index in range(options.models)),
        texts=tuple(f"query {index}" for index in range(options.rows)),
        benchmarks=("drawn",) * options.rows,
        solved=solved.astype(np.float64),
        cost_usd=prices * rng.lognormal(0, 0.5, gaps.shape),
    )
    readings = Readings(
        requirements=requirements,
        states=np.hstack([requirements, rng.normal(0, 0.1, (options.rows, 252))]),
    )
    started = time.perf_counter()
    found = evaluate(table, readings, SCALE, Options())
    seconds = time.perf_counter() - started
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, frontier in found.frontiers.items():
        print(f"{name:24} mean hull gain {100 * frontier.mean_gain.value:+.2f} points")
    print(
        json.dumps(
            {
                "rows": options.rows,
                "models": options.models,
                "seconds": round(seconds, 1),
                "peak_memory_mb": round(memory_mb),
            }
        )
    )


if __name__ == "__main__":
    main()
