"""A batch that stands in a graph's constants comes down to one where the numbers stay; nothing else is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper
from support.graphs import graph_model, node, tensor

from edge.config.bundle_spec import TileSpec
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from edge.models.build.unbatch import unbaked

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SIDE = 8
"""The map's; the picture has twice that."""


def nearest_model(batch: int) -> onnx.ModelProto:
    """PatchCore as anomalib 2.7 exports it for a batch: distances to a bank chunk by chunk, the best position by index."""
    rng = np.random.default_rng(0)
    rows = SIDE * SIDE
    weights: dict[str, Any] = {
        "kernel": rng.standard_normal((4, 3, 2, 2), np.float32),
        "bank": rng.standard_normal((5, 4), np.float32),
        "patches": np.array([batch * rows, 4]),
        "of_each": np.array([batch, -1]),
        "map_shape": np.array([batch, 1, SIDE, SIDE]),
        "full_shape": np.array([batch, 1, 2 * SIDE, 2 * SIDE]),
        "numbers": np.arange(batch)[:, None],
        "last": np.array([-1]),
        "one": np.array([1]),
        "zero": np.array([0]),
    }
    nodes = [
        node("Conv", ["input", "kernel"], ["features"], strides=[2, 2]),
        node("Transpose", ["features"], ["turned"], perm=[0, 2, 3, 1]),
        node("Reshape", ["turned", "patches"], ["rows"]),
        node("Unsqueeze", ["bank", "zero"], ["banks"]),
    ]
    for chunk in range(batch):
        weights |= {f"from_{chunk}": np.array([chunk * rows]), f"to_{chunk}": np.array([(chunk + 1) * rows])}
        nodes += [
            node("Slice", ["rows", f"from_{chunk}", f"to_{chunk}", "zero"], [f"chunk_{chunk}"]),
            node("Unsqueeze", [f"chunk_{chunk}", "one"], [f"row_{chunk}"]),
            node("Sub", [f"row_{chunk}", "banks"], [f"off_{chunk}"]),
            node("ReduceL2", [f"off_{chunk}"], [f"distance_{chunk}"], axes=[2], keepdims=0),
            node("ReduceMin", [f"distance_{chunk}"], [f"least_{chunk}"], axes=[1], keepdims=0),
            node("ArgMin", [f"distance_{chunk}"], [f"where_{chunk}"], axis=1, keepdims=0),
        ]
    chunks = range(batch)
    nodes += [
        node("Concat", [f"least_{c}" for c in chunks], ["least"], axis=0),
        node("Concat", [f"where_{c}" for c in chunks], ["where"], axis=0),
        node("Reshape", ["least", "of_each"], ["scores"]),
        node("Reshape", ["where", "of_each"], ["places"]),
        node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        node("Unsqueeze", ["best", "last"], ["best_column"]),
        node("Concat", ["numbers", "best_column"], ["index"], axis=1),
        node("GatherND", ["scores", "index"], ["highest"]),
        node("GatherND", ["places", "index"], ["neighbour"]),
        node("Cast", ["neighbour"], ["weight"], to=FLOAT),
        node("Mul", ["highest", "weight"], ["weighted"]),
        node("Add", ["weighted", "highest"], ["pred_score"]),
        node("Reshape", ["least", "map_shape"], ["small"]),
        node("Resize", ["small", "", "", "full_shape"], ["anomaly_map"], mode="nearest"),
    ]
    shapes = [
        tensor("input", FLOAT, [batch, 3, 2 * SIDE, 2 * SIDE]),
        tensor("pred_score", FLOAT, [batch]),
        tensor("anomaly_map", FLOAT, [batch, 1, 2 * SIDE, 2 * SIDE]),
    ]
    return graph_model(nodes, shapes[:1], shapes[1:], weights, opset=14)


def run(model: onnx.ModelProto, feed: Any) -> list[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: feed}))


