"""A foreign model's graph becomes a bundle's: preprocessing folded in front, map and score brought into form behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.errors import UserError
from edge.models import graphs
from edge.models.build.foreign import ModelInput, spatial_axes
from edge.models.build.options import BuildOptions
from edge.preprocess.prepare import KERNELS

_RESERVED = ("frame", "map", "score", "embedding")
_RESIZE: dict[str, dict[str, Any]] = {
    "linear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "cubic": {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75},
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
}
"""Attributes of ONNX's Resize that give OpenCV's numbers."""
GRAPH_KERNELS = tuple(_RESIZE)
"""Kernels that a resize inside the graph can have; ONNX has none that averages areas."""


@dataclass(frozen=True, slots=True)
class InputTransform:
    """A transform gives the numbers between a frame's pixels and the model's input: ``(pixel * scale - mean) / std`` per
    channel.

    ``scale`` None: division by ``2 ** bits - 1``. ``mean`` and ``std``: one value, or one for each channel of the model.
    ``order``: the model's channels; frames are RGB. ``channels`` and ``bits``: of the frame. ``inner``: (w, h) of a resize
    by ``kernel`` (linear, nearest, cubic) in the graph, in front of all that.
    """

    channels: int
    bits: int = 8
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    order: Literal["rgb", "bgr"] = "rgb"
    inner: tuple[int, int] | None = None
    kernel: str = "linear"


def input_transform_of(taken: ModelInput, options: BuildOptions, path: Path) -> InputTransform:
    """Make the transform from what a person asked for.

    Raises:
        UserError: numbers that are no preprocessing, or none that this model takes.
    """
    channels, bits, scale, mean, std = options.channels, options.bits, options.scale, options.mean, options.std
    if not 8 <= bits <= 16:
        raise UserError("--bits", received=bits, expected="8 to 16")
    if taken.dtype == "uint8" and (scale, mean, std, bits) != (None, None, None, 8):
        raise UserError(
            f"{path}: input {taken.name!r} takes uint8 pixels as they are",
            received="scale, mean, std or bits",
            fix="leave them out",
        )
    if scale is not None and not 0 < scale < math.inf:
        raise UserError("--scale", received=scale, expected="a number above 0")
    for option, values, least in (("--mean", mean, -math.inf), ("--std", std, 0.0)):
        if values is not None and len(values) not in (1, taken.channels):
            raise UserError(option, received=f"{len(values)} values", expected=f"1 or {taken.channels}")
        if not all(least < v < math.inf for v in values or ()):
            expected = "finite numbers above 0" if least == 0 else "finite numbers"
            raise UserError(option, received=", ".join(map(str, values or ())), expected=expected)
    if channels == 3 and taken.channels == 1:
        raise UserError(
            f"{path}: the model takes grey pictures",
            received="--channels 3",
            expected="--channels 1; colour frames are then turned grey on the host",
        )
    return InputTransform(
        channels or taken.channels,
        bits,
        scale,
        tuple(mean) if mean is not None else None,
        tuple(std) if std is not None else None,
        options.order if taken.channels == 3 else "rgb",
    )


@dataclass(frozen=True, slots=True)
class Exposed:
    """A tensor of the model that becomes a bundle's output, and the shape that it had for one picture (or one batch)."""

    tensor: str
    shape: tuple[int, ...]


def reference_feed(image: NDArray[Any], taken: ModelInput, recipe: InputTransform) -> NDArray[Any]:
    """Make the model's own input from one (H, W, C) picture, in NumPy: the folded graph is checked against it."""
    x: NDArray[Any] = image
    if recipe.inner is not None:
        resized = cv2.resize(x.astype(np.float32), recipe.inner, interpolation=KERNELS[recipe.kernel])
        x = resized.reshape(*resized.shape[:2], x.shape[2])
    x = np.repeat(x, taken.channels, axis=2) if x.shape[2] < taken.channels else x
    if recipe.order == "bgr":
        x = x[:, :, ::-1]
    if taken.dtype == "float32":
        x = x.astype(np.float32)
        x = x / np.float32(2**recipe.bits - 1) if recipe.scale is None else x * np.float32(recipe.scale)
        x = (x - np.array(recipe.mean or (0.0,), np.float32)) / np.array(recipe.std or (1.0,), np.float32)
    x = x.transpose(2, 0, 1) if taken.layout == "nchw" else x
    return np.ascontiguousarray(np.repeat(x[None], taken.batch or 1, axis=0))


