"""What a good frame looks like, from those labelled good, and where a frame differs from it: the evidence that labels are
held to.

Median and spread of each pixel over registered frames: a few wrong labels among them change neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.register_spec import RegisterSpec
from edge.frames import Frame
from edge.preprocess.pixel_formats import to_depth
from edge.preprocess.register import Registrar

MOST_FRAMES: Final = 80
"""Good frames that the median is taken of: with 80 a pixel's spread is known to 10 %."""
LEAST_FRAMES: Final = 8
_SIDE: Final = 640
"""Longer side, in px, at which frames are compared; larger ones are shrunk."""
_AGREES: Final = 0.6
_FLOOR: Final = 1.0
"""Grey levels of spread allowed everywhere."""
_SCALES: Final = (1.0, 2.5)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One frame against the expectation. ``deviation``: float32 (h, w), signed, in spreads, in the reference's place.

    ``score``: how far its most unusual place stands out, 1 for a usual good frame. ``matrix``: from the reference's pixels
    to the frame's, both shrunk by ``scale``.
    """

    deviation: NDArray[np.float32]
    score: float
    matrix: NDArray[np.float64]
    scale: float

    def in_place(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the frame, (H, W), in the reference's place, (h, w)."""
        small: Any = mask.astype(np.uint8)
        size = (self.deviation.shape[1], self.deviation.shape[0])
        if small.shape != self.deviation.shape:
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA if self.scale < 1 else cv2.INTER_NEAREST)
        moved = cv2.warpAffine(small, self.matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
        return np.asarray(moved) > 0


class Expectation:
    """The median and the spread of each pixel of good frames. Used by one thread."""

    def __init__(self, good: Sequence[Frame]) -> None:
        """``good``: at least 8 frames whose parts lie alike; the first is the reference."""
        first = _grey(good[0])
        self._shape = first.shape
        self._registrar = Registrar(first[:, :, None], RegisterSpec())
        self._out = np.empty((*first.shape, 1), np.uint8)
        stack = np.stack([self._registered(_grey(frame))[0] for frame in good[:MOST_FRAMES]])
        self.median = np.median(stack, axis=0).astype(np.float32)
        spread = 1.4826 * np.median(np.abs(stack - self.median), axis=0).astype(np.float32)
        self._spread = np.sqrt(np.asarray(cv2.blur(spread * spread, (3, 3))) + _FLOOR**2)
        usual = np.array([self._peaks((one - self.median) / self._spread) for one in stack.astype(np.float32)])
        self._usual = np.maximum(np.median(usual, axis=0), 1e-6)

    def evidence(self, frame: Frame) -> Evidence:
        """Compare one frame, of any size with the reference's shape."""
        grey = _grey(frame)
        if grey.shape != self._shape:
            grey = np.asarray(cv2.resize(grey, self._shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        even, matrix = self._registered(grey)
        deviation = np.asarray((even.astype(np.float32) - self.median) / self._spread, np.float32)
        score = float(np.max(self._peaks(deviation) / self._usual))
        return Evidence(deviation, score, matrix, self._shape[1] / frame.meta.width)

    def standing_out(self, deviation: NDArray[np.float32], times: float) -> NDArray[np.bool_]:
        """Pixels, (h, w), whose smoothed deviation is ``times`` as high as the highest of a usual good frame."""
        found = np.zeros(deviation.shape, bool)
        for sigma, usual in zip(_SCALES, self._usual.tolist(), strict=True):
            found |= np.abs(np.asarray(cv2.GaussianBlur(deviation, (0, 0), sigma))) > times * usual
        return found

    def _registered(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        picture = np.ascontiguousarray(grey)[:, :, None]
        placement = self._registrar.locate(picture)
        self._registrar.apply(picture, placement, self._out)
        return self._out[:, :, 0].copy(), np.asarray(placement.matrix[:2], np.float64)

    def _peaks(self, deviation: NDArray[np.float32]) -> NDArray[np.float64]:
        """The highest smoothed deviation at each scale."""
        return np.array([np.abs(cv2.GaussianBlur(deviation, (0, 0), sigma)).max() for sigma in _SCALES], np.float64)


def lie_alike(frames: Sequence[Frame]) -> bool:
    """Whether the parts of these frames lie alike, so that there can be an expectation of each pixel."""
    if len(frames) < LEAST_FRAMES or len({round(f.meta.width / f.meta.height, 2) for f in frames}) != 1:
        return False
    first = _grey(frames[0])
    if min(first.shape) < 32:
        return False
    registrar = Registrar(first[:, :, None], RegisterSpec())
    agreements = []
    for frame in frames[1 : LEAST_FRAMES + 8]:
        grey: Any = cv2.resize(_grey(frame), first.shape[::-1], interpolation=cv2.INTER_AREA)
        agreements.append(registrar.locate(np.ascontiguousarray(grey)[:, :, None]).agreement)
    return float(np.median(agreements)) >= _AGREES


def _grey(frame: Frame) -> NDArray[np.uint8]:
    """The frame as grey, its longer side at most 640 px."""
    pixels: Any = to_depth(frame, 8).pixels
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = pixels.shape
    scale = min(1.0, _SIDE / max(height, width))
    if scale < 1:
        pixels = cv2.resize(pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(pixels)
