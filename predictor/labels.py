"""From hints and outcomes to soft targets: how much of each dimension a prompt needs, in [0, 1].

Training only. Version 1 is plain on purpose. Inside a source, prompts are ordered by what is
known of them (the outcomes of many models, else the source's difficulty hint), and the source as
a whole is placed on one common scale by the table below: grade-school maths near .3 reasoning,
olympiads near .9, a greeting near .05. The scale is a judgement, the order is data. DIMENSIONS is
the vector order of whatever is trained; other code takes it from here or from meta.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from predictor.corpus import Outcome, Prompt

DIMENSIONS = ("reasoning", "code_generation", "debugging", "tool_use")

Range = tuple[float, float]

# Source -> the range of targets on its own dimension, easiest and hardest prompt of that source.
RANGES: Mapping[str, Range] = {
    # reasoning
    "cmath": (0.15, 0.36),
    "svamp": (0.20, 0.26),
    "msvamp": (0.20, 0.26),
    "xcopa": (0.14, 0.14),
    "gsm8k": (0.26, 0.50),
    "prontoqa": (0.42, 0.42),
    "aqua_rat": (0.48, 0.48),
    "proofwriter": (0.48, 0.52),
    "tal_scq5k": (0.28, 0.62),
    "math_hendrycks": (0.36, 0.82),
    "agieval": (0.35, 0.72),
    "gaokao_bench": (0.35, 0.72),
    "mmlu": (0.25, 0.62),
    "theoremqa": (0.76, 0.76),
    "olympiadbench": (0.92, 0.92),
    "reasoning_gym": (0.20, 0.80),
    "reasoning_puzzles_parallel": (0.12, 0.72),
    "math_formulas_parallel": (0.08, 0.90),
    "mt_bench_multilingual": (0.35, 0.55),
    "reasoning_gym_easy": (0.15, 0.70),
    "reasoning_gym_hard": (0.30, 0.90),
    "mmlu_pro_2024": (0.28, 0.80),
    "kor_bench_2024": (0.40, 0.92),
    "zeroeval_crux": (0.30, 0.70),
    "zeroeval_math_l5": (0.50, 0.94),
    "misguided_attention": (0.30, 0.75),
    # code generation
    "chatterbot_corpus": (0.30, 0.36),
    "self_instruct_seed": (0.30, 0.36),
    "mbxp": (0.32, 0.32),
    "humaneval_xl": (0.40, 0.40),
    "mhumaneval": (0.40, 0.40),
    "humanevalpack_synthesize": (0.40, 0.40),
    "sql_eval": (0.35, 0.55),
    "exercism": (0.32, 0.70),
    "bigcodebench": (0.58, 0.58),
    "classeval": (0.66, 0.66),
    "spider2": (0.80, 0.88),
    "livecodebench_to_2024_06": (0.45, 0.95),
    # debugging
    "error_messages_parallel": (0.36, 0.82),
    "humanevalfix_parallel": (0.44, 0.52),
    "debugbench": (0.42, 0.75),
    "condefects": (0.42, 0.92),
    "swebench_pro": (0.65, 0.95),
    # tool use
    "home_assistant_intents": (0.28, 0.32),
    "snips": (0.32, 0.32),
    "slurp": (0.30, 0.34),
    "clinc150": (0.32, 0.36),
    "functionchat_bench": (0.34, 0.42),
    "api_bank": (0.40, 0.52),
    "acebench": (0.34, 0.74),
    "agentbench": (0.50, 0.60),
    "metatool": (0.38, 0.54),
    "tool_requests_parallel": (0.32, 0.90),
    "taskbench": (0.36, 0.72),
    "seal_tools": (0.34, 0.72),
    "restbench": (0.42, 0.66),
    "toolalpaca_eval": (0.46, 0.46),
    "tooleyes": (0.48, 0.48),
    "tooltalk": (0.42, 0.54),
    "toolqa": (0.50, 0.68),
    "stabletoolbench": (0.50, 0.76),
    "workbench": (0.44, 0.82),
    "nestful": (0.58, 0.78),
    "livemcpbench": (0.60, 0.80),
    "webarena": (0.66, 0.70),
    "mcp_bench": (0.86, 0.96),
    "bfcl_v1_2024_08": (0.30, 0.72),
    "terminal_bench_core": (0.62, 0.95),
}
DEFAULT_RANGE: Range = (0.30, 0.70)  # a source of the user's own
GENERAL_RANGE: Range = (0.03, 0.16)  # of reasoning, over difficulty hints 0 to 0.7
GENERAL_FLOOR = 0.03

# What a prompt of one dimension needs of the others: (offset, slope) over its own target.
# Code wants some reasoning, debugging some code and reasoning, plans of many calls reasoning.
SIDE: Mapping[str, Mapping[str, Range]] = {
    "reasoning": {"code_generation": (0.02, 0.04), "debugging": (0.02, 0.0), "tool_use": (0.03, 0)},
    "code_generation": {
        "reasoning": (0.06, 0.60),
        "debugging": (0.05, 0.20),
        "tool_use": (0.03, 0),
    },
    "debugging": {
        "reasoning": (0.08, 0.50),
        "code_generation": (0.10, 0.50),
        "tool_use": (0.04, 0),
    },
    "tool_use": {"reasoning": (0.02, 0.36), "code_generation": (0.03, 0), "debugging": (0.02, 0)},
}
# Sources that differ from that.
SIDE_OF_SOURCE: Mapping[str, Mapping[str, Range]] = {
    "zeroeval_crux": {"code_generation": (0.15, 0.1), "debugging": (0.15, 0.1)},  # traces a program
    "agentbench": {"code_generation": (0.25, 0.0)},  # shell and SQL
    "terminal_bench_core": {"code_generation": (0.2, 0.4), "debugging": (0.1, 0.3)},
    "swebench_pro": {"tool_use": (0.25, 0.0)},  # work in a repository
}

_ABILITY_STEPS = 40
_PRIOR = 0.5  # precision of the normal priors: two models say little about one query


def item_difficulty(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How hard each query is, in [0, 1]: a Rasch model fitted by damped Newton steps.

    P(m solves q) = sigmoid(ability_m - difficulty_q), normal priors on both. It debiases a mean
    over whichever models happened to be run, and shrinks queries that few models saw.

    Args: scores (queries, models) in [0, 1], NaN where a model was not run.
    Returns: (queries,), 1 minus the chance that the average model solves it.
    Source: Rasch 1960; the same likelihood as routing's P(solved), with one dimension.
    """
    seen = ~np.isnan(scores)
    solved = np.where(seen, scores, 0.0)
    ability = np.zeros(scores.shape[1])
    difficulty = np.zeros(scores.shape[0])
    for _ in range(_ABILITY_STEPS):
        chance = _sigmoid(ability[None] - difficulty[:, None])  # (queries, models)
        gap, curve = (solved - chance) * seen, chance * (1 - chance) * seen
        ability += 0.7 * (gap.sum(0) - 0.05 * ability) / (curve.sum(0) + 0.05)
        chance = _sigmoid(ability[None] - difficulty[:, None])
        gap, curve = (solved - chance) * seen, chance * (1 - chance) * seen
        difficulty += 0.7 * (-gap.sum(1) - _PRIOR * difficulty) / (curve.sum(1) + _PRIOR)
    # averaged over the models that were run, so that it reads as a share of models
    solved_share: NDArray[np.float64] = _sigmoid(ability[None] - difficulty[:, None]).mean(1)
    return 1 - solved_share


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def score_matrix(rows: Sequence[Outcome]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Scores (queries, models), NaN where not run, and the models' names."""
    models = tuple(sorted({model for row in rows for model in row.scores}))
    place = {model: column for column, model in enumerate(models)}
    matrix = np.full((len(rows), len(models)), np.nan)
    for line, row in enumerate(rows):
        for model, score in row.scores.items():
            matrix[line, place[model]] = score
    return matrix, models


def prompt_target(
    prompt: Prompt, hints: tuple[float, float], dimensions: Sequence[str] = DIMENSIONS
) -> tuple[float, ...] | None:
    """The soft target (K,) of a prompt; None for unlabelled ones.

    Args: hints (least, largest) difficulty hint of the prompt's source and dimension.
    """
    if prompt.dimension == "general":
        share = min(1.0, (prompt.difficulty or 0.0) / 0.7)
        return general_target(share, dimensions)
    if prompt.dimension not in dimensions:
        return None
    low, high = hints
    spread = high - low
    share = 0.5 if prompt.difficulty is None or not spread else (prompt.difficulty - low) / spread
    return labelled_target(prompt.source, prompt.dimension, share, dimensions)


def general_target(share: float, dimensions: Sequence[str] = DIMENSIONS) -> tuple[float, ...]:
    """Low on all dimensions; a little reasoning with growing `share` in [0, 1]."""
    low, high = GENERAL_RANGE
    return tuple(
        low + (high - low) * share if name == "reasoning" else GENERAL_FLOOR for name in dimensions
    )


def labelled_target(
    source: str, dimension: str, share: float, dimensions: Sequence[str] = DIMENSIONS
) -> tuple[float, ...]:
    """The target of a prompt at `share` in [0, 1] between its source's easiest and hardest.

    >>> labelled_target("gsm8k", "reasoning", 0.0)
    (0.26, 0.0304, 0.02, 0.03)
    """
    low, high = RANGES.get(source, DEFAULT_RANGE)
    return target_at(dimension, low + (high - low) * share, dimensions, source)


def target_at(
    dimension: str, level: float, dimensions: Sequence[str] = DIMENSIONS, source: str = ""
) -> tuple[float, ...]:
    """The target of a prompt whose own dimension stands at `level`, with what goes along."""
    side = {**SIDE[dimension], **SIDE_OF_SOURCE.get(source, {})}
    found = []
    for name in dimensions:
        offset, slope = side.get(name, (GENERAL_FLOOR, 0.0))
        found.append(level if name == dimension else offset + slope * level)
    return tuple(round(value, 4) for value in found)


def hint_ranges(prompts: Iterable[Prompt]) -> dict[tuple[str, str], tuple[float, float]]:
    """(source, dimension) -> its least and largest difficulty hint."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for prompt in prompts:
        if prompt.difficulty is not None:
            key = (prompt.source, prompt.dimension)
            low, high = found.get(key, (prompt.difficulty, prompt.difficulty))
            found[key] = (min(low, prompt.difficulty), max(high, prompt.difficulty))
    return found