def wrapped(
    model: onnx.ModelProto,
    taken: ModelInput,
    recipe: InputTransform,
    *,
    size: tuple[int, int] | None,
    amap: Exposed,
    score: Exposed | None,
    embedding: Exposed | None,
    map_follows: bool,
) -> onnx.ModelProto:
    """Return a copy of ``model`` under the bundle's contract: ``frame`` in, ``map``, ``score`` and ``embedding`` out.

    ``size``: (w, h) of ``frame``, None for any. ``map_follows``: the map's size varies with the frame's.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    graph = out.graph
    own = graphs.free_prefix(graph, "model")
    new_names = {n: f"{own}/{n}" for n in _RESERVED if not graphs.is_free(graph, n)}
    graphs.rename(graph, new_names)
    writer = _Writer(graph, graphs.opset(model))
    before = _preprocessing(writer, taken, recipe, new_names.get(taken.name, taken.name))
    batch = taken.batch or 1
    _map_out(writer, new_names.get(amap.tensor, amap.tensor), amap.shape, batch)
    n: int | str = "n" if taken.batch is None else 1
    height, width = spatial_axes(amap.shape, batch)
    outputs = [graphs.value("map", TensorProto.FLOAT, [n, amap.shape[height], amap.shape[width]])]
    if map_follows:
        outputs = [graphs.value("map", TensorProto.FLOAT, [n, "h", "w"])]
    if score is not None:
        _score_out(writer, new_names.get(score.tensor, score.tensor), score.shape, batch)
        outputs.append(graphs.value("score", TensorProto.FLOAT, [n]))
    if embedding is not None:
        graph.node.append(
            writer.node("Identity", [_first(writer, new_names.get(embedding.tensor, embedding.tensor), batch)], "embedding")
        )
        outputs.append(graphs.value("embedding", TensorProto.FLOAT, [n, embedding.shape[1]]))
    nodes = [*before, *graph.node]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    dtype = TensorProto.UINT8 if recipe.bits == 8 else TensorProto.UINT16
    graph.input.append(graphs.value("frame", dtype, [n, *((size[1], size[0]) if size else ("H", "W")), recipe.channels]))
    graph.output.extend(outputs)
    graphs.prune(graph)
    graph.name = "edge"
    return out


def fed_by_frames(model: onnx.ModelProto, taken: ModelInput, recipe: InputTransform) -> onnx.ModelProto:
    """Return a copy of ``model`` whose input is a bundle's ``frame``; whatever it gives out, it gives out as before.

    A tensor of the model that has a name of the bundle's contract is renamed: ``model/map`` for ``map``.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    graph = out.graph
    new_names = {n: f"model/{n}" for n in _RESERVED if not graphs.is_free(graph, n)}
    graphs.rename(graph, new_names)
    nodes = _preprocessing(_Writer(graph, graphs.opset(model)), taken, recipe, new_names.get(taken.name, taken.name))
    nodes += graph.node
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    sides = tuple(side or open_ for side, open_ in zip(reversed(taken.sides), ("H", "W"), strict=True))
    dtype = TensorProto.UINT8 if recipe.bits == 8 else TensorProto.UINT16
    graph.input.append(graphs.value("frame", dtype, [taken.batch or "n", *sides, recipe.channels]))
    return out


class _Writer:
    """Appends nodes and constants to a graph under names that no model has."""

    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self.graph = graph
        self.opset = opset
        self._count = 0
        self._prefix = graphs.free_prefix(graph, "edge")

    def constant(self, values: NDArray[Any]) -> str:
        self._count += 1
        name = f"{self._prefix}/constant_{self._count}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> onnx.NodeProto:
        self._count += 1
        name = f"{self._prefix}/{op}_{self._count}"
        return helper.make_node(op, inputs, [output or name], name=name, **attributes)

    def on_axes(self, op: str, tensor: str, axis: int, output: str) -> onnx.NodeProto:
        """Squeeze or Unsqueeze: the axes became an input in opset 13."""
        if self.opset < 13:
            return self.node(op, [tensor], output, axes=[axis])
        return self.node(op, [tensor, self.constant(np.array([axis], np.int64))], output)


