"""What a foreign model does to its picture before it looks at it: the exporter's own resize and centre crop.

Both are ordinary operators at the head of the graph. They are followed from the input on, and their sizes are measured on a
run rather than read, for exporters compute them from shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.models import graphs
from edge.models.contract import ModelInput

_ON_THE_WAY = frozenset(
    {"Identity", "Cast", "Sub", "Add", "Mul", "Div", "Clip", "Round", "Transpose", "Resize", "Slice", "Pad"}
)
_LONGEST_WAY = 24
"""Nodes; a network proper begins long before."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The picture that the network proper sees, and where it lies in the one that went in.

    ``size``: its width and height. ``to_input`` (sx, sy, ox, oy): an edge at x of it lies at ``x * sx + ox`` of what
    went in. ``resized`` (w, h) and ``mode``: the last resize on the way, or None.
    """

    size: tuple[int, int]
    to_input: tuple[float, float, float, float]
    resized: tuple[int, int] | None = None
    mode: str | None = None


def find_geometry(model: onnx.ModelProto, taken: ModelInput, feed: NDArray[Any], path: Path) -> Geometry:
    """Of one ``feed`` in the model's own form. Nothing on the way: the size that went in."""
    steps = _way(model, taken.name)
    wanted = [n.input[0] for n in steps] + [n.output[0] for n in steps]
    numbers = [name for n in steps if n.op_type in ("Slice", "Pad") for name in n.input[1:] if name]
    values = _values(model, wanted, numbers, feed, path)
    rows, columns = (2, 3) if taken.layout == "nchw" else (1, 2)
    geometry = Geometry((feed.shape[columns], feed.shape[rows]), (1.0, 1.0, 0.0, 0.0))
    for node in steps:
        if node.op_type == "Transpose":
            order = next(list(a.ints) for a in node.attribute if a.name == "perm")
            rows, columns = order.index(rows), order.index(columns)
        after = values[node.output[0]].shape
        size = (after[columns], after[rows])
        if node.op_type == "Resize":
            geometry = _scaled(geometry, size, node)
        elif node.op_type == "Slice":
            geometry = _cropped(geometry, size, _starts(node, values, (columns, rows), values[node.input[0]].ndim))
        elif node.op_type == "Pad" and size != geometry.size:
            pads = values[node.input[1]].tolist()
            geometry = _cropped(geometry, size, (-pads[columns], -pads[rows]))
    return geometry


def _way(model: onnx.ModelProto, name: str) -> list[onnx.NodeProto]:
    """Nodes from the input on, as long as each tensor goes into one node only (the ones that ask for its shape aside)."""
    steps: list[onnx.NodeProto] = []
    while len(steps) < _LONGEST_WAY:
        readers = [n for n in model.graph.node if name in n.input and n.op_type != "Shape"]
        if len(readers) != 1 or readers[0].op_type not in _ON_THE_WAY or readers[0].input[0] != name:
            break
        steps.append(readers[0])
        name = readers[0].output[0]
    last = max((i for i, n in enumerate(steps) if n.op_type in ("Resize", "Slice", "Pad")), default=-1)
    return steps[: last + 1]


def _values(
    model: onnx.ModelProto, tensors: Sequence[str], numbers: Sequence[str], feed: NDArray[Any], path: Path
) -> dict[str, NDArray[Any]]:
    """What these tensors are on one run; ``numbers`` are the int64 ones, most of them constants."""
    values: dict[str, NDArray[Any]] = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    if not tensors:
        return values
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    made = graphs.producers(model)
    for name in dict.fromkeys([*tensors, *numbers]):
        if name in made:  # without a type: the runtime infers it
            probe.graph.output.append(onnx.ValueInfoProto(name=name))
    graphs.prune(probe.graph)
    values |= graphs.run(graphs.session(probe, str(path)), feed)
    return values | {n: feed for n in tensors if n not in values}


def _scaled(geometry: Geometry, size: tuple[int, int], node: onnx.NodeProto) -> Geometry:
    sx, sy, ox, oy = geometry.to_input
    fx, fy = geometry.size[0] / size[0], geometry.size[1] / size[1]
    mode = next((a.s.decode() for a in node.attribute if a.name == "mode"), "nearest")
    return Geometry(size, (sx * fx, sy * fy, ox, oy), size, mode)


def _cropped(geometry: Geometry, size: tuple[int, int], starts: tuple[int, int]) -> Geometry:
    sx, sy, ox, oy = geometry.to_input
    return Geometry(size, (sx, sy, ox + sx * starts[0], oy + sy * starts[1]), geometry.resized, geometry.mode)


def _starts(node: onnx.NodeProto, values: Mapping[str, NDArray[Any]], axes: tuple[int, int], rank: int) -> tuple[int, int]:
    """First column and row that a Slice keeps."""
    starts = np.atleast_1d(values[node.input[1]]).tolist()
    given = values[node.input[3]].tolist() if len(node.input) > 3 and node.input[3] else list(range(len(starts)))
    sides = values[node.input[0]].shape
    found = {axis % rank: start for axis, start in zip(given, starts, strict=True)}
    first, second = (found.get(a, 0) + (sides[a] if found.get(a, 0) < 0 else 0) for a in axes)
    return first, second
