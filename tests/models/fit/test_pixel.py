"""The built-in model is the formula that it states, whatever the frames come as."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.fits import pixel_bundle, pixel_model

from edge.config.bundle import load_bundle
from edge.engines.onnx import OnnxEngine
from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Skip
from edge.preprocess.prepare import prepare


def frame(pixels: Any, bits: int = 8) -> Frame:
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0), pixels, bits)


def good(count: int, *shape: int, seed: int = 0) -> list[Any]:
    """Frames around a pattern, each pixel with a deviation of its own."""
    rng = np.random.default_rng(seed)
    pattern, width = rng.uniform(60, 190, shape), rng.uniform(0, 12, shape)
    return [np.clip(pattern + width * rng.standard_normal(shape), 0, 255).astype(np.uint8) for _ in range(count)]


def by_the_formula(frames: list[Any], image: Any, floor: float) -> Any:
    """The model in plain NumPy, channels last, without any of the product's code."""
    stack = np.stack(frames).astype(np.float64).reshape(len(frames), *image.shape[:2], -1)
    variance = np.pad(stack.var(axis=0, ddof=1), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    rows, columns = image.shape[:2]
    smooth = sum(variance[y : y + rows, x : x + columns] for y in range(3) for x in range(3)) / 9
    distance = np.abs(image.reshape(rows, columns, -1) - stack.mean(axis=0)) / np.sqrt(smooth + floor**2)
    return distance.max(axis=2)


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 3)])
@pytest.mark.parametrize("floor", [2.0, 0.5])
def test_the_map_is_the_stated_formula(tmp_path: Path, shape: tuple[int, ...], floor: float) -> None:
    frames = good(20, *shape)
    bundle = pixel_bundle(map(frame, frames), tmp_path / "b", floor=floor)
    engine = OnnxEngine(bundle)
    for image in (frames[0], good(1, *shape, seed=9)[0], np.full(shape, 255, np.uint8)):
        prediction = engine.infer(prepare(frame(image), bundle.spec).image)
        np.testing.assert_allclose(prediction.map, by_the_formula(frames, image, floor), rtol=2e-5, atol=2e-5)
        assert prediction.score == prediction.map.max()


def test_without_any_deviation_one_unit_is_the_floor(tmp_path: Path) -> None:
    """Frames of 100, one pixel of each apart: a pixel of 112 lies 12 / 2 = 6 deviations away, at the display threshold."""
    frames = [np.full((16, 16), 100, np.uint8) for _ in range(3)]
    for k, pixels in enumerate(frames):
        pixels[12, 12] += k
    bundle = pixel_bundle(map(frame, frames), tmp_path / "b")
    image = np.full((16, 16), 100, np.uint8)
    image[12, 12] += 1
    image[4, 5] = 112
    prediction = OnnxEngine(bundle).infer(prepare(frame(image), bundle.spec).image)
    assert prediction.map[4, 5] == prediction.score == 6.0 == bundle.spec.display.threshold
    assert np.count_nonzero(prediction.map) == 1


def test_the_bundle_keeps_the_contract(tmp_path: Path) -> None:
    bundle = pixel_bundle(map(frame, good(3, 24, 32)), tmp_path / "tile", source="good/")
    spec = bundle.spec
    assert bundle == load_bundle(tmp_path / "tile")
    onnx.checker.check_model(onnx.load(bundle.model_path), full_check=True)
    assert spec.name == "tile"
    assert (spec.input.channels, spec.input.size, spec.input.bits) == (1, (32, 24), 8)
    assert (spec.resize.where, spec.resize.kernel, spec.resize.size) == ("host", "area", (32, 24))
    assert spec.map_to_image == (1.0, 1.0, 0.0, 0.0)
    assert (spec.display.threshold, spec.display.range) == (6.0, (0.0, 12.0))
    made = dict(spec.provenance)
    assert made.pop("built_at").startswith("20")
    assert made.pop("built_with").startswith("edge ")
    assert made == {
        "method": "pixel",
        "model": "mean and deviation of each pixel",
        "formula": "max over channels of |pixel - mean| / sqrt(variance + floor ** 2)",
        "floor_grey_levels": 2.0,
        "variance_window": 3,
        "options": {"floor": 2.0, "flat_field": False, "backbone": None, "layers": [], "vectors": 4000},
        "pose": "fixed",
        "why": "pixel takes frames as they lie",
        "frame_size": [32, 24],
        "picture_shape": [24, 32, 1],
        "source": "good/",
        "frames": 3,
        "frames_of_another_size": 0,
        "unreadable": [],
        "out_of_place": [],
        "clipped_frames": 0,
        "outliers": [],
        "left_out": [],
    }


