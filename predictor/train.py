"""`python -m predictor.train`: fits the whole encoder and the heads to outcomes and soft targets.

Starts from the student that `predictor.distill` left in the work folder, or from `--base`: a
predictor's folder, a local folder or hub name of a ModernBERT. Writes trained.pt and likelihood.pt
(the models' capabilities); checkpoints every four minutes, for --resume. The loss has four parts:

- outcomes: the router's own likelihood (`likelihood.py`), for queries that many models tried;
- soft targets (`labels.py`): binary cross-entropy of each head, for what has only priors;
- kind: a margin by which a request's own head stands above the others, and a bound that easy chat
  stays under;
- sameness: the distance between a request and its translation or its perturbed self.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from predictor import loop
from predictor.architecture import Student, batch_of, fast_products
from predictor.bases import is_predictor, open_base, open_work, save_layout
from predictor.batches import GENERAL, Batch, Batches, kind_of, outcome_rows
from predictor.corpus import read_outcomes, read_prompts
from predictor.examples import Example, draw_weights, examples
from predictor.labels import DIMENSIONS
from predictor.likelihood import Likelihood
from predictor.loop import Group
from predictor.tokens import TokenEncoder

MAX_TOKENS = 512  # as in serving
EMBEDDING_RATE, RATE, HEAD_RATE, CAPABILITY_RATE = 2e-4, 4e-4, 2e-3, 2e-2
WARM_UP = 40  # steps
# Weights of the parts of the loss; the soft targets' is 1.
OUTCOMES, KIND, CHAT, SAMENESS, PRIOR = 1.0, 0.3, 0.2, 1.0, 2e-5
MARGIN = 0.7  # of logits: a request's own head over the others
CHAT_BOUND = 0.15  # a head of easy chat above this costs extra


def predict(student: Student, ids: Sequence[list[int]], *, batch: int = 64) -> NDArray[np.float32]:
    """Requirements of tokenised texts, shape (n, K)."""
    student.eval()
    device = student.heads.weight.device.type
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = np.zeros((len(ids), student.heads.out_features), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            with fast_products(device):
                logits = student.logits(*batch_of([ids[i] for i in part], student.pad, device))
            out[part] = torch.sigmoid(logits.float()).cpu().numpy()
    student.train()
    return out


def loss_of(student: Student, likelihood: Likelihood, batch: Batch) -> torch.Tensor:
    """The loss of one batch, a mean over its rows."""
    with fast_products(batch.tokens.device.type):
        logits = student.logits(batch.tokens, batch.mask)
    logits = logits.float()  # (b, K)
    requirements = torch.sigmoid(logits)
    functional = torch.nn.functional
    soft = functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
    total = (soft * batch.weights).mean()
    labelled = (batch.kinds >= 0) & (batch.kinds < GENERAL)
    if labelled.any():
        own = logits[labelled].gather(1, batch.kinds[labelled, None])  # (l, 1)
        near = (MARGIN - own + logits[labelled]).clamp(min=0).sum(1) - MARGIN  # (l, K) -> (l,)
        total = total + KIND * near.sum() / len(batch)
    chat = requirements[batch.kinds == GENERAL]
    total = total + CHAT * (chat - CHAT_BOUND).clamp(min=0).sum() / len(batch)
    if len(batch.pairs):
        first, second = (requirements[batch.pairs[:, side]] for side in (0, 1))  # (p, K)
        total = total + SAMENESS * (first - second).abs().mean(1).sum() / len(batch)
    if len(batch.outcomes):
        each = likelihood.loss(
            requirements[batch.outcomes], batch.benchmark, batch.model, batch.score, batch.seen
        )
        total = total + OUTCOMES * (each * batch.certainty).sum() / len(batch)
    loss: torch.Tensor = total + PRIOR * likelihood.prior()
    return loss


def likelihood_for(rows: Sequence[Example]) -> Likelihood:
    """One for the models and benchmarks of `rows`, capabilities at the models' mean scores."""
    models, hints = outcome_rows(rows)
    found = Likelihood(list(models), hints, DIMENSIONS)
    total, count = np.zeros(len(models)), np.zeros(len(models))
    for row in rows:
        for model, score in row.scores.items():
            total[models[model]] += score
            count[models[model]] += 1
    mean = torch.from_numpy((total / np.maximum(count, 1)).astype(np.float32))
    found.strength.data += 0.4 * (mean[:, None] - 0.5)  # (models,) -> (models, 1)
    return found


