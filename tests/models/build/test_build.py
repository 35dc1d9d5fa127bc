"""A bundle gives the numbers of the model it was built from, raw; what can't be one is refused with words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.builds import frame, noise, original, refusal, saved, simple
from support.graphs import TAIL, anomalib_model, graph_model, identity_model, node, tensor, write_identity_bundle

from edge.config.bundle_spec import DisplaySpec, TileSpec
from edge.engines.onnx import OnnxEngine
from edge.errors import UserError
from edge.models import graphs
from edge.models.build import parity as check
from edge.models.build.build import BuildReport, build
from edge.models.build.options import BuildOptions
from edge.preprocess.prepare import KERNELS, prepare

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


# ---- anomalib's contract ----


@pytest.mark.parametrize("style", ["legacy", "dynamo"])
@pytest.mark.parametrize(
    "kind", [{}, {"size": "any"}, {"batch": 2}, {"batch": 2, "baked_batch": True}, {"batch": 1}], ids=str
)
def test_anomalibs_export_gives_its_raw_map_and_score(tmp_path: Path, style: Any, kind: dict[str, Any]) -> None:
    """Against the original fed by hand: its clamped outputs are the raw ones through the tail that the report names."""
    path = saved(tmp_path, anomalib_model(style, **kind))
    report = build(path, tmp_path / "b")
    spec = report.bundle.spec
    assert (spec.input.channels, spec.input.size, spec.resize.where, spec.resize.size) == (3, (32, 32), "host", (32, 32))
    assert spec.map_to_image == (1.0, 1.0, 0.0, 0.0)
    image = noise((32, 32), 3)
    feed = np.repeat((image / np.float32(255)).transpose(2, 0, 1)[None], kind.get("batch", 1), axis=0)
    expected = original(path, feed)
    given = OnnxEngine(report.bundle).infer(image)
    assert given.score is not None
    assert report.score is not None
    for tail, raw, name in (
        (report.amap.tail, given.map, "anomaly_map"),
        (report.score.tail, np.array(given.score), "pred_score"),
    ):
        assert tail is not None
        np.testing.assert_allclose(tail.applied(raw), expected[name][0].reshape(raw.shape), rtol=0, atol=1e-6)
    assert given.map.max() > 0.3 + 0.4, "the picture must reach beyond the clamp, or nothing is shown"


def test_the_undone_normalisation_stands_in_the_bundle(tmp_path: Path) -> None:
    spec = build(saved(tmp_path, anomalib_model()), tmp_path / "b").bundle.spec
    threshold, width = (float(np.float32(v)) for v in TAIL["pixel"])
    assert spec.display.threshold == threshold
    assert spec.display.range == (threshold - width / 2, threshold + width / 2)
    formula = "clip((raw - threshold) / range + 0.5, 0, 1)"
    assert spec.provenance["undone"] == {
        "map": {"formula": formula, "threshold": threshold, "range": width},
        "score": {"formula": formula, "threshold": 0.25, "range": 0.5},
    }
    assert spec.provenance["outputs"] == {"map": "anomaly_map", "score": "pred_score"}
    assert spec.provenance["check"] == {"pictures": 6, "difference_of_range": 0.0}


@pytest.mark.parametrize("order", [("Max", "Min"), ("Min", "Max"), ("Relu", "Min")])
def test_a_clamp_of_max_and_min_is_undone_like_a_clip(tmp_path: Path, order: tuple[str, str]) -> None:
    model = anomalib_model("dynamo")
    bounds = {"Max": ["zero"], "Min": ["one"], "Relu": []}
    for kind in ("image", "pixel"):
        at = next(i for i, n in enumerate(model.graph.node) if f"{kind}_clip" in n.output)
        first = node(order[0], [f"{kind}_add", *bounds[order[0]]], [f"{kind}_half"])
        model.graph.node[at].CopyFrom(node(order[1], [f"{kind}_half", *bounds[order[1]]], [f"{kind}_clip"]))
        model.graph.node.insert(at, first)
    report = build(saved(tmp_path, model), tmp_path / "b")
    assert report.score is not None
    for output, (threshold, width) in ((report.amap, TAIL["pixel"]), (report.score, TAIL["image"])):
        assert output.tail is not None
        assert (output.tail.threshold, output.tail.range) == (np.float32(threshold), np.float32(width))


def test_a_clamp_that_cannot_be_undone_is_told(tmp_path: Path) -> None:
    model = simple([1, 1, 12, 16])
    model.graph.node.append(node("Clip", ["heat", "zero", "bound"], ["cut"]))
    for name, value in (("zero", 0.0), ("bound", 0.75)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    model.graph.output[0].CopyFrom(tensor("cut", FLOAT, [1, 1, 12, 16]))
    assert build(saved(tmp_path, model), tmp_path / "b").warnings == (
        "the map reaches 0.75, where the model cuts it off in a way that could not be undone: "
        "what lies beyond all looks alike",
    )


def test_without_an_exporters_range_the_display_has_a_measured_one(tmp_path: Path) -> None:
    """Of the generated pictures, or such that good frames fill its lower half; never 0 to 1 because it fits in there."""
    model = simple(["n", 1, 12, 16])
    model.graph.node.append(node("Mul", ["heat", "small"], ["faint"]))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "small"))
    model.graph.output[0].CopyFrom(tensor("faint", FLOAT, list("abcd")))
    path = saved(tmp_path, model)
    assert build(path, tmp_path / "a").bundle.spec.display == DisplaySpec(range=(0.0, float(np.float32(0.1))))
    good = np.full((12, 16), 51, np.uint8)
    good[3:6] = 102
    low, high = build(path, tmp_path / "b", BuildOptions(frames=[frame(good)])).bundle.spec.display.range
    assert (low, high) == (pytest.approx(0.02), pytest.approx(0.06))


def test_a_model_without_statistics_gives_raw_values_already(tmp_path: Path) -> None:
    report = build(saved(tmp_path, anomalib_model(with_statistics=False)), tmp_path / "b")
    assert report.amap.tail is None
    assert report.bundle.spec.provenance["undone"] == {}
    assert report.bundle.spec.display.threshold is None


def test_nothing_of_the_tail_stays_in_the_graph(tmp_path: Path) -> None:
    bundle = build(saved(tmp_path, anomalib_model("dynamo")), tmp_path / "b").bundle
    graph = onnx.load(bundle.model_path).graph
    assert not {"Clip", "Where", "Greater", "Less"} & {n.op_type for n in graph.node}
    assert not {"image_thr", "pixel_thr"} & {t.name for t in graph.initializer}
    assert [o.name for o in graph.output] == ["map", "score"]
    onnx.checker.check_model(onnx.load(bundle.model_path), full_check=True)


def test_a_frozen_batch_costs_double_only_where_it_must(tmp_path: Path) -> None:
    """Written into the input alone, into a Reshape, or by a weight for each picture."""
    thawed = build(saved(tmp_path, anomalib_model(batch=2)), tmp_path / "a")
    baked = build(saved(tmp_path, anomalib_model(batch=2, baked_batch=True)), tmp_path / "b")
    model = anomalib_model(batch=2, baked_batch=True)
    two = np.ones((2, 1, 1, 1), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(two, "for_each"))
    at = next(i for i, n in enumerate(model.graph.node) if n.op_type == "Abs")
    model.graph.node[at].output[0] = "before"
    model.graph.node.insert(at + 1, node("Mul", ["before", "for_each"], ["strength"]))
    stuck = build(saved(tmp_path, model), tmp_path / "c")
    assert (thawed.taken.batch, baked.taken.batch, stuck.taken.batch) == (None, 1, 2)
    expected = original(
        tmp_path / "model.onnx", np.repeat(noise((32, 32), 3).transpose(2, 0, 1)[None] / np.float32(255), 2, 0)
    )
    for report in (thawed, baked, stuck):
        assert report.amap.tail is not None
        given = report.amap.tail.applied(OnnxEngine(report.bundle).infer(noise((32, 32), 3)).map)
        np.testing.assert_allclose(given, expected["anomaly_map"][0, 0], rtol=0, atol=1e-6)


def test_external_data_comes_into_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(anomalib_model("dynamo"), path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    report = build(path, tmp_path / "b")
    (tmp_path / "model.onnx.data").unlink()
    assert set(report.bundle.spec.files) == {"model.onnx"}
    OnnxEngine(report.bundle).warm_up()


# ---- other models ----


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", [FLOAT, UINT8])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_layout_type_and_depth(tmp_path: Path, layout: str, dtype: int, channels: int) -> None:
    shape = ["n", channels, 12, 16] if layout == "nchw" else ["n", 12, 16, channels]
    report = build(saved(tmp_path, simple(shape, dtype, layout=layout)), tmp_path / "b")
    assert (report.taken.layout, report.taken.channels, report.bundle.spec.input.channels) == (layout, channels, channels)
    image = noise((16, 12), channels)
    expected = image.mean(axis=2) / (255 if dtype == FLOAT else 1)
    np.testing.assert_allclose(OnnxEngine(report.bundle).infer(image).map, expected, rtol=1e-6)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.25,)), ((0.1, 0.2, 0.3), None), (None, (1.0, 2.0, 4.0))])
@pytest.mark.parametrize("scale", [None, 1.0, 0.5])
def test_scale_mean_and_deviation_are_folded_in(tmp_path: Path, layout: str, mean: Any, std: Any, scale: Any) -> None:
    shape = ["n", 3, 12, 16] if layout == "nchw" else ["n", 12, 16, 3]
    report = build(
        saved(tmp_path, simple(shape, layout=layout)), tmp_path / "b", BuildOptions(mean=mean, std=std, scale=scale)
    )
    image = noise((16, 12), 3)
    x = image * (1 / 255 if scale is None else scale)
    expected = ((x - np.array(mean or 0)) / np.array(std or 1)).mean(axis=2)
    np.testing.assert_allclose(OnnxEngine(report.bundle).infer(image).map, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1024, 1000), (16, 2048)], ids=str)
def test_large_pictures_are_built_like_small_ones(tmp_path: Path, size: tuple[int, int]) -> None:
    report = build(saved(tmp_path, simple(["n", 1, size[1], size[0]])), tmp_path / "b")
    assert (report.map_size, report.check.pictures, report.bundle.spec.resize.where) == (size, 6, "host")


def pyramid(step: int) -> onnx.ModelProto:
    """A U-Net's shape: down by ``step``, up again, and against the picture, whose sides must be multiples of it."""
    nodes = [
        node("ReduceMean", ["image"], ["grey"], axes=[1], keepdims=1),
        node("AveragePool", ["grey"], ["small"], kernel_shape=[step, step], strides=[step, step]),
        node("Resize", ["small", "", "up"], ["large"], mode="nearest"),
        node("Sub", ["grey", "large"], ["off"]),
        node("Abs", ["off"], ["heat"]),
    ]
    inputs, outputs = [tensor("image", FLOAT, ["n", 3, "h", "w"])], [tensor("heat", FLOAT, list("abcd"))]
    return graph_model(nodes, inputs, outputs, {"up": np.float32([1, 1, step, step])})


