"""Gabor features need no weights: they say how strongly each cell of 16 x 16 px answers to lines of six directions and four
sizes.

A Gabor filter is a wave under a Gaussian (Daugman, 1985). Even and odd wave together give an energy that doesn't depend on
where exactly a line lies. Of each the mean and the maximum over the cell are taken, as logarithms, so that a brighter lamp
adds a constant; besides them each channel's mean and deviation in the cell. All of it is plain ONNX operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
CELL = 16
"""Side of a cell in px; the stride of the one layer, ``cells``."""
DIRECTIONS, SIZES = 6, 4
"""Each size is seen in a picture half as large as the one before."""
_SIDE, _WAVELENGTH, _SIGMA = 9, 4.0, 2.0
"""Sides in px of a filter, its wave, its Gaussian."""
_QUIET = 2.0
"""Grey levels added in front of the logarithm: below that it is noise."""
_DARK = 8.0
"""Grey levels added likewise for a cell's mean."""


def gabor(channels: int) -> onnx.ModelProto:
    """Return the graph for pictures of 1 or 3 channels.

    Its input ``frame`` is uint8 (n, H, W, ``channels``), its output ``cells`` float32 (n, 50, h, w), of RGB (n, 54, h, w);
    h and w are the picture's sides over 16, rounded down.
    """
    graph = _Graph()
    graph.add("Cast", ["frame"], "pixels", to=TensorProto.FLOAT)
    graph.add("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2])
    grey = "planes"
    if channels == 3:
        luma = np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 3, 1, 1)  # ITU-R BT.601
        grey = graph.add("Conv", ["planes", graph.constant(luma)], "grey")
    layers = []
    for size in range(SIZES):
        if size:
            grey = graph.add("AveragePool", [grey], f"grey{size}", kernel_shape=[2, 2], strides=[2, 2])
        layers += _energies(graph, grey, size)
    layers += _level(graph, "planes")
    graph.add("Concat", layers, "cells", axis=1)
    return graph.model(channels, 2 * DIRECTIONS * SIZES + 2 * channels)


def filters() -> NDArray[np.float32]:
    """Return the filters (2 * ``DIRECTIONS``, 1, 9, 9): even and odd of each direction, without a mean, of norm 1."""
    reach = _SIDE // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    window = np.exp(-(x * x + y * y) / (2 * _SIGMA**2))
    found = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / _WAVELENGTH
        even = window * np.cos(phase)
        even -= window * (even.sum() / window.sum())
        odd = window * np.sin(phase)
        found += [even / np.linalg.norm(even), odd / np.linalg.norm(odd)]
    return np.stack(found)[:, None].astype(np.float32)


def _energies(graph: _Graph, grey: str, size: int) -> list[str]:
    """Make tensors of one size: the logarithm of each direction's energy, mean and maximum of each cell."""
    reach, cell = _SIDE // 2, CELL >> size
    # the edge repeated: with zeros around it every picture would end in a line
    margin = graph.constant(np.array([0, 0, reach, reach, 0, 0, reach, reach], np.int64))
    graph.add("Pad", [grey, margin], f"wide{size}", mode="edge")
    graph.add("Conv", [f"wide{size}", graph.constant(filters())], f"waves{size}")
    graph.add("Mul", [f"waves{size}", f"waves{size}"], f"squares{size}")
    pairs = graph.constant(np.ones((DIRECTIONS, 2, 1, 1), np.float32))
    graph.add("Conv", [f"squares{size}", pairs], f"power{size}", group=DIRECTIONS)
    graph.add("Sqrt", [f"power{size}"], f"energy{size}")
    found = []
    for kind, pool in (("mean", "AveragePool"), ("peak", "MaxPool")):
        graph.add(pool, [f"energy{size}"], f"{kind}{size}", kernel_shape=[cell, cell], strides=[cell, cell])
        found.append(graph.logarithm(f"{kind}{size}", _QUIET))
    return found


def _level(graph: _Graph, planes: str) -> list[str]:
    """Make tensors of each channel's mean and deviation in each cell."""
    window: dict[str, Any] = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    graph.add("AveragePool", [planes], "level", **window)
    graph.add("Mul", [planes, planes], "squares")
    graph.add("AveragePool", ["squares"], "power", **window)
    graph.add("Mul", ["level", "level"], "level_squared")
    graph.add("Sub", ["power", "level_squared"], "variance")
    graph.add("Relu", ["variance"], "variance_above_0")  # rounding may leave it just below
    graph.add("Sqrt", ["variance_above_0"], "deviation")
    return [graph.logarithm("level", _DARK), graph.logarithm("deviation", _QUIET)]


class _Graph:
    """Nodes and constants as they come, under names that mark them as this project's."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"edge/constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        own = [name if name == "frame" or name.startswith("edge/") else f"edge/{name}" for name in inputs]
        name = output if output == "cells" else f"edge/{output}"
        self._nodes.append(helper.make_node(op, own, [name], name=f"edge/{op}/{output}", **attributes))
        return output

    def logarithm(self, tensor: str, offset: float) -> str:
        self.add("Add", [tensor, self.constant(np.array(offset, np.float32))], f"{tensor}_above_0")
        return self.add("Log", [f"{tensor}_above_0"], f"log_{tensor}")

    def model(self, channels: int, width: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "gabor",
            [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["n", "H", "W", channels])],
            [helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["n", width, "h", "w"])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edge")
        helper.set_model_props(model, {"backbone": "Gabor filters, without weights", "layers": "cells", "whiten": "1"})
        return model
