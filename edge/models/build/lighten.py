"""What an exporter writes the long way is written the short way here: the same numbers for less work.

Each rewriting is an identity of real numbers, so only the order of the float32 sums changes. ``build`` checks the result
against the original model, and keeps the graph as it came where that fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge.models import graphs

_SAME = 1e-6
"""Share of a kernel's absolute sum that its two halves may miss. The output moves by no more than this share of the
input."""
_LEAST_GAIN = 3
"""A convolution is split where that leaves a third of its products: from 7x7 on."""
_BLOCK = 32
"""Number of columns in a block. For a form in 100 variables the blocks keep 67 % of the matrix; narrower ones keep less and
ran no faster."""
_LEAST_FORM_BYTES = 4_000_000
"""Smaller matrices stay in the cache, and cost nothing worth saving."""

_Constants: TypeAlias = Mapping[str, NDArray[Any]]


def lightened(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Rewrite ``model``, and say in words what was done; return the model itself and nothing if no pattern is found.

    Found are, in the main graph, a convolution of single channels whose kernel is an outer product (the Gaussian that
    anomalib smooths its maps with: 33x33 on one channel, a third of PatchCore's time), and a quadratic form with a
    constant matrix for each position (the Mahalanobis distance of PaDiM, which waits for memory).
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    constants = _constants(out.graph)
    uses = Counter(name for node in out.graph.node for name in graphs.names_used(node))
    uses.update(o.name for o in out.graph.output)
    nodes: list[onnx.NodeProto] = []
    done: list[str] = []
    for node in out.graph.node:
        shorter = _split(node, constants, out.graph) or _halved(node, constants, uses, out)
        nodes += shorter[0] if shorter else [node]
        done += [shorter[1]] if shorter else []
    if not done:
        return model, ()
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    graphs.prune(out.graph)
    return out, tuple(done)


def _split(node: onnx.NodeProto, constants: _Constants, graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], str] | None:
    """Replace a convolution with k = a b' for each channel by one with a and one with b'."""
    kernel = constants.get(node.input[1]) if node.op_type == "Conv" else None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if kernel is None or kernel.ndim != 4 or kernel.shape[1] != 1 or attributes.get("group", 1) != len(kernel):
        return None
    height, width = kernel.shape[2:]
    halves = _halves(kernel) if height * width >= _LEAST_GAIN * (height + width) else None
    if halves is None or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    (top, left, bottom, right), (down, across), (dilated_y, dilated_x) = (
        attributes.get(name, default) for name, default in (("pads", [0] * 4), ("strides", [1, 1]), ("dilations", [1, 1]))
    )
    between = f"edge/{node.output[0]}/columns"
    names = [f"edge/{node.output[0]}/{half}" for half in ("down", "across")]
    graph.initializer.extend(numpy_helper.from_array(h, n) for h, n in zip(halves, names, strict=True))
    first = helper.make_node(
        "Conv",
        [node.input[0], names[0]],
        [between],
        name=between,
        group=len(kernel),
        kernel_shape=[height, 1],
        pads=[top, 0, bottom, 0],
        strides=[down, 1],
        dilations=[dilated_y, 1],
    )
    second = helper.make_node(
        "Conv",
        [between, names[1], *node.input[2:]],
        list(node.output),
        name=node.name,
        group=len(kernel),
        kernel_shape=[1, width],
        pads=[0, left, 0, right],
        strides=[1, across],
        dilations=[1, dilated_x],
    )
    return [first, second], f"a {height}x{width} convolution by an outer product as {height}x1 and 1x{width}"


def _halves(kernel: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return (channels, 1, h, 1) and (channels, 1, 1, w) whose product is ``kernel``; None if there are none, or not
    float32.
    """
    if kernel.dtype != np.float32 or not np.isfinite(kernel).all():
        return None
    plain = kernel[:, 0].astype(np.float64)
    left, strength, right = np.linalg.svd(plain, full_matrices=False)
    root = np.sqrt(strength[:, :1])
    sign = np.where(left[:, :, 0].sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    down, across = ((half * root * sign).astype(np.float32) for half in (left[:, :, 0], right[:, 0]))
    missed = np.abs(down[:, :, None].astype(np.float64) * across[:, None] - plain)
    if (missed.sum(axis=(1, 2)) > _SAME * np.abs(plain).sum(axis=(1, 2))).any():
        return None
    return down[:, None, :, None], across[:, None, None, :]


def _halved(
    node: onnx.NodeProto, constants: _Constants, uses: Mapping[str, int], model: onnx.ModelProto
) -> tuple[list[onnx.NodeProto], str] | None:
    """The product d W of a form sum((d W) * d), which only needs W's sum with its transpose, and of that a half.

    d W becomes d V with V block lower triangular, V + V' = W + W': another product, the same form.
    """
    matrix = constants.get(node.input[1]) if node.op_type == "MatMul" else None
    if matrix is None or matrix.dtype != np.float32 or matrix.ndim < 3 or matrix.nbytes < _LEAST_FORM_BYTES:
        return None
    size = matrix.shape[-1]
    if matrix.shape[-2] != size or size < 2 * _BLOCK or not _is_form(node, constants, uses, model, matrix.ndim):
        return None
    given, vector = node.output[0], node.input[0]
    base = f"edge/{given}"  # as elsewhere, a prefix that no model has
    nodes, parts = [], []

    def constant(name: str, values: NDArray[Any]) -> str:
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), f"{base}/{name}"))
        return f"{base}/{name}"

    edges = [*range(0, size - _BLOCK + 1, _BLOCK), size]
    for start, end in pairwise(edges):
        block = matrix[..., start:, start:end].copy()
        block[..., end - start :, :] += np.swapaxes(matrix[..., start:end, end:], -1, -2)
        rest = vector
        if start:
            bounds = [constant(f"{k}_{start}", np.array([v])) for k, v in (("from", start), ("to", size), ("axis", -1))]
            rest = f"{base}/rest_{start}"
            nodes.append(helper.make_node("Slice", [vector, *bounds], [rest], name=rest))
        parts.append(f"{base}/part_{start}")
        nodes.append(helper.make_node("MatMul", [rest, constant(f"block_{start}", block)], parts[-1:], name=parts[-1]))
    nodes.append(helper.make_node("Concat", parts, [given], name=node.name or base, axis=-1))
    return nodes, f"a quadratic form in {size} variables by the lower half of its matrix"


