"""A foreign model may resize and crop its picture before it looks at it; both are measured here.

Both are ordinary operators at the head of the graph. They are followed from the input on, and their sizes are measured on a
run rather than read, for exporters compute them from shapes. What isn't understood ends the way; ``placement`` then sees
whether anything was missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.models import graphs
from edge.models.build.foreign import ModelInput

_ON_THE_WAY = frozenset(
    {"Identity", "Cast", "Sub", "Add", "Mul", "Div", "Clip", "Round", "Transpose", "Concat"}
    | {"Resize", "Slice", "Gather", "Pad"}
    | {"Reshape", "Squeeze", "Unsqueeze", "Expand", "Flatten", "Dropout"}
)
"""Operators that exporters put in front of the network proper; both of torch's put a Reshape in front of a Resize."""
_MOVE = frozenset({"Resize", "Slice", "Gather", "Pad"})
_LONGEST_WAY = 24
"""Most nodes on the way; a network proper begins long before."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The picture that the network proper sees, and where it lies in the one that went in.

    ``size``: its width and height. ``to_input`` (sx, sy, ox, oy): an edge at x of it lies at ``x * sx + ox`` of what
    went in. ``resized`` (w, h), ``mode`` and the rest: the last resize on the way, or None.
    """

    size: tuple[int, int]
    to_input: tuple[float, float, float, float]
    resized: tuple[int, int] | None = None
    mode: str | None = None
    coordinates: str | None = None
    """ONNX's ``coordinate_transformation_mode``; OpenCV's kernels are ``half_pixel``."""
    antialias: bool = False

    @property
    def untouched(self) -> bool:
        """Return True if nothing on the way moved a pixel."""
        return self.resized is None and self.to_input == (1.0, 1.0, 0.0, 0.0)


def find_geometry(model: onnx.ModelProto, taken: ModelInput, feed: NDArray[Any], path: Path) -> Geometry:
    """Measure the geometry on one ``feed`` in the model's own form. With nothing on the way it is the size that went in."""
    steps = _way(model, taken.name)
    wanted = [n.input[0] for n in steps] + [n.output[0] for n in steps]
    numbers = [name for n in steps if n.op_type in ("Slice", "Gather", "Pad") for name in n.input[1:] if name]
    values = _values(model, wanted, numbers, feed, path)
    rows, columns = (2, 3) if taken.layout == "nchw" else (1, 2)
    geometry = Geometry((feed.shape[columns], feed.shape[rows]), (1.0, 1.0, 0.0, 0.0))
    for node in steps:
        if node.op_type == "Transpose":
            order = next(list(a.ints) for a in node.attribute if a.name == "perm")
            rows, columns = order.index(rows), order.index(columns)
        before, after = values[node.input[0]].shape, values[node.output[0]].shape
        if node.op_type in _RESHAPES:
            axes = _same_axes(before, after)
            if axes is None or not {rows, columns} <= axes.keys():
                break
            rows, columns = axes[rows], axes[columns]
            continue
        if len(before) != len(after):
            break
        size = (after[columns], after[rows])
        if node.op_type == "Resize":
            geometry = _scaled(geometry, size, node)
        elif node.op_type in ("Slice", "Gather"):
            kept = (_sliced if node.op_type == "Slice" else _gathered)(node, values, before)
            across, down = (kept.get(axis, (0, 1)) for axis in (columns, rows))
            if min(across[1], down[1]) < 1:  # mirrored, or in no order
                break
            geometry = _cropped(geometry, size, (across[0], down[0]), (across[1], down[1]))
        elif node.op_type == "Pad" and size != geometry.size:
            pads = values[node.input[1]].tolist()
            geometry = _cropped(geometry, size, (-pads[columns], -pads[rows]))
        elif node.op_type == "Concat" and graphs.attribute(node, "axis", 0) % len(after) in (rows, columns):
            break
    return geometry


_RESHAPES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Expand", "Flatten"})


def _same_axes(before: Sequence[int], after: Sequence[int]) -> dict[int, int] | None:
    """Where each axis of more than one element went, if all that changed is axes of one; else None."""
    ours, theirs = ([axis for axis, side in enumerate(shape) if side > 1] for shape in (before, after))
    if [before[axis] for axis in ours] != [after[axis] for axis in theirs]:
        return None
    return dict(zip(ours, theirs, strict=True))