@pytest.mark.parametrize("step", [4, 32])
def test_a_model_of_some_sizes_only_is_asked_for_one(tmp_path: Path, step: int) -> None:
    """Else every frame of another size would be ``invalid: engine_error``."""
    path = saved(tmp_path, pyramid(step))
    text = refusal(path, tmp_path / "b")
    assert text.startswith(
        f"M: the model takes some sizes only, multiples of {step} as it seems\n  received: on a picture of 271x233: "
    )
    assert text.endswith(f"\n  fix: say which size it takes: --size WIDTH,HEIGHT, both multiples of {step}")
    assert build(path, tmp_path / "b", BuildOptions(size=(160, 96))).bundle.spec.resize.size == (160, 96)


def test_outputs_that_are_no_tensors_are_passed_over(tmp_path: Path) -> None:
    """Classifiers that scikit-learn and TensorFlow left give sequences besides."""
    model = simple(["n", 1, 12, 16])
    model.graph.node.append(node("SequenceConstruct", ["heat"], ["several"]))
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    model.graph.output.append(helper.make_value_info("several", kind))
    assert build(saved(tmp_path, model), tmp_path / "b").amap.name == "heat"
    frozen = simple([2, 1, 12, 16])  # its batch is undone, so its outputs are declared anew
    frozen.graph.node.append(node("SequenceConstruct", ["heat"], ["several"]))
    frozen.graph.output.append(helper.make_value_info("several", kind))
    assert build(saved(tmp_path, frozen), tmp_path / "c").taken.batch is None
    del model.graph.output[0]
    assert refusal(saved(tmp_path, model), tmp_path / "d").startswith("M: the model gives no anomaly map\n")


