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
            "mirrored left to right",
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
            "sx, sy, ox, oy of about 1, 1, 8, 8",
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
    assert refusal(path, tmp_path / "b") == (
        "M: the map does not lie where the graph says\n"
        f"  received: {measured}, measured with a patch at nine places\n"
        f"  expected: about {told}\n"
        "  fix: the model crops, mirrors or skips pixels in a way that is not understood: export it without, "
        "or say where its map lies: --map-to-image SX,SY,OX,OY"
    )


TURNS = {
    "rows and columns are exchanged": lambda m: m.transpose(0, 2, 1),
    "turned by a quarter": lambda m: np.rot90(m, axes=(1, 2)),
    "turned by 180 degrees": lambda m: m[:, ::-1, ::-1],
    "mirrored left to right": lambda m: m[:, :, ::-1],
    "mirrored top to bottom": lambda m: m[:, ::-1],
}


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 160)], ids=str)
@pytest.mark.parametrize("words", TURNS)
def test_turns_and_exchanged_axes_are_named(words: str, size: tuple[int, int]) -> None:
    """Of a square, where the map's size tells nothing, and of a rectangle."""
    declared = (
        WHOLE if size == (64, 64) or "arter" not in words + "exch" else (size[0] / size[1], size[1] / size[0], 0.0, 0.0)
    )
    place = place_of(lambda p: TURNS[words](distance(p)), size, 1, 8, declared).place
    assert place is not None
    assert (place.verdict, place.words) == ("elsewhere", words)


def distance(picture: Any) -> Any:
    """(n, h, w): how far each pixel is from the grey of the placement pictures."""
    return np.abs(picture[..., 0].astype(np.float32) - 115)


@pytest.mark.parametrize(
    ("shape", "measured"),
    [
        (lambda d: d[:, 8:56:4, 8:56:4], (4.0, 4.0, 6.5, 6.5)),
        (lambda d: np.roll(d, 6, axis=2), (1.0, 1.0, -6.0, 0.0)),
        (lambda d: np.roll(d, (5, -5), axis=(1, 2)), (1.0, 1.0, 5.0, -5.0)),
    ],
    ids=["cut_and_thinned", "rolled", "rolled_both"],
)
def test_what_lies_exactly_elsewhere_is_seen_however_little_it_is(shape: Any, measured: tuple[float, ...]) -> None:
    declared = (64 / 12, 64 / 12, 0.0, 0.0) if measured[0] == 4 else WHOLE
    place = place_of(lambda p: shape(distance(p)), (64, 64), 1, 8, declared).place
    assert place is not None
    assert place.verdict == ("elsewhere" if measured[0] == 4 else "near")
    np.testing.assert_allclose(place.measured, measured, atol=0.8)


def test_convolutions_without_padding_put_the_map_where_it_was_measured(tmp_path: Path) -> None:
    """61x61 of 256x256, stride 4, window 16: by its size alone 4.2 + 0, in truth 4 + 6; 96 px at the edge of 4096."""
    nodes = [
        node("Sub", ["image", "grey"], ["off"]),
        node("Abs", ["off"], ["far"]),
        node("AveragePool", ["far"], ["seen"], kernel_shape=[16, 16], strides=[4, 4]),
    ]
    report = build(saved(tmp_path, model(nodes, {"grey": np.float32(0.45)}, (256, 256))), tmp_path / "b")
    np.testing.assert_allclose(report.bundle.spec.map_to_image, (4, 4, 6, 6), atol=0.05)
    (warning,) = report.warnings
    assert warning.startswith(
        "the map lies up to 6 px of 256x256 from where the graph tells, 4.2, 4.2, 0, 0: the measured place"
    )


def test_a_measure_that_is_vague_refuses_nothing() -> None:
    """A weakly trained network answers here and there: 0.91 instead of 1 is then no proof."""
    rng = np.random.default_rng(4)

    def weak(picture: Any) -> Any:
        shift = rng.integers(-5, 6, 2)
        return np.roll(distance(picture), shift, axis=(1, 2)) + rng.normal(0, 3, picture.shape[:3]).astype(np.float32)

    place = place_of(weak, (64, 64), 1, 8, (1.1, 1.1, 0.0, 0.0)).place
    assert place is not None
    assert place.verdict == "vague"
    assert place.error_px > 0.5