def _preprocessing(w: _Writer, taken: ModelInput, recipe: InputTransform, target: str) -> list[onnx.NodeProto]:
    """Make the nodes from ``frame`` to the model's input. Cast comes first: TensorRT takes uint8 only into a Cast."""
    nodes: list[onnx.NodeProto] = []
    last = "frame"

    def then(op: str, *more: str, **attributes: Any) -> None:
        nonlocal last
        nodes.append(w.node(op, [last, *more], **attributes))
        last = nodes[-1].output[0]

    # grey is scaled as nchw in any case: ONNX Runtime takes 10 ns for each element of a Div or Mul whose last axis is 1
    planar = taken.layout == "nchw" or taken.channels == 1 or recipe.inner is not None
    axis = 1 if planar else 3
    if taken.dtype == "float32":
        then("Cast", to=TensorProto.FLOAT)
    if planar:
        then("Transpose", perm=[0, 3, 1, 2])
    if recipe.inner is not None:
        nodes += _resized(w, last, recipe.inner, recipe.kernel)
        last = nodes[-1].output[0]
    if recipe.channels < taken.channels:
        then("Concat", last, last, axis=axis)
    elif recipe.order == "bgr":
        then("Gather", w.constant(np.array([2, 1, 0], np.int64)), axis=axis)
    if taken.dtype == "float32" and recipe.mean is None and recipe.std is None:
        if recipe.scale is None:
            then("Div", w.constant(np.array(2**recipe.bits - 1, np.float32)))
        elif recipe.scale != 1:
            then("Mul", w.constant(np.array(recipe.scale, np.float32)))
    elif taken.dtype == "float32":
        shape = (1, -1, 1, 1) if planar else (-1,)
        scale = recipe.scale if recipe.scale is not None else 1 / (2**recipe.bits - 1)
        std, mean = (np.array(v).reshape(shape) for v in (recipe.std or (1.0,), recipe.mean or (0.0,)))
        then("Mul", w.constant((scale / std).astype(np.float32)))
        then("Add", w.constant((-mean / std).astype(np.float32)))
    if planar and taken.layout == "nhwc":
        then("Transpose", perm=[0, 2, 3, 1])
    if (taken.batch or 1) > 1:
        then("Concat", *[last] * ((taken.batch or 1) - 1), axis=0)
    if not nodes:  # uint8, nhwc, three channels
        then("Identity")
    nodes[-1].output[0] = target
    return nodes


def _resized(w: _Writer, tensor: str, size: tuple[int, int], kernel: str) -> list[onnx.NodeProto]:
    """Make the nodes of a resize of (n, c, h, w)."""
    shape = w.node("Shape", [tensor])
    leading = w.node("Slice", [shape.output[0], *(w.constant(np.array([v], np.int64)) for v in (0, 2, 0))])
    target = w.constant(np.array([size[1], size[0]], np.int64))
    sizes = w.node("Concat", [leading.output[0], target], axis=0)
    # roi and scales may be left out from opset 13 on
    unused = "" if w.opset >= 13 else w.constant(np.zeros(0, np.float32))
    return [shape, leading, sizes, w.node("Resize", [tensor, unused, unused, sizes.output[0]], **_RESIZE[kernel])]


def _first(w: _Writer, tensor: str, batch: int) -> str:
    """Take the first picture's part of a frozen batch."""
    if batch == 1:
        return tensor
    bounds = [w.constant(np.array([v], np.int64)) for v in (0, 1, 0)]
    node = w.node("Slice", [tensor, *bounds])
    w.graph.node.append(node)
    return str(node.output[0])


def _map_out(w: _Writer, tensor: str, shape: tuple[int, ...], batch: int) -> None:
    tensor = _first(w, tensor, batch)
    if len(shape) == 4:
        w.graph.node.append(w.on_axes("Squeeze", tensor, 1 if spatial_axes(shape, batch) == (2, 3) else 3, "map"))
    elif len(shape) == 2:
        w.graph.node.append(w.on_axes("Unsqueeze", tensor, 0, "map"))
    else:
        w.graph.node.append(w.node("Identity", [tensor], "map"))


def _score_out(w: _Writer, tensor: str, shape: tuple[int, ...], batch: int) -> None:
    tensor = _first(w, tensor, batch) if shape else tensor
    w.graph.node.append(w.node("Reshape", [tensor, w.constant(np.array([-1], np.int64))], "score"))