@pytest.mark.parametrize(
    "options", [{}, {"mean": (0.5,), "std": (0.2,)}, {"tile": TileSpec(size=(32, 32), stride=(16, 16))}]
)
def test_a_bundles_own_graph_is_a_model_like_others(tmp_path: Path, options: dict[str, Any]) -> None:
    """Its names begin as those that a build gives: they must not meet."""
    first = build(saved(tmp_path, anomalib_model("dynamo")), tmp_path / "a", BuildOptions(**options)).bundle
    second = build(first.model_path, tmp_path / "b").bundle
    third = build(second.model_path, tmp_path / "c").bundle
    image = noise((32, 32), 3)
    expected = OnnxEngine(first).infer(image).map.copy()
    for bundle in (second, third):
        np.testing.assert_array_equal(OnnxEngine(bundle).infer(image).map, expected)


def weighted(channels: int = 3) -> onnx.ModelProto:
    """Gives map = 1 * c0 + 10 * c1 + 100 * c2: tells the channels apart."""
    weights = np.float32([1, 10, 100][:channels]).reshape(1, channels, 1, 1)
    return graph_model(
        [node("Conv", ["image", "weights"], ["heat"])],
        [tensor("image", FLOAT, [1, channels, 12, 16])],
        [tensor("heat", FLOAT, [1, 1, 12, 16])],
        {"weights": weights},
    )


def test_a_model_of_bgr_gets_its_order(tmp_path: Path) -> None:
    image = noise((16, 12), 3).astype(np.uint8)
    path = saved(tmp_path, weighted())
    for order, factors in (("rgb", (1, 10, 100)), ("bgr", (100, 10, 1))):
        bundle = build(path, tmp_path / order, BuildOptions(scale=1.0, order=order)).bundle  # type: ignore[arg-type]
        np.testing.assert_allclose(OnnxEngine(bundle).infer(image).map, image @ np.array(factors), rtol=1e-6)


def test_grey_frames_feed_a_model_of_colour(tmp_path: Path) -> None:
    bundle = build(saved(tmp_path, weighted()), tmp_path / "b", BuildOptions(channels=1, scale=1.0)).bundle
    assert bundle.spec.input.channels == 1
    image = noise((16, 12), 1)
    np.testing.assert_allclose(OnnxEngine(bundle).infer(image).map, image[:, :, 0] * 111.0, rtol=1e-6)


def test_a_smaller_map_is_stretched_over_the_picture(tmp_path: Path) -> None:
    model = graph_model(
        [node("AveragePool", ["image"], ["heat"], kernel_shape=[4, 2], strides=[4, 2])],
        [tensor("image", FLOAT, [1, 1, 16, 32])],
        [tensor("heat", FLOAT, [1, 1, 4, 16])],
    )
    report = build(saved(tmp_path, model), tmp_path / "b")
    assert report.map_size == (16, 4)
    assert report.bundle.spec.map_to_image == (2.0, 4.0, 0.0, 0.0)


def test_a_map_that_follows_the_picture_makes_a_bundle_of_any_size(tmp_path: Path) -> None:
    report = build(saved(tmp_path, simple(["n", 1, "h", "w"])), tmp_path / "b")
    spec = report.bundle.spec
    assert (spec.input.size, spec.resize.where, spec.resize.size) == ("any", "none", None)
    engine = OnnxEngine(report.bundle)
    for size in ((16, 12), (31, 7)):
        assert engine.infer(noise(size, 1)).map.shape == size[::-1]


def test_a_size_may_be_fixed_for_a_model_of_any_size(tmp_path: Path) -> None:
    spec = build(
        saved(tmp_path, simple(["n", 1, "h", "w"])), tmp_path / "b", BuildOptions(size=(48, 20), kernel="linear")
    ).bundle.spec
    assert (spec.input.size, spec.resize.size, spec.resize.kernel) == ((48, 20), (48, 20), "linear")


