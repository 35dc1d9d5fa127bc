"""A lightened graph gives the numbers of the graph it came from; what doesn't fit the pattern exactly stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.graphs import graph_model, node, tensor

from edge.models.build import build as build_module
from edge.models.build.build import build
from edge.models.build.lighten import lightened

FLOAT = TensorProto.FLOAT
GAUSS = cv2.getGaussianKernel(33, 4.0, cv2.CV_32F)
BLUR = (GAUSS @ GAUSS.T)[None, None]
"""The kernel that anomalib smooths its maps with."""


def run(model: onnx.ModelProto, picture: NDArray[Any]) -> NDArray[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: picture})
    return np.asarray(given)


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal(shape, np.float32)


def kernels(model: onnx.ModelProto) -> list[list[int]]:
    return [list(a.ints) for n in model.graph.node for a in n.attribute if a.name == "kernel_shape"]


def same(light: onnx.ModelProto, model: onnx.ModelProto, picture: NDArray[Any]) -> None:
    onnx.checker.check_model(light, full_check=True)
    expected, given = run(model, picture), run(light, picture)
    assert given.shape == expected.shape
    np.testing.assert_allclose(given, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


# ---- convolutions by an outer product ----


def smoothing(kernel: NDArray[Any], *, weight: str = "kernel", bias: bool = False, **attributes: Any) -> onnx.ModelProto:
    """One convolution; ``weight``: the initializer itself, or what an exporter puts between (identity, constant)."""
    channels = attributes.get("group", 1) * kernel.shape[1]
    before = {
        "identity": [node("Identity", ["kernel"], ["identity"])],
        "constant": [node("Constant", [], ["constant"], value=numpy_helper.from_array(kernel, "v"))],
        "computed": [node("Abs", ["kernel"], ["computed"])],
    }.get(weight, [])
    weights = {"kernel": kernel} | ({"bias": np.arange(len(kernel), dtype=np.float32) + 0.5} if bias else {})
    convolution = node("Conv", ["x", weight, *(["bias"] if bias else [])], ["y"], **attributes)
    shape = [tensor(name, FLOAT, ["n", size, "h", "w"]) for name, size in (("x", channels), ("y", len(kernel)))]
    return graph_model([*before, convolution], shape[:1], shape[1:], weights, opset=14)


@pytest.mark.parametrize("weight", ["kernel", "identity", "constant"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"bias": True},
        {"pads": [16, 16, 16, 16]},
        {"pads": [1, 2, 3, 4], "strides": [2, 3], "bias": True},
        {"dilations": [2, 1], "pads": [9, 0, 1, 2]},
    ],
    ids=str,
)
def test_the_smoothing_of_a_map_becomes_two_lines(weight: str, attributes: dict[str, Any]) -> None:
    """Padding, strides, dilations and bias included, on two pictures at once."""
    model = smoothing(BLUR, weight=weight, **attributes)
    light, done = lightened(model)
    assert done == ("a 33x33 convolution by an outer product as 33x1 and 1x33",)
    assert kernels(light) == [[33, 1], [1, 33]]
    same(light, model, noise(2, 1, 70, 64))
    assert lightened(light) == (light, ()), "nothing is left to do"


def test_every_channel_keeps_its_own_kernel() -> None:
    """Depthwise, of odd shape, negative and zero kernels among them."""
    rng = np.random.default_rng(1)
    down, across = rng.standard_normal((4, 1, 11, 1), np.float32), rng.standard_normal((4, 1, 1, 9), np.float32)
    down[2] = 0
    model = smoothing(-down * across, group=4, bias=True)
    light, done = lightened(model)
    assert done == ("a 11x9 convolution by an outer product as 11x1 and 1x9",)
    same(light, model, noise(1, 4, 30, 31))


def _other(kernel: NDArray[Any], factor: float) -> NDArray[Any]:
    changed = kernel.copy()
    changed[0, 0, 16, 16] *= np.float32(factor)
    return changed


@pytest.mark.parametrize(
    "model",
    [
        smoothing(_other(BLUR, 1.001)),
        smoothing(_other(BLUR, np.nan)),
        smoothing(BLUR, weight="computed"),
        smoothing(BLUR, auto_pad="SAME_UPPER"),
        smoothing(BLUR[:, :, 14:19, 14:19]),
        smoothing(np.repeat(BLUR, 2, axis=1)),
        smoothing(np.repeat(BLUR, 2, axis=0)),
    ],
    ids=["no outer product", "nan", "computed", "auto_pad", "small", "two channels in", "two channels out"],
)
def test_other_convolutions_stay(model: onnx.ModelProto) -> None:
    assert lightened(model) == (model, ())


# ---- quadratic forms ----


def form(
    size: int,
    *,
    positions: int = 256,
    axes: list[int] | None = None,
    turned: bool = True,
    swapped: bool = False,
    other: bool = False,
    opset: int = 14,
    shown: bool = False,
) -> onnx.ModelProto:
    """PaDiM's distance as anomalib exports it: x (n, size, positions), a matrix for each position, none symmetric."""
    matrix = np.random.default_rng(2).standard_normal((positions, size, size), np.float32)
    last = [2] if axes is None else axes
    vector, pair = ("d" if turned else "x"), ["product", "other" if other else "d" if turned else "x"]
    total = (
        node("ReduceSum", ["squares", "axes"], ["y"], keepdims=0)
        if opset >= 13
        else node("ReduceSum", ["squares"], ["y"], axes=last, keepdims=0)
    )
    nodes = [
        *([node("Transpose", ["x"], ["d"], perm=[2, 0, 1])] if turned else []),
        *([node("Neg", [vector], ["other"])] if other else []),
        node("MatMul", [vector, "matrix"], ["product"]),
        node("Mul", pair[::-1] if swapped else pair, ["squares"]),
        total,
    ]
    shape = ["n", size, positions] if turned else [positions, "n", size]
    outputs = [tensor("y", FLOAT, ["a", "b"][len(last) - 1 :])] + ([tensor("product", FLOAT, list("cde"))] if shown else [])
    weights = {"matrix": matrix} | ({"axes": np.array(last)} if opset >= 13 else {})
    return graph_model(nodes, [tensor("x", FLOAT, shape)], outputs, weights, opset=opset)


