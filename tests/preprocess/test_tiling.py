"""Tiles cover the picture, each is seen once, and what they agree on comes back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.graphs import anomalib_model, identity_model, node, write_identity_bundle

from edge.cli._console import labelled
from edge.cli.build import _tile
from edge.cli.bundle import light_and_tile_rows
from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, TileSpec
from edge.engines.onnx import OnnxEngine
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from edge.models.write import write_bundle
from edge.preprocess.prepare import Workspace
from edge.preprocess.tiling import Tiling

BLENDS = ["hann", "gaussian", "mean", "max"]
Size = tuple[int, int]


def tile(size: Size, stride: Size, blend: Any = "hann", border_px: int = 0) -> TileSpec:
    return TileSpec(size=size, stride=stride, blend=blend, border_px=border_px)


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def frame(pixels: Any) -> Frame:
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0), pixels)


def window(blend: str, count: int) -> Any:
    if blend == "hann":
        return np.maximum(np.hanning(count), 1e-3)
    return np.exp(-2 * np.linspace(-1, 1, count) ** 2) if blend == "gaussian" else np.ones(count)


def by_definition(maps: Any, tiling: Tiling) -> Any:
    """Weighted mean over whole tiles, in float64; pictures no smaller than a tile, map px as the picture's."""
    width, height = tiling.picture
    total, weights = np.zeros((height, width)), np.zeros((height, width))
    w, h = tiling.spec.size
    weight = np.outer(window(tiling.spec.blend, h), window(tiling.spec.blend, w))
    for (x, y), values in zip(tiling.positions, maps, strict=True):
        total[y : y + h, x : x + w] += values * weight
        weights[y : y + h, x : x + w] += weight
    return total / weights


sides = st.integers(1, 40)