def _way(model: onnx.ModelProto, name: str) -> list[onnx.NodeProto]:
    """Nodes from the input on, as long as each tensor goes into one node only (the ones that ask for its shape aside)."""
    steps: list[onnx.NodeProto] = []
    while len(steps) < _LONGEST_WAY:
        readers = [n for n in model.graph.node if name in n.input and n.op_type != "Shape"]
        if len(readers) == 1 and readers[0].op_type == "Split":
            joined = _joined(model, readers[0])
            if joined is None:
                break
            steps.append(joined)
            name = joined.output[0]
            continue
        if len(readers) != 1 or readers[0].op_type not in _ON_THE_WAY or readers[0].input[0] != name:
            break
        steps.append(readers[0])
        name = readers[0].output[0]
    last = max((i for i, n in enumerate(steps) if n.op_type in _MOVE), default=-1)
    return steps[: last + 1]


def _joined(model: onnx.ModelProto, split: onnx.NodeProto) -> onnx.NodeProto | None:
    """The Concat that puts the parts of ``split`` together again, in whatever order: red and blue exchanged."""
    parts = set(split.output)
    readers = [n for n in model.graph.node if parts.intersection(n.input)]
    whole = len(readers) == 1 and readers[0].op_type == "Concat" and set(readers[0].input) == parts
    return readers[0] if whole and graphs.attribute(split, "axis", 0) == graphs.attribute(readers[0], "axis", 0) else None


def _values(
    model: onnx.ModelProto, tensors: Sequence[str], numbers: Sequence[str], feed: NDArray[Any], path: Path
) -> dict[str, NDArray[Any]]:
    """Return what these tensors are on one run; ``numbers`` are the int64 ones, most of them constants."""
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
    values |= graphs.run_graph(graphs.session(probe, str(path)), feed)
    return values | {n: feed for n in tensors if n not in values}


def _scaled(geometry: Geometry, size: tuple[int, int], node: onnx.NodeProto) -> Geometry:
    sx, sy, ox, oy = geometry.to_input
    fx, fy = geometry.size[0] / size[0], geometry.size[1] / size[1]
    mode, coordinates = (
        graphs.attribute(node, name, default).decode()
        for name, default in (("mode", b"nearest"), ("coordinate_transformation_mode", b"half_pixel"))
    )
    return Geometry(size, (sx * fx, sy * fy, ox, oy), size, mode, coordinates, bool(graphs.attribute(node, "antialias", 0)))


def _cropped(
    geometry: Geometry, size: tuple[int, int], starts: tuple[int, int], steps: tuple[int, int] = (1, 1)
) -> Geometry:
    """Note a crop; in steps of 2 each pixel that is kept stands for two."""
    sx, sy, ox, oy = geometry.to_input
    to_input = (sx * steps[0], sy * steps[1], ox + sx * starts[0], oy + sy * starts[1])
    return replace(geometry, size=size, to_input=to_input)


def _sliced(node: onnx.NodeProto, values: Mapping[str, NDArray[Any]], sides: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return (first, step) of what a Slice keeps of each axis that it cuts."""
    starts = np.atleast_1d(values[node.input[1]]).tolist()
    axes, steps = (
        values[node.input[at]].tolist() if len(node.input) > at and node.input[at] else default
        for at, default in ((3, list(range(len(starts)))), (4, [1] * len(starts)))
    )
    bounds = {}
    for axis, start, step in zip(axes, starts, steps, strict=True):
        side = sides[axis]
        bounds[axis % len(sides)] = (max(start + side, 0) if start < 0 else min(start, side), step)
    return bounds


def _gathered(node: onnx.NodeProto, values: Mapping[str, NDArray[Any]], sides: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return (first, step) of what a Gather keeps of its axis; step 0 if the indices are in no such order."""
    axis = graphs.attribute(node, "axis", 0) % len(sides)
    indices = np.asarray(values[node.input[1]]) % sides[axis]
    steps = np.unique(np.diff(indices))
    return {axis: (int(indices[0]), int(steps[0]) if steps.size == 1 else int(steps.size == 0))}
