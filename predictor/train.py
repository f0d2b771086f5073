"""`python -m predictor.train`: fits the heads and the whole encoder to the soft targets.

Starts from the student of `predictor.distill` (student.pt in the work folder), writes trained.pt
and, every four minutes, a checkpoint that --resume goes on from. Loss: binary cross-entropy of
each head against its soft target; heads are independent, a prompt may need all of them or none.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from predictor.architecture import Student, batch_of, config
from predictor.corpus import read_outcomes, read_prompts
from predictor.examples import Example, draw_weights, examples
from predictor.labels import DIMENSIONS
from predictor.tokens import TokenEncoder

MAX_TOKENS = 192  # serving takes 512: rotary positions and a mean carry over, and time is short
BATCH = 96
EMBEDDING_RATE, RATE, HEAD_RATE = 1e-4, 3e-4, 2e-3
WARM_UP = 40  # steps
CHECKPOINT_S = 240.0
_BUCKETS = 20  # batches drawn at once and sorted by length, so that little is padding


def predict(student: Student, ids: Sequence[list[int]], *, batch: int = 64) -> NDArray[np.float32]:
    """Requirements of tokenised texts, shape (n, K)."""
    student.eval()
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = np.zeros((len(ids), student.heads.out_features), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            with torch.autocast("cpu", torch.bfloat16):
                logits = student.logits(*batch_of([ids[i] for i in part]))
            out[part] = torch.sigmoid(logits.float()).numpy()
    student.train()
    return out


def fit(
    student: Student,
    ids: list[list[int]],
    rows: list[Example],
    work: Path,
    arguments: argparse.Namespace,
) -> dict[str, float]:
    """Trains for `arguments.minutes` and returns what was spent."""
    usable = np.flatnonzero([not row.held_out for row in rows])
    weight = draw_weights([rows[i] for i in usable])
    targets = torch.tensor([row.target for row in rows])  # (n, K)
    table = [student.encoder.embeddings.tok_embeddings.weight]
    inner = [p for name, p in student.encoder.named_parameters() if "tok_embeddings" not in name]
    heads = list(student.heads.parameters())
    rates = (EMBEDDING_RATE, RATE, HEAD_RATE)
    optimizer = torch.optim.AdamW(
        [
            {"params": p, "lr": r, "weight_decay": d}
            for p, r, d in zip((table, inner, heads), rates, (0.0, 0.01, 0.0), strict=True)
        ],
        betas=(0.9, 0.98),
    )
    spent, step, mean = 0.0, 0, float("nan")
    checkpoint = work / "train.checkpoint.pt"
    if arguments.resume and checkpoint.exists():
        saved = torch.load(checkpoint)
        student.load_state_dict(saved["student"])
        optimizer.load_state_dict(saved["optimizer"])
        spent, step = saved["spent"], saved["step"]
    rng = np.random.default_rng(arguments.seed + 1 + step)
    last = saved_at = time.monotonic()
    limit = arguments.minutes * 60
    with tqdm(total=round(limit), initial=round(spent), desc="train (s)", mininterval=20) as bar:
        while spent < limit:
            drawn = rng.choice(usable, BATCH * _BUCKETS, p=weight)
            drawn = drawn[np.argsort([len(ids[i]) for i in drawn], kind="stable")]
            for part in rng.permutation(_BUCKETS):
                chosen = drawn[part * BATCH : (part + 1) * BATCH]
                share = min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - spent / limit)
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * share
                with torch.autocast("cpu", torch.bfloat16):
                    logits = student.logits(*batch_of([ids[i] for i in chosen]))
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    logits.float(), targets[chosen]
                )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(inner, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                mean = loss.item() if mean != mean else 0.98 * mean + 0.02 * loss.item()
                now = time.monotonic()
                bar.update(round(spent + now - last) - round(spent))
                spent, last = spent + now - last, now
                bar.set_postfix(step=step, loss=f"{mean:.4f}", refresh=False)
                if now - saved_at > CHECKPOINT_S:
                    saved_at = now
                    state = {"student": student.state_dict(), "optimizer": optimizer.state_dict()}
                    torch.save(state | {"spent": spent, "step": step}, checkpoint)
                if spent >= limit:
                    break
    return {"steps": step, "seconds": round(spent), "loss": round(mean, 4)}


def held_out_error(student: Student, ids: list[list[int]], rows: list[Example]) -> dict[str, float]:
    """Mean absolute error of each head, drawn like training, on at most 2,000 held-out rows."""
    places = np.flatnonzero([row.held_out for row in rows])
    weight = draw_weights([rows[i] for i in places])
    rng = np.random.default_rng(0)
    chosen = rng.choice(places, min(2000, len(places)), p=weight)
    found = predict(student, [ids[i] for i in chosen])
    gaps = np.abs(found - np.array([rows[i].target for i in chosen])).mean(0)  # (n, K) -> (K,)
    return {name: round(float(gap), 4) for name, gap in zip(DIMENSIONS, gaps, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m predictor.train", description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder of prompt files")
    parser.add_argument("--outcomes", type=Path, required=True, help="folder of outcome files")
    parser.add_argument("--work", type=Path, required=True, help="work folder of predictor.distill")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    work: Path = arguments.work
    rows = examples(
        read_prompts(arguments.prompts), read_outcomes(arguments.outcomes), seed=arguments.seed
    )
    encoder = TokenEncoder(work / "tokenizer.json", MAX_TOKENS)
    ids = encoder.encode_many([row.text for row in rows])
    student = Student(config(encoder.vocabulary_size), len(DIMENSIONS))
    learned = torch.load(work / "student.pt")
    learned = {name: value for name, value in learned.items() if not name.startswith("heads")}
    student.load_state_dict(learned, strict=False)
    # start from the mean target, not from one half
    mean = torch.tensor([row.target for row in rows]).mean(0).clamp(0.01, 0.99)  # (n, K) -> (K,)
    student.heads.bias.data.copy_(torch.logit(mean))
    spent = fit(student, ids, rows, work, arguments)
    torch.save(student.state_dict(), work / "trained.pt")
    print(json.dumps(spent | {"held_out_error": held_out_error(student, ids, rows)}))


if __name__ == "__main__":
    main()
