"""A shipped graph read back into weights: what further training starts from.

Training only (numpy, onnx). The weights are those of the INT8 graph, so they come back rounded as
they were shipped (cosine .9998 to the float ones); a few minutes of training make up for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """`encoder` is a ModernBertModel's state; heads are (K, h) and (K,)."""

    encoder: dict[str, NDArray[np.float32]]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]
    is_global: tuple[bool, ...]  # of each layer: whether it attends to all tokens


def restore(path: Path) -> Restored:
    """The weights of a graph that `graph.build` and `graph.quantize` made."""
    graph = onnx.load(path).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    turned = {node.output[0]: list(node.input) for node in graph.node}

    def tensor(name: str) -> NDArray[np.float32]:
        if name in stored:
            return np.asarray(stored[name], dtype=np.float32)
        whole, zero, scale = (
            np.asarray(stored[name + part], dtype=np.float32)
            for part in ("_quantized", "_zero_point", "_scale")
        )
        return np.asarray((whole - zero) * scale)  # per output channel: the last axis

    encoder = {
        "embeddings.tok_embeddings.weight": tensor("embeddings"),
        "embeddings.norm.weight": tensor("embedded_norm_gain"),
        "final_norm.weight": tensor("hidden_gain"),
    }
    layers = 0
    while f"l{layers}_mlp_in_gain" in stored:
        name, prefix = f"l{layers}_", f"layers.{layers}."
        if layers:
            encoder[prefix + "attn_norm.weight"] = tensor(name + "normed_gain")
        encoder[prefix + "mlp_norm.weight"] = tensor(name + "mlp_in_gain")
        encoder[prefix + "attn.Wqkv.weight"] = np.concatenate(
            [tensor(f"{name}{part}_weight").T for part in "qkv"]  # 3 x (h, h) -> (3h, h)
        )
        encoder[prefix + "attn.Wo.weight"] = tensor(name + "attended_weight").T
        encoder[prefix + "mlp.Wi.weight"] = np.concatenate(
            [tensor(f"{name}{part}_weight").T for part in ("act", "gate")]  # -> (2i, h)
        )
        encoder[prefix + "mlp.Wo.weight"] = tensor(name + "mlp_out_weight").T
        layers += 1
    return Restored(
        encoder=encoder,
        # the quantizer turned the heads' Gemm into a product: (h, K) -> (K, h)
        head_weight=tensor("head_weight_Transposed").T,
        head_bias=tensor("head_bias"),
        is_global=tuple("global_cos" in turned[f"l{i}_q_turned"] for i in range(layers)),
    )
