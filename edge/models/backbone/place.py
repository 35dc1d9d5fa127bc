"""The first value of a layer looks at a place in the picture, which is found by going back through every window.

A convolution with kernel k, stride s, dilation d and p px of padding in front sees, for its value i, a window around
``i * s - p + (k - 1) * d / 2`` of what goes in. Networks pad both sides alike (their first value looks at px 0) or as
little as they can (TensorFlow's ``SAME``: at stride 16 it looks at px 15). Boxes would lie off by half a stride.
"""

from __future__ import annotations

from typing import Any

import onnx

from edge.models import graphs

_WINDOWS = frozenset({"Conv", "MaxPool", "AveragePool", "LpPool"})
_MOVES = frozenset(
    {"Resize", "Upsample", "Slice", "Pad", "Reshape", "Gather", "ConvTranspose", "SpaceToDepth", "DepthToSpace"}
)
"""Operators that move values in ways that aren't followed here."""


def first_centre(model: onnx.ModelProto, layer: str, stride: int) -> tuple[float, float]:
    """Return (x, y) in px, pixel 0 being at 0.5, of the middle of what the first value of ``layer`` sees.

    The picture's sides are taken for multiples of ``stride``. Where an operator is not understood the middle of the first
    ``stride`` x ``stride`` px comes back.
    """
    made = graphs.producers(model)
    weights = {t.name for t in model.graph.initializer}
    scale, at = 1, [0.0, 0.0]  # of the layer's values, back to the tensor at hand
    name = layer
    steps: list[onnx.NodeProto] = []
    while name != "frame":
        node = made.get(name)
        taken = [n for n in node.input if n and n not in weights] if node is not None else []
        if node is None or node.op_type in _MOVES or not taken:
            return stride / 2, stride / 2
        steps.append(node)
        name = taken[0]
    for node in steps:  # from the layer towards the picture
        if node.op_type in _WINDOWS:
            kernel = _list(node, "kernel_shape", None) or _kernel(model, node)
            strides, dilations = _list(node, "strides", [1, 1]), _list(node, "dilations", [1, 1])
            if kernel is None or strides is None or dilations is None or len(kernel) != 2:
                return stride / 2, stride / 2
            pads = _pads(node, kernel, strides, dilations)
            at = [a * s - p + (k - 1) * d / 2 for a, s, p, k, d in zip(at, strides, pads, kernel, dilations, strict=True)]
            scale *= strides[0]
    if scale != stride:
        return stride / 2, stride / 2
    return at[1] + 0.5, at[0] + 0.5


def _pads(node: onnx.NodeProto, kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """Return the px of padding above and on the left, for sides that the stride divides."""
    padding = next((a.s.decode() for a in node.attribute if a.name == "auto_pad"), "NOTSET")
    whole = [max(0, (k - 1) * d + 1 - s) for k, d, s in zip(kernel, dilations, strides, strict=True)]
    if padding == "SAME_UPPER":
        return [px // 2 for px in whole]
    if padding == "SAME_LOWER":
        return [px - px // 2 for px in whole]
    return [0, 0] if padding == "VALID" else (_list(node, "pads", [0, 0, 0, 0]) or [0, 0])[:2]


def _kernel(model: onnx.ModelProto, node: onnx.NodeProto) -> list[int] | None:
    return next((list(t.dims[2:]) for t in model.graph.initializer if t.name == node.input[1:2][0]), None)


def _list(node: onnx.NodeProto, name: str, default: Any) -> list[int] | None:
    return next((list(a.ints) for a in node.attribute if a.name == name), default)
