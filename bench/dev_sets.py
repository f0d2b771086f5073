"""Hull gain of a predictor on the outcome files that nothing was trained on, and on two mixtures.

DATA holds outcomes/dev/*.jsonl.gz and prompts/*.jsonl.gz; pools, renames and unit prices are those
of docs/evaluation.md. To be run once per shipped predictor: who looks twice begins to choose.

"easy" is a fixed mixture: half easy general requests, drawn evenly from four prompt files, half the
rows of the mixture of SWE-bench and lineage-bench. Three things of its easy half are assumptions:
every model solves such a request; its answer is as long as ANSWER_TOKENS says; its prompt has a
token per four bytes. List prices then give its cost. It says what easy traffic does to the figures
of hard traffic, not how models do on chat.

Last line: JSON, gains as shares with their 95% intervals.

    python bench/dev_sets.py DATA [--predictor FOLDER] [--cache FOLDER] [--sets swebench_v1,easy]
"""

import argparse
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hull_gains import add_options, instrument, summary

from gateway.evaluation import outcomes
from gateway.evaluation.outcomes import Row, Table

SWEBENCH: Final = "swebench_verified_django"
LINEAGE: Final = "lineage_bench_2025h2"
LIVECODEBENCH: Final = "livecodebench_2024_09_on"
SEED: Final = 0

V1: Final = [
    "v1/gpt-5-mini-medium-reasoning",
    "v1/gpt-5-medium-reasoning",
    "v1/gpt-5.2-high-reasoning",
    "v1/claude-4.5-sonnet",
    "v1/claude-4.5-opus-medium",
]
V2: Final = [
    "v2/gpt-5-mini",
    "v2/kimi-k2.5-high-reasoning",
    "v2/claude-4.5-haiku-high-reasoning",
    "v2/gpt-5-2-high-reasoning",
    "v2/claude-4.5-opus-high-reasoning",
]
LINEAGE_POOL: Final = [
    "gpt-5-nano_medium",
    "gpt-5-mini_medium",
    "claude-haiku-4.5",
    "gpt-5.1_medium",
    "gemini-3-pro-preview",
]
# LiveCodeBench records no costs: dollars per million output tokens stand in.
UNIT_COSTS: Final = {
    "GPT-4O-mini-2024-07-18": 0.6,
    "DeepSeek-V3": 1.1,
    "O3-Mini-2025-01-31 (Low)": 4.4,
    "Gemini-2.5-Pro": 10.0,
    "Claude-3.5-Sonnet-20241022": 15.0,
}
# The names in SWE-bench of the models that both files of the mixture have.
SHARED: Final = {
    "v1/gpt-5-mini-medium-reasoning": "gpt-5-mini_medium",
    "v1/gpt-5-medium-reasoning": "gpt-5_medium",
    "v1/gemini-3-pro-preview": "gemini-3-pro-preview",
    "v1/claude-4.5-sonnet": "claude-sonnet-4.5",
    "v1/claude-4.5-opus-medium": "claude-opus-4.5_medium",
}
# List prices of those five, dollars per million tokens in and out.
PRICES: Final = {
    "gpt-5-mini_medium": (0.25, 2.0),
    "gpt-5_medium": (1.25, 10.0),
    "gemini-3-pro-preview": (2.0, 12.0),
    "claude-sonnet-4.5": (3.0, 15.0),
    "claude-opus-4.5_medium": (5.0, 25.0),
}
# Median tokens of an answer, by source. Assumed, not measured (the files have prompts only): some
# paragraphs to a chat opening, a short paragraph to a bank's customer, a sentence to small talk, a
# sentence or two to a question of fact. Reasoning tokens are not counted.
ANSWER_TOKENS: Final = {"oasst1_en": 250, "banking77": 120, "chatterbot_corpus": 40, "multiq": 80}
BYTES_PER_TOKEN: Final = 4


def hard_mixture(data: Path) -> list[Row]:
    """Half SWE-bench (scaffold v1), half lineage-bench, under the names that they share."""
    files = [_outcomes(data, SWEBENCH), _outcomes(data, LINEAGE)]
    return outcomes.renamed(outcomes.mixed(files, [0.5, 0.5], SEED), SHARED)


def easy_mixture(data: Path) -> list[Row]:
    """Half of it the hard mixture, an eighth each of the four files of easy requests."""
    files = [hard_mixture(data), *(easy_rows(data, source) for source in ANSWER_TOKENS)]
    return outcomes.mixed(files, [0.5] + [0.5 / len(ANSWER_TOKENS)] * len(ANSWER_TOKENS), SEED)


def easy_rows(data: Path, source: str) -> list[Row]:
    """The general requests of a prompt file: solved by every model, at its list price."""
    texts = set()
    with gzip.open(data / "prompts" / f"{source}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            # oasst1_en is unlabelled ("mixed"); chatterbot_corpus has some lines about code
            if source != "chatterbot_corpus" or fields["dimension_hint"] == "general":
                texts.add(str(fields["prompt"]))
    return [
        Row(
            text=text,
            benchmark=source,
            outcomes=dict.fromkeys(PRICES, 1.0),
            cost_usd={model: _usd(text, source, *price) for model, price in PRICES.items()},
        )
        for text in sorted(texts)
    ]


def _usd(text: str, source: str, input_usd_per_mtok: float, output_usd_per_mtok: float) -> float:
    prompt_tokens = max(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN, 1.0)
    answer_tokens = ANSWER_TOKENS[source]
    return (prompt_tokens * input_usd_per_mtok + answer_tokens * output_usd_per_mtok) / 1e6


def _outcomes(data: Path, name: str) -> list[Row]:
    return outcomes.read(data / "outcomes" / "dev" / f"{name}.jsonl.gz")


SETS: Final[dict[str, Callable[[Path], Table]]] = {
    "swebench_v1": lambda data: outcomes.table(_outcomes(data, SWEBENCH), V1, {}),
    "swebench_v2": lambda data: outcomes.table(_outcomes(data, SWEBENCH), V2, {}),
    "lineage": lambda data: outcomes.table(_outcomes(data, LINEAGE), LINEAGE_POOL, {}),
    "livecodebench": lambda data: outcomes.table(
        _outcomes(data, LIVECODEBENCH), list(UNIT_COSTS), UNIT_COSTS
    ),
    "mixture": lambda data: outcomes.table(hard_mixture(data), list(PRICES), {}),
    "easy": lambda data: outcomes.table(easy_mixture(data), list(PRICES), {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--sets", default=",".join(SETS), help="which of them (%(default)s)")
    add_options(parser)
    options = parser.parse_args()
    chosen = options.sets.split(",")
    if unknown := set(chosen) - set(SETS):
        parser.error(f"no set is named {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    tool = instrument(options)
    measured = {name: tool.measure(name, SETS[name](options.data)) for name in chosen}
    print(f"\n{summary(measured)}\n")
    about = {"version": tool.model.version, "predictor_sha": tool.model.sha256[:16]}
    print(json.dumps({"bench": "dev_sets", **about, "sets": measured}))


if __name__ == "__main__":
    main()
