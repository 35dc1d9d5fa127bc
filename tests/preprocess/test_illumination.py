"""Illumination: each step is its formula, statistics come from good frames, and nothing is allocated on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.fits import pixel_model
from support.graphs import identity_model

from edge.cli._declared import illumination_of
from edge.config.bundle_spec import BundleSpec, ResizeSpec
from edge.config.illumination_spec import ILLUMINATION_PRESETS, IlluminationSpec
from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Skip
from edge.models.freeze_illumination import frozen
from edge.models.write import write_bundle
from edge.preprocess import lookup_tables as levels
from edge.preprocess.homomorphic import Homomorphic
from edge.preprocess.illumination import Illuminator
from edge.preprocess.prepare import Workspace, prepare


def spec(**keys: Any) -> IlluminationSpec:
    return IlluminationSpec.model_validate_json(orjson.dumps(keys))


def live(**keys: Any) -> IlluminationSpec:
    return spec(**keys, statistics="per_frame")


def scene(*shape: int, seed: int = 0) -> Any:
    """Soft light, a colour cast and some noise."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.uniform(40, 190, (4, 5)), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    colour = soft if len(shape) == 2 else soft[:, :, None] * [1.0, 0.8, 0.6]
    return np.clip(colour + rng.normal(0, 5, shape), 0, 255).astype(np.uint8)


def frame(pixels: Any, bits: int = 8) -> Frame:
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0), pixels, bits)


def one(declared: IlluminationSpec, pixels: Any) -> Any:
    return Illuminator(declared).apply(pixels).copy()


def gray_world(pixels: Any) -> Any:
    as_float = pixels.astype(np.float32)
    means = as_float.mean(axis=(0, 1), dtype=np.float64)
    return np.minimum(as_float * np.float32(means.mean() / means), 255).astype(np.uint8)


def max_rgb(pixels: Any) -> Any:
    maxima = pixels.reshape(-1, 3).max(axis=0).astype(np.float32)
    return np.minimum(pixels.astype(np.float32) * (maxima.max() / maxima), 255).astype(np.uint8)


def stretch(plane: Any, lower: float, upper: float) -> Any:
    low, high = np.percentile(plane, [lower, upper])
    return np.clip((plane - low) * 255.0 / (high - low) + 1e-9, 0, 255).astype(np.uint8)


def homomorphic(plane: Any, cutoff: float, gamma_low: float, gamma_high: float, c: float) -> Any:
    """In float64 with a full complex transform."""
    height, width = plane.shape
    v, u = np.ogrid[:height, :width]
    distance = (v - height // 2) ** 2 + (u - width // 2) ** 2
    factor = gamma_low + (gamma_high - gamma_low) * (1 - np.exp(-c * distance / (cutoff * max(plane.shape) / 2) ** 2))
    spectrum = np.fft.fftshift(np.fft.fft2(np.log(np.maximum(plane / 255, 1e-6))))
    light = np.exp(np.fft.ifft2(np.fft.ifftshift(spectrum * factor)).real)
    return np.minimum(light, 1) * 255


def test_grey_world_brings_the_means_together() -> None:
    pixels = scene(48, 64, 3)
    result = one(live(white_balance="gray_world"), pixels)
    assert (result == gray_world(pixels)).all()
    assert np.ptp(result.mean(axis=(0, 1))) < 1


def test_max_rgb_brings_the_maxima_together() -> None:
    pixels = scene(48, 64, 3)
    result = one(live(white_balance="max_rgb"), pixels)
    assert (result == max_rgb(pixels)).all()
    assert np.ptp(result.reshape(-1, 3).max(axis=0)) <= 1


@pytest.mark.parametrize("kind", ["gray_world", "max_rgb"])
def test_white_balance_leaves_grey_and_black_channels_alone(kind: Any) -> None:
    grey = scene(12, 16)
    assert (one(live(white_balance=kind), grey) == grey).all()
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 0] = 60
    assert one(live(white_balance=kind), red)[0, 0].tolist() == [20 if kind == "gray_world" else 60, 0, 0]