def test_a_map_of_another_shape_than_its_picture_is_no_map_of_it(tmp_path: Path) -> None:
    """Rows of boxes (1, 84, 6400), or of tokens (1, 384, 256)."""
    for sides in ((8, 256), (32, 64)):
        nodes = [
            node("Relu", ["image"], ["r"]),
            node("Reshape", ["r", "rows"], ["flat"]),
            node("MatMul", ["mix", "flat"], ["seen"]),
        ]
        rng = np.random.default_rng(0)
        constants = {"rows": np.array([1, 3, 64, 64]), "mix": rng.normal(0, 1, (64, 64)).astype(np.float32)}
        last = [
            *nodes,
            node("ReduceMean", ["seen"], ["grey"], axes=[1], keepdims=0),
            node("Reshape", ["grey", "to"], ["heat"]),
        ]
        shuffled = np.array([1, sides[0], 4096 // sides[0]])
        whole = graph_model(
            last,
            [tensor("image", FLOAT, [1, 3, 64, 64])],
            [tensor("heat", FLOAT, list("abc"))],
            constants | {"to": shuffled},
        )
        if sides == (8, 256):
            text = refusal(saved(tmp_path, whole), tmp_path / "b")
            assert text.startswith(
                "M: the map has another shape than the picture\n  received: 512x8 of a picture of 64x64, "
            )


def test_places_without_a_finite_answer_say_nothing_of_the_others() -> None:
    """NaN in some maps is no geometry."""

    def blind(picture: Any) -> Any:
        found = distance(picture)
        found[:, 10:20, 10:20] = np.where(found[:, 10:20, 10:20] > 20, np.nan, found[:, 10:20, 10:20])
        return found

    place = place_of(blind, (64, 64), 1, 8, WHOLE).place
    assert place is not None
    assert place.verdict == "agrees"
    nowhere = place_of(lambda p: np.full(p.shape[:3], np.nan, np.float32), (64, 64), 1, 8, WHOLE)
    assert (nowhere.place, nowhere.warnings) == (None, ())


@pytest.mark.parametrize(
    ("turned", "start"),
    [
        (lambda p: -distance(p), "the map falls where the picture is odd: does a high value mean good?"),
        (lambda p: 1 / (1 + distance(p)), "the map falls where the picture is odd: does a high value mean good?"),
        (lambda p: p[..., 0].astype(np.float32), "the output is the picture again, as of an autoencoder"),
        (lambda p: 255 - p[..., 0].astype(np.float32), "the output is the picture again, as of an autoencoder"),
        (distance, ""),
    ],
    ids=["negative", "normality", "reconstruction", "inverse_of_it", "distance"],
)
def test_what_is_no_map_of_anomalies_is_warned_of(turned: Any, start: str) -> None:
    warnings = place_of(turned, (64, 64), 1, 8, WHOLE).warnings
    assert [text.startswith(start) for text in warnings] == ([True] if start else [])


def hidden(nodes: list[onnx.NodeProto], constants: dict[str, Any], *, pool: int = 4) -> onnx.ModelProto:
    """Takes any size; ``nodes`` bring ``image`` to ``r``; distances from grey, a quarter of that size."""
    last = [
        node("Sub", ["r", "grey"], ["off"]),
        node("Abs", ["off"], ["far"]),
        node("AveragePool", ["far"], ["seen"], kernel_shape=[pool, pool], strides=[pool, pool]),
    ]
    return model([*nodes, *last], constants | {"grey": np.float32(0.45)}, ("w", "h"))


TORCHVISION = [
    node("Shape", ["image"], ["s0"], start=0, end=1),
    node("Shape", ["image"], ["s1"], start=2, end=4),
    node("Concat", ["s0", "c3", "s1"], ["full"], axis=0),
    node("Reshape", ["image", "full"], ["view"]),
    node("Shape", ["view"], ["s2"], start=0, end=2),
    node("Concat", ["s2", "hw"], ["sz"], axis=0),
]


@pytest.mark.parametrize(
    ("between", "source"),
    [
        ([], "view"),
        ([node("Unsqueeze", ["view", "first"], ["five"]), node("Squeeze", ["five", "first"], ["four"])], "four"),
        ([node("Expand", ["view", "ones"], ["four"])], "four"),
    ],
    ids=["reshape", "squeeze", "expand"],
)
def test_an_exporters_resize_is_seen_behind_what_keeps_the_picture(
    tmp_path: Path, between: list[onnx.NodeProto], source: str
) -> None:
    """Both of torch's exporters write a Reshape in front of torchvision's Resize; frames must not be shrunk to the map."""
    nodes = [*TORCHVISION, *between, node("Resize", [source, "", "", "sz"], ["r"], mode="linear")]
    constants = {"c3": np.array([3]), "hw": np.array([256, 256]), "first": np.array([0]), "ones": np.array([1, 1, 1, 1])}
    report = build(saved(tmp_path, hidden(nodes, constants)), tmp_path / "b")
    spec = report.bundle.spec
    assert (spec.resize.size, spec.map_size, spec.map_to_image) == ((256, 256), (64, 64), (4.0, 4.0, 0.0, 0.0))
    assert spec.provenance["own_resize"]["size"] == [256, 256]


def test_a_centre_crop_behind_such_a_resize_is_read_too(tmp_path: Path) -> None:
    """Dinomaly resizes to 448 and keeps 392."""
    nodes = [
        *TORCHVISION,
        node("Resize", ["view", "", "", "sz"], ["large"], mode="linear"),
        node("Slice", ["large", *SLICE], ["r"]),
    ]
    constants = {"c3": np.array([3]), "hw": np.array([160, 160])} | sliced([16, 16], [144, 144], [2, 3], [1, 1])
    spec = build(saved(tmp_path, hidden(nodes, constants)), tmp_path / "b").bundle.spec
    assert (spec.resize.size, spec.map_size, spec.map_to_image) == ((160, 160), (32, 32), (4.0, 4.0, 16.0, 16.0))


def test_a_resize_that_does_not_show_is_asked_for_where_it_matters(tmp_path: Path) -> None:
    """Behind a network's own layer it is not seen; a guess by the map's size would shrink frames to a quarter."""
    nodes = [
        *TORCHVISION,
        node("Sigmoid", ["view"], ["layer"]),
        node("Resize", ["layer", "", "", "sz"], ["r"], mode="linear"),
    ]
    constants = {"c3": np.array([3]), "hw": np.array([128, 128])}
    by_level = saved(tmp_path, hidden(nodes, constants))
    assert build(by_level, tmp_path / "a").warnings[0] == (
        "the model brings every picture to one size that does not show: it gets 32x32, its map's; "
        "if it was made for another, say --size WIDTH,HEIGHT"
    )
    edges = [
        *nodes[:-1],
        node("Resize", ["layer", "", "", "sz"], ["large"], mode="linear"),
        node("AveragePool", ["large"], ["around"], kernel_shape=[9, 9], pads=[4] * 4),
        node("Sub", ["large", "around"], ["edges"]),
        node("Add", ["edges", "grey"], ["r"]),
    ]
    path = saved(tmp_path, hidden(edges, constants))
    text = refusal(path, tmp_path / "b")
    assert text == (
        "M: the model takes any size and brings it to one that does not show\n"
        "  received: a map of 32x32 from any picture, and another one from 32x32 than from 128x128\n"
        "  fix: say to which size it brings its pictures: --size WIDTH,HEIGHT"
    )
    spec = build(path, tmp_path / "b", BuildOptions(size=(128, 128))).bundle.spec
    assert (spec.resize.size, spec.map_to_image) == ((128, 128), (4.0, 4.0, 0.0, 0.0))


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
    assert place_of(lambda picture: np.zeros(picture.shape[:3], np.float32), (64, 64), 1, 8, WHOLE).place is None


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
        ).place
        assert found is not None
        assert found.verdict == "agrees"
        np.testing.assert_allclose(found.measured, told, atol=1e-6)
