"""A surface whose finish changes along a line: ground, brushed or coated another way beyond it, in light and in grain."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_SQUARE = 0.7
"""Share of the lines that run along a side of the picture, or nearly so, as tools and stops do."""
_BAND = 0.25
"""Share that is a band between two lines; the others reach to the picture's edge."""
_GRAIN_ALONE = 0.3
"""Share in which the grain changes and the light stays."""


def uneven_finish(rng: np.random.Generator, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a copy of ``picture`` (H, W, C) with a zone of another finish, and the zone as a mask (H, W).

    The zone takes 6 to 45 % of the picture's extent across its line, which is wavy and up to 8 px soft. Light changes by 6
    to 50 %, the grain, which is what a blur of 1.5 to 6 px takes away, by a factor around 1.
    """
    height, width = picture.shape[:2]
    inside = _zone(rng, height, width)
    surface = picture.astype(np.float32)
    smooth = cv2.GaussianBlur(surface, (0, 0), _log_uniform(rng, 1.5, 6)).reshape(surface.shape)
    contrast = _log_uniform(rng, 0.06, 0.5)
    gain = 1 + contrast if rng.random() < 0.6 else 1 - 0.7 * contrast
    grain = float(np.exp(rng.normal(0, 0.5)))
    if rng.random() < _GRAIN_ALONE:
        gain, grain = 1.0, float(2.0 ** rng.choice([-1.5, 1.0, 1.5]))
    finished = gain * (smooth + grain * (surface - smooth))
    changed = surface + (finished - surface) * inside[:, :, None]
    return np.asarray(np.rint(np.clip(changed, 0, 255)), np.uint8), inside > 0.5


def _zone(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """How much of each pixel lies in the zone, (H, W), whose rim is wavy and 0.7 to 8 px soft."""
    square = rng.random() < _SQUARE
    turn = int(rng.integers(4)) * math.pi / 2 + rng.normal(0, 0.08) if square else rng.uniform(0, 2 * math.pi)
    ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    along = xs * math.cos(turn) + ys * math.sin(turn)
    across = ys * math.cos(turn) - xs * math.sin(turn)
    low, high = float(along.min()), float(along.max())
    share = _log_uniform(rng, 0.06, 0.45) * (high - low)
    soft = min(_log_uniform(rng, 0.7, 8), share / 3)
    at: Any = along + _wave(rng, across, 6, (20, 90)) + _wave(rng, across, 3, (8, 25))
    band = rng.random() < _BAND
    start = rng.uniform(low, high - share) if band else high - share
    inside = np.clip((at - start) / soft + 0.5, 0, 1)
    if band:
        inside = inside * np.clip((start + share - at) / soft + 0.5, 0, 1)
    return np.asarray(inside, np.float32)


def _wave(rng: np.random.Generator, across: Any, most: float, lengths: tuple[float, float]) -> Any:
    """By how many px a line that runs along ``across`` swings, at ``most`` px to either side."""
    return rng.uniform(0, most) * np.sin(across / rng.uniform(*lengths) + rng.uniform(0, 2 * math.pi))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))