@pytest.mark.parametrize("shape", [(48, 64), (47, 64), (48, 63), (37, 29), (1, 9), (8, 1), (2, 2)])
@pytest.mark.parametrize("keys", [{}, {"cutoff": 0.2, "gamma_low": 0.5, "gamma_high": 2.0, "c": 2.0}])
def test_the_homomorphic_filter_is_its_formula_at_every_parity(shape: tuple[int, int], keys: dict[str, float]) -> None:
    whole = {"cutoff": 0.5, "gamma_low": 0.7, "gamma_high": 1.5, "c": 1.0} | keys
    pixels = scene(*shape)
    result = one(spec(homomorphic=keys), pixels)
    assert np.abs(result - np.floor(homomorphic(pixels, **whole) + 2**-9)).max() <= 1
    assert np.abs(result + 0.5 - homomorphic(pixels, **whole)).max() <= 0.51


def test_the_homomorphic_filter_takes_each_channel_by_itself_and_black_too() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    result = one(spec(homomorphic={"gamma_high": 8.0}), pixels)
    for k in range(3):
        assert (result[:, :, k] == one(spec(homomorphic={"gamma_high": 8.0}), pixels[:, :, k].copy())).all()


def test_a_white_picture_stays_white_and_slow_light_is_dimmed() -> None:
    """log(1) is 0; 64 becomes 255 * (64 / 255) ** 0.7 = 96."""
    assert (one(spec(homomorphic={}), np.full((9, 16), 255, np.uint8)) == 255).all()
    assert (one(spec(homomorphic={}), np.full((9, 16), 64, np.uint8)) == 96).all()


@pytest.mark.parametrize("shape", [(48, 64), (5, 7), (1, 1)])
def test_clahe_of_grey_is_opencvs(shape: tuple[int, int]) -> None:
    pixels = scene(*shape)
    expected = cv2.createCLAHE(3.0, (4, 2)).apply(pixels)
    assert (one(spec(clahe={"clip_limit": 3.0, "grid": (4, 2)}), pixels) == expected).all()
    after = Illuminator(spec(white_balance="gray_world", clahe={}, gamma=1.0))  # in place, after a table
    assert (after.apply(pixels) == cv2.createCLAHE(2.0, (8, 8)).apply(pixels)).all()


def test_clahe_of_colour_scales_each_pixel_by_its_mean() -> None:
    pixels = scene(300, 260, 3)  # more rows than are worked on at a time
    pixels[0, 0], pixels[0, 1] = 0, [1, 0, 0]
    mean = pixels.astype(np.float64).mean(axis=2)
    equal = cv2.createCLAHE(2.0, (8, 8)).apply(np.floor(mean + 1e-9).astype(np.uint8))
    exact = pixels * (equal / np.maximum(mean, 1))[:, :, None]
    result = one(spec(clahe={}), pixels)
    assert (np.abs(result - np.minimum(np.floor(exact + 2**-9), 255)) <= (np.abs(exact % 1 - 1 + 2**-9) < 1e-3)).all()


@pytest.mark.parametrize(
    ("gamma", "expected"), [(0.5, [0, 127, 179, 255]), (2.0, [0, 16, 63, 255]), (1.0, [0, 64, 127, 255])]
)
def test_a_gamma_below_1_brightens(gamma: float, expected: list[int]) -> None:
    assert one(spec(gamma=gamma), np.array([[0, 64, 127, 255]], np.uint8))[0].tolist() == expected


def test_a_gamma_of_1_changes_no_level() -> None:
    assert (levels.gamma_lut(1.0) == np.arange(256)).all()


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3)])
def test_the_stretch_goes_by_each_channels_percentiles(shape: tuple[int, ...]) -> None:
    pixels = scene(*shape)
    result = one(live(contrast_stretch={"lower": 5.0, "upper": 90.0}), pixels)
    expected = np.dstack([stretch(p, 5, 90) for p in cv2.split(pixels)]).reshape(shape)
    assert (result == expected).all()


