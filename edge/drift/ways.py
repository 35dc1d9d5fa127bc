"""The ways in which a cause comes about on a line, beside the one that ``edge.disturb`` has.

A lamp's light falls off along a curve, shadows are sharp or soft, a lens out of focus makes discs, another interpolation
leaves other noise. A library of a single way knows that way alone; half of its signatures are made by these. Every function
takes float32 (H, W, C) in shares of white, a strength in its cause's unit, and a generator, and returns a new array.
"""

from __future__ import annotations

import math
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.disturb.corruptions import CORRUPTIONS, Change, FramePixels
from edge.disturb.geometry import surroundings
from edge.disturb.light import Shares

OWN_SHARE: Final = 0.5
"""Share of the signatures that are made as ``edge.disturb`` makes them."""
_INTERPOLATIONS: Final = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_RIMS: Final = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)
_FINER: Final = 8
"""Points along a pixel's side that a disc's kernel is summed over."""


def _gradient(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """The light falls off to one side along a parabola; the ends differ by ``percent`` of the middle's level."""
    along, over = _turned(picture, rng.uniform(0, 2 * math.pi))
    bent = rng.uniform(-0.5, 0.5) * (along**2 - 1 / 3) + rng.uniform(-0.25, 0.25) * (over**2 - 1 / 3)
    return _times(picture, 1 + percent / 200 * (along + bent))


def _shadow(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """A shadow with an arc for a rim, sharp or soft, over a tenth to a half of the picture."""
    along, over = _turned(picture, rng.uniform(0, 2 * math.pi))
    softness = math.exp(rng.uniform(math.log(0.02), math.log(0.3)))
    inside = along + rng.uniform(-0.4, 0.4) * over**2 - rng.uniform(0.0, 0.6)
    return _times(picture, 1 - percent / 100 * (np.clip(inside / softness, -0.5, 0.5) + 0.5))


def _contrast(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """Levels move away from a level of the picture's middle tones, or towards it."""
    low, high = np.quantile(picture, (0.3, 0.7))
    middle = np.float32(rng.uniform(low, high))
    return np.asarray(middle + (picture - middle) * np.float32(max(0.0, 1 + percent / 100)))


def _defocus(picture: Shares, sigma_px: float, _: np.random.Generator) -> Shares:
    """Every point becomes a disc, whose standard deviation across is half its radius."""
    reach = math.ceil(2 * sigma_px) + 1
    places = (np.arange((2 * reach + 1) * _FINER) + 0.5) / _FINER - reach - 0.5
    disc = (np.hypot(places[:, None], places[None]) <= 2 * sigma_px).astype(np.float32)
    kernel = cv2.resize(disc, (2 * reach + 1, 2 * reach + 1), interpolation=cv2.INTER_AREA)
    return _shaped(cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), picture)


def _noise(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """The noise of the light itself grows with the root of its level; ``percent`` of white is its mean."""
    deviation = np.sqrt(np.maximum(picture, 0) / max(float(picture.mean()), 1e-3)) * np.float32(percent / 100)
    return np.asarray(picture + rng.standard_normal(picture.shape, np.float32) * deviation)


def _shift(picture: Shares, px: float, rng: np.random.Generator) -> Shares:
    turn = rng.uniform(0, 2 * math.pi)
    return _moved(picture, np.array([[1, 0, px * math.cos(turn)], [0, 1, px * math.sin(turn)]]), rng)


def _rotation(picture: Shares, degrees: float, rng: np.random.Generator) -> Shares:
    return _moved(picture, cv2.getRotationMatrix2D(_middle(picture), degrees, 1.0), rng)


def _scale(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    return _moved(picture, cv2.getRotationMatrix2D(_middle(picture), 0.0, 1 + percent / 100), rng)


def _occlusion(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """A thing reaches in from one side: pointed, round or angular, long or wide, of one grey with a grain."""
    quarter, along = int(rng.integers(4)), rng.uniform(0.2, 0.8)
    turned = np.rot90(picture, quarter)
    height, width = turned.shape[:2]
    power, longer = (1.0, 2.0, 6.0)[rng.integers(3)], math.exp(rng.uniform(math.log(0.5), math.log(3.0)))
    across = np.abs(np.arange(width, dtype=np.float32)[None] - np.float32(along * width)) * np.float32(longer)
    down = np.arange(height, dtype=np.float32)[:, None]
    distance = (across**power + down**power) ** (1 / power)
    hidden = np.clip(np.quantile(distance, min(1.0, percent / 100)) - distance + 0.5, 0, 1)[:, :, None]
    grain = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), rng.uniform(0.5, 2.0))
    tone = rng.uniform(0.05, 0.9) + rng.uniform(0, 0.02) / max(float(grain.std()), 1e-6) * grain[:, :, None]
    return np.ascontiguousarray(np.rot90(turned + (tone - turned) * hidden, -quarter), np.float32)


def _background(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """The ground gets another level with a grain of its own, from none to half as much."""
    around = surroundings(picture)
    if around is None:
        return picture.copy()
    grain = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2], np.float32), (0, 0), rng.uniform(1.5, 8.0))
    pattern = 1 + rng.uniform(0, 0.5) / max(float(grain.std()), 1e-6) * grain
    return np.asarray(picture + (np.float32(percent / 100) * pattern * around)[:, :, None], np.float32)


WAYS: Final[dict[str, Change]] = {
    "gradient": _gradient,
    "shadow": _shadow,
    "contrast": _contrast,
    "defocus": _defocus,
    "noise": _noise,
    "shift": _shift,
    "rotation": _rotation,
    "scale": _scale,
    "occlusion": _occlusion,
    "background": _background,
}
"""By the name of the cause in ``edge.disturb``."""


def apply_some_way(cause: str, picture: FramePixels, size: float, rng: np.random.Generator, bits: int) -> FramePixels:
    """The picture after the cause came about in one of the ways, drawn by ``rng``; as ``Corruption.apply``."""
    row = CORRUPTIONS[cause]
    if cause not in WAYS or rng.random() < OWN_SHARE:
        return row.apply(picture, size, rng, bits)
    white = np.float32((1 << bits) - 1)
    shares = picture.astype(np.float32).reshape(*picture.shape[:2], -1) / white
    changed = WAYS[cause](shares, size, rng)
    return np.asarray(np.rint(np.clip(changed, 0, 1) * white).astype(picture.dtype).reshape(picture.shape))


def _turned(picture: Shares, turn: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Along a direction and across it, -1 to 1 in the longer side's ends: float32 (H, W) each."""
    height, width = picture.shape[:2]
    reach = max(height, width) / 2
    x = ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / reach).astype(np.float32)[None]
    y = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / reach).astype(np.float32)[:, None]
    c, s = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    return np.asarray(c * x + s * y), np.asarray(c * y - s * x)


def _times(picture: Shares, light: Any) -> Shares:
    return np.asarray(picture * np.maximum(light, 0).astype(np.float32)[:, :, None])


def _middle(picture: Shares) -> tuple[float, float]:
    height, width = picture.shape[:2]
    return (width - 1) / 2, (height - 1) / 2


def _moved(picture: Shares, matrix: Any, rng: np.random.Generator) -> Shares:
    height, width = picture.shape[:2]
    flags, rim = _INTERPOLATIONS[rng.integers(len(_INTERPOLATIONS))], _RIMS[rng.integers(len(_RIMS))]
    return _shaped(cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=rim), picture)


def _shaped(made: Any, picture: Shares) -> Shares:
    """OpenCV drops the axis of a single channel."""
    return np.asarray(made, np.float32).reshape(picture.shape)