@settings(max_examples=200)
@given(sides, sides, sides, sides, st.data())
def test_a_constant_map_comes_back_constant(width: int, height: int, w: int, h: int, data: Any) -> None:
    """For any picture, tile, stride, blend, border and scale; to the last bit."""
    sx, sy = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    border = data.draw(st.integers(0, 3)) * sx * sy
    size = w * sx, h * sy
    assume(min(size) > 2 * border)
    stride = tuple(
        s * data.draw(st.integers(1, max((side - 2 * border) // s, 1))) for side, s in zip(size, (sx, sy), strict=True)
    )
    assume(all(step <= side - 2 * border for step, side in zip(stride, size, strict=True)))
    value = data.draw(st.floats(-1e6, 1e6, width=32))
    tiling = Tiling(
        tile(size, (stride[0], stride[1]), data.draw(st.sampled_from(BLENDS)), border), (width, height), (sx, sy)
    )
    maps = np.full((len(tiling.positions), *tiling.tile_map), value, np.float32)
    result = tiling.stitch(maps)
    assert result.shape == (-(-height // sy), -(-width // sx))
    assert (result == np.float32(value)).all()


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (tile((24, 24), (16, 16), border_px=4), "border_px 4 x 4 must be a multiple of the scale, 8 x 8"),
        (tile((24, 20), (16, 16)), "size 24 x 20 must be a multiple of the scale, 8 x 8"),
        (tile((24, 24), (12, 16)), "stride 12 x 16 must be a multiple of the scale, 8 x 8"),
    ],
)
def test_a_scale_that_leaves_map_pixels_to_no_tile_is_refused(spec: TileSpec, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        Tiling(spec, (75, 75), (8, 8))


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 9), st.integers(1, 9))
def test_a_constant_map_of_another_size_comes_back_constant(value: float, h: int, w: int) -> None:
    tiling = Tiling(tile((16, 12), (7, 5)), (50, 30))
    maps = np.full((len(tiling.positions), h, w), value, np.float32)
    np.testing.assert_allclose(tiling.stitch(maps), value, rtol=1e-6)


@pytest.mark.parametrize("blend", BLENDS[:3])
@pytest.mark.parametrize(
    ("picture", "size", "stride"),
    [((50, 37), (16, 12), (12, 9)), ((50, 37), (16, 12), (3, 2)), ((16, 30), (16, 8), (16, 8))],
)
def test_the_blend_is_the_weighted_mean(picture: Size, size: Size, stride: Size, blend: Any) -> None:
    tiling = Tiling(tile(size, stride, blend), picture)
    maps = np.random.default_rng(1).standard_normal((len(tiling.positions), size[1], size[0])).astype(np.float32)
    np.testing.assert_allclose(tiling.stitch(maps), by_definition(maps, tiling), rtol=1e-5, atol=1e-6)


def test_max_takes_the_highest() -> None:
    tiling = Tiling(tile((16, 12), (10, 5), "max"), (50, 37))
    maps = np.random.default_rng(1).standard_normal((len(tiling.positions), 12, 16)).astype(np.float32)
    expected = np.full((37, 50), -np.inf, np.float32)
    for (x, y), values in zip(tiling.positions, maps, strict=True):
        expected[y : y + 12, x : x + 16] = np.maximum(expected[y : y + 12, x : x + 16], values)
    assert (tiling.stitch(maps) == expected).all()


@pytest.mark.parametrize("blend", BLENDS)
def test_what_is_not_finite_stays_so(blend: Any) -> None:
    tiling = Tiling(tile((16, 12), (10, 5), blend), (50, 37))
    maps = np.zeros((len(tiling.positions), 12, 16), np.float32)
    maps[7] = np.nan
    (x, y), result = tiling.positions[7], tiling.stitch(maps)
    assert np.isnan(result[y : y + 12, x : x + 16]).all()
    assert np.isnan(result).sum() == 12 * 16


@pytest.mark.parametrize("blend", BLENDS)
def test_the_border_of_a_tile_has_no_say_but_at_the_pictures_edge(blend: Any) -> None:
    tiling = Tiling(tile((16, 16), (10, 10), blend, border_px=3), (46, 36))
    maps = np.full((len(tiling.positions), 16, 16), 1.0, np.float32)
    maps[:, 3:-3, 3:-3] = 0.0
    expected = np.ones((36, 46))
    expected[3:-3, 3:-3] = 0.0
    assert (tiling.stitch(maps) == expected).all()


def test_the_last_tile_is_flush_with_the_edge() -> None:
    tiling = Tiling(tile((16, 12), (12, 10)), (50, 32))
    assert tiling.positions == tuple((x, y) for y in (0, 10, 20) for x in (0, 12, 24, 34))
    assert Tiling(tile((16, 12), (12, 10)), (40, 32)).positions == tuple((x, y) for y in (0, 10, 20) for x in (0, 12, 24))
    assert Tiling(tile((16, 12), (12, 10)), (16, 12)).positions == ((0, 0),)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_the_pictures_own_pixels(channels: int) -> None:
    image, tiling = noise(32, 50, channels), Tiling(tile((16, 12), (12, 10)), (50, 32))
    tiles = tiling.cut(image)
    where = tiles.ctypes.data
    assert tiles.flags.c_contiguous
    for (x, y), got in zip(tiling.positions, tiles, strict=True):
        assert (got == image[y : y + 12, x : x + 16]).all()
    assert tiling.cut(noise(32, 50, channels, seed=1)).ctypes.data == where


@pytest.mark.parametrize(("width", "height"), [(10, 12), (16, 5), (3, 2), (1, 1)])
def test_a_smaller_picture_is_filled_up_by_reflection(width: int, height: int) -> None:
    image, tiling = noise(height, width, 1), Tiling(tile((16, 12), (16, 12)), (width, height))
    expected = np.pad(image, ((0, 12 - height), (0, 16 - width), (0, 0)), mode="reflect")
    assert (tiling.cut(image)[0] == expected).all()
    maps = np.arange(16 * 12, dtype=np.float32).reshape(1, 12, 16)
    assert (tiling.stitch(maps) == maps[0, :height, :width]).all()


def test_a_stitched_map_stays_until_the_fourth_after_it() -> None:
    tiling = Tiling(tile((8, 8), (6, 6)), (20, 20))
    held: list[Any] = []
    for value in range(12):
        held.append(tiling.stitch(np.full((len(tiling.positions), 8, 8), value, np.float32)))
        for back in range(min(value + 1, 4)):
            assert (held[value - back] == value - back).all()
    assert len({m.ctypes.data for m in held}) == 4


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (((16, 12), (17, 12)), "stride 17 is larger than size 16 across: pixels between tiles would be lost"),
        (((16, 12), (16, 13)), "stride 13 is larger than size 12 down: pixels between tiles would be lost"),
        (
            ((16, 12), (10, 10), "hann", 2),
            "stride 10 down leaves gaps between tiles of 12 less a border of 2 on both sides; expected at most 8",
        ),
    ],
)
def test_tiles_that_leave_gaps_are_refused(keys: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tile(*keys)
    assert [str(e["ctx"]["error"]) for e in caught.value.errors()] == [text]


@pytest.mark.parametrize(
    ("told", "seams"),
    [
        (tile((16, 12), (12, 9)), None),
        (
            tile((16, 12), (12, 12)),
            "stride as large as the tile: maps step where tiles meet; half to three quarters of it blends them",
        ),
        (tile((16, 12), (12, 9), "max"), "blend max: maps step where a tile ends; hann has no seams"),
    ],
)
def test_seams_are_told(told: TileSpec, seams: str | None) -> None:
    assert told.seams == seams


def spec(**keys: Any) -> dict[str, Any]:
    base = {"name": "x", "input": {"channels": 1, "size": (16, 12)}, "resize": {"where": "none"}}
    return base | {"tile": {"size": (16, 12), "stride": (12, 8)}} | keys


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"input": {"channels": 1, "size": (16, 16)}}, "tile.size 16x12 and input.size 16x16 must be equal"),
        (
            {"input": {"channels": 1, "size": "any"}, "resize": {"where": "graph", "size": (16, 12)}},
            "tile goes with a resize on the host or none, not with one in the graph",
        ),
        ({"map_to_image": (1.5, 1.0, 0.0, 0.0)}, "map_to_image of tiles must have whole scales and no offset"),
        ({"map_to_image": (1.0, 1.0, 2.0, 0.0)}, "map_to_image of tiles must have whole scales and no offset"),
        (
            {"map_to_image": (8.0, 4.0, 0.0, 0.0)},
            "tile.stride must be a multiple of map_to_image's scale, 8 across and 4 down",
        ),
    ],
)
def test_bundles_whose_tiles_do_not_fit(keys: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BundleSpec.model_validate(spec(**keys))
    assert [str(e["ctx"]["error"]) for e in caught.value.errors()] == [text]


def identity(folder: Path, *, channels: int = 1, batch: int | None = None, **keys: Any) -> Bundle:
    """Tiles of 16x12 through the brightness map, one run for all or one for each."""
    model = identity_model(channels, (16, 12))
    if batch is not None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    return write_bundle(
        folder, model, BundleSpec.model_validate(spec(input={"channels": channels, "size": (16, 12)}, **keys))
    )


class Counted:
    """An engine that counts its runs."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.engine, self.bundle, self.shapes = engine, engine.bundle, list[tuple[int, ...]]()

    def infer(self, image: Any) -> Any:
        self.shapes.append(image.shape)
        return self.engine.infer(image)


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiled_identity_is_the_identity(tmp_path: Path, batch: int | None, channels: int) -> None:
    """Every tile goes through once, in one call; the maps stay as long as an engine's."""
    engine: Any = Counted(OnnxEngine(identity(tmp_path / "b", channels=channels, batch=batch)))
    workspace, held = Workspace(), []
    for seed in range(9):
        pixels = noise(37, 50, seed=seed) if channels == 1 else noise(37, 50, 3, seed=seed)
        amap = to_map(frame(pixels), engine, workspace)
        assert isinstance(amap, AnomalyMap)
        expected = (pixels if channels == 1 else pixels.max(axis=2)) / np.float32(255)
        held.append((amap.values, expected))
        assert all((values == expected).all() for values, expected in held[-4:])
        assert (amap.score, amap.embedding) == (float(expected.max()), None)
        assert amap.map_to_image == (1.0, 1.0, 0.0, 0.0)
    assert engine.shapes == [(20, 12, 16, channels)] * 9


def test_a_tile_alone_and_a_whole_frame_warm_up(tmp_path: Path) -> None:
    bundle = identity(tmp_path / "b", resize={"where": "host", "size": (64, 48)})
    engine = OnnxEngine(bundle)
    engine.warm_up()
    amap = to_map(frame(noise(96, 128)), engine, Workspace())
    assert isinstance(amap, AnomalyMap)
    assert amap.values.shape == (48, 64)
    assert amap.map_to_image == (2.0, 2.0, 0.0, 0.0)


def test_frames_of_any_size_are_tiled(tmp_path: Path) -> None:
    engine, workspace = OnnxEngine(identity(tmp_path / "b")), Workspace()
    for shape in ((37, 50), (12, 16), (5, 7), (37, 50)):
        pixels = noise(*shape)
        amap = to_map(frame(pixels), engine, workspace)
        assert isinstance(amap, AnomalyMap)
        assert (amap.values == pixels / np.float32(255)).all()


def pooled(size: Size, factor: int) -> onnx.ModelProto:
    """A foreign model whose map has one pixel for ``factor`` x ``factor`` of the picture: the highest of them."""
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node("MaxPool", ["image"], ["anomaly_map"], kernel_shape=[factor, factor], strides=[factor, factor])],
            "pooled",
            [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 1, size[1], size[0]])],
            [onnx.helper.make_tensor_value_info("anomaly_map", onnx.TensorProto.FLOAT, ["n", 1, None, None])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def built(tmp_path: Path, model: onnx.ModelProto, told: TileSpec, **options: Any) -> Any:
    onnx.save(model, tmp_path / "model.onnx")
    return build(tmp_path / "model.onnx", tmp_path / "bundle", BuildOptions(tile=told, **options))


@pytest.mark.parametrize(("picture", "map_size"), [((64, 48), (16, 12)), ((61, 47), (16, 12)), ((10, 9), (3, 3))])
def test_a_coarse_map_keeps_its_scale(tmp_path: Path, picture: Size, map_size: Size) -> None:
    """No tile map is resized: one pixel of the map for 4x4 of the picture, the last ones reaching beyond its edge."""
    report = built(tmp_path, pooled((32, 24), 4), tile((32, 24), (16, 12)))
    assert report.one_run
    assert report.bundle.spec.map_to_image == (4.0, 4.0, 0.0, 0.0)
    pixels = np.zeros((picture[1], picture[0]), np.uint8)
    pixels[-1, -1] = 255
    amap = to_map(frame(pixels), OnnxEngine(report.bundle), Workspace())
    assert isinstance(amap, AnomalyMap)
    assert amap.map_to_image == (4.0, 4.0, 0.0, 0.0)
    assert amap.values.shape == (map_size[1], map_size[0])
    assert amap.values[-1, -1] == 1.0


def test_a_map_at_an_uneven_scale_is_brought_to_the_pictures_pixels(tmp_path: Path) -> None:
    """A stride that its scale does not divide: the tiles' maps are resized, then put together."""
    report = built(tmp_path, pooled((32, 24), 4), tile((32, 24), (18, 10)))
    assert report.bundle.spec.map_to_image == (1.0, 1.0, 0.0, 0.0)
    amap = to_map(frame(np.full((47, 61), 51, np.uint8)), OnnxEngine(report.bundle), Workspace())
    assert isinstance(amap, AnomalyMap)
    assert amap.values.shape == (47, 61)
    np.testing.assert_allclose(amap.values, 0.2, rtol=1e-6)


def test_a_resized_picture_is_tiled_after_its_resize(tmp_path: Path) -> None:
    """Map px are 4 of the picture and 12 of the frame; a bright 24x12 block of the frame is two of them by one."""
    report = built(tmp_path, pooled((32, 24), 4), tile((32, 24), (16, 12)), size=(64, 48))
    spec = report.bundle.spec
    assert (spec.resize.where, spec.resize.size, spec.input.size) == ("host", (64, 48), (32, 24))
    pixels = np.zeros((144, 192), np.uint8)
    pixels[36:48, 96:120] = 255
    amap = to_map(frame(pixels), OnnxEngine(report.bundle), Workspace())
    assert isinstance(amap, AnomalyMap)
    assert amap.map_to_image == (12.0, 12.0, 0.0, 0.0)
    assert np.argwhere(amap.values > 0.5).tolist() == [[3, 8], [3, 9]]


@pytest.mark.parametrize(("options", "one_run"), [({}, True), ({"baked_batch": True}, False), ({"batch": 1}, False)])
def test_a_batch_that_does_not_hold_goes_one_by_one(tmp_path: Path, options: Any, one_run: bool) -> None:
    report = built(tmp_path, anomalib_model("legacy", size=(32, 32), **options), tile((32, 32), (24, 24)))
    assert report.one_run == one_run
    engine = OnnxEngine(report.bundle)
    pixels = noise(60, 80, 3)
    amap = to_map(frame(pixels), engine, Workspace())
    assert isinstance(amap, AnomalyMap)
    alone = OnnxEngine(report.bundle)
    tiling = Tiling(tile((32, 32), (24, 24)), (80, 60))
    predictions = [alone.infer(np.ascontiguousarray(t)) for t in tiling.cut(pixels)]
    maps = [OnnxEngine(report.bundle).infer(np.ascontiguousarray(t)).map for t in tiling.cut(pixels)]
    np.testing.assert_allclose(amap.values, tiling.stitch(np.stack(maps)), rtol=1e-5, atol=1e-6)
    assert amap.score == pytest.approx(max(p.score for p in predictions if p.score is not None))


def test_a_model_of_another_size_than_the_tile_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        built(tmp_path, pooled((32, 24), 4), tile((32, 32), (16, 16)))
    assert str(caught.value) == (
        f"{tmp_path / 'model.onnx'}: the model fixes its picture's size\n  received: --tile 32,32\n  expected: --tile 32,24"
    )


def test_tiles_and_a_resize_in_the_graph_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        built(tmp_path, pooled((32, 24), 4), tile((32, 24), (16, 12)), resize="graph")
    assert str(caught.value) == "--tile with --resize graph\n  fix: resize on the host: --resize host"


def test_frames_of_the_check_give_one_tile_each(tmp_path: Path) -> None:
    frames = [frame(noise(48, 64, seed=k)) for k in range(20)]
    assert built(tmp_path, pooled((32, 24), 4), tile((32, 24), (16, 12)), frames=frames).check.pictures == 4 + 16


def test_the_engine_warms_up_on_a_tile_of_a_bundle_of_any_size(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "a")
    told = bundle.spec.model_copy(update={"tile": tile((16, 12), (12, 8))})
    engine = OnnxEngine(write_bundle(tmp_path / "b", identity_model(), told))
    engine.warm_up()
    assert engine._shape == (12, 16, 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("16", None, "hann", 0), "--tile\n  received: 16\n  expected: WIDTH,HEIGHT in px, for example 256,256"),
        (("16,12", "a,b", "hann", 0), "--stride\n  received: a,b\n  expected: WIDTH,HEIGHT in px, for example 256,256"),
        (
            ("16,12", "17,12", "hann", 0),
            "--tile: stride 17 is larger than size 16 across: pixels between tiles would be lost",
        ),
        (
            ("16,12", None, "han", 0),
            "--tile: blend\n  received: 'han'\n  expected: input should be 'hann', 'gaussian', 'mean' or 'max'",
        ),
        (
            (None, "4,4", "hann", 0),
            "--stride, --blend and --tile-border go with tiles\n  fix: say how large: --tile WIDTH,HEIGHT",
        ),
    ],
)
def test_wrong_tile_options(options: Any, text: str) -> None:
    with pytest.raises(UserError) as caught:
        _tile(*options)
    assert str(caught.value) == text


def test_three_quarters_of_the_tile_is_the_default_stride() -> None:
    assert _tile("16,12", None, "hann", 0) == tile((16, 12), (12, 9))
    assert _tile(None, None, "hann", 0) is None


def test_a_bundle_tells_its_tiles_and_its_light() -> None:
    light = {"gamma": 0.8, "contrast_stretch": {}, "frozen": {"frames": 4, "levels": ((10.0, 200.5),)}}
    told = BundleSpec.model_validate(spec(tile={"size": (16, 12), "stride": (16, 8), "border_px": 0}, illumination=light))
    assert light_and_tile_rows(told) == [
        ("illumination", "gamma 0.8, contrast_stretch lower 2.0 upper 98.0"),
        ("statistics", "frozen on 4 frames; levels 10 to 200.5"),
        ("tiles", "16x12, stride 16x8, hann"),
        ("", labelled("warning:", "yellow", told.tile.seams if told.tile and told.tile.seams else "")),
    ]
