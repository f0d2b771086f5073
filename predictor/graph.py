"""Builds the ONNX graph of the predictor by hand from a student's weights.

Needs numpy and onnx, not torch. The exporter's graph is a quarter slower at 64 tokens and a
third at 512. One request a run: `input_ids` (1, s) without padding. Local layers attend in blocks,
exactly: a block of queries meets the keys in its reach, not all of them. Outputs: `requirements`
(1, K) in [0, 1] and `state` (1, h), the pooled encoder state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from transformers import ModernBertConfig

_FUSED = "com.microsoft"  # onnxruntime's own operators: rotary embedding, attention, Gelu
_BLOCKED = -1e4  # added to an attention score that must not count
_BLOCK = 64  # queries that local attention takes at once in a long text
_WHOLE = 3 * _BLOCK  # tokens; up to here one block with all keys is faster

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the weights do not say by themselves; the defaults are ModernBERT's."""

    heads: int
    is_global: tuple[bool, ...]  # of each layer: whether it attends to all tokens
    window: int = 128  # tokens that a local layer attends to, both sides together
    global_theta: float = 160_000.0
    local_theta: float = 10_000.0
    epsilon: float = 1e-5  # of the layer norms
    max_tokens: int = 512  # longer inputs are an error


def shape_of(settings: ModernBertConfig, max_tokens: int) -> Shape:
    """The shape of any ModernBERT of transformers, ModernBERT-base and -large among them."""
    rotary = settings.rope_parameters
    return Shape(
        heads=settings.num_attention_heads,
        is_global=tuple(kind == "full_attention" for kind in settings.layer_types),
        window=settings.local_attention,
        global_theta=float(rotary["full_attention"]["rope_theta"]),
        local_theta=float(rotary["sliding_attention"]["rope_theta"]),
        epsilon=settings.norm_eps,
        max_tokens=max_tokens,
    )


@dataclass(slots=True)
class _Builder:
    hidden: int
    epsilon: float
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: object, kind: type = np.float32) -> str:
        if name not in self.constants:
            array: NDArray[np.generic] = np.array(value, dtype=kind, order="C", copy=True)
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        domain = _FUSED if kind in ("RotaryEmbedding", "MultiHeadAttention", "Gelu") else ""
        name = f"{kind}_{output}"
        made = helper.make_node(kind, inputs, [output], name=name, domain=domain, **attributes)
        self.nodes.append(made)
        return output

    def norm(self, inputs: str, weight: NDArray[np.float32], output: str) -> str:
        # not "_scale": the quantizer gives that name to what it makes of an activation
        gain = self.constant(output + "_gain", weight)
        both = [inputs, gain]
        return self.node("LayerNormalization", both, output, epsilon=self.epsilon, axis=-1)

    def linear(self, inputs: str, weight: NDArray[np.float32], output: str) -> str:
        """`weight` (out, in) as torch stores it."""
        matrix = self.constant(output + "_weight", weight.T)  # (out, in) -> (in, out)
        return self.node("MatMul", [inputs, matrix], output)


def _positions(b: _Builder, shape: Shape, head_size: int) -> None:
    """`length`, position ids (1, s), and the rotary tables (max_tokens, head_size / 2)."""
    b.node("Shape", ["input_ids"], "length1", start=1, end=2)
    b.node("Squeeze", ["length1", b.constant("axis0", [0], np.int64)], "length")  # (1,) -> ()
    zero, one = b.constant("zero", 0, np.int64), b.constant("one", 1, np.int64)
    b.node("Range", [zero, "length", one], "place")  # (s,)
    b.node("Unsqueeze", ["place", "axis0"], "position_ids")  # (s,) -> (1, s)
    b.constant("axis1", [1], np.int64)
    for kind, theta in (("global", shape.global_theta), ("local", shape.local_theta)):
        if (kind == "global") not in shape.is_global:
            continue
        frequency = 1.0 / theta ** (np.arange(0, head_size, 2) / head_size)  # (head_size / 2,)
        angle = np.outer(np.arange(shape.max_tokens), frequency)  # (max_tokens, head_size / 2)
        b.constant(f"{kind}_cos", np.cos(angle))
        b.constant(f"{kind}_sin", np.sin(angle))