@pytest.mark.parametrize("score_shape", [[], [1], [1, 1], [1, 1, 1, 1]])
def test_scores_of_every_rank_become_one_number(tmp_path: Path, score_shape: list[int]) -> None:
    model = simple([1, 1, 12, 16])
    model.graph.node.append(node("ReduceMax", ["heat"], ["top"], keepdims=0))
    model.graph.node.append(node("Reshape", ["top", "score_shape"], ["anything"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(score_shape, np.int64), "score_shape"))
    model.graph.output.append(tensor("anything", FLOAT, score_shape))
    report = build(saved(tmp_path, model), tmp_path / "b")
    image = noise((16, 12), 1)
    prediction = OnnxEngine(report.bundle).infer(image)
    assert report.score is not None
    assert report.score.name == "anything"
    assert prediction.score == prediction.map.max()


@pytest.mark.parametrize("squeezed", [[1, 12, 16], [12, 16]])
def test_maps_of_every_rank_become_n_h_w(tmp_path: Path, squeezed: list[int]) -> None:
    model = simple([1, 1, 12, 16])
    model.graph.node.append(node("Reshape", ["heat", "map_shape"], ["flat"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(squeezed, np.int64), "map_shape"))
    model.graph.output[0].CopyFrom(tensor("flat", FLOAT, squeezed))
    bundle = build(saved(tmp_path, model), tmp_path / "b").bundle
    assert OnnxEngine(bundle).infer(noise((16, 12), 1)).map.shape == (12, 16)


def test_names_of_the_contract_inside_a_model_do_no_harm(tmp_path: Path) -> None:
    """Its input is called ``map`` and a tensor inside ``frame``."""
    model = graph_model(
        [node("Abs", ["map"], ["frame"]), node("Neg", ["frame"], ["score"])],
        [tensor("map", FLOAT, [1, 1, 12, 16])],
        [tensor("score", FLOAT, [1, 1, 12, 16])],
    )
    bundle = build(saved(tmp_path, model), tmp_path / "b").bundle
    image = noise((16, 12), 1)
    assert (OnnxEngine(bundle).infer(image).map == -(image[:, :, 0] / np.float32(255))).all()


def test_names_inside_branches_are_followed(tmp_path: Path) -> None:
    """An If whose branches read a tensor called ``frame`` of the graph around them."""
    branch = [
        onnx.helper.make_graph([node(op, ["frame"], [f"{op}_out"])], op, [], [tensor(f"{op}_out", FLOAT, None)])
        for op in ("Neg", "Abs")
    ]
    model = graph_model(
        [
            node("Identity", ["image"], ["frame"]),
            node("If", ["yes"], ["map"], then_branch=branch[0], else_branch=branch[1]),
        ],
        [tensor("image", FLOAT, [1, 1, 12, 16])],
        [tensor("map", FLOAT, [1, 1, 12, 16])],
        {"yes": np.array(True)},
    )
    bundle = build(saved(tmp_path, model), tmp_path / "b").bundle
    assert OnnxEngine(bundle).infer(noise((16, 12), 1)).map.max() <= 0


def test_a_bundles_own_graph_can_be_built_again(tmp_path: Path) -> None:
    first = write_identity_bundle(tmp_path / "a", 3, (16, 12))
    again = build(first.model_path, tmp_path / "b").bundle
    image = noise((16, 12), 3)
    assert (OnnxEngine(again).infer(image).map == OnnxEngine(first).infer(image).map).all()


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_old_operator_sets_are_taken(tmp_path: Path, opset: int) -> None:
    model = simple([1, 3, 12, 16], opset=opset)
    bundle = build(saved(tmp_path, model), tmp_path / "b").bundle
    image = noise((16, 12), 3)
    np.testing.assert_allclose(OnnxEngine(bundle).infer(image).map, image.mean(axis=2) / 255, rtol=1e-6)


def nan_on_blank() -> onnx.ModelProto:
    model = simple([1, 1, 12, 16])
    model.graph.node.extend([node("ReduceMax", ["heat"], ["top"]), node("Div", ["heat", "top"], ["relative"])])
    model.graph.output[0].CopyFrom(tensor("relative", FLOAT, [1, 1, 12, 16]))
    return model


def test_a_map_that_is_nan_on_a_blank_picture_is_built_and_told(tmp_path: Path) -> None:
    report = build(saved(tmp_path, nan_on_blank()), tmp_path / "b")
    assert report.check.not_finite == ("a blank picture",)
    assert report.check.difference == 0.0


def test_a_map_that_is_nan_on_every_picture_is_refused(tmp_path: Path) -> None:
    model = simple([1, 1, 12, 16])
    model.graph.node.extend([node("Sub", ["heat", "heat"], ["zero"]), node("Div", ["zero", "zero"], ["never"])])
    model.graph.output[0].CopyFrom(tensor("never", FLOAT, [1, 1, 12, 16]))
    assert refusal(saved(tmp_path, model), tmp_path / "b") == (
        "M: the model's map is NaN or infinite on every picture\n"
        "  received: tried on noise, soft shapes, a nearly black picture, a blank picture, larger noise, "
        "larger soft shapes\n  expected: finite numbers\n"
        "  fix: export the model again, or look for a division by 0 in it (statistics that were never fitted, say)"
    )


ALL = "noise, soft shapes, a nearly black picture, a blank picture, larger noise, larger soft shapes"


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_map_that_is_the_same_everywhere_is_refused(tmp_path: Path, value: float) -> None:
    """A dead output, or one that is clamped far below what it gets."""
    model = simple([1, 1, 12, 16])
    ends = {"low": 0.0, "high": 1.0, "off": -10.0 if value == 0 else 0.5}
    model.graph.node.extend([node("Add", ["heat", "off"], ["moved"]), node("Mul", ["moved", "much"], ["large"])])
    model.graph.node.append(node("Clip", ["large", "low", "high"], ["cut"]))
    for name, number in (ends | {"much": 2.0}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.float32(number), name))
    model.graph.output[0].CopyFrom(tensor("cut", FLOAT, [1, 1, 12, 16]))
    each = ", ".join(f"{value:g} on {name}" for name in ALL.split(", "))
    assert refusal(saved(tmp_path, model), tmp_path / "b") == (
        "M: the model's map is the same everywhere on every picture\n"
        f"  received: {each}\n  expected: a map that tells one place from another\n"
        "  fix: look at --scale, --mean and --std, export the model again, or show it what it knows: --frames FOLDER"
    )


def test_a_map_that_does_not_see_its_picture_is_refused(tmp_path: Path) -> None:
    model = simple([1, 1, 12, 16])
    model.graph.node.extend([node("Sub", ["heat", "heat"], ["zero"]), node("Add", ["zero", "ramp"], ["drawn"])])
    model.graph.initializer.append(numpy_helper.from_array(np.linspace(0, 1, 16, dtype=np.float32), "ramp"))
    model.graph.output[0].CopyFrom(tensor("drawn", FLOAT, [1, 1, 12, 16]))
    assert refusal(saved(tmp_path, model), tmp_path / "b") == (
        "M: the model's map is the same whatever the picture\n"
        f"  received: tried on {ALL}\n  expected: a map of its picture\n"
        "  fix: look at --scale, --mean and --std, export the model again, or show it what it knows: --frames FOLDER"
    )


def test_other_numbers_than_the_models_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is not for show: with a wrong factor in the bundle nothing is written."""
    real = check.graphs.session

    def tampered(model: onnx.ModelProto, what: str) -> ort.InferenceSession:
        for weight in model.graph.initializer if what.startswith("the bundle of") else ():
            if weight.dims == []:
                weight.CopyFrom(numpy_helper.from_array(np.float32(254), weight.name))
        return real(model, what)

    monkeypatch.setattr(check.graphs, "session", tampered)
    path = saved(tmp_path, simple([1, 1, 12, 16]))
    assert refusal(path, tmp_path / "b") == (
        "M: the bundle gives other numbers than the model\n"
        "  received: a difference of 0.0039 of the map's range\n  expected: at most 0.0001"
    )


# ---- depth, resize in the graph, crops, given frames ----


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_more_than_8_bits_reach_the_model(tmp_path: Path, bits: int) -> None:
    """Full scale is 1, and the lowest bit counts."""
    bundle = build(saved(tmp_path, simple([1, 1, 12, 16])), tmp_path / "b", BuildOptions(bits=bits)).bundle
    assert bundle.spec.input.bits == bits
    pixels = np.zeros((12, 16), np.uint16)
    pixels[0, :3] = (1, 2, 2**bits - 1)
    prepared = prepare(frame(pixels, bits), bundle.spec).image
    assert prepared.dtype == np.uint16
    amap = OnnxEngine(bundle).infer(prepared).map
    np.testing.assert_allclose(amap[0, :3] * (2**bits - 1), [1, 2, 2**bits - 1], rtol=1e-6)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("kernel", [None, "linear", "nearest", "cubic"])
def test_a_resize_in_the_graph_gives_opencvs_numbers(tmp_path: Path, layout: str, opset: int, kernel: Any) -> None:
    shape = [1, 3, 12, 16] if layout == "nchw" else [1, 12, 16, 3]
    path = saved(tmp_path, simple(shape, layout=layout, opset=opset))
    bundle = build(path, tmp_path / "b", BuildOptions(resize="graph", kernel=kernel)).bundle
    spec = bundle.spec
    assert (spec.input.size, spec.resize.where, spec.resize.kernel) == ("any", "graph", kernel or "linear")
    assert spec.resize.size == (16, 12)
    image = noise((50, 31), 3)
    prepared = prepare(frame(image), spec)
    assert prepared.image.shape == image.shape
    assert prepared.map_to_image == (50 / 16, 31 / 12, 0.0, 0.0)
    small = cv2.resize(image.astype(np.float32), (16, 12), interpolation=KERNELS[kernel or "linear"])
    amap = OnnxEngine(bundle).infer(prepared.image).map
    np.testing.assert_allclose(amap, small.mean(axis=2) / 255, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resize", ["host", "graph"])
@pytest.mark.parametrize(
    ("attributes", "coordinates", "antialias"),
    [
        ({}, "half_pixel", False),
        ({"antialias": 1}, "half_pixel", True),
        ({"coordinate_transformation_mode": "align_corners"}, "align_corners", False),
    ],
)
def test_the_exporters_own_resize_is_declared_with_its_ways(
    tmp_path: Path, resize: Any, attributes: dict[str, Any], coordinates: str, antialias: bool
) -> None:
    model = anomalib_model("dynamo", size="any")
    at = next(n for n in model.graph.node if n.op_type == "Resize")
    at.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in attributes.items())
    spec = build(saved(tmp_path, model), tmp_path / "b", BuildOptions(resize=resize)).bundle.spec
    assert spec.provenance["own_resize"] == {
        "size": [32, 32],
        "mode": "linear",
        "coordinates": coordinates,
        "antialias": antialias,
        "at_work": resize == "graph",
    }


def test_the_exporters_own_resize_is_kept_where_asked(tmp_path: Path) -> None:
    """Full frames go in, and what comes out is what the original says of them; the kernel is the exporter's."""
    path = saved(tmp_path, anomalib_model(size="any"))
    report = build(path, tmp_path / "b", BuildOptions(resize="graph"))
    spec = report.bundle.spec
    assert (spec.input.size, spec.resize.where, spec.resize.kernel, spec.resize.size) == (
        "any",
        "graph",
        "linear",
        (32, 32),
    )
    image = noise((100, 70), 3)
    prepared = prepare(frame(image), spec)
    assert prepared.map_to_image == (100 / 32, 70 / 32, 0.0, 0.0)
    expected = original(path, (image / np.float32(255)).transpose(2, 0, 1)[None])["anomaly_map"][0, 0]
    assert report.amap.tail is not None
    given = report.amap.tail.applied(OnnxEngine(report.bundle).infer(prepared.image).map)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-6)


