"""From a frame to the graph's picture: exact integers, and no copy where none is needed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge.config.bundle_spec import BundleSpec, InputSpec, ResizeSpec
from edge.frames import Frame, FrameMeta
from edge.preprocess.prepare import KERNELS, FrameSizeMismatch, Workspace, prepare


def frame(pixels: Any, bits: int = 8) -> Frame:
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0), pixels, bits)


def spec(
    channels: Any = 1, size: Any = "any", where: Any = "none", kernel: Any = "area", inner: Any = None, **more: Any
) -> BundleSpec:
    return BundleSpec(
        name="x",
        input=InputSpec(channels=channels, size=size, bits=more.pop("bits", 8)),
        resize=ResizeSpec(where=where, kernel=kernel, size=inner or (size if where == "host" else None)),
        **more,
    )


def noise(*shape: int, high: int = 256, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(0, high, shape, dtype)


@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 3)])
def test_a_frame_that_is_right_is_passed_without_a_copy(shape: tuple[int, ...]) -> None:
    pixels = noise(*shape)
    prepared = prepare(frame(pixels), spec(3 if len(shape) == 3 else 1, (16, 12), "host"))
    assert prepared.image.shape == (12, 16, shape[2] if len(shape) == 3 else 1)
    assert prepared.image.ctypes.data == pixels.ctypes.data
    assert prepared.map_to_image == (1.0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("bits", "values", "expected"),
    [
        (12, [0, 15, 16, 31, 2048, 4095], [0, 0, 1, 1, 128, 255]),
        (10, [0, 3, 4, 1023], [0, 0, 1, 255]),
        (16, [255, 256, 65535], [0, 1, 255]),
        (9, [1, 2, 511], [0, 1, 255]),
        (8, [0, 7, 255], [0, 7, 255]),
    ],
)
def test_more_than_8_bits_lose_their_low_ones(bits: int, values: list[int], expected: list[int]) -> None:
    """A shift, not a scale: 15 of 4095 is 0, where rounding would give 1."""
    prepared = prepare(frame(np.array([values], np.uint16), bits), spec())
    assert prepared.image.dtype == np.uint8
    assert prepared.image[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "bits", "value", "expected"),
    [(np.uint16, 12, 4095, 4095), (np.uint16, 10, 1023, 4092), (np.uint16, 16, 65535, 4095), (np.uint8, 8, 255, 4080)],
)
def test_a_bundle_of_12_bits_takes_every_depth(dtype: Any, bits: int, value: int, expected: int) -> None:
    prepared = prepare(frame(np.full((2, 2), value, dtype), bits), spec(bits=12))
    assert prepared.image.dtype == np.uint16
    assert (prepared.image == expected).all()


def test_12_bits_for_12_bits_are_not_copied() -> None:
    pixels = noise(4, 4, high=4096, dtype=np.uint16)
    assert prepare(frame(pixels, 12), spec(bits=12)).image.ctypes.data == pixels.ctypes.data


def test_grey_becomes_three_equal_channels() -> None:
    pixels = noise(5, 7)
    image = prepare(frame(pixels), spec(3)).image
    assert image.shape == (5, 7, 3)
    assert all((image[:, :, k] == pixels).all() for k in range(3))


def test_rgb_becomes_grey_by_the_weights_of_bt_601() -> None:
    """0.299 R + 0.587 G + 0.114 B: red 76, green 150, blue 29; a swap of red and blue would show."""
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert prepare(frame(pixels), spec(1)).image[0, :, 0].tolist() == [76, 150, 29, 255]


def test_the_area_kernel_averages_whole_blocks() -> None:
    pixels = noise(24, 32, 3)
    image = prepare(frame(pixels), spec(3, (8, 6), "host")).image
    means = pixels.reshape(6, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(image - means).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_the_declared_kernel_is_the_one_that_runs(kernel: Any) -> None:
    pixels = noise(30, 40)
    image = prepare(frame(pixels), spec(1, (17, 13), "host", kernel)).image
    assert (image[:, :, 0] == cv2.resize(pixels, (17, 13), interpolation=KERNELS[kernel])).all()


def test_depth_channels_and_size_in_this_order() -> None:
    """The order is part of the numbers: 12-bit RGB for a small grey 8-bit model."""
    pixels = noise(12, 16, 3, high=4096, dtype=np.uint16)
    image = prepare(frame(pixels, 12), spec(1, (8, 6), "host")).image
    expected = cv2.resize(
        cv2.cvtColor((pixels >> 4).astype(np.uint8), cv2.COLOR_RGB2GRAY), (8, 6), interpolation=cv2.INTER_AREA
    )
    assert (image[:, :, 0] == expected).all()


def test_map_edges_come_back_to_the_frame() -> None:
    """A 64x48 map of a 128x96 picture (offset 2, 1 there) of a 512x192 frame."""
    told = spec(1, (128, 96), "host", map_to_image=(2.0, 2.0, 2.0, 1.0))
    assert prepare(frame(noise(192, 512)), told).map_to_image == (8.0, 4.0, 8.0, 2.0)


def test_a_resize_in_the_graph_leaves_pixels_alone_and_counts_in_the_scale() -> None:
    pixels = noise(192, 512)
    prepared = prepare(frame(pixels), spec(1, "any", "graph", inner=(128, 96)))
    assert prepared.image.ctypes.data == pixels.ctypes.data
    assert prepared.map_to_image == (4.0, 2.0, 0.0, 0.0)


def test_another_size_than_the_bundle_fixes_is_told() -> None:
    with pytest.raises(FrameSizeMismatch) as caught:
        prepare(frame(noise(480, 640)), spec(1, (800, 600)))
    assert str(caught.value) == "the frame is 640x480, the bundle takes 800x600 and resizes nothing"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("shape", "bits"), [((24, 32), 8), ((24, 32, 3), 8), ((24, 32), 12), ((24, 32, 3), 12)])
def test_nothing_is_allocated_from_the_second_frame_on(channels: Any, shape: tuple[int, ...], bits: int) -> None:
    work, told = Workspace(), spec(channels, (8, 6), "host")
    dtype = np.uint8 if bits == 8 else np.uint16
    first, second = (noise(*shape, high=1 << bits, dtype=dtype) for _ in range(2))
    a = prepare(frame(first, bits), told, work).image
    buffers = {k: v.ctypes.data for k, v in work._arrays.items()}
    second[...] = second[::-1]
    b = prepare(frame(second, bits), told, work).image
    assert a.ctypes.data == b.ctypes.data
    assert b.flags.c_contiguous
    assert b.shape == (6, 8, channels)
    assert {k: v.ctypes.data for k, v in work._arrays.items()} == buffers
    assert (b == prepare(frame(second, bits), told).image).all()
