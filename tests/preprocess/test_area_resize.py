"""The fast area kernel gives the mean of what each pixel covers, and OpenCV's numbers."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge.preprocess.area_resize import area_resize


def scratch(_name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.full(shape, 77, dtype)


def picture(shape: tuple[int, ...], dtype: Any = np.uint8, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256 if dtype == np.uint8 else 4096, shape, dtype)


def shrunk(pixels: Any, size: tuple[int, int]) -> Any:
    out = np.empty((size[1], size[0], *pixels.shape[2:]), pixels.dtype)
    assert area_resize(pixels, out, scratch) is out
    return out


def by_definition(pixels: Any, size: tuple[int, int]) -> Any:
    """Mean over the covered area in float64, axis after axis."""
    values = pixels.astype(np.float64)
    for axis, count in ((0, size[1]), (1, size[0])):
        length = values.shape[axis]
        edges = np.arange(length + 1)
        borders = np.arange(count + 1) * length / count
        weights = np.clip(
            np.minimum(borders[1:, None], edges[None, 1:]) - np.maximum(borders[:-1, None], edges[None, :-1]), 0, None
        )
        values = np.moveaxis(np.tensordot(weights * count / length, values, (1, axis)), 0, axis)
    return values


SHAPES = [((1500, 1100), (256, 256)), ((900, 1300, 3), (250, 128)), ((2049, 800), (37, 11)), ((1001, 1501, 3), (700, 500))]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_every_pixel_is_the_mean_of_what_it_covers(shape: tuple[int, ...], size: tuple[int, int], dtype: Any) -> None:
    pixels = picture(shape, dtype)
    assert np.abs(shrunk(pixels, size) - by_definition(pixels, size)).max() <= 0.501


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_the_numbers_are_opencvs(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """But for a few that lie halfway between two whole numbers."""
    pixels = picture(shape)
    off = np.abs(shrunk(pixels, size).astype(int) - cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    assert off.max() <= 1
    assert np.count_nonzero(off) <= off.size / 1000


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2048, 1024), (128, 256)), ((300, 200), (64, 64)), ((1500, 1100), (500, 1400)), ((1500, 1100), (700, 700))],
    ids=["whole factors", "a small picture", "hardly smaller", "hardly narrower"],
)
def test_what_gains_nothing_is_opencvs_own(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    pixels = picture(shape)
    assert (shrunk(pixels, size) == cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).all()


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_an_even_picture_stays_as_it_is(value: int) -> None:
    assert (shrunk(np.full((1537, 1111), value, np.uint8), (200, 300)) == value).all()