def cropped(size: list[Any], *, resized: bool, negative: bool) -> onnx.ModelProto:
    """[A resize to 40x30,] a crop of 20x16 whose corner is at (8, 6) of it, and a map of half its size."""
    starts, ends = ([-24, -32], [-8, -12]) if negative else ([6, 8], [22, 28])
    nodes = [
        node("Shape", ["image"], ["whole"]),
        node("Slice", ["whole", "zero", "two"], ["kept"]),
        node("Concat", ["kept", "inner"], ["sizes"], axis=0),
        node("Resize", ["image", "", "", "sizes"], ["small"], mode="linear"),
    ]
    return graph_model(
        [
            *(nodes if resized else [node("Identity", ["image"], ["small"])]),
            node("Slice", ["small", "starts", "ends", "axes"], ["middle"]),
            node("Sub", ["middle", "half"], ["centred"]),
            node("AveragePool", ["centred"], ["heat"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        [tensor("image", FLOAT, [1, 1, *size])],
        [tensor("heat", FLOAT, [1, 1, 8, 10])],
        {
            "zero": np.array([0]),
            "two": np.array([2]),
            "inner": np.array([30, 40]),
            "starts": np.array(starts),
            "ends": np.array(ends),
            "axes": np.array([-2, 3]),
            "half": np.float32(0.5),
        },
    )


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("resized", [False, True])
def test_a_crop_inside_the_model_shifts_the_map(tmp_path: Path, resized: bool, negative: bool) -> None:
    """A bright block of the frame lies where ``map_to_image`` says that the map's brightest pixel lies."""
    size = ["h", "w"] if resized else [30, 40]
    bundle = build(saved(tmp_path, cropped(size, resized=resized, negative=negative)), tmp_path / "b").bundle
    spec = bundle.spec
    assert (spec.resize.where, spec.resize.size) == ("host", (40, 30))
    assert spec.map_to_image == (2.0, 2.0, 8.0, 6.0)
    image = np.zeros((60, 80), np.uint8)
    image[32:36, 40:44] = 255
    prepared = prepare(frame(image), spec)
    assert prepared.map_to_image == (4.0, 4.0, 16.0, 12.0)
    amap = OnnxEngine(bundle).infer(prepared.image).map
    row, column = np.unravel_index(amap.argmax(), amap.shape)
    sx, sy, ox, oy = prepared.map_to_image
    assert (column * sx + ox, row * sy + oy) == (40.0, 32.0)


def test_given_frames_are_checked_too(tmp_path: Path) -> None:
    """At any size and format, prepared as at run time."""
    path = saved(tmp_path, nan_on_blank())
    frames = [frame(noise((50, 30), 3)), frame(np.zeros((40, 40), np.uint16), 12)]
    report = build(path, tmp_path / "b", BuildOptions(frames=frames))
    assert report.check.pictures == 8
    assert report.check.not_finite == ("a blank picture", "frame 1")


def test_a_given_frame_that_the_model_cannot_take_is_named(tmp_path: Path) -> None:
    """It looks at windows of 20 px: smaller pictures have none."""
    model = simple(["n", 1, "h", "w"])
    model.graph.node.append(node("AveragePool", ["heat"], ["around"], kernel_shape=[20, 20], pads=[10, 10, 9, 9]))
    model.graph.node.append(node("Pad", ["heat", "borders"], ["wide"], mode="reflect"))
    model.graph.node.append(node("AveragePool", ["wide"], ["reflected"], kernel_shape=[21, 21]))
    model.graph.node.append(node("Sub", ["reflected", "around"], ["rest"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, 10, 10, 0, 0, 10, 10]), "borders"))
    model.graph.output[0].CopyFrom(tensor("rest", FLOAT, list("abcd")))
    path = saved(tmp_path, model)
    text = refusal(path, tmp_path / "b", frames=[frame(noise((9, 9), 1)[:, :, 0])])
    assert text.startswith("M: the model does not run on frame 0, shape (1, 1, 9, 9)\n  received: ")
    assert build(path, tmp_path / "b", BuildOptions(frames=[frame(noise((80, 80), 1)[:, :, 0])])).check.pictures == 5


@pytest.mark.parametrize(
    ("model", "options", "text"),
    [
        (
            simple(["n", 1, "h", "w"]),
            {},
            "--resize graph\n  received: a model that takes any size\n"
            "  fix: say to which size it resizes: --size WIDTH,HEIGHT",
        ),
        (
            simple([1, 1, 12, 16]),
            {"kernel": "area"},
            "--kernel of a resize in the graph\n  received: area\n  expected: linear or cubic or nearest",
        ),
        (
            anomalib_model(size="any"),
            {"kernel": "cubic"},
            "--kernel of a resize in the graph\n  received: cubic\n  expected: linear",
        ),
        (
            simple([1, 1, 12, 16], UINT8),
            {},
            "--resize graph\n  received: a model that takes uint8 pixels\n  fix: resize on the host: --resize host",
        ),
    ],
)
def test_a_resize_that_the_graph_cannot_have(tmp_path: Path, model: onnx.ModelProto, options: Any, text: str) -> None:
    assert refusal(saved(tmp_path, model), tmp_path / "b", resize="graph", **options) == text


# ---- what is refused ----


def test_no_map_among_the_outputs(tmp_path: Path) -> None:
    model = graph_model(
        [node("ReduceMax", ["image"], ["pred_score"], keepdims=0)],
        [tensor("image", FLOAT, [1, 3, 12, 16])],
        [tensor("pred_score", FLOAT, [])],
    )
    assert refusal(saved(tmp_path, model), tmp_path / "b") == (
        "M: the model gives no anomaly map\n  received: pred_score float32 ()\n"
        "  expected: a float32 output of shape (n, 1, h, w) or (n, h, w)\n"
        "  fix: of a class map (n, k, h, w) name one class: --map NAME --class N; of a model that gives a score alone name "
        "that: --map NAME, and the whole frame is one region"
    )


def test_two_images_in(tmp_path: Path) -> None:
    shape = [1, 3, 12, 16]
    model = graph_model(
        [node("Sub", ["left", "right"], ["heat"])],
        [tensor("left", FLOAT, shape), tensor("right", FLOAT, shape)],
        [tensor("heat", FLOAT, shape)],
    )
    assert refusal(saved(tmp_path, model), tmp_path / "b") == (
        "M: a model of one image is needed\n  received: 2 inputs: left, right\n  expected: one input"
    )


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        (
            [1, 3, 12, 16],
            TensorProto.INT16,
            "M: input 'image' has a type that is not taken\n  received: int16\n  expected: float32 or uint8\n"
            "  fix: export the model in float32",
        ),
        (
            [1, 3],
            FLOAT,
            "M: input 'image' is no image\n  received: 2 dimensions: (1, 3)\n"
            "  expected: 4: (n, c, h, w) or (n, h, w, c) with 1 or 3 channels",
        ),
        (
            [1, 4, 12, 16],
            FLOAT,
            "M: input 'image' is no image\n  received: (1, 4, 12, 16)\n"
            "  expected: 1 or 3 channels: (n, c, h, w) or (n, h, w, c)",
        ),
        (
            ["n", "c", "h", "w"],
            FLOAT,
            "M: input 'image' does not say where its channels are\n  received: (n, c, h, w)\n"
            "  fix: say it: --layout nchw or --layout nhwc",
        ),
        (
            [1, 3, 3, 3],
            FLOAT,
            "M: input 'image' does not say where its channels are\n  received: (1, 3, 3, 3)\n"
            "  fix: say it: --layout nchw or --layout nhwc",
        ),
    ],
)
def test_inputs_that_are_no_image(tmp_path: Path, shape: list[Any], dtype: int, text: str) -> None:
    model = graph_model(
        [node("Identity", ["image"], ["heat"])], [tensor("image", dtype, shape)], [tensor("heat", dtype, shape)]
    )
    assert refusal(saved(tmp_path, model), tmp_path / "b") == text


