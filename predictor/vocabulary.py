"""Trims multilingual-e5-small's tokenizer to 65,536 pieces that leave no text unknown.

Training only. 250,002 pieces would make nine tenths of a small encoder. Kept are all single
characters, the first 25,000 pieces (the most frequent), then what the prompts use.
256 byte pieces stand in for whatever is left (emoji, rare ideographs), and the markers of
`render.py` are added tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from predictor.render import MARKERS

SIZE = 65_536
_SPECIAL = 4  # <s> <pad> </s> <unk>, ids 0 to 3, in e5's tokenizer and in ours
_FREQUENT = 25_000
_BYTES = [f"<0x{value:02X}>" for value in range(256)]


def trim(source: Path, texts: list[str], target: Path) -> NDArray[np.int64]:
    """Writes the trimmed tokenizer and returns, for each new id, e5's id or -1; shape (SIZE,)."""
    tokenizer = Tokenizer.from_file(str(source))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts: Counter[int] = Counter()
    for start in range(0, len(texts), 4096):
        for found in tokenizer.encode_batch(texts[start : start + 4096], add_special_tokens=False):
            counts.update(found.ids)
    layout = json.loads(source.read_text(encoding="utf-8"))
    vocabulary: list[tuple[str, float]] = layout["model"]["vocab"]
    added = {token["id"] for token in layout["added_tokens"]}
    wanted = [i for i, (piece, _) in enumerate(vocabulary) if len(piece.replace("▁", "")) <= 1]
    wanted += range(_FREQUENT)
    wanted += [i for i, _ in counts.most_common()]
    wanted += range(len(vocabulary))
    room = SIZE - _SPECIAL - len(_BYTES) - len(MARKERS)
    body = sorted(list(dict.fromkeys(i for i in wanted if i not in added))[:room])
    kept = [*range(_SPECIAL), *body]
    floor = min(score for _, score in vocabulary)
    layout["model"]["vocab"] = [vocabulary[i] for i in kept] + [(piece, floor) for piece in _BYTES]
    layout["model"]["byte_fallback"] = True
    layout["truncation"] = layout["padding"] = None
    layout["added_tokens"] = [t for t in layout["added_tokens"] if t["id"] < _SPECIAL]
    first = len(layout["model"]["vocab"])
    layout["added_tokens"] += [_added(first + i, marker) for i, marker in enumerate(MARKERS)]
    target.write_text(json.dumps(layout, ensure_ascii=False), encoding="utf-8")
    return np.array(kept + [-1] * (len(_BYTES) + len(MARKERS)))


def with_markers(layout: dict[str, Any]) -> int:
    """Adds the markers that a tokenizer.json does not have yet; returns how many.

    Any tokenizer of the `tokenizers` library will do; ids go on after its last one.
    """
    known = {token["content"] for token in layout["added_tokens"]}
    vocabulary = layout["model"]["vocab"]
    last = max(vocabulary.values()) if isinstance(vocabulary, dict) else len(vocabulary) - 1
    last = max([last, *(token["id"] for token in layout["added_tokens"])])
    missing = [marker for marker in MARKERS if marker not in known]
    layout["added_tokens"] += [_added(last + 1 + i, m) for i, m in enumerate(missing)]
    layout["truncation"] = layout["padding"] = None
    return len(missing)


def _added(identifier: int, marker: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "content": marker,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": False,
    }
