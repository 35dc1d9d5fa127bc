"""Statistics of 8-bit pictures become lookup tables here (pure): 256 levels in, 256 levels out.

Results are cut to whole levels, not rounded, as the usual formulas of these steps have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8]
"""Array (H, W), one channel."""
Lut: TypeAlias = NDArray[np.uint8]
"""Array (256,)."""
Histogram: TypeAlias = NDArray[np.float64]
"""Array (256,) with the number of pixels of each level."""

_HAIR = 1e-9
"""Added before a cut: float64 leaves some whole levels a hair short."""
CUT = -0.5 + 2**-9
"""Added before OpenCV rounds float32: whole levels are cut off, and one that is a hair short still counts."""
_BAND_PX = 1 << 16
"""Number of pixels worked on at a time if a step has float temporaries: they stay in a core's cache."""


def gain_lut(gain: float) -> Lut:
    """Return levels times ``gain``, up to 255."""
    # float32, as the formula is usually computed: the cut is then at the same levels
    scaled = np.arange(256, dtype=np.float32) * np.float32(gain)
    return np.asarray(np.minimum(scaled, 255), np.uint8)


def gamma_lut(exponent: float) -> Lut:
    """Return ``255 * (level / 255) ** exponent``: below 1 brightens."""
    return np.asarray((np.arange(256) / 255) ** exponent * 255 + _HAIR, np.uint8)


def stretch_lut(low: float, high: float) -> Lut:
    """Map ``low`` to 0 and ``high`` to 255, linear between. If there is nothing between them, levels stay as they are."""
    if not high > low:
        return np.arange(256, dtype=np.uint8)
    stretched = (np.arange(256) - low) * 255.0 / (high - low)
    return np.asarray(np.clip(stretched + _HAIR, 0, 255), np.uint8)


def gray_world(means: Sequence[float]) -> tuple[float, ...]:
    """Return gains that bring each channel's mean to the mean of them; 1 for a channel that is black."""
    return _gains(float(np.mean(np.asarray(means, np.float32))), means)


def max_rgb(maxima: Sequence[float]) -> tuple[float, ...]:
    """Return gains that bring each channel's maximum to the highest of them; 1 for a channel that is black."""
    return _gains(max(maxima), maxima)


def _gains(target: float, values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(np.float32(target) / np.float32(v)) if v > 0 else 1.0 for v in values)


def histogram(plane: Plane) -> Histogram:
    """Count the pixels of each level."""
    counts = cv2.calcHist([plane], [0], None, [256], [0, 256])  # (256, 1) in OpenCV 4, (256,) in 5
    return np.asarray(counts, np.float64).ravel()


def moved(counts: Histogram, lut: Lut) -> Histogram:
    """Return the histogram of a picture after ``lut``, from the one before."""
    return np.asarray(np.bincount(lut, weights=counts, minlength=256), np.float64)


def percentile(counts: Histogram, q: float) -> float:
    """Return ``np.percentile`` of the pixels by its linear rule."""
    cumulated = np.cumsum(counts)
    at = q / 100 * (cumulated[-1] - 1)
    below, above = (float(np.searchsorted(cumulated, np.floor(at) + step, side="right")) for step in (0, 1))
    return below + (min(above, 255.0) - below) * float(at - np.floor(at))


def bands(width: int, height: int) -> list[slice]:
    """Yield the rows of a picture in pieces small enough for a cache; the first is the largest."""
    rows = min(max(1, _BAND_PX // width), height)
    return [slice(y, min(y + rows, height)) for y in range(0, height, rows)]


def look_up(plane: Plane, lut: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Write ``lut[plane]`` into ``out``, which may be ``plane`` itself if the types are equal."""
    return np.asarray(cv2.LUT(plane, lut, out))
