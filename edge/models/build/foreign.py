"""A foreign model is read here: what its input takes, which outputs are map and score, and what its exporter did to them.

Declared shapes of outputs are not trusted (exporters leave symbolic leftovers there); the model is run and looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edge.errors import UserError
from edge.models import graphs

Layout: TypeAlias = Literal["nchw", "nhwc"]
_MAP_NAMES = ("anomaly_map", "map", "anomaly_maps", "score_map", "heatmap", "heat_map")
_SCORE_NAMES = ("pred_score", "score", "scores", "image_score", "anomaly_score")
_TAIL_DEPTH = 8
"""Number of nodes between the exporter's Add and the output: a clamp of one node or two, one to three Where, perhaps a
reshape."""
_CLAMPS = ("Clip", "Min", "Max", "Relu")


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The image that the model takes.

    ``dtype``: float32 or uint8. ``size`` (w, h): None if it takes any. ``batch``: None if it is symbolic.
    """

    name: str
    dtype: str
    layout: Layout
    channels: int
    size: tuple[int, int] | None
    batch: int | None
    sides: tuple[int | None, int | None] = (None, None)
    """Return width and height as declared, each for itself."""


@dataclass(frozen=True, slots=True)
class Tail:
    """A tail is what an exporter put behind a raw output, by ``FORMULA``."""

    FORMULA: ClassVar = "clip((raw - threshold) / range + 0.5, 0, 1)"
    raw: str
    threshold: float
    range: float

    def __str__(self) -> str:
        return f"{self.FORMULA.replace('threshold', f'{self.threshold:.6g}').replace('range', f'{self.range:.6g}')}"

    def applied(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return the exporter's own output for these raw values."""
        return np.clip((raw - self.threshold) / self.range + 0.5, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """An output has ``name`` as exported, and ``tensor``, which a bundle gives out, in front of ``tail`` if there is
    one.
    """

    name: str
    tensor: str
    tail: Tail | None = None


def read_input(model: onnx.ModelProto, path: Path, layout: Layout | None, channels: int | None) -> ModelInput:
    """The model's only input, as declared; ``layout`` and ``channels`` say what the declaration leaves open.

    Raises:
        UserError: several inputs, another type than float32 or uint8, other dimensions than one image has.
    """
    inputs = graphs.inputs(model)
    if len(inputs) != 1:
        raise UserError(
            f"{path}: a model of one image is needed",
            received=f"{len(inputs)} inputs: {', '.join(i.name for i in inputs)}",
            expected="one input",
        )
    value = inputs[0]
    dtype = _type_name(value.type.tensor_type.elem_type)
    if dtype not in ("float32", "uint8"):
        raise UserError(
            f"{path}: input {value.name!r} has a type that is not taken",
            received=dtype,
            expected="float32 or uint8",
            fix="export the model in float32",
        )
    dims = graphs.dims(value)
    if len(dims) != 4:
        raise UserError(
            f"{path}: input {value.name!r} is no image",
            received=f"{len(dims)} dimensions: {_shown(value)}",
            expected="4: (n, c, h, w) or (n, h, w, c) with 1 or 3 channels",
        )
    layout = layout or _layout(dims, value, path)
    count, (height, width) = (dims[1], dims[2:]) if layout == "nchw" else (dims[3], dims[1:3])
    if count not in (1, 3, None):
        raise UserError(
            f"{path}: input {value.name!r} is no image", received=f"{count} channels", expected="1 or 3 channels"
        )
    if count is None and channels is None:
        raise UserError(
            f"{path}: input {value.name!r} leaves its channels open", fix="say which: --channels 1 or --channels 3"
        )
    size = (width, height) if width is not None and height is not None else None
    return ModelInput(
        name=value.name,
        dtype=dtype,
        layout=layout,
        channels=count or channels or 0,
        size=size,
        batch=dims[0],
        sides=(width, height),
    )


def find_map(outputs: Mapping[str, NDArray[Any]], batch: int, path: Path, name: str | None) -> str:
    """Name of the output that is an anomaly map, among what the model gave for one picture.

    Raises:
        UserError: none, several, or one that is no map: not float32, more than one channel.
    """
    if name is not None and name not in outputs:
        raise UserError(f"{path}: no output {name!r}", expected=f"one of: {_listed(outputs)}")
    named = [name] if name else [n for wanted in _MAP_NAMES for n in outputs if n.lower() == wanted][:1]
    maps = [n for n, a in outputs.items() if np.issubdtype(a.dtype, np.floating) and _spatial(a.shape, batch) is not None]
    candidates = named or maps
    if not name and named and any("anomal" in n.lower() and "anomal" not in named[0].lower() for n in maps):
        candidates = maps  # an output called map may be another one
    if not candidates:
        raise UserError(
            f"{path}: the model gives no anomaly map",
            received=_listed(outputs),
            expected="a float32 output of shape (n, 1, h, w) or (n, h, w)",
            fix="of a class map (n, k, h, w) name one class: --map NAME --class N; of a model that gives a score alone "
            "name that: --map NAME, and the whole frame is one region",
        )
    if len(candidates) > 1:
        raise UserError(
            f"{path}: several outputs may be the anomaly map", received=_listed(outputs), fix="say which: --map NAME"
        )
    values = outputs[candidates[0]]
    if values.dtype != np.float32:
        raise UserError(
            f"{path}: the map {candidates[0]!r} has a type that is not taken",
            received=str(values.dtype),
            expected="float32",
            fix="export the model in float32",
        )
    if _spatial(values.shape, batch) is None:
        raise UserError(
            f"{path}: output {candidates[0]!r} is no anomaly map",
            received=f"shape {values.shape} for {_pictures(batch)}",
            expected="(n, 1, h, w) or (n, h, w)",
            fix="of a class map (n, k, h, w) name one class: --map NAME --class N",
        )
    return candidates[0]


def find_score(outputs: Mapping[str, NDArray[Any]], batch: int, path: Path, name: str | None) -> str | None:
    """Name of the output that is one number for each picture, or None: by name, else the only float32 of that size.

    Raises:
        UserError: ``name`` is given and is none, or the output that is called a score has another type.
    """
    fits = score_candidates(outputs, batch)
    if name is None:
        named = [n for wanted in _SCORE_NAMES for n, a in outputs.items() if n.lower() == wanted and a.size == batch]
        if named and outputs[named[0]].dtype != np.float32:
            raise UserError(
                f"{path}: the score {named[0]!r} has a type that is not taken",
                received=str(outputs[named[0]].dtype),
                expected="float32",
                fix="export the model in float32" + (", or take another output: --score NAME" if fits else ""),
            )
        return named[0] if named else fits[0] if len(fits) == 1 else None
    if name not in fits:
        raise UserError(
            f"{path}: output {name!r} is no score",
            received=_listed(outputs) or "no output but the map",
            expected="a float32 output with one value for each picture",
        )
    return name


def score_candidates(outputs: Mapping[str, NDArray[Any]], batch: int) -> list[str]:
    """Return the names of the outputs that may be a score: float32, one value for each picture."""
    return [n for n, a in outputs.items() if a.dtype == np.float32 and a.size == batch and a.ndim <= 4]


def find_embedding(outputs: Mapping[str, NDArray[Any]], batch: int) -> str | None:
    """Return the name of the output that is called an embedding and is one: float32 (n, d)."""
    named = (n for n, a in outputs.items() if n.lower() == "embedding" and a.dtype == np.float32 and a.ndim == 2)
    return next((n for n in named if outputs[n].shape[0] == batch), None)


def spatial_axes(shape: Sequence[int], batch: int) -> tuple[int, int]:
    """Return the axes of height and width in a map that ``find_map`` took."""
    axes = _spatial(shape, batch)
    assert axes is not None
    return axes


def find_tail(model: onnx.ModelProto, output: str, feeds: Sequence[NDArray[Any]], path: Path) -> Tail | None:
    """The exporter's normalisation in front of ``output``: Sub, Div, Add 0.5, Clip (or Max and Min), behind switches.

    The pattern is anomalib's (2.0 to 2.7, both of its exporters). It counts only if it reproduces ``output`` from the raw
    values on every one of ``feeds``: with missing statistics those switches pass the raw values on.
    """
    nodes = graphs.producers(model)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for sub, div in _normalisations(nodes, output):
        raw, names = sub.input[0], (sub.input[1], div.input[1])
        session = graphs.session(graphs.with_outputs(model, [raw, *(n for n in names if n not in constants)]), str(path))
        runs = [graphs.run_graph(session, feed) for feed in feeds]
        values = [np.asarray(constants.get(n, runs[0].get(n))) for n in names]
        if any(v.size != 1 for v in values):
            continue
        tail = Tail(raw, float(values[0].item()), float(values[1].item()))
        if tail.range > 0 and all(
            np.allclose(tail.applied(r[raw]).ravel(), r[output].ravel(), rtol=0, atol=1e-5, equal_nan=True) for r in runs
        ):
            return tail
    return None


def _normalisations(nodes: Mapping[str, onnx.NodeProto], output: str) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Return (Sub, Div) of each Add(Div(Sub(raw, a), b), c) that stands close in front of ``output``."""
    found = []
    for add in _close_in_front(nodes, output):
        if add.op_type == "Add":
            for div in (nodes.get(n) for n in add.input):
                sub = nodes.get(div.input[0]) if div is not None and div.op_type == "Div" else None
                if div is not None and sub is not None and sub.op_type == "Sub":
                    found.append((sub, div))
    return found


def _close_in_front(nodes: Mapping[str, onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """Return what stands in front of ``output``, nearest first, as far as switches, clamps and reshapes lead."""
    close: list[onnx.NodeProto] = []
    front = [output]
    for _ in range(_TAIL_DEPTH):
        behind: list[str] = []
        for node in (nodes[n] for n in front if n in nodes):
            close.append(node)
            if node.op_type == "Where":
                behind += node.input[1:]
            elif node.op_type in ("Identity", "Reshape", "Squeeze", "Unsqueeze"):
                behind.append(node.input[0])
            elif node.op_type in _CLAMPS:
                behind += [name for name in node.input if name in nodes]
        front = behind
    return close


def _layout(dims: Sequence[int | None], value: onnx.ValueInfoProto, path: Path) -> Layout:
    first, last = dims[1] in (1, 3), dims[3] in (1, 3)
    if first != last:
        return "nchw" if first else "nhwc"
    if dims[1] is None and dims[3] is not None:
        return "nchw"
    if dims[3] is None and dims[1] is not None:
        return "nhwc"
    if dims[1] is not None and dims[3] is not None and not first:
        raise UserError(
            f"{path}: input {value.name!r} is no image",
            received=_shown(value),
            expected="1 or 3 channels: (n, c, h, w) or (n, h, w, c)",
        )
    raise UserError(
        f"{path}: input {value.name!r} does not say where its channels are",
        received=_shown(value),
        fix="say it: --layout nchw or --layout nhwc",
    )


def _spatial(shape: Sequence[int], batch: int) -> tuple[int, int] | None:
    """Return the axes of height and width, or None if the shape is no map's."""
    rank = len(shape)
    if rank == 2 and batch == 1:
        axes = (0, 1)
    elif rank not in (3, 4) or shape[0] != batch or (rank == 4 and 1 not in (shape[1], shape[3])):
        return None
    else:
        axes = (2, 3) if rank == 4 and shape[1] == 1 else (1, 2)
    return axes if shape[axes[0]] > 1 and shape[axes[1]] > 1 else None


def _listed(outputs: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{n} {a.dtype} {tuple(a.shape)}" for n, a in outputs.items())


def _shown(value: onnx.ValueInfoProto) -> str:
    shape = value.type.tensor_type.shape.dim
    return f"({', '.join(str(d.dim_value) if d.HasField('dim_value') else d.dim_param or '?' for d in shape)})"


def _pictures(count: int) -> str:
    return "one picture" if count == 1 else f"{count} pictures"


def _type_name(elem_type: int) -> str:
    known = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}
    kind = TensorProto.DataType.Name(elem_type)
    return next((text for number, text in known.items() if number == elem_type), kind.lower())