def test_open_channels_are_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, simple(["n", "c", "h", "w"]))
    assert refusal(path, tmp_path / "b", layout="nchw") == (
        "M: input 'image' leaves its channels open\n  fix: say which: --channels 1 or --channels 3"
    )
    assert build(path, tmp_path / "b", BuildOptions(layout="nchw", channels=3)).taken.channels == 3


def with_output(dtype: int, shape: list[int], name: str = "anomaly_map") -> onnx.ModelProto:
    model = simple([1, 1, 12, 16])
    model.graph.node.append(node("Cast", ["heat"], ["cast"], to=dtype))
    model.graph.node.append(node("Expand", ["cast", "wanted"], [name]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "wanted"))
    model.graph.output[0].CopyFrom(tensor(name, dtype, shape))
    return model


@pytest.mark.parametrize(
    ("dtype", "shape", "text"),
    [
        (
            FLOAT,
            [1, 2, 12, 16],
            "M: output 'anomaly_map' is no anomaly map\n  received: shape (1, 2, 12, 16) for one picture\n"
            "  expected: (n, 1, h, w) or (n, h, w)\n"
            "  fix: of a class map (n, k, h, w) name one class: --map NAME --class N",
        ),
    ],
)
def test_maps_that_are_none(tmp_path: Path, dtype: int, shape: list[int], text: str) -> None:
    assert refusal(saved(tmp_path, with_output(dtype, shape)), tmp_path / "b") == text


