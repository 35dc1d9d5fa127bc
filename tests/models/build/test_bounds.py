"""A bound of the map is read off the graph, so that a threshold which nothing can reach is refused, not passed by all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from support.builds import saved
from support.graphs import graph_model, node, tensor
from support.lines import loaded

from edge.config.bundle import load_bundle
from edge.config.regions import NO_MASK
from edge.errors import UserError
from edge.models.build.bounds import bounds_of
from edge.models.build.build import build
from edge.regions.criteria import load_criteria

FLOAT = TensorProto.FLOAT
Nodes = list[onnx.NodeProto]


def model(nodes: Nodes, constants: dict[str, Any]) -> onnx.ModelProto:
    """``x``: distances above 0 of an image (n, 1, 24, 24); ``nodes`` make ``map`` of it."""
    first = [node("Conv", ["image", "edges"], ["e"], pads=[1] * 4), node("Abs", ["e"], ["x"])]
    kernel = np.float32([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]).reshape(1, 1, 3, 3)
    shapes = tensor("image", FLOAT, ["n", 1, 24, 24]), tensor("map", FLOAT, list("abcd"))
    return graph_model([*first, *nodes], [shapes[0]], [shapes[1]], constants | {"edges": kernel})


ONE, TWO = np.float32(1), np.float32(2)
CASES: dict[str, tuple[Nodes, dict[str, Any], tuple[float, float]]] = {
    "unbounded": ([node("Mul", ["x", "two"], ["map"])], {"two": TWO}, (0, math.inf)),
    "sigmoid": ([node("Sigmoid", ["x"], ["map"])], {}, (0, 1)),
    "tanh_scaled": ([node("Tanh", ["x"], ["t"]), node("Mul", ["t", "two"], ["map"])], {"two": TWO}, (-2, 2)),
    "softmax": (
        [
            node("Concat", ["x", "e"], ["c"], axis=1),
            node("Softmax", ["c"], ["s"], axis=1),
            node("Slice", ["s", "a", "b", "a"], ["map"]),
        ],
        {"a": np.array([1]), "b": np.array([2])},
        (0, 1),
    ),
    "clip_then_blur": (
        [node("Clip", ["x", "zero", "two"], ["c"]), node("Conv", ["c", "blur"], ["map"], pads=[1] * 4)],
        {"zero": np.float32(0), "two": TWO, "blur": np.full((1, 1, 3, 3), 1 / 9, np.float32)},
        (0, 2),
    ),
    "mask": ([node("Greater", ["x", "two"], ["g"]), node("Cast", ["g"], ["map"], to=FLOAT)], {"two": TWO}, (0, 1)),
    "normality": ([node("Sub", ["one", "x"], ["map"])], {"one": ONE}, (-math.inf, 1)),
    "similarity": ([node("Neg", ["x"], ["n"]), node("Exp", ["n"], ["map"])], {}, (0, 1)),
    "by_its_maximum": ([node("ReduceMax", ["x"], ["top"]), node("Div", ["x", "top"], ["map"])], {}, (0, 1)),
    "by_its_range": (
        [
            node("ReduceMin", ["x"], ["lo"]),
            node("ReduceMax", ["x"], ["hi"]),
            node("Sub", ["x", "lo"], ["u"]),
            node("Sub", ["hi", "lo"], ["r"]),
            node("Div", ["u", "r"], ["map"]),
        ],
        {},
        (0, 1),
    ),
    "upsampled": (
        [node("Sigmoid", ["x"], ["s"]), node("Resize", ["s", "", "up"], ["map"], mode="linear")],
        {"up": np.float32([1, 1, 2, 2])},
        (0, 1),
    ),
    "overshooting": (
        [node("Sigmoid", ["x"], ["s"]), node("Resize", ["s", "", "up"], ["map"], mode="cubic")],
        {"up": np.float32([1, 1, 2, 2])},
        (-math.inf, math.inf),
    ),
    "through_a_weight_that_is_not_known": (
        [node("Sigmoid", ["x"], ["s"]), node("Mul", ["s", "x"], ["map"])],
        {},
        (0, math.inf),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_graph_tells_between_which_values_its_map_lies(kind: str) -> None:
    nodes, constants, expected = CASES[kind]
    low, high = bounds_of(model(nodes, constants), "map")
    assert (low, high) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["sigmoid", "mask", "by_its_range", "by_its_maximum", "unbounded"])
def test_a_bundle_keeps_the_bound_and_no_line_starts_with_a_threshold_above_it(tmp_path: Path, kind: str) -> None:
    bounded = kind != "unbounded"
    spec = build(saved(tmp_path, model(*CASES[kind][:2])), tmp_path / "b").bundle.spec
    assert spec.map_highest == (1.0 if bounded else None)
    keys = {
        "threshold: {high: 1.02}": "regions.threshold.high",
        "threshold: {high: 0.5}, min_score_max: 1.5": "regions.min_score_max",
        "threshold: {high: 0.5}, min_score_mean: 1.5": "regions.min_score_mean",
        "threshold: {high: 0.5}, zones: [{shape: [0, 0, 1, 1], threshold: {high: 3}}]": "regions.zones[0].threshold.high",
    }
    for regions, key in keys.items():
        config = loaded(tmp_path, f"regions={{{regions}}}", "model.bundle=b")
        if not bounded:
            load_criteria(config.resolved, load_bundle(tmp_path / "b"), None, NO_MASK, named=config.path)
            continue
        with pytest.raises(UserError) as caught:
            load_criteria(config.resolved, load_bundle(tmp_path / "b"), None, NO_MASK, named=config.path)
        received = "1.02" if key == "regions.threshold.high" else "3" if "zones" in key else "1.5"
        assert str(caught.value) == (
            f"{key}: no map can reach it, so every frame would pass\n"
            f"  received: {received}\n"
            "  expected: at most 1, the highest value that the model can give (map_highest in bundle.yaml)\n"
            "  fix: set a lower one, or build the bundle from a model whose map is not bounded there"
        )
    config = loaded(tmp_path, "regions={threshold: {high: 1.0}}", "model.bundle=b")
    load_criteria(config.resolved, load_bundle(tmp_path / "b"), None, NO_MASK, named=config.path)


def test_a_map_that_is_scaled_by_itself_is_warned_of(tmp_path: Path) -> None:
    report = build(saved(tmp_path, model(*CASES["by_its_range"][:2])), tmp_path / "b")
    assert any(
        text.startswith("the highest value of the map is 1 on every picture: where the model") for text in report.warnings
    )


@pytest.mark.parametrize(("last", "highest"), [("Sigmoid", 1.0), ("Identity", None)])
def test_the_bound_of_the_image_score_is_kept_too(tmp_path: Path, last: str, highest: float | None) -> None:
    """A classifier's probability: a threshold above 1 would let every part pass by its score."""
    nodes, constants, _ = CASES["unbounded"]
    graph = model(
        [*nodes, node("ReduceMax", ["map"], ["top"], axes=[1, 2, 3], keepdims=0), node(last, ["top"], ["pred_score"])],
        constants,
    )
    graph.graph.output.append(tensor("pred_score", FLOAT, ["n"]))
    spec = build(saved(tmp_path, graph), tmp_path / "b").bundle.spec
    assert (spec.map_highest, spec.score_highest) == (None, highest)


@pytest.mark.parametrize(("last", "told"), [("Neg", True), ("Identity", False)])
def test_a_score_of_normality_is_warned_of_though_the_map_is_right(tmp_path: Path, last: str, told: bool) -> None:
    """A rule of it would pass the defects and fail the good parts."""
    nodes, constants, _ = CASES["unbounded"]
    top = [node("ReduceMax", ["map"], ["top"], axes=[1, 2, 3], keepdims=0), node(last, ["top"], ["pred_score"])]
    graph = model([*nodes, *top], constants)
    for side in graph.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_value = 64  # large enough to answer to patches
    graph.graph.output.append(tensor("pred_score", FLOAT, ["n"]))
    warnings = build(saved(tmp_path, graph), tmp_path / "b").warnings
    assert [text for text in warnings if "score" in text] == (
        ["the score falls where the picture is odd: does a high value mean good? A rule of it fails where it is high"]
        * told
    )
