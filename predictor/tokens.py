"""Text to token ids, the same in training and serving: head and tail of what is too long.

A cut at the end alone would lose the question, which often follows the material it is about.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

HEAD_SHARE = 0.625  # of the tokens kept; the rest is taken from the end
_CHARS_PER_TOKEN = 8  # more text than this is never looked at, so that cost is bounded


class TokenEncoder:
    """`tokenizer.json` with a limit. Safe to use from several threads at once."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.max_tokens = max_tokens
        self.vocabulary_size = self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """2 to `max_tokens` ids, with the start and end tokens."""
        half = self.max_tokens * _CHARS_PER_TOKEN
        if len(text) > 2 * half:
            text = text[:half] + text[-half:]
        return self.fit(self._tokenizer.encode(text).ids)

    def encode_many(self, texts: list[str]) -> list[list[int]]:
        """`encode` for each of `texts`, on all cores: for training."""
        return [self.fit(found.ids) for found in self._tokenizer.encode_batch(texts)]

    def fit(self, ids: list[int]) -> list[int]:
        """The first and last of `ids`, `max_tokens` in all."""
        if len(ids) <= self.max_tokens:
            return ids
        head = int(self.max_tokens * HEAD_SHARE)
        return ids[:head] + ids[head - self.max_tokens :]
