"""A batch that an exporter wrote into the graph's constants is brought down to one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge.models import graphs

_SHAPES = {"Reshape": 1, "Resize": 3, "Expand": 1}
"""Where these operators take the shape that they give."""


def unbaked(model: onnx.ModelProto, batch: int) -> onnx.ModelProto | None:
    """A copy whose constants speak of one picture instead of ``batch``; None if none of them speaks of the batch.

    A guess by what anomalib 2.7 leaves in PatchCore: shapes that begin with the batch or a multiple of it, the pictures'
    numbers 0, 1, ... as indices, and distances taken in as many chunks as there are pictures. Whether the copy gives the
    same numbers is for the caller to see.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT64}
    made = graphs.producers(copy)
    changed, prefix = False, graphs.free_prefix(graph, "edge")
    for node in graph.node:
        for place, name in enumerate(node.input):
            values = weights.get(name)
            if values is None:
                continue
            shortened = values.copy()
            if place == _SHAPES.get(node.op_type) and values.ndim == 1 and _is_multiple(values, batch):
                shortened[0] //= batch
            elif node.op_type == "Concat" and np.array_equal(values, np.arange(batch)[:, None]):
                shortened = shortened[:1]
            else:
                continue
            node.input[place] = f"{prefix}/{name}/{node.output[0]}"
            graph.initializer.append(numpy_helper.from_array(shortened, node.input[place]))
            changed = True
        if _is_of_chunks(node, made) and len(node.input) % batch == 0:
            inputs = node.input[: len(node.input) // batch]
            del node.input[:]
            node.input.extend(inputs)
            changed = True
    graphs.prune(graph)
    return copy if changed else None


def _is_multiple(shape: NDArray[Any], batch: int) -> bool:
    return shape.size > 0 and shape[0] > 0 and int(shape[0]) % batch == 0


def _is_of_chunks(node: onnx.NodeProto, made: dict[str, onnx.NodeProto]) -> bool:
    """Nearest distances, or where they are, of chunk after chunk of all the pictures' positions."""
    if node.op_type != "Concat" or any(a.name == "axis" and a.i != 0 for a in node.attribute):
        return False
    kinds = {made[name].op_type if name in made else "" for name in node.input}
    return kinds in ({"ReduceMin"}, {"ArgMin"})
