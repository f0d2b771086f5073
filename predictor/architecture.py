"""The encoder: ModernBERT (arXiv 2412.13663) at 4 x 256, mean-pooled, one sigmoid head a dimension.

Training only (torch, transformers); serving runs the ONNX graph that `graph.py` builds from these
weights. Mean pooling replaces the paper's [CLS]: a small encoder is taught by a mean-pooled
teacher, and a mean is steadier under a changed word.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import cache

import torch
from transformers import ModernBertConfig, ModernBertModel

LOCAL_WINDOW = 128  # tokens: 64 to either side
GLOBAL_THETA, LOCAL_THETA = 160_000.0, 10_000.0  # ModernBERT's rotary bases
PAD, START, END = 1, 0, 2  # ids of e5's tokenizer


def config(
    vocabulary: int,
    *,
    hidden: int = 256,
    is_global: Sequence[bool] = (True, False, True, False),
    heads: int = 4,
    inner: int = 384,
) -> ModernBertConfig:
    """Our ModernBERT. 4 x 256 takes two thirds of the time of 6 x 256 (LOG.md has both).

    Args: is_global, for each layer whether it attends to all tokens or to its window.
    """
    return ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=len(is_global),
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=2048,
        local_attention=LOCAL_WINDOW,
        layer_types=["full_attention" if each else "sliding_attention" for each in is_global],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": GLOBAL_THETA},
            "sliding_attention": {"rope_type": "default", "rope_theta": LOCAL_THETA},
        },
        pad_token_id=PAD,
        bos_token_id=START,
        eos_token_id=END,
        cls_token_id=START,
        sep_token_id=END,
        attn_implementation="sdpa",
    )


@cache
def bfloat16_pays(device: str = "cpu") -> bool:
    """Whether products in bfloat16 are faster here than in float32: measured, once.

    Processors without such instructions emulate them, some twenty times slower.
    """
    if device != "cpu":
        return True

    def seconds(kind: torch.dtype) -> float:
        left, right = torch.ones(1024, 256, dtype=kind), torch.ones(256, 256, dtype=kind)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            left @ right  # (1024, 256) x (256, 256)
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds(torch.bfloat16) < seconds(torch.float32)


def fast_products(device: str = "cpu") -> contextlib.AbstractContextManager[object]:
    """Mixed precision where it pays, else nothing."""
    if bfloat16_pays(device):
        context: contextlib.AbstractContextManager[object] = torch.autocast(device, torch.bfloat16)
        return context
    return contextlib.nullcontext()


def batch_of(
    ids: Sequence[Sequence[int]], pad: int = PAD, device: str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and mask, both (b, s)."""
    width = max(map(len, ids))
    tokens = torch.full((len(ids), width), pad)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for row, sequence in enumerate(ids):
        tokens[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return tokens.to(device), mask.to(device)


class Student(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Encoder and heads. `project` exists while it learns from the teacher, and is not shipped."""

    def __init__(
        self, settings: ModernBertConfig, dimensions: int, *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.encoder = ModernBertModel(settings)
        self.dropout = torch.nn.Dropout(dropout)
        self.heads = torch.nn.Linear(settings.hidden_size, dimensions)
        self.project = torch.nn.Linear(settings.hidden_size, 384)  # e5-small's width

    @property
    def pad(self) -> int:
        return int(self.encoder.config.pad_token_id)

    def state(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The pooled state (b, h) of `tokens` (b, s)."""
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        weight = mask[:, :, None].float()  # (b, s) -> (b, s, 1)
        pooled: torch.Tensor = (hidden * weight).sum(1) / weight.sum(1)  # (b, s, h) -> (b, h)
        return pooled

    def logits(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Head logits (b, K); their sigmoid is the requirements vector."""
        found: torch.Tensor = self.heads(self.dropout(self.state(tokens, mask)))  # -> (b, K)
        return found
