"""Frames that look unlike those before, noticed in the judge's thread: a thumbnail against the few that are known.

A thumbnail takes 50 microseconds, of a frame of any size, and its comparison 20.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE: Final = 12
_COARSE: Final = 96
"""Rows and columns, at most, that the thumbnail is taken from."""
_KNOWN: Final = 64
"""Thumbnails that new frames are compared with; each novel frame takes the place of the oldest."""
_RECENT: Final = 256
"""Distances that tell what is usual."""
_LEARN: Final = 64
"""Frames that are only looked at."""
_LEAST: Final = 0.25
"""Grey levels below which a difference is rounding."""


class Novelty:
    """Asked for every inspected frame, in order. A lasting change is novel a few times, and then it is known."""

    def __init__(self, limit: float) -> None:
        """``limit``: robust deviations beyond the usual distance to the nearest known frame."""
        self._limit = limit
        self._known: deque[NDArray[np.float32]] = deque(maxlen=_KNOWN)
        self._distances: deque[float] = deque(maxlen=_RECENT)
        self._seen = 0

    def is_novel(self, pixels: NDArray[Any], bits: int) -> bool:
        """Whether a frame, (H, W) or (H, W, 3) of ``bits``, is unlike all that is known; it is known from then on."""
        small = _thumbnail(pixels, bits)
        self._seen += 1
        if self._seen <= _LEARN:
            if self._known:
                self._distances.append(self._nearest(small))
            if self._seen % 4 == 1:
                self._known.append(small)
            return False
        distance = self._nearest(small)
        usual = np.array(self._distances)
        middle = float(np.median(usual))
        spread = max(1.4826 * float(np.median(np.abs(usual - middle))), _LEAST)
        if distance > middle + self._limit * spread:
            self._known.append(small)
            return True
        self._distances.append(distance)
        return False

    def _nearest(self, small: NDArray[np.float32]) -> float:
        """Root mean square difference to the most alike known thumbnail, in grey levels of 8 bits."""
        known = np.stack([one for one in self._known if one.shape == small.shape] or [np.full_like(small, np.inf)])
        return float(np.sqrt(np.min(np.mean((known - small) ** 2, axis=1))))


def _thumbnail(pixels: NDArray[Any], bits: int) -> NDArray[np.float32]:
    step = max(1, min(pixels.shape[:2]) // _COARSE)
    coarse = np.ascontiguousarray(pixels[::step, ::step])
    small: Any = cv2.resize(coarse, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel() * np.float32(2.0 ** (8 - bits))
