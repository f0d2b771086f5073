"""Hull gains of the routers on tables of outcomes, as lines to print and as JSON.

What dev_sets.py and held_out_benchmarks.py have in common: they choose the rows, this shows what
`gateway.evaluation` measures on them. Capabilities and curve are fitted on the other folds.
"""

import argparse
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import predictor
from gateway import catalog
from gateway.evaluation import readings, report
from gateway.evaluation.crossfit import Scale
from gateway.evaluation.evaluation import Options, evaluate
from gateway.evaluation.inputs import World
from gateway.evaluation.outcomes import Table
from gateway.evaluation.resampling import Figure
from gateway.evaluation.ruler import QUOTED
from gateway.predictor_facts import facts
from gateway.settings import Settings

ROOT: Final = Path(__file__).parent.parent
ROUTERS: Final = (
    "threshold",
    "value",
    "value, shipped curve",
    "k-NN",
    "prompt length",
    "random",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of both programs."""
    parser.add_argument(
        "--predictor", type=Path, default=predictor.predictor.SHIPPED, metavar="FOLDER"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "hydra-bench-readings",
        help="folder for readings, one file per predictor (%(default)s)",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A predictor, the scale that its shortfalls are counted on, and where readings are kept."""

    model: predictor.Predictor
    scale: Scale
    cache: Path

    def measure(self, name: str, table: Table) -> dict[str, Any]:
        """Measure every router on the table, print what it gains, answer the same JSON-ready."""
        read = readings.read(self.model, table.texts, self.cache)
        found = report.as_json(evaluate(table, read, self.scale, Options()), {})
        routers = {
            router: {
                "mean": found["routers"][router]["mean_hull_gain"],
                **found["routers"][router]["hull_gain"],
            }
            for router in ROUTERS
        }
        calibration = {
            rule: each["expected_calibration_error"] for rule, each in found["reliability"].items()
        }
        singles = {
            model: [round(point["resolved"][0], 4), round(point["cost_usd"][0], 6)]
            for model, point in found["singles"].items()
        }
        print(f"\n{name}: {len(table)} queries, {table.dropped} left out")
        print("  " + ", ".join(f"{m} {s:.1%} ${usd:.3g}" for m, (s, usd) in singles.items()))
        columns = [*(f"{share:.0%}" for share in QUOTED), "mean"]
        print(f"  {'hull gain, points':22}" + "".join(f"{column:>22}" for column in columns))
        for router, gains in routers.items():
            shown = [*(gains[f"{share:g}"] for share in QUOTED), gains["mean"]]
            print(f"  {router:22}" + "".join(f"{points(gain):>22}" for gain in shown))
        for rule, error in calibration.items():
            print(f"  ECE of P_m, {rule}: {points(error, sign='')}%", flush=True)
        return {
            "queries": len(table),
            "costs_filled": table.filled,
            "singles": singles,
            "quoted_costs_usd": [round(cost, 6) for cost in found["quoted_costs_usd"]],
            "hull_gain": routers,
            "expected_calibration_error": calibration,
            "alpha": round(found["alpha"], 3),
            "beta": round(found["beta"], 3),
        }


def instrument(options: argparse.Namespace) -> Instrument:
    """Load the predictor of `add_options`.

    The weights are those of profiles/dimensions.yaml. The catalog is read with the shipped
    reference table, since a folder fresh from training has none and no score is used here.
    """
    model = predictor.load(options.predictor)
    reference = predictor.predictor.SHIPPED / catalog.REFERENCE_FILE
    known = catalog.load(
        ROOT / "profiles", replace(facts(model), reference=reference), {}, usable_without_keys=True
    )
    world = World(settings=Settings.from_env({}), catalog=known, predictor=model)
    print(f"predictor {model.version} ({model.sha256[:16]})", flush=True)
    return Instrument(model=model, scale=world.scale(None), cache=options.cache)


def points(figure: Iterable[float | None], sign: str = "+") -> str:
    """A figure as `report.as_json` has it, in points: `+1.2 [-0.3, 2.5]`."""
    value, low, high = (float("nan") if each is None else each for each in figure)
    return report.percent(Figure(value, low, high), sign)


def summary(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The mean gains as the table of docs/evaluation.md: one line a data set."""
    lines = [
        "| mean hull gain | queries | " + " | ".join(ROUTERS) + " |",
        "|---|---:|" + "---:|" * len(ROUTERS),
    ]
    for name, found in measured.items():
        gains = (points(found["hull_gain"][router]["mean"]) for router in ROUTERS)
        lines.append(f"| {name} | {found['queries']} | " + " | ".join(gains) + " |")
    return "\n".join(lines)
