"""Brings a foreign model's inputs and outputs to the types and shapes that a build goes on from.

float16 and float64 are cast at the model's edges, one class of a class map becomes the map, and of a model that gives a
score alone the score becomes a map whose pixels all have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.errors import UserError
from edge.models import graphs
from edge.models.build.foreign import Layout
from edge.models.build.options import BuildOptions

_CAST: Final = frozenset({TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
_IDS: Final = frozenset(
    {TensorProto.UINT8, TensorProto.INT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.BOOL}
)


def adapted(model: onnx.ModelProto, options: BuildOptions, path: Path) -> onnx.ModelProto:
    """A copy that takes and gives float32 where the model has another float, with the map that ``options`` name.

    ``map_class`` picks one channel of a class map (n, k, h, w) or (n, h, w, k), or the pixels of one id in a map of ids.
    A named map that is one number for each picture becomes 2x2 pixels of it.

    Raises:
        UserError: there is no such output or class.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    edit = _Edit(out)
    for value in graphs.inputs(out):
        if value.type.tensor_type.elem_type in _CAST:
            edit.cast_input(value)
    for value in list(out.graph.output):
        if value.type.tensor_type.elem_type in _CAST:
            edit.replace(value.name, [("Cast", {"to": TensorProto.FLOAT})], shaped=True)
    if options.map_class is None and options.map_name is None:
        return out
    if options.map_class is not None and options.map_name is None:
        raise UserError("--class goes with --map", fix="say of which output: --map NAME --class N")
    name = options.map_name or ""
    named = next((o for o in out.graph.output if o.name == name), None)
    if named is None:
        return out  # the error comes where the outputs are looked through
    if options.map_class is not None:
        _pick_class(edit, named, options.map_class, options.layout, path)
    elif _is_score(out, name):
        edit.replace(name, [("Reshape", np.array([-1, 1, 1, 1])), ("Expand", np.array([1, 1, 2, 2]))])
    return out


def _pick_class(edit: _Edit, value: onnx.ValueInfoProto, index: int, layout: Layout | None, path: Path) -> None:
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    if value.type.tensor_type.elem_type in _IDS:
        edit.replace(
            value.name,
            [("Cast", {"to": TensorProto.INT64}), ("Equal", np.array(index)), ("Cast", {"to": TensorProto.FLOAT})],
        )
        return
    if len(shape) != 4:
        raise UserError(
            f"{path}: output {value.name!r} has no axis of classes",
            received=f"{len(shape)} dimensions",
            expected="(n, k, h, w) or (n, h, w, k), or a map of whole numbers",
        )
    axis = 3 if layout == "nhwc" or (layout is None and _is_last(shape)) else 1
    if shape[axis] and not 0 <= index < shape[axis]:
        raise UserError(
            "--class", received=index, expected=f"0 to {shape[axis] - 1}: {value.name!r} has {shape[axis]} classes"
        )
    edit.replace(value.name, [("Gather", np.array([index]), {"axis": axis})])


def _is_last(shape: list[int]) -> bool:
    """The axis of classes is the smaller one of the second and the last, where both are known."""
    return bool(shape[1] and shape[3] and shape[3] < shape[1])


def _is_score(model: onnx.ModelProto, name: str) -> bool:
    """The output is one number for each picture, by its declared shape: (n), (n, 1), (n, 1, 1, 1) or no dimension."""
    value = next(o for o in model.graph.output if o.name == name)
    kind = value.type.tensor_type
    if kind.elem_type not in _CAST | {TensorProto.FLOAT} or not kind.HasField("shape"):
        return False
    dims = [d.dim_value for d in kind.shape.dim]
    return len(dims) <= 1 or (len(dims) <= 4 and all(side == 1 for side in dims[1:]))


class _Edit:
    """Changes at the edges of a graph, in place; names stay, so that people find them again."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self._prefix = graphs.free_prefix(model.graph, "adapted")
        self._count = 0

    def cast_input(self, value: onnx.ValueInfoProto) -> None:
        kind = value.type.tensor_type.elem_type
        inner = self._fresh()
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                if name == value.name:
                    node.input[index] = inner
        self.graph.node.insert(0, helper.make_node("Cast", [value.name], [inner], name=inner, to=kind))
        value.type.tensor_type.elem_type = TensorProto.FLOAT

    def replace(self, name: str, steps: list[tuple[Any, ...]], *, shaped: bool = False) -> None:
        """Put operators behind an output: (operator, constant and attributes in any order). ``shaped``: its shape stays."""
        last = self._fresh()
        position = [o.name for o in self.graph.output].index(name)
        graphs.rename(self.graph, {name: last})
        for index, (operator, *rest) in enumerate(steps):
            target = name if index == len(steps) - 1 else self._fresh()
            constants = [self._constant(part) for part in rest if isinstance(part, np.ndarray)]
            attributes = next((part for part in rest if isinstance(part, dict)), {})
            self.graph.node.append(
                helper.make_node(operator, [last, *constants], [target], name=self._fresh(), **attributes)
            )
            last = target
        declared = self.graph.output[position].type.tensor_type
        made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        if shaped and declared.HasField("shape"):
            made.type.tensor_type.shape.CopyFrom(declared.shape)
        self.graph.output[position].CopyFrom(made)

    def _constant(self, values: Any) -> str:
        name = self._fresh()
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def _fresh(self) -> str:
        self._count += 1
        return f"{self._prefix}/{self._count}"