def _is_form(
    product: onnx.NodeProto, constants: _Constants, uses: Mapping[str, int], model: onnx.ModelProto, rank: int
) -> bool:
    """Return True if ``product`` goes into a Mul with its own vector, that into a sum over the last axis, and nowhere
    else.
    """
    vector, given = product.input[0], product.output[0]
    times = next((n for n in model.graph.node if n.op_type == "Mul" and sorted(n.input) == sorted((given, vector))), None)
    if times is None or uses[given] != 1 or uses[times.output[0]] != 1:
        return False
    total = next((n for n in model.graph.node if n.op_type == "ReduceSum" and n.input[0] == times.output[0]), None)
    if total is None:
        return False
    listed = next((a.ints for a in total.attribute if a.name == "axes"), None)
    axes = listed if listed is not None else constants.get(total.input[1] if len(total.input) > 1 else "")
    if axes is None or len(axes) != 1:
        return False
    turned = graphs.producers(model).get(vector)
    ranks = (
        {len(a.ints) for a in turned.attribute if a.name == "perm"} if turned and turned.op_type == "Transpose" else None
    )
    return int(axes[0]) == -1 or (ranks == {rank} and int(axes[0]) == rank - 1)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """Second inputs that are weights, Constant nodes, or one of these behind an Identity, by tensor name."""
    constants = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    wanted = {n.input[1] for n in graph.node if n.op_type in ("Conv", "MatMul", "ReduceSum") and len(n.input) > 1}
    return {name: numpy_helper.to_array(constants[name]) for name in wanted if name in constants}
