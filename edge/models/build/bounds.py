"""Interval arithmetic from a tensor's output backwards shows between which values it can lie at all.

A threshold above what a map can reach lets every frame pass. Sigmoids, clamps, comparisons and per-picture scaling bound a
map; convolutions with known weights, pooling and resizes pass bounds on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.models import graphs

Bounds: TypeAlias = tuple[float, float]
UNBOUNDED: Bounds = (-math.inf, math.inf)
_TIED = 1e-6
_SEVERAL = 3
"""Number of pictures that aren't flat; the same maximum on so many is no chance."""
_DEEPEST = 200
"""Number of nodes on the longest way that is followed."""

_FIXED: dict[str, Bounds] = {
    **dict.fromkeys(("Sigmoid", "HardSigmoid", "Softmax"), (0.0, 1.0)),
    **dict.fromkeys(("Tanh", "Erf", "Sin", "Cos", "Softsign"), (-1.0, 1.0)),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "And", "Or", "Xor"), (0.0, 1.0)),
    **dict.fromkeys(("IsNaN", "IsInf"), (0.0, 1.0)),
    **dict.fromkeys(("ReduceL2", "ReduceL1", "ReduceSumSquare", "Softplus", "ArgMax"), (0.0, math.inf)),
    "LogSoftmax": (-math.inf, 0.0),
}
_KEPT = frozenset(
    {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten", "Slice", "Gather", "Expand", "Tile"}
    | {"Split", "Dropout", "DepthToSpace", "SpaceToDepth", "MaxPool", "GlobalMaxPool", "GlobalAveragePool", "TopK"}
    | {"ReduceMax", "ReduceMin", "ReduceMean", "Round", "Floor", "Ceil"}
)
"""Operators that give values from between those that they take (rounding: to the next whole ones)."""


def bounds_of(model: onnx.ModelProto, name: str) -> Bounds:
    """Return the lowest and highest value that this float tensor can have; infinite if the graph doesn't bound it. NaN
    aside.
    """
    return _Bounds(model).of(name)


def highest_score(model: onnx.ModelProto) -> float | None:
    """Return the highest image score that a bundle's graph can give; None if it gives none, or nothing bounds it."""
    bound = bounds_of(model, "score")[1] if any(output.name == "score" for output in model.graph.output) else math.inf
    return bound if math.isfinite(bound) else None


def highest_bound(
    model: onnx.ModelProto, name: str, ranges: Mapping[str, tuple[float, float]]
) -> tuple[float | None, tuple[str, ...]]:
    """Return the highest value that a map can have, None if none is known, and a warning if pictures reach it already.

    ``ranges`` are lowest and highest value by picture. The graph decides; otherwise a value that both are on every picture,
    as in maps that are scaled by their own values.
    """
    spans = [(low, high) for low, high in ranges.values() if high > low]
    bottoms, tops = [low for low, _ in spans], [high for _, high in spans]
    bound = bounds_of(model, name)[1]
    if len(spans) >= _SEVERAL and _tied(tops):
        seen = max(tops) if _tied(bottoms) else None
        return bound if math.isfinite(bound) else seen, (
            f"the highest value of the map is {max(tops):g} on every picture: where the model scales each map by its own "
            "values or cuts it off no threshold can tell a defect from noise; export the model without that",
        )
    if not math.isfinite(bound):
        return None, ()
    if tops and max(tops) >= bound - _TIED * abs(bound):
        return bound, (
            f"the map reaches {bound:g}, where the model cuts it off in a way that could not be undone: "
            "what lies beyond all looks alike",
        )
    return bound, ()


def _tied(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _TIED * max(map(abs, values))


class _Bounds:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._made = graphs.producers(model)
        self._weights = {t.name: t for t in model.graph.initializer}
        self._known: dict[str, Bounds] = {}

    def of(self, name: str, depth: int = 0) -> Bounds:
        if name not in self._known:
            self._known[name] = UNBOUNDED  # a guard against circles, which no valid graph has
            found = self._of(name, depth)
            self._known[name] = UNBOUNDED if any(map(math.isnan, found)) else found
        return self._known[name]

    def _of(self, name: str, depth: int) -> Bounds:
        value = self._constant(name)
        if value is not None:
            return (float(value.min()), float(value.max())) if value.size and np.isfinite(value).all() else UNBOUNDED
        node = self._made.get(name)
        if node is None or depth > _DEEPEST:
            return UNBOUNDED
        kind = node.op_type
        if kind in _FIXED:
            return _FIXED[kind]
        inputs = [self.of(n, depth + 1) for n in node.input if n]
        if kind in ("Round", "Floor", "Ceil"):
            return math.floor(inputs[0][0]) if math.isfinite(inputs[0][0]) else -math.inf, _up(inputs[0][1])
        if kind in _KEPT:
            return inputs[0]
        if kind == "Div" and self._is_share(node):
            return (0.0, 1.0)
        if kind in ("AveragePool", "Pad"):
            return _with(inputs[0], 0.0) if kind == "AveragePool" or len(node.input) < 3 else _join([inputs[0], inputs[2]])
        if kind == "Resize":
            return inputs[0] if graphs.attribute(node, "mode", b"nearest") != b"cubic" else UNBOUNDED
        if kind in ("Concat", "Where"):
            return _join(inputs[1:] if kind == "Where" else inputs)
        if kind == "Conv":
            return self._convolved(node, inputs)
        rule = _RULES.get(kind)
        return rule(inputs) if rule is not None else UNBOUNDED

    def _constant(self, name: str) -> NDArray[Any] | None:
        if name in self._weights:
            return np.asarray(onnx.numpy_helper.to_array(self._weights[name]))
        node = self._made.get(name)
        if node is not None and node.op_type == "Constant":
            value = graphs.attribute(node, "value", None)
            return None if value is None else np.asarray(onnx.numpy_helper.to_array(value))
        return None

    def _is_share(self, node: onnx.NodeProto) -> bool:
        """A quotient of (x - its minimum) and (its maximum - its minimum), or of x >= 0 and its maximum."""
        over, under = (self._made.get(name) for name in node.input[:2])
        if under is not None and under.op_type in ("Add", "Max", "Clip"):  # an epsilon against division by 0
            under = next((self._made[n] for n in under.input if n in self._made), None)
        if under is None:
            return False
        if under.op_type == "ReduceMax":
            return self._same(under.input[0], node.input[0]) and self.of(node.input[0])[0] >= 0
        if over is None or {over.op_type, under.op_type} != {"Sub"}:
            return False
        highest, lowest = (self._made.get(name) for name in under.input[:2])
        return (
            highest is not None
            and lowest is not None
            and (highest.op_type, lowest.op_type) == ("ReduceMax", "ReduceMin")
            and self._same(over.input[1], under.input[1])
            and self._same(highest.input[0], over.input[0])
        )

    def _same(self, one: str, other: str) -> bool:
        """Both are one tensor, perhaps in another shape."""
        return self._bare(one) == self._bare(other)

    def _bare(self, name: str) -> str:
        node = self._made.get(name)
        while node is not None and node.op_type in ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"):
            name = node.input[0]
            node = self._made.get(name)
        return name

    def _convolved(self, node: onnx.NodeProto, inputs: list[Bounds]) -> Bounds:
        weights = self._constant(node.input[1])
        low, high = _with(inputs[0], 0.0) if any(graphs.attribute(node, "pads", ())) else inputs[0]
        if weights is None:
            return UNBOUNDED
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        up, down = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        bias = self._constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1)
        if bias is None:
            return UNBOUNDED
        least = _times(up, low) + _times(down, high) + bias
        return float(least.min()), float((_times(up, high) + _times(down, low) + bias).max())


def _times(factors: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Products in which 0 times infinity is 0."""
    return np.array([factor * value if factor else 0.0 for factor in factors])


def _up(value: float) -> float:
    return math.ceil(value) if math.isfinite(value) else value


def _with(interval: Bounds, value: float) -> Bounds:
    return min(interval[0], value), max(interval[1], value)


def _join(intervals: list[Bounds]) -> Bounds:
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def _products(one: Bounds, other: Bounds) -> Bounds:
    # 0 times infinity is 0 here: the infinite end is never reached
    every = [0.0 if 0 in (a, b) else a * b for a in one for b in other]
    return min(every), max(every)


def _quotient(inputs: list[Bounds]) -> Bounds:
    low, high = inputs[1]
    if low <= 0 <= high:
        return UNBOUNDED
    return _products(inputs[0], (1 / high if math.isfinite(high) else 0.0, 1 / low if math.isfinite(low) else 0.0))


def _clipped(inputs: list[Bounds]) -> Bounds:
    """Its bounds may be missing; an interval of one value each."""
    low, high = inputs[0]
    if len(inputs) == 3:
        return min(max(low, inputs[1][0]), inputs[2][1]), max(min(high, inputs[2][1]), inputs[1][0])
    return (low, high) if len(inputs) == 1 else UNBOUNDED


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


_RULES: dict[str, Callable[[list[Bounds]], Bounds]] = {
    "Relu": lambda i: (max(i[0][0], 0.0), max(i[0][1], 0.0)),
    "Abs": lambda i: (0.0 if i[0][0] <= 0 <= i[0][1] else min(map(abs, i[0])), max(map(abs, i[0]))),
    "Neg": lambda i: (-i[0][1], -i[0][0]),
    "Sqrt": lambda i: (math.sqrt(max(i[0][0], 0.0)), math.sqrt(max(i[0][1], 0.0)) if i[0][1] < math.inf else math.inf),
    "Exp": lambda i: (_exp(i[0][0]), _exp(i[0][1])),
    "Clip": _clipped,
    "Min": lambda i: (min(low for low, _ in i), min(high for _, high in i)),
    "Max": lambda i: (max(low for low, _ in i), max(high for _, high in i)),
    "Add": lambda i: (i[0][0] + i[1][0], i[0][1] + i[1][1]),
    "Sub": lambda i: (i[0][0] - i[1][1], i[0][1] - i[1][0]),
    "Mul": lambda i: _products(i[0], i[1]),
    "Div": _quotient,
}
