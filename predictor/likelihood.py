"""The router's likelihood as a training loss: requirements and capabilities on one scale.

P(model m solves q) = sigmoid(alpha_d - beta_d * shortfall(r(q), c_m)), DESIGN's rule for benchmark
d, with a soft hinge so that no gradient is zero. Capabilities are free parameters, one vector for
each name of a model, so a model that stands in two files ties their scales together; requirements
come from the encoder. What this teaches is where models diverge: a query that all solve, or none,
moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

WIDTH = 0.45  # nominal band width while training; the real bands are measured afterwards
SHARPNESS = 12.0  # of the hinge: it bends over a twelfth of a band width
_MIDDLE = 0.45  # where capabilities begin
_STRENGTH_SD, _DIFFERENCE_SD = 0.45, 0.2  # priors on a model's mean and on its dimensions' spread
_ALPHA, _BETA = 2.0, 8.0  # where the curve begins: 88% are solved without a shortfall
_ALPHA_SD, _LOG_BETA_SD = 0.7, 0.4  # how far a benchmark's own curve goes from the common one

# Heads that the outcomes of a benchmark may move, by its dimension hint; the others are held by
# their soft targets. A programming contest says nothing about tool use.
MOVES: Mapping[str, tuple[str, ...]] = {
    "reasoning": ("reasoning",),
    "code_generation": ("code_generation", "reasoning"),
    "debugging": ("debugging", "code_generation", "reasoning"),
    "tool_use": ("tool_use", "reasoning"),
    "general": ("reasoning",),
}


class Likelihood(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Capabilities of `models` and the curves of `benchmarks`, with the loss of outcomes."""

    def __init__(
        self,
        models: Sequence[str],
        benchmarks: Mapping[str, str],
        dimensions: Sequence[str],
    ) -> None:
        """Args: benchmarks, name -> dimension hint."""
        super().__init__()
        self.models, self.benchmarks = tuple(models), tuple(benchmarks)
        self.strength = torch.nn.Parameter(torch.full((len(models), 1), _MIDDLE))
        self.difference = torch.nn.Parameter(torch.zeros(len(models), len(dimensions)))
        self.alpha = torch.nn.Parameter(torch.tensor(_ALPHA))
        self.log_beta = torch.nn.Parameter(torch.log(torch.tensor(_BETA)))
        self.own_alpha = torch.nn.Parameter(torch.zeros(len(benchmarks)))
        self.own_log_beta = torch.nn.Parameter(torch.zeros(len(benchmarks)))
        moves = [
            [float(name in MOVES.get(hint, dimensions)) for name in dimensions]
            for hint in benchmarks.values()
        ]
        self.register_buffer("moves", torch.tensor(moves))  # (benchmarks, K)

    def capabilities(self) -> torch.Tensor:
        """(models, K); a little outside [0, 1] where no query is easy or hard enough to tell."""
        found: torch.Tensor = self.strength + self.difference
        return found

    def chances(
        self, requirements: torch.Tensor, benchmark: torch.Tensor, model: torch.Tensor
    ) -> torch.Tensor:
        """Logits of P(solved), (b, m), for requirements (b, K), benchmark (b,), model (b, m)."""
        moves = self.moves[benchmark]  # (b, K)
        needed = requirements * moves + requirements.detach() * (1 - moves)
        gap = (needed[:, None] - self.capabilities()[model]) / WIDTH  # (b, m, K)
        short = torch.nn.functional.softplus(gap * SHARPNESS).mean(-1) / SHARPNESS  # (b, m)
        alpha = self.alpha + self.own_alpha[benchmark]
        beta = torch.exp(self.log_beta + self.own_log_beta[benchmark])
        logits: torch.Tensor = alpha[:, None] - beta[:, None] * short
        return logits

    def loss(
        self,
        requirements: torch.Tensor,
        benchmark: torch.Tensor,
        model: torch.Tensor,
        score: torch.Tensor,
        seen: torch.Tensor,
    ) -> torch.Tensor:
        """Negative log-likelihood per outcome of each query, (b,); seen (b, m) is 1 where run."""
        logits = self.chances(requirements, benchmark, model)
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, score, reduction="none"
        )  # (b, m)
        mean: torch.Tensor = (each * seen).sum(1) / seen.sum(1)
        return mean

    def prior(self) -> torch.Tensor:
        """Negative log prior of what is fitted, up to a constant."""
        found: torch.Tensor = (
            ((self.strength - _MIDDLE) / _STRENGTH_SD).square().sum()
            + (self.difference / _DIFFERENCE_SD).square().sum()
            + (self.own_alpha / _ALPHA_SD).square().sum()
            + (self.own_log_beta / _LOG_BETA_SD).square().sum()
        ) / 2
        return found
