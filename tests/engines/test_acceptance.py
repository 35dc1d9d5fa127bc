"""What a difference between two engines is a share of: the maker's range where it is known, else what the maps span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from support.graphs import identity_model, nan_model, node, tensor, write_identity_bundle

from edge.config.bundle import Bundle
from edge.config.bundle_spec import DisplaySpec
from edge.config.line import ModelConfig
from edge.engines.acceptance import check_tolerance
from edge.engines.onnx import OnnxEngine
from edge.engines.open import open_engine
from edge.engines.protocol import Prediction
from edge.errors import UserError
from edge.models.write import write_bundle


def faint(folder: Path, display: DisplaySpec) -> Bundle:
    """Its map lies between 0.04 and 0.13, as STFPM's does."""
    model = identity_model(1, (16, 16), score=False)
    model.graph.node[-1].output[0] = "bright"
    model.graph.node.extend([node("Mul", ["bright", "share"], ["small"]), node("Add", ["small", "least"], ["map"])])
    for name, value in (("share", 0.09), ("least", 0.04)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    bundle = write_identity_bundle(folder, 1, (16, 16), model=model)
    return Bundle(bundle.folder, bundle.spec.model_copy(update={"display": display}), bundle.sha256)


class Off(OnnxEngine):
    """Gives maps that are 0.0018 too high."""

    def infer(self, image: Any) -> Prediction:
        found = super().infer(image)
        return Prediction(found.map + np.float32(0.0018), None, None)


def off(bundle: Bundle) -> Off:
    engine = Off(bundle)
    engine.name, engine.precision = "openvino", "bf16"
    return engine


@pytest.mark.parametrize(
    ("display", "share"),
    [
        (DisplaySpec(), 0.02),
        (DisplaySpec(range=(0.5, 6.3)), 0.02),
        (DisplaySpec(threshold=0.1, range=(0.0, 0.2)), 0.009),
    ],
)
def test_a_range_for_pictures_alone_excuses_nothing(tmp_path: Path, display: DisplaySpec, share: float) -> None:
    """0.0018 of a map that spans 0.09 are 2 % of it; of a default range of 1 they would be 0.2 %."""
    assert check_tolerance(off(faint(tmp_path / "b", display)), None) == pytest.approx(share, rel=1e-3)


def test_the_span_is_of_the_frames_that_are_compared(tmp_path: Path) -> None:
    """Good parts span less than noise does, so the same difference weighs more on them."""
    frames = [np.full((16, 16, 1), 100, np.uint8) for _ in range(9)]
    frames[8][:, :8] = 151  # the ninth is compared, and 51 of 255 levels are 0.018
    bundle = faint(tmp_path / "b", DisplaySpec())
    with pytest.raises(UserError) as caught:
        check_tolerance(off(bundle), lambda: iter(frames))
    assert str(caught.value) == (
        "model.precision: bf16 on openvino departs too far from the model's own numbers\n"
        "  received: 0.1 of the map's range at the 99.9th percentile, on sample frame 0\n"
        f"  expected: at most 0.05, the tolerance in {bundle.folder / 'bundle.yaml'}\n  fix: set model.precision: fp32"
    )
    flat = [np.full((16, 16, 1), 100, np.uint8)]
    assert check_tolerance(off(bundle), lambda: iter(flat)) == pytest.approx(0.0018, rel=1e-2), "as if it spanned 1"


def hiding(folder: Path, level: float, operator: str) -> Bundle:
    """NaN at pixels of ``level`` alone, then an operator in which OpenVINO makes a number of it."""
    model = identity_model(1, (16, 16), score=False)
    model.graph.node[-1].output[0] = "bright"
    after = {
        "Relu": node("Relu", ["raw"], ["map"]),
        "Clip": node("Clip", ["raw", "nothing", "much"], ["map"]),
        "Max": node("Max", ["raw", "nothing"], ["map"]),
    }
    model.graph.node.extend(
        [
            node("Sub", ["bright", "level"], ["off"]),
            node("Div", ["off", "off"], ["one"]),  # 0 / 0 where the pixel has the level
            node("Mul", ["one", "bright"], ["raw"]),
            after[operator],
        ]
    )
    for name, value in (("level", level), ("nothing", 0.0), ("much", 9.0)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    return write_identity_bundle(folder, 1, (16, 16), model=model)


@pytest.mark.parametrize("operator", ["Relu", "Clip", "Max"])
@pytest.mark.parametrize("level", [0.0, 127 / 255, 1.0])
def test_nan_that_one_runtime_turns_into_a_number_is_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operator: str, level: float
) -> None:
    """A covered lens, an overexposed frame, a flat one: invalid by ONNX Runtime, 0 and so a pass by OpenVINO, in fp32."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = hiding(tmp_path / "b", level, operator)
    open_engine(ModelConfig(bundle=bundle.folder, engine="onnx"), bundle).close()
    with pytest.raises(UserError) as caught:
        open_engine(ModelConfig(bundle=bundle.folder, engine="openvino"), bundle)
    text = str(caught.value)
    assert text.startswith(
        "model.precision: fp32 on openvino departs too far from the model's own numbers\n  received: a map"
    )
    assert text.endswith("\n  fix: set model.engine: onnx without model.providers")
    assert "a map with NaN or infinity, on " in text


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_openvino_in_fp32_is_held_to_the_models_own_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """It passes over ``antialias`` of a Resize: https://github.com/openvinotoolkit/openvino/issues/35893"""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = identity_model(1, (16, 16), score=False)
    model.graph.node[-1].output[0] = "bright"
    model.graph.node.append(node("Unsqueeze", ["bright", "one"], ["four"]))
    model.graph.node.append(node("Resize", ["four", "", "half"], ["small"], mode=mode, antialias=1))
    model.graph.node.append(node("Squeeze", ["small", "one"], ["map"]))
    for name, value in (("one", np.array([1])), ("half", np.float32([1, 1, 0.5, 0.5]))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.opset_import[0].version = 18
    model.graph.output[0].CopyFrom(tensor("map", TensorProto.FLOAT, ["n", 8, 8]))
    spec = write_identity_bundle(tmp_path / "b", 1, (16, 16), score=False).spec
    bundle = write_bundle(
        tmp_path / "c", model, spec.model_copy(update={"map_size": (8, 8), "map_to_image": (2.0, 2.0, 0.0, 0.0)})
    )
    open_engine(ModelConfig(bundle=bundle.folder, engine="onnx"), bundle).close()
    with pytest.raises(UserError, match="fp32 on openvino departs too far from the model's own numbers"):
        open_engine(ModelConfig(bundle=bundle.folder, engine="openvino"), bundle)


def test_a_score_that_departs_counts_like_a_map(tmp_path: Path) -> None:
    class Shifted(OnnxEngine):
        def infer(self, image: Any) -> Prediction:
            found = super().infer(image)
            return Prediction(found.map, None if found.score is None else found.score + 0.01, None)

    engine = Shifted(write_identity_bundle(tmp_path / "b", 1, (16, 16)))
    engine.name = "openvino"
    with pytest.raises(UserError, match=r"received: 0\.01 of the scores' range at most, on "):
        check_tolerance(engine, None)


def test_sample_frames_do_not_excuse_hidden_nan(tmp_path: Path) -> None:
    """Good frames are never black; the covered lens comes later."""

    class Hiding(OnnxEngine):
        def infer(self, image: Any) -> Prediction:
            return Prediction(np.nan_to_num(super().infer(image).map), None, None)

    engine = Hiding(write_identity_bundle(tmp_path / "b", 1, (16, 16), model=nan_model(1, (16, 16), only_where_black=True)))
    engine.name, engine.precision = "openvino", "bf16"
    good = [np.full((16, 16, 1), 100, np.uint8)]
    with pytest.raises(UserError, match="a map with NaN or infinity, on "):
        check_tolerance(engine, lambda: iter(good))
