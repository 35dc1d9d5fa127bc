"""A network of the size that inspection runs: ResNet-18 up to its third stage, random weights, anomalib's contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 256
OPSET = 14
STAGES = ((64, 1), (128, 2), (256, 2))
"""Channels and stride; two blocks of two convolutions each."""


class _Graph:
    """Nodes and weights under counted names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(0)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, taken: int, given: int, side: int, stride: int, gain: float = 2.0) -> str:
        scale = np.float32((gain / (taken * side * side)) ** 0.5)
        weight = self.constant(self._rng.standard_normal((given, taken, side, side), np.float32) * scale)
        bias = self.constant(self._rng.standard_normal(given, np.float32) * np.float32(0.05))
        return self.node("Conv", x, weight, bias, pads=[side // 2] * 4, strides=[stride] * 2)


def resnet_like() -> onnx.ModelProto:
    """float32 (n, 3, H, W), any size, resized in the graph to 256x256; ``anomaly_map`` and ``pred_score`` behind a clamp.

    The map is the sum over three stages of the mean feature's distance from that stage's mean. 1.9 GMAC.
    """
    g = _Graph()
    shape = g.node("Shape", "input")
    kept = g.node("Slice", shape, g.constant([0]), g.constant([2]))
    sizes = g.node("Concat", kept, g.constant([SIDE, SIDE]), axis=0)
    x = g.node("Resize", "input", "", "", sizes, mode="linear")
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    x = g.node("Div", g.node("Sub", x, g.constant(mean.reshape(3, 1, 1))), g.constant(std.reshape(3, 1, 1)))
    x = g.node("Relu", g.conv(x, 3, 64, 7, 2))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    taken, maps = 64, []
    for given, stride in STAGES:
        for block in range(2):
            x = _block(g, x, taken, given, stride if block == 0 else 1)
            taken = given
        maps.append(_distance(g, x))
    raw = g.node("Add", g.node("Add", maps[0], maps[1]), maps[2], output="raw_map")
    flat = g.node("Reshape", raw, g.constant([0, -1]))
    score = g.node("ReduceMax", flat, axes=[1], keepdims=0, output="raw_score")
    for tensor, output in ((raw, "anomaly_map"), (score, "pred_score")):
        centred = g.node("Div", g.node("Sub", tensor, g.constant(np.float32(1.5))), g.constant(np.float32(6)))
        moved = g.node("Add", centred, g.constant(np.float32(0.5)))
        g.node("Clip", moved, g.constant(np.float32(0)), g.constant(np.float32(1)), output=output)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        g.nodes,
        "bench",
        [value("input", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [value("pred_score", TensorProto.FLOAT, ["n"]), value("anomaly_map", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        g.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="bench")


def _block(g: _Graph, x: str, taken: int, given: int, stride: int) -> str:
    inner = g.node("Relu", g.conv(x, taken, given, 3, stride))
    inner = g.conv(inner, given, given, 3, 1, gain=0.5)
    around = x if stride == 1 and taken == given else g.conv(x, taken, given, 1, stride, gain=1.0)
    return g.node("Relu", g.node("Add", inner, around))


def _distance(g: _Graph, x: str) -> str:
    """(n, 1, 256, 256): mean over channels of the distance from each channel's mean over the picture."""
    middle = g.node("ReduceMean", x, axes=[2, 3], keepdims=1)
    off = g.node("Abs", g.node("Sub", x, middle))
    small = g.node("ReduceMean", off, axes=[1], keepdims=1)
    shape = g.node("Shape", small)
    kept = g.node("Slice", shape, g.constant([0]), g.constant([2]))
    sizes = g.node("Concat", kept, g.constant([SIDE, SIDE]), axis=0)
    return g.node("Resize", small, "", "", sizes, mode="linear")
