"""What training starts from: a student of the work folder, a shipped predictor, or any ModernBERT.

Training only. A work folder holds `config.json` (transformers' format), `tokenizer.json` with the
markers of `render.py`, and weights; whatever the base was, the rest of the pipeline reads these.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, ModernBertConfig, ModernBertModel

from predictor.architecture import Student, config
from predictor.restore import restore
from predictor.vocabulary import with_markers

WEIGHTS = "trained.pt"
LIKE = "<|cut|>"


def open_work(work: Path, dimensions: int, weights: str = WEIGHTS) -> Student:
    """The student that a work folder holds."""
    settings = ModernBertConfig.from_pretrained(work, attn_implementation="sdpa")
    student = Student(settings, dimensions)
    learned = torch.load(work / weights, map_location="cpu")
    # the student of `distill` has other heads
    learned = {n: v for n, v in learned.items() if v.shape == student.state_dict()[n].shape}
    student.load_state_dict(learned, strict=False)
    return student


def save_layout(student: Student, work: Path) -> None:
    """Writes config.json, so that `open_work` knows the shape."""
    student.encoder.config.save_pretrained(work)


def is_predictor(base: str | None) -> bool:
    """Whether `base` is a predictor's folder, whose heads are trained already."""
    return bool(base) and (Path(str(base)) / "model.onnx").exists()


def open_base(base: str, work: Path, dimensions: int, layers: Sequence[int] = ()) -> Student:
    """A student from `base`; writes its tokenizer.json and config.json into `work`.

    Args: base, a predictor's folder (model.onnx, tokenizer.json), a local folder or hub name of a
    ModernBERT; layers, those of a predictor's folder to keep, in order (default: all).
    """
    folder = Path(base)
    if is_predictor(base):
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        student = _from_predictor(folder / "model.onnx", dimensions, layers)
    else:
        text = AutoTokenizer.from_pretrained(base).backend_tokenizer.to_str()
        student = _from_modernbert(base, dimensions)
    layout = json.loads(text)
    with_markers(layout)
    ids = {token["content"]: token["id"] for token in layout["added_tokens"]}
    known = student.encoder.config.vocab_size  # a table may be longer than its tokenizer
    if max(ids.values()) >= known:
        student.encoder.resize_token_embeddings(1 + max(ids.values()))
        table = student.encoder.embeddings.tok_embeddings.weight.data
        if ids[LIKE] < known:  # a new marker begins as the one that it refines
            table[known:] = table[ids[LIKE]]
    work.mkdir(parents=True, exist_ok=True)
    target = work / "tokenizer.json"
    target.write_text(json.dumps(layout, ensure_ascii=False), encoding="utf-8")
    save_layout(student, work)
    return student


def _from_predictor(path: Path, dimensions: int, layers: Sequence[int]) -> Student:
    found = restore(path)
    table = found.encoder["embeddings.tok_embeddings.weight"]
    kept = list(layers) or list(range(len(found.is_global)))
    settings = config(
        len(table), hidden=table.shape[1], is_global=[found.is_global[layer] for layer in kept]
    )
    student = Student(settings, dimensions)
    state = {}
    for name, value in found.encoder.items():
        if name.startswith("layers."):
            _, layer, rest = name.split(".", 2)
            if int(layer) not in kept:
                continue
            name = f"layers.{kept.index(int(layer))}.{rest}"
        state[name] = torch.from_numpy(np.array(value))
    student.encoder.load_state_dict(state)
    if len(found.head_bias) == dimensions:
        student.heads.weight.data.copy_(torch.from_numpy(found.head_weight.copy()))
        student.heads.bias.data.copy_(torch.from_numpy(found.head_bias.copy()))
    return student


def _from_modernbert(base: str, dimensions: int) -> Student:
    encoder = ModernBertModel.from_pretrained(base, attn_implementation="sdpa")
    if encoder.config.model_type != "modernbert":
        raise SystemExit(f"{base}: expected a ModernBERT, got {encoder.config.model_type}")
    student = Student(encoder.config, dimensions)
    student.encoder.load_state_dict(encoder.state_dict())
    return student
