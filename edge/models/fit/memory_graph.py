"""The graph of ``--method memory``: a backbone, its features in their space, and the distance to the nearest of the bank.

With ``|q - b|^2 = |q|^2 - 2 q b + |b|^2`` the distances to all vectors of the bank are one matrix product. It is written
with the bank along the last axis, for there ONNX Runtime takes the minimum in 1 ms (as channels of a convolution: 21 ms),
and in pieces, so that a piece's products are still in the cache when their minimum is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.models import graphs
from edge.models.fit.feature_net import FeatureNet

FINER = 2
"""Map px for each place of the grid, across and down, by linear interpolation: boxes follow a defect more closely."""
_PIECE = 1024
"""Vectors of the bank that are compared at once. All 4,000 at a 400x350 picture make 9 MB of products, which are written
to memory and read again: 2 ms of 47.
"""


@dataclass(frozen=True, slots=True)
class BankComparison:
    """What is compared, in numbers.

    ``weights``: for each layer (width, c). ``bias`` (c,): minus the mean's components. ``bank`` (k, c). ``smooth``: side of
    the square, in places, over which distances are averaged; 1: not at all.
    """

    weights: Sequence[NDArray[np.float32]]
    bias: NDArray[np.float32]
    bank: NDArray[np.float32]
    smooth: int


def map_scale(net: FeatureNet) -> int:
    """Return the px of the picture for each px of the map."""
    return max(1, net.stride // FINER)


def map_shift(net: FeatureNet) -> tuple[int, int]:
    """Return (across, down) how many map px to the right of its grid's corner, and below, the grid really lies."""
    x, y = ((at - net.stride / 2) / map_scale(net) for at in net.first)
    return round(x), round(y)


def memory_graph(net: FeatureNet, comparison: BankComparison) -> onnx.ModelProto:
    """Return the graph: ``frame`` uint8 (n, H, W, C) in, ``map`` float32 (n, h, w) and ``score``, its maximum, out.

    H and W are open, unless the network takes one size only. The map covers the picture from its first px on, to the last
    whole px of the map.
    """
    graph = GraphBuilder(net.model)
    return map_of_grid(graph, net, distance_grid(graph, net, comparison))


def distance_grid(graph: GraphBuilder, net: FeatureNet, comparison: BankComparison) -> str:
    """Add the distance of each place of the grid to its nearest in the bank, (n, 1, h, w), and return its name."""
    weights = [np.hstack([weight, np.zeros_like(weight[:, :1])]) for weight in comparison.weights]
    # one more component, of weights 0: the bias makes it the constant 1 that the bank's squares are multiplied by
    features = mixed_layers(graph, net, weights, np.append(comparison.bias, np.float32(1)), "components")
    distance = _nearest(graph, net, features, comparison.bank)
    if comparison.smooth > 1:
        reach = comparison.smooth // 2
        window: dict[str, Any] = {"kernel_shape": [comparison.smooth] * 2, "pads": [reach] * 4}
        distance = graph.add("AveragePool", [distance], "smooth", count_include_pad=0, **window)
    return distance


def map_of_grid(
    graph: GraphBuilder, net: FeatureNet, grid: str, outputs: Mapping[str, int] | None = None
) -> onnx.ModelProto:
    """Return the whole graph: ``grid`` (n, 1, h, w) brought to the map's scale and place, and the score, its maximum.

    ``outputs``: further tensors (n, d) to give out, each with its width d.
    """
    return finished_map(graph, graphs.opset(net.model), map_scale(net), placed_grid(graph, net, grid), outputs)


def placed_grid(graph: GraphBuilder, net: FeatureNet, grid: str) -> str:
    """Add ``grid`` (n, 1, h, w) brought to the map's scale and place, and return its name."""
    times = net.stride // map_scale(net)
    if times > 1:
        scales = graph.constant("finer", np.array([1, 1, times, times], np.float32))
        linear: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        grid = graph.add("Resize", [grid, "", scales], "fine", **linear)
    return cut_to_frame(graph, grid, map_scale(net), map_shift(net))


def finished_map(
    graph: GraphBuilder, opset: int, scale: int, placed: str, outputs: Mapping[str, int] | None = None
) -> onnx.ModelProto:
    """Return the whole graph: ``placed`` (n, 1, h, w) is the map, of ``scale`` px of the picture each, and its maximum the
    score. ``outputs``: further tensors (n, d) to give out, each with its width d.
    """
    graph.add("Squeeze", [placed, graph.constant("one", np.array([1], np.int64))], "map", own=False)
    axes = [1, 2]
    if opset >= 18:
        graph.add("ReduceMax", ["map", graph.constant("sides", np.array(axes, np.int64))], "score", own=False, keepdims=0)
    else:
        graph.add("ReduceMax", ["map"], "score", own=False, axes=axes, keepdims=0)
    return graph.model(scale, outputs or {})


