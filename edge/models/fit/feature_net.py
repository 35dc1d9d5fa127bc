"""Features of a backbone's layers lie on one grid; the methods that compare features add up and compare these.

The grid is that of the finest layer; a coarser layer's value stands at each place that it covers. The picture is first made
a multiple of the coarsest stride by repeating its last row and column, so that all layers lie evenly on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.errors import UserError
from edge.models import graphs
from edge.models.backbone.layers import Layer, chosen_layers, cut_after, default_layers
from edge.models.backbone.open import Backbone, default_backbone, open_backbone, with_any_size
from edge.models.backbone.place import first_centre

_OLDEST_OPSET = 13
"""From here on ReduceSum and Unsqueeze take their axes as inputs, as the nodes written here do."""


@dataclass(frozen=True, slots=True)
class FeatureNet:
    """A backbone cut behind its chosen layers, with the padding in front.

    ``model``: input ``frame`` uint8 (n, H, W, C), outputs the ``layers``, each float32 (n, width, h, w). ``stride``: px of
    the picture for each place of the grid. ``first``: (x, y) in px of the middle of what the grid's first place sees.
    """

    backbone: Backbone
    layers: tuple[Layer, ...]
    model: onnx.ModelProto
    stride: int
    first: tuple[float, float]
    _session: ort.InferenceSession = field(repr=False)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the pictures, where the network takes no other."""
        shape = graphs.dims(graphs.inputs(self.model)[0])
        return (shape[2], shape[1]) if shape[1] is not None and shape[2] is not None else None

    @property
    def width(self) -> int:
        """Features of each place."""
        return sum(layer.width for layer in self.layers)

    def features(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the layers make of ``picture`` (H, W, C), as (h, w, ``width``)."""
        values = self._session.run([layer.name for layer in self.layers], {"frame": picture[None]})
        height, width = next(
            v.shape[2:] for v, layer in zip(values, self.layers, strict=True) if layer.stride == self.stride
        )
        grid = np.empty((height, width, self.width), np.float32)
        start = 0
        for layer, value in zip(self.layers, values, strict=True):
            times = layer.stride // self.stride
            whole = value[0].transpose(1, 2, 0)
            if times > 1:
                whole = whole.repeat(times, axis=0).repeat(times, axis=1)
            grid[:, :, start : start + layer.width] = whole
            start += layer.width
        return grid


def open_features(
    what: Path | None, names: Sequence[str], channels: Literal[1, 3], size: tuple[int, int] | None
) -> FeatureNet:
    """Return the layers ``names`` of the backbone ``what``, for pictures of ``channels`` and ``size`` (width, height).

    ``what`` None: ``default_backbone``. ``names`` empty: the backbone's own choice. ``size`` None: pictures of any.

    Raises:
        UserError: the backbone can't be opened, has no such layer, takes pictures of another size only, or its layers
            don't lie on one grid.
    """
    backbone = open_backbone(what or default_backbone(), channels)
    layers = (
        chosen_layers(backbone.layers, names, backbone.what) if names else default_layers(backbone.model, backbone.layers)
    )
    stride, coarsest = min(layer.stride for layer in layers), max(layer.stride for layer in layers)
    uneven = [layer for layer in layers if layer.stride % stride or coarsest % layer.stride]
    if uneven:
        raise UserError(
            f"--layers: the strides of {backbone.what} don't divide each other",
            received=", ".join(map(str, layers)),
            expected="strides that are multiples of the smallest, 16 and 32 for example",
        )
    cut = _lifted(cut_after(backbone.model, [layer.name for layer in layers]), backbone.what)
    cut = with_any_size(cut)
    fixed = graphs.dims(graphs.inputs(cut)[0])
    if fixed[1] is not None or fixed[2] is not None:
        _expect_size(backbone, (fixed[2] or 0, fixed[1] or 0), size)
    else:
        cut = _padded(cut, coarsest)
    finest = next(layer for layer in layers if layer.stride == stride)
    session = graphs.session(cut, backbone.what)
    net = FeatureNet(backbone, layers, cut, stride, first_centre(backbone.model, finest.name, stride), session)
    _expect_one_grid(net, channels, size or backbone.size or (4 * coarsest, 3 * coarsest))
    return net


def _expect_size(backbone: Backbone, own: tuple[int, int], size: tuple[int, int] | None) -> None:
    if size != own:
        received = "pictures of any size" if size is None else f"pictures of {size[0]}x{size[1]}"
        raise UserError(
            f"{backbone.what}: the network takes pictures of one size only",
            received=received,
            expected=f"{own[0]}x{own[1]}",
            fix=f"export it with dynamic height and width, or bring frames to its size: --size {own[0]},{own[1]}",
        )


def _expect_one_grid(net: FeatureNet, channels: int, size: tuple[int, int]) -> None:
    """Raise UserError if a network without padding gives layers that are smaller than their stride says."""
    frame = np.zeros((1, size[1], size[0], channels), np.uint8)
    try:
        values = graphs.run_graph(net._session, frame)  # noqa: SLF001  (made just here)
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        raise UserError(
            f"{net.backbone.what}: the network does not run on a {size[0]}x{size[1]} picture",
            received=graphs.first_line(error),
        ) from None
    shapes = {layer: values[layer.name].shape[2:] for layer in net.layers}
    height, width = next(shape for layer, shape in shapes.items() if layer.stride == net.stride)
    for layer, (h, w) in shapes.items():
        times = layer.stride // net.stride
        if (h * times, w * times) != (height, width):
            raise UserError(
                f"--layers: the layers of {net.backbone.what} don't lie on one grid",
                received=f"{layer.name} has {w}x{h} places, not {width / times:g}x{height / times:g}",
                fix="name one layer",
            )


def _lifted(model: onnx.ModelProto, what: str) -> onnx.ModelProto:
    if graphs.opset(model) >= _OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, _OLDEST_OPSET)
    except Exception as error:  # noqa: BLE001  (RuntimeError, ValueError and its own ConvertError)
        raise UserError(
            f"{what}: operators of opset {graphs.opset(model)} cannot be lifted to {_OLDEST_OPSET}",
            received=graphs.first_line(error),
            fix=f"export the network again with opset {_OLDEST_OPSET} or later",
        ) from None


def _padded(model: onnx.ModelProto, multiple: int) -> onnx.ModelProto:
    """A copy that first repeats the picture's last row and column until its sides are multiples."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    node = helper.make_node
    constants = {
        "edge/multiple": np.array([1, multiple, multiple, 1], np.int64),
        "edge/no_margin": np.zeros(4, np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    head = [
        node("Cast", ["frame"], ["edge/as_float"], to=TensorProto.FLOAT),  # TensorRT takes uint8 only into a Cast
        node("Shape", ["frame"], ["edge/shape"]),
        node("Neg", ["edge/shape"], ["edge/shape_below_0"]),
        node("Mod", ["edge/shape_below_0", "edge/multiple"], ["edge/missing"]),
        node("Concat", ["edge/no_margin", "edge/missing"], ["edge/margin"], axis=0),
        node("Pad", ["edge/as_float", "edge/margin"], ["edge/whole"], mode="edge"),
    ]
    rest = []
    for old in graph.node:
        if old.op_type == "Cast" and list(old.input) == ["frame"] and old.attribute[0].i == TensorProto.FLOAT:
            rest.append(node("Identity", ["edge/whole"], [old.output[0]], name=old.name))
        else:
            rest.append(old)
    if any("frame" in graphs.names_used(n) for n in rest):
        head.append(node("Cast", ["edge/whole"], ["edge/whole_uint8"], to=TensorProto.UINT8))
        for n in rest:
            n.input[:] = ["edge/whole_uint8" if name == "frame" else name for name in n.input]
    del graph.node[:]
    graph.node.extend([*head, *rest])
    return copy


def hint(net: FeatureNet, key: str) -> Any:
    """Return what the backbone's file says about how its features are best used, or None."""
    return next((p.value for p in net.backbone.model.metadata_props if p.key == key), None)
