"""The same request said a little differently: typos, politeness, markup, keywords.

Training only, standard library. A person would not want another model for any of these, so the
student sees pairs of a request and its perturbed self and is held to the same answer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS = json.loads((Path(__file__).parent / "seeds.json").read_text(encoding="utf-8"))
_POLITE: dict[str, dict[str, list[str]]] = _WORDS["polite"]
_STUFFING: list[str] = _WORDS["stuffing"]


def typos(text: str, rng: random.Random) -> str:
    """An edit in about every tenth word of letters: two swapped, one dropped, doubled or wrong."""
    words = text.split(" ")
    for place, word in enumerate(words):
        if len(word) < 4 or not word.isalpha() or rng.random() > 0.1:
            continue
        at = rng.randrange(len(word) - 1)
        words[place] = rng.choice(
            (
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + rng.choice(_LETTERS) + word[at + 1 :],
            )
        )
    return " ".join(words)


def politeness(text: str, rng: random.Random, language: str = "en") -> str:
    words = _POLITE.get(language, _POLITE["en"])
    if rng.random() < 0.6:
        text = rng.choice(words["before"]) + text
    return text + rng.choice(words["after"]) if rng.random() < 0.6 else text


def markup(text: str, rng: random.Random) -> str:
    """Markup and stops around a request that mean nothing."""
    return rng.choice(
        (
            f"> {text}",
            f"**{text}**",
            f'"{text}"',
            f"- {text}",
            f"# {text}",
            text.rstrip(".?!。\uff1f"),
        )
    )


def stuffing(text: str, rng: random.Random) -> str:
    """Words that sound like work, around a request that stays what it is."""
    words = " ".join([rng.choice(_STUFFING)] * rng.randint(2, 5))
    if rng.random() < 0.5:
        words = ", ".join(rng.sample(_STUFFING, rng.randint(2, 5)))
    return f"{text} {words}" if rng.random() < 0.5 else f"{words} {text}"


def perturbed(text: str, rng: random.Random, language: str = "en") -> str:
    """One or two of the above, typos most often."""
    kinds: list[Callable[[str, random.Random], str]] = [typos, typos, markup]
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.35:
            text = politeness(text, rng, language)
        elif rng.random() < 0.1:
            text = stuffing(text, rng)
        else:
            text = rng.choice(kinds)(text, rng)
    return text
