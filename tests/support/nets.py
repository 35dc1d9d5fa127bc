"""A small network that finds defects: seeded random convolutions, and the distance from what they say of good frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, DisplaySpec, InputSpec, ResizeSpec
from edge.models import graphs
from edge.models.write import write_bundle
from support.graphs import graph_model, node, tensor

WIDTHS = (1, 16, 24, 24)
"""Channels in front of and behind each convolution; the first halves the picture."""


def distance_net(good: Sequence[Any]) -> onnx.ModelProto:
    """Bundle contract, grey, of the frames' size. ``map`` = mean over 24 features of |feature - mean| / deviation.

    The mean is each pixel's over ``good``, uint8 (H, W), the deviation each feature's.
    """
    features = _run(_net(good[0].shape, None), good, "features")
    mean, deviation = features.mean(axis=0), features.std(axis=(0, 2, 3))[:, None, None] + 0.2 * features.std()
    return _net(good[0].shape, (mean, 1 / deviation))


def write_distance_bundle(folder: Path, good: Sequence[Any], bad: Sequence[Any]) -> Bundle:
    """Displayed from 0 to its maximum over ``bad``, as exporters set it on a set that holds both."""
    model = distance_net(good)
    highest = float(_run(model, bad, "map").max())
    size = (good[0].shape[1], good[0].shape[0])
    spec = BundleSpec(
        name="distance",
        input=InputSpec(channels=1, size=size),
        resize=ResizeSpec(where="host", size=size),
        display=DisplaySpec(threshold=highest / 2, range=(0.0, highest)),
    )
    return write_bundle(folder, model, spec)


def _net(shape: tuple[int, int], known: tuple[Any, Any] | None) -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    height, width = shape
    weights: dict[str, Any] = {"white": np.float32(255)}
    nodes = [
        node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
        node("Transpose", ["pixels"], ["planar"], perm=[0, 3, 1, 2]),
        node("Div", ["planar", "white"], ["x0"]),
    ]
    for index, (taken, given) in enumerate(pairwise(WIDTHS)):
        weights[f"w{index}"] = rng.standard_normal((given, taken, 3, 3), np.float32) * np.float32((2 / (9 * taken)) ** 0.5)
        stride = 2 if index == 0 else 1
        nodes.append(node("Conv", [f"x{index}", f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1], strides=[stride] * 2))
        nodes.append(node("Relu", [f"c{index}"], [f"x{index + 1}"]))
    nodes[-1].output[0] = "features"
    outputs = [tensor("features", TensorProto.FLOAT, ["n", WIDTHS[-1], height // 2, width // 2])]
    if known is not None:
        weights |= {"mean": known[0].astype(np.float32), "inverse": known[1].astype(np.float32)}
        weights |= {"axis": np.array([1]), "twice": np.float32([1, 2, 2])}
        nodes += [
            node("Sub", ["features", "mean"], ["off"]),
            node("Mul", ["off", "inverse"], ["relative"]),
            node("Abs", ["relative"], ["distance"]),
            node("ReduceMean", ["distance"], ["small"], axes=[1], keepdims=0),
            node("Resize", ["small", "", "twice"], ["map"], mode="nearest"),
            node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
        ]
        outputs = [tensor("map", TensorProto.FLOAT, ["n", height, width]), tensor("score", TensorProto.FLOAT, ["n"])]
    return graph_model(nodes, [tensor("frame", TensorProto.UINT8, ["n", height, width, 1])], outputs, weights)


def _run(model: onnx.ModelProto, frames: Sequence[Any], output: str) -> Any:
    session = graphs.session(model, "the net")
    return np.concatenate([graphs.run_graph(session, f[None, :, :, None])[output] for f in frames])
