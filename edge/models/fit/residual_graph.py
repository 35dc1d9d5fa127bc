"""The ``residual`` method's graph: plain ONNX operators, 5 ms for 512x512 on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 17
SCALES: Final = (1, 2, 4)
SLOW: Final = 13
"""Window of the slow changes of the light, averaged twice, in px of the quarter picture: about a Gaussian of 21 px."""
MIDDLE: Final = 128.0
"""Grey level that the statistics add to a picture without its slow changes, so that they sum numbers above 0."""
AROUND: Final = 5
"""Side of the square, in px of its scale, whose highest value a px is compared with; two averages over 3x3 reach as far."""
EDGE, STEEP = 0.6, 8.0
"""A px below 0.6 of the highest around it is cut down to what 99 % of good px stay below: it shows what is beside it.
At a straight edge the averages leave a third of the difference outside and two thirds inside. On the synthetic presets
regions cover 0.60 and 0.56 of their union with the defects; without the gate 0.30 and 0.14."""
Weights: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], float]
"""A scale has two arrays (H, W, C), mean and 1 / (deviation * q), and the value that 99 % of good px stay below."""
Constants: TypeAlias = dict[str, Any]
"""Arrays and NumPy scalars by name."""


def residual_graph(
    shape: tuple[int, int, int], padded: tuple[int, int], weights: Sequence[Weights], *, flat_field: bool
) -> onnx.ModelProto:
    """A blur, a difference, a product and a gate at each scale, and the maximum over them.

    ``shape``: (H, W, C) of a picture; ``padded``: rows and columns filled up to whole quarters. The blur is pooling because
    ONNX Runtime widens convolutions of one channel to 16: a Gaussian takes three times as long.
    """
    height, width, channels = shape
    constants: Constants = {"channel_axis": np.array([1], np.int64)}
    nodes = _blurred(shape, padded, constants)
    slow = _slow(nodes, constants) if flat_field else {}
    maps = [
        _distance(scale, pair, slow.get(scale), channels, nodes, constants)
        for scale, pair in zip(SCALES, weights, strict=True)
    ]
    gated = _gated(maps, [usual for _, _, usual in weights], nodes, constants)
    highest = _highest(gated, nodes, constants)
    if padded != (height, width):
        constants |= {"first": np.array([0, 0]), "last": np.array([height, width]), "axes": np.array([2, 3])}
        nodes.append(helper.make_node("Slice", [highest, "first", "last", "axes"], ["cut"]))
        highest = "cut"
    nodes += [
        helper.make_node("Squeeze", [highest, "channel_axis"], ["map"]),
        helper.make_node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["n", height, width, channels])],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", height, width]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edge")


def _blurred(shape: tuple[int, int, int], padded: tuple[int, int], constants: Constants) -> list[onnx.NodeProto]:
    """From ``frame`` to ``blurred_1``, ``blurred_2`` and ``blurred_4``, (n, C, H, W)."""
    node = helper.make_node
    constants["reflected"] = np.array([0, 0, 2, 2, 0, 0, 2, 2], np.int64)
    nodes = [
        node("Cast", ["frame"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["unpadded"], perm=[0, 3, 1, 2]),
    ]
    plane = "unpadded"
    if padded != shape[:2]:
        below, right = padded[0] - shape[0], padded[1] - shape[1]
        constants["filled_up"] = np.array([0, 0, 0, 0, 0, 0, below, right], np.int64)
        nodes.append(node("Pad", [plane, "filled_up"], ["padded"], mode="edge"))
        plane = "padded"
    pool: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [1, 1]}
    for scale in SCALES:
        if scale > 1:
            nodes.append(node("AveragePool", [plane], [f"half_{scale}"], kernel_shape=[2, 2], strides=[2, 2]))
            plane = f"half_{scale}"
        nodes += [
            node("Pad", [plane, "reflected"], [f"wide_{scale}"], mode="reflect"),
            node("AveragePool", [f"wide_{scale}"], [f"once_{scale}"], **pool),
            node("AveragePool", [f"once_{scale}"], [f"blurred_{scale}"], **pool),
        ]
    return nodes


def _distance(
    scale: int,
    weights: Weights,
    slow: str | None,
    channels: int,
    nodes: list[onnx.NodeProto],
    constants: Constants,
) -> str:
    """One scale's map, (n, 1, H, W); ``slow``: what is taken off before."""
    node = helper.make_node
    mean, inverse, _ = weights
    constants[f"inverse_{scale}"] = inverse.transpose(2, 0, 1)[None]
    constants[f"mean_{scale}"] = mean.transpose(2, 0, 1)[None] - np.float32(0 if slow is None else MIDDLE)
    blurred = f"blurred_{scale}"
    if slow is not None:
        nodes.append(node("Sub", [blurred, slow], [f"evened_{scale}"]))
        blurred = f"evened_{scale}"
    nodes += [
        node("Sub", [blurred, f"mean_{scale}"], [f"difference_{scale}"]),
        node("Mul", [f"difference_{scale}", f"inverse_{scale}"], [f"signed_{scale}"]),
        node("Abs", [f"signed_{scale}"], [f"distance_{scale}"]),
    ]
    if channels == 1:
        return f"distance_{scale}"
    nodes.append(node("ReduceMax", [f"distance_{scale}"], [f"map_{scale}"], axes=[1], keepdims=1))
    return f"map_{scale}"