@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.floats(0, 100))
def test_percentiles_from_a_histogram_are_numpys(values: list[int], q: float) -> None:
    plane = np.array([values], np.uint8)
    assert levels.percentile(levels.histogram(plane), q) == pytest.approx(np.percentile(plane, q), abs=1e-9)


@pytest.mark.parametrize(
    "declared", [live(contrast_stretch={}), spec(contrast_stretch={}, frozen={"frames": 1, "levels": [(7.0, 7.0)]})]
)
def test_a_flat_picture_is_not_stretched_to_black(declared: IlluminationSpec) -> None:
    flat = np.full((6, 8), 90, np.uint8)
    assert (one(declared, flat) == 90).all()


def test_a_flat_channel_is_left_and_the_others_are_stretched() -> None:
    pixels = scene(20, 30, 3)
    pixels[:, :, 1] = 33
    result = one(live(contrast_stretch={}), pixels)
    assert (result[:, :, 1] == 33).all()
    assert (result[:, :, 0] == stretch(pixels[:, :, 0], 2, 98)).all()


def test_the_steps_run_in_the_stated_order() -> None:
    pixels = scene(40, 50, 3)
    steps = [{"white_balance": "gray_world"}, {"homomorphic": {}}, {"clahe": {}}, {"gamma": 0.8}, {"contrast_stretch": {}}]
    one_by_one = pixels
    for step in steps:
        one_by_one = one(live(**step), one_by_one)
    together: dict[str, Any] = {k: v for step in steps for k, v in step.items()}
    assert (one(live(**together), pixels) == one_by_one).all()


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
@pytest.mark.parametrize("preset", ILLUMINATION_PRESETS)
def test_nothing_is_allocated_and_the_frame_is_not_touched(shape: tuple[int, ...], preset: str) -> None:
    ready, pixels = Illuminator(live(**ILLUMINATION_PRESETS[preset])), scene(*shape)
    before = pixels.copy()
    first = ready.apply(pixels)
    held, where = first.copy(), first.ctypes.data
    second = ready.apply(pixels)
    assert (pixels == before).all()
    assert second.ctypes.data == where
    assert (second == held).all()
    assert (ready.apply(scene(30, 20)) == one(live(**ILLUMINATION_PRESETS[preset]), scene(30, 20))).all()


def test_a_defect_changes_its_own_surroundings_only_per_frame() -> None:
    good = np.full((50, 50, 3), 113, np.uint8)
    bad = good.copy()
    bad[:20, :20] = [255, 0, 0]
    declared = spec(white_balance="gray_world")
    measured = frozen(declared, 3, [frame(good)], "-")
    assert one(measured, bad)[40, 40].tolist() == [113, 113, 113]
    assert one(live(white_balance="gray_world"), bad)[40, 40].tolist() == [90, 129, 129]


def test_frozen_white_balance_is_of_all_good_frames() -> None:
    frames: list[Any] = [frame(np.full((4, 4, 3), v, np.uint8)) for v in ([100, 50, 80], [60, 50, 40])]
    frames.insert(1, Skip("unreadable", 1, 1, 1, 0))
    world = frozen(spec(white_balance="gray_world"), 3, frames, "-").frozen
    assert world is not None
    assert (world.frames, world.levels) == (2, None)
    assert world.gains == pytest.approx((190 / 3 / 80, 190 / 3 / 50, 190 / 3 / 60))
    highest = frozen(spec(white_balance="max_rgb"), 3, [*frames, frames[2]], "-").frozen
    assert highest is not None
    assert highest.gains == pytest.approx((1.0, 60 / 50, 60 / 40))


def test_the_frozen_stretch_is_measured_behind_the_steps_before_it() -> None:
    frames = [frame(scene(40, 50, 3, seed=k)) for k in range(3)]
    declared = spec(white_balance="gray_world", homomorphic={}, clahe={}, gamma=0.8, contrast_stretch={})
    measured = frozen(declared, 3, frames, "-")
    assert measured.frozen is not None
    gains = {"frames": 3, "gains": measured.frozen.gains}
    before = Illuminator(spec(white_balance="gray_world", homomorphic={}, clahe={}, gamma=0.8, frozen=gains))
    pooled = np.concatenate([before.apply(f.pixels).copy().reshape(-1, 3) for f in frames])
    expected = np.percentile(pooled, [2, 98], axis=0).T
    np.testing.assert_allclose(measured.frozen.levels or (), expected)
    assert measured.missing(3) == ()
    assert frozen(measured, 3, (), "-") is measured


