"""A trained network becomes nodes of a graph: plain operators, norms with frozen statistics, nothing of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from edge.models import graphs
from edge.models.fit.memory_graph import FINER, GraphBuilder, cut_to_frame
from edge.models.train.network_weights import FAR_STRIDE, GRID_STRIDE, NORM_EPSILON, STEM_STRIDE, NetworkWeights

OPSET = 17
ALONE_SCALE = GRID_STRIDE // FINER
"""Px of the picture for each px of the map, where no memory says it."""


def empty_graph(channels: int) -> GraphBuilder:
    """Return a graph of the input ``frame``, uint8 (n, H, W, ``channels``), and nothing else."""
    frame = graphs.value("frame", TensorProto.UINT8, ["n", "H", "W", channels])
    inside = helper.make_graph([], "network", [frame], [])
    return GraphBuilder(helper.make_model(inside, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8))


def graph_name(name: str) -> str:
    """Return what a weight of the network is called in the graph."""
    return f"edge/memory/network_{name}"


def encoder_features(graph: GraphBuilder, weights: NetworkWeights) -> list[str]:
    """Add the encoder; names of its features (n, d, h, w) at strides 4, 8, 16 and 32."""
    made = _Layers(graph, weights)
    x = _standardised(graph, weights)
    features = []
    for number in range(4):
        x = made.step(x, f"encoder.steps.{number}", STEM_STRIDE if number == 0 else 2)
        features.append(x)
    return features


def network_logits(graph: GraphBuilder, weights: NetworkWeights) -> tuple[str, str]:
    """Add the network; names of its logits (n, 1, h, w), a place for each 8 px, and of its coarsest features."""
    made = _Layers(graph, weights)
    features = encoder_features(graph, weights)
    path = made.convolve(features[3], "sides.2")
    for number in (1, 0):
        side = made.convolve(features[number + 1], f"sides.{number}")
        path = graph.add("Add", [side, _doubled(graph, path, f"path{number}")], f"network_path{number}")
    path = graph.add("Relu", [path], "network_path")
    seen = graph.add("Relu", [made.convolve(path, "see")], "network_seen")
    return made.convolve(seen, "say"), features[3]


def network_map(graph: GraphBuilder, logits: str, scale: int) -> str:
    """Add the logits brought to a map of ``scale`` px of the picture each, and return its name."""
    if scale != GRID_STRIDE:
        scales = graph.constant("network_scales", np.array([1, 1, GRID_STRIDE / scale, GRID_STRIDE / scale], np.float32))
        linear: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        logits = graph.add("Resize", [logits, "", scales], "network_fine", **linear)
    return cut_to_frame(graph, logits, scale, of="network_")


def network_embedding(graph: GraphBuilder, features: str, name: str) -> None:
    """Add the output ``name`` (n, d): the mean of ``features`` (n, d, h, w) over the picture."""
    graph.add("Flatten", [graph.add("GlobalAveragePool", [features], "network_pooled")], name, own=False)


def embedding_width(weights: NetworkWeights) -> int:
    """Return the width of what ``network_embedding`` gives."""
    return 4 * weights.width


def _standardised(graph: GraphBuilder, weights: NetworkWeights) -> str:
    """The frame in planes (n, c, H, W), its last row and column repeated until the sides are multiples of 32."""
    pixels = graph.add("Cast", ["frame"], "network_pixels", to=TensorProto.FLOAT)  # TensorRT takes uint8 only into a Cast
    multiple = graph.constant("network_multiple", np.array([1, FAR_STRIDE, FAR_STRIDE, 1], np.int64))
    below = graph.add("Neg", [graph.add("Shape", ["frame"], "network_shape")], "network_shape_below_0")
    missing = graph.add("Mod", [below, multiple], "network_missing")
    nothing = graph.constant("network_no_margin", np.zeros(4, np.int64))
    margin = graph.add("Concat", [nothing, missing], "network_margin_of_frame", axis=0)
    # sides alone may be repeated: the count of pictures and the channels are multiples of 1 already
    whole = graph.add("Pad", [pixels, margin], "network_whole", mode="edge")
    planes = graph.add("Transpose", [whole], "network_planes", perm=[0, 3, 1, 2])
    mean = graph.constant("network_mean", weights.mean.reshape(1, -1, 1, 1))
    factor = graph.constant("network_factor", (1 / weights.deviation).astype(np.float32).reshape(1, -1, 1, 1))
    return graph.add("Mul", [graph.add("Sub", [planes, mean], "network_centred"), factor], "network_standardised")


def _doubled(graph: GraphBuilder, name: str, of: str) -> str:
    scales = graph.constant("network_double", np.array([1, 1, 2, 2], np.float32))
    nearest: dict[str, Any] = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    return graph.add("Resize", [name, "", scales], f"network_doubled_{of}", **nearest)


class _Layers:
    """Layers of the network by the names that its weights have."""

    def __init__(self, graph: GraphBuilder, weights: NetworkWeights) -> None:
        self._graph, self._arrays = graph, weights.arrays

    def step(self, taken: str, name: str, stride: int) -> str:
        """A convolution that makes the grid coarser, then one whose result is added to what it took."""
        down = self._norm(self.convolve(taken, f"{name}.down", stride), f"{name}.down_norm")
        first = self._graph.add("Relu", [down], f"network_{name}.first")
        same = self._norm(self.convolve(first, f"{name}.same"), f"{name}.same_norm")
        return self._graph.add("Relu", [self._graph.add("Add", [first, same], f"network_{name}.sum")], f"network_{name}")

    def convolve(self, taken: str, name: str, stride: int = 1) -> str:
        weight = self._arrays[f"{name}.weight"]
        inputs = [taken, self._graph.constant(f"network_{name}.weight", weight)]
        if f"{name}.bias" in self._arrays:
            inputs.append(self._graph.constant(f"network_{name}.bias", self._arrays[f"{name}.bias"]))
        side = weight.shape[2]
        options: dict[str, Any] = {"kernel_shape": [side] * 2, "strides": [stride] * 2, "pads": [(side - stride) // 2] * 4}
        return self._graph.add("Conv", inputs, f"network_{name}.made", **options)

    def _norm(self, taken: str, name: str) -> str:
        names = ("weight", "bias", "running_mean", "running_var")
        inputs = [self._graph.constant(f"network_{name}.{n}", self._arrays[f"{name}.{n}"]) for n in names]
        return self._graph.add("BatchNormalization", [taken, *inputs], f"network_{name}.made", epsilon=NORM_EPSILON)
