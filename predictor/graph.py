"""Builds the ONNX graph of the predictor by hand from a student's weights.

Needs numpy and onnx, not torch. The exporter's graph is a quarter slower at 64 tokens and a
third at 512. One request a run: `input_ids` (1, s) without padding, so no mask is needed.
Outputs: `requirements` (1, K) in [0, 1] and `state` (1, h), the pooled encoder state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MAX_POSITIONS = 2048
EPSILON = 1e-5  # of ModernBERT's layer norms
_FUSED = "com.microsoft"  # onnxruntime's own operators: rotary embedding, attention, Gelu
_BLOCKED = -1e4  # added to an attention score that must not count

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the weights do not say by themselves. Window in tokens, both sides together."""

    layers: int
    heads: int
    window: int
    global_every: int
    global_theta: float
    local_theta: float


@dataclass(slots=True)
class _Builder:
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
        return self.node("LayerNormalization", [inputs, gain], output, epsilon=EPSILON, axis=-1)

    def linear(self, inputs: str, weight: NDArray[np.float32], output: str) -> str:
        """`weight` (out, in) as torch stores it."""
        matrix = self.constant(output + "_weight", weight.T)  # (out, in) -> (in, out)
        return self.node("MatMul", [inputs, matrix], output)


def _positions(b: _Builder, shape: Shape, head_size: int) -> None:
    """Position ids (1, s), the local attention bias (1, 1, s, s), and the rotary tables."""
    b.node("Shape", ["input_ids"], "length1", start=1, end=2)
    b.node("Squeeze", ["length1", b.constant("axis0", [0], np.int64)], "length")  # (1,) -> ()
    zero, one = b.constant("zero", 0, np.int64), b.constant("one", 1, np.int64)
    b.node("Range", [zero, "length", one], "place")  # (s,)
    b.node("Unsqueeze", ["place", "axis0"], "position_ids")  # (s,) -> (1, s)
    b.node("Unsqueeze", ["place", b.constant("axis1", [1], np.int64)], "column")  # -> (s, 1)
    b.node("Sub", ["column", "position_ids"], "offset")  # (s, 1) - (1, s) -> (s, s)
    b.node("Abs", ["offset"], "distance")
    reach = b.constant("reach", shape.window // 2, np.int64)
    b.node("Greater", ["distance", reach], "outside")
    b.node("Cast", ["outside"], "outside_float", to=TensorProto.FLOAT)
    b.node("Mul", ["outside_float", b.constant("blocked", _BLOCKED)], "bias2")
    axes = b.constant("axes01", [0, 1], np.int64)
    b.node("Unsqueeze", ["bias2", axes], "local_bias")  # (s, s) -> (1, 1, s, s)
    for kind, theta in (("global", shape.global_theta), ("local", shape.local_theta)):
        frequency = 1.0 / theta ** (np.arange(0, head_size, 2) / head_size)  # (head_size / 2,)
        angle = np.outer(np.arange(MAX_POSITIONS), frequency)  # (positions, head_size / 2)
        b.constant(f"{kind}_cos", np.cos(angle))
        b.constant(f"{kind}_sin", np.sin(angle))


def _layer(b: _Builder, weights: Weights, shape: Shape, layer: int, x: str) -> str:
    """One pre-norm layer over the residual stream `x` (1, s, h)."""
    prefix, kind = f"layers.{layer}.", "local" if layer % shape.global_every else "global"
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
    inputs = [name + "q_turned", name + "k_turned", name + "v"]
    if kind == "local":
        inputs += ["", "", "local_bias"]
    b.node("MultiHeadAttention", inputs, name + "mixed", num_heads=shape.heads)
    b.linear(name + "mixed", weights[prefix + "attn.Wo.weight"], name + "attended")
    # Add and LayerNormalization: the fused SkipLayerNormalization takes 7 times as long on CPU
    x = b.node("Add", [x, name + "attended"], name + "middle")
    b.norm(x, weights[prefix + "mlp_norm.weight"], name + "mlp_in")
    act, gate = np.split(weights[prefix + "mlp.Wi.weight"], 2)  # (2i, h) -> 2 x (i, h)
    b.linear(name + "mlp_in", act, name + "act")
    b.linear(name + "mlp_in", gate, name + "gate")
    b.node("Gelu", [name + "act"], name + "gelu")
    b.node("Mul", [name + "gelu", name + "gate"], name + "gated")
    b.linear(name + "gated", weights[prefix + "mlp.Wo.weight"], name + "mlp_out")
    return b.node("Add", [x, name + "mlp_out"], name + "out")


def build(
    weights: Weights,
    head_weight: NDArray[np.float32],
    head_bias: NDArray[np.float32],
    shape: Shape,
    target: Path,
) -> None:
    """Writes the float graph. `weights` are a ModernBertModel's; `head_weight` is (K, h)."""
    b = _Builder()
    dimensions, hidden = head_weight.shape
    table = b.constant("embeddings", weights["embeddings.tok_embeddings.weight"])
    b.node("Gather", [table, "input_ids"], "embedded")  # (1, s) -> (1, s, h)
    x = b.norm("embedded", weights["embeddings.norm.weight"], "embedded_norm")
    _positions(b, shape, hidden // shape.heads)
    for layer in range(shape.layers):
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
    """Dynamic INT8, per output channel; attention nodes stay float, embeddings become INT8 too."""
    # onnxruntime.quantization takes a second to import and is of use only here
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gather"],
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