def test_grey_frames_for_a_model_of_colour_are_measured_as_colour() -> None:
    measured = frozen(spec(white_balance="gray_world", contrast_stretch={}), 3, [frame(scene(20, 30))], "-")
    assert measured.frozen is not None
    assert measured.frozen.gains == (1.0, 1.0, 1.0)
    assert len(set(measured.frozen.levels or ())) == 1
    assert Illuminator(measured).grey_first


def test_without_a_frame_nothing_can_be_frozen() -> None:
    with pytest.raises(UserError) as caught:
        frozen(spec(white_balance="max_rgb", contrast_stretch={}), 3, [], "give good frames: --frames FOLDER")
    assert str(caught.value) == (
        "illumination: statistics of white_balance and contrast_stretch are frozen on good frames\n  received: no frame\n"
        "  fix: give good frames: --frames FOLDER, or say statistics: per_frame"
    )


def test_a_generator_cannot_be_read_twice() -> None:
    with pytest.raises(TypeError, match="frames are read more than once"):
        frozen(spec(contrast_stretch={}), 1, (f for f in [frame(scene(8, 8))]), "-")


def bundle_spec(light: Any, channels: int = 1, **keys: Any) -> BundleSpec:
    base = {"name": "x", "input": {"channels": channels, "size": "any", **keys}, "resize": {"where": "none"}}
    return BundleSpec.model_validate_json(orjson.dumps(base | {"illumination": light}))


@pytest.mark.parametrize(
    ("light", "channels", "keys", "text"),
    [
        ({}, 1, {}, "no step is named, so it changes nothing; leave illumination out"),
        ({"gamma": 0.9}, 1, {"bits": 12}, "illumination works on 8-bit pictures, and input.bits is 12"),
        (
            {"white_balance": "max_rgb", "contrast_stretch": {}},
            3,
            {},
            "illumination.frozen lacks the statistics of white_balance and contrast_stretch; build the bundle again",
        ),
        (
            {"contrast_stretch": {}, "frozen": {"frames": 1, "levels": [(0.0, 255.0)] * 3}},
            1,
            {},
            "illumination.frozen lacks the statistics of contrast_stretch; build the bundle again",
        ),
        (
            {"gamma": 0.9, "statistics": "per_frame", "frozen": {"frames": 1}},
            1,
            {},
            "frozen statistics stand beside statistics: per_frame",
        ),
        ({"contrast_stretch": {"lower": 60.0, "upper": 40.0}}, 1, {}, "lower (60) must be below upper (40)"),
    ],
)
def test_declarations_that_cannot_be(light: Any, channels: int, keys: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        bundle_spec(light, channels, **keys)
    assert [str(e["ctx"]["error"]) for e in caught.value.errors()] == [text]


@pytest.mark.parametrize("key", ["cutoff", "gamma_low", "gamma_high", "c"])
def test_numbers_out_of_range_are_refused(key: str) -> None:
    for value in (0.0, -1.0, 1000.0):
        with pytest.raises(ValidationError):
            spec(homomorphic={key: value})


def test_the_picture_is_lit_before_it_is_resized_and_after_it_is_grey() -> None:
    pixels = scene(48, 64, 3)
    told = bundle_spec({"clahe": {}, "gamma": 0.7}).model_copy(update={"resize": ResizeSpec(where="host", size=(16, 12))})
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    expected = cv2.resize(one(spec(clahe={}, gamma=0.7), grey), (16, 12), interpolation=cv2.INTER_AREA)
    assert (prepare(frame(pixels), told).image[:, :, 0] == expected).all()


@pytest.mark.parametrize("gains", [(1.0, 1.0, 1.0), (1.0, 1.5, 0.5)])
def test_grey_and_three_equal_channels_give_the_same(gains: tuple[float, ...]) -> None:
    """Also where the statistics differ between channels: then grey becomes colour first."""
    light = {"white_balance": "gray_world", "homomorphic": {}, "clahe": {}, "frozen": {"frames": 1, "gains": gains}}
    told, work, grey = bundle_spec(light, 3), Workspace(), scene(30, 40)
    both = [prepare(frame(p), told, work).image.copy() for p in (grey, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))]
    assert (both[0] == both[1]).all()
    assert (both[0][:, :, 0] == both[0][:, :, 1]).all() == (len(set(gains)) == 1)


