"""Engines are tried on these pictures before they get frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.engines.protocol import SamplePictures

CHECKED_EVERY = 8
"""Every eighth sample frame, from the first on, is compared and gives no scales for int8."""


def generated_pictures(size: tuple[int, int], channels: int, bits: int) -> dict[str, NDArray[Any]]:
    """Return seeded pictures (H, W, C) by name. Some are nearly black, because some wrappers forget to scale those."""
    rng = np.random.default_rng(1)
    shape, white = (size[1], size[0], channels), 2**bits - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    coarse = rng.uniform(0, white, (8, 8, channels)).astype(np.float32)
    return {
        "noise": rng.integers(0, white + 1, shape, dtype),
        "soft shapes": np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, white)
        .reshape(shape)
        .astype(dtype),
        "a nearly black picture": rng.integers(0, 2, shape, dtype),
        "a blank picture": np.zeros(shape, dtype),
    }


def flat_pictures(shape: tuple[int, ...], bits: int) -> dict[str, NDArray[Any]]:
    """Return pictures (H, W, C) without texture by name: if a model divides by what varies, NaN appears here."""
    white = 2**bits - 1
    stripes = np.zeros(shape, np.uint8 if bits == 8 else np.uint16)
    third = shape[1] // 3
    stripes[:, third : 2 * third], stripes[:, 2 * third :] = white // 2, white
    return {"flat stripes": stripes, "a white picture": np.full_like(stripes, white)}


def for_scales(samples: SamplePictures) -> Iterable[NDArray[Any]]:
    """Return the sample frames that the check leaves; all of them if there are too few to share."""
    pictures = (picture for index, picture in enumerate(samples()) if index % CHECKED_EVERY)
    first = next(pictures, None)
    if first is None:
        yield from samples()
        return
    yield first
    yield from pictures
