"""Small ONNX graphs for tests: bundles' own contract, wrong ones, and the two styles in which anomalib exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, DisplaySpec, InputSpec, ResizeSpec
from edge.models.write import write_bundle

Size = tuple[int, int] | Literal["any"]
node = helper.make_node


def graph_model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
) -> onnx.ModelProto:
    """A checked model; ``constants`` are NumPy arrays by name."""
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="test")
    onnx.checker.check_model(model)
    return model


def tensor(name: str, dtype: int, shape: list[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def identity_model(channels: int = 1, size: Size = "any", *, score: bool = True) -> onnx.ModelProto:
    """Bundle contract. ``map`` = brightest channel / 255; ``score`` = the map's maximum."""
    width, height = size if size != "any" else ("W", "H")
    # Squeeze first: ONNX Runtime takes 10 ns for each element of a Div whose last axis is 1
    nodes = [
        node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
        node("Squeeze", ["pixels", "axis"], ["brightest"])
        if channels == 1
        else node("ReduceMax", ["pixels"], ["brightest"], axes=[3], keepdims=0),
        node("Div", ["brightest", "white"], ["map"]),
    ]
    outputs = [tensor("map", TensorProto.FLOAT, ["n", height, width])]
    if score:
        nodes.append(node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0))
        outputs.append(tensor("score", TensorProto.FLOAT, ["n"]))
    return graph_model(
        nodes,
        [tensor("frame", TensorProto.UINT8, ["n", height, width, channels])],
        outputs,
        {"white": np.float32(255)} | ({"axis": np.array([3])} if channels == 1 else {}),
    )


def nan_model(channels: int = 1, size: Size = "any", *, only_where_black: bool = False) -> onnx.ModelProto:
    """Bundle contract, but the map is NaN: everywhere, or only at pixels of value 0."""
    model = identity_model(channels, size, score=False)
    model.graph.node[2].output[0] = "bright"
    model.graph.node.append(node("Sub", ["bright", "bright"], ["zero"]))
    part = "bright" if only_where_black else "zero"
    model.graph.node.append(node("Div", [part, part], ["map"]))
    onnx.checker.check_model(model)
    return model