def _blocks(b: _Builder, reach: int) -> None:
    """Places (n, q) of the queries and (n, k) of the keys of n blocks, and their bias (n, 1, q, k).

    n is 1 up to _WHOLE tokens, else ceil(s / _BLOCK); q = ceil(s / n); k = min(s, q + 2 * reach).
    Queries past the end repeat the last one, and their results are dropped. Keys never pass an
    end: at either end of the text a block sees further than it may, which the bias mends.
    """
    zero, one, size = "zero", "one", b.constant("block", _BLOCK, np.int64)
    b.node("Add", ["length", b.constant("block_less_1", _BLOCK - 1, np.int64)], "rounded")
    b.node("Div", ["rounded", size], "many")  # ceil(s / _BLOCK)
    b.node("Greater", ["length", b.constant("whole", _WHOLE, np.int64)], "is_long")
    b.node("Where", ["is_long", "many", one], "n")
    b.node("Sub", ["length", one], "last")
    b.node("Add", ["last", "n"], "rounded_again")
    b.node("Div", ["rounded_again", "n"], "q")  # ceil(s / n)
    b.node("Add", ["q", b.constant("both_sides", 2 * reach, np.int64)], "seen")
    b.node("Min", ["seen", "length"], "k")

    b.node("Range", [zero, "n", one], "block_numbers")  # (n,)
    b.node("Mul", ["block_numbers", "q"], "starts")
    b.node("Unsqueeze", ["starts", "axis1"], "starts_column")  # (n,) -> (n, 1)
    b.node("Range", [zero, "q", one], "q_steps")  # (q,)
    b.node("Add", ["starts_column", "q_steps"], "q_places_open")  # (n, 1) + (q,) -> (n, q)
    b.node("Min", ["q_places_open", "last"], "q_places")

    b.node("Sub", ["starts_column", b.constant("reach", reach, np.int64)], "k_starts_open")
    b.node("Max", ["k_starts_open", zero], "k_starts_from_0")
    b.node("Sub", ["length", "k"], "k_start_last")
    b.node("Min", ["k_starts_from_0", "k_start_last"], "k_starts")  # (n, 1)
    b.node("Range", [zero, "k", one], "k_steps")  # (k,)
    b.node("Add", ["k_starts", "k_steps"], "k_places")  # (n, 1) + (k,) -> (n, k)

    q_axes, k_axes = b.constant("axes13", [1, 3], np.int64), b.constant("axes12", [1, 2], np.int64)
    b.node("Unsqueeze", ["q_places", q_axes], "q_places4")  # (n, q) -> (n, 1, q, 1)
    b.node("Unsqueeze", ["k_places", k_axes], "k_places4")  # (n, k) -> (n, 1, 1, k)
    b.node("Sub", ["q_places4", "k_places4"], "offset")  # -> (n, 1, q, k)
    b.node("Abs", ["offset"], "distance")
    b.node("Greater", ["distance", "reach"], "outside")
    b.node("Where", ["outside", b.constant("blocked", _BLOCKED), b.constant("free", 0)], "bias")


def _local_attention(b: _Builder, shape: Shape, name: str) -> None:
    """`mixed` (1, s, h) from the turned queries and keys and the values, each (1, s, h)."""
    blocks = []
    for part, source in (("q", "q_turned"), ("k", "k_turned"), ("v", "v")):
        places = "q_places" if part == "q" else "k_places"
        b.node("Gather", [name + source, places], f"{name}{part}_gathered", axis=1)
        # (1, s, h) -> (1, n, q, h) or (1, n, k, h) -> the same without the 1
        blocks.append(b.node("Squeeze", [f"{name}{part}_gathered", "axis0"], f"{name}{part}_block"))
    inputs = [*blocks, "", "", "bias"]
    b.node("MultiHeadAttention", inputs, name + "mixed_blocks", num_heads=shape.heads)
    flat = b.constant("flat", [1, -1, b.hidden], np.int64)
    b.node("Reshape", [name + "mixed_blocks", flat], name + "mixed_long")  # -> (1, n * q, h)
    ends = [name + "mixed_long", "axis0", "length1", "axis1"]
    b.node("Slice", ends, name + "mixed")  # (1, n * q, h) -> (1, s, h)


