"""Small feature networks with seeded weights, as a torchvision or timm model leaves its exporter."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from support.graphs import graph_model, tensor


def conv_net(
    channels: int = 3,
    size: tuple[int, int] | None = None,
    *,
    widths: tuple[int, ...] = (8, 12, 16),
    batch: int | str = "n",
    head: bool = False,
) -> onnx.ModelProto:
    """Input ``input`` float32 (n, c, h, w); ``relu1``, ``relu2``, ... at strides 2, 4, ...; output ``features``, the last.

    ``size``: (w, h) where the file fixes it. ``head``: a classifier behind, ``scores``, whose weights fix the size.
    """
    rng = np.random.default_rng(3)
    nodes, weights = [], {}
    last, before = "input", channels
    for index, width in enumerate(widths, 1):
        weights[f"w{index}"] = (rng.standard_normal((width, before, 3, 3)) * (2 / (9 * before)) ** 0.5).astype(np.float32)
        out = "features" if index == len(widths) else f"relu{index}"
        nodes.append(helper.make_node("Conv", [last, f"w{index}"], [f"c{index}"], pads=[1] * 4, strides=[2, 2]))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [out]))
        last, before = out, width
    width, height = size or ("w", "h")  # type: ignore[assignment]
    shape: list[Any] = [batch, channels, height, width]
    outputs = [tensor("features", TensorProto.FLOAT, [batch, before, "fh", "fw"])]
    if head:
        assert size is not None
        places = before * -(-size[0] // 8) * -(-size[1] // 8)
        weights["flat"] = np.array([1, places])
        weights["fc"] = rng.standard_normal((places, 5)).astype(np.float32)
        nodes.append(helper.make_node("Reshape", ["features", "flat"], ["row"]))
        nodes.append(helper.make_node("MatMul", ["row", "fc"], ["scores"]))
        outputs = [tensor("scores", TensorProto.FLOAT, [1, 5])]
    return graph_model(nodes, [tensor("input", TensorProto.FLOAT, shape)], outputs, weights)
