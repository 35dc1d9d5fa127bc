"""Where a map lies is read from the graph and measured besides; where the two disagree nothing is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from support.builds import noise, refusal, saved
from support.graphs import graph_model, identity_model, node, tensor

from edge.engines.onnx import OnnxEngine
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from edge.models.build.placement import place_of

FLOAT = TensorProto.FLOAT
WHOLE = (1.0, 1.0, 0.0, 0.0)
LEFT_OUT = (4.0, 8.0)
"""Columns and rows that the crops here leave out at the left and at the top; 40x48 of 64x64 are kept."""


def model(nodes: list[onnx.NodeProto], constants: dict[str, Any], size: tuple[Any, Any] = (64, 64)) -> onnx.ModelProto:
    """The mean of what ``nodes`` make of ``image`` (1, 3, h, w): ``seen``."""
    last = node("ReduceMean", ["seen"], ["heat"], axes=[1], keepdims=1)
    shapes = [tensor("image", FLOAT, [1, 3, size[1], size[0]]), tensor("heat", FLOAT, [1, 1, "y", "x"])]
    return graph_model([*nodes, last], shapes[:1], shapes[1:], constants)


def sliced(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> dict[str, Any]:
    return {"starts": np.array(starts), "ends": np.array(ends), "axes": np.array(axes), "steps": np.array(steps)}


SLICE = ["starts", "ends", "axes", "steps"]
MIDDLE = sliced([8, 4], [56, 44], [2, 3], [1, 1])
GATHERED = {"rows": np.arange(8, 56), "columns": np.arange(4, 44)}
RED_TO_BLUE = {"each": np.array([1, 1, 1])}


@pytest.mark.parametrize(
    ("nodes", "constants", "expected"),
    [
        (
            [node("Gather", ["image", "rows"], ["lines"], axis=2), node("Gather", ["lines", "columns"], ["seen"], axis=-1)],
            GATHERED,
            (1.0, 1.0, *LEFT_OUT),
        ),
        (
            [
                node("Split", ["image", "each"], ["r", "g", "b"], axis=1),
                node("Concat", ["b", "g", "r"], ["bgr"], axis=1),
                node("Slice", ["bgr", *SLICE], ["seen"]),
            ],
            MIDDLE | RED_TO_BLUE,
            (1.0, 1.0, *LEFT_OUT),
        ),
        (
            [node("Gather", ["image", "back"], ["bgr"], axis=1), node("Slice", ["bgr", *SLICE], ["seen"])],
            MIDDLE | {"back": np.array([2, 1, 0])},
            (1.0, 1.0, *LEFT_OUT),
        ),
        ([node("Slice", ["image", *SLICE], ["seen"])], sliced([0, 0], [64, 64], [2, 3], [2, 2]), (2.0, 2.0, 0.0, 0.0)),
        ([node("Gather", ["image", "odd"], ["seen"], axis=3)], {"odd": np.arange(1, 64, 3)}, (3.0, 1.0, 1.0, 0.0)),
    ],
    ids=["gather", "split", "gathered_channels", "steps", "gathered_steps"],
)
def test_a_crop_in_other_operators_is_read(
    tmp_path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], expected: tuple[float, ...]
) -> None:
    """The map's own pixels lie in the picture where ``map_to_image`` says."""
    report = build(saved(tmp_path, model(nodes, constants)), tmp_path / "b")
    assert report.bundle.spec.map_to_image == expected
    assert report.place is not None
    np.testing.assert_allclose(report.place.measured, expected, atol=1.1)
    image = noise((64, 64), 3)
    amap = OnnxEngine(report.bundle).infer(image).map
    sx, sy, ox, oy = (int(v) for v in expected)
    rows, columns = (
        np.arange(side) * step + start for side, step, start in zip(amap.shape, (sy, sx), (oy, ox), strict=True)
    )
    np.testing.assert_allclose(amap, image[np.ix_(rows, columns)].mean(axis=2) / 255, rtol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "constants", "measured", "told"),
    [
        (
            [node("Slice", ["image", *SLICE], ["seen"])],
            sliced([-1], [-100], [3], [-1]),
            "-1, 1, 64, 0",
            "1, 1, 0, 0",
        ),
        (
            [node("Gather", ["image", "mixed"], ["seen"], axis=3)],
            {"mixed": np.r_[0:20, 24:64]},
            None,
            None,
        ),
        (
            [node("Relu", ["image"], ["still"]), node("Slice", ["still", *SLICE], ["seen"])],
            sliced([8, 8], [56, 56], [2, 3], [1, 1]),
            "1, 1, 8, 8",
            "1.33, 1.33, 0, 0",
        ),
    ],
    ids=["mirror", "a_gap", "behind_the_network"],
)
def test_what_is_not_understood_is_measured_and_refused(
    tmp_path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], measured: str | None, told: str | None
) -> None:
    """Unless it matters less than real models shift by themselves: four columns left out of the middle are 6 %."""
    path = saved(tmp_path, model(nodes, constants))
    if measured is None:
        assert build(path, tmp_path / "b").place is not None
        return
    text = refusal(path, tmp_path / "b")
    numbers = text.split("of about ")[1].split(", measured")[0]
    np.testing.assert_allclose([float(v) for v in numbers.split(",")], [float(v) for v in measured.split(",")], atol=0.01)
    assert text.replace(numbers, "N") == (
        "M: the map does not lie where the graph tells\n"
        "  received: sx, sy, ox, oy of about N, measured with a patch at nine places\n"
        f"  expected: about {told}\n"
        "  fix: the model crops, mirrors or skips pixels in a way that is not understood: export it without, "
        "or say where its map lies: --map-to-image SX,SY,OX,OY"
    )


