"""A model can be made of the features of these layers of a network: which there are, how fine and how wide each is.

Declared shapes are not trusted: the network is run on one picture, and what comes out of each node is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models import graphs

_PROBE = 256
"""Side in px of the picture that a network of any size is run on."""
_CARRIES_ON = frozenset(
    {
        "BatchNormalization",
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "HardSwish",
        "HardSigmoid",
        "Sigmoid",
        "Gelu",
        "Softplus",
    }
    | {"Dropout", "Identity", "Pad"}
)
"""A tensor that goes into one of these and nowhere else is the inside of a layer, not its end."""
_OWN = "edge/"
"""Tensors that this project put into a graph are no layers."""
_LEAST_STRIDE, _LARGEST_STRIDE = 2, 64
_LEAST_WIDTH = 4
"""Least number of channels; a tensor of one or three is a map or a picture."""
_SHOWN = 6
"""Number of layers of a stride that an error message lists; the last of a stride see most."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer is a tensor (n, ``width``, h, w) of the network; each of its places stands for ``stride`` x ``stride`` px."""

    name: str
    stride: int
    width: int

    def __str__(self) -> str:
        return f"{self.name} (stride {self.stride}, {self.width} wide)"


def find_layers(model: onnx.ModelProto, what: str) -> tuple[Layer, ...]:
    """Return the layers of ``model``, whose input is ``frame`` uint8 (n, H, W, C), in the order in which they are computed.

    A layer is a float32 tensor (n, c, h, w) with h and w a whole number of times smaller than the picture, rounded either
    way. Layers of stride 1 are left out: they are as large as the picture.

    Raises:
        UserError: ``what`` names the network. It doesn't run, or it has no such layer.
    """
    height, width, channels = (side or _PROBE for side in graphs.dims(graphs.inputs(model)[0])[1:])
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, channels), np.uint8)
    candidates = _ends(model)
    session = graphs.session(_with_outputs(model, candidates), what)
    try:
        values = graphs.run_graph(session, frame)
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        raise UserError(
            f"{what}: the network does not run on a {width}x{height} picture", received=graphs.first_line(error)
        ) from None
    layers = tuple(
        Layer(name, stride, values[name].shape[1])
        for name in candidates
        if (stride := _stride(values[name], (height, width))) is not None
    )
    if not layers:
        raise UserError(
            f"{what}: the network has no layer of features",
            expected="float32 tensors (n, channels, h, w), h and w the picture's divided by a stride of 2 to 64",
            fix="export a convolutional network; a transformer's tokens have to be reshaped to (n, c, h, w) first",
        )
    return layers


def chosen_layers(layers: Sequence[Layer], names: Sequence[str], what: str, option: str = "--layers") -> tuple[Layer, ...]:
    """Return the layers of these names, in the network's order; ``option`` is where a person named them.

    Raises:
        UserError: the network ``what`` has no such layer; those that it has are listed.
    """
    known = {layer.name: layer for layer in layers}
    missing = [name for name in names if name not in known]
    if missing:
        close = get_close_matches(missing[0], known, 1)
        raise UserError(
            f"{option}: {what} has no layer {' and no '.join(missing)}",
            expected=listed(layers),
            fix=f"did you mean {close[0]}?" if close else f"list them all with: edge backbone {what}",
        )
    return tuple(layer for layer in layers if layer.name in names)


def default_layers(model: onnx.ModelProto, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers to use if nobody names any: the file's own choice, otherwise the last of its two deepest strides.

    Strides above 32 are left out, for they hardly tell where a thing is.
    """
    declared: list[str] = next((p.value.split(",") for p in model.metadata_props if p.key == "layers"), [])
    named = tuple(layer for layer in layers if layer.name in declared)
    if named:
        return named
    last = {layer.stride: layer for layer in layers if layer.stride <= 32} or {layers[-1].stride: layers[-1]}
    deepest = sorted(last)[-2:]
    return tuple(layer for layer in layers if layer in [last[stride] for stride in deepest])


def listed(layers: Sequence[Layer]) -> str:
    """Return the layers in words, by stride; for each stride the last few."""
    texts = []
    for stride in sorted({layer.stride for layer in layers}):
        same = [f"{layer.name} ({layer.width} wide)" for layer in layers if layer.stride == stride]
        more = f"{len(same) - _SHOWN} more, " if len(same) > _SHOWN else ""
        texts.append(f"stride {stride}: {more}{', '.join(same[-_SHOWN:])}")
    return "; ".join(texts)


def cut_after(model: onnx.ModelProto, layers: Sequence[str]) -> onnx.ModelProto:
    """Return a copy that gives these layers out and holds nothing that they don't need."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in layers)
    graphs.prune(copy.graph)
    return copy


def _ends(model: onnx.ModelProto) -> list[str]:
    """Return the names of the tensors of the main graph that more than an activation reads, or that are outputs."""
    given = {o.name for o in model.graph.output}
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in graphs.names_used(node):
            readers.setdefault(name, []).append(node.op_type)
    return [
        name
        for node in model.graph.node
        for name in node.output[:1]
        if name
        and (name in given or (not name.startswith(_OWN) and not set(readers.get(name, ["Identity"])) <= _CARRIES_ON))
    ]


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return a copy that outputs these tensors; their types are left to the runtime, because not all are features."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def _stride(values: NDArray[Any], size: tuple[int, int]) -> int | None:
    """Return the stride of a tensor of features; None for any other."""
    if values.dtype != np.float32 or values.ndim != 4 or values.shape[0] != 1:
        return None
    if values.shape[1] < _LEAST_WIDTH or min(values.shape[2:]) < 2:
        return None
    stride = round(size[0] / values.shape[2])
    if not _LEAST_STRIDE <= stride <= _LARGEST_STRIDE:
        return None
    fits = (side // stride <= places <= -(-side // stride) for side, places in zip(size, values.shape[2:], strict=True))
    return stride if all(fits) else None
