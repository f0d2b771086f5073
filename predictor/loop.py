"""The training loop that `distill` and `train` share: a clock, a schedule, checkpoints.

Training only. It stops by the clock, so that a slow machine gets fewer steps and not another day;
the learning rate falls linearly with the time spent. A checkpoint holds everything that `--resume`
goes on from, the random draw apart, which begins anew at another seed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

CHECKPOINT_S = 240.0
_CLIP = 1.0  # norm of the gradient, embeddings apart
_LEAST = 0.02  # of the learning rate, at the end

B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Parameters that learn at one peak rate."""

    parameters: Sequence[torch.nn.Parameter]
    rate: float
    decay: float = 0.0
    clipped: bool = False


def add_arguments(parser: argparse.ArgumentParser, *, minutes: float) -> None:
    """What both commands take."""
    parser.add_argument("--minutes", type=float, default=minutes, help="how long to train")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")


def run(
    modules: Sequence[torch.nn.Module],
    groups: Sequence[Group],
    batches: Callable[[int], Iterator[B]],
    loss_of: Callable[[B], torch.Tensor],
    *,
    checkpoint: Path,
    minutes: float,
    seed: int,
    warm_up: int,
    resume: bool,
    checkpoint_s: float = CHECKPOINT_S,
) -> dict[str, float]:
    """Trains `modules` in place; returns steps, seconds and the last mean loss.

    Args: batches, from a seed to an endless draw; warm_up, steps over which the rate rises.
    """
    optimizer = torch.optim.AdamW(
        [{"params": g.parameters, "lr": g.rate, "weight_decay": g.decay} for g in groups],
        betas=(0.9, 0.98),
    )
    clipped = [p for group in groups if group.clipped for p in group.parameters]
    spent, step, mean = 0.0, 0, float("nan")
    if resume and checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu")
        for module, state in zip(modules, saved["modules"], strict=True):
            module.load_state_dict(state)
        optimizer.load_state_dict(saved["optimizer"])
        spent, step = saved["spent"], saved["step"]
    limit = minutes * 60
    last = saved_at = time.monotonic()
    with tqdm(total=round(limit), initial=round(spent), desc="seconds", mininterval=20) as bar:
        for batch in batches(seed + step):
            if spent >= limit:
                break
            share = min(1.0, (step + 1) / warm_up) * max(_LEAST, 1 - spent / limit)
            for part, group in zip(optimizer.param_groups, groups, strict=True):
                part["lr"] = group.rate * share
            loss = loss_of(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(clipped, _CLIP)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            mean = loss.item() if mean != mean else 0.98 * mean + 0.02 * loss.item()
            now = time.monotonic()
            bar.update(round(spent + now - last) - round(spent))
            spent, last = spent + now - last, now
            bar.set_postfix(step=step, loss=f"{mean:.4f}", refresh=False)
            if now - saved_at > checkpoint_s:
                saved_at = now
                states = [module.state_dict() for module in modules]
                state = {"modules": states, "optimizer": optimizer.state_dict()}
                partial = checkpoint.with_suffix(".partial")
                torch.save(state | {"spent": spent, "step": step}, partial)
                partial.replace(checkpoint)  # a stop while writing leaves the old one whole
    return {"steps": step, "seconds": round(spent), "loss": round(mean, 4)}


def named(module: torch.nn.Module, part: str) -> tuple[list[torch.nn.Parameter], ...]:
    """A module's parameters in two: those whose name holds `part`, and the rest."""
    own: Iterable[tuple[str, torch.nn.Parameter]] = module.named_parameters()
    pairs = list(own)
    return [p for name, p in pairs if part in name], [p for name, p in pairs if part not in name]
