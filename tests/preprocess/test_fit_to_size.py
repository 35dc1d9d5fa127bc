"""A frame of another shape is letterboxed or cropped as the model was trained; its map lies where its pixels lay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.builds import frame, refusal, saved, simple

from edge.config.bundle_spec import BundleSpec, InputSpec, ResizeSpec
from edge.engines.onnx import OnnxEngine
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from edge.preprocess.fit_to_size import fit_of
from edge.preprocess.prepare import Workspace, prepare


def spec(size: tuple[int, int], bits: int = 8, channels: Any = 1, **resize: Any) -> BundleSpec:
    fitted = ResizeSpec(where="host", size=size, **resize)
    return BundleSpec(name="m", input=InputSpec(channels=channels, size=size, bits=bits), resize=fitted)


@pytest.mark.parametrize(
    ("frame_size", "size", "inner", "corner"),
    [
        ((1280, 720), (640, 640), (640, 360), (0, 140)),
        ((720, 1280), (640, 640), (360, 640), (140, 0)),
        ((810, 1080), (640, 640), (480, 640), (80, 0)),
        ((100, 33), (64, 64), (64, 21), (0, 21)),
        ((32, 24), (64, 64), (64, 48), (0, 8)),
    ],
)
def test_a_letterbox_holds_the_whole_frame(frame_size: Any, size: Any, inner: Any, corner: Any) -> None:
    """Ultralytics' numbers."""
    found = fit_of(ResizeSpec(where="host", size=size, fit="letterbox"), *frame_size)
    assert (found.inner, (found.left, found.top)) == (inner, corner)


@pytest.mark.parametrize(
    ("frame_size", "short", "inner", "corner"),
    [
        ((500, 375), 256, (341, 256), (-58, -16)),
        ((375, 500), 256, (256, 341), (-16, -58)),
        ((256, 256), 256, (256, 256), (-16, -16)),
        ((640, 480), None, (299, 224), (-38, 0)),
    ],
)
def test_a_crop_is_torchvisions(frame_size: Any, short: int | None, inner: Any, corner: Any) -> None:
    """Resize(256), CenterCrop(224): the long side is rounded down, the margin to the nearest even."""
    found = fit_of(ResizeSpec(where="host", size=(224, 224), fit="crop", short_side=short), *frame_size)
    assert (found.inner, (found.left, found.top)) == (inner, corner)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel", ["area", "linear"])
@pytest.mark.parametrize("fit", ["letterbox", "crop"])
def test_pixels_and_bars_are_what_they_should_be(fit: Any, kernel: Any, channels: int, bits: int) -> None:
    rng = np.random.default_rng(0)
    shape = (48, 96) if channels == 1 else (48, 96, 3)
    pixels = rng.integers(0, 2**bits, shape, np.uint8 if bits == 8 else np.uint16)
    work = Workspace()
    made = spec((32, 32), bits, channels, fit=fit, kernel=kernel, pad=114)
    for _ in range(2):  # the buffers are used again
        image = prepare(frame(pixels, bits), made, work).image
        interpolation = cv2.INTER_AREA if kernel == "area" else cv2.INTER_LINEAR
        if fit == "letterbox":
            small = cv2.resize(pixels, (32, 16), interpolation=interpolation).reshape(16, 32, channels)
            np.testing.assert_array_equal(image[8:24], small)
            assert (image[:8] == round(114 / 255 * (2**bits - 1))).all()
            assert (image[24:] == image[0]).all()
        else:
            small = cv2.resize(pixels, (64, 32), interpolation=interpolation).reshape(32, 64, channels)
            np.testing.assert_array_equal(image, small[:, 16:48])
        assert image.flags.c_contiguous


@pytest.mark.parametrize("frame_size", [(96, 48), (48, 96), (130, 70), (33, 32), (32, 32)])
@pytest.mark.parametrize("options", [{"fit": "letterbox"}, {"fit": "crop"}, {"fit": "crop", "short_side": 40}, {}], ids=str)
def test_a_spot_of_the_frame_is_found_where_it_is(
    tmp_path: Path, options: dict[str, Any], frame_size: tuple[int, int]
) -> None:
    bundle = build(saved(tmp_path, simple(["n", 1, 32, 32])), tmp_path / "b", BuildOptions(**options)).bundle
    engine, work = OnnxEngine(bundle), Workspace()
    width, height = frame_size
    for x, y in ((width // 2 - 4, height // 2), (width // 2 + 3, height // 2 - 5)):
        pixels = np.zeros((height, width), np.uint8)
        pixels[y - 2 : y + 2, x - 2 : x + 2] = 255
        amap = to_map(frame(pixels), engine, work)
        assert isinstance(amap, AnomalyMap)
        sx, sy, ox, oy = amap.map_to_image
        values = np.where(amap.values > 0.55, amap.values, 0) - 0.0  # bars are 0.45
        down, across = np.nonzero(values == values.max())
        assert abs((across.mean() + 0.5) * sx + ox - x) <= max(sx, 1.5)
        assert abs((down.mean() + 0.5) * sy + oy - y) <= max(sy, 1.5)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, simple(["n", 1, 32, 32]))
    assert refusal(path, tmp_path / "b", fit="crop", short_side=20) == (
        "--short-side\n  received: 20 with --fit crop\n"
        "  expected: at least 32, with --fit crop: the picture of 32x32 is cut out of it"
    )
    assert refusal(path, tmp_path / "b", short_side=40) == "--short-side goes with --fit crop"
    assert refusal(path, tmp_path / "b", fit="letterbox", resize="graph") == (
        "--fit letterbox with --resize graph\n  fix: resize on the host: --resize host"
    )
    anything = saved(tmp_path, simple(["n", 1, "h", "w"]))
    assert refusal(anything, tmp_path / "b", fit="crop") == (
        "--fit crop\n  received: a model that takes any size\n  expected: a model that sees pictures of one size"
    )


def test_a_bundle_that_stretches_keeps_the_hash_that_it_had(tmp_path: Path) -> None:
    """Calibrations name it."""
    from edge.config.bundle import _identity

    before = spec((32, 32))
    assert _identity(before) == _identity(before.model_copy(update={"resize": before.resize.model_copy(update={"pad": 7})}))
    boxed = spec((32, 32), fit="letterbox")
    assert (
        len({_identity(s) for s in (before, boxed, spec((32, 32), fit="letterbox", pad=0), spec((32, 32), fit="crop"))})
        == 4
    )