def _gated(maps: Sequence[str], usual: Sequence[float], nodes: list[onnx.NodeProto], constants: Constants) -> list[str]:
    """Each scale's map without what its blur, or a finer scale's peak, carries over a defect's edge."""
    node = helper.make_node
    constants |= {"edge": np.float32(EDGE), "steep": np.float32(STEEP)}
    pool: dict[str, Any] = {"kernel_shape": [AROUND] * 2, "strides": [1, 1], "pads": [AROUND // 2] * 4}
    peaks, found = "", []
    for name, level in zip(maps, usual, strict=True):
        constants[f"{name}_usual"] = np.float32(level)
        if peaks:
            nodes.append(node("MaxPool", [peaks], [f"{name}_finer"], kernel_shape=[2, 2], strides=[2, 2]))
            nodes.append(node("Max", [f"{name}_finer", name], [f"{name}_peaks"]))
        peaks = f"{name}_peaks" if peaks else name
        nodes += [
            node("MaxPool", [peaks], [f"{name}_around"], **pool),
            node("Mul", [f"{name}_around", "edge"], [f"{name}_edge"]),
            node("Sub", [name, f"{name}_edge"], [f"{name}_above"]),
            node("Relu", [f"{name}_above"], [f"{name}_inside"]),
            node("Mul", [f"{name}_inside", "steep"], [f"{name}_opened"]),
            node("Add", [f"{name}_opened", f"{name}_usual"], [f"{name}_gate"]),
            node("Min", [name, f"{name}_gate"], [f"{name}_gated"]),
        ]
        found.append(f"{name}_gated")
    return found


def _highest(maps: Sequence[str], nodes: list[onnx.NodeProto], constants: Constants) -> str:
    """The maximum over the scales, at full size: from the coarsest on, enlarged twofold each time."""
    constants["doubled"] = np.array([1, 1, 2, 2], np.float32)
    resize = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    highest = maps[-1]
    for finer in reversed(maps[:-1]):
        nodes.append(helper.make_node("Resize", [highest, "", "doubled"], [f"{finer}_above"], **resize))
        nodes.append(helper.make_node("Max", [f"{finer}_above", finer], [f"{finer}_highest"]))
        highest = f"{finer}_highest"
    return highest


def _slow(nodes: list[onnx.NodeProto], constants: Constants) -> dict[int, str]:
    """The slow changes of the light at each scale: the quarter picture averaged widely, and enlarged again."""
    node = helper.make_node
    r = SLOW - 1
    constants["far"] = np.array([0, 0, r, r, 0, 0, r, r], np.int64)
    pool: dict[str, Any] = {"kernel_shape": [SLOW, SLOW], "strides": [1, 1]}
    last = SCALES[-1]
    nodes += [
        node("Pad", [f"blurred_{last}", "far"], ["slow_wide"], mode="reflect"),
        node("AveragePool", ["slow_wide"], ["slow_once"], **pool),
        node("AveragePool", ["slow_once"], [f"slow_{last}"], **pool),
    ]
    for scale in SCALES[:-1]:
        constants[f"times_{scale}"] = np.array([1, 1, last // scale, last // scale], np.float32)
        resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        nodes.append(node("Resize", [f"slow_{last}", "", f"times_{scale}"], [f"slow_{scale}"], **resize))
    return {scale: f"slow_{scale}" for scale in SCALES}