def _layer(b: _Builder, weights: Weights, shape: Shape, layer: int, x: str) -> str:
    """One pre-norm layer over the residual stream `x` (1, s, h)."""
    prefix, kind = f"layers.{layer}.", "global" if shape.is_global[layer] else "local"
    name = f"l{layer}_"
    # ModernBERT's first layer has no attention norm: the embedding norm stands before it
    normed = x if layer == 0 else b.norm(x, weights[prefix + "attn_norm.weight"], name + "normed")
    q, k, v = np.split(weights[prefix + "attn.Wqkv.weight"], 3)  # (3h, h) -> 3 x (h, h)
    # three products, not one and a Split: faster on CPU
    for part, weight in (("q", q), ("k", k), ("v", v)):
        b.linear(normed, weight, name + part)
    tables = ["position_ids", f"{kind}_cos", f"{kind}_sin"]
    for part in ("q", "k"):
        b.node(
            "RotaryEmbedding",
            [name + part, *tables],
            name + part + "_turned",
            num_heads=shape.heads,
            interleaved=0,
        )
    if kind == "local":
        _local_attention(b, shape, name)
    else:
        inputs = [name + "q_turned", name + "k_turned", name + "v"]
        b.node("MultiHeadAttention", inputs, name + "mixed", num_heads=shape.heads)
    b.linear(name + "mixed", weights[prefix + "attn.Wo.weight"], name + "attended")
    # Sum, not Add: an Add before a norm may be fused to SkipLayerNormalization, 7 times as slow
    x = b.node("Sum", [x, name + "attended"], name + "middle")
    b.norm(x, weights[prefix + "mlp_norm.weight"], name + "mlp_in")
    act, gate = np.split(weights[prefix + "mlp.Wi.weight"], 2)  # (2i, h) -> 2 x (i, h)
    b.linear(name + "mlp_in", act, name + "act")
    b.linear(name + "mlp_in", gate, name + "gate")
    b.node("Gelu", [name + "act"], name + "gelu")
    b.node("Mul", [name + "gelu", name + "gate"], name + "gated")
    b.linear(name + "gated", weights[prefix + "mlp.Wo.weight"], name + "mlp_out")
    return b.node("Sum", [x, name + "mlp_out"], name + "out")


def build(
    weights: Weights,
    head_weight: NDArray[np.float32],
    head_bias: NDArray[np.float32],
    shape: Shape,
    target: Path,
) -> None:
    """Writes the float graph. `weights` are a ModernBertModel's; `head_weight` is (K, h).

    Raises ValueError where the encoder has biases: this graph has no place for them.
    """
    biases = [name for name in weights if name.endswith(".bias")]
    if biases:
        raise ValueError(f"expected an encoder without biases, got {biases[0]}")
    dimensions, hidden = head_weight.shape
    b = _Builder(hidden=hidden, epsilon=shape.epsilon)
    table = b.constant("embeddings", weights["embeddings.tok_embeddings.weight"])
    b.node("Gather", [table, "input_ids"], "embedded")  # (1, s) -> (1, s, h)
    x = b.norm("embedded", weights["embeddings.norm.weight"], "embedded_norm")
    _positions(b, shape, hidden // shape.heads)
    if not all(shape.is_global):
        _blocks(b, shape.window // 2)
    for layer in range(len(shape.is_global)):
        x = _layer(b, weights, shape, layer, x)
    b.norm(x, weights["final_norm.weight"], "hidden")
    b.node("ReduceMean", ["hidden", "axis1"], "state", keepdims=0)  # (1, s, h) -> (1, h)
    heads = [b.constant("head_weight", head_weight), b.constant("head_bias", head_bias)]
    b.node("Gemm", ["state", *heads], "logits", transB=1)  # (1, h) -> (1, K)
    b.node("Sigmoid", ["logits"], "requirements")
    graph = helper.make_graph(
        b.nodes,
        "predictor",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "s"])],
        [
            helper.make_tensor_value_info("requirements", TensorProto.FLOAT, [1, dimensions]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, hidden]),
        ],
        list(b.constants.values()),
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_FUSED, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), target)


def quantize(source: Path, target: Path) -> None:
    """Dynamic INT8, per output channel; attention nodes stay float, embeddings become INT8 too.

    Weights take 7 of the 8 bits: with all 8, processors without VNNI saturate where two products
    are added in 16 bits, so the same text had other requirements there (up to .1) than elsewhere.
    """
    # onnxruntime.quantization takes a second to import and is of use only here
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=["MatMul", "Gather"],
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
