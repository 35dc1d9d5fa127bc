"""A bundle's graph is changed for TensorRT here: one fixed shape, input types that it knows, its arithmetic written into
it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from edge.config.bundle import Bundle
from edge.engines.protocol import SamplePictures

InputShape: TypeAlias = tuple[int, int, int, int]
"""Number of pictures, height, width, channels."""
TrtPrecision: TypeAlias = Literal["fp32", "fp16", "int8"]
FORM: Final = 1
"""Part of the engine cache's key; it counts changes in how the graph is made."""
_HEAVY: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def typed_graph(
    bundle: Bundle, precision: TrtPrecision, shape: InputShape, samples: SamplePictures | None
) -> onnx.ModelProto:
    """Return the graph for ``shape`` at ``precision``; inputs and outputs keep their float32 and integer types.

    ``fp16`` applies to everything behind the first convolution or product, where half the memory traffic is worth
    something. What comes before stays float32: pixels of 16 bits reach 65535, and half precision ends at 65504. ``int8``
    puts convolutions between QuantizeLinear and DequantizeLinear without zero points (TensorRT knows none), with scales
    from ``samples``.

    Raises:
        UserError: int8 without samples, or without anything that it would speed up.
    """
    if precision == "int8":
        from edge.engines.int8 import int8_graph

        model = onnx.load_model_from_string(int8_graph(bundle, samples, symmetric=True))
    else:
        model = onnx.load(bundle.model_path)  # with the weights that lie in files of their own
    _fix_shape(model, shape)
    _cast_first(model)
    return _halved(model) if precision == "fp16" else model


def batch_of(bundle: Bundle) -> int | None:
    """Return how many pictures the graph takes at once; None for any number."""
    model = onnx.load(bundle.model_path, load_external_data=False)
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    return first.dim_value if first.HasField("dim_value") else None


def _fix_shape(model: onnx.ModelProto, shape: InputShape) -> None:
    tensor = model.graph.input[0].type.tensor_type
    for dim, size in zip(tensor.shape.dim, shape, strict=True):
        dim.dim_value = size
    # what exporters declare of the rest may be wrong, and half of it speaks of an open batch
    del model.graph.value_info[:]


def _cast_first(model: onnx.ModelProto) -> None:
    """Put a Cast in as the only thing that touches ``frame``; 16-bit frames travel as int32.

    TensorRT knows no uint16, and uint8 only if a Cast follows.
    """
    graph = model.graph
    tensor = graph.input[0].type.tensor_type
    name = graph.input[0].name
    takers = [node for node in graph.node if name in node.input]
    if tensor.elem_type == TensorProto.UINT16:
        tensor.elem_type = TensorProto.INT32
    if all(node.op_type == "Cast" for node in takers):
        return
    for node in takers:
        node.input[:] = [f"{name}/float" if i == name else i for i in node.input]
    graph.node.insert(0, helper.make_node("Cast", [name], [f"{name}/float"], name=f"{name}/float", to=TensorProto.FLOAT))


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"  # what is left alone is reported by name
    own = {node.name for node in model.graph.node}
    half: onnx.ModelProto = convert_float_to_float16(
        model,
        keep_io_types=True,
        min_positive_val=_SMALLEST_HALF,
        max_finite_val=_LARGEST_HALF,
        node_block_list=_head(model.graph),
    )
    _skip_detours(half.graph, own)
    OnnxModel(half).topological_sort()
    return half


def _skip_detours(graph: onnx.GraphProto, own: set[str]) -> None:
    """Connect float32 nodes directly where the converter goes through half precision and back.

    It also adds the same Cast once for each node that reads a value; one will do. ``own`` holds the names of the nodes that
    it adds.
    """
    added: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in [node for node in graph.node if node.op_type == "Cast" and node.name not in own]:
        if node.output[0] in made:
            graph.node.remove(node)
        else:
            made.add(node.output[0])
            added.append(node)
    narrowed = {node.output[0]: node.input[0] for node in added if node.attribute[0].i == TensorProto.FLOAT16}
    for node in added:
        if node.attribute[0].i == TensorProto.FLOAT and node.input[0] in narrowed:
            node.input[0] = narrowed[node.input[0]]
            node.op_type = "Identity"
            del node.attribute[:]
    read = {name for node in graph.node for name in node.input}
    for node in added:
        if node.output[0] in narrowed and node.output[0] not in read:
            graph.node.remove(node)


_SMALLEST_HALF: Final = float(np.finfo(np.float16).smallest_subnormal)
_LARGEST_HALF: Final = float(np.finfo(np.float16).max)


def _head(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes that the frame reaches without passing a heavy one. Nodes stand in topological
    order.
    """
    reached, head = {graph.input[0].name}, []
    for node in graph.node:
        if node.op_type not in _HEAVY and reached.intersection(node.input):
            head.append(node.name)
            reached.update(node.output)
    return head