def slow_model(channels: int = 1, size: Size = "any", *, cost: int = 1) -> onnx.ModelProto:
    """The identity model after ``cost`` products of 512x512 matrices (about 2.7 ms each on one thread) that add 0 to it."""
    model = identity_model(channels, size)
    model.graph.node[2].output[0] = "quick_map"
    rng = np.random.default_rng(0)
    model.graph.initializer.append(numpy_helper.from_array(rng.standard_normal((512, 512)).astype(np.float32) / 32, "w"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    # the first factor depends on the frame, or the runtime would fold the whole product into a constant
    chain = [
        node("ReduceMax", ["quick_map"], ["bright"], keepdims=0),
        node("Mul", ["w", "bright"], ["p0"]),
        *(node("MatMul", [f"p{i}", "w"], [f"p{i + 1}"]) for i in range(cost)),
        node("ReduceMax", [f"p{cost}"], ["work"], keepdims=0),
        node("Mul", ["work", "nothing"], ["zero"]),
        node("Add", ["quick_map", "zero"], ["map"]),
    ]
    nodes = [*model.graph.node[:3], *chain, *model.graph.node[3:]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def wrong_model(
    kind: Literal["no_map", "float64_map", "rank_4_map", "hidden_rank", "two_inputs", "float_frame"],
) -> onnx.ModelProto:
    """Almost a bundle's graph (16x16 grey), wrong in one way. ``hidden_rank``: rank 4 behind an undeclared shape."""
    model = identity_model(1, (16, 16), score=False)
    graph = model.graph
    if kind == "no_map":
        graph.node[2].output[0] = graph.output[0].name = "result"
    elif kind == "float64_map":
        graph.node[2].output[0] = "map32"
        graph.node.append(node("Cast", ["map32"], ["map"], to=TensorProto.DOUBLE))
        graph.output[0].CopyFrom(tensor("map", TensorProto.DOUBLE, ["n", 16, 16]))
    elif kind == "rank_4_map":
        graph.node[1].CopyFrom(node("Identity", ["pixels"], ["brightest"]))
        graph.output[0].CopyFrom(tensor("map", TensorProto.FLOAT, ["n", 16, 16, 1]))
    elif kind == "hidden_rank":  # the length of the shape, so the rank, is known only when it runs
        graph.node[2].CopyFrom(node("Cast", ["frame"], ["bright"], to=TensorProto.INT64))
        graph.node.append(node("ReduceMax", ["bright"], ["top"], keepdims=0))
        graph.node.append(node("Div", ["top", "much"], ["zero"]))
        graph.node.append(node("Add", ["four", "zero"], ["end"]))
        graph.node.append(node("Slice", ["whole", "start", "end"], ["shape"]))
        graph.node.append(node("Reshape", ["pixels", "shape"], ["map"]))
        for name, value in (("much", 1000), ("four", [4]), ("start", [0]), ("whole", [1, 16, 16, 1])):
            graph.initializer.append(numpy_helper.from_array(np.array(value), name))
        graph.output[0].CopyFrom(tensor("map", TensorProto.FLOAT, None))
    elif kind == "two_inputs":
        graph.input.append(tensor("mask", TensorProto.UINT8, ["n", 16, 16, 1]))
    elif kind == "float_frame":
        graph.input[0].CopyFrom(tensor("frame", TensorProto.FLOAT, ["n", 16, 16, 1]))
    return model


def write_identity_bundle(
    folder: Path,
    channels: Literal[1, 3] = 1,
    size: Size = "any",
    *,
    resize: bool = False,
    score: bool = True,
    model: onnx.ModelProto | None = None,
    name: str = "identity",
) -> Bundle:
    """Identity model, or ``model`` under the same contract; frames are resized to ``size``, or nothing is."""
    spec = BundleSpec(
        name=name,
        input=InputSpec(channels=channels, size=size),
        resize=ResizeSpec(where="host", size=size) if resize and size != "any" else ResizeSpec(where="none"),
        display=DisplaySpec(threshold=0.5),
    )
    return write_bundle(folder, model or identity_model(channels, size, score=score), spec)


TAIL = {"image": (0.25, 0.5), "pixel": (0.3, 0.8)}
"""(threshold, range) of the normalisation in ``anomalib_model``."""
_IMAGENET = (np.float32([0.485, 0.456, 0.406]).reshape(3, 1, 1), np.float32([0.229, 0.224, 0.225]).reshape(3, 1, 1))


def anomalib_model(
    style: Literal["legacy", "dynamo"] = "legacy",
    *,
    size: Size = (32, 32),
    batch: int | None = None,
    baked_batch: bool = False,
    with_statistics: bool = True,
) -> onnx.ModelProto:
    """Anomalib's export contract around one convolution.

    ``legacy``: 2.0 to 2.6 (opset 14, score (n), computed constants, leftovers as output shapes); ``dynamo``: 2.7 (opset 18,
    score (n, 1)). ``size`` any: an in-graph resize to 32x32. ``batch``: frozen at that, ``baked_batch``: in a Reshape too.
    ``with_statistics`` false: the raw values pass the normalisation by.
    """
    opset = 14 if style == "legacy" else 18
    weights: dict[str, Any] = {
        "mean": _IMAGENET[0],
        "std": _IMAGENET[1],
        "kernel": np.random.default_rng(7).standard_normal((1, 3, 3, 3)).astype(np.float32) / 9,
        "half": np.float32(0.5),
        "zero": np.float32(0),
        "one": np.float32(1),
        "off": np.array(False),
        "raw_batch_shape": np.array([batch or 1, 1, 32, 32]),
        "score_shape": np.array([-1] if style == "legacy" else [-1, 1]),
    }
    nodes = []
    picture = "input"
    if size == "any":
        weights |= {"model_size": np.array([32, 32]), "start": np.array([0]), "end": np.array([2])}
        nodes += [
            node("Shape", ["input"], ["full_shape"]),
            node("Slice", ["full_shape", "start", "end"], ["batch_and_channels"]),
            node("Concat", ["batch_and_channels", "model_size"], ["sizes"], axis=0),
            node("Resize", ["input", "", "", "sizes"], ["resized"], mode="linear"),
        ]
        picture = "resized"
    nodes += [
        node("Sub", [picture, "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["normal"]),
        node("Conv", ["normal", "kernel"], ["filtered"], pads=[1, 1, 1, 1]),
        node("Abs", ["filtered"], ["strength"]),
        node("Reshape", ["strength", "raw_batch_shape"], ["raw_map"])
        if baked_batch
        else node("Identity", ["strength"], ["raw_map"]),
        node("Reshape", ["raw_map", "flat"], ["per_picture"]),
        node("TopK", ["per_picture", "first"], ["highest", "at"], axis=1),
        node("Reshape", ["highest", "score_shape"], ["raw_score"]),
    ]
    weights |= {"flat": np.array([0, -1]), "first": np.array([1])}
    for kind, raw, output in (("image", "raw_score", "pred_score"), ("pixel", "raw_map", "anomaly_map")):
        nodes += _tail(kind, raw, output, weights, style, with_statistics)
    nodes += [
        node("Greater", ["pred_score", "half"], ["pred_label"]),
        node("Greater", ["anomaly_map", "half"], ["pred_mask"]),
    ]
    n = batch or "batch_size"
    width, height = size if size != "any" else ("width", "height")
    rows, columns = (height, width) if size != "any" else (32, 32)
    map_shape = ["batch_size", "Whereanomaly_map_dim_1", "Whereanomaly_map_dim_2", "Whereanomaly_map_dim_3"]
    if style == "dynamo":
        map_shape = [n, 1, rows, columns]
    score_shape = [n] if style == "legacy" else [n, 1]
    outputs = [
        tensor("pred_score", TensorProto.FLOAT, score_shape),
        tensor("pred_label", TensorProto.BOOL, score_shape),
        tensor("anomaly_map", TensorProto.FLOAT, map_shape),
        tensor("pred_mask", TensorProto.BOOL, map_shape),
    ]
    return graph_model(nodes, [tensor("input", TensorProto.FLOAT, [n, 3, height, width])], outputs, weights, opset=opset)


def _tail(
    kind: str, raw: str, output: str, weights: dict[str, Any], style: str, with_statistics: bool
) -> list[onnx.NodeProto]:
    """clamp((raw - threshold) / range + 0.5, 0, 1) behind the exporter's switches for missing statistics."""
    threshold, width = TAIL[kind]
    known = "known_" + kind
    nodes = []
    if style == "legacy":
        weights[f"{kind}_threshold"] = np.float32(threshold)
        weights[f"{kind}_range"] = np.float32(width)
        weights[f"{kind}_min"] = np.float32(0.1 if with_statistics else np.nan)
        nodes += [
            node("IsNaN", [f"{kind}_threshold"], [f"{kind}_missing"]),
            node("Where", [f"{kind}_missing", "half", f"{kind}_threshold"], [f"{kind}_thr"]),
            node("Where", ["off", "one", f"{kind}_range"], [f"{kind}_rng"]),
            node("IsNaN", [f"{kind}_min"], [f"{kind}_nan"]),
            node("Not", [f"{kind}_nan"], [known]),
        ]
    else:
        weights |= {
            f"{kind}_thr": np.float32(threshold),
            f"{kind}_rng": np.float32(width),
            known: np.array(with_statistics),
        }
    return [
        *nodes,
        node("Sub", [raw, f"{kind}_thr"], [f"{kind}_sub"]),
        node("Div", [f"{kind}_sub", f"{kind}_rng"], [f"{kind}_div"]),
        node("Add", [f"{kind}_div", "half"], [f"{kind}_add"]),
        node("Clip", [f"{kind}_add", "zero", "one"], [f"{kind}_clip"]),
        node("Less", [raw, f"{kind}_thr"], [f"{kind}_less"]),
        node("Where", [f"{kind}_less", "zero", "half"], [f"{kind}_flat"]),
        node("Where", ["off", f"{kind}_flat", f"{kind}_clip"], [f"{kind}_where"]),
        node("Where", [known, f"{kind}_where", raw], [output]),
    ]