def test_a_deep_frame_is_lit_in_its_high_8_bits() -> None:
    pixels = scene(20, 30)
    told = bundle_spec({"gamma": 0.6})
    deep = prepare(frame(pixels.astype(np.uint16) << 4 | 5, 12), told).image
    assert (deep == prepare(frame(pixels), told).image).all()


def test_the_bundles_hash_covers_steps_and_statistics(tmp_path: Path) -> None:
    light: dict[str, Any] = {"contrast_stretch": {}, "frozen": {"frames": 1, "levels": [(10.0, 200.0)]}}
    variants = [None, light, light | {"gamma": 0.9}, light | {"frozen": {"frames": 1, "levels": [(10.0, 201.0)]}}]
    written = [write_bundle(tmp_path / str(i), identity_model(), bundle_spec(v)) for i, v in enumerate(variants)]
    assert len({b.sha256 for b in written}) == 4
    assert written[1].spec.illumination == spec(**light)


def test_a_fitted_model_sees_frames_after_illumination() -> None:
    """As fitted on frames that were lit by hand; the bundle lights them again at run time."""
    frames = [frame(scene(24, 32, seed=k)) for k in range(6)]
    graph, told = pixel_model(frames, name="x", illumination=spec(clahe={}, contrast_stretch={}))
    assert told.illumination is not None
    assert told.illumination.frozen is not None
    assert told.illumination.frozen.frames == 6
    by_hand, _ = pixel_model([frame(one(told.illumination, f.pixels)) for f in frames], name="x")
    assert graph.SerializeToString() == by_hand.SerializeToString()


def test_presets_files_and_keys_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "light.yaml"
    path.write_text("white_balance: max_rgb\ncontrast_stretch: {lower: 1, upper: 99}\n")
    assert illumination_of(None) is None
    assert illumination_of(["full"]) == spec(white_balance="gray_world", homomorphic={}, clahe={}, gamma=0.9)
    assert illumination_of(["full", str(path), "{gamma: 0.5, statistics: per_frame}"]) == live(
        white_balance="max_rgb", homomorphic={}, clahe={}, gamma=0.5, contrast_stretch={"lower": 1.0, "upper": 99.0}
    )
    assert all(illumination_of([preset]) for preset in ILLUMINATION_PRESETS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "fulll",
            "--illumination\n  received: fulll\n"
            "  expected: full, balanced, low-light, texture, contrast, a YAML file, or keys as {gamma: 0.8}",
        ),
        ("{gama: 0.8}", "--illumination: gama: unknown key\n  expected: did you mean 'gamma'?"),
        ("{gamma: 0}", "--illumination: gamma\n  received: 0\n  expected: input should be greater than or equal to 0.05"),
        ("{}", "--illumination: no step is named, so it changes nothing; leave illumination out"),
    ],
)
def test_wrong_illumination_options(text: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        illumination_of([text])
    assert str(caught.value) == expected


def test_the_filter_reads_and_writes_the_same_plane() -> None:
    plane = scene(33, 65)
    ready = Homomorphic(65, 33, cutoff=0.5, gamma_low=0.7, gamma_high=1.5, c=1.0)
    apart = np.empty_like(plane)
    ready.apply(plane, apart)
    ready.apply(plane, plane)
    assert (plane == apart).all()