def test_two_maps_are_asked_about(tmp_path: Path) -> None:
    model = simple([1, 1, 12, 16])
    model.graph.node.append(node("Neg", ["heat"], ["cold"]))
    model.graph.output.append(tensor("cold", FLOAT, [1, 1, 12, 16]))
    path = saved(tmp_path, model)
    assert refusal(path, tmp_path / "b") == (
        "M: several outputs may be the anomaly map\n"
        "  received: heat float32 (1, 1, 12, 16), cold float32 (1, 1, 12, 16)\n  fix: say which: --map NAME"
    )
    assert refusal(path, tmp_path / "b", map_name="warm") == (
        "M: no output 'warm'\n  expected: one of: heat float32 (1, 1, 12, 16), cold float32 (1, 1, 12, 16)"
    )
    assert build(path, tmp_path / "b", BuildOptions(map_name="cold")).amap.name == "cold"


def with_values(model: onnx.ModelProto, **names: int) -> onnx.ModelProto:
    """The highest value of the map (of ``simple``) under these names, each of a type."""
    for name, dtype in names.items():
        model.graph.node.append(node("ReduceMax", ["heat"], [f"{name}_top"], axes=[1, 2, 3], keepdims=0))
        model.graph.node.append(node("Cast", [f"{name}_top"], [name], to=dtype))
        model.graph.output.append(tensor(name, dtype, ["n"]))
    return model


def test_a_score_of_another_float_is_taken_and_one_of_whole_numbers_told(tmp_path: Path) -> None:
    half = TensorProto.FLOAT16
    report = build(saved(tmp_path, with_values(simple(["n", 1, 12, 16]), pred_score=half)), tmp_path / "a")
    assert report.score is not None
    assert report.score.name == "pred_score"
    whole = TensorProto.INT64
    path = saved(tmp_path, with_values(simple(["n", 1, 12, 16]), pred_score=whole))
    text = (
        "M: the score 'pred_score' has a type that is not taken\n  received: int64\n  expected: float32\n"
        "  fix: export the model in float32"
    )
    assert refusal(path, tmp_path / "b") == text
    path = saved(tmp_path, with_values(simple(["n", 1, 12, 16]), pred_score=whole, peak=FLOAT))
    assert refusal(path, tmp_path / "b") == f"{text}, or take another output: --score NAME"
    report = build(path, tmp_path / "b", BuildOptions(score_name="peak"))
    assert report.score is not None
    assert (report.score.name, report.warnings) == ("peak", ())


def test_of_two_scores_none_is_taken_and_that_is_told(tmp_path: Path) -> None:
    report = build(saved(tmp_path, with_values(simple(["n", 1, 12, 16]), peak=FLOAT, top=FLOAT)), tmp_path / "b")
    assert report.score is None
    assert report.warnings == ("none of peak, top is taken for the score; say which: --score NAME",)


def test_an_embedding_comes_into_the_bundle(tmp_path: Path) -> None:
    """And not where there are tiles: theirs is none of the picture."""
    model = simple(["n", 3, 32, 32])
    model.graph.node.append(node("ReduceMean", ["image"], ["embedding"], axes=[2, 3], keepdims=0))
    model.graph.output.append(tensor("embedding", FLOAT, ["n", 3]))
    path = saved(tmp_path, model)
    image = noise((32, 32), 3)
    bundle = build(path, tmp_path / "b").bundle
    assert bundle.spec.provenance["outputs"] == {"map": "heat", "embedding": "embedding"}
    embedding = OnnxEngine(bundle).infer(image).embedding
    np.testing.assert_allclose(embedding, image.mean(axis=(0, 1)) / 255, rtol=1e-5)  # type: ignore[arg-type]
    tiled = build(path, tmp_path / "t", BuildOptions(tile=TileSpec(size=(32, 32), stride=(24, 24)))).bundle
    assert tiled.spec.provenance["outputs"] == {"map": "heat"}
    assert [o.name for o in onnx.load(tiled.model_path).graph.output] == ["map"]


def test_a_score_that_is_none_is_told(tmp_path: Path) -> None:
    assert refusal(saved(tmp_path, simple([1, 1, 12, 16])), tmp_path / "b", score_name="heat") == (
        "M: output 'heat' is no score\n  received: no output but the map\n"
        "  expected: a float32 output with one value for each picture"
    )


def test_a_map_that_follows_the_picture_unevenly_is_asked_about(tmp_path: Path) -> None:
    model = simple(["n", 1, "h", "w"])
    model.graph.node.append(node("MaxPool", ["heat"], ["inner"], kernel_shape=[5, 5]))
    model.graph.output[0].CopyFrom(tensor("inner", FLOAT, list("abcd")))
    path = saved(tmp_path, model)
    assert refusal(path, tmp_path / "b") == (
        "M: the model takes any size, but its map does not follow it evenly\n"
        "  received: map 252x252 of 256x256 and map 316x284 of 320x288\n"
        "  fix: say which size it takes: --size WIDTH,HEIGHT"
    )
    text = refusal(path, tmp_path / "b", size=(48, 32))
    assert text.startswith("M: the map does not lie where the graph says\n"), "it leaves 2 px out on each side"
    report = build(path, tmp_path / "b", BuildOptions(size=(48, 32), map_to_image=(1.0, 1.0, 2.0, 2.0)))
    assert report.map_size == report.bundle.spec.map_size == (44, 28)
    assert report.warnings == ()