def fit(
    student: Student,
    likelihood: Likelihood,
    batches: Batches,
    work: Path,
    arguments: argparse.Namespace,
) -> dict[str, float]:
    """Trains for `arguments.minutes` and returns what was spent."""
    table, inner = loop.named(student.encoder, "tok_embeddings")
    groups = [
        Group(parameters=table, rate=EMBEDDING_RATE),
        Group(parameters=inner, rate=RATE, decay=0.01, clipped=True),
        Group(parameters=list(student.heads.parameters()), rate=HEAD_RATE),
        Group(parameters=list(likelihood.parameters()), rate=CAPABILITY_RATE),
    ]
    return loop.run(
        [student, likelihood],
        groups,
        batches.forever,
        lambda batch: loss_of(student, likelihood, batch),
        checkpoint=work / "train.checkpoint.pt",
        minutes=arguments.minutes,
        seed=arguments.seed + 1,
        warm_up=WARM_UP,
        resume=arguments.resume,
    )


def held_out_report(
    student: Student, encoder: TokenEncoder, rows: Sequence[Example], *, most: int = 2500
) -> dict[str, object]:
    """On held-out rows, drawn like training: error of each head, right kinds, low chat."""
    places = [row for row in rows if row.held_out and not row.group.startswith("conversation")]
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(places), min(most, len(places)), p=draw_weights(places))
    chosen = [places[i] for i in drawn]
    found = predict(student, [encoder.encode(row.text) for row in chosen])  # (n, K)
    gaps = np.abs(found - np.array([row.target for row in chosen])).mean(0)  # (n, K) -> (K,)
    kinds = np.array([kind_of(row.dimension) for row in chosen])
    right = {
        name: round(float((found[kinds == k].argmax(1) == k).mean()), 3)
        for k, name in enumerate(DIMENSIONS)
        if (kinds == k).any()
    }
    chat = found[kinds == GENERAL].max(1)
    return {
        "error": {n: round(float(gap), 4) for n, gap in zip(DIMENSIONS, gaps, strict=True)},
        "right_head": right,
        "low_chat": round(float((chat < 0.25).mean()), 3) if len(chat) else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m predictor.train", description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder of prompt files")
    parser.add_argument("--outcomes", type=Path, required=True, help="folder of outcome files")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--base", help="what to start from: a predictor's folder, a local folder "
                        "or hub name of a ModernBERT (default: WORK's student)")  # fmt: skip
    parser.add_argument("--layers", default="", help="layers of a predictor's folder to keep, as "
                        "in 0,1,3,5 (default: all)")  # fmt: skip
    parser.add_argument("--leave-out", action="append", default=[], metavar="NAME", help="a "
                        "benchmark or prompt source to leave out; may be repeated")  # fmt: skip
    loop.add_arguments(parser, minutes=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    if arguments.base:
        layers = [int(layer) for layer in arguments.layers.split(",") if layer]
        student = open_base(arguments.base, work, len(DIMENSIONS), layers)
    else:
        student = open_work(work, len(DIMENSIONS), "student.pt")
    left_out = set(arguments.leave_out)
    prompts = [p for p in read_prompts(arguments.prompts) if p.source not in left_out]
    outcomes = [o for o in read_outcomes(arguments.outcomes) if o.benchmark not in left_out]
    rows = examples(prompts, outcomes, seed=arguments.seed)
    if not is_predictor(arguments.base):  # fresh heads start from the mean target
        start = torch.tensor([row.target for row in rows]).mean(0).clamp(0.01, 0.99)  # -> (K,)
        student.heads.bias.data.copy_(torch.logit(start))
    student.to(arguments.device)
    encoder = TokenEncoder(work / "tokenizer.json", MAX_TOKENS)
    likelihood = likelihood_for(rows).to(arguments.device)
    batches = Batches(
        rows,
        prompts,
        encoder,
        {name: i for i, name in enumerate(likelihood.models)},
        {name: i for i, name in enumerate(likelihood.benchmarks)},
        pad=student.pad,
        device=arguments.device,
    )
    spent = fit(student, likelihood, batches, work, arguments)
    student.to("cpu")
    likelihood.to("cpu")
    torch.save(student.state_dict(), work / "trained.pt")
    torch.save(
        {
            "models": likelihood.models,
            "capabilities": likelihood.capabilities().detach(),
            "state": likelihood.state_dict(),
        },
        work / "likelihood.pt",
    )
    save_layout(student, work)
    print(json.dumps(spent | held_out_report(student, encoder, rows)))


if __name__ == "__main__":
    main()