@pytest.mark.parametrize(
    "options", [{}, {"swapped": True}, {"opset": 11}, {"axes": [-1]}, {"axes": [-1], "turned": False}], ids=str
)
@pytest.mark.parametrize("size", [64, 100])
def test_a_quadratic_form_reads_half_of_its_matrix(size: int, options: dict[str, Any]) -> None:
    """Whether the matrix is symmetric or not, for one picture and for two."""
    model = form(size, **options)
    light, done = lightened(model)
    assert done == (f"a quadratic form in {size} variables by the lower half of its matrix",)
    shares = {64: (64 * 32 + 32 * 32) / 64**2, 100: (100 * 32 + 68 * 32 + 36 * 36) / 100**2}
    weights = [w for w in light.graph.initializer if "block" in w.name]
    assert sum(len(w.raw_data) for w in weights) == shares[size] * 256 * size * size * 4
    assert "matrix" not in {w.name for w in light.graph.initializer}
    for count in (1, 2):
        shape = (count, size, 256) if options.get("turned", True) else (256, count, size)
        same(light, model, noise(*shape))


@pytest.mark.parametrize(
    "options",
    [{"axes": [1]}, {"axes": [0, 2]}, {"turned": False}, {"other": True}, {"shown": True}, {"positions": 64}, {"size": 63}],
    ids=str,
)
def test_other_products_stay(options: dict[str, Any]) -> None:
    """Summed over another axis (or one that may not be the last), with another vector, used elsewhere too, small."""
    model = form(**{"size": 100, "positions": 256} | options)
    assert lightened(model) == (model, ())


def test_a_product_that_a_branch_reads_stays() -> None:
    """What the graphs inside a node read counts as used elsewhere."""
    model = form(100)
    branches = {
        name: helper.make_graph([node("Identity", ["product"], [name])], name, [], [tensor(name, FLOAT, list("cde"))])
        for name in ("then", "other")
    }
    model.graph.node.append(node("If", ["yes"], ["seen"], then_branch=branches["then"], else_branch=branches["other"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.output.append(tensor("seen", FLOAT, list("cde")))
    onnx.checker.check_model(model)
    assert lightened(model) == (model, ())


# ---- in a bundle ----


def smoothed_model() -> onnx.ModelProto:
    """A map of 64x64 from the picture's channels, smoothed behind a reflecting border as anomalib does it."""
    nodes = [
        node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        node("Pad", ["mean", "border"], ["wide"], mode="reflect"),
        node("Conv", ["wide", "kernel"], ["anomaly_map"]),
    ]
    weights = {"border": np.array([0, 0, 16, 16] * 2), "kernel": BLUR}
    shapes = [tensor("input", FLOAT, ["n", 3, 64, 64]), tensor("anomaly_map", FLOAT, ["n", 1, 64, 64])]
    return graph_model(nodes, shapes[:1], shapes[1:], weights, opset=14)


def test_a_bundle_says_what_was_rewritten(tmp_path: Path) -> None:
    onnx.save(smoothed_model(), tmp_path / "model.onnx")
    report = build(tmp_path / "model.onnx", tmp_path / "b")
    done = "a 33x33 convolution by an outer product as 33x1 and 1x33"
    assert report.rewritten == (done,)
    assert report.bundle.spec.provenance["rewritten"] == [done]
    assert 0 < report.check.difference < 1e-5
    assert kernels(onnx.load(report.bundle.model_path)) == [[33, 1], [1, 33]]


def test_a_rewriting_with_other_numbers_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle then holds the graph as it came."""

    def wrong(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
        light, done = lightened(model)
        for weight in light.graph.initializer:
            if weight.name.endswith("/across"):
                weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
        return light, done

    monkeypatch.setattr(build_module, "lightened", wrong)
    onnx.save(smoothed_model(), tmp_path / "model.onnx")
    report = build(tmp_path / "model.onnx", tmp_path / "b")
    assert (report.rewritten, report.check.difference) == ((), 0.0)
    assert report.bundle.spec.provenance["rewritten"] == []
    assert [k for k in kernels(onnx.load(report.bundle.model_path)) if k != [33, 33]] == []
