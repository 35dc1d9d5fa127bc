"""Where a graph shows its features, so that they can be measured on pictures and moved, without the fit's own code.

``PlaceTap``: every place has its own mean (``residual``, ``pixel``, ``cells``). ``SharedTap``: features of all places are
compared in one space (``memory``, and ``cells`` once whitened), so that one affine map moves them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge.models import graphs
from edge.shift.answers.protocol import Pictures

_MOVED = "/moved_features"


@dataclass(frozen=True, slots=True)
class PlaceTap:
    """``tensor``: features; ``mean``: the weight that is subtracted; ``inverse``: what the difference is multiplied by."""

    tensor: str
    mean: str
    inverse: str | None


@dataclass(frozen=True, slots=True)
class SharedTap:
    """``tensor``: (n, c, h, w), as the lab's model made it, before anything moved it. ``reader``: output of the node that
    compares. ``constant``: the last channel is the number 1 and no feature.
    """

    tensor: str
    reader: str
    constant: bool


def place_taps(model: onnx.ModelProto, method: str) -> list[PlaceTap]:
    """The taps of a fitted graph whose places have means of their own; empty for any other."""
    made = graphs.producers(model)
    if method == "residual":
        scales = sorted(t.name.removeprefix("mean_") for t in model.graph.initializer if t.name.startswith("mean_"))
        return [PlaceTap(made[f"difference_{s}"].input[0], f"mean_{s}", f"inverse_{s}") for s in scales]
    if method == "pixel":
        return [PlaceTap(made["difference"].input[0], "mean", "inverse_deviation")]
    if method == "cells":
        return [PlaceTap(made["difference"].input[0], "mean", None)]
    return []


def shared_tap(model: onnx.ModelProto, method: str) -> SharedTap | None:
    """The tap of a graph that compares all places in one space: a fitted one, or the memory of a trained one; else None."""
    made = graphs.producers(model)
    if method in ("memory", "train") and "edge/memory/places" in made:
        return SharedTap(_unmoved(made, "edge/memory/places"), "edge/memory/places", constant=True)
    if method == "cells" and "squares" in made:
        return SharedTap(_unmoved(made, "squares"), "squares", constant=False)
    return None


def _unmoved(made: dict[str, onnx.NodeProto], reader: str) -> str:
    """What the reader would read had no answer moved it before."""
    tensor: str = made[reader].input[0]
    while tensor.endswith(_MOVED):
        tensor = made[tensor].input[0]
    return tensor


def tapped(model: onnx.ModelProto, tensors: Sequence[str], pictures: Pictures) -> Iterator[list[NDArray[np.float32]]]:
    """The tensors' values for each picture in turn."""
    session = graphs.session(graphs.with_outputs(model, tensors), "the bundle's graph")
    name = session.get_inputs()[0].name
    for picture in pictures:
        yield session.run(list(tensors), {name: picture[None]})


def features(model: onnx.ModelProto, tap: SharedTap, pictures: Pictures, most: int = 200_000) -> NDArray[np.float32]:
    """Feature vectors (n, c) of the pictures' places; of many only every so-manieth place."""
    found = []
    for (values,) in tapped(model, [tap.tensor], pictures):
        rows = values[0].reshape(values.shape[1], -1).T
        rows = rows[:, :-1] if tap.constant else rows
        found.append(rows[:: max(1, len(rows) * len(pictures) // most)])
    return np.concatenate(found)


def move(
    model: onnx.ModelProto, tap: SharedTap, matrix: NDArray[np.float64], offset: NDArray[np.float64], name: str
) -> None:
    """Put ``matrix @ f + offset`` in the place of the tap's features f, in place; the constant channel stays.

    An earlier move is replaced.
    """
    graph = model.graph
    count = len(offset)
    whole, moved = np.eye(count + tap.constant), np.zeros(count + tap.constant)
    whole[:count, :count], moved[:count] = matrix, offset
    prefix = graphs.free_prefix(graph, f"edge/{name}")
    reader = graphs.producers(model)[tap.reader]
    read = reader.input[0]
    for index, name_read in enumerate(reader.input):
        if name_read == read:
            reader.input[index] = f"{prefix}{_MOVED}"
    weights = {"matrix": whole[:, :, None, None].astype(np.float32), "offset": moved.astype(np.float32)}
    graph.initializer.extend(numpy_helper.from_array(v, f"{prefix}/{n}") for n, v in weights.items())
    conv = helper.make_node("Conv", [tap.tensor, f"{prefix}/matrix", f"{prefix}/offset"], [f"{prefix}{_MOVED}"])
    at = next(index for index, node in enumerate(graph.node) if tap.tensor in node.output)
    graph.node.insert(at + 1, conv)
    graphs.prune(graph)


def weight(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    """The value of an initializer."""
    return np.asarray(numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name)))


def set_weight(model: onnx.ModelProto, name: str, values: NDArray[Any]) -> None:
    """Give an initializer another value of the same shape, in place."""
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values.astype(np.float32)), name))
