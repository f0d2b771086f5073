"""Routers that need no predictor, for comparison: how long is it, does it say the words.

Scores (n,): a higher one sends the query to the strong model.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from gateway.evaluation.crossfit import Scale
from gateway.evaluation.outcomes import Floats, digest
from gateway.routing import MIN_BAND_WIDTH

# What a person would write down in ten minutes. English only, as such lists are.
_KEYWORDS: Final = re.compile(
    r"\b(?:prove|proof|theorem|derive|optimal|optimi[sz]e|algorithm|complexity|concurren\w*"
    r"|deadlock|race condition|memory leak|architecture|refactor|debug|traceback|exception"
    r"|stack trace|bug|segfault|regression|implement|integral|probability|puzzle|step by step"
    r"|analy[sz]e|explain why|multi-step|edge cases?)\b",
    re.IGNORECASE,
)


def length(texts: Sequence[str]) -> Floats:
    """Characters."""
    return np.array([float(len(text)) for text in texts])


def keywords(texts: Sequence[str]) -> Floats:
    """How many different words of the list occur."""
    return np.array(
        [float(len({found.lower() for found in _KEYWORDS.findall(text)})) for text in texts]
    )


def chance(texts: Sequence[str], seed: int) -> Floats:
    """Noise in [0, 1) that depends on text and seed only: what the ruler must read as nothing."""
    return np.array([int(digest(f"{seed}\0noise\0{text}")[:13], 16) / 16**13 for text in texts])


def difficulty(requirements: Floats, scale: Scale) -> Floats:
    """The weighted mean requirement in band widths: one number, as a strong/weak router has it."""
    low = np.array([edge for edge, _ in scale.bands])
    width = np.maximum(np.array([high - edge for edge, high in scale.bands]), MIN_BAND_WIDTH)
    return np.asarray(((requirements - low) / width) @ np.array(scale.weights))