def mixed_layers(
    graph: GraphBuilder, net: FeatureNet, weights: Sequence[NDArray[np.float32]], bias: NDArray[np.float32], name: str
) -> str:
    """Add ``features @ weights + bias`` of each place of the grid, (n, c, h, w), and return its name.

    ``weights``: for each layer (width, c). A coarser layer's value counts at every place that it covers.
    """
    parts: list[str] = []
    with_bias = next(index for index, layer in enumerate(net.layers) if layer.stride == net.stride)
    for index, (layer, weight) in enumerate(zip(net.layers, weights, strict=True)):
        inputs = [layer.name, graph.constant(f"{name}{index}", weight.T[:, :, None, None])]
        if index == with_bias:
            inputs.append(graph.constant(f"{name}_bias", bias))
        part = graph.add("Conv", inputs, f"{name}_of_layer{index}")
        times = layer.stride // net.stride
        if times > 1:
            scales = graph.constant(f"times{index}", np.array([1, 1, times, times], np.float32))
            nearest: dict[str, Any] = {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
            part = graph.add("Resize", [part, "", scales], f"{name}_spread{index}", **nearest)
        parts.append(part)
    mixed = parts[0]
    for index, part in enumerate(parts[1:]):
        mixed = graph.add("Add", [mixed, part], f"{name}_sum{index}")
    return mixed


def _nearest(graph: GraphBuilder, net: FeatureNet, features: str, bank: NDArray[np.float32]) -> str:
    """Make the distance to the nearest of the bank, (n, 1, h, w), from ``features`` (n, c + 1, h, w), the last of which are
    1.
    """
    last = graph.add("Transpose", [features], "places", perm=[0, 2, 3, 1])
    squares = np.einsum("kc,kc->k", bank, bank) - 1  # the last feature's own square, which the norm holds
    columns = np.vstack([-2 * bank.T, squares])
    axis = graph.constant("last_axis", np.array([3], np.int64))
    pieces = []
    for index, piece in enumerate(np.array_split(columns, -(-len(bank) // _PIECE), axis=1)):
        products = graph.add("MatMul", [last, graph.constant(f"bank{index}", piece)], f"products{index}")
        if graphs.opset(net.model) >= 18:
            pieces.append(graph.add("ReduceMin", [products, axis], f"least{index}", keepdims=0))
        else:
            pieces.append(graph.add("ReduceMin", [products], f"least{index}", axes=[3], keepdims=0))
    least = graph.add("Min", pieces, "least") if len(pieces) > 1 else pieces[0]
    squared = graph.add("Mul", [last, last], "squared")
    norm = graph.add("ReduceSum", [squared, axis], "norm", keepdims=0)
    above = graph.add("Relu", [graph.add("Add", [least, norm], "squared_distance")], "squared_distance_above_0")
    one = graph.constant("one", np.array([1], np.int64))
    return graph.add("Unsqueeze", [graph.add("Sqrt", [above], "distance"), one], "distance_map")


def cut_to_frame(graph: GraphBuilder, grid: str, scale: int, shift: tuple[int, int] = (0, 0), of: str = "") -> str:
    """Add ``grid`` (n, 1, h, w) moved to where its values look, and cut to the whole px of the map that the picture holds.

    ``scale``: px of the picture for each px of the map. ``shift``: (across, down) as ``map_shift`` has it. ``of``: goes in
    front of the tensors' names.
    """
    across, down = shift
    before = [0, 0, max(down, 0), max(across, 0)]
    after = [0, 0, max(-down, 0) + FINER, max(-across, 0) + FINER]
    margin = graph.constant(f"{of}margin", np.array([*before, *after], np.int64))
    wide = graph.add("Pad", [grid, margin], f"{of}wide", mode="edge")
    first = graph.constant(f"{of}first", np.array([max(-down, 0), max(-across, 0)], np.int64))
    bounds = [graph.constant(name, np.array([value], np.int64)) for name, value in (("one", 1), ("three", 3))]
    shape = graph.add("Shape", ["frame"], f"{of}frame_shape")
    sides = graph.add("Slice", [shape, *bounds], f"{of}frame_sides")
    whole = graph.add("Div", [sides, graph.constant("scale", np.array([scale] * 2, np.int64))], f"{of}whole_px")
    end = graph.add("Add", [whole, first], f"{of}end")
    rows_columns = graph.constant("rows_columns", np.array([2, 3], np.int64))
    return graph.add("Slice", [wide, first, end, rows_columns], f"{of}placed")


class GraphBuilder:
    """A copy of a backbone that nodes and constants are added to, under names that no backbone has."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._constants: set[str] = set()

    def constant(self, name: str, values: NDArray[Any]) -> str:
        name = f"edge/memory/{name}"
        if name not in self._constants:
            self._constants.add(name)
            self._model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, *, own: bool = True, **attributes: Any) -> str:
        name = f"edge/memory/{output}" if own else output
        self._model.graph.node.append(helper.make_node(op, inputs, [name], name=f"edge/memory/{op}/{output}", **attributes))
        return name

    def model(self, scale: int, outputs: Mapping[str, int]) -> onnx.ModelProto:
        graph = self._model.graph
        count, height, width, channels = graphs.dims(graphs.inputs(self._model)[0])
        n = count or "n"
        sides = (height or "H", width or "W")
        map_sides = (height // scale, width // scale) if height and width else ("h", "w")
        del graph.input[:], graph.output[:], graph.value_info[:]
        graph.input.append(graphs.value("frame", TensorProto.UINT8, [n, *sides, channels or 3]))
        graph.output.append(graphs.value("map", TensorProto.FLOAT, [n, *map_sides]))
        graph.output.append(graphs.value("score", TensorProto.FLOAT, [n]))
        graph.output.extend(graphs.value(name, TensorProto.FLOAT, [n, width]) for name, width in outputs.items())
        graphs.prune(graph)
        graph.name = "memory"
        del self._model.metadata_props[:]
        return self._model