def test_an_operator_that_is_unknown_is_named(tmp_path: Path) -> None:
    model = simple([1, 1, 12, 16])
    model.opset_import.append(onnx.helper.make_opsetid("maker.example", 1))
    model.graph.node[0].op_type, model.graph.node[0].domain = "Sparkle", "maker.example"
    text = refusal(saved(tmp_path, model), tmp_path / "b")
    assert text.startswith(f"M: ONNX Runtime {ort.__version__} cannot load the model\n  received: ")
    assert "maker.example:Sparkle(-1) is not a registered function/op" in text


def test_a_size_against_the_models_own(tmp_path: Path) -> None:
    assert refusal(saved(tmp_path, simple([1, 1, 12, 16])), tmp_path / "b", size=(12, 16)) == (
        "M: the model fixes its picture's size\n  received: --size 12,16\n  expected: 16,12, or no --size"
    )


def test_a_model_of_any_size_that_runs_at_none_is_asked_for_one(tmp_path: Path) -> None:
    model = simple(["n", 1, "h", "w"])
    model.graph.node.append(node("Add", ["heat", "twelve_by_sixteen"], ["sum"]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((12, 16), np.float32), "twelve_by_sixteen"))
    model.graph.output[0].CopyFrom(tensor("sum", FLOAT, list("abcd")))
    path = saved(tmp_path, model)
    text = refusal(path, tmp_path / "b")
    assert text.startswith("M: the model does not run on a 256x256 picture\n  received: ")
    assert text.endswith("\n  fix: say which size it takes: --size WIDTH,HEIGHT")
    assert build(path, tmp_path / "b", BuildOptions(size=(16, 12))).map_size == (16, 12)


@pytest.mark.parametrize(
    ("shape", "text", "size", "wrong"),
    [
        (
            [1, 1, 12, "w"],
            "M: input 'image' fixes its height and leaves its width open\n  received: height 12\n"
            "  fix: say which size it takes: --size WIDTH,12",
            (20, 12),
            "any,12",
        ),
        (
            [1, 1, "h", 16],
            "M: input 'image' fixes its width and leaves its height open\n  received: width 16\n"
            "  fix: say which size it takes: --size 16,HEIGHT",
            (16, 9),
            "16,any",
        ),
    ],
)
def test_a_model_that_fixes_one_side_is_asked_for_the_other(
    tmp_path: Path, shape: list[Any], text: str, size: tuple[int, int], wrong: str
) -> None:
    path = saved(tmp_path, simple(shape))
    assert refusal(path, tmp_path / "b") == text
    assert refusal(path, tmp_path / "b", size=(50, 50)) == (
        f"M: the model fixes its picture's size\n  received: --size 50,50\n  expected: {wrong}"
    )
    assert build(path, tmp_path / "b", BuildOptions(size=size)).bundle.spec.map_size == size


def test_the_runtimes_words_come_whole(tmp_path: Path) -> None:
    """What it got and what it expected stand on indented lines of their own."""
    error = RuntimeError("Got invalid dimensions for the following indices\n index: 2 Got: 256 Expected: 64\nPlease fix it")
    assert graphs.first_line(error) == "Got invalid dimensions for the following indices index: 2 Got: 256 Expected: 64"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mean": (0.1, 0.2)}, "--mean\n  received: 2 values\n  expected: 1 or 3"),
        ({"mean": (float("inf"),)}, "--mean\n  received: inf\n  expected: finite numbers"),
        ({"std": (0.1, 0.0, 1.0)}, "--std\n  received: 0.1, 0.0, 1.0\n  expected: finite numbers above 0"),
        ({"std": (float("nan"),)}, "--std\n  received: nan\n  expected: finite numbers above 0"),
        ({"scale": 0.0}, "--scale\n  received: 0.0\n  expected: a number above 0"),
        ({"scale": -1.0}, "--scale\n  received: -1.0\n  expected: a number above 0"),
        ({"scale": float("nan")}, "--scale\n  received: nan\n  expected: a number above 0"),
        (
            {"map_to_image": (1.0, 0.0, 2.0, 2.0)},
            "--map-to-image\n  received: 1, 0, 2, 2\n  expected: SX,SY,OX,OY, finite, with scales above 0",
        ),
    ],
)
def test_wrong_numbers_of_the_preprocessing(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    assert refusal(saved(tmp_path, simple([1, 3, 12, 16])), tmp_path / "b", **options) == text


def test_a_grey_model_takes_no_colour(tmp_path: Path) -> None:
    assert refusal(saved(tmp_path, simple([1, 1, 12, 16])), tmp_path / "b", channels=3) == (
        "M: the model takes grey pictures\n  received: --channels 3\n"
        "  expected: --channels 1; colour frames are then turned grey on the host"
    )


def test_a_model_of_uint8_scales_by_itself(tmp_path: Path) -> None:
    assert refusal(saved(tmp_path, simple([1, 1, 12, 16], UINT8)), tmp_path / "b", scale=0.5) == (
        "M: input 'image' takes uint8 pixels as they are\n  received: scale, mean, std or bits\n  fix: leave them out"
    )


@pytest.mark.parametrize("content", [b"", b"no protocol buffer at all", b"\x08\x07"])
def test_a_file_that_is_no_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert refusal(path, tmp_path / "b") == "M: not an ONNX model\n  expected: a .onnx file, as an exporter wrote it"


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.onnx", tmp_path / "b") == "M: cannot be read: No such file or directory"
    assert refusal(tmp_path, tmp_path / "b").startswith("M: not an ONNX model\n  received: a folder")


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("../weights", "the file lies outside the folder"),
        ("weights", "the file is missing"),
    ],
)
def test_external_data_elsewhere(tmp_path: Path, location: str, text: str) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    (tmp_path / "models").mkdir()
    model = weighted()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    path = tmp_path / "models" / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert refusal(path, tmp_path / "b") == (
        f"M: external data: {text}\n  received: {location}\n  expected: a file inside {tmp_path / 'models'}"
    )


def test_a_taken_folder_is_told_before_the_work(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "b")
    with pytest.raises(UserError, match="there is a bundle already"):
        build(tmp_path / "none.onnx", tmp_path / "b")
    report: BuildReport = build(
        saved(tmp_path, identity_model(1, (16, 12))), tmp_path / "b", BuildOptions(force=True, name="tile")
    )
    assert report.bundle.spec.name == "tile"