def test_patchcore_of_two_or_three_pictures_is_built_for_one(tmp_path: Path) -> None:
    """Map and score are those of the batch, to the bit."""
    for batch in (2, 3):
        model = nearest_model(batch)
        onnx.save(model, tmp_path / "model.onnx")
        report = build(tmp_path / "model.onnx", tmp_path / f"b{batch}")
        assert (report.taken.batch, report.rewritten) == (1, (f"a batch of {batch} as one picture",))
        assert not [n for n in onnx.load(report.bundle.model_path).graph.node if n.output[0] == f"chunk_{batch - 1}"]
        picture = np.random.default_rng(4).integers(0, 256, (2 * SIDE, 2 * SIDE, 3), np.uint8)
        score, amap = run(model, np.repeat(picture.transpose(2, 0, 1)[None] / np.float32(255), batch, axis=0))
        given = dict(zip(("map", "score"), run(onnx.load(report.bundle.model_path), picture[None]), strict=True))
        np.testing.assert_array_equal(given["map"], amap[:1, 0])
        np.testing.assert_array_equal(given["score"], score[:1])


def test_a_batch_that_stands_in_the_input_alone_becomes_open(tmp_path: Path) -> None:
    """So that a frame's tiles go through in one run; not where one picture of a batch sees the others."""
    kernel = np.random.default_rng(1).standard_normal((1, 3, 3, 3), np.float32)
    shapes = [tensor("input", FLOAT, [2, 3, 32, 32]), tensor("anomaly_map", FLOAT, [2, 1, 32, 32])]
    nodes = [node("Conv", ["input", "kernel"], ["anomaly_map"], pads=[1, 1, 1, 1])]
    onnx.save(graph_model(nodes, shapes[:1], shapes[1:], {"kernel": kernel}), tmp_path / "model.onnx")
    tile = TileSpec(size=(32, 32), stride=(24, 24))
    report = build(tmp_path / "model.onnx", tmp_path / "a", BuildOptions(tile=tile))
    assert (report.taken.batch, report.one_run) == (None, True)
    frame = onnx.load(report.bundle.model_path).graph.input[0].type.tensor_type.shape.dim[0]
    assert frame.dim_param == "n"
    nodes[0].output[0] = "alone"
    nodes += [node("ReduceMax", ["alone"], ["top"], keepdims=1), node("Div", ["alone", "top"], ["anomaly_map"])]
    onnx.save(graph_model(nodes, shapes[:1], shapes[1:], {"kernel": kernel}), tmp_path / "model.onnx")
    report = build(tmp_path / "model.onnx", tmp_path / "b", BuildOptions(tile=tile))
    assert (report.taken.batch, report.one_run) == (1, False)


def test_a_weight_for_each_picture_keeps_the_batch(tmp_path: Path) -> None:
    model = nearest_model(2)
    model.graph.initializer.append(numpy_helper.from_array(np.float32([1, 2]), "for_each"))
    last = next(n for n in model.graph.node if n.output[0] == "pred_score")
    last.input[1] = "for_each"
    onnx.save(model, tmp_path / "model.onnx")
    report = build(tmp_path / "model.onnx", tmp_path / "b")
    assert (report.taken.batch, report.rewritten) == (2, ())


def test_constants_that_do_not_speak_of_the_batch_stay() -> None:
    """Open and other sizes, indices that are not the pictures' numbers, other chunks than pictures: nothing to try."""
    constants = {"open": np.array([-1, 1]), "three": np.array([3, 1]), "index": np.array([[0], [2]])}
    model = graph_model(
        [
            node("Reshape", ["x", "open"], ["column"]),
            node("Reshape", ["column", "three"], ["same"]),
            node("ArgMin", ["same"], ["least"], axis=1),
            node("Concat", ["least", "least", "least"], ["chunks"], axis=0),
            node("Concat", ["chunks", "index"], ["y"], axis=0),
        ],
        [tensor("x", FLOAT, [3, 1])],
        [tensor("y", INT64, [11, 1])],
        constants,
    )
    assert unbaked(model, 2) is None
