"""The answers ``tta-mean`` and ``tta-max``: several views of each frame through the graph, and one map of their maps.

Test-time augmentation is inside the graph: the views go through it as one batch. A view is a flip or a shift by one px that
the self-test of the bundle found harmless. It costs as many times the model's own time as there are views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge.models import graphs
from edge.shift.answers.protocol import NotOffered, Proposal, Situation


@dataclass(frozen=True, slots=True)
class View:
    """``flips``: axes of (n, H, W) that are turned round. ``shift``: px down and across."""

    flips: tuple[int, ...] = ()
    shift: tuple[int, int] = (0, 0)


VIEWS: Final[dict[str, View]] = {
    "flip_left_right": View(flips=(2,)),
    "flip_up_down": View(flips=(1,)),
    "turn_180": View(flips=(1, 2)),
    "shift_1_px_across": View(shift=(0, 1)),
    "shift_1_px_down": View(shift=(1, 0)),
}
"""The changes of the self-test, as views."""


def propose(situation: Situation, how: Literal["mean", "max"]) -> Proposal:
    """The graph over all views that are allowed."""
    if situation.self_test is None:
        raise NotOffered("the bundle has no self_test.json, so nobody knows which flips and shifts its parts allow")
    allowed = [row["change"] for row in situation.self_test.get("changes", ()) if row["allowed"] and row["change"] in VIEWS]
    if not allowed:
        raise NotOffered("the self-test allows no flip and no shift: each alone makes good frames look defective")
    if any(node.name.startswith("edge/views") for node in situation.graph.graph.node):
        raise NotOffered("the graph looks at several views already")
    if graphs.dims(graphs.inputs(situation.graph)[0])[0] is not None:
        raise NotOffered("the graph takes one picture at a time, and views go through it as a batch")
    if graphs.opset(situation.graph) >= 18:
        raise NotOffered("the graph is of opset 18 or later, for which views are not written")
    spec = situation.bundle.spec
    pixel_maps = spec.map_to_image == (1.0, 1.0, 0.0, 0.0)
    model = with_views(situation.copy(), [VIEWS[name] for name in allowed], how, undo_shifts=pixel_maps)
    return Proposal(f"{how} of {1 + len(allowed)} views: as it is, {', '.join(allowed)}", model, spec)


def with_views(
    model: onnx.ModelProto, views: Sequence[View], how: Literal["mean", "max"], *, undo_shifts: bool
) -> onnx.ModelProto:
    """The graph over ``frame`` and its views as one batch, their maps turned back and joined; changed in place."""
    graph = model.graph
    prefix = graphs.free_prefix(graph, "edge/views")
    outputs = [value.name for value in graph.output]
    graphs.rename(graph, {name: f"{prefix}/{name}" for name in ("frame", *outputs)})
    next(value for value in graph.input if value.name == f"{prefix}/frame").name = "frame"
    for value, name in zip(graph.output, outputs, strict=True):
        value.name = name
    own = _Nodes(graph, prefix)
    shown = ["frame"] + [own.seen("frame", view, f"view{i}") for i, view in enumerate(views)]
    own.add("Concat", shown, [f"{prefix}/frame"], axis=0)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes[own.before :], *nodes[: own.before]])  # what makes the batch comes before what takes it
    for name in outputs:
        parts = [f"{prefix}/{name}{i}" for i in range(len(views) + 1)]
        own.add("Split", [f"{prefix}/{name}"], parts, axis=0)
        if name == "map":
            parts = parts[:1] + [
                own.back(part, view, f"back{i}", undo_shift=undo_shifts)
                for i, (part, view) in enumerate(zip(parts[1:], views, strict=True))
            ]
        if name == "embedding":
            own.add("Identity", parts[:1], [name])
        else:
            own.add("Max" if how == "max" else "Mean", parts, [name])
    return model


class _Nodes:
    """Adds nodes and constants under a prefix."""

    def __init__(self, graph: onnx.GraphProto, prefix: str) -> None:
        self._graph = graph
        self._prefix = prefix
        self.before = len(graph.node)

    def add(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> str:
        self._graph.node.append(
            helper.make_node(op, list(inputs), list(outputs), name=f"{self._prefix}/{outputs[0]}", **attributes)
        )
        return outputs[0]

    def seen(self, name: str, view: View, out: str) -> str:
        """The frames (n, H, W, C) as the view shows them."""
        return self._shifted(self._flipped(name, view.flips, out), view.shift, out, axes=4)

    def back(self, name: str, view: View, out: str, *, undo_shift: bool) -> str:
        """The maps (n, h, w) of the view, as the frame lies."""
        down, across = view.shift if undo_shift else (0, 0)
        return self._flipped(self._shifted(name, (-down, -across), out, axes=3), view.flips, out)

    def _flipped(self, name: str, flips: Sequence[int], out: str) -> str:
        if not flips:
            return name
        count = len(flips)
        inputs = [
            self._constant(f"{out}/starts", [-1] * count),
            self._constant(f"{out}/ends", [np.iinfo(np.int64).min + 1] * count),
            self._constant(f"{out}/axes", list(flips)),
            self._constant(f"{out}/steps", [-1] * count),
        ]
        return self.add("Slice", [name, *inputs], [f"{self._prefix}/{out}/flipped"])

    def _shifted(self, name: str, shift: tuple[int, int], out: str, *, axes: int) -> str:
        """Moved down and across; the rim repeats."""
        down, across = shift
        if not down and not across:
            return name
        before = [0, max(down, 0), max(across, 0), 0][:axes]
        after = [0, max(-down, 0), max(-across, 0), 0][:axes]
        wide = self.add(
            "Pad", [name, self._constant(f"{out}/pads", before + after)], [f"{self._prefix}/{out}/wide"], mode="edge"
        )
        far = np.iinfo(np.int64).max
        starts = [max(-down, 0), max(-across, 0)]
        ends = [-down if down > 0 else far, -across if across > 0 else far]
        bounds = [self._constant(f"{out}/{n}", v) for n, v in (("first", starts), ("last", ends), ("sides", [1, 2]))]
        return self.add("Slice", [wide, *bounds], [f"{self._prefix}/{out}/shifted"])

    def _constant(self, name: str, values: Sequence[int]) -> str:
        full = f"{self._prefix}/{name}"
        if all(tensor.name != full for tensor in self._graph.initializer):
            self._graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), full))
        return full
