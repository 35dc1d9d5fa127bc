"""ONNX graphs get small surgery here: load, rename, cut, prune, run. Nothing here knows what an anomaly map is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from edge.config.bundle import confined, external_files
from edge.errors import UserError

_OLDEST_OPSET = 11
"""Older models are lifted: before 11, Clip and Slice took attributes where the nodes written here take inputs."""
_LARGEST_BYTES = 2_000_000_000
"""A model travels through memory as one protocol buffer, and those end at 2 GiB."""


def load_model(path: Path) -> onnx.ModelProto:
    """Load an ONNX file with its external data inside, at opset 11 or later.

    Raises:
        UserError: no such file, no ONNX, weights missing or outside the model's folder, too large.
    """
    if path.is_dir():
        raise UserError(f"{path}: not an ONNX model", received="a folder", expected="a .onnx file")
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception:  # noqa: BLE001  (protobuf's error class depends on its backend)
        model = onnx.ModelProto()
    if not model.graph.output:
        raise UserError(f"{path}: not an ONNX model", expected="a .onnx file, as an exporter wrote it")
    for name in sorted(external_files(model)):
        confined(path.parent, name, f"{path}: external data")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise UserError(f"{path}: external data cannot be read", received=first_line(error)) from None
    if sum(len(t.raw_data) for t in model.graph.initializer) > _LARGEST_BYTES:
        raise UserError(f"{path}: the model is too large", expected="at most 2 GB of weights")
    for tensor in model.graph.initializer:
        del tensor.external_data[:]
        tensor.ClearField("data_location")
    return _lifted(model, path)


def opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)


def session(model: onnx.ModelProto, what: str) -> ort.InferenceSession:
    """Open ONNX Runtime on the CPU.

    Raises:
        UserError: ``what`` names the model.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores to others
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        raise UserError(
            f"{what}: ONNX Runtime {ort.__version__} cannot load the model", received=first_line(error)
        ) from None


def run_graph(session: ort.InferenceSession, feed: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """All tensors that come out, by name, of the session's only input; sequences and maps are passed over."""
    names = [o.name for o in session.get_outputs() if o.type.startswith("tensor(")]
    if not names:
        return {}
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: feed}), strict=True))


def inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the real inputs: old exporters list the weights among them."""
    weights = {t.name for t in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in weights]


def dims(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return the declared shape, None for a symbolic dimension."""
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in value.type.tensor_type.shape.dim]


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return the node of the main graph that makes each tensor."""
    return {name: node for node in model.graph.node for name in node.output if name}


def constant(model: onnx.ModelProto, name: str) -> NDArray[Any] | None:
    """Return the value of a weight, or of a Constant node; None for anything else."""
    tensors = [t for t in model.graph.initializer if t.name == name]
    made = (n for n in model.graph.node if n.op_type == "Constant" and name in n.output)
    tensors += [a.t for n in made for a in n.attribute if a.name == "value"]
    return np.asarray(onnx.numpy_helper.to_array(tensors[0])) if tensors else None


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of one attribute, or ``default``."""
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def with_outputs(model: onnx.ModelProto, extra: Iterable[str]) -> onnx.ModelProto:
    """Return a copy that also gives these float32 tensors out."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {o.name for o in copy.graph.output}
    for name in dict.fromkeys(extra):
        if name not in known:
            copy.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return copy


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors new names, in place, in the graphs inside its nodes too."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                if name in names:
                    field[index] = names[name]
        for inner in _inner_graphs(node):
            rename(inner, names)


def prune(graph: onnx.GraphProto) -> None:
    """Drop every node and weight that no output needs, in place."""
    needed = {o.name for o in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(names_used(node))
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    weights = [t for t in graph.initializer if t.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    del graph.value_info[:]


def is_free(graph: onnx.GraphProto, name: str) -> bool:
    """Return True if no tensor of the graph, or of the graphs inside its nodes, has this name."""
    if name in {v.name for v in (*graph.input, *graph.initializer)}:
        return False
    return all(name not in node.output and all(is_free(g, name) for g in _inner_graphs(node)) for node in graph.node)


def free_prefix(graph: onnx.GraphProto, prefix: str) -> str:
    """Return ``prefix``, or ``prefix2`` and so on if names begin with it already, as those of a bundle's graph do."""
    names = _all_names(graph)
    count = 1
    while any(name.startswith(f"{prefix}{count if count > 1 else ''}/") for name in names):
        count += 1
    return f"{prefix}{count if count > 1 else ''}"


def _all_names(graph: onnx.GraphProto) -> set[str]:
    names = {v.name for v in (*graph.input, *graph.initializer)}
    for node in graph.node:
        names.update(node.output)
        names.add(node.name)
        for inner in _inner_graphs(node):
            names |= _all_names(inner)
    return names


def value(name: str, dtype: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """An input or output; text stands for a symbolic dimension."""
    return helper.make_tensor_value_info(name, dtype, shape)


def first_line(error: Exception) -> str:
    """With the indented lines that follow it: what the runtime got and expected."""
    first, *rest = str(error).strip().split("\n")
    return " ".join([first.strip(), *(line.strip() for line in takewhile(lambda line: line[:1].isspace(), rest))])


def names_used(node: onnx.NodeProto) -> set[str]:
    """Tensors that a node reads, in the graphs inside it too."""
    used = set(node.input)
    for inner in _inner_graphs(node):
        used.update(o.name for o in inner.output)
        for deeper in inner.node:
            used |= names_used(deeper)
    return used


def _inner_graphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [
        graph
        for attribute in node.attribute
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)
    ]


def _lifted(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    if opset(model) >= _OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, 13)
    except Exception as error:  # noqa: BLE001  (RuntimeError, ValueError and its own ConvertError)
        raise UserError(
            f"{path}: operators of opset {opset(model)} cannot be lifted to 13",
            received=first_line(error),
            fix="export the model again with opset 13 or later",
        ) from None