@pytest.mark.parametrize(
    ("shape", "options", "size"),
    [
        ((40, 60), {}, (60, 40)),
        ((40, 60), {"max_side": 30}, (30, 20)),
        ((400, 3), {"max_side": 100}, (1, 100)),
        ((40, 60), {"max_side": 30, "size": (48, 16)}, (48, 16)),
    ],
)
def test_the_models_size(shape: tuple[int, int], options: dict[str, Any], size: tuple[int, int]) -> None:
    _, spec = pixel_model(map(frame, good(2, *shape)), name="x", **options)
    assert spec.resize.size == spec.input.size == size


def test_large_frames_are_shrunk_as_at_run_time(tmp_path: Path) -> None:
    """Fitted on 4x4 blocks of one value, the model is the one fitted on a quarter of the size, and the map says so."""
    small = good(5, 12, 16)
    large = [np.kron(f, np.ones((4, 4), np.uint8)) for f in small]
    one = pixel_bundle(map(frame, small), tmp_path / "one")
    two = pixel_bundle(map(frame, large), tmp_path / "two", max_side=16)
    assert one.spec.files["model.onnx"] == two.spec.files["model.onnx"]
    assert prepare(frame(large[0]), two.spec).map_to_image == (4.0, 4.0, 0.0, 0.0)


def test_the_first_frame_sets_size_and_channels_and_others_are_brought_to_them() -> None:
    frames = [frame(f) for f in (*good(2, 24, 32), *good(1, 30, 40), *good(1, 24, 32, 3))]
    _, spec = pixel_model(frames, name="x")
    assert (spec.input.channels, spec.input.size) == (1, (32, 24))
    assert (spec.provenance["frames"], spec.provenance["frames_of_another_size"]) == (4, 1)


def test_12_bit_frames_are_fitted_as_their_high_8_bits(tmp_path: Path) -> None:
    frames = good(4, 12, 16)
    deep = [frame(f.astype(np.uint16) << 4 | 7, 12) for f in frames]
    eight = pixel_bundle(map(frame, frames), tmp_path / "8")
    assert pixel_bundle(deep, tmp_path / "12").spec.files["model.onnx"] == eight.spec.files["model.onnx"]


def test_unreadable_frames_are_counted_and_named() -> None:
    frames: list[Frame | Skip] = [frame(f) for f in good(3, 12, 16)]
    frames.insert(1, Skip("unreadable", 1, 1, 1, 0, frame_ref="b.png"))
    _, spec = pixel_model(frames, name="x")
    assert (spec.provenance["frames"], spec.provenance["unreadable"]) == (3, ["b.png"])


@pytest.mark.parametrize(
    ("frames", "received"),
    [
        (good(1, 12, 16), "1 that can be used"),
        ([*good(1, 12, 16), None, None], "1 that can be used, 2 that cannot be read"),
    ],
)
def test_fewer_than_two_frames_are_too_few(frames: list[Any], received: str) -> None:
    given = [frame(f) if f is not None else Skip("unreadable", 1, 1, 1, 0) for f in frames]
    with pytest.raises(UserError) as caught:
        pixel_model(given, name="x", source="good/")
    assert str(caught.value) == (
        f"good/: too few good frames to fit on\n  received: {received}\n"
        "  expected: at least 2; 20 to 200 make a steady model"
    )


def test_a_floor_of_zero_would_divide_by_it() -> None:
    with pytest.raises(UserError) as caught:
        pixel_model(map(frame, good(2, 12, 16)), name="x", floor=0.0)
    assert str(caught.value) == "--floor\n  received: 0.0\n  expected: a number of grey levels above 0"


def test_a_place_that_is_taken_is_told_before_any_frame_is_read(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        raise AssertionError("a frame was read")
        yield

    pixel_bundle(map(frame, good(2, 12, 16)), tmp_path / "b")
    with pytest.raises(UserError, match="there is a bundle already"):
        pixel_bundle(frames(), tmp_path / "b")


def test_one_frame_at_a_time_is_held() -> None:
    """A generator that reuses its buffer gives the same model as a list of copies."""
    frames = good(6, 12, 16)

    def reused() -> Iterator[Frame]:
        buffer = np.empty((12, 16), np.uint8)
        for pixels in frames:
            buffer[...] = pixels
            yield frame(buffer)

    a, _ = pixel_model(reused(), name="x")
    b, _ = pixel_model(map(frame, frames), name="x")
    assert a.SerializeToString() == b.SerializeToString()
