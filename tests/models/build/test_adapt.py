"""Segmentation models, half precision and models of a score alone become bundles, and these give what the models give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from support.builds import noise, original, refusal, saved
from support.graphs import graph_model, node, tensor

from edge.engines.onnx import OnnxEngine
from edge.models.build.build import build
from edge.models.build.options import BuildOptions

FLOAT = TensorProto.FLOAT
SIZE = (24, 16)


def classes(last: str = "Softmax", *, layout: str = "nchw", dtype: int = FLOAT, taken: int = FLOAT) -> onnx.ModelProto:
    """Class map of three classes: probabilities, logits or ids."""
    weights = np.random.default_rng(0).normal(0, 3, (3, 3, 3, 3)).astype(np.float32)
    nodes = [node("Cast", ["image"], ["x"], to=FLOAT)]
    if layout == "nhwc":
        nodes.append(node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]))
    nodes.append(node("Conv", ["planes" if layout == "nhwc" else "x", "w"], ["logits"], pads=[1] * 4))
    if last == "Softmax":
        nodes.append(node("Softmax", ["logits"], ["given"], axis=1))
    elif last == "ArgMax":
        nodes.append(node("ArgMax", ["logits"], ["given"], axis=1, keepdims=0))
    else:
        nodes.append(node("Identity", ["logits"], ["given"]))
    if layout == "nhwc":
        nodes.append(node("Transpose", ["given"], ["back"], perm=[0, 2, 3, 1]))
    nodes.append(node("Cast", ["back" if layout == "nhwc" else "given"], ["probs"], to=dtype))
    width, height = SIZE
    shape = ["n", 3, height, width] if layout == "nchw" else ["n", height, width, 3]
    rank = ["n", height, width] if last == "ArgMax" else shape
    return graph_model(nodes, [tensor("image", taken, shape)], [tensor("probs", dtype, rank)], {"w": weights})


def feed(image: Any, layout: str, dtype: Any = np.float32) -> Any:
    pixels = (image / np.float32(255)).astype(dtype)
    return (pixels.transpose(2, 0, 1) if layout == "nchw" else pixels)[None]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("last", ["Softmax", "logits"])
@pytest.mark.parametrize("index", [0, 2])
def test_one_class_of_a_class_map_is_the_map(tmp_path: Path, last: str, layout: str, index: int) -> None:
    path = saved(tmp_path, classes(last, layout=layout))
    bundle = build(path, tmp_path / "b", BuildOptions(map_name="probs", map_class=index)).bundle
    image = noise(SIZE, 3)
    whole = original(path, feed(image, layout))["probs"][0]
    np.testing.assert_allclose(
        OnnxEngine(bundle).infer(image).map, whole[index] if layout == "nchw" else whole[..., index], rtol=1e-4, atol=1e-6
    )
    assert bundle.spec.map_highest == (1.0 if last == "Softmax" else None)


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.UINT8, TensorProto.INT32])
def test_one_id_of_a_map_of_ids_is_the_map(tmp_path: Path, dtype: int) -> None:
    path = saved(tmp_path, classes("ArgMax", dtype=dtype))
    report = build(path, tmp_path / "b", BuildOptions(map_name="probs", map_class=1))
    image = noise(SIZE, 3)
    ids = original(path, feed(image, "nchw"))["probs"][0]
    np.testing.assert_array_equal(OnnxEngine(report.bundle).infer(image).map, (ids == 1).astype(np.float32))
    assert report.bundle.spec.map_highest == 1.0


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize("taken", [FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_floats_are_cast_at_the_edges(tmp_path: Path, dtype: int, taken: int) -> None:
    path = saved(tmp_path, classes(dtype=dtype, taken=taken))
    bundle = build(path, tmp_path / "b", BuildOptions(map_name="probs", map_class=1)).bundle
    image = noise(SIZE, 3)
    kinds: dict[int, Any] = {FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64}
    expected = original(path, feed(image, "nchw", kinds[taken]))["probs"][0, 1]
    np.testing.assert_allclose(OnnxEngine(bundle).infer(image).map, expected.astype(np.float32), atol=2e-3)


@pytest.mark.parametrize("shape", [["n"], ["n", 1]])
def test_a_score_alone_becomes_a_map_that_is_one_region(tmp_path: Path, shape: list[Any]) -> None:
    """Models that tell good from bad without telling where: anomalib's Dfkde, classifiers."""
    nodes = [
        node("ReduceMax", ["image"], ["top"], axes=[1, 2, 3], keepdims=0),
        node("Reshape", ["top", "to"], ["pred_score"]),
    ]
    constants = {"to": np.array([-1] if len(shape) == 1 else [-1, 1])}
    inputs, outputs = [tensor("image", FLOAT, ["n", 3, 16, 24])], [tensor("pred_score", FLOAT, shape)]
    path = saved(tmp_path, graph_model(nodes, inputs, outputs, constants))
    assert refusal(path, tmp_path / "b").endswith(
        "of a model that gives a score alone name that: --map NAME, and the whole frame is one region"
    )
    report = build(path, tmp_path / "b", BuildOptions(map_name="pred_score"))
    assert (report.map_size, report.bundle.spec.map_to_image) == ((2, 2), (12.0, 8.0, 0.0, 0.0))
    image = noise(SIZE, 3) // 2
    np.testing.assert_allclose(OnnxEngine(report.bundle).infer(image).map, np.full((2, 2), image.max() / 255), rtol=1e-6)


def test_what_names_no_class_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, classes())
    assert refusal(path, tmp_path / "b").endswith("--map NAME, and the whole frame is one region")
    assert refusal(path, tmp_path / "b", map_class=1) == (
        "--class goes with --map\n  fix: say of which output: --map NAME --class N"
    )
    assert refusal(path, tmp_path / "b", map_name="probs", map_class=3) == (
        "--class\n  received: 3\n  expected: 0 to 2: 'probs' has 3 classes"
    )
    assert refusal(path, tmp_path / "b", map_name="probs").endswith(
        "  fix: of a class map (n, k, h, w) name one class: --map NAME --class N"
    )
    assert refusal(path, tmp_path / "b", map_name="prob", map_class=1).startswith("M: no output 'prob'\n")