def test_a_person_who_knows_where_the_map_lies_has_the_last_word(tmp_path: Path) -> None:
    nodes = [node("Relu", ["image"], ["still"]), node("Slice", ["still", *SLICE], ["seen"])]
    path = saved(tmp_path, model(nodes, sliced([8, 8], [56, 56], [2, 3], [1, 1])))
    right = build(path, tmp_path / "a", BuildOptions(map_to_image=(1.0, 1.0, 8.0, 8.0)))
    assert (right.bundle.spec.map_to_image, right.warnings) == ((1.0, 1.0, 8.0, 8.0), ())
    wrong = build(path, tmp_path / "b", BuildOptions(map_to_image=(64 / 48, 64 / 48, 0.0, 0.0)))
    assert wrong.place is not None
    assert wrong.warnings == (
        f"--map-to-image says 1.33, 1.33, 0, 0, and measured it is about {wrong.place}: boxes may lie wrong",
    )


def cropping() -> onnx.ModelProto:
    """Takes any size and keeps the 32x32 in its middle."""
    nodes = [
        node("Shape", ["image"], ["shape"]),
        node("Slice", ["shape", "two", "four"], ["sides"]),
        node("Sub", ["sides", "kept"], ["rest"]),
        node("Div", ["rest", "two"], ["starts"]),
        node("Add", ["starts", "kept"], ["ends"]),
        node("Slice", ["image", "starts", "ends", "axes"], ["seen"]),
    ]
    constants = {"two": np.array([2]), "four": np.array([4]), "kept": np.array([32, 32]), "axes": np.array([2, 3])}
    return model(nodes, constants, ("w", "h"))


def test_a_model_that_crops_whatever_it_gets_is_asked_for_its_size(tmp_path: Path) -> None:
    """Its map has one size for all pictures, as if it resized them; frames must not be squeezed into the crop."""
    path = saved(tmp_path, cropping())
    assert refusal(path, tmp_path / "b") == (
        "M: the model takes any size and crops it, so the size that it was made for does not show\n"
        "  received: 32x32 of 256x256 and 32x32 of 320x288\n"
        "  fix: say to which size frames are brought before that crop: --size WIDTH,HEIGHT"
    )
    spec = build(path, tmp_path / "b", BuildOptions(size=(50, 40))).bundle.spec
    assert (spec.resize.size, spec.map_to_image, spec.map_size) == ((50, 40), (1.0, 1.0, 9.0, 4.0), (32, 32))


def test_a_map_that_answers_to_nothing_is_not_measured(tmp_path: Path) -> None:
    """And neither is one of pictures so small that one patch runs into the next."""
    for size in ((15, 40), (64, 64)):
        grey = identity_model(1, size)
        onnx.save(grey, tmp_path / "model.onnx")
        found = build(tmp_path / "model.onnx", tmp_path / "b", BuildOptions(force=True)).place
        assert (found is None) == (size == (15, 40))
    assert place_of(lambda picture: np.zeros(picture.shape[:3], np.float32), (64, 64), 1, 8, WHOLE) is None


@pytest.mark.parametrize("bits", [8, 12])
def test_the_measure_is_exact_where_a_map_is_its_picture(bits: int) -> None:
    """Any scale and offset of a crop, at any depth."""
    for told in (WHOLE, (1.0, 1.0, 6.0, 3.0)):
        left, top = int(told[2]), int(told[3])
        found = place_of(
            lambda p, x=left, y=top: p[:, y : 48 - y, x : 64 - x, 0].astype(np.float32),  # type: ignore[misc]
            (64, 48),
            1,
            bits,
            told,
        )
        assert found is not None
        assert not found.wrong
        np.testing.assert_allclose(found.measured, told, atol=1e-6)
